"""Command R, Command R7B, Command A and Aya (``cohere``, ``cohere2``).

Source: Transformers 5.16.1, ``models/cohere`` and ``models/cohere2``.
"""

from app.core.architecture import Architecture, NormForm
from app.core.architectures.decoder import (
    activation,
    attention,
    decoder,
    every_nth_full,
    gated,
    layer_types,
    norms,
    read_sizes,
    window,
    windowed_blocks,
)
from app.core.config_json import ConfigReader


def cohere(config: ConfigReader) -> Architecture:
    """Attention and feed-forward in parallel behind one LayerNorm without a bias; ``cohere2`` attends in windows."""
    model_type = config.text("model_type", default="cohere")
    second = model_type == "cohere2"
    sizes = read_sizes(
        config, hidden=8192, intermediate=22528, vocab=256000, heads=64, layers=40, context=8192, tied=True
    )
    head_norms = not second and config.flag("use_qk_norm", default=False)
    period = config.size("sliding_window_pattern", default=4, least=1)
    rows = (*attention(sizes, bias=config.flag("attention_bias", default=False)), *gated(sizes))
    if head_norms:
        rows += norms(sizes, "self_attn.q_norm", width=sizes.query)
        rows += norms(sizes, "self_attn.k_norm", width=sizes.key_value)
    return decoder(
        model_type,
        sizes,
        (*rows, *norms(sizes, "input_layernorm")),
        windowed_blocks(
            sizes,
            layer_types(config, sizes, every_nth_full(period)),
            window(config, 4096) if second else None,
            activation=activation(config, "silu"),
            norm=NormForm.LAYER,
            parallel=True,
        ),
    )
