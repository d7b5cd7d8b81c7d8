"""Records the peaks: ``python -m tests.reference.memory.record [--only NAME] [--again] [--details NAME]``.

Writes one JSON line a case to ``tests/data/memory/peaks.jsonl``, skipping those already there; a case that the stack itself refuses goes to
``refused.jsonl`` with its error.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import traceback
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

from .catalogue import wide
from .drawn import draw
from .preference import simulation as prepare
from .rare import rare

DATA = Path(__file__).parents[2] / "data" / "memory"
PACKAGES = ("torch", "transformers", "peft", "accelerate", "axolotl")


def _read(path: Path) -> dict[str, dict]:
    return (
        {record["case"]: record for record in map(json.loads, path.read_text().splitlines())} if path.exists() else {}
    )


def _write(path: Path, records: dict[str, dict], order: dict[str, int]) -> None:
    lines = [json.dumps(r) for r in sorted(records.values(), key=lambda r: order.get(r["case"], len(order)))]
    path.write_text("".join(f"{line}\n" for line in lines))


def _again(path: Path, where: str, *, only: str, named: frozenset[str]) -> int:
    """Simulate the records of one file that hold all of ``where`` anew, the others staying as they are.

    ``named`` are the cases to take, all if it is empty.
    """
    lines = path.read_text().splitlines()
    wanted = [part.split("=", 1) for part in where.split(",") if part]
    for position, line in enumerate(lines):
        record = json.loads(line)
        if any(str(record["config"].get(key)) != value for key, value in wanted) or only not in record["case"]:
            continue
        if named and record["case"] not in named:
            continue
        simulation = prepare(record["model"], record["config"], tuple(record["rows"]))
        before = record["allocated_peak_bytes"]
        record |= simulation.run()
        lines[position] = json.dumps(record)
        print(f"{record['case']}: {before / 2**30:.3f} -> {record['allocated_peak_bytes'] / 2**30:.3f} GiB", flush=True)
        path.write_text("".join(f"{line}\n" for line in lines))
        del simulation
        gc.collect()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="only cases whose name contains one of these, apart by commas")
    parser.add_argument("--again", action="store_true", help="record again what is already there")
    parser.add_argument("--details", action="store_true", help="print what is live at the peak and write nothing")
    parser.add_argument("--seed", type=int, help="record cases drawn from this seed to drawn.jsonl instead")
    parser.add_argument(
        "--wide", type=int, help="record cases over the whole catalogue, drawn from this seed, to wide.jsonl instead"
    )
    parser.add_argument("--rare", type=int, help="record rare switches over odd sizes, from this seed, to rare.jsonl")
    parser.add_argument("--count", type=int, default=100, help="how many to draw")
    parser.add_argument("--model", default="", help="draw only models whose name contains this")
    parser.add_argument("--out", help="name of the file without .jsonl")
    parser.add_argument(
        "--cases", default="cases", help="module of this package that holds the cases; names the file too"
    )
    parser.add_argument(
        "--where", metavar="KEY=VALUE,...", help="record again what the file holds with this in its config"
    )
    parser.add_argument("--named", type=Path, help="record again the cases that this text file names, one a line")
    given = parser.parse_args()
    if given.wide is not None:
        given.seed, given.out = given.wide, given.out or "wide"
        todo = list(wide(given.wide, given.count, given.model))
    if given.rare is not None:
        given.seed, given.out = given.rare, given.out or "rare"
        todo = list(rare(given.rare, given.count, given.model))
    given.out = given.out or ("peaks" if given.cases == "cases" else given.cases)
    if given.where or given.named:
        named = frozenset(given.named.read_text("utf-8").split()) if given.named else frozenset()
        return _again(DATA / f"{given.out}.jsonl", given.where or "", only=given.only or "", named=named)
    if given.wide is None and given.rare is None:
        cases = import_module(f"{__package__}.{given.cases}").cases
        todo = list(cases()) if given.seed is None else list(draw(given.seed, given.count, given.model))
    peaks, refused = f"{given.out}.jsonl", "refused.jsonl" if given.out == "peaks" else f"{given.out}-refused.jsonl"
    order = {name: i for i, (name, *_) in enumerate(todo)}
    if len(order) != len(todo):
        raise SystemExit("two cases share a name")
    DATA.mkdir(parents=True, exist_ok=True)
    good, bad = _read(DATA / peaks), _read(DATA / refused)
    if given.seed is None:
        good = {k: v for k, v in good.items() if k in order}
        bad = {k: v for k, v in bad.items() if k in order}
    versions = {p: version(p) for p in PACKAGES} | {"bitsandbytes": "0.50.2", "liger-kernel": "0.8.1"}
    for name, model, cfg, rows in todo:
        if (given.only and not any(part in name for part in given.only.split(","))) or (
            (name in good or name in bad) and not given.again and not given.details
        ):
            continue
        start = time.time()
        simulation = prepare(model, cfg, rows)
        try:
            result = simulation.run()
        except Exception as error:
            traceback.print_exc()
            good.pop(name, None)
            bad[name] = {
                "case": name,
                "model": model,
                "config": cfg,
                "error": f"{type(error).__name__}: {str(error)[:300]}",
            }
        else:
            bad.pop(name, None)
            good[name] = {
                "case": name,
                "model": model,
                "config": cfg,
                "rows": list(rows),
                **result,
                "versions": versions,
            }
            print(
                f"{name}: {result['allocated_peak_bytes'] / 2**30:.3f} GiB, {result['phase']}, {time.time() - start:.1f} s",
                flush=True,
            )
            if given.details:
                for size, category, label in simulation.tracker.at_peak(2**20):
                    print(f"  {size / 2**20:10.1f} MiB  {category:10}  {label}")
                continue
        _write(DATA / peaks, good, order)
        _write(DATA / refused, bad, order)
        del simulation
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
