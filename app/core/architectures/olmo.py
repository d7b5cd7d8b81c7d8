"""OLMo 1 to 3 and EXAONE 4: norms after each half of a layer, or without weights.

Source: Transformers 5.16.1, ``models/olmo*`` and ``models/exaone4``.
"""

from app.core.architecture import Architecture, NormForm
from app.core.architectures.decoder import (
    AFTER_BOTH,
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


def olmo(config: ConfigReader) -> Architecture:
    """OLMo 1: LayerNorms without weights, so they hold no parameters."""
    sizes = read_sizes(config, hidden=4096, intermediate=11008, vocab=50304, heads=32, layers=32, context=2048)
    return decoder(
        "olmo",
        sizes,
        (*attention(sizes, bias=config.flag("attention_bias", default=False)), *gated(sizes)),
        (plain_block(sizes, activation=activation(config, "silu"), norm=NormForm.LAYER),),
        final_norm=None,
    )


def olmo2(config: ConfigReader) -> Architecture:
    """OLMo 2 and 3: norms over the whole width of queries and keys; ``olmo3`` has windows in three of four layers."""
    model_type = config.text("model_type", default="olmo2")
    sizes = read_sizes(config, hidden=4096, intermediate=11008, vocab=50304, heads=32, layers=32, context=2048)
    sliding = window(config, 4096) if model_type == "olmo3" else None
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            *norms(sizes, "self_attn.q_norm", width=sizes.query),
            *norms(sizes, "self_attn.k_norm", width=sizes.key_value),
            *gated(sizes),
            *norms(sizes, *AFTER_BOTH),
        ),
        windowed_blocks(
            sizes,
            layer_types(config, sizes, every_nth_full(4)),
            sliding,
            activation=activation(config, "silu"),
        ),
    )


def exaone4(config: ConfigReader) -> Architecture:
    """EXAONE 4: norms on each query and key head, windows in three of four layers of the larger model."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=16384, vocab=102400, heads=32, key_value_heads=32, layers=32, context=2048
    )
    sliding = window(config, 4096)
    pattern = config.values.get("sliding_window_pattern")
    period = len(pattern) if isinstance(pattern, str) else config.size("sliding_window_pattern", default=4, least=0)
    return decoder(
        "exaone4",
        sizes,
        (
            *attention(sizes),
            *norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim),
            *gated(sizes),
            *norms(sizes, *AFTER_BOTH),
        ),
        windowed_blocks(
            sizes,
            layer_types(config, sizes, every_nth_full(period)),
            sliding,
            activation=activation(config, "silu"),
        ),
    )
