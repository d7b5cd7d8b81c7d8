"""Gemma 4's language model: attention of two widths, shared keys and values, experts beside the feed-forward.

Source: Transformers 5.16.1, ``models/gemma4``.
"""

from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Module, NormForm
from app.core.architectures.decoder import (
    AROUND_BOTH,
    FULL,
    LAYER,
    Sizes,
    activation,
    attention,
    common,
    decoder,
    every_nth_full,
    fused_experts,
    gated,
    layer_types,
    norms,
    of_kind,
    plain_block,
    read_sizes,
)
from app.core.architectures.rows import embedding, linear, norm, parameter
from app.core.config_json import ConfigReader

EXPERT_NORMS = ("post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2")


def gemma4_text(config: ConfigReader) -> Architecture:
    """Gemma 4's language model.

    Every sixth layer attends to everything with wider heads; the last layers may reuse earlier keys and values; a
    small embedding may be added in every layer; experts may stand beside the feed-forward.
    """
    sizes = read_sizes(
        config,
        hidden=2304,
        intermediate=9216,
        vocab=262144,
        heads=8,
        key_value_heads=4,
        head_dim=256,
        layers=30,
        context=131072,
        tied=True,
    )
    kinds = layer_types(config, sizes, every_nth_full(6))
    full = of_kind((*kinds[:-1], FULL), FULL)
    alike = config.flag("attention_k_eq_v", default=False)
    wide_heads = sizes.key_value_heads
    if alike:
        wide_heads = config.size("num_global_key_value_heads", default=wide_heads)
    if sizes.heads % wide_heads:
        raise config.fault(
            "num_global_key_value_heads", "error.config_json.divides", given=wide_heads, whole=sizes.heads
        )
    wide = replace(sizes, head_dim=config.size("global_head_dim", default=512), key_value_heads=wide_heads)
    reusing = config.size("num_kv_shared_layers", default=0, least=0, most=len(sizes.layers))
    own = sizes.layers[: len(sizes.layers) - reusing]
    sliding = tuple(layer for layer in sizes.layers if layer not in full)
    double = reusing > 0 and bool(own) and config.flag("use_double_wide_mlp", default=False)
    wide_mlp = tuple(layer for layer in sizes.layers if double and layer not in own)
    plain_mlp = tuple(layer for layer in sizes.layers if layer not in wide_mlp)
    bias = config.flag("attention_bias", default=False)
    rows: tuple[Module, ...] = (
        *_gemma4_attention(sizes, sliding, own, bias=bias, values=True),
        *_gemma4_attention(wide, full, own, bias=bias, values=not alike),
        *gated(sizes, layers=plain_mlp),
        *gated(sizes, width=2 * sizes.intermediate, layers=wide_mlp),
        *norms(sizes, *AROUND_BOTH),
    )
    facts: dict[str, Any] = {
        "activation": activation(config, "gelu_pytorch_tanh", keys=("hidden_activation",)),
        "norm": NormForm.RMS,
    }
    if config.flag("enable_moe_block", default=False):
        count = config.size("num_experts")
        width = config.size("moe_intermediate_size")
        rows += (
            parameter(LAYER + "router.scale", sizes.hidden, layers=sizes.layers),
            parameter(LAYER + "router.per_expert_scale", count, layers=sizes.layers),
            linear(LAYER + "router.proj", sizes.hidden, count, layers=sizes.layers),
            *fused_experts(sizes, count, width, prefix=LAYER + "experts."),
            *norms(sizes, *EXPERT_NORMS),
        )
        facts |= {
            "experts": count,
            "experts_per_token": config.size("top_k_experts", least=1, most=count),
            "shared_intermediate_size": sizes.intermediate,
            "intermediate_size": width,
        }
    small = config.size("hidden_size_per_layer_input", default=256, least=0)
    if small:
        whole = small * len(sizes.layers)
        table = config.size("vocab_size_per_layer_input", default=262144)
        rows += (
            linear(LAYER + "per_layer_input_gate", sizes.hidden, small, layers=sizes.layers),
            linear(LAYER + "per_layer_projection", small, sizes.hidden, layers=sizes.layers),
            *norms(sizes, "post_per_layer_input_norm"),
            embedding("model.embed_tokens_per_layer", table, whole),
            linear("model.per_layer_model_projection", sizes.hidden, whole),
            norm("model.per_layer_projection_norm", small),
        )
    narrow_facts = facts | {"sliding_window": config.size("sliding_window", default=512)}
    wide_facts = facts
    doubled = (
        {"intermediate_size": 2 * sizes.intermediate}
        if not facts.get("experts")
        else {"shared_intermediate_size": 2 * sizes.intermediate}
    )
    return decoder(
        "gemma4_text",
        sizes,
        rows,
        (
            plain_block(sizes, **(narrow_facts | {"layers": common(sliding, plain_mlp)})),
            plain_block(sizes, **(narrow_facts | doubled | {"layers": common(sliding, wide_mlp)})),
            plain_block(wide, **(wide_facts | {"layers": common(full, plain_mlp)})),
            plain_block(wide, **(wide_facts | doubled | {"layers": common(full, wide_mlp)})),
        ),
        logit_softcap=config.has("final_logit_softcapping"),
    )


def _gemma4_attention(
    sizes: Sizes, layers: tuple[int, ...], own: tuple[int, ...], *, bias: bool, values: bool
) -> tuple[Module, ...]:
    """Attention at ``layers``; only those in ``own`` project keys, and values where these are not the keys."""
    projecting = common(layers, own)
    rows = {row.name: row for row in attention(sizes, bias=bias, layers=layers)}
    return (
        rows["q_proj"],
        replace(rows["k_proj"], layers=projecting),
        *((replace(rows["v_proj"], layers=projecting),) if values else ()),
        rows["o_proj"],
        *norms(sizes, "self_attn.q_norm", width=sizes.head_dim, layers=layers),
        *norms(sizes, "self_attn.k_norm", width=sizes.head_dim, layers=projecting),
    )
