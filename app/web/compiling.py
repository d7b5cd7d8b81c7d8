"""How templates are compiled: for one language, its texts written into them, and everything escaped, sooner.

A page puts out a good thousand values, most of them figures and short texts, and a good hundred texts of its own that
are the same each time.
"""

import re
from collections.abc import Iterable, Iterator

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.nodes import Expr
from markupsafe import Markup, escape

from app.assets import TEMPLATES
from app.texts import Texts

_SPECIAL = re.compile("[&<>\"']").search
_TEXT = ["variable_begin", "name", "lparen", "string", "rparen", "variable_end"]
"""``{{ t('web.skip') }}``"""


def escaped(value: object) -> str:
    """``value`` as it stands between its neighbours: what ``escape`` gives, without an object of its own for each."""
    if type(value) is str:
        return value if _SPECIAL(value) is None else escape(value)
    return value if type(value) is Markup else escape(value)


class _Generator(CodeGenerator):
    """Writes ``escaped`` where Jinja's own writes ``escape``."""

    def _output_child_pre(self, node: Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> None:
        self.write("environment.escaped(")


class _Texts(Extension):
    """Writes a text that takes no parameters into the template."""

    environment: "Templates"

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        held: list[Token] = []
        for token in stream:
            held.append(token)
            if held[0].type != "variable_begin" or token.type == "variable_end":
                yield from self._written(held)
                held = []

    def _written(self, tokens: list[Token]) -> Iterable[Token]:
        if [token.type for token in tokens] != _TEXT or tokens[1].value != "t":
            return tokens
        return (Token(tokens[0].lineno, "data", escape(self.environment.texts.text(tokens[3].value))),)


class Templates(Environment):
    """The templates in one language, strict about names."""

    code_generator_class = _Generator
    escaped = staticmethod(escaped)

    def __init__(self, texts: Texts) -> None:
        self.texts = texts
        super().__init__(
            loader=FileSystemLoader(TEMPLATES),
            undefined=StrictUndefined,
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
            extensions=[_Texts],
        )
