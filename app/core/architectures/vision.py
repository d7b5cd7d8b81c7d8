"""Vision towers whose layers are a plain encoder's: CLIP, InternViT, Idefics 3 and the first two Qwen VL.

Source: Transformers 5.16.1, ``models/clip``, ``internvl``, ``idefics3``, ``smolvlm``, ``qwen2_vl`` and ``qwen2_5_vl``.
"""

from typing import Any

from app.core.architecture import Module, Part
from app.core.architectures import rows
from app.core.architectures.towers import (
    TOWER,
    convolution,
    embedding,
    encoder_layers,
    heads_of,
    linear,
    norm,
    parameter,
    places,
)
from app.core.config_json import ConfigReader


def clip(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """CLIP's vision tower, as LLaVA has it."""
    middle = sight.size("intermediate_size", default=3072)
    heads_of(sight, "num_attention_heads", width, 12)
    patch = sight.size("patch_size", default=32)
    channels = sight.size("num_channels", default=3)
    layers = tuple(range(sight.layers("num_hidden_layers", default=12)))
    return (
        parameter(TOWER + "embeddings.class_embedding", width),
        convolution(TOWER + "embeddings.patch_embedding", width, channels, patch, patch),
        embedding(TOWER + "embeddings.position_embedding", places(sight, 224, 32) + 1, width),
        norm(TOWER + "pre_layrnorm", width, bias=True),
        *encoder_layers(TOWER, width, middle, layers),
        norm(TOWER + "post_layernorm", width, bias=True),
    )


def idefics3(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """Idefics 3's and SmolVLM's tower, SigLIP without its pooling head."""
    tower = "model.vision_model."
    middle = sight.size("intermediate_size", default=3072)
    heads_of(sight, "num_attention_heads", width, 16)
    patch = sight.size("patch_size", default=32)
    channels = sight.size("num_channels", default=3)
    side = sight.size("image_size", default=224) // patch
    layers = tuple(range(sight.layers("num_hidden_layers", default=12)))
    return (
        convolution(tower + "embeddings.patch_embedding", width, channels, patch, patch, bias=True),
        embedding(tower + "embeddings.position_embedding", side**2, width),
        *encoder_layers(tower, width, middle, layers),
        norm(tower + "post_layernorm", width, bias=True),
    )


def internvl(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """InternViT: two scales a layer, and norms that may be RMSNorms."""
    middle = sight.size("intermediate_size", default=4096)
    heads_of(sight, "num_attention_heads", width, 16)
    high, wide = sight.sides("patch_size", default=14)
    channels = sight.size("num_channels", default=3)
    layers = tuple(range(sight.layers("num_hidden_layers", default=24)))
    bias = sight.flag("attention_bias", default=False)
    centred = sight.text("norm_type", default="layer_norm") != "rms_norm"
    start, prefix = TOWER + "embeddings.", TOWER + "encoder.layer.{}."
    positions = sight.flag("use_absolute_position_embeddings", default=True)
    between = ("attention.q_norm", "attention.k_norm") if sight.flag("use_qk_norm", default=False) else ()
    tall, broad = sight.sides("image_size", default=448)
    patches = (tall // high) * (broad // wide)
    table = parameter(start + "position_embeddings", 1, patches + 1, width)
    return (
        parameter(start + "cls_token", 1, 1, width),
        *((parameter(start + "mask_token", 1, 1, width),) if sight.flag("use_mask_token", default=False) else ()),
        *((table,) if positions else ()),
        convolution(start + "patch_embeddings.projection", width, channels, high, wide, bias=True),
        parameter(prefix + "lambda_1", width, layers=layers),
        parameter(prefix + "lambda_2", width, layers=layers),
        *(linear(f"{prefix}attention.{name}_proj", width, width, bias=bias, layers=layers) for name in "qkv"),
        linear(prefix + "attention.projection_layer", width, width, bias=True, layers=layers),
        *(norm(prefix + name, width, layers=layers) for name in between),
        linear(prefix + "mlp.fc1", width, middle, bias=True, layers=layers),
        linear(prefix + "mlp.fc2", middle, width, bias=True, layers=layers),
        norm(prefix + "layernorm_before", width, bias=centred, layers=layers),
        norm(prefix + "layernorm_after", width, bias=centred, layers=layers),
        *(() if sight.flag("use_mean_pooling", default=True) else (norm(TOWER + "layernorm", width, bias=True),)),
    )


def qwen2_vl(sight: ConfigReader) -> tuple[Module, ...]:
    """Qwen 2 VL's tower; its ``hidden_size`` is the language model's, and its own width ``embed_dim``."""
    width = sight.size("embed_dim", default=1280)
    middle = width * sight.size("mlp_ratio", default=4)
    layers = tuple(range(sight.layers("depth", default=32)))
    biased: Any = {"bias": True, "layers": layers}
    prefix = "model.visual.blocks.{}."
    feed = (linear(prefix + "mlp.fc1", width, middle, **biased), linear(prefix + "mlp.fc2", middle, width, **biased))
    out = sight.size("hidden_size", default=3584)
    return _qwen_vl(sight, width, out, layers, feed, centred=True)


def qwen2_5_vl(sight: ConfigReader) -> tuple[Module, ...]:
    """Qwen 2.5 VL's tower: a gated feed-forward and RMSNorms."""
    width = sight.size("hidden_size", default=3584)
    middle = sight.size("intermediate_size", default=3420)
    layers = tuple(range(sight.layers("depth", default=32)))
    biased: Any = {"bias": True, "layers": layers}
    prefix = "model.visual.blocks.{}.mlp."
    feed = (
        linear(prefix + "gate_proj", width, middle, **biased),
        linear(prefix + "up_proj", width, middle, **biased),
        linear(prefix + "down_proj", middle, width, **biased),
    )
    return _qwen_vl(sight, width, sight.size("out_hidden_size", default=3584), layers, feed, centred=False)


def _qwen_vl(
    sight: ConfigReader,
    width: int,
    out: int,
    layers: tuple[int, ...],
    feed: tuple[Module, ...],
    *,
    centred: bool,
) -> tuple[Module, ...]:
    """What both share: attention in one projection, and a merger of neighbouring patches."""
    heads_of(sight, "num_heads", width, 16)
    patch, frames = sight.size("patch_size", default=14), sight.size("temporal_patch_size", default=2)
    merged = width * sight.size("spatial_merge_size", default=2) ** 2
    tower = "model.visual."
    prefix = tower + "blocks.{}."
    channels = sight.size("in_channels", default=3)
    return (
        convolution(tower + "patch_embed.proj", width, channels, frames, patch, patch),
        norm(prefix + "norm1", width, bias=centred, layers=layers),
        norm(prefix + "norm2", width, bias=centred, layers=layers),
        linear(prefix + "attn.qkv", width, 3 * width, bias=True, layers=layers),
        linear(prefix + "attn.proj", width, width, bias=True, layers=layers),
        *feed,
        rows.norm(tower + "merger.ln_q", width, bias=centred, part=Part.PROJECTOR),
        rows.linear(tower + "merger.mlp.0", merged, merged, bias=True, part=Part.PROJECTOR),
        rows.linear(tower + "merger.mlp.2", merged, out, bias=True, part=Part.PROJECTOR),
    )
