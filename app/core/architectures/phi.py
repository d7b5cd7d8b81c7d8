"""Phi 1.5 and 2 (``phi``), Phi 3, 3.5 and 4 (``phi3``), Phi 3.5 MoE (``phimoe``).

Source: Transformers 5.16.1, ``models/phi``, ``models/phi3`` and ``models/phimoe``.
"""

from app.core.architecture import Architecture, NormForm
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    activation,
    attention,
    decoder,
    fused_experts,
    norms,
    plain_block,
    read_sizes,
    ungated,
    window,
)
from app.core.architectures.rows import linear
from app.core.config_json import ConfigReader


def phi(config: ConfigReader) -> Architecture:
    """Phi 1.5 and 2: parallel halves behind one LayerNorm, biases everywhere, the head's too."""
    sizes = read_sizes(config, hidden=2048, intermediate=8192, vocab=51200, heads=32, layers=24, context=2048)
    head_norms = config.flag("qk_layernorm", default=False)
    head_width = sizes.hidden // sizes.heads
    return decoder(
        "phi",
        sizes,
        (
            *attention(sizes, bias=True, out="dense"),
            *(
                norms(sizes, "self_attn.q_layernorm", "self_attn.k_layernorm", width=head_width, bias=True)
                if head_norms
                else ()
            ),
            *ungated(sizes, "fc1", "fc2", bias=True),
            *norms(sizes, "input_layernorm", bias=True),
        ),
        (
            plain_block(
                sizes,
                gated=False,
                activation=activation(config, "gelu_new", gates=False),
                norm=NormForm.LAYER,
                parallel=True,
            ),
        ),
        final_norm="model.final_layernorm",
        norm_bias=True,
        head_bias=True,
    )


def phi3(config: ConfigReader) -> Architecture:
    """Phi 3, 3.5 and 4: queries, keys and values in one projection, gate and up in another."""
    sizes = read_sizes(config, hidden=3072, intermediate=8192, vocab=32064, heads=32, layers=32, context=4096)
    return decoder(
        "phi3",
        sizes,
        (
            linear(LAYER + "self_attn.qkv_proj", sizes.hidden, sizes.query + 2 * sizes.key_value, layers=sizes.layers),
            linear(LAYER + "self_attn.o_proj", sizes.query, sizes.hidden, layers=sizes.layers),
            linear(LAYER + "mlp.gate_up_proj", sizes.hidden, 2 * sizes.intermediate, layers=sizes.layers),
            linear(LAYER + "mlp.down_proj", sizes.intermediate, sizes.hidden, layers=sizes.layers),
            *norms(sizes, *BEFORE_BOTH),
        ),
        (plain_block(sizes, activation=activation(config, "silu"), sliding_window=window(config, None)),),
    )


def phimoe(config: ConfigReader) -> Architecture:
    """Phi 3.5 MoE: LayerNorms, and a router that is a linear and so a target."""
    sizes = read_sizes(
        config, hidden=4096, intermediate=6400, vocab=32064, heads=32, key_value_heads=8, layers=32, context=131072
    )
    count = config.size("num_local_experts", "num_experts", default=16)
    return decoder(
        "phimoe",
        sizes,
        (
            *attention(sizes, bias=config.flag("attention_bias", default=False)),
            linear(LAYER + "mlp.router", sizes.hidden, count, layers=sizes.layers),
            *fused_experts(sizes, count, sizes.intermediate),
            *norms(sizes, *BEFORE_BOTH, bias=True),
        ),
        (
            plain_block(
                sizes,
                activation=activation(config, "silu"),
                norm=NormForm.LAYER,
                sliding_window=window(config, None),
                experts=count,
                experts_per_token=config.size("num_experts_per_tok", default=2),
            ),
        ),
        norm_bias=True,
        head_bias=config.flag("lm_head_bias", default=False),
    )
