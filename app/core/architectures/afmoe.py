"""Arcee's Trinity: gated attention, positions in windowed layers alone, norms before and after both halves, experts.

Source: Transformers 5.16.1, ``models/afmoe``.
"""

from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    activation,
    attention,
    common,
    decoder,
    every_nth_full,
    fused_experts,
    gated,
    layer_types,
    norms,
    read_sizes,
    window,
    windowed_blocks,
)
from app.core.architectures.rows import linear, parameter
from app.core.config_json import ConfigReader


def afmoe(config: ConfigReader) -> Architecture:
    """Trinity Nano and Mini: the first ``num_dense_layers`` have a feed-forward, the others experts and shared ones."""
    sizes = read_sizes(
        config, hidden=2048, intermediate=6144, vocab=200192, heads=16, head_dim=128, layers=32, context=16384
    )
    edge = config.size("num_dense_layers", default=1, least=0)
    dense, sparse = sizes.layers[:edge], sizes.layers[edge:]
    count = config.size("num_experts", "num_local_experts", default=64)
    width = config.size("moe_intermediate_size", default=1408)
    together = width * config.size("num_shared_experts", default=2)
    period = config.size("global_attn_every_n_layers", default=4)
    kinds = layer_types(config, sizes, every_nth_full(period))
    feed = LAYER + "mlp."
    rows = (
        *attention(sizes, bias=config.flag("attention_bias", default=False)),
        linear(LAYER + "self_attn.gate_proj", sizes.hidden, sizes.query, layers=sizes.layers),
        *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim),
        *gated(sizes, layers=dense),
        linear(feed + "router.gate", sizes.hidden, count, layers=sparse),
        replace(parameter(feed + "expert_bias", count, layers=sparse), frozen=True),
        *fused_experts(sizes, count, width, layers=sparse),
        *gated(sizes, width=together, prefix=feed + "shared_experts.", layers=sparse),
        *norms(sizes, *BEFORE_BOTH, "pre_mlp_layernorm", "post_mlp_layernorm"),
    )
    mixture: dict[str, Any] = {
        "intermediate_size": width,
        "experts": count,
        "experts_per_token": config.size("num_experts_per_tok", default=6),
        "shared_intermediate_size": together,
    }
    blocks = windowed_blocks(sizes, kinds, window(config, 1024), activation=activation(config, "silu"))
    return decoder(
        "afmoe",
        sizes,
        rows,
        tuple(
            replace(block, layers=common(block.layers, layers), **facts)
            for block in blocks
            for layers, facts in ((dense, {}), (sparse, mixture))
        ),
    )
