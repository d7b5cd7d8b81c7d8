"""Templates as compiled here say what Jinja's own say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from markupsafe import Markup, escape

from app.texts import LANGUAGES, texts
from app.web.compiling import Templates, escaped

NASTY = "<b class=\"x\" id='y'>&amp;</b>"


class Drawn:
    """Something that knows its own HTML."""

    def __html__(self) -> str:
        return "<i>drawn</i>"


@given(st.one_of(st.text(), st.text("&<>\"'a "), st.integers(), st.floats(), st.none(), st.booleans()))
def test_a_value_is_escaped_as_markupsafe_does(value: object) -> None:
    assert str(escaped(value)) == str(escape(value))


def test_what_is_markup_already_stands_as_it_is() -> None:
    assert escaped(Markup(NASTY)) == NASTY
    assert escaped(Drawn()) == "<i>drawn</i>"


@pytest.mark.parametrize(
    "template",
    [
        "{{ value }}",
        "{{ [value] | join }}",
        "{% for one in [value] %}{{ one }}{% endfor %}",
        "{% macro said(what) %}{{ what }}{% endmacro %}{{ said(value) }}",
        "{% macro around() %}{{ caller() }}{% endmacro %}{% call around() %}{{ value }}{% endcall %}",
        "{% set held %}{{ value }}{% endset %}{{ held }}",
        "{% set held = value %}{{ held }}",
        "{{ value if value else '' }}",
        "{{ '' ~ value }}",
        "{% filter trim %}{{ value }}{% endfilter %}",
    ],
)
def test_everything_that_a_template_puts_out_is_escaped_once(template: str) -> None:
    page = Templates(texts("en")).from_string(template)
    assert page.render(value=NASTY) == str(escape(NASTY))
    assert page.render(value=Markup("<i>")) == "<i>"


@pytest.mark.parametrize("template", ["{{ missing }}", "{{ value.missing }}", "{{ t(missing) }}"])
def test_a_name_that_is_not_there_is_an_error(template: str) -> None:
    with pytest.raises(UndefinedError):
        Templates(texts("en")).from_string(template).render(value=1, t=texts("en").text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_without_parameters_is_written_into_the_template(language: str) -> None:
    words = texts(language)
    page = Templates(words).from_string("<p title=\"{{- t('web.skip') -}}\"> {{ t( 'web.nav.menu' ) }}</p>")
    assert page.render() == f'<p title="{escape(words.text("web.skip"))}"> {escape(words.text("web.nav.menu"))}</p>'


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ t('web.gib', size_bytes=size) }}", "web.gib 7"),
        ("{{ t('web.' ~ 'skip') }}", "web.skip"),
        ("{{ t('web.skip') | upper }}", "WEB.SKIP"),
        ("{{ size if t('web.skip') }}", "7"),
        ("{% if t('web.skip') %}{{ size }}{% endif %}", "7"),
        ("{{ {'a': t('web.skip')}['a'] }}", "web.skip"),
        ("{{ other('web.skip') }}", "other web.skip"),
    ],
)
def test_anything_else_is_asked_for_as_the_page_is_made(template: str, made: str) -> None:
    def asked(code: str, *, size_bytes: str = "") -> str:
        return f"{code} {size_bytes}".strip()

    page = Templates(texts("en")).from_string(template)
    assert page.render(t=asked, other=lambda code: f"other {code}", size="7") == made


def test_a_text_with_signs_of_html_is_escaped_as_it_is_written_in() -> None:
    words = texts("en")
    code = next(code for code in words._catalog if "&" in words.text(code) or "<" in words.text(code))
    assert Templates(words).from_string("{{ t('" + code + "') }}").render() == str(escape(words.text(code)))
