"""Preference and reward training: TRL 1.9's losses as Axolotl 0.19 runs them, and the reference beside the policy.

A pair is two rows of a batch: DPO, IPO, ORPO and SimPO run chosen and rejected answers through the model at once, KTO
single answers and, without a graph, the same number of mismatched ones. Every one of them makes all logits and keeps
them in fp32, whatever fused loss is set: it has no part in these trainers.

Sources: TRL 1.9.0 ``trainer/dpo_trainer.py`` (``_compute_loss``), ``trainer/kto_trainer.py``,
``experimental/{orpo,cpo}/*_trainer.py`` (``get_batch_loss_metrics``), ``trainer/reward_trainer.py``; Axolotl 0.19.0
``core/builders/rl.py``, and ``monkeypatch/trainer/utils.py``, whose ``selective_log_softmax`` and
``entropy_from_logits`` stand where TRL's were under ``rl``. The last logit of each row predicts nothing: ``CHUNK``
counts the tokens of all rows but these.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

from app.core.adapted import AdaptedModule, Adapter
from app.core.architecture import Architecture, Kind, Module
from app.core.memory.linears import linear
from app.core.memory.loss import HeadSpec, projected
from app.core.memory.operations import cast, copy, custom, keeping_output, scale, slices
from app.core.memory.profile import CACHED, HeadProfile, Stage, moments_from
from app.core.memory.tape import ACTIVATIONS, CHUNK, FULL, GRADIENTS, LOGITS, LOSS, TOKEN, Leaf, Tape, Tensor
from app.core.memory.weights import Storing, base_bytes
from app.core.memory.within import Within
from app.core.run import Method, Preference, Run

REFERRING = frozenset((Preference.DPO, Preference.IPO, Preference.KTO))
"""Those that compare with a reference."""
WITH_LIKELIHOOD = frozenset((Preference.ORPO, Preference.SIMPO))
"""Those that add the chosen answer's cross entropy."""


HALF = Fraction(1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferenceProfile(HeadProfile):
    """``held``: what the policy's head keeps while the reference runs."""

    held: int


def trained_head(architecture: Architecture, adapter: Adapter) -> Adapter:
    """What trains where the vocabulary's head is gone: the reward's, of which PEFT trains a copy beside an adapter."""
    (head,) = (m for m in architecture.modules if m.kind is Kind.HEAD)
    kept = tuple(m for m in adapter.modules if m.module.kind is not Kind.HEAD)
    return replace(adapter, modules=(*kept, AdaptedModule(module=head, own_parameters=head.weight_parameters)))


def refers(run: Run) -> bool:
    """Whether a reference runs in each step: precomputed log-probabilities need none."""
    return run.preference in REFERRING and not run.reference_precomputed


def larger_side(run: Run) -> Fraction:
    """The share of the rows on the larger side: of an odd number of KTO's one more is undesired than desired."""
    rows = run.micro_batch_size
    return HALF if run.preference is not Preference.KTO else Fraction(rows - rows // 2, rows)


def reference_bytes(architecture: Architecture, run: Run) -> int:
    """The reference model, where it is one of its own: an adapter is its own reference when it is switched off.

    Axolotl loads it as it loads the policy; KTO's trainer takes none from it and loads its own in fp32
    (``create_model_from_path``).
    """
    if not refers(run) or run.method is not Method.FULL:
        return 0
    if run.preference is Preference.KTO:
        return 4 * architecture.total_parameters
    return base_bytes(architecture, Storing.of(run))


def reference_cache(architecture: Architecture, run: Run) -> int:
    """Packed bytes of keys and values that KTO's reference returns: its configuration keeps a cache, in fp32."""
    if run.preference is not Preference.KTO or run.method is not Method.FULL or not refers(run):
        return 0
    return sum(
        FULL * TOKEN * len(block.layers) * block.key_value_heads * (block.head_dim + block.value_head_dim)
        for block in architecture.blocks
        if block.attention_heads
    )


def reference_copies(architecture: Architecture, run: Run) -> int:
    """Autocast's copies of the reference's linears, which live until its forward ends: of KTO's, which is in fp32.

    Whether gradients are recorded does not matter to autocast, only whether the weights ask for them, as they do.
    """
    if run.preference is not Preference.KTO or run.method is not Method.FULL or not run.half:
        return 0
    kinds = (Kind.LINEAR, Kind.HEAD)
    return sum(m.copies * m.weight_parameters * run.itemsize for m in architecture.modules if m.kind in kinds)


def reference_head(architecture: Architecture, run: Run) -> int:
    """Packed bytes of what KTO's reference holds when its logits are made, in autocast's type.

    Its linears' copies, keys and values of all layers, the last norm's output in fp32 and the head's copy of it.
    """
    copies = reference_copies(architecture, run)
    if not copies:
        return 0
    normed = architecture.hidden_size * TOKEN * (FULL + run.itemsize)
    return copies + reference_cache(architecture, run) + normed + architecture.vocab_size * TOKEN * run.itemsize


@lru_cache(maxsize=256)
def with_reward_head(architecture: Architecture) -> Architecture:
    """The same model under ``AutoModelForSequenceClassification``: one number a token in place of the vocabulary."""
    head = Module(path="score", kind=Kind.HEAD, shape=(architecture.hidden_size, 1))
    modules = tuple(m for m in architecture.modules if m.kind is not Kind.HEAD)
    return replace(architecture, modules=(*modules, head), tie_word_embeddings=False, logit_softcap=False)


@lru_cache(maxsize=CACHED)
def profile_preference(
    spec: HeadSpec,
    kind: Preference,
    *,
    stream: int,
    compute: int,
    gradients_present: bool,
    likelihood: bool,
    refer: bool,
    cached: int = 0,
    side: Fraction = HALF,
    within: Within | None = None,
) -> PreferenceProfile:
    """Record final norm, head, log-probabilities, metrics and their backward.

    ``cached`` are packed bytes that the reference returns beside its logits, ``side`` the larger side's share of the
    rows.
    """
    width = spec.hidden * TOKEN
    quiet = Tape(compute=compute, recording=False)
    x = quiet.fresh(width, stream)
    logits = _logits(quiet, spec, x)
    del x
    if kind is not Preference.REWARD:
        quiet_logs = _log_probabilities(quiet, spec, kind, logits)
        _metrics(quiet, spec, kind, logits, refer=refer, cached=cached, side=side)
        del quiet_logs
    quiet_stage, quiet_casting = Stage(moments=quiet.moments()), Stage(moments=quiet.moments(quiet.left))
    del logits

    t = Tape(compute=compute, gradients_present=gradients_present)
    t.steps(within)
    source = Leaf(parameter=False)
    x = t.fresh(width, stream)
    x.node = source
    logits = _logits(t, spec, x)
    del x
    if kind is Preference.REWARD:
        loss, held = logits, 0
    else:
        chosen = _likelihood(t, spec, logits) if likelihood else None
        logs = _log_probabilities(t, spec, kind, logits)
        held = t.now
        _metrics(t, spec, kind, logits, refer=refer, cached=cached, side=side)
        loss = _joined(t, logs, chosen)
        del logs, chosen
    del logits
    forward, casting = Stage(moments=t.moments()), Stage(moments=t.moments(t.left))
    mark = len(t.log)
    t.backward(loss, t.fresh(loss.elements, FULL, LOSS))
    del loss
    backward = Stage(moments=moments_from(t, mark))
    gradients = sum(size for slot, size in t.log if slot == GRADIENTS)
    t.forget(source)
    return PreferenceProfile(
        quiet=quiet_stage,
        quiet_casting=quiet_casting,
        forward=forward,
        casting=casting,
        backward=backward,
        gradients=gradients,
        held=held,
    )


def _logits(t: Tape, spec: HeadSpec, x: Tensor) -> Tensor:
    """The model's output in fp32, as Accelerate hands it on."""
    hidden = projected(t, spec, x)
    del x
    t.slot = LOGITS
    logits = linear(t, spec.linear, hidden)
    del hidden
    if spec.scaled:
        logits = scale(t, logits)
    if spec.softcap:
        logits = scale(t, keeping_output(t, scale(t, logits)))
    t.end_autocast()
    t.slot = LOSS
    return cast(t, logits, FULL)


def _log_probabilities(t: Tape, spec: HeadSpec, kind: Preference, logits: Tensor) -> Tensor:
    """Axolotl's ``selective_log_softmax``: what it reads is saved, and the backward makes as much again.

    The logits but the last of a row are in one piece; those of several rows are copied to be.
    """
    (shifted,) = slices(t, logits, (CHUNK * spec.vocab,))
    flat = copy(t, shifted) if spec.rows or kind.paired else shifted
    del shifted
    (picked,) = custom(t, ((CHUNK, FULL),), (flat,), (flat, t.fresh(CHUNK, FULL)))
    return picked


def _joined(t: Tape, first: Tensor, second: Tensor | None) -> Tensor:
    """Their difference, sum or weighted mean: small."""
    if second is None:
        return first
    out = t.fresh(max(first.elements, second.elements), FULL)
    a, b = first.elements, second.elements
    t.join((out,), (first, second), (), lambda _: (t.fresh(a, FULL), t.fresh(b, FULL)))
    return out


def _likelihood(t: Tape, spec: HeadSpec, logits: Tensor) -> Tensor:
    """The cross entropy of the chosen half: its log-softmax, and as much again in the backward.

    Of several rows a contiguous copy; of one there is none.
    """
    (half,) = slices(t, logits, (logits.elements // 2,))
    (shifted,) = slices(t, half, (CHUNK * spec.vocab // 2,))
    logs = keeping_output(t, copy(t, shifted) if spec.rows else shifted)
    loss = t.fresh(1, FULL)
    elements = logs.elements
    t.join((loss,), (logs,), (logs,), lambda _: (t.fresh(elements, FULL),))
    return loss


def _metrics(
    t: Tape, spec: HeadSpec, kind: Preference, logits: Tensor, *, refer: bool, cached: int, side: Fraction
) -> None:
    """What is logged of each step, beside the reference's logits, which live until the loss is returned.

    The entropy is read where the logits stand. KTO picks the rows of either side out of them, and both copy the answer
    of one: every token counts as part of it.
    """
    if kind in WITH_LIKELIHOOD:
        return
    reference = (t.fresh(logits.elements, FULL, LOGITS), t.fresh(cached, 1, ACTIVATIONS)) if refer else None
    if reference is not None:
        picked = _log_probabilities(t, spec, kind, reference[0])
        del picked
    sides = t.fresh(CHUNK * spec.vocab, FULL) if kind is Preference.KTO else None
    masked = t.fresh(CHUNK * int(FULL * spec.vocab * side), 1)
    del masked, sides, reference
