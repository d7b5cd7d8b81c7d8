"""Texts: both languages say everything that the program can say, with the same placeholders."""

import re
from string import Formatter

import pytest
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from app.core.messages import message
from app.texts import LANGUAGES, LOCALE_DIRECTORY, choose_language, texts

APP = LOCALE_DIRECTORY.parent
DOMAINS = sorted(path.stem for path in (LOCALE_DIRECTORY / "en" / "LC_MESSAGES").glob("*.po"))
ZAWGYI = re.compile("[\u1060-\u1097]|\u1031\u103b[\u1000-\u1021]|^\u1031", re.MULTILINE)
"""Signs that Unicode Burmese does not use, or stands elsewhere: what Zawgyi text looks like."""
CODE = re.compile(r'"((?:error|finding|reason|alternative|term|web)\.[a-z0-9_]+(?:\.[a-z0-9_]+)*)"')


def catalog(language: str, domain: str) -> dict[str, str]:
    """One .po file."""
    with (LOCALE_DIRECTORY / language / "LC_MESSAGES" / f"{domain}.po").open("rb") as file:
        return {str(entry.id): str(entry.string) for entry in read_po(file) if entry.id}


@pytest.mark.parametrize("domain", DOMAINS)
def test_both_languages_are_complete(domain: str) -> None:
    """The same codes, none of them empty."""
    english, burmese = catalog("en", domain), catalog("my", domain)
    assert english.keys() == burmese.keys()
    assert all(english.values())
    assert all(burmese.values())


@pytest.mark.parametrize("domain", DOMAINS)
def test_placeholders_are_the_same(domain: str) -> None:
    """A sentence loses no number in translation."""
    english, burmese = catalog("en", domain), catalog("my", domain)
    for code, sentence in english.items():
        names = {name for _, name, _, _ in Formatter().parse(sentence) if name}
        assert {name for _, name, _, _ in Formatter().parse(burmese[code]) if name} == names, code


@pytest.mark.parametrize("domain", DOMAINS)
def test_burmese_is_unicode(domain: str) -> None:
    """Not Zawgyi."""
    assert not [code for code, sentence in catalog("my", domain).items() if ZAWGYI.search(sentence)]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("language", list(LANGUAGES))
def test_compiled_catalogs_are_current(domain: str, language: str) -> None:
    """What is committed compiled is what was written."""
    with (LOCALE_DIRECTORY / language / "LC_MESSAGES" / f"{domain}.mo").open("rb") as file:
        compiled = {str(entry.id): str(entry.string) for entry in read_mo(file) if entry.id}
    assert compiled == catalog(language, domain)


def test_every_code_in_the_program_has_a_text() -> None:
    """Codes that are written out; those put together at run time are tested where that happens."""
    used = {code for path in APP.rglob("*.py") for code in CODE.findall(path.read_text("utf-8"))}
    missing = {code for code in used if code not in texts("en")}
    assert not missing


def test_numbers_are_shown_with_their_units() -> None:
    """Bytes as GiB, counts with separators."""
    said = texts("en").render(message("finding.card_memory", hardware="X", memory_gb=24.0, capacity_bytes=25 * 2**29))
    assert said == "X is sold with 24 GB; the driver offers 12.5\u00a0GiB."
    assert texts("my").text("no.such.code") == "no.such.code"


@pytest.mark.parametrize(
    ("lang", "header", "language"),
    [
        (None, None, "en"),
        ("my", "en", "my"),
        ("xx", "my", "my"),
        (None, "my-MM,en;q=0.5", "my"),
        (None, "my;q=0.1,en;q=0.9", "en"),
        (None, "fr,de", "en"),
        (None, "my;q=0", "en"),
        (None, "my;q=x", "en"),
    ],
)
def test_language_is_chosen(lang: str | None, header: str | None, language: str) -> None:
    """The address first, then the browser, then English."""
    assert choose_language(lang, header) == language


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (0, "0.0\u00a0GiB"),
        (81_920 * 4, "0.3\u00a0MiB"),
        (20 << 10, "20\u00a0KiB"),
        (3 << 20, "3.0\u00a0MiB"),
        (50 << 20, "50\u00a0MiB"),
        (-(20 << 20), "\u221220\u00a0MiB"),
        (1 << 26, "0.1\u00a0GiB"),
        (3 << 29, "1.5\u00a0GiB"),
        (1300 << 30, "1,300.0\u00a0GiB"),
    ],
)
def test_what_is_small_is_no_zero(size: int, said: str) -> None:
    """MiB and KiB where GiB would say nothing."""
    for language in LANGUAGES:
        assert texts(language).text("web.gib", size_bytes=size) == said


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        (("integer",), "takes a whole number here"),
        (("string", "list of mapping"), "takes a text or a list of mappings here"),
        (("true/false", "number", "auto"), "takes true or false, a number or auto here"),
    ],
)
def test_kinds_of_values_are_words_and_the_last_is_joined_by_or(expected: tuple[str, ...], said: str) -> None:
    assert said in texts("en").text("finding.value_type", key="a", given="b", expected=expected)
    assert ("ဒါမှမဟုတ်" in texts("my").text("finding.value_type", key="a", given="b", expected=expected)) is (
        " or " in said
    )
