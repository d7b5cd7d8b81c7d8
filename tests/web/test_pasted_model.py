"""A pasted config.json survives the address it travels in."""

import json

import pytest

from app.catalog.library import Catalog
from app.core.architectures import describe
from app.core.errors import InvalidInput
from app.web.pasted_model import LONGEST_PACKED, pack, read_json, reduce, unpack


def test_every_catalogue_model_survives(catalog: Catalog) -> None:
    """Noise is dropped, the architecture stays the same, and the address stays short."""
    for row in catalog.models.rows:
        noisy = {**row.config, "torch_dtype": "bfloat16", "id2label": {str(i): f"LABEL_{i}" for i in range(99)}}
        packed = pack(reduce(read_json(json.dumps(noisy))))
        assert len(packed) < 1000, row.id
        assert describe(unpack(packed)) == describe(row.config), row.id


def test_what_the_description_does_not_read_is_dropped(catalog: Catalog) -> None:
    row = catalog.models.get("meta-llama/Llama-3.1-8B")
    reduced = reduce({**row.config, "torch_dtype": "bfloat16", "_name_or_path": "me/mine"})
    assert "torch_dtype" not in reduced
    assert reduced["_name_or_path"] == "me/mine"


def test_unpacking_stops_at_its_limit() -> None:
    bomb = pack({"model_type": "x" * 4_000_000})
    assert len(bomb) < LONGEST_PACKED
    with pytest.raises(InvalidInput):
        unpack(bomb)
