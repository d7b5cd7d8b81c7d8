"""Latent attention and shared experts: DeepSeek V2 and V3, GLM 4.5 to 4.7 and its Flash, Mistral Small 4.

Source: Transformers 5.16.1, ``models/deepseek_v2``, ``deepseek_v3``, ``glm4_moe``, ``glm4_moe_lite`` and ``mistral4``;
multi-head latent attention, arXiv:2405.04434.
"""

from app.core.architecture import Architecture, Module
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    Sizes,
    activation,
    attention,
    decoder,
    fused_experts,
    gated,
    layer_kinds,
    norms,
    of_kind,
    read_sizes,
)
from app.core.architectures.experts import expert_blocks
from app.core.architectures.rows import linear, norm, router
from app.core.config_json import ConfigReader


def latent_attention(
    config: ConfigReader, sizes: Sizes, *, nope: int, value: int, query_rank: int, latent: int = 512
) -> tuple[tuple[Module, ...], dict[str, int]]:
    """Multi-head latent attention and what a block says of it; the arguments are a model's defaults."""
    rope = config.size("qk_rope_head_dim", default=64)
    nope = config.size("qk_nope_head_dim", default=nope)
    value = config.size("v_head_dim", default=value)
    latent = config.size("kv_lora_rank", default=latent)
    bias = config.flag("attention_bias", default=False)
    query = sizes.heads * (rope + nope)
    prefix = LAYER + "self_attn."
    at = sizes.layers
    if "q_lora_rank" in config.values and config.values["q_lora_rank"] is None:
        queries: tuple[Module, ...] = (linear(prefix + "q_proj", sizes.hidden, query, layers=at),)
    else:
        rank = config.size("q_lora_rank", default=query_rank)
        queries = (
            linear(prefix + "q_a_proj", sizes.hidden, rank, bias=bias, layers=at),
            norm(prefix + "q_a_layernorm", rank, layers=at),
            linear(prefix + "q_b_proj", rank, query, layers=at),
        )
    rows = (
        *queries,
        linear(prefix + "kv_a_proj_with_mqa", sizes.hidden, latent + rope, bias=bias, layers=at),
        norm(prefix + "kv_a_layernorm", latent, layers=at),
        linear(prefix + "kv_b_proj", latent, sizes.heads * (nope + value), layers=at),
        linear(prefix + "o_proj", sizes.heads * value, sizes.hidden, bias=bias, layers=at),
    )
    return rows, {"head_dim": rope + nope, "value_head_dim": value, "key_value_heads": sizes.heads}


def _first_dense(config: ConfigReader, sizes: Sizes, default: int) -> tuple[int, ...]:
    return sizes.layers[: config.size("first_k_dense_replace", default=default, least=0)]


def _routed(
    model_type: str,
    config: ConfigReader,
    sizes: Sizes,
    dense: tuple[int, ...],
    attending: tuple[tuple[Module, ...], dict[str, int]],
    *,
    count: int,
    width: int,
    shared: int,
    per_token: int,
    bias: bool = False,
) -> Architecture:
    """A feed-forward in the ``dense`` layers, routed experts with shared ones beside them in the others.

    ``attending`` are attention's rows and what a block says of it; ``count`` and what follows a model's defaults.
    """
    attention_rows, facts = attending
    count = config.size("n_routed_experts", "num_local_experts", "num_experts", default=count)
    width = config.size("moe_intermediate_size", default=width)
    together = width * config.size("n_shared_experts", default=shared)
    sparse = tuple(layer for layer in sizes.layers if layer not in dense)
    mixture = {
        "experts": count,
        "experts_per_token": config.size("num_experts_per_tok", default=per_token),
        "shared_intermediate_size": together,
    }
    return decoder(
        model_type,
        sizes,
        (
            *attention_rows,
            *gated(sizes, layers=dense, bias=bias),
            *fused_experts(sizes, count, width, layers=sparse),
            router(LAYER + "mlp.gate", sizes.hidden, count, layers=sparse),
            *gated(sizes, width=together, prefix=LAYER + "mlp.shared_experts.", layers=sparse, bias=bias),
            *norms(sizes, *BEFORE_BOTH),
        ),
        expert_blocks(sizes, dense, sparse, width, mixture, activation=activation(config, "silu"), **facts),
    )


def deepseek(config: ConfigReader) -> Architecture:
    """DeepSeek V2 and V3, R1, Kimi K2's shape."""
    model_type = config.text("model_type", default="deepseek_v3")
    third = model_type == "deepseek_v3"
    sizes = read_sizes(
        config,
        hidden=7168 if third else 4096,
        intermediate=18432 if third else 11008,
        vocab=129280 if third else 102400,
        heads=128 if third else 32,
        layers=61 if third else 32,
        context=4096 if third else 2048,
        divides=not third,
    )
    return _routed(
        model_type,
        config,
        sizes,
        _first_dense(config, sizes, 3 if third else 0),
        latent_attention(config, sizes, nope=128, value=128, query_rank=1536),
        count=256 if third else 64,
        width=2048 if third else 1407,
        shared=1 if third else 2,
        per_token=8,
        bias=not third and config.flag("mlp_bias", default=False),
    )


def glm4_moe(config: ConfigReader) -> Architecture:
    """GLM 4.5 to 4.7: plain attention, the first layers dense."""
    head_norms = config.flag("use_qk_norm", default=False)
    return _glm4_moe_shaped("glm4_moe", config, 151552, 131072, bias=False, head_norms=head_norms)


def glm4v_moe_text(config: ConfigReader) -> Architecture:
    """GLM 4.5V's and 4.6V's language model."""
    return _glm4_moe_shaped("glm4v_moe_text", config, 151424, 65536, bias=True, head_norms=False)


def _glm4_moe_shaped(
    model_type: str, config: ConfigReader, vocab: int, context: int, *, bias: bool, head_norms: bool
) -> Architecture:
    """What both share; the numbers and ``bias`` are a model's defaults."""
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=10944,
        vocab=vocab,
        heads=96,
        key_value_heads=8,
        layers=46,
        context=context,
    )
    rows = attention(sizes, bias=config.flag("attention_bias", default=bias), out_bias=False)
    if head_norms:
        rows += norms(sizes, "self_attn.q_norm", "self_attn.k_norm", width=sizes.head_dim)
    dense = _first_dense(config, sizes, 1)
    return _routed(model_type, config, sizes, dense, (rows, {}), count=128, width=1408, shared=1, per_token=8)


def glm4_moe_lite(config: ConfigReader) -> Architecture:
    """GLM 4.7 Flash: DeepSeek's attention, and the first layer dense."""
    sizes = read_sizes(
        config,
        hidden=2048,
        intermediate=10240,
        vocab=154880,
        heads=20,
        key_value_heads=20,
        layers=47,
        context=202752,
    )
    attending = latent_attention(config, sizes, nope=192, value=256, query_rank=768)
    kinds = layer_kinds(config, "mlp_layer_types", sizes.layers, lambda layer: "sparse" if layer else "dense")
    sparse = of_kind(kinds, "sparse")
    dense = tuple(layer for layer in sizes.layers if layer not in sparse)
    return _routed("glm4_moe_lite", config, sizes, dense, attending, count=64, width=1536, shared=1, per_token=4)


def mistral4(config: ConfigReader) -> Architecture:
    """Mistral Small 4: DeepSeek's attention, experts in every layer."""
    sizes = read_sizes(config, hidden=4096, intermediate=12288, vocab=131072, heads=32, layers=36, context=1048576)
    attending = latent_attention(config, sizes, nope=64, value=128, query_rank=1024, latent=256)
    dense = _first_dense(config, sizes, 0)
    return _routed("mistral4", config, sizes, dense, attending, count=128, width=2048, shared=1, per_token=4)
