"""Texts for people: gettext catalogs in, sentences in the reader's language out.

The catalogs (``app/locale/<language>/LC_MESSAGES/<domain>.po``) translate codes; English is a catalog like
any other. Placeholders take a format: ``{bytes:gib}``, ``{count:n}``, ``{share:percent}``, ``{names:list}``,
``{allowed:kinds}``.
"""

import gettext
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from string import Formatter
from typing import Any

from app.core.messages import Message
from app.core.units import GB, GIB, KIB, MIB

LOCALE_DIRECTORY = Path(__file__).parent / "locale"
LANGUAGES: Mapping[str, str] = {"en": "English", "my": "မြန်မာ"}
DEFAULT_LANGUAGE = "en"


def _percent(share: float) -> str:
    """A soft prompt's parameters are no zero."""
    if 0 < share < 0.005:
        return f"{share:.4f}\u00a0%"
    return f"{share:.2f}\u00a0%" if share < 10 else f"{share:.1f}\u00a0%"


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "": str,
    "gib": lambda size: _binary(size).replace("-", "\u2212"),
    "gb": lambda size: f"{size / GB:,.1f}\u00a0GB",
    "n": lambda count: f"{count:,}",
    "percent": _percent,
    "list": lambda items: ", ".join([str(item) for item in items]),
}
"""How people read a parameter, in the units of this product; any other format is Python's own."""


def _binary(size: float) -> str:
    """Bytes in GiB; what would be nothing there in MiB or KiB, since an adapter is small and yet no zero."""
    for most, unit, name in ((0.05 * MIB, KIB, "KiB"), (0.05 * GIB, MIB, "MiB")):
        if 0 < abs(size) < most:
            shown = size / unit
            return f"{shown:,.0f}\u00a0{name}" if abs(shown) >= 9.95 else f"{shown:.1f}\u00a0{name}"
    return f"{size / GIB:,.1f}\u00a0GiB"


KINDS = "kinds"
"""The format of what a value may be: names of kinds and values, the last joined by the language's own "or"."""


@cache
def _parts(template: str) -> tuple[tuple[str, str | None, Callable[[Any], str] | None], ...]:
    """A template in pieces, taken apart once: literal text, then a parameter's name, if any, and how it is shown.

    How kinds are shown is the language's own.
    """
    return tuple(
        (literal, name, None if spec == KINDS else _FORMATS.get(spec or "") or partial(_formatted, spec or ""))
        for literal, name, spec, _ in Formatter().parse(template)
    )


def _formatted(spec: str, value: Any) -> str:
    return format(value, spec)


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
        return self._filled(template, params) if params else template

    def _filled(self, template: str, params: Mapping[str, Any]) -> str:
        pieces = []
        for literal, name, shown in _parts(template):
            pieces.append(literal)
            if name is not None:
                pieces.append(shown(params[name]) if shown else self._kinds(params[name]))
        return "".join(pieces)

    def _kinds(self, given: str | tuple[str, ...]) -> str:
        """``("integer", "auto")`` as "a whole number or auto"; a text stands for itself."""
        if not isinstance(given, tuple):
            return str(given)
        *others, last = [self._catalog.get(f"kind.{item}", item) for item in given] or [""]
        return self.text("list.or", others=", ".join(others), last=last) if others else last

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
