"""What loading leaves behind."""

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

from app.loading import SELDOM, quickly


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


def test_the_collector_rests_while_loading_and_works_seldom_afterwards() -> None:
    assert gc.isenabled()
    with quickly():
        assert not gc.isenabled()
        kept = [[] for _ in range(100)]
    assert gc.isenabled()
    assert gc.get_freeze_count() > len(kept)
    assert gc.get_threshold()[0] == SELDOM


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    with quickly():
        pass
    assert not gc.isenabled()


def test_models_defined_while_loading_wait_and_then_work_like_any_other() -> None:
    with quickly():

        class Waiting(BaseModel):
            number: int

    class Usual(BaseModel):
        number: int

    assert Waiting.model_config.get("defer_build") is True
    assert not Usual.model_config.get("defer_build")
    assert Waiting.model_validate({"number": "5"}).number == 5
    assert Waiting.model_json_schema()["properties"] == Usual.model_json_schema()["properties"]


def test_the_service_starts_without_what_only_other_pages_need() -> None:
    """The wizard and the REST resources are there; a page beside them comes with its first request."""
    program = "import app.main, sys; print(*sorted(name for name in sys.modules if name.startswith('app.web')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "app.web.pages" in loaded
    assert not [name for name in loaded if name.endswith(".builder") or name.startswith("app.web.reference.m")]
