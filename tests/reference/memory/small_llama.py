"""A Llama whose bytes can be computed by hand, and a tracker to compute them beside."""

from __future__ import annotations

from torch._subclasses.fake_tensor import FakeTensorMode

from . import autocast
from .loading import patched
from .simulator import Simulation
from .tracker import MemoryTracker

LLAMA = {
    "model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2, "num_attention_heads": 8,
    "num_key_value_heads": 4, "head_dim": 64, "vocab_size": 4096, "max_position_embeddings": 4096, "tie_word_embeddings": False,
}  # fmt: skip
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
FLASH = {"attn_implementation": "flash_attention_2"}
LINEARS = 512 * 512 * 2 + 512 * 256 * 2 + 3 * 512 * 1024  # of one layer
KIB = 1024


def run(model=None, rows=(1, 256), **cfg):
    return Simulation(LLAMA | (model or {}), cfg, rows).run()


def tracked():
    """What lives, among fake tensors: the body of a fixture."""
    autocast.install()
    tracker = MemoryTracker()
    with patched(), FakeTensorMode(), tracker:
        yield tracker
