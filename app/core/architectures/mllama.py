"""Llama 3.2 Vision: Llama 3.1's layers, between which others look at an image.

Text alone passes those by, as long as none has looked. Source: Transformers 5.16.1, ``models/mllama``.
"""

from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Kind, Module, Part
from app.core.architectures import rows
from app.core.architectures.decoder import (
    BEFORE_BOTH,
    LAYER,
    Sizes,
    activation,
    attention,
    decoder,
    gated,
    norms,
    plain_block,
    read_sizes,
)
from app.core.architectures.towers import convolution, embedding, heads_of, linear, norm, parameter
from app.core.architectures.wrappers import wrap
from app.core.config_json import ConfigReader
from app.core.shown import shown

LOOKING = (3, 8, 13, 18, 23, 28, 33, 38)
"""The layers that do, where a file does not list them."""
RATIOS = 8
"""Shapes of an image in tiles, likewise."""
MORE_TOKENS = 8
"""Of the embedding than of the head."""


def mllama(config: ConfigReader) -> Architecture:
    """Llama 3.2 11B and 90B Vision."""
    text = _text(config.sub("text_config"))
    sight = config.sub("vision_config")
    out = sight.size("vision_output_dim", default=7680)
    project = rows.linear("model.multi_modal_projector", out, text.hidden_size, bias=True, part=Part.PROJECTOR)
    wrapped = wrap("mllama", text, (*_tower(sight), project), tied=False)

    def widened(module: Module) -> Module:
        if module.kind is not Kind.EMBEDDING or module.part is not Part.TEXT:
            return module
        return replace(module, shape=(module.shape[0] + MORE_TOKENS, module.shape[1]))

    return replace(wrapped, modules=tuple(map(widened, wrapped.modules)))


def _text(config: ConfigReader) -> Architecture:
    sizes = read_sizes(
        config,
        hidden=4096,
        intermediate=14336,
        vocab=128256,
        heads=32,
        key_value_heads=8,
        layers=40,
        context=131072,
        divides=True,
    )
    sizes = replace(sizes, head_dim=sizes.hidden // sizes.heads)
    listed = config.values.get("cross_attention_layers")
    if listed is not None and not isinstance(listed, list | tuple):
        given = shown(listed, quoted=True)
        raise config.fault("cross_attention_layers", "error.config_json.per_layer", given=given, length=len(LOOKING))
    chosen = LOOKING if listed is None else listed
    looking = tuple(layer for layer in sizes.layers if layer in chosen)
    reading = tuple(layer for layer in sizes.layers if layer not in looking)
    if not reading:
        raise config.fault("cross_attention_layers", "error.config_json.no_text_layer", length=len(sizes.layers))
    facts: dict[str, Any] = {"activation": activation(config, "silu")}
    return decoder(
        "mllama",
        sizes,
        (*_layer(sizes, reading, "self_attn."), *_looking(sizes, looking)),
        (plain_block(sizes, **facts, layers=reading), plain_block(sizes, **facts, layers=looking)),
    )


def _layer(sizes: Sizes, layers: tuple[int, ...], holder: str) -> tuple[Module, ...]:
    return (
        *attention(sizes, prefix=LAYER + holder, layers=layers),
        *gated(sizes, layers=layers),
        *norms(sizes, *BEFORE_BOTH, layers=layers),
    )


def _looking(sizes: Sizes, layers: tuple[int, ...]) -> tuple[Module, ...]:
    """Their rows are none of the text's, though they stand among its layers."""
    if not layers:
        return ()
    found = (
        *_layer(sizes, layers, "cross_attn."),
        *norms(sizes, "cross_attn.q_norm", "cross_attn.k_norm", width=sizes.head_dim, layers=layers),
        parameter(LAYER + "cross_attn_attn_gate", 1, layers=layers),
        parameter(LAYER + "cross_attn_mlp_gate", 1, layers=layers),
    )
    return tuple(replace(row, part=Part.CROSS) for row in found)


def _tower(sight: ConfigReader) -> tuple[Module, ...]:
    """Two encoders, the second of gated layers; tiles have positions of their own."""
    width = sight.size("hidden_size", default=1280)
    middle = sight.size("intermediate_size", default=5120)
    heads_of(sight, "attention_heads", width, 16)
    patch = sight.size("patch_size", default=14)
    channels = sight.size("num_channels", default=3)
    tiles = sight.size("max_num_tiles", default=4)
    ratios = sight.values.get("supported_aspect_ratios")
    shapes = 1 + (len(ratios) if isinstance(ratios, list | tuple) else RATIOS)
    patches = (sight.size("image_size", default=448) // patch) ** 2 + 1
    tower = "model.vision_model."
    position = tower + "gated_positional_embedding."
    return (
        parameter(tower + "class_embedding", width),
        convolution(tower + "patch_embedding", width, channels, patch, patch),
        parameter(position + "gate", 1),
        parameter(position + "embedding", patches, width),
        embedding(position + "tile_embedding", shapes, tiles * patches * width),
        *_tile_positions(tower + "pre_tile_positional_embedding.", shapes, tiles * width),
        *_tile_positions(tower + "post_tile_positional_embedding.", shapes, tiles * width),
        norm(tower + "layernorm_pre", width, bias=True),
        norm(tower + "layernorm_post", width, bias=True),
        *_encoder(tower + "transformer.", width, middle, sight.layers("num_hidden_layers", default=32), gates=False),
        *_encoder(
            tower + "global_transformer.", width, middle, sight.layers("num_global_layers", default=8), gates=True
        ),
    )


def _tile_positions(path: str, shapes: int, width: int) -> tuple[Module, ...]:
    return (parameter(path + "gate", 1), embedding(path + "embedding", shapes, width))


def _encoder(path: str, width: int, middle: int, count: int, *, gates: bool) -> tuple[Module, ...]:
    layers = tuple(range(count))
    prefix = path + "layers.{}."
    biased: Any = {"bias": True, "layers": layers}
    return (
        *(linear(prefix + f"self_attn.{name}_proj", width, width, layers=layers) for name in "qkvo"),
        linear(prefix + "mlp.fc1", width, middle, **biased),
        linear(prefix + "mlp.fc2", middle, width, **biased),
        norm(prefix + "input_layernorm", width, **biased),
        norm(prefix + "post_attention_layernorm", width, **biased),
        *(parameter(prefix + name, 1, layers=layers) for name in ("gate_attn", "gate_ffn") if gates),
    )
