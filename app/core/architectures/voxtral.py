"""Voxtral: Whisper's encoder in front of a language model, Llama by default.

Source: Transformers 5.16.1, ``models/voxtral``.
"""

from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Module, Part
from app.core.architectures import rows, towers
from app.core.architectures.llava import LANGUAGE_MODELS, PROJECTOR
from app.core.architectures.wrappers import wrap
from app.core.config_json import ConfigReader

TEXT: dict[str, Any] = {
    "model_type": "llama",
    "vocab_size": 131072,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 30,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "head_dim": 128,
}
"""What is laid beneath ``text_config``."""


def voxtral(config: ConfigReader) -> Architecture:
    """Voxtral Mini 3B and Small 24B."""
    inner = ConfigReader({**TEXT, **config.sub("text_config").values}, f"{config.pointer}/text_config")
    kind = inner.inner_type(LANGUAGE_MODELS, default="llama")
    text = replace(LANGUAGE_MODELS[kind](inner), logit_softcap=False, language_type=kind)
    sound = config.sub("audio_config")
    taken = sound.size("intermediate_size", "encoder_ffn_dim", default=5120)
    others = (
        *_encoder(sound, taken),
        rows.linear(PROJECTOR + "linear_1", taken, text.hidden_size, part=Part.PROJECTOR),
        rows.linear(PROJECTOR + "linear_2", text.hidden_size, text.hidden_size, part=Part.PROJECTOR),
    )
    return wrap("voxtral", text, others, tied=False)


def _encoder(sound: ConfigReader, middle: int) -> tuple[Module, ...]:
    """Whisper's: two convolutions and a table of positions, which does not train, before the layers."""
    width = sound.size("hidden_size", "d_model", default=1280)
    named = "num_attention_heads" if sound.has("num_attention_heads") else "encoder_attention_heads"
    towers.heads_of(sound, named, width, 20)  # which are held to the width alone
    positions = sound.size("max_source_positions", default=1500)
    layers = tuple(range(sound.layers("num_hidden_layers", "encoder_layers", default=32)))
    tower = "model.audio_tower."
    prefix = tower + "layers.{}."
    biased: Any = {"bias": True, "layers": layers}
    found = (
        rows.convolution(tower + "conv1", width, sound.size("num_mel_bins", default=128), 3, bias=True),
        rows.convolution(tower + "conv2", width, width, 3, bias=True),
        replace(rows.embedding(tower + "embed_positions", positions, width), frozen=True),
        rows.linear(prefix + "self_attn.k_proj", width, width, layers=layers),
        *(
            rows.linear(prefix + f"self_attn.{name}", width, width, **biased)
            for name in ("v_proj", "q_proj", "out_proj")
        ),
        rows.norm(prefix + "self_attn_layer_norm", width, **biased),
        rows.linear(prefix + "fc1", width, middle, **biased),
        rows.linear(prefix + "fc2", middle, width, **biased),
        rows.norm(prefix + "final_layer_norm", width, **biased),
        rows.norm(tower + "layer_norm", width, bias=True),
    )
    return tuple(replace(row, part=Part.AUDIO) for row in found)
