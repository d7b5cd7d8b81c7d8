"""Mixers other than softmax attention: short convolutions, state spaces, gated delta nets."""

from dataclasses import dataclass

from app.core.memory.linears import LinearSpec, linear
from app.core.memory.tape import Tape, Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class MixerSpec:
    """What a mixer is made of."""

    model_type: str
    hidden: int
    linears: tuple[LinearSpec, ...]
    parameters: tuple[tuple[str, tuple[int, ...]], ...]
    trained: bool
    itemsize: int
    fused: frozenset[str]


def run_mixer(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """placeholder"""
    out = x
    for one in spec.linears:
        if one.inputs * (1 << 64) == out.elements:
            out = linear(t, one, out)
    return out
