"""What runs on a card showed, part by part and by hand (``test_accuracy`` has the whole runs)."""

from typing import Any

import pytest

from app.core.adapter import resolve_adapter
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.memory.attending import kernel_of, takes_lengths
from app.core.memory.attention import Heads, Kernel, attend
from app.core.memory.linears import LinearSpec, base, fused_product
from app.core.memory.optimizer_forms import Trained, form_of
from app.core.memory.optimizers import step_temporary_bytes
from app.core.memory.step import Step
from app.core.memory.tape import SQUARE, TOKEN, Leaf, Tape
from app.core.run import Quantization

HEADS = 8
WIDTH = 64


def heads(*, groups: int = 4, value: int = WIDTH, fp16: bool = False) -> Heads:
    """Eight heads of queries."""
    return Heads(
        heads=HEADS,
        key_value_heads=groups,
        head_dim=WIDTH,
        value_dim=value,
        rotary_dim=0,
        rotary_full=False,
        softcap=False,
        sinks=0,
        biased=False,
        fp16=fp16,
        returned=False,
    )


def kept(shape: Heads, kernel: Kernel, itemsize: int, *, compute: int) -> tuple[int, int]:
    """Packed bytes that an attention keeps beside its inputs, and at most a moment of its forward and backward."""
    tape = Tape(compute=compute)
    inputs = []
    for elements in (shape.query, shape.key, shape.value):
        x = tape.fresh(elements, itemsize)
        x.node = Leaf(parameter=False)
        inputs.append(x)
    before = tape.now
    out = attend(tape, shape, kernel, *inputs)
    held = tape.now - before
    tape.backward(out, tape.fresh(out.elements, out.itemsize))
    return held, max(moment.total - before for moment in tape.moments())


def test_grouped_keys_in_fp32_keep_all_scores() -> None:
    """PyTorch's mathematics: the softmax, queries and keys scaled, values repeated, the output and its copy."""
    held, _ = kept(heads(), Kernel.SDPA, 4, compute=4)
    assert held == 4 * (HEADS * SQUARE + 4 * HEADS * WIDTH * TOKEN)


@pytest.mark.parametrize(("groups", "value", "itemsize"), [(8, 64, 4), (8, 32, 2), (4, 32, 2)])
def test_no_mask_and_nothing_quadratic_in_the_memory_efficient_kernel(groups: int, value: int, itemsize: int) -> None:
    """fp32 without groups, and values of another width, whose groups are repeated."""
    held, _ = kept(heads(groups=groups, value=value), Kernel.SDPA, itemsize, compute=itemsize)
    repeated = HEADS * (WIDTH + value) * itemsize if groups < HEADS else 0
    assert held == TOKEN * (repeated + HEADS * value * itemsize + HEADS * 4)


def test_packed_queries_in_fp32_get_a_mask_of_documents() -> None:
    """Norms in fp32 leave them so; the variable-length kernel takes 16 bits."""
    by_mask, _ = kept(heads(), Kernel.SDPA_PACKED, 4, compute=2)
    by_lengths, _ = kept(heads(), Kernel.SDPA_PACKED, 2, compute=2)
    assert by_mask // SQUARE == 2
    assert by_lengths // SQUARE == 0


def test_a_softmax_of_bf16_scores_is_made_of_a_copy_in_fp32() -> None:
    """fp16 goes into the kernel as it is."""
    largest = [kept(heads(fp16=fp16), Kernel.EAGER, 2, compute=2)[1] // SQUARE for fp16 in (True, False)]
    assert largest[1] - largest[0] == 2 * HEADS


@pytest.mark.parametrize(
    ("model", "config", "expected"),
    [
        ({"model_type": "llama"}, {}, True),
        ({"model_type": "llama"}, {"bf16": False, "fp16": False}, False),
        ({"model_type": "llama", "head_dim": 512}, {}, False),
        ({"model_type": "mistral"}, {}, False),
        ({"model_type": "deepseek_v3"}, {}, False),
    ],
)
def test_who_packs_by_lengths_under_sdpa(model: dict[str, Any], config: dict[str, Any], *, expected: bool) -> None:
    """16 bits, heads of one width up to 256, no window; the others need a mask."""
    run = read_run({"sample_packing": True, "attn_implementation": "sdpa"} | config)
    by_lengths = takes_lengths(describe(model), run)
    assert by_lengths is expected
    kernel = kernel_of(run, row_tokens=1024, window=None, apart=True, by_lengths=by_lengths, padded=False)
    assert kernel is (Kernel.SDPA_PACKED if expected else Kernel.SDPA_MASKED)


@pytest.mark.parametrize(("reentrant", "count"), [(True, 0), (False, 2)])
def test_int8_inputs_stay_through_a_checkpoint_that_is_not_reentrant(*, reentrant: bool, count: int) -> None:
    """Two norms' results, the heads' output and the gated product of every layer, which no hook takes away."""
    model = {"model_type": "llama", "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 2}
    architecture = describe(model | {"num_attention_heads": 8, "num_key_value_heads": 4, "vocab_size": 1024})
    config = {"adapter": "lora", "lora_r": 8, "lora_target_linear": True, "load_in_8bit": True}
    kwargs = {"gradient_checkpointing": True, "gradient_checkpointing_kwargs": {"use_reentrant": reentrant}}
    run = read_run(config | kwargs | {"attn_implementation": "flash_attention_2"})
    step = Step(architecture, run, resolve_adapter(architecture, run), kernels=frozenset())
    assert step.stack.stuck == count * 2 * TOKEN * (3 * 512 + 1024)


def test_int8_copies_nothing_in_fp16() -> None:
    """Otherwise the input is cast to it, and the result back."""
    largest = []
    for converted in (False, True):
        tape = Tape()
        spec = LinearSpec(
            name="x", inputs=512, outputs=8, itemsize=2, quantization=Quantization.INT8, converted=converted
        )
        base(tape, spec, tape.fresh(512, 2))
        largest.append(max(moment.total for moment in tape.moments()))
    assert largest[1] - largest[0] == 2 * 512


@pytest.mark.parametrize(("nested", "beside"), [(True, 4 * 1024 * 512 // 64), (False, 2 * 1024)])
def test_single_statistics_are_read_as_they_are(*, nested: bool, beside: int) -> None:
    """Axolotl's kernels unpack them only where they are quantised themselves; else the result comes beside the weight."""
    tape = Tape()
    spec = LinearSpec(
        name="x", inputs=512, outputs=1024, itemsize=2, quantization=Quantization.NF4, nested=nested, full=True, converted=True
    )  # fmt: skip
    fused_product(tape, spec, 1, 2, adapted=False)
    assert max(moment.total for moment in tape.moments()) == 2 * 512 * 1024 + beside


@pytest.mark.parametrize(
    ("optimizer", "bytes_each"),
    [("adamw_torch_8bit", 8), ("adamw_torch_4bit", 16), ("ao_adamw_fp8", 0)],
)
def test_what_torchaos_compiled_step_holds(optimizer: str, bytes_each: int) -> None:
    """Of the largest tensor in codes; 262,668,288 values took 2,012 MiB on an H100 in 8 bits."""
    elements = 262_668_288
    coded = Trained(elements=elements, copies=1, itemsize=2, shape=(128256, 2048))
    odd = Trained(elements=elements * 4 + 1, copies=1, itemsize=2)
    form = form_of(optimizer)
    assert step_temporary_bytes((coded, odd), form) == bytes_each * elements + 8 * (elements // 256)
    assert step_temporary_bytes((odd,), form) == 0


def test_sinkgd_steps_like_it_through_what_it_does_not_balance() -> None:
    table = Trained(elements=4096 * 512, copies=1, itemsize=2, shape=(4096, 512), named=True, untold=False)
    assert step_temporary_bytes((table,), form_of("sinkgd")) == 8 * 4096 * 512 + 8 * (4096 * 512 // 256)
