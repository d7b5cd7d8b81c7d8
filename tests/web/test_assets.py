"""What is served from our own files: htmx as it was published, a font, and texts in every language."""

import gettext
import re
from hashlib import sha256
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

from app.assets import STATIC, TEMPLATES
from app.texts import LANGUAGES, LOCALE_DIRECTORY

from .conftest import Get

PLACEHOLDER = re.compile(r"\bt\('(web\.[\w.]+)'(?! ~)")


def catalog(language: str) -> dict[str, str]:
    """The compiled texts of the pages."""
    with (LOCALE_DIRECTORY / language / "LC_MESSAGES" / "web.mo").open("rb") as file:
        texts: dict[str, str] = vars(gettext.GNUTranslations(file))["_catalog"]
    return {code: text for code, text in texts.items() if code}


def test_htmx_is_the_published_file() -> None:
    digest, name = (STATIC / "vendor" / "htmx-4.0.1.min.js.sha256").read_text(encoding="ascii").split()
    file = STATIC / "vendor" / name
    assert sha256(file.read_bytes()).hexdigest() == digest
    assert b'this.version="4.0.1"' in file.read_bytes()
    assert (STATIC / "vendor" / "htmx-4.0.1.LICENSE").is_file()


def test_no_layer_of_the_styles_stands_within_another() -> None:
    """A brace that is lost shuts all that follows into a layer of its own, which yields to everything."""
    css = re.sub(r"/\*.*?\*/", "", (STATIC / "css" / "axoplan.css").read_text(encoding="utf-8"), flags=re.DOTALL)
    depth = 0
    for line in css.splitlines():
        assert not (line.lstrip().startswith("@layer") and depth), line
        depth += line.count("{") - line.count("}")
    assert depth == 0


def test_everything_a_page_names_is_served(get: Get) -> None:
    page = get("/plan", {"lang": "my"})
    addresses = [str(tag["href"]) for tag in page.document.select("link[href]")]
    addresses += [str(tag["src"]) for tag in page.document.select("script[src]")]
    assert len(addresses) <= 6
    for address in addresses:
        assert get(address).status == 200
    style = (STATIC / "css" / "axoplan.css").read_text(encoding="utf-8")
    for font in re.findall(r'url\("\.\./(fonts/[^"]+)"\)', style):
        assert (STATIC / font).is_file()
    assert "http" not in style


def test_the_first_page_is_small(get: Get) -> None:
    """Under 100 kB, compressed, without fonts."""
    size = 0
    for path in ("/plan", "/static/css/axoplan.css", "/static/js/app.js", "/static/vendor/htmx-4.0.1.min.js"):
        response = get(path, headers={"Accept-Encoding": "gzip"}).response
        size += response.num_bytes_downloaded
    assert size < 100_000


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_text(language: str) -> None:
    own, english = catalog(language), catalog("en")
    assert own.keys() == english.keys()
    for code, text in own.items():
        assert text.strip()
        fields = {(name, spec) for _, name, spec, _ in Formatter().parse(text) if name} if _formatted(code) else set()
        expected = {(name, spec) for _, name, spec, _ in Formatter().parse(english[code]) if name} if fields else fields
        assert fields == expected, code


def _formatted(code: str) -> bool:
    """Only texts with parameters are formatted; the others may hold braces."""
    return code != "web.error.model_json.object"


def test_every_text_that_a_template_names_exists() -> None:
    english = catalog("en")
    named = {code for file in TEMPLATES.rglob("*.html") for code in PLACEHOLDER.findall(file.read_text("utf-8"))}
    assert len(named) > 50
    assert named <= english.keys()


def test_compiled_texts_are_up_to_date() -> None:
    for language in LANGUAGES:
        source = (LOCALE_DIRECTORY / language / "LC_MESSAGES" / "web.po").read_text(encoding="utf-8")
        entries: dict[str, Any] = dict(re.findall(r'^msgid "(.+)"\nmsgstr "(.*)"$', source, flags=re.MULTILINE))
        assert {code: text.replace('\\"', '"') for code, text in entries.items()} == catalog(language)


def test_burmese_is_unicode_in_the_spoken_register() -> None:
    """Zawgyi puts the vowel sign e before its consonant; the written register ends sentences in သည်."""
    for code, text in catalog("my").items():
        assert not re.search(r"(?:^|[^\u1000-\u1021\u1025-\u1027\u1029\u103f\u103b-\u103e])\u1031", text), code
        assert not re.search(r"[\u1060-\u1097]", text), code
        assert "သည်။" not in text, code


def test_the_glossary_is_kept() -> None:
    glossary = (Path(__file__).parents[2] / "docs" / "glossary.md").read_text(encoding="utf-8")
    for term in ("ဆံ့ပါတယ်", "အကြံပြုချက်", "ခန့်မှန်းချက်"):
        assert term in glossary
        assert any(term in text for text in catalog("my").values())
