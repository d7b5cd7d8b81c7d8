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
_CLOSING = {"(": ")", "[": "]", "‖": "‖", "{": "}", "|": "|"}
_FUNCTIONS = frozenset("min max softmax dequant attention encoder input rank diag vec mean std".split())
_PRODUCTS = frozenset("·⊙⊗×*")
_PRODUCT_SIGNS = {"·": "\u2062", "*": "\u2062"}
"""A product is read but not drawn: letters side by side."""


def typeset(formula: str) -> Markup:
    """``formula`` as a ``math`` element that reads as the text where MathML is not known."""
    parts = "".join(_Reader(formula).sequence(None))
    return Markup(f'<math display="block" alttext="{escape(formula)}">{_row(parts)}</math>')  # noqa: S704 - all parts are escaped


def _row(parts: str) -> str:
    return f"<mrow>{parts}</mrow>"


def _operator(sign: str, *, form: str = "") -> str:
    return f"<mo{form}>{escape(sign)}</mo>"


class _Reader:
    """One formula being read, token by token."""

    def __init__(self, formula: str) -> None:
        self.tokens = _TOKEN.findall(formula)
        self.position = 0

    def sequence(self, closing: str | None) -> list[str]:
        """Everything up to ``closing`` or the end; products are gathered so that a fraction finds its own."""
        done: list[str] = []
        product: list[str] = []
        while (token := self._peek()) is not None and token != closing:
            if token.isspace():
                self.position += 1
            elif token == "/":
                self.position += 1
                product = [self._fraction(product)]
            elif token in _PRODUCTS:
                self.position += 1
                product.append(_operator(_PRODUCT_SIGNS.get(token, token)))
            elif self._begins_factor(token):
                if product and not product[-1].startswith("<mo>"):
                    done += product
                    product = []
                product.append(self._factor())
            else:
                self.position += 1
                done += [*product, _operator(token)]
                product = []
        return done + product

    def _peek(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def _after_space(self) -> str | None:
        while (token := self._peek()) is not None and token.isspace():
            self.position += 1
        return token

    @staticmethod
    def _begins_factor(token: str) -> bool:
        return token[0].isalnum() or token in _CLOSING or token == "√"

    def _fraction(self, product: list[str]) -> str:
        above = _row("".join(_bare(product)))
        token = self._after_space()
        below = _bare([self._factor()]) if token is not None and self._begins_factor(token) else ["<mi></mi>"]
        return f"<mfrac>{above}{_row(''.join(below))}</mfrac>"

    def _factor(self) -> str:
        """One name, number, bracket or root with what is set low or high at it."""
        token = self.tokens[self.position]
        self.position += 1
        if token == "√":
            return _operator("√")  # with the bracket as written: msqrt is drawn by math fonts alone
        if token in _CLOSING:
            return self._bracket(token)
        if token[0].isdigit():
            return self._scripted(f"<mn>{escape(token)}</mn>")
        return self._word(token)

    def _bracket(self, opening: str) -> str:
        closing = _CLOSING[opening]
        inner = "".join(self.sequence(closing))
        if self._peek() != closing:  # left open: shown as it stands
            return _operator(opening) + inner
        self.position += 1
        first = _operator(opening, form=' form="prefix" stretchy="true"')
        last = _operator(closing, form=' form="postfix" stretchy="true"')
        return self._scripted(f'<mrow class="bracket">{first}{inner}{last}</mrow>')

    def _word(self, token: str) -> str:
        name = _GREEK.get(token, token)
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
            token = self._peek()
            if token == "_" and not low:
                self.position += 1
                low = self._script()
            elif token in ("'", "′") and not high:
                self.position += 1
                high = "<mo>′</mo>"
            elif token == "^" and not high:
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
        token = self._peek()
        if token is None or not self._begins_factor(token):
            return "<mi></mi>"
        self.position += 1
        if token in _CLOSING:
            return "".join(_bare([self._bracket(token)]))
        if token[0].isdigit():
            return f"<mn>{escape(token)}</mn>"
        if token == "√":
            return "<mo>√</mo>"
        return f"<mi>{escape(_GREEK.get(token, token))}</mi>"


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
