"""A value that somebody gave, as a message repeats it."""

import json

LONGEST = 60
"""Characters of a value that a message repeats."""


def shown(value: object, longest: int = LONGEST, *, quoted: bool = False) -> str:
    """``value`` as JSON and YAML spell it, so that nobody meets Python's ``None`` and ``True``; cut where it is long.

    Where it matters that a number was given as text, texts are ``quoted``.
    """
    if isinstance(value, str) and not quoted:
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
