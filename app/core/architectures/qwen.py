"""Qwen: 1.5 to 3 dense, 3 Next and 3.5 with gated delta nets.

Source: Transformers 5.16.1, ``models/qwen*``; gated delta net, arXiv:2412.06464.
"""

from typing import Any

from app.core.architecture import Architecture, Module, NormForm
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    FULL,
    LAYER,
    LINEAR,
    SLIDING,
    Sizes,
    activation,
    attention,
    common,
    decoder,
    fused_experts,
    gated,
    layer_types,
    norms,
    of_kind,
    plain_block,
    read_sizes,
    window,
    windowed_blocks,
    without_attention,
)
from app.core.architectures.experts import sparse_layers
from app.core.architectures.rows import depthwise, linear, norm, parameter, router
from app.core.config_json import ConfigReader


def _windows(config: ConfigReader, sizes: Sizes, first: int = 28) -> tuple[tuple[str, ...], int | None]:
    """Windows, where used at all, in the layers from ``max_window_layers`` on, ``first`` by default."""
    first = config.size("max_window_layers", default=first, least=0)
    used = config.flag("use_sliding_window", default=False)
    sliding = window(config, 4096) if used else None
    return layer_types(config, sizes, lambda layer: SLIDING if sliding and layer >= first else FULL), sliding


def qwen2(config: ConfigReader) -> Architecture:
    """Qwen 1.5, 2 and 2.5, QwQ, DeepSeek's distillations on Qwen: biases on queries, keys and values."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=22016, vocab=151936, heads=32, key_value_heads=32, layers=32, context=32768
    )
    return _qwen2_shaped("qwen2", config, sizes, _windows(config, sizes))


def qwen2_vl_text(config: ConfigReader) -> Architecture:
    """Qwen 2 VL and 2.5 VL: the language model, Qwen 2 with defaults of its own."""
    sizes = read_sizes(
        config,
        hidden=8192,
        intermediate=29568,
        vocab=152064,
        heads=64,
        key_value_heads=8,
        layers=80,
        context=32768,
        divides=True,
    )
    return _qwen2_shaped("qwen2_vl_text", config, sizes, _windows(config, sizes, first=80))


def _qwen2_shaped(
    model_type: str, config: ConfigReader, sizes: Sizes, windows: tuple[tuple[str, ...], int | None]
) -> Architecture:
    return decoder(
        model_type,
        sizes,
        (*attention(sizes, bias=True, out_bias=False), *gated(sizes), *norms(sizes, *BEFORE_BOTH)),
        windowed_blocks(sizes, *windows, activation=activation(config, "silu")),
    )


def qwen3(config: ConfigReader) -> Architecture:
    """Qwen 3 dense: norms on each query and key head."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=22016,
        vocab=151936,
        heads=32,
        key_value_heads=32,
        head_dim=128,
        layers=32,
        context=32768,
    )
    return _qwen3_shaped("qwen3", config, sizes, _windows(config, sizes))


def qwen3_vl_text(config: ConfigReader) -> Architecture:
    """Qwen 3 VL: the language model, which has no windows."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=22016,
        vocab=151936,
        heads=32,
        key_value_heads=32,
        head_dim=128,
        layers=32,
        context=128000,
    )
    return _qwen3_shaped("qwen3_vl_text", config, sizes, (tuple(FULL for _ in sizes.layers), None))


def _qwen3_shaped(
    model_type: str, config: ConfigReader, sizes: Sizes, windows: tuple[tuple[str, ...], int | None]
) -> Architecture:
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim),
            *gated(sizes),
            *norms(sizes, *BEFORE_BOTH),
        ),
        windowed_blocks(sizes, *windows, activation=activation(config, "silu")),
    )


def qwen3_next(config: ConfigReader) -> Architecture:
    """Qwen 3 Next: three gated delta nets to one gated attention, experts everywhere."""
    sizes = read_sizes(
        config,
        hidden=2048,
        intermediate=5632,
        vocab=151936,
        heads=16,
        key_value_heads=2,
        head_dim=256,
        layers=48,
        context=32768,
    )
    dense, sparse = sparse_layers(config, sizes)
    return _delta_net(config, "qwen3_next", sizes, dense, sparse, count=512, per_token=10, joined=True)


def qwen3_5_text(config: ConfigReader) -> Architecture:
    """Qwen 3.5 and 3.6 dense: the language model."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=12288,
        vocab=248320,
        heads=16,
        key_value_heads=4,
        head_dim=256,
        layers=32,
        context=32768,
    )
    return _delta_net(config, "qwen3_5_text", sizes, sizes.layers, (), count=0, per_token=0, joined=False)


def qwen3_5_moe_text(config: ConfigReader) -> Architecture:
    """Qwen 3.5 and 3.6 mixture of experts: the language model."""
    sizes = read_sizes(
        config,
        hidden=2048,
        intermediate=5632,
        vocab=248320,
        heads=16,
        key_value_heads=2,
        head_dim=256,
        layers=40,
        context=32768,
    )
    return _delta_net(config, "qwen3_5_moe_text", sizes, (), sizes.layers, count=256, per_token=8, joined=False)


def _delta_net(
    config: ConfigReader,
    model_type: str,
    sizes: Sizes,
    dense: tuple[int, ...],
    sparse: tuple[int, ...],
    *,
    count: int,
    per_token: int,
    joined: bool,
) -> Architecture:
    """What Qwen 3 Next and 3.5 share; ``joined`` is Next's two input projections instead of 3.5's four."""
    interval = config.size("full_attention_interval", default=4)
    kinds = layer_types(config, sizes, lambda layer: LINEAR if (layer + 1) % interval else FULL)
    full, net = of_kind(kinds, FULL), of_kind(kinds, LINEAR)
    key_heads = config.size("linear_num_key_heads", default=16)
    value_heads = config.size("linear_num_value_heads", default=32)
    if value_heads % key_heads:
        raise config.fault("linear_num_key_heads", "error.config_json.divides", given=key_heads, whole=value_heads)
    keys = key_heads * config.size("linear_key_head_dim", default=128)
    value_dim = config.size("linear_value_head_dim", default=128)
    values = value_heads * value_dim
    mixed = 2 * keys + values
    net_prefix = LAYER + "linear_attn."
    inputs: tuple[tuple[str, int], ...]
    if joined:
        inputs = (("in_proj_qkvz", mixed + values), ("in_proj_ba", 2 * value_heads))
    else:
        inputs = (
            ("in_proj_qkv", mixed),
            ("in_proj_z", values),
            ("in_proj_b", value_heads),
            ("in_proj_a", value_heads),
        )
    bias = config.flag("attention_bias", default=False)
    prefix = LAYER + "self_attn."
    rows: tuple[Module, ...] = (
        linear(prefix + "q_proj", sizes.hidden, 2 * sizes.query, bias=bias, layers=full),
        linear(prefix + "k_proj", sizes.hidden, sizes.key_value, bias=bias, layers=full),
        linear(prefix + "v_proj", sizes.hidden, sizes.key_value, bias=bias, layers=full),
        linear(prefix + "o_proj", sizes.query, sizes.hidden, bias=bias, layers=full),
        *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim, layers=full),
        parameter(net_prefix + "dt_bias", value_heads, layers=net),
        parameter(net_prefix + "A_log", value_heads, layers=net),
        depthwise(net_prefix + "conv1d", mixed, config.size("linear_conv_kernel_dim", default=4), layers=net),
        *(linear(net_prefix + name, sizes.hidden, width, layers=net) for name, width in inputs),
        norm(net_prefix + "norm", value_dim, layers=net),
        linear(net_prefix + "out_proj", values, sizes.hidden, layers=net),
        *gated(sizes, layers=dense),
    )
    sparse_facts: dict[str, Any] = {}
    if sparse:
        count = config.size("num_experts", "num_local_experts", default=count)
        width = config.size("moe_intermediate_size", default=512)
        shared = config.size("shared_expert_intermediate_size", default=512)
        rows += (
            router(LAYER + "mlp.gate", sizes.hidden, count, layers=sparse),
            *fused_experts(sizes, count, width, layers=sparse),
            *gated(sizes, width=shared, prefix=LAYER + "mlp.shared_expert.", layers=sparse),
            linear(LAYER + "mlp.shared_expert_gate", sizes.hidden, 1, layers=sparse),
        )
        sparse_facts = {
            "intermediate_size": width,
            "experts": count,
            "experts_per_token": config.size("num_experts_per_tok", default=per_token),
            "shared_intermediate_size": shared,
        }
    net_facts = without_attention(sum(width for _, width in inputs)) | {
        "state_size": keys // key_heads,
        "state_groups": key_heads,
    }
    shape: dict[str, Any] = {
        "activation": activation(config, "silu"),
        "norm": NormForm.RMS_PLUS_ONE,
    }
    return decoder(
        model_type,
        sizes,
        (*rows, *norms(sizes, *BEFORE_BOTH)),
        (
            plain_block(sizes, **(shape | {"layers": common(full, dense)})),
            plain_block(sizes, **(shape | net_facts | {"layers": common(net, dense)})),
            plain_block(sizes, **(shape | sparse_facts | {"layers": common(full, sparse)})),
            plain_block(sizes, **(shape | sparse_facts | net_facts | {"layers": common(net, sparse)})),
        ),
    )
