"""Which description serves which ``model_type``."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from app.core.architecture import UNPACKED_BY, Architecture, Kind, Module, Packing
from app.core.architectures import (
    afmoe,
    classic,
    cohere,
    experts,
    gemma,
    gemma4,
    glm,
    glm_vl,
    granite_hybrid,
    hybrid,
    latent,
    lfm2,
    llama,
    llava,
    mllama,
    olmo,
    phi,
    qwen,
    qwen_vl,
    voxtral,
    wrappers,
)
from app.core.architectures.beside_rows import read_beside
from app.core.config_json import INNER, LARGEST_SIZE, ConfigReader
from app.core.nearest import nearest

Description: TypeAlias = Callable[[ConfigReader], Architecture]

DESCRIPTIONS: Mapping[str, Description] = {
    "afmoe": afmoe.afmoe,
    "apertus": llama.apertus,
    "arcee": llama.arcee,
    "bloom": classic.bloom,
    "cohere": cohere.cohere,
    "cohere2": cohere.cohere,
    "deepseek_v2": latent.deepseek,
    "deepseek_v3": latent.deepseek,
    "ernie4_5": llama.ernie4_5,
    "ernie4_5_moe": experts.ernie4_5_moe,
    "exaone4": olmo.exaone4,
    "falcon": classic.falcon,
    "falcon_h1": hybrid.falcon_h1,
    "gemma": gemma.gemma,
    "gemma2": gemma.gemma2,
    "gemma3": wrappers.gemma3,
    "gemma3_text": gemma.gemma3_text,
    "gemma4": wrappers.gemma4_with_towers,
    "gemma4_text": gemma4.gemma4_text,
    "gemma4_unified": wrappers.gemma4_unified,
    "glm": glm.glm,
    "glm4": glm.glm,
    "glm46v": glm_vl.glm46v,
    "glm4_moe": latent.glm4_moe,
    "glm4_moe_lite": latent.glm4_moe_lite,
    "glm4v": glm_vl.glm4v,
    "glm4v_moe": glm_vl.glm4v_moe,
    "gpt2": classic.gpt2,
    "gpt_neox": classic.gpt_neox,
    "gpt_oss": experts.gpt_oss,
    "gptj": classic.gptj,
    "granite": llama.granite,
    "granitemoe": experts.granitemoe,
    "granitemoehybrid": granite_hybrid.granitemoehybrid,
    "helium": llama.helium,
    "hunyuan_v1_dense": llama.hunyuan_v1_dense,
    "idefics3": llava.idefics3,
    "internvl": llava.internvl,
    "jamba": hybrid.jamba,
    "lfm2": lfm2.lfm2,
    "lfm2_moe": lfm2.lfm2_moe,
    "lfm2_vl": lfm2.lfm2_vl,
    "llama": llama.llama,
    "llama4": wrappers.llama4,
    "llama4_text": experts.llama4_text,
    "llava": llava.llava,
    "llava_next": llava.llava_next,
    "llava_onevision": llava.llava_onevision,
    "minimax_m2": experts.minimax_m2,
    "ministral": llama.ministral,
    "ministral3": llama.ministral3,
    "mistral": llama.mistral,
    "mistral3": wrappers.mistral3,
    "mixtral": experts.mixtral,
    "mllama": mllama.mllama,
    "mpt": classic.mpt,
    "nemotron": llama.nemotron,
    "nemotron_h": hybrid.nemotron_h,
    "olmo": olmo.olmo,
    "olmo2": olmo.olmo2,
    "olmo3": olmo.olmo2,
    "olmoe": experts.olmoe,
    "opt": classic.opt,
    "paligemma": llava.paligemma,
    "phi": phi.phi,
    "phi3": phi.phi3,
    "phimoe": phi.phimoe,
    "qwen2": qwen.qwen2,
    "qwen2_5_vl": qwen_vl.qwen2_5_vl,
    "qwen2_moe": experts.qwen2_moe,
    "qwen2_vl": qwen_vl.qwen2_vl,
    "qwen3": qwen.qwen3,
    "qwen3_5": qwen_vl.qwen3_5,
    "qwen3_5_moe": qwen_vl.qwen3_5_moe,
    "qwen3_5_moe_text": qwen.qwen3_5_moe_text,
    "qwen3_5_text": qwen.qwen3_5_text,
    "qwen3_moe": experts.qwen3_moe,
    "qwen3_next": qwen.qwen3_next,
    "qwen3_vl": qwen_vl.qwen3_vl,
    "qwen3_vl_moe": qwen_vl.qwen3_vl_moe,
    "seed_oss": llama.seed_oss,
    "smollm3": llama.smollm3,
    "smolvlm": llava.smolvlm,
    "stablelm": classic.stablelm,
    "starcoder2": classic.starcoder2,
    "voxtral": voxtral.voxtral,
}

OLD_MIXTRAL_NAMES = {"gate": "gate.weight", "w1": "gate_up_proj", "w3": "gate_up_proj", "w2": "down_proj"}
OLD_EXPERT_NAMES = {
    "gate": "gate.weight",
    "gate_proj": "gate_up_proj",
    "up_proj": "gate_up_proj",
    "down_proj": "down_proj",
}
EXPERT_NAMES: Mapping[str, Mapping[str, str]] = {
    **dict.fromkeys(("minimax_m2", "mixtral"), OLD_MIXTRAL_NAMES),
    **dict.fromkeys(
        """afmoe deepseek_v2 deepseek_v3 ernie4_5_moe glm4_moe glm4_moe_lite glm4v_moe olmoe qwen3_moe
        qwen3_next""".split(),
        OLD_EXPERT_NAMES,
    ),
}
"""Target names of before Transformers 5 that PEFT 0.20 rewrites to the fused expert parameters of these models.

Source: PEFT 0.20.0, ``utils/transformers_weight_conversion.py`` and Transformers 5.16.1, ``conversion_mapping.py``.
"""

PACKED_BITS = (2, 3, 4, 8)
"""What ``GPTQConfig`` of Transformers 5.16.1 takes."""
LANGUAGE_MODEL = "model.language_model."
TOWERS = ("vision_config", "audio_config", "vision_tower", "mm_vision_tower")
NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
"""What an unknown ``model_type`` must state to be counted as a decoder of Llama's shape."""


def supported_model_types() -> tuple[str, ...]:
    """Every ``model_type`` that a description covers, sorted."""
    return tuple(sorted(DESCRIPTIONS))


def describe(config_json: Mapping[str, Any]) -> Architecture:
    """The architecture of a model from the facts of its config.json.

    Raises:
        InvalidInput: a field is missing or nonsense, or the ``model_type`` is unknown and the fields do
            not allow counting it as the nearest known shape.
    """
    config = ConfigReader(config_json)
    return replace(_described(config), packing=_packing(config), published_in=_published_in(config))


def _described(config: ConfigReader) -> Architecture:
    """The model, however its checkpoint stores it."""
    model_type = config.text("model_type", default="")
    description = DESCRIPTIONS.get(model_type)
    inner = next((config.sub(key) for key in INNER if config.has(key)), None)
    if description is not None and not _within_others(model_type, inner):
        described = read_beside(inner or config, description(config))
        return replace(described, expert_names=EXPERT_NAMES.get(model_type, {}))
    if not model_type:
        raise config.fault("model_type", "error.config_json.missing")
    if inner is not None:
        return _language_model_alone(config, inner, model_type)
    if not all(config.has(key) for key in NEEDED):
        close = nearest(model_type, DESCRIPTIONS)
        raise config.fault(
            "model_type", "error.config_json.model_type", given=model_type, nearest=", ".join(close) or "llama"
        )
    towers = any(map(config.has, TOWERS))
    return replace(llama.llama(config), model_type=model_type, approximate=True, towers_left_out=towers)


def _within_others(model_type: str, inner: ConfigReader | None) -> bool:
    """Whether a wrapper that takes any language model holds one that only stands by itself in the recordings."""
    if model_type not in llava.WRAPPERS or inner is None:
        return False
    kind = inner.text("model_type", default="")
    return kind in DESCRIPTIONS and kind not in llava.LANGUAGE_MODELS


def _language_model_alone(config: ConfigReader, inner: ConfigReader, model_type: str) -> Architecture:
    """The language model of a wrapper that no description covers, where Transformers 5's wrappers have it.

    Raises:
        InvalidInput: no description covers the language model either.
    """
    kind = inner.text("model_type", default="")
    if kind not in DESCRIPTIONS:
        if not kind:
            raise inner.fault("model_type", "error.config_json.missing")
        close = ", ".join(nearest(kind, DESCRIPTIONS)) or "llama"
        code = "error.config_json.wrapper"
        raise inner.fault("model_type", code, given=kind[:60], wrapper=model_type[:60], nearest=close)
    text = read_beside(inner, DESCRIPTIONS[kind](inner))
    tied = config.flag("tie_word_embeddings", default=text.tie_word_embeddings)
    embedding = next(module.path for module in text.modules if module.kind is Kind.EMBEDDING)

    def placed(path: str) -> str:
        return LANGUAGE_MODEL + path.removeprefix("model.")

    def moved(module: Module) -> Module:
        if module.kind is Kind.HEAD:
            return replace(module, tied_to=placed(embedding) if tied else None)
        return replace(module, path=placed(module.path))

    return replace(
        text,
        model_type=model_type,
        language_type=kind,
        modules=tuple(map(moved, text.modules)),
        tie_word_embeddings=tied,
        multimodal=True,
        approximate=True,
        towers_left_out=True,
    )


def _published_in(config: ConfigReader) -> str:
    """The format of a checkpoint that is quantised already, where it is one that is unpacked to train."""
    method = config.sub("quantization_config").text("quant_method", default="")
    return method if method in UNPACKED_BY else ""


def _packing(config: ConfigReader) -> Packing | None:
    """What the config.json of a GPTQ checkpoint says of it; defaults and limits are those of ``GPTQConfig``."""
    quantized = config.sub("quantization_config")
    if quantized.text("quant_method", default="") != "gptq":
        return None
    bits = quantized.size("bits", default=4)
    if bits not in PACKED_BITS:
        raise quantized.fault("bits", "error.config_json.bits", given=bits, allowed=", ".join(map(str, PACKED_BITS)))
    group_size = quantized.size("group_size", default=128, least=-1)
    if not group_size:
        raise quantized.fault("group_size", "error.config_json.range", given=0, least=1, most=LARGEST_SIZE)
    backend = quantized.text("backend", default="auto").lower()
    symmetric = quantized.flag("sym", default=True)
    return Packing(bits=bits, group_size=group_size, symmetric=symmetric, backend=backend)
