"""From the allocator's peak to what ``nvidia-smi`` shows: context, workspaces and unused reservations.

Measured in 90 trainings of Axolotl 0.19.0 on an H100 (``tests/data/memory/gpu``) and 61 runs on a T4
(``tests/data/memory/fitcheck-t4.json``): the band holds all of them.

What the allocator reserves and does not use follows the largest tensor that a step makes and frees: a block for the
logits in fp32 is seldom of use for anything else, and comes once or twice; scores of every pair of tokens come once
more, since they are made and changed one after the other. On a card with room it stays; on a full one
the allocator gives it back before it fails, so that it counts in the band and not in what is expected. What the card
takes besides is ``app.core.context``'s.
"""

from dataclasses import dataclass
from typing import Self

from app.core.architecture import Architecture
from app.core.context import Context
from app.core.kept import kept
from app.core.run import Attention, Loss, Method, Offloading, Preference, Run
from app.core.units import GIB

UNUSED_PERCENT = (5, 8)
"""Reserved but unused beside blocks of the largest tensor, as per cent of the allocator's peak: expected, high."""
UNUSED_PERCENT_OFFLOADING = (10, 20)
"""The same where saved tensors leave for the host and come back on streams of their own (``true``, ``disk``)."""
LOGITS_ITEMSIZE = {Loss.PLAIN: 4, Loss.LIGER: 4, Loss.CHUNKED: 2}
"""Bytes of a logit in the largest tensor of a loss; the fused ones make none in training."""
EVALUATED_ITEMSIZE = {**LOGITS_ITEMSIZE, Loss.LIGER_FUSED_LINEAR: 4}
"""The same in evaluation, where Liger's fused one does (``loss``)."""

SCORE_ITEMSIZE = 4
"""Bytes of a score, where attention makes those of every pair of tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What decides how much more than the allocator's peak the process of a run holds."""

    widest_bytes: int
    """The largest tensor that a step makes and frees."""
    scores: bool
    """Whether that is one of scores."""
    embedding_bytes: int
    """The gradient of an embedding that is trained: as large, where there is no such tensor."""
    offloading: bool
    context: Context

    @classmethod
    def of(cls, architecture: Architecture, run: Run) -> Self:
        """Of a run: the logits of its loss or the scores of its attention."""
        widest, scores = 0, False
        if run.preference is not Preference.REWARD:
            widest = architecture.vocab_size * _logits_of_a_word(run)
        if run.attention is Attention.EAGER or _mathematics(run):
            key = ("heads", run.attention)
            heads: int = kept(architecture, key, lambda: _scoring_heads(architecture, run.attention))
            largest = SCORE_ITEMSIZE * heads * run.tokens * run.row_tokens
            scores, widest = largest > widest, max(largest, widest)
        full = run.method is Method.FULL
        return cls(
            widest_bytes=widest,
            scores=scores,
            embedding_bytes=run.itemsize * architecture.vocab_size * architecture.hidden_size if full else 0,
            offloading=run.offloading is Offloading.ALL,
            context=run.context,
        )

    def expected_bytes(self, allocated_peak_bytes: int) -> int:
        """What ``nvidia-smi`` is expected to show where the card has no room for blocks that lie unused."""
        expected, _ = UNUSED_PERCENT_OFFLOADING if self.offloading else UNUSED_PERCENT
        return allocated_peak_bytes * (100 + expected) // 100 + self.context.beside_bytes

    def range_bytes(
        self, allocated_peak_bytes: int, load_bytes: int = 0, room_percent: tuple[int, int] = (0, 0)
    ) -> tuple[int, int]:
        """The band around it: a tidy allocator with a small context to a fragmented one with a large context.

        The process has held ``load_bytes`` before; ``room_percent`` is what keys that the model does not price could
        take off or add.
        """
        less, more = room_percent
        _, high = UNUSED_PERCENT_OFFLOADING if self.offloading else UNUSED_PERCENT
        blocks = self.widest_bytes * (21 if self.scores else 11) // 10
        blocks += min(max(self.widest_bytes, self.embedding_bytes), GIB)
        lowest = allocated_peak_bytes * (100 - less) // 100
        highest = allocated_peak_bytes * (100 + high) * (100 + more) // 10_000 + blocks
        return (
            max(lowest, load_bytes) + self.context.least_bytes,
            max(highest, load_bytes) + self.context.most_bytes,
        )


def _logits_of_a_word(run: Run) -> int:
    """Bytes of the logits of one word in training or evaluation: of preferences in fp32, whatever loss is set."""
    loss = run.loss if run.preference is None else Loss.PLAIN
    made = LOGITS_ITEMSIZE.get(loss, 0) * run.tokens
    if not run.evaluates:
        return made
    tokens = run.eval_batch_size * run.rows_per_sample * run.row_tokens
    return max(made, EVALUATED_ITEMSIZE.get(loss, 0) * tokens)


def _mathematics(run: Run) -> bool:
    """Whether SDPA without a mask has no FlashAttention behind it (``attention._unmasked``)."""
    return run.attention is Attention.SDPA and not run.sample_packing and not (run.ampere and run.half)


def _scoring_heads(architecture: Architecture, attention: Attention) -> int:
    """The most heads of a layer that makes scores: under SDPA one with grouped keys."""
    return max(
        (
            block.attention_heads
            for block in architecture.blocks
            if attention is Attention.EAGER or block.attention_heads != block.key_value_heads
        ),
        default=0,
    )
