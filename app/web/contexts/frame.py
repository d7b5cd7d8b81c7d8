"""What surrounds every page, and the smallest parts that all of them share."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A text that leads somewhere."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """One entry of the language switch. ``post_url`` takes the page's form along, so that nothing typed is lost."""

    code: str
    name: str
    url: str
    current: bool
    post_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NavLink:
    """One page of the site. ``main`` ones stand in the header where there is room."""

    name: str
    text: str
    url: str
    current: bool
    main: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NavGroup:
    """Pages that belong together."""

    label: str
    links: tuple[NavLink, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Nav:
    """The way to every page. Told apart by which it is: what was drawn of one is kept as long as it is."""

    groups: tuple[NavGroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """What surrounds every page. ``here`` is the name of its route, or of the section that it belongs to.

    ``form`` is the id of the form that the language switch takes along; blank where the address holds everything.
    """

    title: str
    description: str
    lang: str
    languages: tuple[Language, ...]
    nav: Nav
    home_url: str
    plan_url: str
    here: str
    version: str
    form: str = ""


class PageContext(Protocol):
    """What every page's context has; ``base.html`` needs no more."""

    @property
    def shell(self) -> Shell:
        """The frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPage:
    """A page that says what went wrong and where to go on."""

    shell: Shell
    status: int
    headline: str
    detail: str
