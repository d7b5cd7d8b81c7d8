"""Data files are read the same, compiled or not."""

from pathlib import Path

import pytest
import yaml

from app.catalog.files import COMPILED, DATA, CatalogError, compiled_lines, read_yaml

FILES = sorted(DATA.rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_compiled_file_holds_what_its_yaml_says(path: Path) -> None:
    assert read_yaml(path) == yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def test_what_is_compiled_is_current() -> None:
    """If this fails: python -m app.catalog.files."""
    assert COMPILED.read_text(encoding="utf-8") == compiled_lines()


def test_a_file_that_was_not_compiled_is_read_itself(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    path.write_text("- id: new\n", encoding="utf-8")
    assert read_yaml(path) == [{"id": "new"}]


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [", encoding="utf-8")
    with pytest.raises(CatalogError, match=r"broken\.yaml"):
        read_yaml(path)


def test_what_is_read_is_the_callers_own() -> None:
    """Nobody can change it for another."""
    first, second = read_yaml(FILES[0]), read_yaml(FILES[0])
    assert first == second
    assert first is not second
