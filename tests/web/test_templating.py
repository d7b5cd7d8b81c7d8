"""What holds for every template."""

from weakref import ref

from app.assets import TEMPLATES
from app.web.contexts import FieldView
from app.web.templating import _drawings, _drawn


def test_no_template_turns_escaping_off() -> None:
    """Jinja keeps it in a context that imported macros share between requests: one at work would turn it off for all."""
    assert not [path for path in TEMPLATES.rglob("*.html") if "autoescape" in path.read_text("utf-8")]


def test_what_is_drawn_of_a_view_is_kept_as_long_as_the_view_is() -> None:
    drawn: list[str] = []

    def macro(field: FieldView, sign: str) -> str:
        drawn.append(sign)
        return f"{field.label}{sign}"

    view, alike = (FieldView(name="lora_r", id="f-lora_r", label="rank") for _ in range(2))
    assert [_drawn(macro, view, "!"), _drawn(macro, view, "!"), _drawn(macro, view, "?")] == ["rank!", "rank!", "rank?"]
    assert _drawn(macro, alike, "!") == "rank!"
    assert drawn == ["!", "?", "!"]
    kept, seen = len(_drawings), ref(view)
    del view
    assert seen() is None
    assert len(_drawings) == kept - 1
