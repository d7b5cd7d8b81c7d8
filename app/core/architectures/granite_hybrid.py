"""Granite 4: Mamba 2 in most layers, attention in a few, experts beside a feed-forward that every token takes.

Source: Transformers 5.16.1, ``models/granitemoehybrid``.
"""

from typing import Any

from app.core.architecture import Architecture, Module
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    LINEAR,
    Sizes,
    activation,
    attention,
    decoder,
    fused_experts,
    layer_kinds,
    norms,
    of_kind,
    plain_block,
    read_sizes,
    without_attention,
)
from app.core.architectures.rows import depthwise, linear, norm, parameter, router
from app.core.config_json import ConfigReader


def granitemoehybrid(config: ConfigReader) -> Architecture:
    """``num_local_experts`` 0 leaves the shared feed-forward alone; it is every layer's."""
    sizes = read_sizes(config, hidden=4096, intermediate=11008, vocab=32000, heads=32, layers=32, context=2048)
    key = "layers_block_type" if config.has("layers_block_type") else "layer_types"
    kinds = layer_kinds(config, key, sizes.layers, lambda _: LINEAR)
    mamba = of_kind(kinds, LINEAR)
    full = tuple(layer for layer in sizes.layers if layer not in mamba)
    mixer, state = _mamba(config, sizes, mamba)
    count = config.size("num_local_experts", default=8, least=0)
    shared = config.size("shared_intermediate_size", default=1024)
    rows = (
        *attention(sizes, bias=config.flag("attention_bias", default=False), layers=full),
        *mixer,
        linear(LAYER + "shared_mlp.input_linear", sizes.hidden, 2 * shared, layers=sizes.layers),
        linear(LAYER + "shared_mlp.output_linear", shared, sizes.hidden, layers=sizes.layers),
        *norms(sizes, *BEFORE_BOTH),
    )
    facts: dict[str, Any] = {"activation": activation(config, "silu"), "intermediate_size": shared}
    if count:
        prefix = LAYER + "block_sparse_moe."
        rows += (
            router(prefix + "router", sizes.hidden, count, layers=sizes.layers),
            *fused_experts(sizes, count, sizes.intermediate, prefix=prefix + "experts."),
        )
        facts |= {
            "intermediate_size": sizes.intermediate,
            "experts": count,
            "experts_per_token": config.size("num_experts_per_tok", default=2),
            "shared_intermediate_size": shared,
        }
    return decoder(
        "granitemoehybrid",
        sizes,
        rows,
        (plain_block(sizes, **facts, layers=full), plain_block(sizes, **facts, **state, layers=mamba)),
    )


def _mamba(config: ConfigReader, sizes: Sizes, layers: tuple[int, ...]) -> tuple[tuple[Module, ...], dict[str, int]]:
    """The rows of the state spaces, and what a block says of them.

    Raises:
        InvalidInput: the heads do not make up the width.
    """
    heads = config.size("mamba_n_heads", default=128)
    inner = config.size("mamba_expand", default=2) * sizes.hidden
    if inner % heads:
        raise config.fault("mamba_n_heads", "error.config_json.divides", given=heads, whole=inner)
    if config.values.get("mamba_d_head") != "auto":
        width = config.size("mamba_d_head", default=inner // heads)
        if width * heads != inner:
            raise config.fault("mamba_d_head", "error.config_json.divides", given=width, whole=inner)
    groups = config.size("mamba_n_groups", default=1)
    states = config.size("mamba_d_state", default=256)
    conv = inner + 2 * groups * states
    projected = inner + conv + heads
    taps = config.size("mamba_d_conv", default=4)
    bias = config.flag("mamba_proj_bias", default=False)
    conv_bias = config.flag("mamba_conv_bias", default=True)
    prefix = LAYER + "mamba."
    rows = (
        *(parameter(prefix + name, heads, layers=layers) for name in ("dt_bias", "A_log", "D")),
        depthwise(prefix + "conv1d", conv, taps, bias=conv_bias, layers=layers),
        linear(prefix + "in_proj", sizes.hidden, projected, bias=bias, layers=layers),
        norm(prefix + "norm", inner, layers=layers),
        linear(prefix + "out_proj", inner, sizes.hidden, bias=bias, layers=layers),
    )
    return rows, without_attention(projected) | {
        "state_size": states,
        "state_groups": groups,
        "scan_chunk": config.size("mamba_chunk_size", default=256),
    }
