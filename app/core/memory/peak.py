"""The peak of a step: the highest of its moments, each from what is live then.

Those moments are polynomials in lengths and rank, laid out once for each combination of an architecture and the
switches of a run (``step``) and kept; an estimate puts its numbers in.
"""

from dataclasses import replace

from app.core.adapter import Adapter
from app.core.architecture import Architecture
from app.core.estimate import Memory, Phase
from app.core.kept import kept
from app.core.memory.breakdown import Breakdown
from app.core.memory.checkpointing import as_checkpointed
from app.core.memory.confirmed import doubt_percent
from app.core.memory.forms import kernels_of
from app.core.memory.lengths import evaluation_lengths, lengths_of
from app.core.memory.losses import as_reached
from app.core.memory.offloading import labels_stay
from app.core.memory.optimizer_forms import form_of
from app.core.memory.outline import Heights, Outline, Peak
from app.core.memory.preference import trained_head, with_reward_head
from app.core.memory.process import Process
from app.core.memory.sighted import counted, lengthened, sees, unpriced_percent
from app.core.memory.step import Step
from app.core.memory.stepping import Stepping, stepping
from app.core.memory.taking_turns import awake, resting
from app.core.memory.tape import ACTIVATIONS, GRADIENTS, SLOTS, TEMPORARIES, WEIGHTS, Lengths
from app.core.memory.tiles import tiles_of
from app.core.memory.trained import by_rank, idle_bytes, variable_rank
from app.core.run import Method, Preference, Run


def outlined(architecture: Architecture, run: Run, adapter: Adapter, lengths: Lengths, *, fused_lora: bool) -> Outline:
    """The outline of a step, kept by all that decides it: switches, and of numbers which side of a bound they are."""
    lora, rank, row, windows = run.lora, lengths.rank, lengths.row, architecture.windows
    key = (
        "outline",
        fused_lora,
        run.switches,
        None if lora is None else lora.switches,
        0 if lora is None or rank else lora.r,  # the rank where it is not a variable
        adapter.layout,
        run.micro_batch_size if run.counts_rows else run.micro_batch_size > 1,
        run.evaluates and run.padded_evaluation,
        run.evaluates and (run.eval_batch_size if run.counts_rows else run.eval_batch_size > 1),
        sees(architecture, run) and (run.micro_batch_size, run.evaluates and run.eval_batch_size),
        run.gradient_accumulation_steps > 1,
        run.optimizer if form_of(run.optimizer).immediate else "",
        labels_stay(run, row),
        tiles_of(run, row),
        sum([(row >= window) + (row > window) for window in windows]) if windows else 0,
    )
    return kept(architecture, key, lambda: _outline(architecture, run, adapter, rank, fused_lora=fused_lora))


def _outline(architecture: Architecture, run: Run, adapter: Adapter, rank: int, *, fused_lora: bool) -> Outline:
    kernels = kernels_of(run, fused_lora=fused_lora)
    run = as_checkpointed(architecture, run)
    return Step(architecture, run, by_rank(adapter, rank) if rank else adapter, kernels=kernels).outline()


def highest(heights: Heights, lengths: Lengths, before: Peak) -> Peak:
    """The highest moment at these lengths, or one ``before`` that is as high."""
    peak = heights.highest(lengths)
    return peak if peak.bytes > before.bytes else before


def _while_stepping(outline: Outline, steps: Stepping, lengths: Lengths) -> Peak:
    """What lives while the optimizer steps, or while an adapter is merged between two steps."""
    slots = [0] * SLOTS
    slots[GRADIENTS], slots[TEMPORARIES], slots[WEIGHTS] = steps.used, steps.scratch, outline.fetched
    if outline.merging > steps.used + steps.scratch:
        slots[GRADIENTS], slots[TEMPORARIES] = 0, outline.merging
    phase = Phase.BACKWARD if steps.within else Phase.OPTIMIZER
    left, most = outline.left, sum(slots) + lengths.value(outline.left)
    slots[ACTIVATIONS] = left
    return Peak(bytes=most, phase=phase, slots=tuple(slots), lengths=lengths, below=left)


def _as_rewarded(architecture: Architecture, run: Run, adapter: Adapter) -> tuple[Architecture, Adapter]:
    """The model as it runs: under a reward, with a head of its own."""
    if run.preference is not Preference.REWARD:
        return architecture, adapter
    rewarded = kept(architecture, "rewarded", lambda: with_reward_head(architecture))
    return rewarded, trained_head(rewarded, adapter)


def estimate_memory(architecture: Architecture, run: Run, adapter: Adapter, *, fused_lora: bool) -> Memory:
    """Memory per GPU of a steady training step, to be itemised at its peak.

    ``fused_lora`` is whether Axolotl's kernels replace PEFT's forward.
    """
    architecture, adapter = _as_rewarded(architecture, run, adapter)
    run = as_reached(architecture, counted(architecture, run))
    run = lengthened(architecture, run)
    rank = variable_rank(run)
    lengths = lengths_of(architecture, run, rank)
    outline = outlined(architecture, run, awake(architecture, run, adapter), lengths, fused_lora=fused_lora)
    steps = stepping(
        outline.trained,
        run.optimizer,
        rank=rank,
        projection_rank=run.optimizer_rank,
        more_states=run.optimizer_states,
    )
    if outline.frozen_states:
        steps = replace(steps, states=steps.states + outline.frozen_states)
    if (others := resting(architecture, run, adapter)) is not None:
        rest = stepping(others, run.optimizer, rank=rank, projection_rank=run.optimizer_rank)
        steps = replace(steps, states=steps.states + rest.states, on_host=steps.on_host + rest.on_host)
    top = highest(outline.training, lengths, _while_stepping(outline, steps, lengths))
    if outline.evaluation is not None:
        top = highest(outline.evaluation, evaluation_lengths(architecture, run, rank), top)
    added = 0
    if run.method is not Method.FULL:
        idle = idle_bytes(architecture, run, adapter, towers=sees(architecture, run))
        added = steps.gradients + adapter.buffer_bytes + idle
    peak = outline.weights + added + steps.states - steps.on_host + top.bytes
    process = Process.of(architecture, run)
    training, loading = process.expected_bytes(peak), outline.loading + run.context.beside_bytes
    return Memory(
        allocated_peak_bytes=peak,
        process_bytes=max(training, loading),
        range_bytes=process.range_bytes(peak, outline.loading, _room(architecture, run)),
        peak_phase=Phase.LOAD if loading > training else top.phase,
        step_phase=top.phase,
        load_bytes=outline.loading,
        itemised=Breakdown(
            architecture=architecture,
            run=run,
            adapter=adapter,
            outline=outline,
            added=added,
            stepping=steps,
            top=top,
        ),
        host_bytes=steps.on_host + lengths.value(outline.offloaded),
    )


def _room(architecture: Architecture, run: Run) -> tuple[int, int]:
    """Per cent below and above: keys that are not priced, and an architecture that no case confirms."""
    less, more = run.room_percent
    doubt = doubt_percent(architecture)
    return max(less, doubt), more + doubt - unpriced_percent(architecture, run)
