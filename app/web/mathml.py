"""Typesets the formulas of the method registry: a line of text in, MathML out, which browsers draw by themselves.

``W' = W + (alpha/r)·B·A`` is read as people write it: ``/`` makes a fraction of the products around it, ``_`` sets
what follows low, several letters are one name, words are words.
Source: MathML Core, https://www.w3.org/TR/mathml-core/.
"""

import re
from collections.abc import Iterator

from markupsafe import Markup, escape

_TOKEN = re.compile(r"\s+|\d+(?:[.,]\d+)*|[^\W\d_]+\d*[³²]?|.", re.DOTALL)
_GREEK = {"alpha": "α", "lambda": "λ", "sigma": "σ", "epsilon": "ε"}
_CLOSING = {"(": ")", "[": "]", "‖": "‖", "|": "|"}
_FUNCTIONS = frozenset("min max softmax dequant attention encoder input rank diag vec mean std".split())
_PRODUCTS = frozenset("·⊙⊗×*")
_PRODUCT_SIGNS = {"·": "\u2062", "*": "\u2062"}
"""A product is read but not drawn: letters side by side."""


def typeset(formula: str, *, display: str = "block") -> Markup:
    """``formula`` as a ``math`` element that reads as the text where MathML is not known."""
    parts = "".join(_Reader(formula).sequence(None)).replace("\u00a0</mtext><mtext>", "")
    return Markup(f'<math display="{display}" alttext="{escape(formula)}">{_row(parts)}</math>')  # noqa: S704 - all parts are escaped


def with_formulas(text: str) -> Markup:
    """A sentence whose formulas stand between backticks."""
    parts = text.split("`")
    pieces = (typeset(part, display="inline") if place % 2 else escape(part) for place, part in enumerate(parts))
    return Markup("").join(pieces)


def _row(parts: str) -> str:
    return f"<mrow>{parts}</mrow>"


def _operator(sign: str, *, form: str = "") -> str:
    return f"<mo{form}>{escape(sign)}</mo>"


class _Reader:
    """One formula being read, sign by sign."""

    def __init__(self, formula: str) -> None:
        self.signs = _TOKEN.findall(formula)
        self.position = 0

    def sequence(self, closing: str | None) -> list[str]:
        """Everything up to ``closing`` or the end; products are gathered so that a fraction finds its own."""
        done: list[str] = []
        product: list[str] = []
        while (sign := self._peek()) is not None and sign != closing:
            if sign.isspace():
                self.position += 1
            elif sign == "/":
                self.position += 1
                product = [self._fraction(product)]
            elif sign in _PRODUCTS:
                self.position += 1
                product.append(_operator(_PRODUCT_SIGNS.get(sign, sign)))
            elif self._begins_factor(sign):
                if product and not product[-1].startswith("<mo>"):
                    done += product
                    product = []
                product.append(self._factor())
            else:
                self.position += 1
                done += [*product, _operator(sign)]
                product = []
        return done + product

    def _peek(self) -> str | None:
        return self.signs[self.position] if self.position < len(self.signs) else None

    def _after_space(self) -> str | None:
        while (sign := self._peek()) is not None and sign.isspace():
            self.position += 1
        return sign

    @staticmethod
    def _begins_factor(sign: str) -> bool:
        return sign[0].isalnum() or sign in _CLOSING or sign == "√"

    def _fraction(self, product: list[str]) -> str:
        above = _row("".join(_bare(product)))
        sign = self._after_space()
        below = _bare([self._factor()]) if sign is not None and self._begins_factor(sign) else ["<mi></mi>"]
        return f"<mfrac>{above}{_row(''.join(below))}</mfrac>"

    def _factor(self) -> str:
        """One name, number, bracket or root with what is set low or high at it."""
        sign = self.signs[self.position]
        self.position += 1
        if sign == "√":
            return _operator("√")  # with the bracket as written: msqrt is drawn by math fonts alone
        if sign in _CLOSING:
            return self._bracket(sign)
        if sign[0].isdigit():
            return self._scripted(f"<mn>{escape(sign)}</mn>")
        return self._word(sign)

    def _bracket(self, opening: str) -> str:
        closing = _CLOSING[opening]
        inner = "".join(self.sequence(closing))
        if self._peek() != closing:  # left open: shown as it stands
            return _operator(opening) + inner
        self.position += 1
        first = _operator(opening, form=' form="prefix" stretchy="true"')
        last = _operator(closing, form=' form="postfix" stretchy="true"')
        return self._scripted(f'<mrow class="bracket">{first}{inner}{last}</mrow>')

    def _word(self, sign: str) -> str:
        name = _GREEK.get(sign, sign)
        power = ""
        if name[-1] in "²³":
            name, power = name[:-1], "2" if name[-1] == "²" else "3"
        if name.startswith("Δ") and len(name) == 2:
            base = f'<mrow><mi mathvariant="normal">Δ</mi><mi>{escape(name[1])}</mi></mrow>'
        elif len(name) > 2 and name.lower() not in _FUNCTIONS and self._peek() not in ("(", "_", "'"):
            return f"<mtext>\u00a0{escape(name)}\u00a0</mtext>"
        else:
            base = f"<mi>{escape(name)}</mi>"
        return self._scripted(f"<msup>{base}<mn>{power}</mn></msup>" if power else base)

    def _scripted(self, base: str) -> str:
        low = high = ""
        while True:
            sign = self._peek()
            if sign == "_" and not low:
                self.position += 1
                low = self._script()
            elif sign in ("'", "′") and not high:
                self.position += 1
                high = "<mo>′</mo>"
            elif sign == "^" and not high:
                self.position += 1
                high = self._script()
            else:
                break
        if low and high:
            return f"<msubsup>{base}{low}{high}</msubsup>"
        if low:
            return f"<msub>{base}{low}</msub>"
        return f"<msup>{base}{high}</msup>" if high else base

    def _script(self) -> str:
        sign = self._peek()
        if sign is None or not self._begins_factor(sign):
            return "<mi></mi>"
        self.position += 1
        if sign in _CLOSING:
            return "".join(_bare([self._bracket(sign)]))
        if sign[0].isdigit():
            return f"<mn>{escape(sign)}</mn>"
        if sign == "√":
            return "<mo>√</mo>"
        return f"<mi>{escape(_GREEK.get(sign, sign))}</mi>"


_ROUND = re.compile(
    r'<mrow class="bracket"><mo form="prefix" stretchy="true">\(</mo>(?P<inner>.*)'
    r'<mo form="postfix" stretchy="true">\)</mo></mrow>',
    re.DOTALL,
)


def _bare(parts: list[str]) -> Iterator[str]:
    """A lone bracket without its brackets: a fraction or root says as much. Else the parts as they are."""
    if len(parts) == 1 and (match := _ROUND.fullmatch(parts[0])):
        inner = match["inner"]
        if inner.count('form="prefix"') == inner.count('form="postfix"'):
            yield _row(inner)
            return
    yield from parts
