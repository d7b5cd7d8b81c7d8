"""GLM with eyes: 4.1V and 4.6V Flash on GLM 4, 4.5V and 4.6V on its mixture of experts.

Source: Transformers 5.16.1, ``models/glm4v``, ``glm4v_moe`` and ``glm46v``, which takes either language model.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from app.core.architecture import Architecture, Module, Part, Sight
from app.core.architectures import rows
from app.core.architectures.glm import glm4v_text
from app.core.architectures.latent import glm4v_moe_text
from app.core.architectures.towers import USUAL_SIDE, convolution, embedding, heads_of, linear, norm, places
from app.core.architectures.wrappers import wrap
from app.core.config_json import ConfigReader

LEAST_SIDE, MOST_SIDE = 79, 2194
"""Roots of half of ``shortest_edge`` and ``longest_edge``, 12,544 and 9,633,792 as published: both frames count."""
LANGUAGE_MODELS: Mapping[str, Callable[[ConfigReader], Architecture]] = {
    "glm4v_text": glm4v_text,
    "glm4v_moe_text": glm4v_moe_text,
}


def _tower(sight: ConfigReader) -> tuple[Module, ...]:
    """The tower and its merger, the projector; a layer's feed-forward is as wide as what the merger returns."""
    width = sight.size("hidden_size", default=1536)
    out = sight.size("out_hidden_size", default=4096)
    middle = sight.size("intermediate_size", default=13696)
    heads_of(sight, "num_heads", width, 12)
    bias = sight.flag("attention_bias", default=False)
    patch, frames = sight.size("patch_size", default=14), sight.size("temporal_patch_size", default=2)
    merge = sight.size("spatial_merge_size", default=2)
    channels = sight.size("in_channels", default=3)
    layers = tuple(range(sight.layers("depth", default=24)))
    tower = "model.visual."
    prefix, merger = tower + "blocks.{}.", tower + "merger."
    return (
        embedding(tower + "embeddings.position_embedding", places(sight, 336, 14), width),
        convolution(tower + "patch_embed.proj", width, channels, frames, patch, patch, bias=True),
        norm(prefix + "norm1", width, layers=layers),
        norm(prefix + "norm2", width, layers=layers),
        linear(prefix + "attn.qkv", width, 3 * width, bias=bias, layers=layers),
        linear(prefix + "attn.proj", width, width, layers=layers),
        linear(prefix + "mlp.gate_proj", width, out, layers=layers),
        linear(prefix + "mlp.up_proj", width, out, layers=layers),
        linear(prefix + "mlp.down_proj", out, width, layers=layers),
        rows.linear(merger + "proj", out, out, part=Part.PROJECTOR),
        rows.norm(merger + "post_projection_norm", out, bias=True, part=Part.PROJECTOR),
        rows.linear(merger + "gate_proj", out, middle, part=Part.PROJECTOR),
        rows.linear(merger + "up_proj", out, middle, part=Part.PROJECTOR),
        rows.linear(merger + "down_proj", middle, out, part=Part.PROJECTOR),
        norm(tower + "post_conv_layernorm", width),
        convolution(tower + "downsample", out, width, merge, merge, bias=True),
        norm(tower + "post_layernorm", width),
    )


def _sight(sight: ConfigReader) -> Sight:
    """Images keep their size from 79 to 2,194 pixels a side; smaller and larger ones are brought to that."""
    width = sight.size("hidden_size", default=1536)
    return Sight(
        tower="model.visual.",
        projector="model.visual.merger.",
        side=USUAL_SIDE,
        patch=sight.size("patch_size", default=14),
        square=sight.size("spatial_merge_size", default=2),
        channels=sight.size("in_channels", default=3),
        frames=sight.size("temporal_patch_size", default=2),
        width=width,
        heads=heads_of(sight, "num_heads", width, 12),
        asks=False,
        least_side=LEAST_SIDE,
        most_side=MOST_SIDE,
    )


def _wrapped(config: ConfigReader, model_type: str, kind: str) -> Architecture:
    """The language model, which keeps its own type for how it computes, behind the tower."""
    inner = config.sub("text_config")
    text = replace(LANGUAGE_MODELS[kind](inner), language_type=kind)
    tied = config.flag("tie_word_embeddings", default=False)
    tied = tied or (model_type != "glm46v" and inner.flag("tie_word_embeddings", default=False))
    sight = config.sub("vision_config")
    return replace(wrap(model_type, text, _tower(sight), tied=tied), sight=_sight(sight))


def glm4v(config: ConfigReader) -> Architecture:
    """GLM 4.1V 9B."""
    return _wrapped(config, "glm4v", "glm4v_text")


def glm4v_moe(config: ConfigReader) -> Architecture:
    """GLM 4.5V."""
    return _wrapped(config, "glm4v_moe", "glm4v_moe_text")


def glm46v(config: ConfigReader) -> Architecture:
    """GLM 4.6V, and 4.6V Flash."""
    inner = config.sub("text_config")
    kind = inner.inner_type(LANGUAGE_MODELS, default="glm4v_text")
    return _wrapped(config, "glm46v", kind)
