"""Burmese: complete, in Unicode and not Zawgyi, in the spoken register, with the terms that the glossary keeps."""

import re
import unicodedata
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.pofile import read_po

from app.texts import LOCALE_DIRECTORY

DOMAINS = sorted(path.stem for path in (LOCALE_DIRECTORY / "my" / "LC_MESSAGES").glob("*.po"))
GLOSSARY = (Path(__file__).parents[1] / "docs" / "glossary.md").read_text(encoding="utf-8")

MYANMAR = re.compile(r"[\u1000-\u109f]")
CONSONANT = "\u1000-\u102a\u103f"
MEDIAL = "\u103b-\u103e"
ZAWGYI = {
    "a sign that Zawgyi alone uses here": re.compile(r"[\u1033\u1034\u1060-\u1097]"),
    "the vowel e before its consonant": re.compile(rf"(?:^|[^{CONSONANT}{MEDIAL}\u1039])\u1031"),
    "a stacking sign with nothing below it": re.compile(rf"\u1039(?![{CONSONANT}])"),
    "medials out of order": re.compile(r"[\u103c-\u103e]\u103b|[\u103d\u103e]\u103c|\u103e\u103d"),
    "a sign that stands on nothing": re.compile(rf"(?:^|[\s(“])[{MEDIAL}\u102b-\u1032\u1036-\u1038\u103a]"),
    "the same sign twice": re.compile(r"([\u102b-\u103e])\1"),
}
"""Unicode stores a syllable as consonant, medials (ya, ra, wa, ha), vowels, asat; Zawgyi in the order of drawing.

Source: Unicode 16.0, chapter 16.3; https://www.unicode.org/notes/tn11/.
"""
WRITTEN = ("သည်။", "၍", "၏", "၌", "သော်လည်း")
"""Words of the written register."""
BARE_VERB = re.compile(
    r"(?<![\w.-])(?:train|save|load|fine-tune) ?(?:မယ့်|မယ်|မလဲ|တဲ့|တာ|ရင်|ရပါ|ရတယ်|ရမ|လို့|ဖို့|ပါမ|ပါတယ်|နိုင်|ပြီး|စရာ|ပါ။|မပေး)",
    re.IGNORECASE,
)
"""An English verb that takes a Burmese ending without လုပ် between the two."""


def entries(language: str, domain: str) -> dict[str, str]:
    """One catalog."""
    with (LOCALE_DIRECTORY / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file) if entry.id}


def placeholders(text: str) -> list[tuple[str, str]]:
    """Names and formats, in an order of their own."""
    return sorted((name, spec or "") for _, name, spec, _ in Formatter().parse(text) if name)


def terms() -> set[str]:
    """Every word that the glossary's first table keeps in Latin letters."""
    table = GLOSSARY.partition("## Stay English")[2].partition("\n## ")[0]
    cells = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))
    return {word.lower() for word in re.findall(r"[A-Za-z][\w.+-]*", cells)}


@pytest.mark.parametrize("domain", DOMAINS)
def test_nothing_is_missing(domain: str) -> None:
    english, burmese = entries("en", domain), entries("my", domain)
    assert english.keys() == burmese.keys()
    assert not [code for code, text in burmese.items() if not text.strip()]


@pytest.mark.parametrize("domain", DOMAINS)
def test_placeholders_and_their_formats_are_kept(domain: str) -> None:
    english, burmese = entries("en", domain), entries("my", domain)
    for code, text in english.items():
        try:
            expected = placeholders(text)
        except ValueError:
            continue  # a text that shows braces takes no parameters
        assert placeholders(burmese[code]) == expected, code


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("fault", ZAWGYI)
def test_it_is_unicode_and_not_zawgyi(domain: str, fault: str) -> None:
    pattern = ZAWGYI[fault]
    assert not {code: text for code, text in entries("my", domain).items() if pattern.search(text)}, fault


def test_zawgyi_is_told_from_unicode() -> None:
    """What the patterns are for: the same greeting in both."""
    unicode, zawgyi = "မြန်မာပြည်မှ မင်္ဂလာပါ။ ကျေးဇူး", "ျမန္မာျပည္မွ မဂၤလာပါ။ ေက်းဇူး"
    assert not any(pattern.search(unicode) for pattern in ZAWGYI.values())
    assert sum(bool(pattern.search(zawgyi)) for pattern in ZAWGYI.values()) >= 2


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_text_is_in_normal_form_with_western_digits(domain: str) -> None:
    for code, text in entries("my", domain).items():
        assert unicodedata.normalize("NFC", text) == text, code
        assert not re.search("[\u1040-\u1049]", text), code


@pytest.mark.parametrize("domain", DOMAINS)
def test_it_is_spoken_burmese(domain: str) -> None:
    assert not {code: text for code, text in entries("my", domain).items() if any(word in text for word in WRITTEN)}


@pytest.mark.parametrize("domain", DOMAINS)
def test_english_verbs_take_their_endings_by_the_burmese_verb(domain: str) -> None:
    assert not {code: text for code, text in entries("my", domain).items() if BARE_VERB.search(text)}


@pytest.mark.parametrize("domain", DOMAINS)
def test_what_is_left_in_english_is_a_term(domain: str) -> None:
    """An entry without a Burmese letter holds names, terms of the glossary, keys, signs and numbers alone."""
    known = terms()
    english = entries("en", domain)
    for code, text in entries("my", domain).items():
        if MYANMAR.search(text):
            continue
        bare = re.sub(r"\{[^}]*\}", " ", text)
        words = re.findall(r"[A-Za-z][A-Za-z0-9_.+³-]*", bare)
        left = [word for word in words if word.lower() not in known and "_" not in word and "." not in word.strip(".")]
        assert not left, f"{code}: {left} of {english[code]!r}"
