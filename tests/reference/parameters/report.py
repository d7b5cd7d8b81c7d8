"""Writes ``docs/parameters.md``: ``python -m tests.reference.parameters.report`` from the repository's root.

Counts every recorded point again and compares; with ``--time`` also measures a count beside PEFT's own way on the same
machine, which needs what ``record`` needs. The figures of the last measurement stand in
``tests/data/parameters/times.json``.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from app.core.adapter import resolve_adapter, resolve_lora
from app.core.architectures import describe, supported_model_types
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.methods.reading import read_method
from app.core.methods.resolving import resolve_peft
from app.core.methods.settings import PeftType

ROOT = Path(__file__).parents[3]
DATA = ROOT / "tests" / "data" / "parameters"
PAGE = ROOT / "docs" / "parameters.md"
COMMON = {"adapter": "lora", "lora_alpha": 8, "lora_dropout": 0.0}
MODEL = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
TIMED: dict[str, dict[str, Any]] = {
    "lora": {"lora_r": 16, "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj"]},
    "ia3": {},
    "prefix_tuning": {"num_virtual_tokens": 20},
    "vera": {"r": 256},
    "lokr": {},
}


def read(name: str) -> list[Any]:
    """The lines of a recording."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def totals() -> Iterator[tuple[str, bool, bool]]:
    """What is counted, whether PEFT refuses it, and whether ours is equal: bare models and LoRA."""
    for point in read("points.jsonl")[1:]:
        architecture = describe(point["model"])
        if point["lora"] is None:
            yield "bare model", False, architecture.total_parameters == point["total"]
            continue
        adapter = resolve_adapter(architecture, read_run({"lora_alpha": 8} | point["lora"]))
        name = "dora" if point["lora"].get("peft_use_dora") else "lora"
        yield name, False, adapter.trainable_parameters == point["trainable"]


def targets() -> Iterator[tuple[str, bool, bool]]:
    """Axolotl's keys for targets."""
    _, models, *points = read("targets.jsonl")
    architectures = [describe(model) for model in models]
    for point in points:
        config, architecture = point["config"], architectures[point["model"]]
        name = "lora targets" if "lora_r" in config else "unfrozen_parameters"
        try:
            run = read_run(COMMON | config if "lora_r" in config else config)
            found = resolve_adapter(architecture, run) if run.lora is None else resolve_lora(architecture, run.lora)
        except InvalidInput:
            yield name, True, bool(point.get("refused"))
            continue
        equal = (found.trainable_parameters, found.total_parameters) == (point.get("trainable"), point.get("all"))
        yield name, False, equal


def methods() -> Iterator[tuple[str, bool, bool]]:
    """PEFT's other methods."""
    _, models, _, *points = read("methods.jsonl")
    architectures = [describe(model) for model in models]
    for point in points:
        try:
            method = read_method(PeftType(point["adapter"]), point["config"])
            found = resolve_peft(architectures[point["model"]], method)
        except InvalidInput:
            yield point["adapter"], True, "refused" in point
            continue
        equal = (found.trainable_parameters, found.total_parameters) == (point.get("trainable"), point.get("all"))
        yield point["adapter"], False, equal


def best(of: int, work: Callable[[], Any]) -> float:
    """The shortest of several runs, in seconds."""
    times = []
    for _ in range(of):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def measure() -> dict[str, Any]:
    """Seconds a count takes here, and PEFT's way: the model on the meta device, wrapped, its parameters summed."""
    import torch
    from peft import LoraConfig, get_peft_model
    from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

    from tests.reference.parameters.record import build

    kinds = {str(getattr(kind, "value", kind)): made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    rows: dict[str, list[float]] = {}
    for adapter, given in TIMED.items():
        own = {"adapter": adapter} | (given | {"lora_alpha": 16} if adapter == "lora" else {"peft_config": given})
        architecture = describe(MODEL)

        def ours(own: dict[str, Any] = own, architecture: Any = architecture) -> int:
            return resolve_adapter(architecture, read_run(own)).trainable_parameters

        def whole(own: dict[str, Any] = own) -> int:
            return resolve_adapter(describe(MODEL), read_run(own)).trainable_parameters

        def theirs(adapter: str = adapter, given: dict[str, Any] = given) -> int:
            if adapter == "lora":
                made = LoraConfig(r=16, target_modules=given["lora_target_modules"], task_type="CAUSAL_LM")
            else:
                made = kinds[adapter.upper()](task_type="CAUSAL_LM", **given)
            with torch.device("meta"):
                return int(get_peft_model(build(MODEL), made).get_nb_trainable_parameters()[0])

        if ours() != theirs():
            raise AssertionError(adapter)
        rows[adapter] = [best(200, ours), best(20, whole), best(3, theirs)]
    return {"python": platform.python_version(), "torch": torch.__version__, "rows": rows}


def page() -> Iterator[str]:
    """The lines of the page."""
    found = [*totals(), *targets(), *methods()]
    wrong = sum(not equal for *_, equal in found)
    counted = Counter(name for name, refused, _ in found if not refused)
    refusals = Counter(name for name, refused, _ in found if refused)
    versions = read("methods.jsonl")[0]["versions"]
    yield "# Parameter counts against Transformers and PEFT"
    yield ""
    yield "Every recorded point counted again. Made by `python -m tests.reference.parameters.report`; do not edit."
    yield ""
    yield f"Recorded with {', '.join(f'{name} {number}' for name, number in versions.items())}, models on the meta device."
    yield ""
    yield f"**{len(found):,} points, {wrong:,} differences**, over {len(supported_model_types())} model types. A refusal is"
    yield "a point too: where PEFT raises, the product refuses with the field named."
    yield ""
    yield "| what trains | counts | refusals | differences |"
    yield "| --- | ---: | ---: | ---: |"
    for name in dict.fromkeys(name for name, *_ in found):
        off = sum(not equal for other, _, equal in found if other == name)
        yield f"| `{name}` | {counted[name]:,} | {refusals[name]:,} | {off} |"
    yield ""
    yield "One thing is stricter here than in PEFT: a target of a person's own that reaches nothing is an error even beside"
    yield "others that do. Bottleneck adapters, which PEFT has not, are held to modules built by hand and hooked behind each"
    yield "layer's attention and feed-forward. Recording again: `python -m tests.reference.parameters.record`,"
    yield "`record_targets` and `record_methods`."
    yield ""
    yield "## How long a count takes"
    yield ""
    times = json.loads((DATA / "times.json").read_text(encoding="utf-8"))
    yield f"Llama 3.1 8B, best of many, both in the same process (Python {times['python']}, PyTorch {times['torch']}, CPU)."
    yield "PEFT's way is building the model on the meta device, wrapping it and summing its parameters."
    yield ""
    yield "| method | here, model described | here, from its config.json | PEFT | times faster |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for name, (ours, whole, theirs) in times["rows"].items():
        numbers = f"{ours * 1e6:,.0f} µs | {whole * 1e6:,.0f} µs | {theirs * 1e3:,.0f} ms | {theirs / whole:,.0f}"
        yield f"| `{name}` | {numbers} |"
    yield ""
    yield "## What a model of another kind gets"
    yield ""
    yield "A `model_type` that no description covers is counted as a decoder of Llama's shape where its config.json states"
    yield "`hidden_size`, `intermediate_size`, `num_hidden_layers`, `num_attention_heads` and `vocab_size`; the estimate then"
    yield "carries `approximate: true` and a warning that names the type. Otherwise it is refused, with the nearest known type."
    yield ""
    yield "## Nonsense"
    yield ""
    yield "Zero heads, negative sizes, a billion layers, fractions, texts and nulls where a size belongs are refused with the"
    yield "field named (`tests/core/test_nonsense.py`): a size lies between 1 and 100,000,000, layers between 1 and 2,000."


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", action="store_true", help="measure first; needs PyTorch, Transformers and PEFT")
    if parser.parse_args().time:
        (DATA / "times.json").write_text(json.dumps(measure(), indent=1) + "\n", encoding="utf-8")
    PAGE.write_text("".join(f"{line}\n" for line in page()), encoding="utf-8")


if __name__ == "__main__":
    main()
