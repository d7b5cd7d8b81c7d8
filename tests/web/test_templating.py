"""What holds for every template."""

from app.assets import TEMPLATES


def test_no_template_turns_escaping_off() -> None:
    """Jinja keeps it in a context that imported macros share between requests: one at work would turn it off for all."""
    assert not [path for path in TEMPLATES.rglob("*.html") if "autoescape" in path.read_text("utf-8")]
