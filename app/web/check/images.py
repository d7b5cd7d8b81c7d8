"""What a checked file's images are: how many of them a row holds, and how large they are."""

from collections.abc import Collection, Mapping

from app.core.messages import Message
from app.core.plan import Dataset
from app.texts import Texts
from app.web.contexts import FieldError, FieldView
from app.web.field_views import WHERE_BLANK
from app.web.fields import FIELDS
from app.web.forms import whole_number
from app.web.image_fields import IMAGE_FIELDS, NUMBER, SIDE


class Images:
    """What was typed of them."""

    def __init__(self, texts: Texts, typed: Mapping[str, str]) -> None:
        self.texts, self.typed = texts, typed
        found = {name: whole_number(text, FIELDS[name]) for name, text in typed.items() if text}
        self.errors = {name: said for name, said in found.items() if isinstance(said, Message)}
        said = {name: number for name, number in found.items() if isinstance(number, int)}
        self.dataset = Dataset(images_per_row=said.get(NUMBER), image_side=said.get(SIDE))

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong, in a line each."""
        render, t = self.texts.render, self.texts.text
        return tuple(
            t("web.error.line", label=t(f"web.field.{name}"), said=render(said)) for name, said in self.errors.items()
        )

    def views(self, asked: Collection[str]) -> tuple[FieldView, ...]:
        """The fields that are ``asked``, and any that something was typed into."""
        return tuple(self.view(name) for name in IMAGE_FIELDS if name in asked or self.typed.get(name))

    def view(self, name: str) -> FieldView:
        """One of them."""
        said = self.errors.get(name)
        return FieldView(
            name=name,
            id=f"f-{name}",
            label=self.texts.text(f"web.field.{name}"),
            hint=self.texts.text(f"web.field.{name}.hint"),
            value=self.typed.get(name, ""),
            placeholder=WHERE_BLANK[name],
            errors=(FieldError(text=self.texts.render(said)),) if said else (),
        )
