"""Forms above tables: what an address asks for, read with every bad value noted, and written back."""

from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request

from app.core.messages import Message, message
from app.core.nearest import nearest
from app.texts import LANGUAGES, Texts
from app.web import contexts
from app.web.reference.contexts import Column
from app.web.shell import CARRIED
from app.web.templating import path_for

LONGEST = 200
ORDERS = ("asc", "desc")


class Query:
    """The parameters that a page knows, without blanks; others are somebody else's."""

    def __init__(self, request: Request, route: str, names: Sequence[str]) -> None:
        self.path = path_for(request, route)
        asked = request.query_params
        self.values = {
            name: text
            for name in dict.fromkeys((*names, *CARRIED, "lang"))
            if (text := asked.get(name, "").strip()) and (name != "lang" or text in LANGUAGES)
        }
        self.names = tuple(names)
        self.errors: dict[str, Message] = {}
        self.links: dict[str, tuple[str, ...]] = {}
        """Values that a bad one may have meant, by parameter."""

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")

    def text(self, name: str) -> str:
        """The value of ``name`` where it is not too long."""
        text = self[name]
        if len(text) <= LONGEST:
            return text
        self.errors[name] = message("web.error.long", given=len(text), most=LONGEST)
        return ""

    def choice(self, name: str, allowed: Sequence[str], default: str = "") -> str:
        """The value of ``name`` where it is one of ``allowed``, else ``default``."""
        text = self.text(name)
        if not text or text in allowed:
            return text or default
        close = nearest(text, allowed, count=1)
        self.links[name] = close
        code = "web.error.choice_nearest" if close else "web.error.choice"
        self.errors[name] = message(code, given=text[:60], allowed=tuple(allowed), nearest=close[0] if close else "")
        return default

    def url(self, **changes: str | None) -> str:
        """The address of this page with some parameters changed; None or a blank leaves one out."""
        values = self.values | {name: value or "" for name, value in changes.items()}
        pairs = [(name, value) for name, value in values.items() if value]
        return f"{self.path}?{urlencode(pairs)}" if pairs else self.path

    def in_language(self, lang: str) -> str:
        """The address of this page in a language."""
        return self.url(lang=lang)

    @property
    def status(self) -> int:
        """The HTTP status of a page that shows this."""
        return 422 if self.errors else 200

    def columns(
        self, columns: Iterable[tuple[str, bool]], sort: str, *, descending: bool, prefix: str, texts: Texts
    ) -> tuple[Column, ...]:
        """Heads that sort: the one sorted by turns its order around, numbers start with the largest."""
        heads = []
        for name, numeric in columns:
            own = name == sort
            order = "desc" if (not descending if own else numeric) else "asc"
            heads.append(
                Column(
                    name=name,
                    label=texts.text(f"{prefix}.{name}"),
                    url=self.url(sort=name, order=order),
                    sorted=("descending" if descending else "ascending") if own else "",
                    numeric=numeric,
                )
            )
        return tuple(heads)

    def field(
        self,
        name: str,
        texts: Texts,
        *,
        label: str,
        options: Sequence[contexts.Option] = (),
        groups: Sequence[contexts.OptionGroup] = (),
    ) -> contexts.FieldView:
        """The field for ``name`` as shown, with what is wrong with it."""
        errors: tuple[contexts.FieldError, ...] = ()
        if name in self.errors:
            links = tuple(contexts.Link(text=near, url=self.url(**{name: near})) for near in self.links.get(name, ()))
            errors = (contexts.FieldError(text=texts.render(self.errors[name]), links=links),)
        return contexts.FieldView(
            name=name,
            id=f"f-{name}",
            label=texts.text(label),
            value=self[name],
            errors=errors,
            options=tuple(options),
            groups=tuple(groups),
        )

    def faults(self, fields: Iterable[str], texts: Texts) -> tuple[str, ...]:
        """What is wrong with parameters that ``fields`` does not show."""
        shown = frozenset(fields)
        return tuple(f"{name}: {texts.render(said)}" for name, said in self.errors.items() if name not in shown)

    def carried(self) -> tuple[tuple[str, str], ...]:
        """What travels along unseen: the language, and the model or card that this page has no field for."""
        return tuple((name, value) for name, value in self.values.items() if name not in self.names)


def options(values: Iterable[str], labels: Mapping[str, str] | None = None) -> tuple[contexts.Option, ...]:
    """Choices that read as they are, or as ``labels`` has them."""
    return tuple(contexts.Option(value=value, label=(labels or {}).get(value, value)) for value in values)
