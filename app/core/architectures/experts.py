"""Mixtures of experts, whose experts Transformers 5 stores as 3-D parameters.

Source: Transformers 5.16.1, ``models/<model_type>``.
"""

from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Block, Module
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    Sizes,
    activation,
    attention,
    decoder,
    every_nth_full,
    fused_experts,
    gated,
    layer_types,
    norms,
    plain_block,
    read_sizes,
    window,
    windowed_blocks,
)
from app.core.architectures.rows import linear, parameter, router
from app.core.config_json import ConfigReader


def mixtral(config: ConfigReader) -> Architecture:
    """Mixtral 8x7B and 8x22B."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=14336, vocab=32000, heads=32, key_value_heads=8, layers=32, context=131072
    )
    count = config.size("num_local_experts", "num_experts", default=8)
    return decoder(
        "mixtral",
        sizes,
        (
            *attention(sizes),
            router(LAYER + "mlp.gate", sizes.hidden, count, layers=sizes.layers),
            *fused_experts(sizes, count, sizes.intermediate),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (
            plain_block(
                sizes,
                activation=activation(config, "silu"),
                sliding_window=window(config, None),
                experts=count,
                experts_per_token=config.size("num_experts_per_tok", default=2),
            ),
        ),
    )


def granitemoe(config: ConfigReader) -> Architecture:
    """Granite 3 mixture of experts."""
    sizes = read_sizes(config, hidden=4096, intermediate=11008, vocab=32000, heads=32, layers=32, context=2048)
    count = config.size("num_local_experts", default=8)
    prefix = LAYER + "block_sparse_moe."
    return decoder(
        "granitemoe",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            router(prefix + "router", sizes.hidden, count, layers=sizes.layers),
            *fused_experts(sizes, count, sizes.intermediate, prefix=prefix + "experts."),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (
            plain_block(
                sizes,
                activation=activation(config, "silu"),
                experts=count,
                experts_per_token=config.size("num_experts_per_tok", default=2),
            ),
        ),
    )


def olmoe(config: ConfigReader) -> Architecture:
    """OLMoE: norms over the whole width of queries and keys."""
    sizes = read_sizes(config, hidden=2048, intermediate=2048, vocab=50304, heads=16, layers=16, context=4096)
    count = config.size("num_experts", "num_local_experts", default=64)
    bias = config.flag("attention_bias", default=False)
    return _normed_over_heads("olmoe", config, sizes, count, bias=bias)


def minimax_m2(config: ConfigReader) -> Architecture:
    """MiniMax M2: as OLMoE, with grouped keys and no biases."""
    sizes = read_sizes(
        config,
        hidden=3072,
        intermediate=1536,
        vocab=200064,
        heads=48,
        key_value_heads=8,
        head_dim=128,
        layers=62,
        context=196608,
    )
    count = config.size("num_local_experts", "num_experts", default=256)
    return _normed_over_heads("minimax_m2", config, sizes, count, bias=False)


def _normed_over_heads(model_type: str, config: ConfigReader, sizes: Sizes, count: int, *, bias: bool) -> Architecture:
    """What both share: norms over all heads at once, ``count`` experts in every layer."""
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=bias),
            *norms(sizes, "self_attn.q_norm", width=sizes.query),
            *norms(sizes, "self_attn.k_norm", width=sizes.key_value),
            router(LAYER + "mlp.gate", sizes.hidden, count, layers=sizes.layers),
            *fused_experts(sizes, count, sizes.intermediate),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (
            plain_block(
                sizes,
                activation=activation(config, "silu"),
                experts=count,
                experts_per_token=config.size("num_experts_per_tok", default=8),
            ),
        ),
    )


def ernie4_5_moe(config: ConfigReader) -> Architecture:
    """ERNIE 4.5 mixture of experts: experts from one layer to another, shared ones beside them."""
    sizes = read_sizes(
        config,
        hidden=2560,
        intermediate=12288,
        vocab=103424,
        heads=20,
        key_value_heads=4,
        layers=28,
        context=131072,
        tied=True,
    )
    bias = config.flag("use_bias", default=False)
    count = config.size("moe_num_experts", "num_experts", default=64)
    width = config.size("moe_intermediate_size", default=1536)
    together = width * config.size("moe_num_shared_experts", default=2, least=0)
    last = config.size("moe_layer_end_index", default=-1, least=-1)
    interval = config.size("moe_layer_interval", default=1)
    first = config.size("moe_layer_start_index", default=1, least=0)
    within = sizes.layers[first:] if last < 0 else sizes.layers[first : last + 1]
    sparse = tuple(layer for layer in within if (layer + 1) % interval == 0)
    dense = tuple(layer for layer in sizes.layers if layer not in sparse)
    gate = LAYER + "mlp.gate"
    mixture = {"experts": count, "experts_per_token": config.size("moe_k", "num_experts_per_tok", default=6)}
    shared: tuple[Module, ...] = ()
    if together:
        shared = gated(sizes, width=together, prefix=LAYER + "mlp.shared_experts.", layers=sparse, bias=bias)
        mixture["shared_intermediate_size"] = together
    return decoder(
        "ernie4_5_moe",
        sizes,
        (
            *attention(sizes, bias=bias),
            *gated(sizes, layers=dense, bias=bias),
            router(gate, sizes.hidden, count, layers=sparse),
            replace(parameter(gate + ".moe_statics.e_score_correction_bias", count, layers=sparse), frozen=True),
            *fused_experts(sizes, count, width, layers=sparse),
            *shared,
            *norms(sizes, *BEFORE_BOTH),
        ),
        expert_blocks(sizes, dense, sparse, width, mixture, activation=activation(config, "silu")),
        head_bias=bias,
    )


def sparse_layers(config: ConfigReader, sizes: Sizes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Qwen's split into dense and expert layers: every ``decoder_sparse_step``-th but those in ``mlp_only_layers``."""
    step = config.size("decoder_sparse_step", default=1)
    only = config.values.get("mlp_only_layers") or ()
    if not isinstance(only, list | tuple):
        given = str(only)[:60]
        raise config.fault("mlp_only_layers", "error.config_json.per_layer", given=given, length=len(sizes.layers))
    sparse = tuple(layer for layer in sizes.layers if layer not in only and (layer + 1) % step == 0)
    return tuple(layer for layer in sizes.layers if layer not in sparse), sparse


def expert_blocks(
    sizes: Sizes,
    dense: tuple[int, ...],
    sparse: tuple[int, ...],
    width: int,
    mixture: dict[str, int],
    **facts: Any,
) -> tuple[Block, ...]:
    """A block of the dense layers, one of those with experts of ``width``; ``mixture`` are facts of the latter."""
    return (
        plain_block(sizes, **(facts | {"layers": dense})),
        plain_block(sizes, **(facts | {"layers": sparse, "intermediate_size": width} | mixture)),
    )


def qwen2_moe(config: ConfigReader) -> Architecture:
    """Qwen 1.5 and 2 mixture of experts: a shared expert with a gate of its own."""
    sizes = read_sizes(
        config, hidden=2048, intermediate=5632, vocab=151936, heads=16, key_value_heads=16, layers=24, context=32768
    )
    count = config.size("num_experts", default=60)
    width = config.size("moe_intermediate_size", default=1408)
    shared = config.size("shared_expert_intermediate_size", default=5632)
    dense, sparse = sparse_layers(config, sizes)
    bias = config.flag("qkv_bias", default=True)
    rows: tuple[Module, ...] = (
        *attention(sizes, bias=bias, out_bias=False),
        router(LAYER + "mlp.gate", sizes.hidden, count, layers=sparse),
        *fused_experts(sizes, count, width, layers=sparse),
        *gated(sizes, width=shared, prefix=LAYER + "mlp.shared_expert.", layers=sparse),
        linear(LAYER + "mlp.shared_expert_gate", sizes.hidden, 1, layers=sparse),
        *gated(sizes, layers=dense),
        *norms(sizes, *BEFORE_BOTH),
    )
    per_token = config.size("num_experts_per_tok", default=4)
    return decoder(
        "qwen2_moe",
        sizes,
        rows,
        expert_blocks(
            sizes,
            dense,
            sparse,
            width,
            {"experts": count, "experts_per_token": per_token, "shared_intermediate_size": shared},
            activation=activation(config, "silu"),
        ),
    )


def qwen3_moe(config: ConfigReader) -> Architecture:
    """Qwen 3 mixture of experts."""
    sizes = read_sizes(
        config, hidden=2048, intermediate=6144, vocab=151936, heads=32, key_value_heads=4, layers=24, context=32768
    )
    return _qwen3_moe_shaped("qwen3_moe", config, sizes, count=128, width=768, per_token=8)


def qwen3_vl_moe_text(config: ConfigReader) -> Architecture:
    """Qwen 3 VL mixture of experts: the language model, Qwen 3's with defaults of its own."""
    sizes = read_sizes(
        config, hidden=2048, intermediate=5632, vocab=151936, heads=16, key_value_heads=16, layers=24, context=128000
    )
    return _qwen3_moe_shaped("qwen3_vl_moe_text", config, sizes, count=60, width=1408, per_token=4)


def _qwen3_moe_shaped(
    model_type: str, config: ConfigReader, sizes: Sizes, *, count: int, width: int, per_token: int
) -> Architecture:
    """What both share, with the defaults of their experts."""
    count = config.size("num_experts", "num_local_experts", default=count)
    width = config.size("moe_intermediate_size", default=width)
    dense, sparse = sparse_layers(config, sizes)
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim),
            router(LAYER + "mlp.gate", sizes.hidden, count, layers=sparse),
            *fused_experts(sizes, count, width, layers=sparse),
            *gated(sizes, layers=dense),
            *norms(sizes, *BEFORE_BOTH),
        ),
        expert_blocks(
            sizes,
            dense,
            sparse,
            width,
            {"experts": count, "experts_per_token": config.size("num_experts_per_tok", default=per_token)},
            activation=activation(config, "silu"),
        ),
    )


def gpt_oss(config: ConfigReader) -> Architecture:
    """gpt-oss: experts with biases, one attention sink a head."""
    sizes = read_sizes(
        config,
        hidden=2880,
        intermediate=2880,
        vocab=201088,
        heads=64,
        key_value_heads=8,
        head_dim=64,
        layers=36,
        context=131072,
    )
    count = config.size("num_local_experts", "num_experts", default=128)
    return decoder(
        "gpt_oss",
        sizes,
        (
            parameter(LAYER + "self_attn.sinks", sizes.heads, layers=sizes.layers),
            *attention(sizes, bias=config.flag("attention_bias", default=True)),
            router(LAYER + "mlp.router", sizes.hidden, count, bias=True, layers=sizes.layers),
            *fused_experts(sizes, count, sizes.intermediate, bias=True),
            *norms(sizes, *BEFORE_BOTH),
        ),
        windowed_blocks(
            sizes,
            layer_types(config, sizes, every_nth_full(2)),
            window(config, 128),
            activation=activation(config, "silu"),
            experts=count,
            experts_per_token=config.size("num_experts_per_tok", "experts_per_token", default=4),
        ),
    )


def llama4_text(config: ConfigReader) -> Architecture:
    """Llama 4's language model: experts in every ``interleave_moe_layer_step``-th layer, a shared one beside them."""
    sizes = read_sizes(
        config,
        hidden=5120,
        intermediate=8192,
        vocab=202048,
        heads=40,
        key_value_heads=8,
        head_dim=128,
        layers=48,
        context=131072,
    )
    count = config.size("num_local_experts", default=16)
    step = config.size("interleave_moe_layer_step", default=1)
    listed = config.values.get("moe_layers")
    if listed is not None and not isinstance(listed, list | tuple):
        given = str(listed)[:60]
        raise config.fault("moe_layers", "error.config_json.per_layer", given=given, length=len(sizes.layers))
    chosen = range(step - 1, len(sizes.layers), step) if listed is None else listed
    sparse = tuple(layer for layer in sizes.layers if layer in chosen)
    dense = tuple(layer for layer in sizes.layers if layer not in sparse)
    prefix = LAYER + "feed_forward."
    dense_width = config.size("intermediate_size_mlp", default=16384)
    rows = (
        *attention(sizes, bias=config.flag("attention_bias", default=False)),
        *fused_experts(sizes, count, sizes.intermediate, prefix=prefix + "experts.", layers=sparse),
        linear(prefix + "router", sizes.hidden, count, layers=sparse),
        *gated(sizes, prefix=prefix + "shared_expert.", layers=sparse),
        *gated(sizes, width=dense_width, prefix=prefix, layers=dense),
        *norms(sizes, *BEFORE_BOTH),
    )
    mixture = {
        "experts": count,
        "experts_per_token": config.size("num_experts_per_tok", default=1),
        "shared_intermediate_size": sizes.intermediate,
    }
    blocks = expert_blocks(
        replace(sizes, intermediate=dense_width),
        dense,
        sparse,
        sizes.intermediate,
        mixture,
        activation=activation(config, "silu"),
    )
    return decoder("llama4_text", sizes, rows, _told_apart(config, sizes, blocks))


def _told_apart(config: ConfigReader, sizes: Sizes, blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Llama 4's blocks by whether queries and keys are normed: where they take positions, unless its config says no."""
    if not config.flag("use_qk_norm", default=True):
        return blocks
    interval = config.size("no_rope_layer_interval", default=4)
    given = config.items("no_rope_layers", len(sizes.layers)) if config.values.get("no_rope_layers") else None
    turned = [(layer + 1) % interval != 0 if given is None else bool(given[layer]) for layer in sizes.layers]
    parts = [
        (block, normed, tuple(layer for layer in block.layers if turned[layer] is normed))
        for block in blocks
        for normed in (True, False)
    ]
    return tuple(replace(block, layers=layers, bare_query_key_norm=normed) for block, normed, layers in parts if layers)
