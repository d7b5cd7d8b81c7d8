"""What the recorder says of two releases."""

from tests.reference.axolotl.record_schema import changes


def recording(**parts):
    """A small recording."""
    return {"keys": {}, "plugins": {}, "models": {}, "plugin_classes": {}, "validators": {}, **parts}


def test_what_came_went_and_changed_is_listed():
    old = recording(
        keys={"a": {"accepts": ["text"]}, "b": {"accepts": ["text"]}},
        models={"M": {"x": {}}},
        validators={"check": "1", "gone": "2"},
    )
    new = recording(
        keys={"a": {"accepts": ["integer"]}, "c": {"accepts": ["text"]}},
        models={"M": {"x": {}, "y": {}}},
        plugin_classes={"p.Q": "p"},
        validators={"check": "3"},
    )
    assert list(changes(old, new)) == [
        '~ a: {"accepts": ["text"]} -> {"accepts": ["integer"]}',
        "- b",
        "+ c",
        "+ M.y",
        "+ plugin p.Q",
        "~ validator check",
        "- validator gone",
    ]


def test_the_same_release_has_no_changes():
    same = recording(keys={"a": {"accepts": ["text"]}})
    assert list(changes(same, same)) == []
