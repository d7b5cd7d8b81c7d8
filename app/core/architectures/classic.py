"""Decoders from before Llama's shape: GPT-2, GPT-J, GPT-NeoX, OPT, BLOOM, MPT, Falcon, StableLM, StarCoder 2.

Source: Transformers 5.16.1, ``models/<model_type>``.
"""

from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Kind, Module, NormForm
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    activation,
    attention,
    decoder,
    gated,
    norms,
    plain_block,
    read_sizes,
    ungated,
    window,
)
from app.core.architectures.rows import embedding, linear, norm
from app.core.config_json import ConfigReader


def _ungated_facts(config: ConfigReader, default: str) -> dict[str, Any]:
    keys = ("hidden_act", "activation_function", "activation")
    return {"gated": False, "activation": activation(config, default, gates=False, keys=keys), "norm": NormForm.LAYER}


def starcoder2(config: ConfigReader) -> Architecture:
    """StarCoder 2: LayerNorms, biases, one projection up and one down."""
    sizes = read_sizes(
        config,
        hidden=3072,
        intermediate=12288,
        vocab=49152,
        heads=24,
        key_value_heads=2,
        layers=30,
        context=4096,
        tied=True,
    )
    bias = config.flag("use_bias", default=True)
    return decoder(
        "starcoder2",
        sizes,
        (
            *attention(sizes, bias=bias),
            *ungated(sizes, "c_fc", "c_proj", bias=bias),
            *norms(sizes, *BEFORE_BOTH, bias=True),
        ),
        (plain_block(sizes, sliding_window=window(config, None), **_ungated_facts(config, "gelu_pytorch_tanh")),),
        norm_bias=True,
    )


def stablelm(config: ConfigReader) -> Architecture:
    """StableLM 2 and 3B: LayerNorms around Llama's shape, in the 12B one for each query and key head."""
    sizes = read_sizes(
        config,
        hidden=2560,
        intermediate=6912,
        vocab=50304,
        heads=32,
        key_value_heads=32,
        layers=32,
        context=4096,
        divides=True,
    )
    parallel = config.flag("use_parallel_residual", default=False)
    names = BEFORE_BOTH[:1] if parallel else BEFORE_BOTH
    head_norms: tuple[str, ...] = ()
    if config.flag("qk_layernorm", default=False):
        head_norms = tuple(f"self_attn.q_layernorm.norms.{head}" for head in range(sizes.heads))
        head_norms += tuple(f"self_attn.k_layernorm.norms.{head}" for head in range(sizes.key_value_heads))
    return decoder(
        "stablelm",
        sizes,
        (
            *attention(sizes, bias=config.flag("use_qkv_bias", default=False), out_bias=False),
            *norms(sizes, *head_norms, width=sizes.head_dim),
            *gated(sizes),
            *norms(sizes, *names, bias=True),
        ),
        (
            plain_block(
                sizes,
                activation=activation(config, "silu"),
                norm=NormForm.LAYER,
                parallel=parallel,
            ),
        ),
        norm_bias=True,
    )


def gpt_neox(config: ConfigReader) -> Architecture:
    """GPT-NeoX and Pythia."""
    sizes = read_sizes(
        config, hidden=6144, intermediate=24576, vocab=50432, heads=64, layers=44, context=2048, divides=True
    )
    bias = config.flag("attention_bias", default=True)
    prefix = "gpt_neox.layers.{}."
    return decoder(
        "gpt_neox",
        sizes,
        (
            linear(
                prefix + "attention.query_key_value", sizes.hidden, 3 * sizes.hidden, bias=bias, layers=sizes.layers
            ),
            linear(prefix + "attention.dense", sizes.hidden, sizes.hidden, bias=bias, layers=sizes.layers),
            *ungated(sizes, "dense_h_to_4h", "dense_4h_to_h", bias=True, prefix=prefix + "mlp."),
            *norms(sizes, *BEFORE_BOTH, bias=True, prefix=prefix),
        ),
        (
            plain_block(
                sizes, parallel=config.flag("use_parallel_residual", default=True), **_ungated_facts(config, "gelu")
            ),
        ),
        embed="gpt_neox.embed_in",
        final_norm="gpt_neox.final_layer_norm",
        norm_bias=True,
    )


def falcon(config: ConfigReader) -> Architecture:
    """Falcon 7B and 40B: one projection for queries, keys and values; one or two norms a layer."""
    hidden = config.size("hidden_size", "n_embed", default=4544)
    heads = config.size("num_attention_heads", "n_head", default=71)
    if hidden % heads:
        raise config.fault("num_attention_heads", "error.config_json.divides", given=heads, whole=hidden)
    new = config.flag("new_decoder_architecture", default=False)
    multi_query = config.flag("multi_query", default=True)
    key_value_heads = config.size("num_kv_heads", "n_head_kv", default=heads) if new else (1 if multi_query else heads)
    sizes = read_sizes(
        config,
        hidden=hidden,
        intermediate=config.size("ffn_hidden_size", default=4 * hidden),
        vocab=65024,
        heads=heads,
        key_value_heads=key_value_heads,
        layers=32,
        context=2048,
        tied=True,
    )
    bias = config.flag("bias", default=False)
    prefix = "transformer.h.{}."
    parallel = config.flag("parallel_attn", default=True)
    names: tuple[str, ...] = BEFORE_BOTH
    if parallel:
        two = config.size("num_ln_in_parallel_attn", default=2 if new else 1) == 2
        names = ("ln_attn", "ln_mlp") if two else ("input_layernorm",)
    return decoder(
        "falcon",
        sizes,
        (
            linear(
                prefix + "self_attention.query_key_value",
                hidden,
                hidden + 2 * sizes.key_value,
                bias=bias,
                layers=sizes.layers,
            ),
            linear(prefix + "self_attention.dense", hidden, hidden, bias=bias, layers=sizes.layers),
            *ungated(sizes, "dense_h_to_4h", "dense_4h_to_h", bias=bias, prefix=prefix + "mlp."),
            *norms(sizes, *names, bias=True, prefix=prefix),
        ),
        (plain_block(sizes, parallel=parallel or new, **_ungated_facts(config, "gelu")),),
        embed="transformer.word_embeddings",
        final_norm="transformer.ln_f",
        norm_bias=True,
    )


def gptj(config: ConfigReader) -> Architecture:
    """GPT-J: no biases in attention, one in the head."""
    hidden = config.size("n_embd", "hidden_size", default=4096)
    sizes = read_sizes(
        config, hidden=4096, intermediate=4 * hidden, vocab=50400, heads=16, layers=28, context=2048, divides=True
    )
    prefix = "transformer.h.{}."
    return decoder(
        "gptj",
        sizes,
        (
            *attention(sizes, out="out_proj", prefix=prefix + "attn."),
            *ungated(sizes, "fc_in", "fc_out", bias=True, prefix=prefix + "mlp."),
            *norms(sizes, "ln_1", bias=True, prefix=prefix),
        ),
        (plain_block(sizes, parallel=True, **_ungated_facts(config, "gelu_new")),),
        embed="transformer.wte",
        final_norm="transformer.ln_f",
        norm_bias=True,
        head_bias=True,
    )


def gpt2(config: ConfigReader) -> Architecture:
    """GPT-2: Conv1D projections, learned positions."""
    hidden = config.size("n_embd", "hidden_size", default=768)
    sizes = read_sizes(
        config,
        hidden=768,
        intermediate=4 * hidden,
        vocab=50257,
        heads=12,
        layers=12,
        context=1024,
        tied=True,
        divides=True,
    )
    prefix = "transformer.h.{}."

    def conv(path: str, inputs: int, outputs: int) -> Module:
        return Module(
            path=prefix + path, kind=Kind.CONV1D, shape=(inputs, outputs), bias_parameters=outputs, layers=sizes.layers
        )

    return decoder(
        "gpt2",
        sizes,
        (
            conv("attn.c_attn", sizes.hidden, 3 * sizes.hidden),
            conv("attn.c_proj", sizes.hidden, sizes.hidden),
            conv("mlp.c_fc", sizes.hidden, sizes.intermediate),
            conv("mlp.c_proj", sizes.intermediate, sizes.hidden),
            *norms(sizes, "ln_1", "ln_2", bias=True, prefix=prefix),
        ),
        (plain_block(sizes, **_ungated_facts(config, "gelu_new")),),
        embed="transformer.wte",
        before=(embedding("transformer.wpe", sizes.context, sizes.hidden),),
        final_norm="transformer.ln_f",
        norm_bias=True,
    )


def bloom(config: ConfigReader) -> Architecture:
    """BLOOM and BLOOMZ: one projection for queries, keys and values, a norm behind the embedding."""
    hidden = config.size("n_embed", "hidden_size", "n_embd", default=64)
    sizes = read_sizes(
        config,
        hidden=hidden,
        intermediate=4 * hidden,
        vocab=250880,
        heads=8,
        layers=2,
        context=2048,
        tied=True,
        divides=True,
    )
    sizes = replace(sizes, intermediate=4 * hidden, key_value_heads=sizes.heads)
    prefix = "transformer.h.{}."
    return decoder(
        "bloom",
        sizes,
        (
            linear(prefix + "self_attention.query_key_value", hidden, 3 * hidden, bias=True, layers=sizes.layers),
            linear(prefix + "self_attention.dense", hidden, hidden, bias=True, layers=sizes.layers),
            *ungated(sizes, "dense_h_to_4h", "dense_4h_to_h", bias=True, prefix=prefix + "mlp."),
            *norms(sizes, *BEFORE_BOTH, bias=True, prefix=prefix),
        ),
        (plain_block(sizes, **_ungated_facts(config, "gelu")),),
        embed="transformer.word_embeddings",
        before=(norm("transformer.word_embeddings_layernorm", hidden, bias=True),),
        final_norm="transformer.ln_f",
        norm_bias=True,
    )


def mpt(config: ConfigReader) -> Architecture:
    """MPT: no biases, not in the norms either; the middle is four times as wide whatever ``expansion_ratio`` says."""
    hidden = config.size("d_model", "hidden_size", default=2048)
    sizes = read_sizes(
        config, hidden=hidden, intermediate=4 * hidden, vocab=50368, heads=16, layers=24, context=2048, tied=True
    )
    sizes = replace(sizes, intermediate=4 * hidden, key_value_heads=sizes.heads)
    prefix = "transformer.blocks.{}."
    return decoder(
        "mpt",
        sizes,
        (
            linear(prefix + "attn.Wqkv", hidden, 3 * hidden, layers=sizes.layers),
            linear(prefix + "attn.out_proj", hidden, hidden, layers=sizes.layers),
            *ungated(sizes, "up_proj", "down_proj", prefix=prefix + "ffn."),
            *norms(sizes, "norm_1", "norm_2", prefix=prefix),
        ),
        (plain_block(sizes, **_ungated_facts(config, "gelu")),),
        embed="transformer.wte",
        final_norm="transformer.norm_f",
    )


def opt(config: ConfigReader) -> Architecture:
    """OPT: learned positions with an offset of two, ReLU; the 350M's projections around the stack included."""
    sizes = read_sizes(
        config, hidden=768, intermediate=3072, vocab=50272, heads=12, layers=12, context=2048, tied=True, divides=True
    )
    bias = config.flag("enable_bias", default=True)
    affine = config.flag("layer_norm_elementwise_affine", default=True)
    stack = "model.decoder."
    width = config.size("word_embed_proj_dim", default=sizes.hidden)
    before: tuple[Module, ...] = (embedding(stack + "embed_positions", sizes.context + 2, sizes.hidden),)
    if width != sizes.hidden:
        before += (
            linear(stack + "project_out", sizes.hidden, width),
            linear(stack + "project_in", width, sizes.hidden),
        )
    final = config.flag("do_layer_norm_before", default=True)
    final = final and not config.flag("_remove_final_layer_norm", default=False)
    layer_norms = ("self_attn_layer_norm", "final_layer_norm") if affine else ()
    base = decoder(
        "opt",
        sizes,
        (
            *attention(sizes, bias=bias, out="out_proj", prefix=stack + "layers.{}.self_attn."),
            *ungated(sizes, "fc1", "fc2", bias=bias, prefix=stack + "layers.{}."),
            *norms(sizes, *layer_norms, bias=True, prefix=stack + "layers.{}."),
        ),
        (plain_block(sizes, **_ungated_facts(config, "relu")),),
        embed=stack + "embed_tokens",
        before=before,
        final_norm=stack + "final_layer_norm" if final and affine else None,
        norm_bias=True,
    )
    return base if width == sizes.hidden else _narrow_embeddings(base, width)


def _narrow_embeddings(architecture: Architecture, width: int) -> Architecture:
    """OPT-350M embeds in ``word_embed_proj_dim`` and projects to ``hidden_size``."""

    def narrow(module: Module) -> Module:
        if module.kind is Kind.HEAD:
            return replace(module, shape=(width, module.shape[1]))
        if module.path == "model.decoder.embed_tokens":
            return replace(module, shape=(module.shape[0], width))
        return module

    return replace(architecture, modules=tuple(narrow(module) for module in architecture.modules))
