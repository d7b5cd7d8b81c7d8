"""The simulator's switches against cases that can be computed by hand; see ``small_llama``."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
for package in ("transformers", "peft", "accelerate", "axolotl", "trl"):
    pytest.importorskip(package)

import torch.nn.utils.parametrize as parametrize  # noqa: E402
from torch import nn  # noqa: E402

from tests.reference.memory import bnb, experts, flash, liger, log_probabilities, offloading  # noqa: E402
from tests.reference.memory.cases import GC  # noqa: E402
from tests.reference.memory.chances import chances  # noqa: E402
from tests.reference.memory.optimizers import Optimizer  # noqa: E402
from tests.reference.memory.preference import PreferenceSimulation, simulation  # noqa: E402
from tests.reference.memory.settings import weights_dtype  # noqa: E402
from tests.reference.memory.simulator import Simulation  # noqa: E402
from tests.reference.memory.small_llama import FLASH, LLAMA, SEVEN, run, tracked  # noqa: E402

MIB = 2**20


tracker = pytest.fixture(tracked)


def prefer(rl, rows=(1, 128), model=None, **cfg):
    given = {"reward_model": True} if rl == "reward" else {"rl": rl}
    return simulation(LLAMA | (model or {}), given | FLASH | cfg, rows).run()


@pytest.mark.parametrize("streams", [True, False])
def test_offloaded_tensors_leave_and_come_back(tracker, streams):
    """Ten exponentials save their results: with streams four of the last stay until the backward, without them none."""
    host = offloading.Host()
    x = torch.empty(MIB // 4, requires_grad=True)
    before = tracker.now
    with offloading.Offload(host, streams, set()):
        y = x
        for _ in range(10):
            y = y.exp()
        assert tracker.now - before == (5 if streams else 1) * MIB  # y itself is the last of them
        assert host.now == 10 * MIB
        y.sum().backward()
    assert host.now == 0 and host.peak == 10 * MIB


def test_what_is_saved_twice_stays(tracker):
    """``x * x`` saves x for both factors: the second finds the first and keeps the tensor where it is."""
    host = offloading.Host()
    x = torch.empty(MIB // 4, requires_grad=True)
    with offloading.Offload(host, True, set()):
        y = x.exp()
        z = y * y
        assert host.now == MIB
        z.sum().backward()


def test_only_marked_inputs_leave(tracker):
    host = offloading.Host()
    hooks = offloading.Marked(host)
    x = torch.empty(MIB // 4, requires_grad=True)
    with hooks:
        y = x.exp()
        assert host.now == 0
        hooks.marks.add(id(y))
        (y * 2.0 * y).sum().backward()
    assert host.peak == MIB


def test_ligers_norm_saves_its_input_and_a_statistic(tracker):
    x = torch.empty(256, 512, dtype=torch.bfloat16, requires_grad=True)
    w = torch.empty(512, dtype=torch.bfloat16)
    start = tracker.now
    y = liger.RmsNorm.apply(x, w)
    assert tracker.now - start == 256 * 512 * 2 + 256 * 4
    grad = torch.empty_like(y)
    tracker.reset_peak()
    start = tracker.now
    y.backward(grad)
    assert tracker.peak - start <= 132 * 512 * 4 + 8192 + 256 * 512 * 2


def test_ligers_product_writes_over_what_it_saved(tracker):
    gate, up = (torch.empty(256, 512, requires_grad=True) for _ in range(2))
    start = tracker.now
    out = liger.SiluMul.apply(gate * 1.0, up * 1.0)
    assert tracker.now - start == 3 * 256 * 512 * 4
    grad = torch.empty_like(out)
    tracker.reset_peak()
    start = tracker.now
    out.backward(grad)
    assert tracker.peak - start <= 2 * 256 * 512 * 4


def test_flex_attention_makes_three_gradients_and_a_delta(tracker):
    q = torch.empty(1, 256, 8, 64, dtype=torch.bfloat16, requires_grad=True)
    k, v = (torch.empty(1, 256, 2, 64, dtype=torch.bfloat16, requires_grad=True) for _ in range(2))
    out = flash.FlexAttention.apply(q, k, v)
    grad = torch.empty_like(out)
    start = tracker.now
    tracker.reset_peak()
    out.backward(grad)
    assert tracker.peak - start == 8 * 256 * 4 + 256 * 8 * 64 * 2 + 2 * 256 * 2 * 64 * 2


@pytest.mark.parametrize(
    ("name", "each"),
    [("adamw_torch_8bit", 2 + 8 / 256), ("adamw_torch_4bit", 1 + 8 / 256), ("flash_adamw", 3 + 4 / 32), ("flash_lion", 2 + 2 / 32),
     ("flash_sgd", 1.0), ("dion", 4.0), ("sinkgd", 0.0)],
)  # fmt: skip
def test_states_of_stand_ins(tracker, name, each):
    """Bytes a parameter of one square matrix in bf16; code books and rounding apart."""
    model = nn.Linear(1024, 1024, bias=False, dtype=torch.bfloat16)
    before = tracker.now
    optimizer = Optimizer(name, [[model.weight]], set(), model, {})
    assert tracker.now - before == pytest.approx(each * MIB, abs=4096)
    assert optimizer.host_bytes == 0


def test_flashoptim_refuses_fp32(tracker):
    model = nn.Linear(64, 64, bias=False)
    with pytest.raises(ValueError, match="master_weight_bits"):
        Optimizer("flash_adamw", [[model.weight]], set(), model, {})


def test_grokadamw_waits_on_the_host(tracker):
    model = nn.Linear(1024, 1024, bias=False, dtype=torch.bfloat16)
    assert Optimizer("grokadamw", [[model.weight]], set(), model, {}).host_bytes == 6 * MIB


def test_types_of_weights():
    assert weights_dtype({}) == torch.bfloat16
    assert weights_dtype({"bf16": False, "fp16": True}) == torch.float16
    assert weights_dtype({"bf16": False}) == torch.float32
    assert Simulation.compute_dtype({"bf16": False}) is None


@pytest.mark.parametrize("rows", [1, 2])
def test_log_probabilities_copy_the_logits_of_several_rows(tracker, rows):
    """Axolotl's own, in the place of TRL's: a copy in one piece is saved, one row needs none; two numbers a token beside."""
    log_probabilities.install()
    from trl.trainer import dpo_trainer

    logits = torch.empty((rows, 129, 2048), requires_grad=True)
    index = torch.zeros((rows, 128), dtype=torch.int64)
    before = tracker.now
    out = dpo_trainer.selective_log_softmax(logits[:, :-1], index)
    copied = rows * 128 * 2048 * 4 if rows > 1 else 0
    assert out.shape == index.shape
    assert tracker.now - before == copied + 2 * rows * 128 * 4
    tracker.reset_peak()
    before = tracker.now
    out.sum().backward()
    assert logits.grad.shape == logits.shape
    # a gradient and zeros to put it in, of which the copy, read by then, makes up for one
    assert tracker.peak - before == pytest.approx(rows * (128 + 129) * 2048 * 4 - copied, rel=0.01)
    before = tracker.now
    assert dpo_trainer.entropy_from_logits(logits.detach()[:, :-1]).shape == index.shape
    assert tracker.now == before


def test_a_pair_makes_two_rows_and_a_reference_runs_beside():
    """Policy's and reference's logits in fp32, and a copy of either, but for the last of a row."""
    record = prefer("dpo", adapter="lora", lora_r=8, lora_target_modules=SEVEN)
    logits = 2 * 128 * 4096 * 4
    assert record["phase_peaks"]["forward"] - record["static_bytes"] >= (2 + 2 * 127 / 128) * logits
    ahead = prefer("dpo", adapter="lora", lora_r=8, lora_target_modules=SEVEN, precompute_ref_log_probs=True)
    assert record["phase_peaks"]["forward"] - ahead["phase_peaks"]["forward"] >= 0.9 * logits


def test_a_whole_model_has_a_second_for_reference():
    one, two = prefer("orpo"), prefer("dpo")
    weights = one["parameters"]["total"] * 2
    assert two["static_bytes"] - one["static_bytes"] == pytest.approx(weights, rel=0.01)
    assert prefer("kto", rows=(2, 128))["static_bytes"] - one["static_bytes"] == pytest.approx(2 * weights, rel=0.01)


def test_trl_casts_adapters_on_a_quantised_base():
    given = {"adapter": "qlora", "load_in_4bit": True, "lora_r": 8, "lora_target_modules": SEVEN}
    here, there = prefer("orpo", **given), prefer("dpo", **given)
    trained = here["parameters"]["trained"]
    assert here["static_bytes"] - there["static_bytes"] == pytest.approx(6 * trained, rel=0.1)


@pytest.mark.filterwarnings("ignore:Accessing the data pointer")  # PEFT copies the head that it trains
def test_a_reward_head_is_one_number_wide():
    record = prefer("reward", adapter="lora", lora_r=8, lora_target_modules=["q_proj"], lora_mlp_kernel=False)
    assert record["parameters"]["trained"] == 2 * 8 * (512 + 512) + 512
    assert isinstance(simulation(LLAMA, {"rl": "dpo"}, (1, 8)), PreferenceSimulation)
    assert type(simulation(LLAMA, {}, (1, 8))) is Simulation


@pytest.mark.parametrize("mode", [True, "legacy", "hidden_states"])
def test_offloading_a_run_moves_at_least_its_checkpoints(mode):
    given = FLASH | {"gradient_checkpointing": True, "cut_cross_entropy": True, "activation_offloading": mode}
    if mode == "hidden_states":
        given |= {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
    record = run(rows=(1, 1024), **given)
    assert record["host_bytes"] >= 2 * 1024 * 512 * 2
    plain = run(rows=(1, 1024), gradient_checkpointing=True, cut_cross_entropy=True, **FLASH)
    assert plain["host_bytes"] == 0


@pytest.mark.parametrize("mode", ["legacy", "hidden_states"])
def test_a_layer_made_again_from_the_host_computes_as_before(mode):
    """In fp16 where its forward did: a product of two types ends the run."""
    given = FLASH | {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"], "lora_mlp_kernel": False}
    given |= {"gradient_checkpointing": True, "activation_offloading": mode, "bf16": False, "fp16": True}
    if mode == "hidden_states":
        given |= {"gradient_checkpointing_kwargs": {"use_reentrant": True}}
    simulation = Simulation(LLAMA, given, (1, 1024))
    made: set[torch.dtype] = set()

    def seen(func, args):
        made.update(x.dtype for x in args if isinstance(x, torch.Tensor))
        return chances(func, args)

    simulation.tracker.answer = seen
    simulation.run()
    assert torch.float16 in made
    assert torch.bfloat16 not in made


def test_layers_in_8_bits_stay_on_the_card():
    """What bitsandbytes computes with does not leave: between steps there is the first layer's copy beside it.

    Norms wait on the host, but for that layer's.
    """
    given = {"adapter": "lora", "lora_r": 8, "lora_target_modules": ["q_proj"], "load_in_8bit": True} | GC | FLASH
    moved, whole = (run(rows=(1, 256), layer_offloading=on, **given) for on in (True, False))
    width, kv = LLAMA["hidden_size"], LLAMA["num_key_value_heads"] * LLAMA["head_dim"]
    linears = 2 * width * LLAMA["num_attention_heads"] * LLAMA["head_dim"] + 2 * width * kv
    linears += 3 * width * LLAMA["intermediate_size"]
    norms, layers = 2 * 2 * width, LLAMA["num_hidden_layers"]
    more = moved["phase_peaks"]["optimizer"] - whole["phase_peaks"]["optimizer"]
    assert more == linears - (layers - 1) * norms
    assert moved["host_bytes"] == layers * (linears + norms)


def test_losses_of_liger_reach_what_it_patches():
    """The class that Axolotl loads, which for Qwen3.5 with its towers is another."""
    key = "liger_fused_linear_cross_entropy"
    assert liger.reaches("qwen3_5_text", {key: True}, key)
    assert not liger.reaches("qwen3_5", {key: True}, key)
    assert not liger.reaches("qwen3_5_text", {}, key)
    cfg = {"liger_cross_entropy": True} | FLASH
    mistral = {"model_type": "mistral", "sliding_window": None}
    assert run(mistral, **cfg)["allocated_peak_bytes"] == run(mistral, **FLASH)["allocated_peak_bytes"]


class Experts(nn.Module):
    """Eight experts of 1024 by 512, read twice in a forward."""

    def __init__(self):
        super().__init__()
        self.up_proj = nn.Parameter(torch.empty(8, 512, 1024, dtype=torch.bfloat16))

    def forward(self, x):
        return (x @ self.up_proj.transpose(-2, -1)) @ self.up_proj


class Mixture(nn.Module):
    def __init__(self):
        super().__init__()
        self.experts = Experts()
        self.conv = nn.Conv1d(64, 64, 4, groups=64)


def test_quantised_experts_are_unpacked_once_and_saved(tracker):
    """Half a byte a weight and its statistics at rest; the whole of it in 16 bits from its first reading to the backward."""
    bnb.install()
    model, n = Mixture(), 8 * 512 * 1024
    before = tracker.now
    assert experts.quantize(model, {"load_in_4bit": True}) == 1
    statistics = n // 64 + n // 64 // 256 * 4 + 512 + 512 + 1024
    assert tracker.now - before == n // 2 + statistics - 2 * n
    assert model.conv.weight.dtype == torch.float32
    x = torch.empty(8, 64, 1024, dtype=torch.bfloat16, requires_grad=True)
    inner, outer = 8 * 64 * 512 * 2, 8 * 64 * 1024 * 2
    start = tracker.now
    tracker.reset_peak()
    y = model.experts(x)
    assert tracker.peak - start == max(2 * n + n // 64 * 4, 2 * n + inner + outer)
    assert tracker.now - start == 2 * n + outer
    with torch.no_grad():
        start = tracker.now
        model.experts(x)
        assert tracker.now == start
    del y
    assert parametrize._cache_enabled == 0 and not parametrize._cache


def test_experts_in_8_bits_are_unpacked_in_fp32_twice_over(tracker):
    """A byte a weight and a scale a row at rest; two products in fp32 when it is read."""
    bnb.install()
    model, n = Mixture(), 8 * 512 * 1024
    before = tracker.now
    assert experts.quantize(model, {"load_in_8bit": True}) == 1
    assert tracker.now - before == n + 8 * 512 * 4 - 2 * n
    start = tracker.now
    tracker.reset_peak()
    weight = model.experts.up_proj
    assert weight.dtype == torch.float32
    assert tracker.peak - start == 8 * n
    assert tracker.now - start == 4 * n
