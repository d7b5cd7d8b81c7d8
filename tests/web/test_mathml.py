"""Formulas: well-formed MathML that says what the line of text says."""

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.catalog.library import Catalog
from app.web.mathml import typeset, with_formulas

DRAWN = re.compile(r"[\W_]+")


def letters(text: str) -> str:
    """Letters and digits alone, Greek names as letters."""
    text = text.replace("alpha", "α")
    return DRAWN.sub("", text).replace("²", "2").replace("³", "3")


def read(formula: str) -> ET.Element:
    """The formula, parsed as XML."""
    return ET.fromstring(str(typeset(formula)))


def test_every_formula_of_the_registry_keeps_its_letters(catalog: Catalog) -> None:
    for row in catalog.methods.rows:
        for formula in (row.formula, row.trained):
            root = read(formula)
            assert root.tag == "math"
            assert root.get("alttext") == formula
            assert letters("".join(root.itertext())) == letters(formula)


@pytest.mark.parametrize(
    ("formula", "expected"),
    [
        ("W_NF4", "<msub><mi>W</mi><mi>NF4</mi></msub>"),
        ("W'", "<msup><mi>W</mi><mo>′</mo></msup>"),
        ("ΔW", '<mrow><mi mathvariant="normal">Δ</mi><mi>W</mi></mrow>'),
        ("a/b", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        ("every step", "<mtext>\u00a0every step\u00a0</mtext>".replace(" step", "\u00a0step")),
        ("r²", "<msup><mi>r</mi><mn>2</mn></msup>"),
    ],
)
def test_signs_are_set_as_people_write_them(formula: str, expected: str) -> None:
    assert expected in str(typeset(formula))


def test_a_fraction_takes_the_whole_product_above_it() -> None:
    above, below = read("W' = m·(W + ΔW) / ‖W + ΔW‖").iter("mrow"), read("m·(W + ΔW) / ‖W + ΔW‖").find(".//mfrac")
    assert next(above) is not None
    assert below is not None
    assert [letters("".join(part.itertext())) for part in below] == ["mWΔW", "WΔW"]


@given(st.text(max_size=40))
def test_any_text_is_typeset_and_escaped(text: str) -> None:
    """No text breaks out of the element, whatever stands open in it."""
    drawn = str(typeset(text))
    assert drawn.startswith("<math ")
    assert drawn.endswith("</math>")
    tags = set(re.findall(r"</?([a-z]+)", re.sub(r'alttext="[^"]*"', "", drawn)))
    assert tags <= {"math", "mrow", "mi", "mo", "mn", "mtext", "mfrac", "msup", "msub", "msubsup"}


def test_a_sentence_holds_formulas_between_backticks() -> None:
    drawn = str(with_formulas("per <module> `r·d` more"))
    assert drawn.startswith('per &lt;module&gt; <math display="inline"')
    assert drawn.endswith("</math> more")
