"""What every test may use: the catalogue, and the service as a client sees it."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from starlette.testclient import TestClient

from app.application import create_app
from app.catalog.library import Catalog, load_catalog
from app.settings import Settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
"""Speed is what the benchmarks measure: a machine that is busy for a moment is no failure."""

collect_ignore = ["reference"]
"""The oracles run in an environment of their own, with PyTorch; their tests too (``.ci/run``)."""


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """A bare ``pytest`` runs on every core. A part asked for by name stays in one process, which starts sooner.

    ``-n 0`` keeps the whole in one process, ``-n 2`` spreads a part.
    """
    if hasattr(config, "workerinput"):
        return  # one of the processes that the whole was spread over
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS
    if whole and config.pluginmanager.hasplugin("xdist") and config.option.numprocesses is None:
        config.option.numprocesses = os.cpu_count()
        config.option.dist = "worksteal"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The product's own catalogue."""
    return load_catalog()


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """The service with its default settings; a fault of ours is an answer, not an exception."""
    with TestClient(create_app(Settings(access_log=False)), raise_server_exceptions=False) as client:
        yield client
