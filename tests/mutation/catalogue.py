"""What ``tests/conftest.py`` gives to tests, without the service: that takes a second to import, anew for some mutants."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from app.catalog.library import Catalog


@pytest.fixture(scope="session")
def catalog() -> "Catalog":
    """The product's own catalogue, imported when it is asked for: what was before tracing began would reach no test."""
    from app.catalog.library import load_catalog

    return load_catalog()
