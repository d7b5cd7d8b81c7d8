"""Time: a roofline over a card's arithmetic and bandwidth, with what each method adds. A model, not a measurement.

A step is ``gradient_accumulation_steps`` micro batches and one optimizer step. A micro batch passes through the layers
forward, forward again where gradients are checkpointed, and backward. Each pass takes the longer of its arithmetic and
the reading of its weights, or the time that it takes to launch its kernels where there are few tokens; elementwise
work and the dequantisation of weights move bytes on top.

The shares below are set by hand, once, from published runs (docs/planner.md lists them with what this says of each):
Qwen-7B and 1.8B with LoRA on an A100 by length (https://github.com/QwenLM/Qwen#profiling-of-memory-and-speed), LitGPT's
NF4 against 16 bit (tutorials/resource-tables.md), PEFT's LoRA, DoRA and full fine-tuning on an L40S
(method_comparison/MetaMathQA), and QDoRA of Llama 7B on an RTX 4090 with and without the product that dropout costs
(docs/source/developer_guides/lora.md).
"""

from dataclasses import dataclass
from math import ceil

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Part
from app.core.estimate import Time
from app.core.hardware import Hardware
from app.core.kept import kept
from app.core.memory.optimizer_forms import FULL, Scratch, form_of
from app.core.run import Checkpointing, Method, Quantization, Run

ARITHMETIC_SHARE = 0.5
"""Of the dense tensor rate that a Transformers training run reaches in its matrix products."""
PLAIN_SHARE = 0.95
"""Of the same rate, that one plain product of large matrices reaches: what PEFT's pair of runs of DoRA differs by."""
BANDWIDTH_SHARE = 0.8
DEQUANTIZATION_SHARE = 0.3
"""Of the bandwidth that bitsandbytes' NF4 kernels reach; LLM.int8 and GPTQ are counted alike."""
LAUNCH_SECONDS = 0.0012
"""For the kernels of one layer in one pass, whatever they compute."""
RANGE = (0.6, 1.9)
"""The band around a step's time: the published runs lie in it but for those that docs/planner.md explains."""
PACKED_SHARE = 0.95
"""Of a packed sequence that holds samples."""
HOST_BYTES_S = 12e9
"""PCIe to the host and back, as offloading uses it: half of what generation 4 offers."""
NF4_BYTES = 0.56
DORA_COPIES = 3
"""Copies of an adapted weight that DoRA reads and writes in each pass: W + s B A, its square, its norm's quotient."""
SAME_TIME = 0.02
"""Ratios of time nearer to one than this are called the same: the model knows no better."""
MANY_TIMES = 2
"""From here on people say "twice as long", not "100 % longer"."""
TEN, ROUND = 10, 0.05
"""Times without a decimal: large ones, and those that are whole but for so much."""
ATTENTION_PASSES = 2.5
"""FlashAttention's backward in forwards; arXiv:2307.08691, section 4."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long the same tokens take beside something else, in words that every page shares.

    ``ratio`` is in times of the other; ``kind`` is slower, faster or same, by ``percent``.
    """

    ratio: float

    @classmethod
    def between(cls, this: Time | None, other: Time | None) -> "Pace | None":
        """``this`` beside ``other``; None where one of them is not known."""
        if this is None or other is None:
            return None
        return cls(ratio=other.tokens_per_second / this.tokens_per_second)

    @property
    def kind(self) -> str:
        """Which way it goes, where the model can tell."""
        if abs(self.ratio - 1) < SAME_TIME:
            return "same"
        return "slower" if self.ratio > 1 else "faster"

    @property
    def percent(self) -> int:
        """By how many per cent longer or shorter, 0 for the same."""
        return 0 if self.kind == "same" else round(100 * abs(self.ratio - 1))

    @property
    def wording(self) -> str:
        """How to say it: ``kind`` with ``percent``, or of twice and more ``times_`` and ``kind`` with ``times``."""
        return f"times_{self.kind}" if self.ratio >= MANY_TIMES or self.ratio * MANY_TIMES <= 1 else self.kind

    @property
    def times(self) -> str:
        """The longer one in times of the shorter, in as many digits as people say."""
        ratio = max(self.ratio, 1 / self.ratio)
        return f"{ratio:.0f}" if ratio >= TEN or abs(ratio - round(ratio)) < ROUND else f"{ratio:.1f}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one token costs in one pass, which the architecture alone decides."""

    layers: int
    """Weights of the layers that it is multiplied with."""
    head: int
    stored: int
    elementwise_bytes: int

    @classmethod
    def of(cls, architecture: Architecture) -> "Work":
        """Worked out once."""
        return kept(architecture, "work", lambda: cls._of(architecture))

    @classmethod
    def _of(cls, architecture: Architecture) -> "Work":
        layers, head = linear_parameters(architecture)
        return cls(
            layers=layers,
            head=head,
            stored=stored_parameters(architecture),
            elementwise_bytes=elementwise_bytes(architecture),
        )


MOST_ROWS = 512
"""Of a micro batch, as far as the longest of them is told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The training data as far as time cares; None is unknown.

    How many samples, tokens of an average and of the longest one, and whether each is ``padded`` to the full length.
    """

    rows: int | None = None
    mean_tokens: int | None = None
    max_tokens: int | None = None
    padded: bool = False

    def row_tokens(self, run: Run) -> int:
        """Tokens of a row of the batch: packed or padded the full length, else what the longest of its rows has.

        Of lengths that fall off evenly (exponentially) the longest of n is the mean times 1 + 1/2 + ... + 1/n.
        """
        full = run.sequence_len_tokens
        if run.sample_packing or self.padded or self.mean_tokens is None:
            return full
        longest = self.mean_tokens * sum(1 / place for place in range(1, min(run.micro_batch_size, MOST_ROWS) + 1))
        return max(1, min(full, self.max_tokens or full, int(longest)))


def adapter_disk_bytes(run: Run, adapter: Adapter) -> int:
    """What a checkpoint stores: the adapter in the dtype that it trains in, copies as the model is, or the whole model.

    An adapter trains in fp32 unless it is told not to, or TRL casts it (QLoRA under DPO and KTO). PEFT's file for
    9,175,040 parameters has 36,715,216 bytes: four each and a header of tensor names, not counted here.
    """
    if run.method is Method.FULL:
        return run.itemsize * adapter.base_parameters
    own = adapter.own_parameters
    return adapter_itemsize(run) * (adapter.trainable_parameters - own) + run.itemsize * own


def adapter_itemsize(run: Run) -> int:
    """Bytes of an adapter's parameter while it trains."""
    return FULL if run.adapter_fp32 else run.itemsize


def linear_parameters(architecture: Architecture) -> tuple[int, int]:
    """Weights that a token is multiplied with: in the layers, of the experts those it is routed to, and in the head."""
    experts = {block.experts: block.experts_per_token for block in architecture.blocks if block.experts}
    layers = head = 0
    for module in architecture.modules:
        if module.kind is Kind.HEAD:
            head += module.weight_parameters
        elif module.part is not Part.TEXT:
            continue
        elif module.kind in (Kind.LINEAR, Kind.CONV1D, Kind.ROUTER):
            layers += module.copies * module.weight_parameters
        elif module.kind is Kind.EXPERTS:
            count = module.shape[0]
            layers += module.copies * module.weight_parameters * experts.get(count, count) // count
    return layers, head


def stored_parameters(architecture: Architecture) -> int:
    """Weights of the layers that a micro batch reads, every expert included."""
    kinds = (Kind.LINEAR, Kind.CONV1D, Kind.EXPERTS)
    return sum(m.copies * m.weight_parameters for m in architecture.modules if m.kind in kinds and m.part is Part.TEXT)


def attention_flops(architecture: Architecture, span_tokens: int) -> int:
    """Forward, for one token of a sample of ``span_tokens``: scores and values over half of it, or over the window."""
    total = 0
    for block in architecture.blocks:
        seen = span_tokens // 2 if block.sliding_window is None else min(span_tokens // 2, block.sliding_window)
        width = block.attention_heads * (block.head_dim + block.value_head_dim)
        total += len(block.layers) * 2 * seen * width
    return total


def elementwise_bytes(architecture: Architecture) -> int:
    """Moved by norms, rotations, activations and residuals in one pass, for one token, in bf16."""
    return sum(
        2 * len(block.layers) * (30 * block.hidden_size + 10 * block.feed_forward_width)
        for block in architecture.blocks
    )


def step_parts(
    architecture: Architecture,
    run: Run,
    adapter: Adapter,
    hardware: Hardware,
    *,
    flops_per_second: float,
    row_tokens: int,
    span_tokens: int,
    rl: str | None,
    fused_lora: bool,
) -> dict[str, float]:
    """Seconds of one optimizer step by what they go to."""
    bandwidth = (hardware.memory_bandwidth_bytes_s or 0) * BANDWIDTH_SHARE
    arithmetic = flops_per_second * ARITHMETIC_SHARE
    full = run.method is Method.FULL
    tokens = run.micro_batch_size * row_tokens * (2 if rl else 1)
    reference = 1 if rl in ("dpo", "ipo", "kto") else 0
    checkpointed = 0.0 if run.checkpointing is Checkpointing.OFF else 1 / run.checkpoint_every
    work = Work.of(architecture)
    layers, head, stored = work.layers, work.head, work.stored
    own = adapter.own_parameters
    added = adapter.trainable_parameters - own
    forwards = 1 + reference
    passes = forwards + checkpointed + 1
    share_trained = min(1.0, own / max(1, adapter.base_parameters)) if full else 0.0

    attention = attention_flops(architecture, span_tokens)
    products = (
        2 * (layers + head) * (forwards + 1)
        + 2 * layers * checkpointed
        + 2 * (layers + head) * share_trained
        + 2 * added * (passes + 1)
        + attention * (forwards + checkpointed + ATTENTION_PASSES)
    )
    computing = tokens * products / arithmetic
    reading = passes * 2 * stored / bandwidth
    launching = passes * architecture.num_layers * LAUNCH_SECONDS
    busy = max(computing, reading, launching)
    moving = passes * tokens * work.elementwise_bytes / bandwidth

    unpacking = 0.0
    if run.quantization in (Quantization.NF4, Quantization.INT8, Quantization.GPTQ):
        moved = (NF4_BYTES if run.quantization is Quantization.NF4 else 1) + 2
        unpacking = passes * moved * stored / (bandwidth / BANDWIDTH_SHARE * DEQUANTIZATION_SHARE)
    weighing = 0.0
    if run.lora is not None and run.lora.dora:
        adapted = sum(m.copies * m.module.weight_parameters for m in adapter.modules if m.rank)
        ranks = sum(2 * m.copies * m.module.weight_parameters * m.rank for m in adapter.modules if m.rank)
        weighing = passes * (DORA_COPIES * 2 * 2 * adapted / bandwidth + ranks / arithmetic)
        if run.lora.dropout and not fused_lora:
            # PEFT 0.20, ``DoraLinearVariant.forward``: what the base gave has no dropout in it, so it is computed anew
            # from what has. Axolotl's kernels drop the adapter's input alone.
            weighing += passes * tokens * 2 * adapted / (flops_per_second * PLAIN_SHARE)
    offloading = 0.0
    if run.checkpointing is Checkpointing.OFFLOAD:
        offloading = 2 * tokens * architecture.num_layers * 2 * architecture.hidden_size / HOST_BYTES_S

    micro = run.gradient_accumulation_steps
    itemsize = run.itemsize if full else adapter_itemsize(run)
    form = form_of(run.optimizer)
    state = form.states * form.value_bytes(itemsize)
    stepping = (
        adapter.trainable_parameters
        * (3 * itemsize + 2 * state)
        * (2.5 if form.scratch is Scratch.FOREACH else 1)
        / bandwidth
    )
    return {
        "arithmetic": micro * computing,
        "launching": micro * (busy - computing),
        "moving": micro * moving,
        "unpacking": micro * unpacking,
        "weighing": micro * weighing,
        "offloading": micro * offloading,
        "stepping": stepping,
    }


def steps_of(run: Run, samples: Samples, *, epochs: float, max_steps: int | None, data_parallel: int) -> int | None:
    """Optimizer steps of the whole run: what is packed fills sequences, what is not takes one each."""
    known = None
    if samples.rows is not None and (not run.sample_packing or samples.mean_tokens is not None):
        sequences = float(samples.rows)
        if run.sample_packing and samples.mean_tokens is not None:
            held = min(samples.mean_tokens, run.sequence_len_tokens)
            sequences = samples.rows * held / (run.sequence_len_tokens * PACKED_SHARE)
        batch = run.micro_batch_size * run.gradient_accumulation_steps * data_parallel
        known = max(1, ceil(max(1, ceil(sequences / batch)) * epochs))
    if max_steps is not None:
        return max_steps if known is None else min(known, max_steps)
    return known


def estimate_time(
    architecture: Architecture,
    run: Run,
    adapter: Adapter,
    hardware: Hardware,
    *,
    samples: Samples,
    epochs: float,
    max_steps: int | None = None,
    rl: str | None = None,
    price_per_hour: float | None = None,
    fused_lora: bool = False,
) -> Time | None:
    """The time of a step and, where the data's size is known, of the run; None where the card's rates are not known.

    ``fused_lora`` is whether Axolotl's kernels replace PEFT's forward.
    ``price_per_hour`` is of one GPU. Energy is of cards that draw all they may for as long as the run takes.
    """
    rate = hardware.bf16_flops if run.bf16 and hardware.bf16 else hardware.fp16_flops
    if rate is None or not hardware.memory_bandwidth_bytes_s or (run.method is Method.FULL and not hardware.bf16):
        return None
    span = min(samples.mean_tokens or run.sequence_len_tokens, run.sequence_len_tokens)
    row = samples.row_tokens(run)
    parts = step_parts(
        architecture,
        run,
        adapter,
        hardware,
        flops_per_second=rate,
        row_tokens=row,
        span_tokens=span,
        rl=rl,
        fused_lora=fused_lora,
    )
    step = sum(parts.values())
    tokens = run.micro_batch_size * row * run.gradient_accumulation_steps * hardware.data_parallel
    steps = steps_of(run, samples, epochs=epochs, max_steps=max_steps, data_parallel=hardware.data_parallel)
    total = None if steps is None else steps * step
    gpu_hours = None if total is None else total / 3600 * hardware.data_parallel
    price = None if gpu_hours is None or price_per_hour is None else gpu_hours * price_per_hour
    watts = hardware.power_watts
    energy = None if gpu_hours is None or watts is None else gpu_hours * watts / 1000
    return Time(
        step_seconds=step,
        step_seconds_range=_band(step),
        tokens_per_step=tokens,
        tokens_per_second=tokens / step,
        tokens_per_second_range=(tokens / step / RANGE[1], tokens / step / RANGE[0]),
        parts=tuple((code, seconds) for code, seconds in parts.items()),
        total_steps=steps,
        run_seconds=total,
        run_seconds_range=None if total is None else _band(total),
        energy_kwh=energy,
        energy_kwh_range=None if energy is None else _band(energy),
        price_per_hour=price_per_hour,
        price=price,
        price_range=None if price is None else _band(price),
    )


def _band(value: float) -> tuple[float, float]:
    return value * RANGE[0], value * RANGE[1]
