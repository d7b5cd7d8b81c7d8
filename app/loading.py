"""What makes loading quick: Python's collector rests, and pydantic's models wait until they are used."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel, ConfigDict

SELDOM = 10_000
"""New objects until the collector looks: a request frees its own as it ends, without being looked at twice."""


@contextmanager
def quickly() -> Iterator[None]:
    """Load within this what a process keeps for good."""
    with _collector_resting(), _models_waiting():
        yield


@contextmanager
def _collector_resting() -> Iterator[None]:
    """Collect no garbage meanwhile; afterwards seldom, and never what is there by then.

    Modules, classes and data that are loaded stay. The collector would go through all of them again and again while
    they pile up, which takes a tenth of the start, and later for a tenth of a second in the middle of a request.
    Source: https://docs.python.org/3.11/library/gc.html#gc.freeze
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(SELDOM)
        if collects:
            gc.enable()


@contextmanager
def _models_waiting() -> Iterator[None]:
    """Let models that are defined meanwhile be compiled when they are first used.

    The framework defines some forty for the OpenAPI document, which takes another tenth of the start and is asked for
    by few. A model inherits its configuration from ``BaseModel`` like from any other.
    Source: https://docs.pydantic.dev/2.12/api/config/#pydantic.config.ConfigDict.defer_build
    """
    usual = BaseModel.model_config
    BaseModel.model_config = ConfigDict(defer_build=True)
    try:
        yield
    finally:
        BaseModel.model_config = usual
