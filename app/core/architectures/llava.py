"""A language model of any kind behind a tower of any kind: LLaVA, PaliGemma, InternVL, Idefics 3 and SmolVLM.

Described as Axolotl loads them, with ``AutoModelForImageTextToText``. Source: Transformers 5.16.1,
``models/<model_type>``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias, TypeGuard

from app.core import tiling
from app.core.architecture import Architecture, Module, Part, Sight
from app.core.architectures import gemma, llama, qwen, towers, vision
from app.core.architectures.rows import linear, norm, parameter
from app.core.architectures.wrappers import pixtral_sight, wrap
from app.core.config_json import ConfigReader

Tower: TypeAlias = Callable[[ConfigReader, int], tuple[Module, ...]]

LANGUAGE_MODELS: Mapping[str, Callable[[ConfigReader], Architecture]] = {
    "gemma": gemma.gemma,
    "gemma2": gemma.gemma2,
    "granite": llama.granite,
    "llama": llama.llama,
    "ministral3": llama.ministral3,
    "mistral": llama.mistral,
    "qwen2": qwen.qwen2,
    "qwen3": qwen.qwen3,
}
"""Those of which counts and peaks within a wrapper are recorded."""
TOWERS: Mapping[str, tuple[Tower, int]] = {
    "clip_vision_model": (vision.clip, 768),
    "pixtral": (towers.pixtral, 1024),
    "siglip_vision_model": (towers.siglip, 768),
}
"""Each with its default width."""
CLIP: Mapping[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "image_size": 336,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "patch_size": 14,
}
SIGLIP: Mapping[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1152,
    "image_size": 384,
    "intermediate_size": 4304,
    "num_attention_heads": 16,
    "num_hidden_layers": 26,
    "patch_size": 14,
    "vision_use_head": False,
}
PALIGEMMA_VISION: Mapping[str, Any] = {
    **SIGLIP,
    "image_size": 224,
    "intermediate_size": 4096,
    "num_hidden_layers": 27,
}
PALIGEMMA_TEXT: Mapping[str, Any] = {
    "model_type": "gemma",
    "hidden_size": 2048,
    "intermediate_size": 16384,
    "num_attention_heads": 8,
    "num_hidden_layers": 18,
    "num_key_value_heads": 1,
}
GRIDS: tuple[tiling.Grid, ...] = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
"""LLaVA-NeXT's, where a file has none."""
PAIR = 2
WRAPPERS = frozenset("idefics3 internvl llava llava_next llava_onevision paligemma smolvlm".split())
"""The types described here."""
PROJECTOR = "model.multi_modal_projector."


def part_of(config: ConfigReader, key: str, default: Mapping[str, Any]) -> ConfigReader:
    """The nested configuration under ``key``, ``default`` where the file has none."""
    return config.sub(key) if config.has(key) else ConfigReader(default, f"{config.pointer}/{key}")


def language_model(config: ConfigReader, default: Mapping[str, Any]) -> Architecture:
    """What ``text_config`` describes, ``default`` where there is none; the wrapper's head caps no logits."""
    inner = part_of(config, "text_config", default)
    text_type = inner.inner_type(LANGUAGE_MODELS, default=default["model_type"])
    return replace(LANGUAGE_MODELS[text_type](inner), logit_softcap=False, language_type=text_type)


def sight_of(config: ConfigReader, default: Mapping[str, Any]) -> tuple[tuple[Module, ...], int]:
    """The tower that ``vision_config`` describes and its width, ``default`` where there is none."""
    sight = part_of(config, "vision_config", default)
    kind = sight.inner_type(TOWERS, default=default["model_type"])
    tower, width = TOWERS[kind]
    width = sight.size("hidden_size", default=width)
    return tower(sight, width), width


def _llava(
    config: ConfigReader, model_type: str, sight: Mapping[str, Any], text_type: str, *, newline: bool, inherits: bool
) -> Architecture:
    """What the LLaVAs share; ``inherits`` where the language model's own flag ties the head as well."""
    text = language_model(config, {"model_type": text_type})
    tower, width = sight_of(config, sight)
    taken = config.values.get("vision_feature_layer")
    levels = len(taken) if isinstance(taken, list | tuple) and taken else 1
    bias = config.flag("multimodal_projector_bias", default=True)
    others = (
        *((parameter("model.image_newline", text.hidden_size, part=Part.PROJECTOR),) if newline else ()),
        *tower,
        linear(PROJECTOR + "linear_1", width * levels, text.hidden_size, bias=bias, part=Part.PROJECTOR),
        linear(PROJECTOR + "linear_2", text.hidden_size, text.hidden_size, bias=bias, part=Part.PROJECTOR),
    )
    tied = config.flag("tie_word_embeddings", default=False) or (inherits and text.tie_word_embeddings)
    made = wrap(model_type, text, others, tied=tied)
    inner = part_of(config, "vision_config", sight)
    if inner.text("model_type", default=sight["model_type"]) != "pixtral":
        return made
    return replace(made, place_values=towers.pixtral_places(inner, width))


def llava(config: ConfigReader) -> Architecture:
    """LLaVA 1.5 and what is built like it, Pixtral 12B among them."""
    made = _llava(config, "llava", CLIP, "llama", newline=False, inherits=True)
    return replace(made, sight=_sight(config))


def _sight(config: ConfigReader) -> Sight | None:
    """Images as a tower of which one layer's result is taken reads them."""
    inner = part_of(config, "vision_config", CLIP)
    width = inner.size("hidden_size", default=1024)
    taken = config.values.get("vision_feature_layer", -2)
    whole = config.text("vision_feature_select_strategy", default="default") == "full"
    if inner.text("model_type", default="clip_vision_model") == "pixtral":
        return pixtral_sight(inner, width, square=1) if taken == -1 and whole else None
    count = inner.layers("num_hidden_layers", default=12)
    if inner.text("model_type", default="clip_vision_model") != "clip_vision_model" or type(taken) is not int:
        return None
    read = taken if taken >= 0 else count + 1 + taken
    if not 0 < read <= count or inner.text("hidden_act", default="quick_gelu") != "quick_gelu":
        return None
    return Sight(
        tower=towers.TOWER,
        projector=PROJECTOR,
        side=inner.size("image_size", default=224),
        patch=inner.size("patch_size", default=32),
        square=1,
        channels=inner.size("num_channels", default=3),
        width=width,
        heads=towers.heads_of(inner, "num_attention_heads", width, 12),
        read_layers=read,
        classed=True,
        keeps_class=whole,
    )


def llava_next(config: ConfigReader) -> Architecture:
    """LLaVA 1.6."""
    made = _llava(config, "llava_next", CLIP, "llama", newline=True, inherits=False)
    sight, listed = _sight(config), config.values.get("image_grid_pinpoints")
    grids = GRIDS if listed is None else listed
    if sight is None or sight.line_ends or sight.keeps_class or not _are_grids(grids, sight.side):
        return made
    chosen = tuple((high, broad) for high, broad in grids)
    return replace(made, sight=replace(sight, tile=sight.side, side=towers.USUAL_SIDE, grids=chosen))


def _are_grids(given: object, tile: int) -> TypeGuard[Sequence[tiling.Grid]]:
    """Whether these are pairs of whole tiles."""
    if not isinstance(given, list | tuple) or not given:
        return False
    pairs = all(isinstance(one, list | tuple) and len(one) == PAIR for one in given)
    return pairs and all(type(side) is int and side >= tile and not side % tile for one in given for side in one)


def llava_onevision(config: ConfigReader) -> Architecture:
    """LLaVA OneVision: SigLIP and Qwen 2."""
    return _llava(config, "llava_onevision", SIGLIP, "qwen2", newline=True, inherits=True)


def paligemma(config: ConfigReader) -> Architecture:
    """PaliGemma 1 and 2."""
    vocab = config.size("vocab_size", default=257152)
    text = language_model(config, {**PALIGEMMA_TEXT, "vocab_size": vocab})
    tower, width = sight_of(config, PALIGEMMA_VISION)
    out = config.size("projection_dim", default=2048)
    others = (*tower, linear(PROJECTOR + "linear", width, out, bias=True, part=Part.PROJECTOR))
    return wrap("paligemma", text, others, tied=config.flag("tie_word_embeddings", default=True))


def internvl(config: ConfigReader) -> Architecture:
    """InternVL 3 and 3.5 as Transformers has them (``-hf``)."""
    text = language_model(config, {"model_type": "qwen2"})
    sight = config.sub("vision_config")
    width = sight.size("hidden_size", default=1024)
    ratio = config.number("downsample_ratio", 0.5)
    if not 0 < ratio <= 1:
        raise config.fault("downsample_ratio", "error.config_json.number", given=f"{ratio:g}")
    merged = width * int(1 / ratio) ** 2
    others = (
        *vision.internvl(sight, width),
        norm(PROJECTOR + "layer_norm", merged, bias=True, part=Part.PROJECTOR),
        linear(PROJECTOR + "linear_1", merged, text.hidden_size, bias=True, part=Part.PROJECTOR),
        linear(PROJECTOR + "linear_2", text.hidden_size, text.hidden_size, bias=True, part=Part.PROJECTOR),
    )
    return wrap("internvl", text, others, tied=config.flag("tie_word_embeddings", default=True))


def _idefics3(config: ConfigReader, model_type: str) -> Architecture:
    text = language_model(config, {"model_type": "llama"})
    sight = config.sub("vision_config")
    width = sight.size("hidden_size", default=1152)
    merged = width * config.size("scale_factor", default=2) ** 2
    project = "model.connector.modality_projection.proj"
    others = (*vision.idefics3(sight, width), linear(project, merged, text.hidden_size, part=Part.PROJECTOR))
    tied = config.flag("tie_word_embeddings", default=False)
    return wrap(model_type, text, others, tied=tied, root="model.text_model.")


def idefics3(config: ConfigReader) -> Architecture:
    """Idefics 3."""
    return _idefics3(config, "idefics3")


def smolvlm(config: ConfigReader) -> Architecture:
    """SmolVLM 1 and 2."""
    return _idefics3(config, "smolvlm")
