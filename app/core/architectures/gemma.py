"""Gemma 1, 2 and 3 (text): tied embeddings, GeGLU, norms with (1 + weight).

Source: Transformers 5.16.1, ``models/gemma*``.
"""

from app.core.architecture import Architecture, NormForm
from app.core.architectures.decoder import (
    AROUND_BOTH,
    BEFORE_BOTH,
    activation,
    attention,
    decoder,
    every_nth_full,
    gated,
    layer_types,
    norms,
    plain_block,
    read_sizes,
    window,
    windowed_blocks,
)
from app.core.config_json import ConfigReader


def gemma(config: ConfigReader) -> Architecture:
    """Gemma 1."""
    sizes = read_sizes(
        config,
        hidden=3072,
        intermediate=24576,
        vocab=256000,
        heads=16,
        key_value_heads=16,
        head_dim=256,
        layers=28,
        context=8192,
        tied=True,
    )
    return decoder(
        "gemma",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *gated(sizes),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (plain_block(sizes, activation=activation(config, "gelu_pytorch_tanh"), norm=NormForm.RMS_PLUS_ONE),),
    )


def gemma2(config: ConfigReader) -> Architecture:
    """Gemma 2: four norms a layer, soft-capped attention and logits."""
    sizes = read_sizes(
        config,
        hidden=2304,
        intermediate=9216,
        vocab=256000,
        heads=8,
        key_value_heads=4,
        head_dim=256,
        layers=26,
        context=8192,
        tied=True,
        divides=True,
    )
    return decoder(
        "gemma2",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *gated(sizes),
            *norms(sizes, *AROUND_BOTH),
        ),
        windowed_blocks(
            sizes,
            layer_types(config, sizes, every_nth_full(2)),
            window(config, 4096),
            activation=activation(config, "gelu_pytorch_tanh", keys=("hidden_activation",)),
            norm=NormForm.RMS_PLUS_ONE,
            attention_softcap=config.number("attn_logit_softcapping", 50.0) > 0,
        ),
        logit_softcap=config.number("final_logit_softcapping", 30.0) > 0,
    )


def gemma3_text(config: ConfigReader) -> Architecture:
    """Gemma 3's language model: four norms a layer and norms on each query and key head."""
    sizes = read_sizes(
        config,
        hidden=2304,
        intermediate=9216,
        vocab=262208,
        heads=8,
        key_value_heads=4,
        head_dim=256,
        layers=26,
        context=131072,
        tied=True,
        divides=True,
    )
    return decoder(
        "gemma3_text",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim),
            *gated(sizes),
            *norms(sizes, *AROUND_BOTH),
        ),
        windowed_blocks(
            sizes,
            layer_types(config, sizes, every_nth_full(config.size("sliding_window_pattern", default=6))),
            window(config, 4096),
            activation=activation(config, "gelu_pytorch_tanh", keys=("hidden_activation",)),
            norm=NormForm.RMS_PLUS_ONE,
            attention_softcap=config.number("attn_logit_softcapping", 0.0) > 0,
        ),
        logit_softcap=config.number("final_logit_softcapping", 0.0) > 0,
    )
