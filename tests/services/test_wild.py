"""Files as people write them: our verdict is Axolotl's, what matters is said, and safe fixes leave a file that it takes.

Axolotl's answers are recorded by ``tests/conformance/wild.py``, of each file as given and with every safe fix.
"""

import json

import pytest

from app.catalog.library import Catalog
from tests.conformance.wild import FILES, RECORDING, checked

ANSWERS = json.loads(RECORDING.read_text(encoding="utf-8"))


def test_every_file_has_axolotls_answer() -> None:
    assert ANSWERS.keys() == {f"{kind}: {name}" for kind in ("given", "mended") for name in FILES}
    assert len(FILES) >= 40


@pytest.mark.parametrize("name", FILES)
def test_a_file_from_the_wild_is_judged_and_explained(name: str, catalog: Catalog) -> None:
    """Valid or not as Axolotl says; the findings that its author needs."""
    found = checked(catalog, name)
    assert found.valid is ANSWERS[f"given: {name}"]["valid"]
    codes = [finding.code for finding in found.findings]
    assert set(FILES[name].says) <= set(codes)
    assert not set(FILES[name].silent) & set(codes)
    after = checked(catalog, name, found.mended.text) if found.mended.config else found
    assert after.valid is ANSWERS[f"mended: {name}"]["valid"]
