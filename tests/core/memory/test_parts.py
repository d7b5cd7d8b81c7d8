"""Parts of the memory model by hand: what no recorded case can tell apart, or what would be a slip of ours."""

from dataclasses import replace
from itertools import accumulate

import pytest

from app.core.adapter import resolve_adapter
from app.core.architecture import Kind
from app.core.architectures import describe
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Memory, Phase
from app.core.memory import estimate_memory
from app.core.memory.breakdown import Breakdown
from app.core.memory.forms import layer_specs
from app.core.memory.layers import LayerSpec, Residual, run_layer
from app.core.memory.linears import LinearSpec, fused_group
from app.core.memory.loss import liger_chunk_tokens
from app.core.memory.offloading import OffloadingTape
from app.core.memory.operations import join, keeping_output, scale
from app.core.memory.outline import Peak
from app.core.memory.preference import reference_bytes
from app.core.memory.products import product
from app.core.memory.rule_of_thumb import beside_rule, rule_of_thumb_bytes
from app.core.memory.stepping import Stepping
from app.core.memory.tape import (
    ACTIVATIONS,
    GRADIENTS,
    LOGITS,
    LOSS,
    SLOTS,
    TEMPORARIES,
    TOKEN,
    WEIGHTS,
    Leaf,
    Lengths,
    Tape,
)
from app.core.memory.trained import trained_tensors
from app.core.memory.updates import Update, rotated
from app.core.memory.weights import Storing, quantizes, stored
from app.core.methods.settings import PeftType
from app.core.run import Method, Quantization
from tests.core.test_adapter import LLAMA

FALCON_H1 = {"model_type": "falcon_h1"}
QWEN3_NEXT = {"model_type": "qwen3_next"}


def specs(model: dict[str, object], **config: object) -> tuple[LayerSpec, ...]:
    """The layers of a run."""
    architecture, run = describe(model), read_run(config)
    return tuple(layer_specs(architecture, run, resolve_adapter(architecture, run), fused=frozenset(), row_tokens=2048))


def test_what_the_loss_does_not_use_gets_no_gradient() -> None:
    """A branch beside the way to the loss may live on, as in PyTorch; its nodes are passed over."""
    tape = Tape()
    weight = tape.parameter(10 * TOKEN, 2, trained=True)
    unused_weight = tape.parameter(10 * TOKEN, 2, trained=True)
    used, beside = scale(tape, weight), keeping_output(tape, scale(tape, unused_weight))
    loss = scale(tape, used)
    assert isinstance(weight.node, Leaf)
    assert isinstance(unused_weight.node, Leaf)
    nodes = [used.node, beside.node]
    assert None not in nodes
    tape.backward(loss, tape.fresh(10 * TOKEN, 2))
    assert sum(size for slot, size in tape.log if slot == GRADIENTS) == 10 * TOKEN * 2
    assert beside.node is not None
    assert beside.node.saved
    assert all(grad is None for grad in unused_weight.node.grads)


def test_a_tensor_is_counted_where_it_is_said_to_be() -> None:
    """A weight made whole in the forward is no activation, though it lives beside them."""
    tape = Tape()
    kept, made = tape.fresh(4, 2), tape.fresh(3, 2, TEMPORARIES)
    assert tape.log == [(ACTIVATIONS, kept.bytes), (TEMPORARIES, made.bytes)]


def test_what_is_saved_waits_on_the_host_to_the_byte() -> None:
    """Nothing before the first node; then what it saves, which is on the card again for its backward."""
    tape = OffloadingTape(streams=False)
    assert tape.let_go() == (0, 0)
    weight, x, out = tape.parameter(TOKEN, 2, trained=True), tape.fresh(7 * TOKEN, 2), tape.fresh(TOKEN, 2)
    tape.join((out,), (weight,), (x,), lambda _: (None,))
    assert tape.let_go() == (0, x.bytes)


@pytest.mark.parametrize(("drops", "gradients"), [(False, 1), (True, 2)])
def test_a_kernel_behind_dropout_gives_its_input_two_gradients(drops: bool, gradients: int) -> None:
    """``LoRA_QKV``: the base's and, apart, that of what dropout left; beside them the result's, rank 8's and both factors'."""
    tape, width, rank = Tape(), 64, 8
    x = tape.fresh(width * TOKEN, 2)
    x.node = Leaf(parameter=False)
    spec = LinearSpec(
        name="q",
        inputs=width,
        outputs=width,
        itemsize=2,
        quantization=Quantization.NONE,
        rank=rank,
        dropout=drops,
        converted=False,
    )
    (out,) = fused_group(tape, (spec,), x)
    tape.backward(out, tape.fresh(width * TOKEN, 2, TEMPORARIES))
    highest = max(accumulate(size for slot, size in tape.log if slot == TEMPORARIES))
    assert highest == (1 + gradients) * 2 * width * TOKEN + 2 * rank * TOKEN + 2 * 4 * width * rank


def test_gradients_of_two_products_meet_in_a_third_tensor() -> None:
    """Each is a view, whose base holds it too: the engine adds into neither. The third goes into the sum."""
    tape, width = Tape(), 64
    x = tape.fresh(width * TOKEN, 2)
    x.node = Leaf(parameter=False)
    frozen = [tape.parameter(width, 2, trained=False) for _ in range(3)]
    tape.backward(join(tape, [product(tape, x, weight, 1) for weight in frozen]), tape.fresh(3 * TOKEN, 2, TEMPORARIES))
    made = [size for slot, size in tape.log if slot == TEMPORARIES]
    assert made.count(2 * width * TOKEN) == 3 + 1
    assert max(accumulate(made)) == 3 * 2 * width * TOKEN + 3 * 2 * TOKEN


@pytest.mark.parametrize(("blocks", "copies"), [(1, 2), (2, 3), (4, 3)])
def test_turned_blocks_are_put_side_by_side(blocks: int, copies: int) -> None:
    """OFT in autocast's type: the input, what its blocks become, and that once more where they are several."""
    tape, size = Tape(), 64 // blocks
    shape = (blocks, size * (size - 1) // 2)
    update = Update(type=PeftType.OFT, name="q", inputs=64, outputs=64, tensors=(shape,), itemsize=4, blocks=blocks)
    rotated(tape, update, tape.fresh(64 * TOKEN, 4))
    assert tape.log.count((ACTIVATIONS, 64 * TOKEN * 2)) == copies


@pytest.mark.parametrize(
    ("model", "left_out", "said"),
    [
        (LLAMA, {"heads": None}, "a layer without softmax attention"),
        (LLAMA, {"out": None}, "a layer without softmax attention"),
        (LLAMA, {"feed_forward": None}, "a layer without a feed-forward"),
    ],
)
def test_a_layer_that_lacks_a_part_is_a_slip_of_ours(
    model: dict[str, object], left_out: dict[str, None], said: str
) -> None:
    spec = replace(specs(model)[0], residual=Residual.PARALLEL, **left_out)  # type: ignore[arg-type] # whatever the field, None is what is tried
    tape = Tape(recording=False)
    with pytest.raises(ValueError, match=said):
        run_layer(tape, spec, tape.fresh(spec.hidden * TOKEN, 2))


def test_a_delta_net_without_its_norm_is_a_slip_of_ours() -> None:
    spec = next(spec for spec in specs(QWEN3_NEXT) if spec.mixer is not None)
    assert spec.mixer is not None
    bare = replace(spec, mixer=replace(spec.mixer, norm=None))
    tape = Tape(recording=False)
    with pytest.raises(ValueError, match="a gated delta net without its norm"):
        run_layer(tape, bare, tape.fresh(spec.hidden * TOKEN, 2))


def test_a_scan_keeps_its_output_projection_unquantised() -> None:
    """Axolotl's list for Falcon-H1 names it; everything else of a layer is quantised, and the head too."""
    architecture = describe(FALCON_H1)
    config = {"adapter": "qlora", "load_in_4bit": True, "lora_r": 8, "lora_target_modules": ["q_proj"]}
    storing = Storing.of(read_run(config))
    linears = [m for m in architecture.modules if m.kind in (Kind.LINEAR, Kind.HEAD)]
    assert {m.name for m in linears if not quantizes(architecture, m, storing)} == {"out_proj"}
    plain = Storing.of(read_run({}))
    assert not any(quantizes(architecture, m, plain) for m in architecture.modules)


def test_a_tied_heads_own_bias_trains_beside_the_shared_weight() -> None:
    """Elements of the tensors that an optimizer sees are what trains: the shared weight once, the bias of the head too."""
    model = {"model_type": "gptj", "vocab_size": 320, "n_embd": 64, "n_layer": 2, "n_head": 4, "rotary_dim": 8}
    for tied in (False, True):
        architecture, run = describe(model | {"tie_word_embeddings": tied}), read_run({})
        adapter = resolve_adapter(architecture, run)
        trained = trained_tensors(architecture, run, adapter)
        assert sum(tensor.elements * tensor.copies for tensor in trained) == adapter.trainable_parameters
        assert any(tensor.elements == 320 for tensor in trained)


@pytest.mark.parametrize(
    ("tokens", "vocab_size", "hidden_size", "chunk"),
    [
        (4096, 128256, 4096, 128),
        (2048, 128256, 2048, 64),
        (1000, 32000, 4096, 128),
        (1000, 4097, 4096, 512),
        (1000, 4096, 4096, 1000),
        (3, 128256, 64, 1),
    ],
)
def test_liger_takes_a_power_of_two_of_tokens_at_once(
    tokens: int, vocab_size: int, hidden_size: int, chunk: int
) -> None:
    """``fused_linear_cross_entropy_forward``: tokens over ceil(V / H), rounded up to a power of two."""
    assert liger_chunk_tokens(tokens, vocab_size, hidden_size) == chunk


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("falcon", {"word_embeddings": 2, "lm_head": 2}),
        ("gpt_neox", {"embed_in": 2, "lm_head": 4}),
        ("llama", {"embed_tokens": 2, "lm_head": 2}),
    ],
)
def test_axolotl_casts_back_embeddings_that_it_knows_by_name(model: str, expected: dict[str, int]) -> None:
    """``get_linear_embedding_layers``: bf16 after k-bit preparation, which left fp32. GPT-NeoX's head has a new name."""
    architecture = describe({"model_type": model, "tie_word_embeddings": False})
    config = {"adapter": "qlora", "load_in_4bit": True, "lora_r": 8, "lora_target_linear": True}
    storing = Storing.of(read_run(config))
    ends = [m for m in architecture.modules if m.kind in (Kind.EMBEDDING, Kind.HEAD)]
    assert {m.name: stored(architecture, m, storing) for m in ends} == expected


@pytest.mark.parametrize(
    ("config", "each"),
    [
        ({}, 0),
        ({"rl": "dpo"}, 2),
        ({"rl": "kto"}, 4),
        ({"rl": "orpo"}, 0),
        ({"rl": "dpo", "precompute_ref_log_probs": True}, 0),
        ({"rl": "dpo", "adapter": "lora", "lora_r": 8, "lora_target_linear": True}, 0),
    ],
)
def test_a_reference_is_a_second_model_in_full_fine_tuning_alone(config: dict[str, object], each: int) -> None:
    """Bytes a parameter: in the policy's bf16, KTO's own in fp32; an adapter is its own reference when switched off."""
    architecture, run = describe(LLAMA), read_run({"attn_implementation": "flash_attention_2"} | config)
    assert reference_bytes(architecture, run) == each * architecture.total_parameters


def test_rule_of_thumb_is_the_guides() -> None:
    """28, 14 and 6 GB for seven billion parameters; 14 for whatever trains beside a frozen base in 16 bits."""
    methods = (Method.FULL, Method.LORA, Method.QLORA, Method.PEFT)
    assert [rule_of_thumb_bytes(method, 7 * 10**9) for method in methods] == [
        28 * 10**9,
        14 * 10**9,
        6 * 10**9,
        14 * 10**9,
    ]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        (
            Method.FULL,
            {"counted": 100 + 7 - 90, "adapter": 5, "optimizer": 11, "activations": 33, "loss": 9, "process": 30},
        ),
        (
            Method.LORA,
            {"counted": 100 - 90, "adapter": 5 + 7, "optimizer": 11, "activations": 33, "loss": 9, "process": 30},
        ),
    ],
)
def test_what_the_rule_leaves_out_by_hand(method: Method, expected: dict[str, int]) -> None:
    """In full fine-tuning it counts gradients; every term is in one part, and an empty part is not shown."""
    slots = {GRADIENTS: 7, ACTIVATIONS: 13, TEMPORARIES: 20, LOGITS: 4, LOSS: 5, WEIGHTS: 10}
    top = Peak(
        bytes=59,
        phase=Phase.BACKWARD,
        slots=tuple(slots[slot] for slot in range(SLOTS)),
        lengths=Lengths(tokens=1, row=1),
    )
    architecture, run = describe(LLAMA), read_run({"optimizer": "paged_adamw_8bit", "sequence_len": 1})
    found = estimate_memory(architecture, run, resolve_adapter(architecture, run), fused_lora=False).itemised
    assert isinstance(found, Breakdown)
    itemised = replace(
        found,
        outline=replace(found.outline, weights=90),
        added=5,
        stepping=Stepping(parameters=3, gradients=7, states=14, on_host=3, used=7, scratch=0),
        top=top,
    )
    peak = sum(term.bytes for term in itemised.terms())
    assert peak == 90 + 5 + 14 - 3 + top.bytes
    assert {itemised, replace(itemised)} == {itemised}  # told apart by what they say
    assert itemised != replace(itemised, added=6)
    assert hash(itemised) != hash(replace(itemised, added=6))
    memory = Memory(
        allocated_peak_bytes=peak,
        process_bytes=peak + 30,
        range_bytes=(peak, peak + 60),
        peak_phase=Phase.BACKWARD,
        step_phase=Phase.BACKWARD,
        load_bytes=0,
        itemised=itemised,
    )
    rule = beside_rule(method, 90, memory)
    assert (rule.bytes, rule.difference_bytes, rule.counts_gradients) == (90, peak + 30 - 90, method is Method.FULL)
    assert dict(rule.parts) == expected
    assert sum(expected.values()) == rule.difference_bytes
