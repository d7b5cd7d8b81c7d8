"""Texts for people: gettext catalogs in, sentences in the reader's language out.

The catalogs (``app/locale/<language>/LC_MESSAGES/<domain>.po``) translate codes; English is a catalog like
any other. Placeholders take a format: ``{bytes:gib}``, ``{count:n}``, ``{share:percent}``, ``{names:list}``.
"""

import gettext
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Formatter
from typing import Any

from app.core.messages import Message
from app.core.units import GB, GIB, MIB

LOCALE_DIRECTORY = Path(__file__).parent / "locale"
LANGUAGES: Mapping[str, str] = {"en": "English", "my": "မြန်မာ"}
DEFAULT_LANGUAGE = "en"
SMALL_BYTES = GIB // 20
"""Below this a size in GiB would be shown as 0.0."""


def _shown(value: Any, spec: str) -> str:
    """A parameter as people read it, in the units of this product."""
    match spec:
        case "gib":
            if 0 < abs(value) < SMALL_BYTES:
                return f"{value / MIB:,.1f}\u00a0MiB".replace("-", "\u2212")
            return f"{value / GIB:,.1f}\u00a0GiB".replace("-", "\u2212")
        case "gb":
            return f"{value / GB:,.1f}\u00a0GB"
        case "n":
            return f"{value:,}"
        case "percent":
            if 0 < value < 0.005:
                return f"{value:.4f}\u00a0%"  # a soft prompt's parameters are no zero
            return f"{value:.2f}\u00a0%" if value < 10 else f"{value:.1f}\u00a0%"
        case "list":
            return ", ".join(str(item) for item in value)
        case _:
            return format(value, spec)


@cache
def _parts(template: str) -> tuple[tuple[str, str | None, str], ...]:
    """A template in pieces, taken apart once: literal text, then a parameter's name and format, if any."""
    return tuple((literal, name, spec or "") for literal, name, spec, _ in Formatter().parse(template))


class Texts:
    """The texts of one language. Cheap to share: catalogs are read once."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalog: dict[str, str] = {}
        for path in sorted((LOCALE_DIRECTORY / language / "LC_MESSAGES").glob("*.mo")):
            with path.open("rb") as file:
                catalog: Mapping[str, str] = vars(gettext.GNUTranslations(file))["_catalog"]
            self._catalog |= catalog

    def __contains__(self, code: str) -> bool:
        return code in self._catalog

    def text(self, code: str, /, **params: Any) -> str:
        """The sentence for ``code``; the code itself where no catalog holds it, so that nothing is lost."""
        template = self._catalog.get(code)
        if template is None:
            return code
        if not params:
            return template
        return "".join(
            literal if name is None else literal + _shown(params[name], spec)
            for literal, name, spec in _parts(template)
        )

    def render(self, message: Message) -> str:
        """A core message as a sentence."""
        return self.text(message.code, **message.params)


@cache
def texts(language: str) -> Texts:
    """The texts of ``language``, which must be one of ``LANGUAGES``."""
    return Texts(language)


def choose_language(lang: str | None, accept_language: str | None) -> str:
    """``?lang=`` first, then the ``Accept-Language`` header by its weights, then English.

    Source: RFC 9110, section 12.5.4.
    """
    if lang is not None and lang in LANGUAGES:
        return lang
    weighted: list[tuple[float, str]] = []
    for part in (accept_language or "").split(","):
        name, _, parameters = part.strip().partition(";")
        try:
            quality = float(parameters.strip().removeprefix("q=")) if parameters else 1.0
        except ValueError:
            quality = 0.0
        weighted.append((quality, name.strip().lower()[:2]))
    for quality, name in sorted(weighted, key=lambda item: -item[0]):
        if quality > 0 and name in LANGUAGES:
            return name
    return DEFAULT_LANGUAGE
