"""Writes ``docs/accuracy.md`` and ``app/data/accuracy.json``: the memory model against every recorded peak.

python -m tests.reference.memory.compare
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from app.texts import DEFAULT_LANGUAGE, texts
from tests.core.memory.recordings import recorded
from tests.reference.memory.evidence import (
    RECORDINGS,
    Other,
    Row,
    Summary,
    card_versions,
    grouped,
    method_of,
    on_card,
    others,
    rows,
    switches_of,
)
from tests.reference.memory.processes import Shown, contexts, on_h100_runs, on_t4_runs
from tests.reference.memory.published import FULL, Published, published

ROOT = Path(__file__).parents[3]
REPORT = ROOT / "docs" / "accuracy.md"
FACTS = ROOT / "app" / "data" / "accuracy.json"
GIB = 2**30
MIB = 2**20

HEADING = """# Accuracy of the memory estimate

Estimated `allocated_peak_bytes` against simulated peaks: the real Transformers model wrapped by the real PEFT,
run through forward, backward and optimizer step without data, every live storage tracked
(`tests/reference/memory`); real trainings on an H100; and published runs on other GPUs. Made by `python -m tests.reference.memory.compare`; do not edit.
"""


def _versions() -> dict[str, str]:
    """Of what was simulated."""
    return recorded("peaks.jsonl")[0]["versions"]


def facts(found: Sequence[Row]) -> dict[str, Any]:
    """What the page shows, small enough to travel with the application."""
    return {
        "versions": _versions(),
        "card_versions": card_versions(),
        "cases": [_case(row) for row in found],
        "card": [_case(row) for row in on_card()],
        "published": [_run(run) for run in published()],
        "others": [_other(other) for other in others(found)],
    }


def _case(row: Row) -> dict[str, Any]:
    """A case and what is estimated of it."""
    return {
        "case": row.name,
        "recording": row.recording,
        "model_type": row.model_type,
        "method": method_of(row.case),
        "reference_bytes": row.reference_bytes,
        "estimated_bytes": row.estimated_bytes,
    }


def _run(run: Published) -> dict[str, Any]:
    """A published run."""
    return {
        "run": run.id,
        "source": run.source,
        "quantity": run.quantity,
        "setup": run.setup,
        "why": run.why,
        "measured_bytes": run.measured_bytes,
        "estimated_bytes": run.estimated_bytes,
    }


def _other(other: Other) -> dict[str, Any]:
    """Another calculator's errors, absolute, as shares."""
    summary = Summary.of(other.errors)
    return {
        "name": other.name,
        "version": other.version,
        "cases": summary.cases,
        "refused": other.refused,
        "median": round(summary.median, 6),
        "p95": round(summary.p95, 6),
        "worst": round(summary.worst, 6),
        "median_plain_loss": round(Summary.of(other.plain).median, 6),
        "median_with_overhead": round(Summary.of(other.with_overhead).median, 6),
    }


def _table(head: Sequence[str], lines: Iterable[Sequence[str]], left: int = 1) -> list[str]:
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *lines)]


def _summaries(title: str, found: Sequence[Row], key: Callable[[Row], Any]) -> list[str]:
    """One line a group, the hardest last."""
    groups = [(name, Summary.of(row.error for row in group)) for name, group in grouped(found, key).items()]
    return ["", f"## {title}", "", *_table(_HEAD, (_line(name, one) for name, one in groups))]


_HEAD = ("", "cases", "median", "95th percentile", "worst")


def _line(name: str, one: Summary) -> tuple[str, ...]:
    return (name, str(one.cases), f"{one.median:.3%}", f"{one.p95:.2%}", f"{one.worst:.2%}")


def _on_card() -> list[str]:
    """Cases that were trained, one by one."""
    found = on_card()
    versions = ", ".join(f"{name} {version}" for name, version in card_versions().items())
    lines = [
        "",
        "## Trained on an H100",
        "",
        f"{len(found)} of the recorded cases, run as Axolotl runs them on a real card (`tests/reference/memory/gpu.py`): what",
        "`torch.cuda.max_memory_allocated` says of the third step, less cuBLAS's workspaces (64 MiB there), against the estimate.",
        "FlashAttention 2 is the one that PyTorch carries, behind `flash_attn`'s own Python. What was found is mended in the",
        "simulator, where a case differed. Of cases that evaluate, the training step is compared; rows packed for SDPA held one",
        "document each and are estimated unpacked; rows of DPO and KTO were a token shorter than the case.",
        f"Ran with: {versions}.",
        "",
    ]
    lines += _table(_HEAD, [_line("**all**", Summary.of(row.error for row in found))])
    lines += [""]
    return lines + _table(
        ("case", "measured GiB", "estimated GiB", "difference"),
        [
            (row.name, f"{row.reference_bytes / GIB:.3f}", f"{row.estimated_bytes / GIB:.3f}", f"{row.error:+.2%}")
            for row in found
        ],
    )


def _measured() -> list[str]:
    """Published runs, one by one."""
    runs, words = published(), texts(DEFAULT_LANGUAGE)
    known = [run for run in runs if run.setup == FULL]
    groups = {name: [run.error for run in known if run.id.startswith(f"{name}/")] for name in ("axolotl", "fitcheck")}
    lines = [
        "",
        "## Runs on real GPUs, as published",
        "",
        "Each against the quantity that its source measured: `allocated` and `reserved` by PyTorch's allocator, `process` by",
        "the driver. `axolotl`: the figures beside Axolotl's own example files. `fitcheck`: its authors' measurements on a",
        "Tesla T4 with Transformers and PEFT alone, whose loop holds the logits through the backward (one copy is added).",
        "`peft`: PEFT's comparison of methods on an L40S. Sources and settings: `tests/data/memory/published.yaml` and",
        "`fitcheck-t4.json`. Not compared: examples whose config.json could not be read (Hunyuan, MiMo), whose figure is an",
        'upper bound ("fits on 24 GB"), that use several GPUs (gpt-oss in full) or a switch that is not priced (Gemma 4 31B,',
        "hybrid attention); PEFT's LoRA-FA; the tables of LitGPT and torchtune, whose models are their own, and of Qwen, ms-swift,",
        "LLaMA-Factory and Unsloth, whose training code is not Axolotl's or whose settings are not all stated.",
        "",
    ]
    head = ("setup fully known", "runs", "median", "95th percentile", "worst")
    lines += _table(head, [_line(name, Summary.of(errors)) for name, errors in groups.items()])
    lines += [""]
    shown = sorted(runs, key=lambda run: run.id.partition("/")[0])
    lines += _table(
        ("run", "quantity", "setup", "measured GiB", "estimated GiB", "difference", "remark"),
        [
            (
                f"[{run.id}]({run.source})",
                run.quantity,
                run.setup,
                f"{run.measured_bytes / GIB:.2f}",
                f"{run.estimated_bytes / GIB:.2f}",
                f"{run.error:+.1%}",
                words.text(f"accuracy.why.{run.why}") if run.why else "",
            )
            for run in shown
        ],
        left=3,
    )
    return lines


def _processes() -> list[str]:
    """What the driver showed."""
    runs: dict[str, list[Shown]] = {"H100, Axolotl": on_h100_runs(), "T4, fitcheck": on_t4_runs()}
    lines = [
        "",
        "## What the driver shows",
        "",
        "`process_bytes` against what the driver said that a process held at the most: the trainings on an H100 and",
        "fitcheck's on a T4 (Transformers and PEFT alone, without segments that grow, so that more lies unused), each with its own card's context.",
        "The figure is what is expected where the card has no room for blocks that lie unused; the band holds those too.",
        "",
        *_table(
            (*_HEAD, "in the band"),
            [
                (*_line(name, Summary.of(one.error for one in found)), str(sum(one.held for one in found)))
                for name, found in runs.items()
            ],
        ),
        "",
        "CUDA contexts of other processes, by what PyTorch says where memory runs out (`tests/data/memory/contexts.yaml`):",
        "",
    ]
    return lines + _table(
        ("card", "readings", "least MiB", "middle MiB", "most MiB", "expected MiB", "band MiB"),
        [
            (
                one.gpu,
                str(len(one.read_bytes)),
                *(
                    f"{size / MIB:.0f}"
                    for size in (one.read_bytes[0], one.middle_bytes, one.read_bytes[-1], one.expected_bytes)
                ),
                f"{one.range_bytes[0] / MIB:.0f} to {one.range_bytes[1] / MIB:.0f}",
            )
            for one in contexts()
        ],
    )


def _beside(found: Sequence[Row]) -> list[str]:
    """Other calculators."""
    compared = others(found)
    if not compared:
        return []
    lines = [
        "",
        "## Other calculators on the same cases",
        "",
        "Asked as their users would ask them, with the nearest settings that they have (`tests/reference/memory/others.py`):",
        "what they say that tensors take, against the same peaks. Neither knows a loss that never makes the logits, so",
        "cases with the plain loss are summed up apart; so is their total, with their own overhead for the process.",
        "",
    ]
    head = (
        "",
        "version",
        "cases",
        "median",
        "95th percentile",
        "worst",
        "median, plain loss",
        "with overhead",
        "refused",
    )
    return lines + _table(
        head,
        [
            (
                other.name,
                other.version,
                *_line("", Summary.of(other.errors))[1:],
                f"{Summary.of(other.plain).median:.0%}",
                f"{Summary.of(other.with_overhead).median:.0%}",
                str(other.refused),
            )
            for other in compared
        ],
        left=2,
    )


def report(found: Sequence[Row]) -> str:
    """The page of the repository."""
    versions = ", ".join(f"{name} {version}" for name, version in _versions().items())
    by_recording = grouped(found, lambda row: RECORDINGS.get(row.recording, row.recording))
    lines = [HEADING, f"Versions: {versions}.", ""]
    lines += _table(
        _HEAD,
        [
            _line("**all**", Summary.of(row.error for row in found)),
            *(_line(name, Summary.of(row.error for row in group)) for name, group in by_recording.items()),
        ],
    )
    lines += _on_card()
    lines += _measured()
    lines += _processes()
    lines += _beside(found)
    lines += _summaries("By method", found, lambda row: method_of(row.case))
    lines += _summaries("By architecture", found, lambda row: f"`{row.model_type}`")
    lines += _summaries("By switch", found, lambda row: switches_of(row.case))
    for name, group in grouped(found, lambda row: row.recording).items():
        lines += ["", f"## Every case: {RECORDINGS.get(name, name)}", ""]
        lines += _table(
            ("case", "simulated GiB", "estimated GiB", "difference"),
            [
                (row.name, f"{row.reference_bytes / GIB:.2f}", f"{row.estimated_bytes / GIB:.2f}", f"{row.error:+.1%}")
                for row in group
            ],
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compare and write."""
    found = rows()
    REPORT.write_text(report(found), encoding="utf-8")
    data = facts(found)
    parts = [f"{json.dumps(key)}: {_rows(value)}" for key, value in data.items()]
    FACTS.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")
    summary = Summary.of(row.error for row in found)
    print(f"{summary.cases} cases: median {summary.median:.3%}, 95 % {summary.p95:.2%}, worst {summary.worst:.2%}")


def _rows(value: Any) -> str:
    """A list one entry a line, so that a change is a line's."""
    if not isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "[\n" + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value) + "\n]"


if __name__ == "__main__":
    main()
