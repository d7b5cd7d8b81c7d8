"""Writes ``docs/accuracy.md``: the memory model against every recorded peak.

python -m tests.reference.memory.compare
"""

import statistics
from collections import defaultdict
from pathlib import Path

from tests.core.memory.test_peaks import PEAKS, estimated

TARGET = Path(__file__).parents[3] / "docs" / "accuracy.md"


def group_of(case: dict) -> str:
    """What a case is listed under."""
    config = case["config"]
    method = config.get("adapter") or "full"
    if config.get("peft_use_dora"):
        method = "qdora" if method == "qlora" else "dora"
    return method


def main() -> None:
    """Compare and write."""
    rows = []
    for case in PEAKS:
        try:
            memory = estimated(case)
        except Exception as error:
            print(f"{case['case']}: {error!r}")
            continue
        rows.append((case, memory, memory.allocated_peak_bytes / case["allocated_peak_bytes"] - 1))
    groups = defaultdict(list)
    for case, _, error in rows:
        groups["all"].append(abs(error))
        groups[group_of(case)].append(abs(error))
    versions = ", ".join(f"{name} {version}" for name, version in PEAKS[0]["versions"].items())
    lines = [
        "# Accuracy of the memory estimate",
        "",
        "Estimated `allocated_peak_bytes` against simulated peaks: the real Transformers model wrapped by the real PEFT,",
        "run through forward, backward and optimizer step without data, every live storage tracked",
        "(`tests/reference/memory`). No GPU has measured these cases yet. Made by",
        "`python -m tests.reference.memory.compare`; do not edit.",
        "",
        f"Versions: {versions}.",
        "",
        "| method | cases | median | 95th percentile | worst |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, errors in groups.items():
        ordered = sorted(errors)
        high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
        lines.append(f"| {name} | {len(ordered)} | {statistics.median(ordered):.2%} | {high:.2%} | {ordered[-1]:.2%} |")
    lines += ["", "## Every case", "", "| case | simulated GiB | estimated GiB | difference |", "|---|---:|---:|---:|"]
    for case, memory, error in rows:
        simulated, ours = case["allocated_peak_bytes"] / 2**30, memory.allocated_peak_bytes / 2**30
        lines.append(f"| {case['case']} | {simulated:.2f} | {ours:.2f} | {error:+.1%} |")
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(lines[11])


if __name__ == "__main__":
    main()
