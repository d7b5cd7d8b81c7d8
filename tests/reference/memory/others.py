"""Records what other calculators say of the recorded cases, in ``tests/data/memory/others.jsonl``.

    python -m venv others && others/bin/pip install fitcheck-llm ftuneai
    others/bin/python -m tests.reference.memory.others

Each is asked as its users would ask it: the model's config.json and true number of parameters, the nearest settings it
has. What it has no setting for and what changes the memory by its nature (DoRA, an optimizer that it does not know, an
architecture that it refuses) is recorded as refused; a loss that never makes the logits, which neither knows, is not:
nobody could tell them. ``bytes`` is what it says that tensors take, ``process_bytes`` its total with its own overhead.
"""

import contextlib
import io
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fitcheck.config_parser import (
    ModelConfig,
    _count_params,
    _parse_fields,
    _reconcile_param_count,
    _reject_unsupported,
)
from fitcheck.estimator import TrainingConfig, estimate
from fitcheck.gpu_db import get_gpu
from fitcheck.memory.lora import LORA_TARGETS_FULL
from ftuneai.core.memory import MemoryEstimator
from ftuneai.core.models import FineTuneMethod, LoRATarget, ModelSpec, OptimizerType, Quantization
from ftuneai.core.models import TrainingConfig as FtuneConfig
from ftuneai.hub import _extract_field

DATA = Path(__file__).parents[2] / "data" / "memory"
TARGET = DATA / "others.jsonl"
MIB = 2**20


class Refused(Exception):
    """A case that a calculator has no setting for."""


def base_parameters(case: Mapping[str, Any]) -> int:
    """Of the model without its adapter."""
    counts = case["parameters"]
    return int(counts.get("base") or counts["total"] - (counts["trained"] if case["config"].get("adapter") else 0))


def method_of(config: Mapping[str, Any]) -> str:
    """full, lora or qlora."""
    if config.get("peft_use_dora"):
        raise Refused("DoRA")
    if config.get("rl") or config.get("reward_model"):
        raise Refused("preferences")
    method = str(config.get("adapter") or "full")
    if method not in {"full", "lora", "qlora"}:
        raise Refused("method")
    return method


def fitcheck(case: Mapping[str, Any]) -> tuple[int, int]:
    """fitcheck-llm's answer."""
    config, model = case["config"], dict(case["model"])
    method = method_of(config)
    optimizer = str(config.get("optimizer") or "adamw_torch_fused").removeprefix("paged_")
    names = {"adamw_torch": "adamw", "adamw_torch_fused": "adamw", "adamw_32bit": "adamw"}
    names |= {"adamw_8bit": "adam8bit", "adamw_bnb_8bit": "adam8bit"}
    _reject_unsupported(model, case["case"])
    fields = _parse_fields(model)
    count = _reconcile_param_count(case["case"], base_parameters(case), _count_params(fields))
    rows, tokens = case["rows"]
    named = set(config.get("lora_target_modules") or ())
    quantization = {"qlora": "nf4"}.get(method, "int8" if config.get("load_in_8bit") else "none")
    training = TrainingConfig(
        precision="bf16",
        quantization=quantization,
        double_quant=quantization == "nf4",
        optimizer=names.get(optimizer, optimizer),
        optimizer_dtype="bf16" if method == "full" else "fp32",
        batch_size=rows,
        seq_len=tokens,
        lora_rank=int(config["lora_r"]) if method != "full" else None,
        lora_targets=sorted(named) if named and named <= set(LORA_TARGETS_FULL) else list(LORA_TARGETS_FULL),
        grad_checkpoint=bool(config.get("gradient_checkpointing")),
        flash_attn=config.get("attn_implementation") != "eager",
    )
    parsed = ModelConfig(
        name=case["case"],
        num_params=count,
        hidden_size=fields.hidden_size,
        num_layers=fields.num_layers,
        num_attention_heads=fields.num_attention_heads,
        num_kv_heads=fields.num_kv_heads,
        intermediate_size=fields.intermediate_size,
        vocab_size=fields.vocab_size,
        head_dim=fields.head_dim,
        tie_word_embeddings=fields.tie_word_embeddings,
    )
    found = estimate(parsed, training, get_gpu("a100-80"))
    return round((found.total_mib - found.overhead_mib) * MIB), round(found.total_mib * MIB)


def ftune(case: Mapping[str, Any]) -> tuple[int, int]:
    """ftuneai's answer."""
    config, model = case["config"], dict(case["model"])
    method = method_of(config)
    optimizers = {
        "adamw_torch": OptimizerType.ADAMW,
        "adamw_torch_fused": OptimizerType.ADAMW,
        "paged_adamw_32bit": OptimizerType.ADAMW,
        "adamw_8bit": OptimizerType.ADAM_8BIT,
        "adamw_bnb_8bit": OptimizerType.ADAM_8BIT,
        "paged_adamw_8bit": OptimizerType.ADAM_8BIT,
        "adafactor": OptimizerType.ADAFACTOR,
        "sgd": OptimizerType.SGD,
    }
    optimizer = optimizers.get(str(config.get("optimizer") or "adamw_torch_fused"))
    if optimizer is None:
        raise Refused("optimizer")
    found = {name: _extract_field(model, name) for name in ("hidden_size", "num_layers", "num_attention_heads")}
    if None in found.values():
        raise Refused("config.json")
    experts = model.get("num_local_experts") or model.get("num_experts") or model.get("n_routed_experts")
    heads = found["num_attention_heads"] or 0
    spec = ModelSpec(
        name=case["case"],
        parameters=base_parameters(case),
        hidden_size=found["hidden_size"] or 0,
        num_layers=found["num_layers"] or 0,
        num_attention_heads=heads,
        num_kv_heads=_extract_field(model, "num_kv_heads") or heads,
        intermediate_size=_extract_field(model, "intermediate_size") or 4 * (found["hidden_size"] or 0),
        vocab_size=_extract_field(model, "vocab_size") or 32000,
        max_seq_length=1 << 20,
        is_moe=bool(experts),
        num_experts=experts,
        num_active_experts=model.get("num_experts_per_tok"),
    )
    named = set(config.get("lora_target_modules") or ())
    target = LoRATarget.ALL_LINEAR
    if named and named <= {"q_proj", "v_proj"}:
        target = LoRATarget.ATTENTION
    elif named and named <= {"q_proj", "k_proj", "v_proj", "o_proj"}:
        target = LoRATarget.ATTENTION_ALL
    rows, tokens = case["rows"]
    training = FtuneConfig(
        method=FineTuneMethod(method),
        quantization=Quantization.INT4
        if method == "qlora"
        else Quantization.INT8
        if config.get("load_in_8bit")
        else Quantization.NONE,
        batch_size=rows,
        seq_length=tokens,
        gradient_checkpointing=bool(config.get("gradient_checkpointing")),
        optimizer=optimizer,
        lora_rank=int(config.get("lora_r") or 16),
        lora_target=target,
        flash_attention=config.get("attn_implementation") != "eager",
    )
    total = MemoryEstimator(spec, training).estimate()
    unit = 2**30
    return round((total.total_gb - total.overhead_gb) * unit), round(total.total_gb * unit)


CALCULATORS: Mapping[str, Callable[[Mapping[str, Any]], tuple[int, int]]] = {"fitcheck-llm": fitcheck, "ftuneai": ftune}


def main() -> None:
    """Ask both about every recorded case."""
    lines = []
    for path in sorted(DATA.glob("*.jsonl")):
        if path.stem.endswith("refused") or path == TARGET:
            continue
        for text in path.read_text("utf-8").splitlines():
            case = json.loads(text)
            for name, ask in CALCULATORS.items():
                answer: tuple[int | None, int | None] = (None, None)
                refused = None
                try:
                    with contextlib.redirect_stderr(io.StringIO()):
                        answer = ask(case)
                except (Refused, ValueError) as error:
                    refused = str(error).split(". ")[0][:120]
                row = {"recording": path.stem, "case": case["case"], "name": name, "version": version(name)}
                row |= {"bytes": answer[0], "process_bytes": answer[1]}
                lines.append(json.dumps(row | ({"refused": refused} if refused else {}), ensure_ascii=False))
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} answers, {sum('refused' in line for line in lines)} refused")


if __name__ == "__main__":
    main()
