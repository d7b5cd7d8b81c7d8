"""LFM2: short convolutions, attention in a few layers; dense, or with experts in all but the first layers.

Source: Transformers 5.16.1, ``models/lfm2``, ``lfm2_moe`` and ``lfm2_vl``.
"""

from dataclasses import replace

from app.core.architecture import Architecture, Module, Part
from app.core.architectures import rows, towers
from app.core.architectures.decoder import (
    FULL,
    LAYER,
    LINEAR,
    Sizes,
    attention,
    common,
    decoder,
    fused_experts,
    layer_types,
    norms,
    of_kind,
    plain_block,
    read_sizes,
    without_attention,
)
from app.core.architectures.rows import depthwise, linear, router
from app.core.architectures.wrappers import wrap
from app.core.config_json import ConfigReader
from app.core.shown import shown

FEED = LAYER + "feed_forward."
PROJECTOR = "model.multi_modal_projector."


def lfm2(config: ConfigReader) -> Architecture:
    """LFM2 350M to 2.6B."""
    sizes = read_sizes(
        config,
        hidden=2560,
        intermediate=12288,
        vocab=65536,
        heads=32,
        key_value_heads=8,
        layers=32,
        context=128000,
        tied=True,
    )
    sizes = replace(
        sizes,
        intermediate=_width(config, config.size("block_ff_dim", default=sizes.intermediate)),
        tied=config.flag("tie_embedding", default=sizes.tied),
    )
    attending = config.values.get("full_attn_idxs")
    if attending is not None and not isinstance(attending, list | tuple):
        raise config.fault("full_attn_idxs", "error.config_json.per_layer", given=shown(attending), length=1)
    chosen = sizes.layers if attending is None else attending
    kinds = layer_types(config, sizes, lambda layer: FULL if layer in chosen else LINEAR)
    full, short = of_kind(kinds, FULL), of_kind(kinds, LINEAR)
    return decoder(
        "lfm2",
        sizes,
        (*_mixers(config, sizes, full, short), *_gated(sizes, sizes.layers)),
        (
            plain_block(sizes, layers=full),
            plain_block(sizes, layers=short, **without_attention(3 * sizes.hidden)),
        ),
        final_norm="model.embedding_norm",
    )


def lfm2_moe(config: ConfigReader) -> Architecture:
    """LFM2 8B A1B: the first ``num_dense_layers`` have a feed-forward, the others experts."""
    sizes = read_sizes(
        config,
        hidden=2048,
        intermediate=7168,
        vocab=65536,
        heads=32,
        key_value_heads=8,
        layers=32,
        context=128000,
        tied=True,
    )
    sizes = replace(sizes, tied=config.flag("tie_embedding", default=sizes.tied))
    if not config.has("layer_types"):
        raise config.fault("layer_types", "error.config_json.missing")
    kinds = layer_types(config, sizes, lambda _: FULL)
    full, short = of_kind(kinds, FULL), of_kind(kinds, LINEAR)
    edge = config.size("num_dense_layers", default=2, least=0)
    dense, sparse = sizes.layers[:edge], sizes.layers[edge:]
    count = config.size("num_experts", default=32)
    width = config.size("moe_intermediate_size", default=1792)
    mixture = {
        "intermediate_size": width,
        "experts": count,
        "experts_per_token": config.size("num_experts_per_tok", default=4),
    }
    state = without_attention(3 * sizes.hidden)
    return decoder(
        "lfm2_moe",
        sizes,
        (
            *_mixers(config, sizes, full, short),
            *_gated(sizes, dense),
            *fused_experts(sizes, count, width, prefix=FEED + "experts.", layers=sparse),
            router(FEED + "gate", sizes.hidden, count, layers=sparse),
        ),
        (
            plain_block(sizes, layers=common(full, dense)),
            plain_block(sizes, layers=common(short, dense), **state),
            plain_block(sizes, layers=common(full, sparse), **mixture),
            plain_block(sizes, layers=common(short, sparse), **state, **mixture),
        ),
        final_norm="model.embedding_norm",
    )


def lfm2_vl(config: ConfigReader) -> Architecture:
    """LFM2 VL: the dense language model behind SigLIP 2's tower."""
    inner = config.sub("text_config")
    text = replace(lfm2(inner), language_type=inner.inner_type(("lfm2",), default="lfm2"))
    sight = config.sub("vision_config")
    width = sight.size("hidden_size", default=768)
    seen = width * config.size("downsample_factor", default=2) ** 2
    middle = config.size("projector_hidden_size", default=2560)
    bias = config.flag("projector_bias", default=True)
    normed = config.flag("projector_use_layernorm", default=True)
    others = (
        *towers.siglip2(sight, width),
        *((rows.norm(PROJECTOR + "layer_norm", seen, bias=True, part=Part.PROJECTOR),) if normed else ()),
        rows.linear(PROJECTOR + "linear_1", seen, middle, bias=bias, part=Part.PROJECTOR),
        rows.linear(PROJECTOR + "linear_2", middle, text.hidden_size, bias=bias, part=Part.PROJECTOR),
    )
    return wrap("lfm2_vl", text, others, tied=config.flag("tie_embedding", "tie_word_embeddings", default=True))


def _mixers(config: ConfigReader, sizes: Sizes, full: tuple[int, ...], short: tuple[int, ...]) -> tuple[Module, ...]:
    """Attention in the layers ``full``, convolutions in ``short``, and the norms of all."""
    bias = config.flag("conv_bias", default=False)
    taps = config.size("conv_L_cache", default=3)
    conv = LAYER + "conv."
    return (
        *attention(sizes, out="out_proj", layers=full),
        *norms(sizes, "self_attn.q_layernorm", "self_attn.k_layernorm", width=sizes.head_dim, layers=full),
        depthwise(conv + "conv", sizes.hidden, taps, bias=bias, layers=short),
        linear(conv + "in_proj", sizes.hidden, 3 * sizes.hidden, bias=bias, layers=short),
        linear(conv + "out_proj", sizes.hidden, sizes.hidden, bias=bias, layers=short),
        *norms(sizes, "operator_norm", "ffn_norm"),
    )


def _gated(sizes: Sizes, layers: tuple[int, ...]) -> tuple[Module, ...]:
    """LFM2's own names for a gated feed-forward."""
    return (
        linear(FEED + "w1", sizes.hidden, sizes.intermediate, layers=layers),
        linear(FEED + "w3", sizes.hidden, sizes.intermediate, layers=layers),
        linear(FEED + "w2", sizes.intermediate, sizes.hidden, layers=layers),
    )


def _width(config: ConfigReader, given: int) -> int:
    """Two thirds of what is given, scaled and rounded up, unless the file says to take it as it is."""
    if not config.flag("block_auto_adjust_ff_dim", default=True):
        return given
    width = 2 * given // 3
    multiple = config.size("block_multiple_of", default=256)
    return -(-int(config.number("block_ffn_dim_multiplier", 1.0) * width) // multiple) * multiple
