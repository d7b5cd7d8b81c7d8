"""Layers of several kinds in one model, most of them state spaces: Jamba, Falcon-H1 and Nemotron-H.

Source: Transformers 5.16.1, ``models/jamba``, ``falcon_h1`` and ``nemotron_h``; Mamba, arXiv:2312.00752.
"""

from dataclasses import replace
from typing import Any, TypeAlias

from app.core.architecture import Architecture
from app.core.architectures.decoder import (
    FULL,
    LAYER,
    LINEAR,
    activation,
    attention,
    common,
    decoder,
    fused_experts,
    gated,
    layer_kinds,
    norms,
    of_kind,
    plain_block,
    read_sizes,
    ungated,
    without_attention,
)
from app.core.architectures.rows import depthwise, experts, linear, norm, parameter, router
from app.core.config_json import LARGEST_LAYERS, ConfigReader
from app.core.shown import shown

Layers: TypeAlias = tuple[int, ...]


def jamba(config: ConfigReader) -> Architecture:
    """Jamba: seven Mamba layers to one of attention, experts in every other layer."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=14336,
        vocab=65536,
        heads=32,
        key_value_heads=8,
        layers=32,
        context=262144,
    )
    full = _every(config, sizes.layers, "attn_layer", 8, 4)
    mamba = tuple(layer for layer in sizes.layers if layer not in full)
    count = config.size("num_experts", "num_local_experts", default=16)
    sparse = _every(config, sizes.layers, "expert_layer", 2, 1) if count > 1 else ()
    dense = tuple(layer for layer in sizes.layers if layer not in sparse)
    inner = config.size("mamba_expand", default=2) * sizes.hidden
    states = config.size("mamba_d_state", default=16)
    rank = -(-sizes.hidden // 16)
    if config.values.get("mamba_dt_rank") != "auto":
        rank = config.size("mamba_dt_rank", default=rank)
    conv_bias = config.flag("mamba_conv_bias", default=True)
    bias = config.flag("mamba_proj_bias", default=False)
    prefix = LAYER + "mamba."
    feed = LAYER + "feed_forward."
    rows = (
        *attention(sizes, layers=full),
        parameter(prefix + "A_log", inner, states, layers=mamba),
        parameter(prefix + "D", inner, layers=mamba),
        depthwise(prefix + "conv1d", inner, config.size("mamba_d_conv", default=4), bias=conv_bias, layers=mamba),
        linear(prefix + "in_proj", sizes.hidden, 2 * inner, bias=bias, layers=mamba),
        linear(prefix + "x_proj", inner, rank + 2 * states, layers=mamba),
        linear(prefix + "dt_proj", rank, inner, bias=True, layers=mamba),
        linear(prefix + "out_proj", inner, sizes.hidden, bias=bias, layers=mamba),
        norm(prefix + "dt_layernorm", rank, layers=mamba),
        norm(prefix + "b_layernorm", states, layers=mamba),
        norm(prefix + "c_layernorm", states, layers=mamba),
        *gated(sizes, prefix=feed, layers=dense),
        linear(feed + "router", sizes.hidden, count, layers=sparse),
        *fused_experts(sizes, count, sizes.intermediate, prefix=feed + "experts.", layers=sparse),
        *norms(sizes, "input_layernorm", "pre_ff_layernorm"),
    )
    facts: dict[str, Any] = {"activation": activation(config, "silu")}
    state = without_attention(2 * inner) | {"state_size": states}
    mixture = {"experts": count, "experts_per_token": config.size("num_experts_per_tok", default=2)}
    return decoder(
        "jamba",
        sizes,
        rows,
        (
            plain_block(sizes, **(facts | {"layers": common(full, dense)})),
            plain_block(sizes, **(facts | state | {"layers": common(mamba, dense)})),
            plain_block(sizes, **(facts | mixture | {"layers": common(full, sparse)})),
            plain_block(sizes, **(facts | state | mixture | {"layers": common(mamba, sparse)})),
        ),
        final_norm="model.final_layernorm",
    )


def _every(config: ConfigReader, layers: Layers, name: str, period: int, offset: int) -> Layers:
    period = config.size(f"{name}_period", default=period)
    offset = config.size(f"{name}_offset", default=offset, least=0, most=period - 1)
    return tuple(layer for layer in layers if layer % period == offset)


def falcon_h1(config: ConfigReader) -> Architecture:
    """Falcon-H1: a state space and attention side by side in every layer."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=14336,
        vocab=128000,
        heads=32,
        key_value_heads=8,
        layers=32,
        context=8192,
    )
    heads = config.size("mamba_n_heads", default=128)
    inner = config.size("mamba_d_ssm", default=1024)
    if "mamba_d_ssm" in config.values and config.values["mamba_d_ssm"] is None:
        inner = config.size("mamba_expand", default=2) * sizes.hidden
    if inner % heads:
        raise config.fault("mamba_n_heads", "error.config_json.divides", given=heads, whole=inner)
    groups = config.size("mamba_n_groups", default=1)
    conv = inner + 2 * groups * config.size("mamba_d_state", default=256)
    bias = config.flag("mamba_proj_bias", default=False)
    prefix = LAYER + "mamba."
    at = sizes.layers
    rows = (
        *gated(sizes, bias=config.flag("mlp_bias", default=False), prefix=LAYER + "feed_forward."),
        *(parameter(prefix + name, heads, layers=at) for name in ("dt_bias", "A_log", "D")),
        depthwise(
            prefix + "conv1d",
            conv,
            config.size("mamba_d_conv", default=4),
            bias=config.flag("mamba_conv_bias", default=True),
            layers=at,
        ),
        linear(prefix + "in_proj", sizes.hidden, inner + conv + heads, bias=bias, layers=at),
        *((norm(prefix + "norm", inner, layers=at),) if config.flag("mamba_rms_norm", default=False) else ()),
        linear(prefix + "out_proj", inner, sizes.hidden, bias=config.flag("projectors_bias", default=False), layers=at),
        *attention(sizes, bias=config.flag("attention_bias", default=False)),
        *norms(sizes, "input_layernorm", "pre_ff_layernorm"),
    )
    return decoder(
        "falcon_h1",
        sizes,
        rows,
        (
            plain_block(
                sizes,
                activation=activation(config, "silu"),
                mixer_width=inner + conv + heads,
                state_size=config.size("mamba_d_state", default=256),
                state_groups=groups,
                scan_chunk=config.size("mamba_chunk_size", default=256),
            ),
        ),
        final_norm="model.final_layernorm",
    )


NEMOTRON_KINDS = {"M": LINEAR, "E": "moe", "*": FULL, "-": "mlp"}
NEMOTRON_DEFAULT = (LINEAR, "moe", FULL, "mlp")


def _nemotron_kinds(config: ConfigReader) -> tuple[str, ...]:
    """One kind a layer, from a list or a pattern; ``num_hidden_layers`` is not asked."""
    for key in ("layers_block_type", "layer_types"):
        listed = config.values.get(key)
        if listed is not None:
            if not isinstance(listed, list | tuple) or not 0 < len(listed) <= LARGEST_LAYERS:
                raise config.fault(key, "error.config_json.per_layer", given=shown(listed), length=1)
            kinds = layer_kinds(config, key, tuple(range(len(listed))), lambda _: "")
            break
    else:
        key = "hybrid_override_pattern"
        pattern = config.text(key, default="")
        kinds = tuple(NEMOTRON_KINDS.get(letter, letter) for letter in pattern) if pattern else NEMOTRON_DEFAULT
    if len(kinds) > LARGEST_LAYERS:
        raise config.fault(key, "error.config_json.range", given=len(kinds), least=1, most=LARGEST_LAYERS)
    for kind in kinds:
        if kind not in NEMOTRON_DEFAULT:
            raise config.fault(key, "error.config_json.text", given=kind[:60])
    return kinds


def nemotron_h(config: ConfigReader) -> Architecture:
    """Nemotron-H and Nemotron 3: each layer is one of Mamba 2, attention, a feed-forward or experts."""
    config.layers("num_hidden_layers", default=1)
    kinds = _nemotron_kinds(config)
    sizes = replace(
        read_sizes(
            config,
            hidden=4096,
            intermediate=21504,
            vocab=131072,
            heads=32,
            key_value_heads=8,
            head_dim=128,
            layers=1,
            context=4096,
        ),
        layers=tuple(range(len(kinds))),
    )
    mamba, full = of_kind(kinds, LINEAR), of_kind(kinds, FULL)
    dense, sparse = of_kind(kinds, "mlp"), of_kind(kinds, "moe")
    heads = config.size("mamba_num_heads", default=128)
    inner = heads * config.size("mamba_head_dim", default=64)
    groups = config.size("mamba_n_groups", "n_groups", default=8)
    conv = inner + 2 * groups * config.size("ssm_state_size", default=128)
    bias = config.flag("use_bias", default=False)
    mlp_bias = config.flag("mlp_bias", default=False)
    conv_bias = config.flag("mamba_conv_bias", "use_conv_bias", default=True)
    taps = config.size("mamba_d_conv", "conv_kernel", default=4)
    projected = inner + conv + heads
    count = config.size("n_routed_experts", default=8)
    width = config.size("moe_intermediate_size", default=7688)
    shared = config.size("moe_shared_expert_intermediate_size", default=7688)
    latent = config.size("moe_latent_size", default=0, least=0)
    prefix = LAYER + "mixer."

    rows = (
        *attention(sizes, prefix=prefix, layers=full),
        *(parameter(prefix + name, heads, layers=mamba) for name in ("dt_bias", "A_log", "D")),
        depthwise(prefix + "conv1d", conv, taps, bias=conv_bias, layers=mamba),
        linear(prefix + "in_proj", sizes.hidden, projected, bias=bias, layers=mamba),
        norm(prefix + "norm", inner, layers=mamba),
        linear(prefix + "out_proj", inner, sizes.hidden, bias=bias, layers=mamba),
        *ungated(sizes, "up_proj", "down_proj", bias=mlp_bias, prefix=prefix, layers=dense),
        experts(prefix + "experts.up_proj", count, latent or sizes.hidden, width, layers=sparse),
        experts(prefix + "experts.down_proj", count, width, latent or sizes.hidden, layers=sparse),
        router(prefix + "gate", sizes.hidden, count, layers=sparse),
        *ungated(
            sizes, "up_proj", "down_proj", bias=mlp_bias, width=shared, prefix=prefix + "shared_experts.", layers=sparse
        ),
        *(
            (
                linear(prefix + "fc1_latent_proj", sizes.hidden, latent, bias=mlp_bias, layers=sparse),
                linear(prefix + "fc2_latent_proj", latent, sizes.hidden, bias=mlp_bias, layers=sparse),
            )
            if latent
            else ()
        ),
        *norms(sizes, "norm"),
    )
    form = activation(config, "relu2", gates=False, keys=("mlp_hidden_act",))
    shape: dict[str, Any] = {"gated": False, "activation": form}
    none = without_attention(0)
    return decoder(
        "nemotron_h",
        sizes,
        rows,
        (
            plain_block(
                sizes,
                layers=mamba,
                intermediate_size=0,
                state_size=config.size("ssm_state_size", default=128),
                state_groups=groups,
                scan_chunk=config.size("chunk_size", "mamba_chunk_size", default=128),
                **shape,
                **without_attention(projected),
            ),
            plain_block(sizes, layers=full, intermediate_size=0, **shape),
            plain_block(sizes, layers=dense, **shape, **none),
            plain_block(
                sizes,
                layers=sparse,
                intermediate_size=width,
                experts=count,
                experts_per_token=config.size("num_experts_per_tok", default=2),
                shared_intermediate_size=shared,
                **shape,
                **none,
            ),
        ),
        embed="model.embeddings",
        final_norm="model.norm_f",
    )
