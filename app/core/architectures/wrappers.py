"""Language models behind other towers: Mistral 3, Gemma 3 and 4, Qwen 3.5 and Llama 4.

Described as Axolotl loads them, with ``AutoModelForImageTextToText``: the towers included.
Source: Transformers 5.16.1, ``models/<model_type>``.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import isqrt
from typing import Any

from app.core.architecture import Architecture, Kind, Module, Part, Sight
from app.core.architectures import experts, gemma, gemma4, latent, llama, qwen, towers
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
    return wrap("gemma4", text, others, tied=config.flag("tie_word_embeddings", default=True))


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
    return wrap("gemma4_unified", text, others, tied=config.flag("tie_word_embeddings", default=True))


def _qwen3_5(config: ConfigReader, model_type: str, text: Callable[[ConfigReader], Architecture]) -> Architecture:
    inner = text(config.sub("text_config"))
    others = towers.qwen_vision(config.sub("vision_config"))
    return wrap(model_type, inner, others, tied=config.flag("tie_word_embeddings", default=False))


def qwen3_5(config: ConfigReader) -> Architecture:
    """Qwen 3.5 and 3.6 dense."""
    return _qwen3_5(config, "qwen3_5", qwen.qwen3_5_text)


def qwen3_5_moe(config: ConfigReader) -> Architecture:
    """Qwen 3.5 and 3.6 mixture of experts."""
    return _qwen3_5(config, "qwen3_5_moe", qwen.qwen3_5_moe_text)


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
