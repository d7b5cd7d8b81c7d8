"""Where templates and static files lie, in a checkout and when installed, and the addresses they are served at."""

from functools import cache
from hashlib import sha256
from pathlib import Path

_PACKAGE = Path(__file__).parent
_INSTALLED = _PACKAGE / "_assets"
"""Where the wheel puts them; a checkout keeps them beside the package, for people to find."""

ASSETS = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
TEMPLATES = ASSETS / "templates"
STATIC = ASSETS / "static"


@cache
def content_hash(path: str) -> str:
    """Twelve hexadecimal digits that change with the content of ``static/<path>``.

    Raises:
        FileNotFoundError: there is no such file; a page that asks for it is wrong.
    """
    return sha256((STATIC / path).read_bytes()).hexdigest()[:12]


def static_url(root_path: str, path: str) -> str:
    """The address of ``static/<path>`` below ``root_path``: cacheable for ever, since it changes with the content."""
    return f"{root_path}/static/{path}?v={content_hash(path)}"
