"""Bottleneck adapters: x + f(x·W_down)·W_up behind attention and feed-forward, or behind the feed-forward alone.

PEFT has none; the placements are those of the papers, arXiv:1902.00751 (Houlsby) and arXiv:2005.00247 (Pfeiffer),
without the norms of their own that the latter leaves out too.
"""

from collections.abc import Iterable, Mapping

from app.core.adapted import AdaptedModule
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.messages import message
from app.core.methods.settings import Bottleneck, Placement

ATTENTION = "adapter_attention"
FEED_FORWARD = "adapter_feed_forward"


def count_bottleneck(architecture: Architecture, settings: Bottleneck) -> tuple[AdaptedModule, ...]:
    """One adapter for each sublayer that has a place for it, in every decoder layer."""
    mixing = tuple(
        layer
        for block in architecture.blocks
        if block.attention_heads or block.mixer_width
        for layer in block.layers
        if layer not in architecture.passed_by
    )
    feeding = _feeding(architecture)
    places = [(FEED_FORWARD, feeding)]
    if settings.placement is Placement.HOULSBY:
        places.insert(0, (ATTENTION, mixing))
    root = next(m.path for m in architecture.modules if m.part is Part.TEXT and m.layers is not None)
    prefix = root.partition("{}")[0] + "{}."
    return tuple(
        _adapter(prefix + name, architecture.hidden_size, settings, tuple(sorted(layers)))
        for name, layers in places
        if layers
    )


def _feeding(architecture: Architecture) -> tuple[int, ...]:
    """The layers that have a feed-forward."""
    return tuple(
        layer for block in architecture.blocks if block.intermediate_size or block.experts for layer in block.layers
    )


def _adapter(path: str, width: int, settings: Bottleneck, layers: tuple[int, ...]) -> AdaptedModule:
    """Down and up, with their biases."""
    size = settings.size
    shapes: tuple[tuple[int, ...], ...] = ((size, width), (width, size))
    if settings.bias:
        shapes = ((size, width), (size,), (width, size), (width,))
    code = "formula.bottleneck_bias" if settings.bias else "formula.bottleneck"
    return AdaptedModule(
        module=Module(path=path, kind=Kind.LINEAR, shape=(width, size), layers=layers),
        layers=layers,
        tensors=shapes,
        formula=message(code, width=width, size=size),
    )


ATTENDING = frozenset(("self_attn", "attn", "attention", "self_attention", "linear_attn", "mamba", "conv", "mixer"))


def places_of(architecture: Architecture, settings: Bottleneck) -> tuple[str, tuple[str, ...], tuple[int, ...] | None]:
    """A pattern of the layers' paths, names in a layer behind which an adapter stands, and the layers if not all."""
    linears = [
        m
        for m in architecture.modules
        if m.part is Part.TEXT and m.layers is not None and m.kind in (Kind.LINEAR, Kind.CONV1D, Kind.EXPERTS)
    ]
    root = linears[0].path.partition("{}")[0] + "{}"
    inside = tuple(dict.fromkeys(m.path.partition("{}.")[2] for m in linears))
    at: dict[str, set[int]] = {}
    for m in linears:
        at.setdefault(m.path.partition("{}.")[2].partition(".")[0], set()).update(m.layers or ())
    attending = _apart(at, [name for name in at if name in ATTENDING])
    feeding = tuple(name for name in at if name not in ATTENDING)
    if not feeding:  # a layer is one part, of whatever kind (Nemotron-H)
        return root, attending, _feeding(architecture) if settings.placement is Placement.PFEIFFER else None
    feeding = feeding[-1:] if inside[-1] == feeding[-1] else _apart(at, feeding)
    return root, feeding if settings.placement is Placement.PFEIFFER else (*attending, *feeding), None


def _apart(at: Mapping[str, set[int]], names: Iterable[str]) -> tuple[str, ...]:
    """The names but those beside an earlier one: parts side by side are one place (Falcon-H1, Granite 4)."""
    found: tuple[str, ...] = ()
    for name in names:
        if at[name].isdisjoint(layer for other in found for layer in at[other]):
            found = (*found, name)
    return found
