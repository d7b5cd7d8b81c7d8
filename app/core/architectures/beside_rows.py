"""What a config.json says of a decoder's forward that no row of its modules shows: dropouts, positions, a scale.

Source: Transformers 5.16.1, ``models/<model_type>/configuration_<model_type>.py`` for keys and defaults and
``modeling_...`` for where they act.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isclose

from app.core.architecture import Architecture, Dropouts
from app.core.config_json import ConfigReader

SCORES = "attention_dropout"
"""The key of nearly every type; it acts on eager's probabilities alone, as kernels drop within."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """A type's keys: of what attention and feed-forward return, of the embedding's output, and of probabilities."""

    attention: str = ""
    feed_forward: str = ""
    embedding: str = ""
    scores: str = SCORES
    default: float = 0.0
    scores_default: float = 0.0
    modules: bool = True
    """Whether ``nn.Dropout`` drops what is returned, which TRL's trainers switch off."""


KEYS: Mapping[str, Keys] = {
    "gpt2": Keys(
        attention="resid_pdrop",
        feed_forward="resid_pdrop",
        embedding="embd_pdrop",
        scores="attn_pdrop",
        default=0.1,
        scores_default=0.1,
    ),
    "gptj": Keys(attention="resid_pdrop", feed_forward="resid_pdrop", embedding="embd_pdrop", scores="attn_pdrop"),
    "gpt_neox": Keys(attention="hidden_dropout", feed_forward="hidden_dropout", embedding="hidden_dropout"),
    "opt": Keys(attention="dropout", feed_forward="dropout", default=0.1, modules=False),
    "starcoder2": Keys(
        attention="residual_dropout",
        feed_forward="residual_dropout",
        embedding="embedding_dropout",
        modules=False,
    ),
    "bloom": Keys(attention="hidden_dropout", feed_forward="hidden_dropout", modules=False),
    "seed_oss": Keys(
        attention="residual_dropout",
        feed_forward="residual_dropout",
        default=0.1,
        scores_default=0.1,
        modules=False,
    ),
    "phi": Keys(attention="resid_pdrop", feed_forward="resid_pdrop", embedding="embd_pdrop"),
    "phi3": Keys(attention="resid_pdrop", feed_forward="resid_pdrop"),
    "stablelm": Keys(feed_forward="hidden_dropout"),
}
SHARES = ("partial_rotary_factor", "rotary_pct")
ROOTED = frozenset(("gemma2", "gemma3", "gemma3_text"))
"""Whose scores are scaled by the root of ``query_pre_attn_scalar``."""
MULTIPLIED = frozenset(("granite", "granitemoe", "granitemoehybrid"))
"""Whose scores are scaled by ``attention_multiplier``."""
UNSCALED = frozenset(("gemma4", "gemma4_text"))
"""Whose scores are not scaled at all."""


def read_beside(config: ConfigReader, architecture: Architecture) -> Architecture:
    """The architecture with its dropouts and the part of a head that takes positions, where it is said."""
    keys = KEYS.get(architecture.computes_as, Keys())

    def drops(key: str, default: float) -> bool:
        return bool(key) and config.number(key, default) > 0

    default = keys.default
    dropouts = Dropouts(
        attention=drops(keys.attention, default),
        feed_forward=drops(keys.feed_forward, default),
        embedding=drops(keys.embedding, default),
        scores=drops(keys.scores, keys.scores_default),
        modules=keys.modules,
    )
    scaled = _own_scale(config, architecture)
    return replace(architecture, dropouts=dropouts, rotary=_rotary(config, architecture), own_scale=scaled)


def _own_scale(config: ConfigReader, architecture: Architecture) -> bool:
    """Whether scores are scaled by another number than one over the root of a head's width."""
    kind = architecture.computes_as
    width = next((block.head_dim for block in architecture.blocks if block.attention_heads), 1)
    if kind in ROOTED:
        return config.number("query_pre_attn_scalar", 256.0) != width
    if kind in MULTIPLIED:
        return not isclose(config.number("attention_multiplier", 1.0), width**-0.5, abs_tol=1e-9)
    return kind in UNSCALED


def _rotary(config: ConfigReader, architecture: Architecture) -> int | None:
    """Elements of a head that take positions, None where the file leaves it to the type's default."""
    if architecture.computes_as == "gptj":
        return config.size("rotary_dim", default=64)
    if architecture.computes_as == "granitemoehybrid":
        return None if config.text("position_embedding_type", default="") == "rope" else 0
    places = (config, config.sub("rope_parameters"))
    stated = next((place.number(key, 1.0) for place in places for key in SHARES if place.has(key)), None)
    widths = [block.head_dim for block in architecture.blocks if block.attention_heads]
    return int(stated * widths[0]) if stated is not None and widths and 0 < stated <= 1 else None
