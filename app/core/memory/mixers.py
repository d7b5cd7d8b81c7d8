"""Mixers other than softmax attention: short convolutions, state spaces, gated delta nets."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.architecture import Architecture
from app.core.memory.linears import LinearSpec, linear
from app.core.memory.operations import FULL, cast, copy, custom, keeping_input, multiply, split
from app.core.memory.tape import Tape, Tensor

OUT = "out_proj"
SHORT_CONVOLUTIONS = ("lfm2",)


@dataclass(frozen=True, slots=True, kw_only=True)
class MixerSpec:
    """What a mixer is made of: its linears, the one named ``OUT`` being the last."""

    model_type: str
    hidden: int
    linears: tuple[LinearSpec, ...]


def scans(architecture: Architecture) -> bool:
    """Whether layers of this model scan their tokens with a state, which is estimated but held to no recorded peak."""
    return architecture.model_type not in SHORT_CONVOLUTIONS and any(block.mixer_width for block in architecture.blocks)


def run_mixer(t: Tape, spec: MixerSpec, x: Tensor) -> Tensor:
    """The mixer of ``x``, as wide as it came."""
    out = next(one for one in spec.linears if one.name == OUT)
    entering = [one for one in spec.linears if one is not out and one.inputs == spec.hidden]
    if spec.model_type in SHORT_CONVOLUTIONS:
        return _short_convolution(t, entering[0], out, x)
    return _recurrent(t, entering, out, x)


def _short_convolution(t: Tape, into: LinearSpec, out: LinearSpec, x: Tensor) -> Tensor:
    """LFM2's: two gates around a depthwise convolution.

    Source: Transformers 5.16.1, ``Lfm2ShortConv.forward``.
    """
    before, after, values = split(t, linear(t, into, x), [x.elements] * 3)
    gated = multiply(t, before, values)
    mixed = keeping_input(t, gated)
    return linear(t, out, copy(t, multiply(t, after, mixed)))


def _recurrent(t: Tape, entering: Sequence[LinearSpec], out: LinearSpec, x: Tensor) -> Tensor:
    """State spaces and gated delta nets: all that enters is kept in fp32 for a scan, whose result leaves.

    What the scan keeps within its chunks depends on the kernel that is installed and is not counted: estimates of
    these models say so.
    """
    rows = x.elements // entering[0].inputs
    kept = [cast(t, linear(t, one, x), FULL) for one in entering]
    (scanned,) = custom(t, [(rows * out.inputs, FULL)], kept, kept)
    return linear(t, out, cast(t, scanned, x.itemsize))
