"""How Axolotl lays samples out as the rows of a batch: to what length they are padded, and whether a mask says so.

Samples that are packed fill their rows and come without a mask. All others come with one: a row shorter than the batch
is filled up, and so is the batch itself, to a multiple of 64 tokens, so that even a row alone holds padding, unless its
length happens to be one. Pairs of answers are filled up to the longest alone.

Sources: Axolotl 0.19.0 ``core/builders/causal.py`` (``build``, ``build_collator``), ``utils/collators/batching.py``,
``core/trainers/base.py`` (which drops the mask of packed rows where attention keeps documents apart without it),
``core/builders/rl.py``; TRL 1.9.0's collators.
"""

from dataclasses import dataclass
from enum import StrEnum

MULTIPLE = 64
"""Tokens that a batch is filled up to a multiple of, unless ``pad_to_multiple_of`` says otherwise."""


class Padding(StrEnum):
    """Whether the rows of a batch may hold padding, of which a mask tells the model."""

    NEVER = "never"
    BETWEEN_ROWS = "between_rows"
    """Up to the longest: where there is more than one."""
    ANY_ROW = "any_row"

    def of(self, rows: int) -> bool:
        """Whether some batch of so many rows holds padding."""
        return self is Padding.ANY_ROW or (self is Padding.BETWEEN_ROWS and rows > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collating:
    """Rows in training and in evaluation; ``row_multiple`` is 1 where a row is as long as the longest sample."""

    row_multiple: int
    training: Padding
    evaluation: Padding
    evaluation_packs: bool


def collating(
    *,
    preference: bool,
    packs: bool,
    evaluation_packs: bool,
    unnamed: bool,
    flattens: bool,
    sees: bool,
    to_length: bool | None,
    multiple: int | None,
) -> Collating:
    """What a configuration comes to.

    ``preference`` is one that TRL trains, rewards apart; ``packs`` and ``evaluation_packs`` whether samples share rows;
    ``unnamed`` whether no attention is named, which leaves packed rows their mask; ``flattens`` is
    ``batch_flattening``, which strings rows together without one; ``sees`` is ``processor_type``, whose collator fills
    up to the longest row; ``to_length`` is ``pad_to_sequence_len``, ``multiple`` ``pad_to_multiple_of``, None where
    they are left out.
    """
    loose = to_length is False or sees or flattens
    rounded = multiple or 1 if preference else 1 if loose else multiple or MULTIPLE
    filled = Padding.ANY_ROW if rounded > 1 else Padding.BETWEEN_ROWS

    def padding(*, packed: bool) -> Padding:
        return Padding.NEVER if flattens or (packed and not unnamed) else filled

    return Collating(
        row_multiple=rounded,
        training=padding(packed=packs),
        evaluation=padding(packed=evaluation_packs),
        evaluation_packs=evaluation_packs,
    )
