"""A value that somebody gave, as a message repeats it."""

import json
from collections.abc import Iterable
from itertools import islice

LONGEST = 60
"""Characters of a value that a message repeats."""


LONGEST_PATH = 100
"""Characters of a key's path that a message repeats."""
MOST_LISTED = 20
"""Names that a message repeats."""


def shown(value: object, longest: int = LONGEST, *, quoted: bool = False) -> str:
    """``value`` as JSON and YAML spell it, so that nobody meets Python's ``None`` and ``True``; cut where it is long.

    Where it matters that a number was given as text, texts are ``quoted``.
    """
    if isinstance(value, str) and not quoted:
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def listed(names: Iterable[str]) -> tuple[str, ...]:
    """Names that somebody gave, as a message lists them: the first, each cut where it is long."""
    return tuple(shown(name) for name in islice(names, MOST_LISTED))


def path_shown(path: str) -> str:
    """The path of a key, which somebody may have named at any length."""
    return shown(path, LONGEST_PATH)
