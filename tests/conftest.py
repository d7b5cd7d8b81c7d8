"""What every test may use: the catalogue, and the service as a client sees it."""

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


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The product's own catalogue."""
    return load_catalog()


@pytest.fixture(scope="session")
def client() -> Iterator[TestClient]:
    """The service with its default settings; a fault of ours is an answer, not an exception."""
    with TestClient(create_app(Settings(access_log=False)), raise_server_exceptions=False) as client:
        yield client
