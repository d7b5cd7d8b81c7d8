"""What ``tests/conftest.py`` gives to tests, without the service: that takes a second to import, anew for some mutants."""

import pytest

from app.catalog.library import Catalog, load_catalog


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The product's own catalogue."""
    return load_catalog()
