"""GLM 4 9B and 32B (``glm``, ``glm4``): gate and up in one projection.

Source: Transformers 5.16.1, ``models/glm``, ``models/glm4`` and, for the language model within, ``models/glm4v``.
"""

from dataclasses import replace

from app.core.architecture import Architecture
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    Sizes,
    activation,
    attention,
    decoder,
    norms,
    plain_block,
    read_sizes,
)
from app.core.architectures.rows import linear
from app.core.config_json import ConfigReader

AROUND = (*BEFORE_BOTH, "post_self_attn_layernorm", "post_mlp_layernorm")


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
    names = AROUND if model_type == "glm4" else BEFORE_BOTH
    bias = config.flag("attention_bias", default=True)
    return _together(model_type, config, sizes, names, bias=bias)


def glm4v_text(config: ConfigReader) -> Architecture:
    """GLM 4.1V's and 4.6V Flash's: GLM 4's, whose heads divide the hidden size."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=13696,
        vocab=151552,
        heads=32,
        key_value_heads=2,
        layers=40,
        context=32768,
        divides=True,
    )
    sizes = replace(sizes, head_dim=sizes.hidden // sizes.heads)
    return _together("glm4v_text", config, sizes, AROUND, bias=True)


def _together(
    model_type: str, config: ConfigReader, sizes: Sizes, names: tuple[str, ...], *, bias: bool
) -> Architecture:
    """The layers of all of them."""
    return decoder(
        model_type,
        sizes,
        (
            *attention(sizes, bias=bias, out_bias=False),
            linear(LAYER + "mlp.gate_up_proj", sizes.hidden, 2 * sizes.intermediate, layers=sizes.layers),
            linear(LAYER + "mlp.down_proj", sizes.intermediate, sizes.hidden, layers=sizes.layers),
            *norms(sizes, *names),
        ),
        (plain_block(sizes, activation=activation(config, "silu")),),
    )
