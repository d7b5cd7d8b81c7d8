"""Llama and the dense decoders of its shape: separate projections, a feed-forward, norms before both.

Source: Transformers 5.16.1, ``models/<model_type>/configuration_<model_type>.py`` and ``modeling_...``.
"""

from typing import Any

from app.core.architecture import Architecture, NormForm
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    FULL,
    LAYER,
    SLIDING,
    Sizes,
    activation,
    attention,
    decoder,
    gated,
    layer_types,
    norms,
    plain_block,
    read_sizes,
    ungated,
    window,
    windowed_blocks,
)
from app.core.architectures.rows import parameter
from app.core.config_json import ConfigReader


def _llama_shaped(
    model_type: str,
    config: ConfigReader,
    sizes: Sizes,
    *,
    bias: bool = False,
    out_bias: bool | None = None,
    mlp_bias: bool = False,
    **facts: Any,
) -> Architecture:
    """Attention, gated feed-forward, two RMSNorms a layer."""
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=bias, out_bias=out_bias),
            *gated(sizes, bias=mlp_bias),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (plain_block(sizes, **({"activation": activation(config, "silu")} | facts)),),
    )


def llama(config: ConfigReader) -> Architecture:
    """Llama 1 to 3.3, TinyLlama, SmolLM2, DeepSeek's distillations on Llama and their kin."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=11008, vocab=32000, heads=32, layers=32, context=2048, divides=True
    )
    bias, mlp_bias = config.flag("attention_bias", default=False), config.flag("mlp_bias", default=False)
    return _llama_shaped("llama", config, sizes, bias=bias, mlp_bias=mlp_bias)


def granite(config: ConfigReader) -> Architecture:
    """Granite 3 dense: Llama with multipliers, which hold no parameters."""
    sizes = read_sizes(config, hidden=4096, intermediate=11008, vocab=32000, heads=32, layers=32, context=2048)
    bias, mlp_bias = config.flag("attention_bias", default=False), config.flag("mlp_bias", default=False)
    return _llama_shaped("granite", config, sizes, bias=bias, mlp_bias=mlp_bias)


def mistral(config: ConfigReader) -> Architecture:
    """Mistral 7B, Nemo, Small 24B (text), Devstral, Magistral."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=14336, vocab=32000, heads=32, key_value_heads=8, layers=32, context=131072
    )
    return _llama_shaped("mistral", config, sizes, sliding_window=window(config, 4096))


def ministral(config: ConfigReader) -> Architecture:
    """Ministral 8B of 2024: windows in the layers that ``layer_types`` says."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=14336, vocab=32000, heads=32, key_value_heads=8, layers=32, context=131072
    )
    sliding = window(config, 4096)
    kinds = layer_types(config, sizes, lambda _: SLIDING if sliding else FULL)
    return decoder(
        "ministral",
        sizes,
        (*attention(sizes), *gated(sizes), *norms(sizes, *BEFORE_BOTH)),
        windowed_blocks(sizes, kinds, sliding, activation=activation(config, "silu")),
    )


def ministral3(config: ConfigReader) -> Architecture:
    """Ministral 3's language model."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=14336,
        vocab=131072,
        heads=32,
        key_value_heads=8,
        head_dim=128,
        layers=34,
        context=262144,
    )
    return _llama_shaped("ministral3", config, sizes, sliding_window=window(config, None))


def smollm3(config: ConfigReader) -> Architecture:
    """SmolLM3: no rotary positions in every fourth layer, which holds no parameters either way."""
    sizes = read_sizes(
        config,
        hidden=2048,
        intermediate=11008,
        vocab=128256,
        heads=16,
        key_value_heads=4,
        layers=36,
        context=32768,
        tied=True,
    )
    bias, mlp_bias = config.flag("attention_bias", default=False), config.flag("mlp_bias", default=False)
    return _llama_shaped("smollm3", config, sizes, bias=bias, mlp_bias=mlp_bias)


def seed_oss(config: ConfigReader) -> Architecture:
    """Seed-OSS: biases on queries, keys and values but not on the output."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=27648,
        vocab=155136,
        heads=80,
        key_value_heads=8,
        head_dim=128,
        layers=64,
        context=524288,
    )
    return _llama_shaped(
        "seed_oss",
        config,
        sizes,
        bias=config.flag("attention_bias", default=True),
        out_bias=config.flag("attention_out_bias", default=False),
        mlp_bias=config.flag("mlp_bias", default=False),
    )


def helium(config: ConfigReader) -> Architecture:
    """Helium: no bias on the attention's output whatever ``attention_bias`` says."""
    sizes = read_sizes(
        config,
        hidden=2560,
        intermediate=7040,
        vocab=48000,
        heads=20,
        key_value_heads=20,
        head_dim=128,
        layers=24,
        context=4096,
    )
    if sizes.query != sizes.hidden:
        raise config.fault("head_dim", "error.config_json.divides", given=sizes.head_dim, whole=sizes.hidden)
    bias, mlp_bias = config.flag("attention_bias", default=False), config.flag("mlp_bias", default=False)
    return _llama_shaped("helium", config, sizes, bias=bias, out_bias=False, mlp_bias=mlp_bias)


def ernie4_5(config: ConfigReader) -> Architecture:
    """ERNIE 4.5 dense."""
    sizes = read_sizes(
        config,
        hidden=1024,
        intermediate=3072,
        vocab=103424,
        heads=16,
        key_value_heads=2,
        head_dim=128,
        layers=18,
        context=131072,
        tied=True,
    )
    bias = config.flag("use_bias", default=False)
    return _llama_shaped("ernie4_5", config, sizes, bias=bias, mlp_bias=bias)


def hunyuan_v1_dense(config: ConfigReader) -> Architecture:
    """Hunyuan dense: norms on each query and key head."""
    sizes = read_sizes(config, hidden=4096, intermediate=11008, vocab=290943, heads=32, layers=32, context=2048)
    return decoder(
        "hunyuan_v1_dense",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *norms(sizes, "self_attn.query_layernorm", "self_attn.key_layernorm", width=sizes.head_dim),
            *gated(sizes),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (plain_block(sizes, activation=activation(config, "silu")),),
    )


def arcee(config: ConfigReader) -> Architecture:
    """Arcee's AFM: squared ReLU, no gate."""
    sizes = read_sizes(
        config, hidden=2560, intermediate=18432, vocab=32000, heads=32, layers=32, context=4096, divides=True
    )
    return decoder(
        "arcee",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *ungated(sizes, "up_proj", "down_proj", bias=config.flag("mlp_bias", default=False)),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (plain_block(sizes, gated=False, activation=activation(config, "relu2", gates=False)),),
    )


def apertus(config: ConfigReader) -> Architecture:
    """Apertus: xIELU, whose two slopes are trained, and norms on each query and key head."""
    sizes = read_sizes(config, hidden=4096, intermediate=14336, vocab=131072, heads=32, layers=32, context=65536)
    form = activation(config, "xielu", gates=False)
    slopes = (LAYER + "mlp.act_fn.alpha_p", LAYER + "mlp.act_fn.alpha_n") if form == "xielu" else ()
    return decoder(
        "apertus",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim),
            *ungated(sizes, "up_proj", "down_proj"),
            *(parameter(path, 1, layers=sizes.layers) for path in slopes),
            *norms(sizes, "attention_layernorm", "feedforward_layernorm"),
        ),
        (plain_block(sizes, gated=False, activation=form),),
    )


def nemotron(config: ConfigReader) -> Architecture:
    """Nemotron 3 to 4 and Minitron: squared ReLU without a gate, LayerNorms with (1 + weight)."""
    sizes = read_sizes(config, hidden=6144, intermediate=24576, vocab=256000, heads=48, layers=32, context=4096)
    return decoder(
        "nemotron",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *ungated(sizes, "up_proj", "down_proj", bias=config.flag("mlp_bias", default=False)),
            *norms(sizes, *BEFORE_BOTH, bias=True),
        ),
        (plain_block(sizes, gated=False, activation=activation(config, "relu2", gates=False), norm=NormForm.LAYER),),
        norm_bias=True,
    )
