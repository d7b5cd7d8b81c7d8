"""Tokens that a run puts into the outline of its step: of a micro batch, a row, and a chunk of the loss."""

from app.core.architecture import Architecture
from app.core.memory.attending import masked
from app.core.memory.loss import liger_chunk_tokens
from app.core.memory.mixers import scan_chunk
from app.core.memory.tape import Lengths
from app.core.methods.settings import PeftType
from app.core.run import Attention, Loss, Run
from app.core.units import round_up

BLOCK = 128
"""Tokens that the backward of attention's kernels rounds a row up to."""


def row_tokens(run: Run) -> int:
    """Tokens of one row: packed, the micro batch is one."""
    return (run.tokens if run.one_row else run.row_tokens) + virtual_tokens(run)


def virtual_tokens(run: Run) -> int:
    """A prompt's tokens before each row; a prefix stands in the keys and values instead."""
    return 0 if run.peft is None or run.peft.type is PeftType.PREFIX_TUNING else run.virtual_tokens


def lengths_of(architecture: Architecture, run: Run, rank: int) -> Lengths:
    """What a training step puts in."""
    row = row_tokens(run)
    tokens = row if run.one_row else run.tokens + virtual_tokens(run) * run.micro_batch_size
    return _lengths(architecture, run, rank, tokens, row)


def evaluation_lengths(architecture: Architecture, run: Run, rank: int) -> Lengths:
    """What evaluation puts in: rows of the same length."""
    row = run.row_tokens + virtual_tokens(run)
    tokens = run.eval_batch_size * run.rows_per_sample * row
    return _lengths(architecture, run, rank, tokens, row)


def _lengths(architecture: Architecture, run: Run, rank: int, tokens: int, row: int) -> Lengths:
    chunk, taken = _chunk(architecture, run, tokens, row), scan_chunk(architecture)
    rows = tokens // row
    scanned = rows * round_up(row, taken) if taken else 0
    return Lengths(
        tokens=tokens,
        row=row,
        chunk=chunk,
        rank=rank,
        scanned=scanned,
        blocked=tokens + rows * BLOCK if _end_to_end(architecture, run) else rows * round_up(row, BLOCK),
    )


def _end_to_end(architecture: Architecture, run: Run) -> bool:
    """Whether FlashAttention takes all rows as one, told where each ends: their documents are a block apart then.

    A row of packed samples counts as one. Source: flash-attention 2 ``flash_api.cpp``, ``mha_varlen_bwd``.
    """
    return run.attention is Attention.FLASH and (run.sample_packing or masked(architecture, run))


def _chunk(architecture: Architecture, run: Run, tokens: int, row: int) -> int:
    """Tokens of the loss's chunk, or those of preferred answers that predict another."""
    if run.preference is not None:
        return tokens - tokens // row
    if run.loss is not Loss.LIGER_FUSED_LINEAR:
        return 0
    return liger_chunk_tokens(tokens, architecture.vocab_size, architecture.hidden_size)
