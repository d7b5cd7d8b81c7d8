"""The fields of a form as shown, with their errors and findings."""

from dataclasses import dataclass

from app.web.contexts.frame import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One choice of a field, with a line about it where it needs one."""

    value: str
    label: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionGroup:
    """Choices that belong together."""

    label: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldError:
    """Why a value cannot be, and what it may have meant."""

    text: str
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingView:
    """A finding in words. ``field_id`` is the anchor of the field it is about, ``fix`` a link that applies it."""

    severity: str
    text: str
    key: str | None = None
    field_id: str | None = None
    fix: Link | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class FieldView:
    """One field as shown. ``reset_url`` is set where the value differs from what is recommended.

    Told apart by which it is: what was drawn of one is kept as long as it is.
    """

    name: str
    id: str
    label: str
    hint: str = ""
    value: str = ""
    placeholder: str = ""
    list_id: str = ""
    reset_url: str | None = None
    errors: tuple[FieldError, ...] = ()
    findings: tuple[FindingView, ...] = ()
    options: tuple[Option, ...] = ()
    groups: tuple[OptionGroup, ...] = ()

    @property
    def described_by(self) -> str:
        """Ids of what explains the field, for ``aria-describedby``."""
        ids = (
            (f"{self.id}-error", bool(self.errors)),
            (f"{self.id}-finding", bool(self.findings)),
            (f"{self.id}-hint", bool(self.hint)),
        )
        return " ".join(id_ for id_, present in ids if present)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorSummaryItem:
    """One line of the error summary; ``url`` leads to the field."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastedModel:
    """A config.json in use, in a few words, and the way back."""

    text: str
    remove_url: str
