"""Qwen with eyes: 2 VL, 2.5 VL and 3 VL, dense and mixture of experts.

The first two write their language model's sizes at the top of config.json, or under ``text_config`` where saved anew.
Source: Transformers 5.16.1, ``models/qwen2_vl``, ``qwen2_5_vl``, ``qwen3_vl`` and ``qwen3_vl_moe``.
"""

from dataclasses import replace

from app.core.architecture import Architecture, Module, Sight
from app.core.architectures import experts, qwen, towers, vision
from app.core.architectures.wrappers import wrap
from app.core.config_json import ConfigReader

LEAST_SIDE, MOST_SIDE = 56, 3584
"""Of Qwen 2.5 VL: roots of ``min_pixels`` and ``max_pixels``, 3,136 and 12,845,056 in the published processors."""
LEAST_SIDE_STACKED, MOST_SIDE_STACKED = 256, 4096
"""Of Qwen 3 VL: roots of ``shortest_edge`` and ``longest_edge``, 65,536 and 16,777,216 in the published processors."""
WHOLE_LAYERS = (7, 15, 23, 31)
"""Of Qwen 2.5 VL's tower, where a file does not list them."""
HANDING_LAYERS = (8, 16, 24)
"""Layers of Qwen 3 VL's tower with a merger of their own, where a file does not list them."""
DEEPSTACK = len(HANDING_LAYERS)


def _qwen2(config: ConfigReader, model_type: str, tower: tuple[Module, ...]) -> Architecture:
    inner = config.sub("text_config") if config.has("text_config") else config
    tied = config.flag("tie_word_embeddings", default=False) or inner.flag("tie_word_embeddings", default=False)
    return wrap(model_type, qwen.qwen2_vl_text(inner), tower, tied=tied)


def qwen2_vl(config: ConfigReader) -> Architecture:
    """Qwen 2 VL, QVQ."""
    return _qwen2(config, "qwen2_vl", vision.qwen2_vl(config.sub("vision_config")))


def qwen2_5_vl(config: ConfigReader) -> Architecture:
    """Qwen 2.5 VL."""
    sight = config.sub("vision_config")
    made = _qwen2(config, "qwen2_5_vl", vision.qwen2_5_vl(sight))
    return replace(made, sight=_windowed(sight))


def _windowed(sight: ConfigReader) -> Sight:
    """Images keep their size from 56 to 3,584 pixels a side; smaller and larger ones are brought to that."""
    listed = sight.values.get("fullatt_block_indexes")
    whole = [layer for layer in listed if type(layer) is int] if isinstance(listed, list | tuple) else WHOLE_LAYERS
    width, patch = sight.size("hidden_size", default=3584), sight.size("patch_size", default=14)
    square = sight.size("spatial_merge_size", default=2)
    return Sight(
        tower="model.visual.",
        projector="model.visual.merger.",
        side=towers.USUAL_SIDE,
        patch=patch,
        square=square,
        channels=sight.size("in_channels", default=3),
        frames=sight.size("temporal_patch_size", default=2),
        width=width,
        heads=towers.heads_of(sight, "num_heads", width, 16),
        window=max(1, sight.size("window_size", default=112) // patch // square),
        whole_layers=frozenset(whole),
        least_side=LEAST_SIDE,
        most_side=MOST_SIDE,
    )


def _qwen3(config: ConfigReader, model_type: str, text: Architecture) -> Architecture:
    sight = config.sub("vision_config")
    listed = sight.values.get("deepstack_visual_indexes")
    depths = len(listed) if isinstance(listed, list | tuple) else DEEPSTACK
    tower = towers.qwen_vision(sight, depths)
    made = wrap(model_type, text, tower, tied=config.flag("tie_word_embeddings", default=False))
    handing = [layer for layer in listed if type(layer) is int] if isinstance(listed, list | tuple) else HANDING_LAYERS
    return replace(made, sight=_stacked(sight, tuple(handing)))


def _stacked(sight: ConfigReader, handing: tuple[int, ...]) -> Sight:
    """Images keep their size from 256 to 4,096 pixels a side; smaller and larger ones are brought to that."""
    width = sight.size("hidden_size", default=1152)
    return Sight(
        tower="model.visual.",
        projector="model.visual.merger.",
        side=towers.USUAL_SIDE,
        patch=sight.size("patch_size", default=16),
        square=sight.size("spatial_merge_size", default=2),
        channels=sight.size("in_channels", default=3),
        frames=sight.size("temporal_patch_size", default=2),
        width=width,
        heads=towers.heads_of(sight, "num_heads", width, 16),
        asks=False,
        handing_layers=handing,
        least_side=LEAST_SIDE_STACKED,
        most_side=MOST_SIDE_STACKED,
    )


def qwen3_vl(config: ConfigReader) -> Architecture:
    """Qwen 3 VL."""
    return _qwen3(config, "qwen3_vl", qwen.qwen3_vl_text(config.sub("text_config")))


def qwen3_vl_moe(config: ConfigReader) -> Architecture:
    """Qwen 3 VL with experts."""
    return _qwen3(config, "qwen3_vl_moe", experts.qwen3_vl_moe_text(config.sub("text_config")))
