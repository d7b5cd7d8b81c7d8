"""Records corners that the sweeps of the other recorders do not reach: ``python -m tests.reference.parameters.record_corners``.

Needs what ``record_targets`` needs. Writes ``tests/data/parameters/corners.jsonl``: a line of versions, then a point a
line. A point has the ``config.json`` itself under ``model``, and either nothing more (the bare model is counted),
``config`` (Axolotl's keys) or ``adapter`` and ``config`` (PEFT's type and fields); then ``trainable`` and ``all``, or
``refused``.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from tests.reference.parameters.record import PACKAGES, ROOT, build, small_configs, total
from tests.reference.parameters.record_methods import point as of_method
from tests.reference.parameters.record_targets import axolotl
from tests.reference.parameters.record_targets import point as of_keys

POINTS = ROOT / "tests" / "data" / "parameters" / "corners.jsonl"
FIRST, SECOND = "model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"


def models() -> Iterator[dict[str, Any]]:
    """What a config.json may leave out, null or write as a pair."""
    lfm2 = next(small_configs("lfm2"))
    yield lfm2 | {"block_ffn_dim_multiplier": 1.5, "block_multiple_of": 7, "intermediate_size": 100}
    yield lfm2 | {"block_auto_adjust_ff_dim": False, "intermediate_size": 100}
    yield {"model_type": "mistral3"}
    yield {"model_type": "mistral3", "vision_config": {"model_type": "pixtral", "num_hidden_layers": 3}}
    yield {"model_type": "mistral3", "text_config": {"model_type": "mistral", "num_hidden_layers": 2}}
    for model_type in ("gemma3", "llama4", "qwen3_5", "mistral3"):
        for whole in small_configs(model_type):
            sight = whole.get("vision_config") or {"num_hidden_layers": 2}
            if model_type in ("gemma3", "mistral3"):
                sight = sight | {"model_type": "siglip_vision_model" if model_type == "gemma3" else "pixtral"}
            for key, size in (("image_size", 56), ("patch_size", 14)):
                if key == "patch_size" or model_type in ("gemma3", "llama4"):
                    yield whole | {"vision_config": sight | {key: [size, size]}}


def keys() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Axolotl's keys on small models."""
    llama, qwen, gpt2 = (next(small_configs(name)) for name in ("llama", "qwen2", "gpt2"))
    lora = {"lora_r": 4, "lora_target_modules": [FIRST]}
    yield llama, lora | {"lora_modules_to_save": [SECOND]}
    yield llama, lora | {"lora_modules_to_save": [FIRST]}
    yield llama, lora | {"lora_modules_to_save": ["layers.1.mlp"]}
    yield llama, lora | {"lora_modules_to_save": ["q_proj"]}
    for saved in (SECOND, "layers.1.mlp", "mlp", "layers.1", "self_attn"):
        yield llama, {"lora_r": 4, "lora_target_modules": ["q_proj", "gate_proj"], "lora_modules_to_save": [saved]}
    tied = llama | {"tie_word_embeddings": True}
    for saved in ("embed_tokens", "lm_head"):
        for model in (llama, tied):
            yield model, lora | {"lora_modules_to_save": [saved], "peft_trainable_token_indices": {saved: [1, 2]}}
            yield model, lora | {"lora_modules_to_save": [saved], "peft_trainable_token_indices": [1, 2]}
    yield llama, {"lora_r": 4, "lora_target_modules": ["embed_tokens", "q_proj"], "peft_layers_to_transform": [0]}
    for model, bias in ((qwen, r".+q_proj.bias"), (qwen, r".+q_proj.bias|.+q_proj.weight"), (gpt2, r".+\.ln_1.bias")):
        yield model, {"unfrozen_parameters": [bias]}
    yield qwen, {"unfrozen_parameters": [r"model.layers.0.self_attn.q_proj.bias", r"model.layers.1.+q_proj.weight"]}


def methods() -> Iterator[tuple[dict[str, Any], str, dict[str, Any]]]:
    """PEFT's fields on small models."""
    llama, deep = next(small_configs("llama")), next(small_configs("deepseek_v3"))
    for adapter in ("loha", "oft", "ia3", "lokr"):
        targets: dict[str, Any] = {"target_modules": ["lm_head", "q_proj"]}
        if adapter == "ia3":
            targets["feedforward_modules"] = []
        yield llama, adapter, targets | {"modules_to_save": ["lm_head"]}
        if adapter == "ia3":
            continue
        yield llama, adapter, targets | {"exclude_modules": ["lm_head"]}
        yield llama, adapter, targets | {"layers_to_transform": [0]}
        yield llama, adapter, targets | {"target_modules": ["model.norm", "q_proj"], "layers_to_transform": [0]}
        yield llama, adapter, targets | {"target_modules": ["embed_tokens", "q_proj"], "layers_to_transform": [0]}
        yield (
            llama,
            adapter,
            targets | {"target_modules": ["q_proj"], "layers_to_transform": [1], "layers_pattern": "layers"},
        )
        for saved in ("layers.1.mlp", "mlp", SECOND):
            yield llama, adapter, {"target_modules": ["q_proj", "gate_proj"], "modules_to_save": [saved]}
    for name in ("layers.0.mlp", "layers.3.mlp", "mlp", "layers.3"):
        yield deep, "ln_tuning", {"target_modules": [name]}
        yield llama, "ln_tuning", {"target_modules": [name]}


def main() -> None:
    """Write the points."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    functions = axolotl()
    functions["_patch_peft_clippable_linear"]()
    lines: list[dict[str, Any]] = [{"versions": {package: version(package) for package in (*PACKAGES, "axolotl")}}]
    for model in models():
        try:
            lines.append({"model": model, "all": total(build(model))})
        except Exception as error:  # noqa: BLE001 - Transformers raises many kinds, and each is its verdict
            lines.append({"model": model, "refused": f"{type(error).__name__}: {error}"[:200]})
    for model, config in keys():
        found = of_keys(functions, model, config)
        lines.append({"model": model, "config": config, **{k: v for k, v in found.items() if k != "names"}})
    for model, adapter, config in methods():
        lines.append({"model": model, "adapter": adapter, "config": config, **of_method(model, adapter, config)})
    POINTS.write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    print(len(lines) - 1, "points")


if __name__ == "__main__":
    main()
