"""Vision and audio towers in front of a language model.

Source: Transformers 5.16.1, ``models/siglip``, ``siglip2``, ``pixtral``, ``qwen3_5``, ``llama4`` and ``gemma4``.
"""

from dataclasses import replace
from functools import partial
from typing import Any

from app.core.architecture import Module, Part
from app.core.architectures import rows
from app.core.architectures.decoder import AROUND_BOTH
from app.core.config_json import ConfigReader

TOWER = "model.vision_tower."
USUAL_SIDE = 1024
"""Pixels a side that an image is taken to have where nothing says it."""

linear = partial(rows.linear, part=Part.VISION)
norm = partial(rows.norm, part=Part.VISION)
embedding = partial(rows.embedding, part=Part.VISION)
parameter = partial(rows.parameter, part=Part.VISION)
convolution = partial(rows.convolution, part=Part.VISION)
depthwise = partial(rows.depthwise, part=Part.VISION)


def heads_of(config: ConfigReader, key: str, width: int, default: int) -> int:
    """The heads under ``key``, which divide the width."""
    heads = config.size(key, default=default)
    if width % heads:
        raise config.fault(key, "error.config_json.divides", given=heads, whole=width)
    return heads


def places(sight: ConfigReader, image: int, patch: int) -> int:
    """Patches of a square image, with a description's defaults for its side and a patch's."""
    return (sight.size("image_size", default=image) // sight.size("patch_size", default=patch)) ** 2


def encoder_layers(tower: str, width: int, middle: int, layers: tuple[int, ...]) -> tuple[Module, ...]:
    """The layers of CLIP and SigLIP."""
    prefix = tower + "encoder.layers.{}."
    return (
        *(
            linear(prefix + f"self_attn.{name}", width, width, bias=True, layers=layers)
            for name in ("q_proj", "k_proj", "v_proj", "out_proj")
        ),
        linear(prefix + "mlp.fc1", width, middle, bias=True, layers=layers),
        linear(prefix + "mlp.fc2", middle, width, bias=True, layers=layers),
        norm(prefix + "layer_norm1", width, bias=True, layers=layers),
        norm(prefix + "layer_norm2", width, bias=True, layers=layers),
    )


def pixtral(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """Pixtral's vision tower."""
    middle = sight.size("intermediate_size", default=4096)
    heads_of(sight, "num_attention_heads", width, 16)
    patch = sight.size("patch_size", default=16)
    layers = tuple(range(sight.layers("num_hidden_layers", default=24)))
    prefix = TOWER + "transformer.layers.{}."
    return (
        convolution(TOWER + "patch_conv", width, sight.size("num_channels", default=3), patch, patch),
        norm(TOWER + "ln_pre", width),
        *(
            linear(prefix + f"attention.{name}", width, width, layers=layers)
            for name in ("q_proj", "k_proj", "v_proj", "o_proj")
        ),
        linear(prefix + "feed_forward.gate_proj", width, middle, layers=layers),
        linear(prefix + "feed_forward.up_proj", width, middle, layers=layers),
        linear(prefix + "feed_forward.down_proj", middle, width, layers=layers),
        norm(prefix + "attention_norm", width, layers=layers),
        norm(prefix + "ffn_norm", width, layers=layers),
    )


def pixtral_places(sight: ConfigReader, width: int) -> int:
    """Values of its tables, twice an angle for each element of a head at each place (``original_inv_freq``)."""
    head = sight.size("head_dim", default=width // heads_of(sight, "num_attention_heads", width, 16))
    return 2 * places(sight, 1024, 16) * head


def siglip(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """SigLIP's vision tower, with its pooling head unless ``vision_use_head`` is false."""
    middle = sight.size("intermediate_size", default=3072)
    heads_of(sight, "num_attention_heads", width, 12)
    patch = sight.size("patch_size", default=16)
    layers = tuple(range(sight.layers("num_hidden_layers", default=12)))
    channels = sight.size("num_channels", default=3)
    rows = (
        convolution(TOWER + "embeddings.patch_embedding", width, channels, patch, patch, bias=True),
        embedding(TOWER + "embeddings.position_embedding", places(sight, 224, 16), width),
        *encoder_layers(TOWER, width, middle, layers),
        norm(TOWER + "post_layernorm", width, bias=True),
    )
    return (*rows, *_pooling_head(sight, width, middle))


def siglip2(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """SigLIP 2's, whose patches pass a linear and whose positions are a number of patches."""
    middle = sight.size("intermediate_size", default=3072)
    heads_of(sight, "num_attention_heads", width, 12)
    seen = sight.size("num_channels", default=3) * sight.size("patch_size", default=16) ** 2
    layers = tuple(range(sight.layers("num_hidden_layers", default=12)))
    return (
        linear(TOWER + "embeddings.patch_embedding", seen, width, bias=True),
        embedding(TOWER + "embeddings.position_embedding", sight.size("num_patches", default=256), width),
        *encoder_layers(TOWER, width, middle, layers),
        norm(TOWER + "post_layernorm", width, bias=True),
        *_pooling_head(sight, width, middle),
    )


def _pooling_head(sight: ConfigReader, width: int, middle: int) -> tuple[Module, ...]:
    """Attention of one learned query, unless ``vision_use_head`` is false."""
    if not sight.flag("vision_use_head", default=True):
        return ()
    pool = TOWER + "head."
    return (
        parameter(pool + "probe", 1, 1, width),
        parameter(pool + "attention.in_proj_weight", 3 * width, width),
        parameter(pool + "attention.in_proj_bias", 3 * width),
        linear(pool + "attention.out_proj", width, width, bias=True),
        norm(pool + "layernorm", width, bias=True),
        linear(pool + "mlp.fc1", width, middle, bias=True),
        linear(pool + "mlp.fc2", middle, width, bias=True),
    )


def qwen_vision(sight: ConfigReader, depths: int = 0) -> tuple[Module, ...]:
    """Qwen 3 VL's and 3.5's tower and its merger, the projector; ``depths`` layers have a merger of their own."""
    width = sight.size("hidden_size", default=1152)
    middle = sight.size("intermediate_size", default=4304)
    heads_of(sight, "num_heads", width, 16)
    merged = width * sight.size("spatial_merge_size", default=2) ** 2
    patch = sight.size("patch_size", default=16)
    frames = sight.size("temporal_patch_size", default=2)
    layers = tuple(range(sight.layers("depth", default=27)))
    tower = "model.visual."
    prefix, deep = tower + "blocks.{}.", tower + "deepstack_merger_list.{}."
    at, out = tuple(range(depths)), sight.size("out_hidden_size", default=3584)
    merger = partial(rows.linear, bias=True, part=Part.PROJECTOR)
    biased: Any = {"bias": True, "layers": layers}
    return (
        convolution(
            tower + "patch_embed.proj", width, sight.size("in_channels", default=3), frames, patch, patch, bias=True
        ),
        embedding(tower + "pos_embed", sight.size("num_position_embeddings", default=2304), width),
        norm(prefix + "norm1", width, **biased),
        norm(prefix + "norm2", width, **biased),
        linear(prefix + "attn.qkv", width, 3 * width, **biased),
        linear(prefix + "attn.proj", width, width, **biased),
        linear(prefix + "mlp.linear_fc1", width, middle, **biased),
        linear(prefix + "mlp.linear_fc2", middle, width, **biased),
        rows.norm(tower + "merger.norm", width, bias=True, part=Part.PROJECTOR),
        merger(tower + "merger.linear_fc1", merged, merged),
        merger(tower + "merger.linear_fc2", merged, out),
        *(
            (
                rows.norm(deep + "norm", merged, bias=True, layers=at, part=Part.PROJECTOR),
                merger(deep + "linear_fc1", merged, merged, layers=at),
                merger(deep + "linear_fc2", merged, out, layers=at),
            )
            if at
            else ()
        ),
    )


def llama4_vision(sight: ConfigReader) -> tuple[Module, ...]:
    """Llama 4's tower and the adapter at its end."""
    width = sight.size("hidden_size", default=768)
    middle = sight.size("intermediate_size", default=5632)
    heads_of(sight, "num_attention_heads", width, 16)
    patch = sight.size("patch_size", default=14)
    places = (sight.size("image_size", default=448) // patch) ** 2 + 1
    layers = tuple(range(sight.layers("num_hidden_layers", default=34)))
    joined = sight.size("projector_output_dim", default=4096)
    tower = "vision_model."
    prefix = tower + "model.layers.{}."
    biased: Any = {"bias": True, "layers": layers}
    return (
        parameter(tower + "class_embedding", width),
        parameter(tower + "positional_embedding_vlm", places, width),
        linear(tower + "patch_embedding.linear", sight.size("num_channels", default=3) * patch**2, width),
        norm(tower + "layernorm_pre", width, bias=True),
        norm(tower + "layernorm_post", width, bias=True),
        *(linear(prefix + f"self_attn.{name}_proj", width, width, **biased) for name in "qkvo"),
        linear(prefix + "mlp.fc1", width, middle, **biased),
        linear(prefix + "mlp.fc2", middle, width, **biased),
        norm(prefix + "input_layernorm", width, **biased),
        norm(prefix + "post_attention_layernorm", width, **biased),
        linear(tower + "vision_adapter.mlp.fc1", middle, sight.size("projector_input_dim", default=4096)),
        linear(tower + "vision_adapter.mlp.fc2", joined, joined),
    )


def gemma4_vision(sight: ConfigReader, width: int) -> tuple[Module, ...]:
    """Gemma 4's vision tower; each of its linears stands in a wrapper and is named ``linear``."""
    heads = sight.size("num_attention_heads", default=12)
    key_value_heads = sight.size("num_key_value_heads", default=12)
    if heads % key_value_heads:
        raise sight.fault("num_key_value_heads", "error.config_json.divides", given=key_value_heads, whole=heads)
    head_dim = sight.size("head_dim", default=64)
    middle = sight.size("intermediate_size", default=3072)
    patch = sight.size("patch_size", default=16)
    layers = tuple(range(sight.layers("num_hidden_layers", default=16)))
    prefix = TOWER + "encoder.layers.{}."
    shapes = (
        ("self_attn.q_proj", width, heads * head_dim),
        ("self_attn.k_proj", width, key_value_heads * head_dim),
        ("self_attn.v_proj", width, key_value_heads * head_dim),
        ("self_attn.o_proj", heads * head_dim, width),
        ("mlp.gate_proj", width, middle),
        ("mlp.up_proj", width, middle),
        ("mlp.down_proj", middle, width),
    )
    places = sight.size("position_embedding_size", default=10240)
    return (
        parameter(TOWER + "patch_embedder.position_embedding_table", 2, places, width),
        linear(TOWER + "patch_embedder.input_proj", 3 * patch**2, width),
        *(
            linear(f"{prefix}{name}.linear", inputs, outputs, layers=layers, wrapped=True)
            for name, inputs, outputs in shapes
        ),
        norm(prefix + "self_attn.q_norm", head_dim, layers=layers),
        norm(prefix + "self_attn.k_norm", head_dim, layers=layers),
        *(norm(prefix + name, width, layers=layers) for name in AROUND_BOTH),
    )


def gemma4_patches(sight: ConfigReader, out: int) -> tuple[Module, ...]:
    """What Gemma 4 12B has in the place of a tower: merged patches through one linear, with positions by axis."""
    side = sight.size("patch_size", default=16) * sight.size("pooling_kernel_size", default=3)
    width = sight.size("mm_embed_dim", default=3840)
    start = "model.embed_vision."
    patch = 3 * side**2
    projected = sight.size("output_proj_dims", default=3840)
    rows_of = (
        norm(start + "patch_ln1", patch, bias=True),
        linear(start + "patch_dense", patch, width, bias=True),
        norm(start + "patch_ln2", width, bias=True),
        parameter(start + "pos_embedding", sight.size("mm_posemb_size", default=1120), 2, width),
        norm(start + "pos_norm", width, bias=True),
        linear(start + "multimodal_embedder.embedding_projection", projected, out),
    )
    return tuple(replace(row, part=Part.PROJECTOR) for row in rows_of)


def gemma4_audio(sound: ConfigReader, out: int) -> tuple[Module, ...]:
    """Gemma 4's audio tower, a conformer."""
    width = sound.size("hidden_size", default=1024)
    heads = heads_of(sound, "num_attention_heads", width, 8)
    layers = tuple(range(sound.layers("num_hidden_layers", default=12)))
    first, second = sound.items("subsampling_conv_channels", 2) or (128, 32)
    first = ConfigReader({"subsampling_conv_channels": first}, sound.pointer).size("subsampling_conv_channels")
    second = ConfigReader({"subsampling_conv_channels": second}, sound.pointer).size("subsampling_conv_channels")
    tower = "model.audio_tower."
    start = tower + "subsample_conv_projection."
    prefix = tower + "layers.{}."
    wrapped = (
        *(
            (f"feed_forward{i}.ffw_layer_{j}", inputs * width, outputs * width)
            for i in (1, 2)
            for j, inputs, outputs in ((1, 1, 4), (2, 4, 1))
        ),
        *((f"self_attn.{name}", width, width) for name in ("q_proj", "k_proj", "v_proj", "post")),
        ("lconv1d.linear_start", width, 2 * width),
        ("lconv1d.linear_end", width, width),
    )
    normed = (
        *(f"feed_forward{i}.{when}_layer_norm" for i in (1, 2) for when in ("pre", "post")),
        "lconv1d.pre_layer_norm",
        "lconv1d.conv_norm",
        "norm_pre_attn",
        "norm_post_attn",
        "norm_out",
    )
    taps = sound.size("conv_kernel_size", default=5)
    tower_rows = (
        convolution(start + "layer0.conv", first, 1, 3, 3),
        norm(start + "layer0.norm", first),
        convolution(start + "layer1.conv", second, first, 3, 3),
        norm(start + "layer1.norm", second),
        linear(start + "input_proj_linear", first // 4 * second, width),
        *(
            linear(f"{prefix}{name}.linear", inputs, outputs, layers=layers, wrapped=True)
            for name, inputs, outputs in wrapped
        ),
        linear(prefix + "self_attn.relative_k_proj", width, width, layers=layers),
        parameter(prefix + "self_attn.per_dim_scale", width // heads, layers=layers),
        depthwise(prefix + "lconv1d.depthwise_conv1d", width, taps, layers=layers),
        *(norm(prefix + name, width, layers=layers) for name in normed),
        linear(tower + "output_proj", width, out, bias=True),
    )
    return tuple(replace(row, part=Part.AUDIO) for row in tower_rows)
