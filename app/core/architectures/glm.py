"""GLM 4 9B and 32B (``glm``, ``glm4``): gate and up in one projection.

Source: Transformers 5.16.1, ``models/glm`` and ``models/glm4``.
"""

from app.core.architecture import Architecture
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    activation,
    attention,
    decoder,
    norms,
    plain_block,
    read_sizes,
)
from app.core.architectures.rows import linear
from app.core.config_json import ConfigReader


def glm(config: ConfigReader) -> Architecture:
    """``glm4`` has two more norms a layer."""
    model_type = config.text("model_type", default="glm")
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=13696,
        vocab=151552,
        heads=32,
        key_value_heads=2,
        head_dim=128,
        layers=40,
        context=131072,
    )
    names = (*BEFORE_BOTH, "post_self_attn_layernorm", "post_mlp_layernorm") if model_type == "glm4" else BEFORE_BOTH
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=True), out_bias=False),
            linear(LAYER + "mlp.gate_up_proj", sizes.hidden, 2 * sizes.intermediate, layers=sizes.layers),
            linear(LAYER + "mlp.down_proj", sizes.intermediate, sizes.hidden, layers=sizes.layers),
            *norms(sizes, *names),
        ),
        (plain_block(sizes, activation=activation(config, "silu")),),
    )
