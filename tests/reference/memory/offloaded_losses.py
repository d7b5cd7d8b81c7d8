"""Losses whose saved tensors wait on the host: ``activation_offloading`` in each of its modes with the chunked loss,
and with every other in those whose hooks are open through the whole step.

``python -m tests.reference.memory.record --cases offloaded_losses`` records them to
``tests/data/memory/offloaded_losses.jsonl``. Little beside the head is left in these models, so that it decides.
"""

from __future__ import annotations

from collections.abc import Iterator

from .cases import MODELS, lora
from .keys import CCE, CHUNKED, FLASH, GC, LIGER

MODEL = "llama-3.2-1b"
NOT_REENTRANT = {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
REENTRANT = {"gradient_checkpointing_kwargs": {"use_reentrant": True}}
MODES = {
    "streams": {"activation_offloading": True},
    "streams-not-reentrant": {"activation_offloading": True} | NOT_REENTRANT,
    "legacy": {"activation_offloading": "legacy"},
    "hidden": {"activation_offloading": "hidden_states"} | NOT_REENTRANT,
    "hidden-reentrant": {"activation_offloading": "hidden_states"} | REENTRANT,
}
LENGTHS = ((1, 2047), (2, 517), (3, 701), (4, 1030), (1, 899), (1, 4099))
"""Rows, and tokens in each: no multiple of eight chunks; some chunks' labels are smaller than what is moved."""


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """Modes by tuning, with lengths, ties and vocabularies in turn."""
    index = 0
    for mode, keys in MODES.items():
        for tuning in ("full", "lora"):
            for vocabulary in (151937, 32001, 65537):
                rows = LENGTHS[index % len(LENGTHS)]
                index += 1 if index % 4 else 2
                tied = index % 2 == 0
                model = MODELS[MODEL] | {
                    "num_hidden_layers": 2,
                    "hidden_size": 1024,
                    "num_attention_heads": 16,
                    "vocab_size": vocabulary,
                    "tie_word_embeddings": tied,
                }
                given = FLASH | CHUNKED | GC | keys | (lora(MODEL) if tuning == "lora" else {})
                given = {key: value for key, value in given.items() if value is not None}
                name = f"{mode}-{tuning}-{vocabulary}-{rows[0]}x{rows[1]}{'-tied' if tied else ''}"
                yield name, model, given | {"optimizer": "sgd"}, rows
    yield from others()


LOSSES = {"plain": {}, "cut": CCE, "liger-fused": LIGER, "liger": {"liger_cross_entropy": True}}


def others() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """The other losses, and caps on the logits."""
    llama = MODELS[MODEL] | {
        "num_hidden_layers": 2,
        "hidden_size": 1024,
        "num_attention_heads": 16,
        "vocab_size": 65537,
    }
    for place, (loss, keys) in enumerate(LOSSES.items()):
        for mode in ("streams", "legacy"):
            for tuning in ("full", "lora"):
                model = llama | {"tie_word_embeddings": bool(place % 2)}
                given = FLASH | GC | keys | MODES[mode] | (lora(MODEL) if tuning == "lora" else {})
                yield f"{loss}-{mode}-{tuning}", model, given | {"optimizer": "sgd"}, LENGTHS[place]
    capped = MODELS["gemma-2-9b"] | {"num_hidden_layers": 1, "hidden_size": 1024, "vocab_size": 65537}
    for mode in ("streams", "legacy"):
        yield f"capped-{mode}", capped, FLASH | GC | MODES[mode] | {"optimizer": "sgd"}, (1, 1500)
