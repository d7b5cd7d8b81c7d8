"""Language models behind other towers: Mistral 3, Gemma 3 and 4, and Llama 4.

Described as Axolotl loads them, with ``AutoModelForImageTextToText``: the towers included.
Source: Transformers 5.16.1, ``models/<model_type>``.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

from app.core.architecture import Architecture, Kind, Module, Part, Sight
from app.core.architectures import experts, gemma, gemma4, latent, llama, towers
from app.core.architectures.rows import linear, norm, parameter
from app.core.config_json import ConfigReader

MISTRAL3_TEXT: Mapping[str, Any] = {
    "model_type": "mistral",
    "head_dim": 128,
    "hidden_size": 5120,
    "intermediate_size": 32768,
    "max_position_embeddings": 131072,
    "num_attention_heads": 32,
    "num_hidden_layers": 40,
    "num_key_value_heads": 8,
    "vocab_size": 131072,
}
GEMMA4_UNIFIED_TEXT: Mapping[str, Any] = {"sliding_window": 1024, "max_position_embeddings": 262144}
SOFT_TOKENS = 280
"""Of an image at the most, as Gemma 4's published processors have it (``max_soft_tokens``)."""
MISTRAL3_VISION: Mapping[str, Any] = {"patch_size": 14, "image_size": 1540}


def wrap(
    model_type: str,
    text: Architecture,
    others: tuple[Module, ...],
    *,
    tied: bool,
    root: str = "model.language_model.",
    head: str = "lm_head",
) -> Architecture:
    """``text`` under ``root`` with its head at ``head``, the rows of ``others`` before it."""

    def renamed(module: Module) -> Module:
        if module.kind is Kind.HEAD:
            return replace(module, path=head, tied_to=root + "embed_tokens" if tied else None)
        return replace(module, path=root + module.path.removeprefix("model."))

    return replace(
        text,
        model_type=model_type,
        modules=(*others, *(renamed(module) for module in text.modules)),
        tie_word_embeddings=tied,
        multimodal=True,
    )


def mistral3(config: ConfigReader) -> Architecture:
    """Mistral Small 3.1 to 4, Ministral 3, Devstral 2: Pixtral's tower."""
    if config.has("text_config"):
        inner = config.sub("text_config")
    else:
        inner = ConfigReader(MISTRAL3_TEXT, f"{config.pointer}/text_config")
    text_type = inner.text("model_type", default="mistral")
    descriptions = {
        "mistral": llama.mistral,
        "ministral3": llama.ministral3,
        "mistral4": latent.mistral4,
        "llama": llama.llama,
    }
    if text_type not in descriptions:
        raise inner.fault(
            "model_type", "error.config_json.model_type", given=text_type, nearest=", ".join(descriptions)
        )
    text = replace(descriptions[text_type](inner), language_type=text_type)
    if config.has("vision_config"):
        sight = config.sub("vision_config")
    else:
        sight = ConfigReader(MISTRAL3_VISION, f"{config.pointer}/vision_config")
    width = sight.size("hidden_size", default=1024)
    merge = config.size("spatial_merge_size", default=2)
    bias = config.flag("multimodal_projector_bias", default=False)
    taken = config.values.get("vision_feature_layer", -1)
    levels = len(taken) if isinstance(taken, list | tuple) and taken else 1
    project = "model.multi_modal_projector."
    others = (
        *towers.pixtral(sight, width),
        norm(project + "norm", width, part=Part.PROJECTOR),
        linear(project + "patch_merger.merging_layer", width * merge**2, width, part=Part.PROJECTOR),
        linear(project + "linear_1", width * levels, text.hidden_size, bias=bias, part=Part.PROJECTOR),
        linear(project + "linear_2", text.hidden_size, text.hidden_size, bias=bias, part=Part.PROJECTOR),
    )
    made = wrap("mistral3", text, others, tied=config.flag("tie_word_embeddings", default=True))
    seen = pixtral_sight(sight, width, square=merge) if taken == -1 else None
    return replace(made, sight=seen, place_values=towers.pixtral_places(sight, width))


def pixtral_sight(sight: ConfigReader, width: int, *, square: int) -> Sight:
    """Images keep their size up to the one that the tower has places for; a token ends each line of them.

    Source: Transformers 5.16.1, ``models/pixtral/image_processing_pixtral.py``, ``processing_pixtral.py``.
    """
    most = sight.size("image_size", default=1024)
    return Sight(
        tower=towers.TOWER,
        projector="model.multi_modal_projector.",
        side=min(towers.USUAL_SIDE, most),
        patch=sight.size("patch_size", default=16),
        square=square,
        channels=sight.size("num_channels", default=3),
        width=width,
        heads=towers.heads_of(sight, "num_attention_heads", width, 16),
        most_side=most,
        line_ends=True,
    )


def gemma3(config: ConfigReader) -> Architecture:
    """Gemma 3 with SigLIP's tower."""
    text = gemma.gemma3_text(config.sub("text_config"))
    sight = config.sub("vision_config")
    width = sight.size("hidden_size", default=768)
    others = (
        *towers.siglip(sight, width),
        parameter(
            "model.multi_modal_projector.mm_input_projection_weight", width, text.hidden_size, part=Part.PROJECTOR
        ),
        norm("model.multi_modal_projector.mm_soft_emb_norm", width, part=Part.PROJECTOR),
    )
    made = wrap("gemma3", text, others, tied=config.flag("tie_word_embeddings", default=True))
    return replace(made, sight=_siglip_sight(config, sight, width))


def _siglip_sight(config: ConfigReader, sight: ConfigReader, width: int) -> Sight | None:
    """Images as Gemma 3 reads them, where the tower has no head, whose result would go unused.

    Every image is brought to the tower's own size; patches are averaged in squares. Source: Transformers 5.16.1,
    ``Gemma3MultiModalProjector``, ``Gemma3ImageProcessor``.
    """
    side, patch = sight.size("image_size", default=224), sight.size("patch_size", default=16)
    given = config.size("mm_tokens_per_image", default=256)
    across = side // patch
    kernel = across // max(1, isqrt(given))
    if sight.flag("vision_use_head", default=True) or not kernel or across % kernel or (across // kernel) ** 2 != given:
        return None
    return Sight(
        tower=towers.TOWER,
        projector="model.multi_modal_projector.",
        side=side,
        patch=patch,
        square=kernel,
        mutual=True,
        channels=sight.size("num_channels", default=3),
        width=width,
        heads=towers.heads_of(sight, "num_attention_heads", width, 12),
    )


def gemma4_with_towers(config: ConfigReader) -> Architecture:
    """Gemma 4 with the towers that its file names."""
    text = gemma4.gemma4_text(config.sub("text_config"))
    others: tuple[Module, ...] = ()
    if config.has("vision_config"):
        sight = config.sub("vision_config")
        width = sight.size("hidden_size", default=768)
        others += (
            *towers.gemma4_vision(sight, width),
            linear("model.embed_vision.embedding_projection", width, text.hidden_size, part=Part.PROJECTOR),
        )
    if config.has("audio_config"):
        sound = config.sub("audio_config")
        out = sound.size("output_proj_dims", default=1536)
        others += (
            *towers.gemma4_audio(sound, out),
            linear("model.embed_audio.embedding_projection", out, text.hidden_size, part=Part.PROJECTOR),
        )
    made = wrap("gemma4", text, others, tied=config.flag("tie_word_embeddings", default=True))
    return replace(made, sight=_pooled_sight(config)) if config.has("vision_config") else made


def _pooled_sight(config: ConfigReader) -> Sight | None:
    """Images as Gemma 4 reads them: as large as its processor's most tokens let a square be, filled up to these.

    Source: Transformers 5.16.1, ``Gemma4ImageProcessor``, ``get_aspect_ratio_preserving_size``.
    """
    sight, inner = config.sub("vision_config"), config.sub("text_config")
    width, heads = sight.size("hidden_size", default=768), sight.size("num_attention_heads", default=12)
    if width != heads * sight.size("head_dim", default=64) or heads != sight.size("num_key_value_heads", default=12):
        return None
    patch, square = sight.size("patch_size", default=16), sight.size("pooling_kernel_size", default=3)
    filled = SOFT_TOKENS * square**2
    return Sight(
        tower=towers.TOWER,
        projector="model.embed_vision.",
        side=isqrt(filled) // square * square * patch,
        patch=patch,
        square=square,
        channels=3,
        width=width,
        heads=heads,
        asks=False,
        mutual=inner.text("use_bidirectional_attention", default="") == "vision",
        mutual_in_windows=True,
        filled=filled,
        clipped=sight.flag("use_clipped_linears", default=False),
    )


def gemma4_unified(config: ConfigReader) -> Architecture:
    """Gemma 4 12B: no towers, a projection of raw patches and one of raw sound instead."""
    inner = config.sub("text_config")
    given = {**GEMMA4_UNIFIED_TEXT, **inner.values, "hidden_size_per_layer_input": 0, "enable_moe_block": False}
    text = replace(gemma4.gemma4_text(ConfigReader(given, inner.pointer)), language_type="gemma4_text")
    others: tuple[Module, ...] = ()
    if config.has("vision_config"):
        others += towers.gemma4_patches(config.sub("vision_config"), text.hidden_size)
    if config.has("audio_config"):
        width = config.sub("audio_config").size("audio_embed_dim", default=640)
        others += (linear("model.embed_audio.embedding_projection", width, text.hidden_size, part=Part.PROJECTOR),)
    made = wrap("gemma4_unified", text, others, tied=config.flag("tie_word_embeddings", default=True))
    return replace(made, sight=_merged_sight(config)) if config.has("vision_config") else made


def _merged_sight(config: ConfigReader) -> Sight:
    """Images as Gemma 4 12B reads them: as the others do, with squares of patches merged before."""
    sight, inner = config.sub("vision_config"), config.sub("text_config")
    small, square = sight.size("patch_size", default=16), sight.size("pooling_kernel_size", default=3)
    patch = small * square
    return Sight(
        tower="model.embed_vision.",
        projector="model.embed_vision.multimodal_embedder.",
        side=isqrt(SOFT_TOKENS * square**2) // square * patch,
        patch=patch,
        square=1,
        channels=3,
        width=3 * patch**2,
        heads=1,
        asks=False,
        mutual=inner.text("use_bidirectional_attention", default="vision") == "vision",
        filled=SOFT_TOKENS,
    )


def llama4(config: ConfigReader) -> Architecture:
    """Llama 4: a whole causal model under ``language_model``, whose own flag ties its head."""
    text = experts.llama4_text(config.sub("text_config"))
    sight = config.sub("vision_config")
    width = sight.size("vision_output_dim", default=7680)
    others = (
        *towers.llama4_vision(sight),
        linear("multi_modal_projector.linear_1", width, text.hidden_size, part=Part.PROJECTOR),
    )
    return wrap(
        "llama4",
        text,
        others,
        tied=text.tie_word_embeddings,
        root="language_model.model.",
        head="language_model.lm_head",
    )
