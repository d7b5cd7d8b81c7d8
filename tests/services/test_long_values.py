"""What somebody types is repeated so far that a message stays one, whatever key it is typed into."""

import re
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.rules import check
from app.core.errors import InvalidInput
from app.services.estimating import estimate_resolved
from app.services.inputs import resolve_model
from app.texts import texts

LONG = "x" * 3000
LONGEST = 200
"""Letters of a value that a message may repeat."""
VALUES: tuple[Any, ...] = (LONG, f"({LONG}", [LONG], [f"({LONG}"], f"m.{LONG}", {LONG: [1]}, {"a": {LONG: LONG}},
                           [{LONG: LONG, "path": LONG, "type": LONG}], int("9" * 60))  # fmt: skip
LORA: dict[str, Any] = {
    "base_model": "meta-llama/Llama-3.1-8B",
    "datasets": [{"path": "a/b", "type": "alpaca"}],
    "adapter": "qlora",
    "load_in_4bit": True,
    "lora_r": 16,
    "lora_target_modules": ["q_proj"],
    "sequence_len": 2048,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real one."""
    return load_catalog()


def repeated(text: str) -> int:
    """Letters of the longest run of what was typed."""
    return max((len(run) for run in re.findall(r"x+|9+", text.replace(",", ""))), default=0)


def test_no_message_repeats_all_that_was_typed(catalog: Catalog) -> None:
    """Neither a finding nor an error of the estimate, for every key that there is."""
    words, resolved = texts("en"), resolve_model(catalog=catalog, base_model=LORA["base_model"], model=None)
    too_long: dict[str, int] = {}
    for key in sorted(catalog.axolotl.known):
        for value in VALUES:
            config = {**LORA, key: value}
            said = [f.message for f in check(config, resolved.architecture, None, catalog.axolotl, trying=False)]
            try:
                estimate_resolved(catalog=catalog, resolved=resolved, config=config, hardware=None, checked=False)
            except InvalidInput as error:
                said += [each.message for each in error.errors]
            too_long |= {each.code: size for each in said if (size := repeated(words.render(each))) > LONGEST}
    assert too_long == {}
