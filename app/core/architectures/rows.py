"""Short makers of module rows, so that a description reads as the table it is."""

from app.core.architecture import Kind, Module, Part


def linear(
    path: str,
    in_features: int,
    out_features: int,
    *,
    bias: bool = False,
    layers: tuple[int, ...] | None = None,
    part: Part = Part.TEXT,
    wrapped: bool = False,
) -> Module:
    """An ``nn.Linear``; ``wrapped`` one inside a module of ``path``'s last but one name."""
    return Module(
        path=path,
        kind=Kind.LINEAR,
        shape=(in_features, out_features),
        bias_parameters=out_features if bias else 0,
        layers=layers,
        part=part,
        wrapped=wrapped,
    )


def norm(
    path: str, width: int, *, bias: bool = False, layers: tuple[int, ...] | None = None, part: Part = Part.TEXT
) -> Module:
    """An RMSNorm (no bias) or LayerNorm."""
    return Module(
        path=path, kind=Kind.NORM, shape=(width,), bias_parameters=width if bias else 0, layers=layers, part=part
    )


def embedding(path: str, rows: int, width: int, *, part: Part = Part.TEXT) -> Module:
    """An ``nn.Embedding``."""
    return Module(path=path, kind=Kind.EMBEDDING, shape=(rows, width), part=part)


def head(
    hidden_size: int, vocab_size: int, *, tied_to: str | None, bias: bool = False, path: str = "lm_head"
) -> Module:
    """The output embedding."""
    return Module(
        path=path,
        kind=Kind.HEAD,
        shape=(hidden_size, vocab_size),
        bias_parameters=vocab_size if bias else 0,
        tied_to=tied_to,
    )


def experts(
    path: str,
    count: int,
    in_features: int,
    out_features: int,
    *,
    bias: bool = False,
    layers: tuple[int, ...] | None = None,
) -> Module:
    """A 3-D parameter of ``count`` experts."""
    return Module(
        path=path,
        kind=Kind.EXPERTS,
        shape=(count, in_features, out_features),
        bias_parameters=count * out_features if bias else 0,
        layers=layers,
    )


def parameter(path: str, *shape: int, layers: tuple[int, ...] | None = None, part: Part = Part.TEXT) -> Module:
    """A bare parameter that no adapter reaches."""
    return Module(path=path, kind=Kind.PARAMETER, shape=shape, layers=layers, part=part)


def router(
    path: str, hidden_size: int, count: int, *, bias: bool = False, layers: tuple[int, ...] | None = None
) -> Module:
    """A router with a bare weight."""
    return Module(
        path=path,
        kind=Kind.ROUTER,
        shape=(hidden_size, count),
        bias_parameters=count if bias else 0,
        layers=layers,
    )


def convolution(
    path: str,
    *shape: int,
    bias: bool = False,
    groups: int = 1,
    layers: tuple[int, ...] | None = None,
    part: Part = Part.TEXT,
) -> Module:
    """A convolution, ``shape`` as its weight is stored: (out, in per group, *kernel)."""
    return Module(
        path=path,
        kind=Kind.CONVOLUTION,
        shape=shape,
        bias_parameters=shape[0] if bias else 0,
        layers=layers,
        part=part,
        groups=groups,
    )


def depthwise(
    path: str,
    channels: int,
    taps: int,
    *,
    bias: bool = False,
    layers: tuple[int, ...] | None = None,
    part: Part = Part.TEXT,
) -> Module:
    """An ``nn.Conv1d`` with a group for each channel."""
    return convolution(path, channels, 1, taps, bias=bias, groups=channels, layers=layers, part=part)
