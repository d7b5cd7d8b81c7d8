"""What images take adds up, in every recorded batch that holds some."""

import pytest

from tests.core.memory.recordings import DATA, estimated, recorded

FILES = sorted(path.name for path in DATA.glob("image*.jsonl") if "refused" not in path.name)


@pytest.mark.parametrize("name", FILES)
def test_terms_sum_to_the_peak_and_formulas_to_their_terms(name: str) -> None:
    for case in recorded(name):
        found = estimated(case)
        assert sum(term.bytes for term in found.breakdown) == found.allocated_peak_bytes
        for term in found.breakdown:
            assert sum(part.bytes for part in found.formulas[term.code]) == term.bytes, (case["case"], term.code)
