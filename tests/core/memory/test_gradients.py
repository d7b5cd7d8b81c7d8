"""Gradients are counted twice, apart: as the trained parameters that PEFT has, and as what each layer's backward makes.

Both have to come to the same, to the byte: a weight that no tape knows of, or one that is taken as trained and is not,
shows here though it is a few KiB of GiB.
"""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architecture import Kind
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.forms import kernels_of
from app.core.memory.step import Step
from tests.core.memory.recordings import recorded

ALMOST = frozenset(
    f"traits-full-{kind}"
    for kind in """bloom falcon falcon_h1 gemma4 gemma4_text gpt2 gpt_neox gpt_oss gptj jamba nemotron_h olmo opt phi
    phimoe stablelm starcoder2""".split()
)
"""Biases, scales and tables of positions that stand outside of what the tapes are made of: within 3 %."""
ENCODERS = ("prefix-projected", "p-tuning")
"""What makes a prompt is no part of a layer."""


@pytest.mark.parametrize("name", ["traits", "methods"])
def test_what_the_tapes_make_is_what_trains(name: str) -> None:
    """The layers' and the head's, and the embedding's where no head that is tied to it has made it."""
    for case in (case for case in recorded(f"{name}.jsonl") if not any(part in case["case"] for part in ENCODERS)):
        made, embedding, counted = _gradients(case)
        missing = min(counted - made, counted - made - embedding, key=abs)
        allowed = 0.03 * counted if case["case"] in ALMOST else 0
        assert abs(missing) <= allowed, (case["case"], missing)


@pytest.mark.parametrize(
    "model_type", ["llama", "qwen3", "olmo2", "cohere2", "gemma3_text", "deepseek_v3", "glm4_moe_lite"]
)
def test_every_norm_that_trains_gives_its_gradient(model_type: str) -> None:
    """Those of heads and between the halves of a latent projection too."""
    model = {"model_type": model_type}
    norms = sorted({module.name for module in describe(model).modules if module.kind is Kind.NORM})
    config = {"adapter": "ln_tuning", "peft_config": {"target_modules": norms}}
    made, _, counted = _gradients({"model": model, "config": config, "rows": (1, 1024)})
    assert made == counted > 0


def _gradients(case: dict[str, Any]) -> tuple[int, int, int]:
    """Bytes that the layers and the head make, of the embedding, and of all that trains."""
    rows, tokens = case["rows"]
    architecture = describe(case["model"])
    run = read_run(case["config"] | {"micro_batch_size": rows, "sequence_len": tokens})
    adapter = resolve_adapter(architecture, run)
    step = Step(architecture, run, adapter, kernels=kernels_of(run, fused_lora=run.fused_lora is not False))
    return sum(layer.gradients for layer in step.layers) + step.head.gradients, step.embedding, step.gradients
