"""The query of a call: which parameters it has, and what they may be."""

from fastapi import Request

from app.api.body import no_choice
from app.core.errors import FieldError, InvalidInput
from app.core.messages import Message, message
from app.core.nearest import akin, nearest
from app.services.exporting import Target

TARGETS = tuple(Target)
EVERYWHERE = ("lang",)
"""What every call takes."""
_SWITCH = ("true", "false")
_LONGEST = 60


def allow(request: Request, *names: str) -> None:
    """Refuse parameters that a call does not have: a misspelt one would be ignored without a word.

    Raises:
        InvalidInput: with the name given, those that there are, and the nearest.
    """
    if not request.scope["query_string"]:
        return
    allowed = (*names, *EVERYWHERE)
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in allowed]
    if unknown:
        raise InvalidInput(*(FieldError(f"/query/{name[:_LONGEST]}", _unknown(name, allowed)) for name in unknown))


def flag(request: Request, name: str) -> bool:
    """A switch that is off where it is left out, the only parameter of its call."""
    allow(request, name)
    if not request.scope["query_string"]:
        return False
    given = request.query_params.get(name, "false").lower()
    if given not in _SWITCH:
        raise InvalidInput(FieldError(f"/query/{name}", no_choice(name, given, _SWITCH)))
    return given == "true"


def target_and_comments(request: Request) -> tuple[Target, bool]:
    """What a file is for, and whether comments are wanted."""
    allow(request, "target", "comments")
    errors = []
    target = request.query_params.get("target", TARGETS[0])
    if target not in TARGETS:
        errors.append(FieldError("/query/target", no_choice("target", target, TARGETS)))
    comments = request.query_params.get("comments", "true").lower()
    if comments not in _SWITCH:
        errors.append(FieldError("/query/comments", no_choice("comments", comments, _SWITCH)))
    if errors:
        raise InvalidInput(*errors)
    return Target(target), comments == "true"


def _unknown(name: str, allowed: tuple[str, ...]) -> Message:
    name = name[:_LONGEST]
    close = nearest(name, allowed, count=1)
    if close and akin(name, close[0]):
        return message("error.request.query_nearest", field=name, nearest=close[0], allowed=allowed)
    return message("error.request.query", field=name, allowed=allowed)
