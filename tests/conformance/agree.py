"""Holds the product's verdicts on broken configurations to Axolotl's.

    AXOLOTL_PYTHON=/path/to/python python -m tests.conformance.agree             # asks Axolotl, prints disagreements
    AXOLOTL_PYTHON=/path/to/python python -m tests.conformance.agree --record    # and writes its answers down
    AXOLOTL_PYTHON=/path/to/python python -m tests.conformance.agree --every 20  # a twentieth of the cases

The answers are kept in ``tests/data/axolotl/verdicts-0.19.0.json``, where the tests find them without Axolotl.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from app.core.axolotl.rules import check
from app.core.axolotl.schema import Schema, build_schema
from app.core.findings import Effect
from tests.conformance.broken import Broken, broken

ROOT = Path(__file__).parents[2]
RECORDING = ROOT / "tests" / "data" / "axolotl" / "verdicts-0.19.0.json"
VALIDATOR = Path(__file__).with_name("verdicts.py")


@cache
def schema() -> Schema:
    """The recorded one."""
    return build_schema(json.loads((ROOT / "app" / "data" / "axolotl-0.19.0.json").read_text(encoding="utf-8")))


def ours(case: Broken) -> bool:
    """Whether we hold a configuration to be valid."""
    found = check(case.config, None, case.hardware, schema(), trying=False)
    return not any(f.effect is Effect.REJECTED for f in found)


def ask(lines: list[dict[str, Any]], interpreter: str, jobs: int = 2) -> dict[str, dict[str, Any]]:
    """Axolotl's verdicts by name, from some processes of its validator."""
    parts = [part for part in (lines[job::jobs] for job in range(jobs)) if part]

    def one(part: list[dict[str, Any]]) -> list[dict[str, Any]]:
        text = "\n".join(json.dumps(line) for line in part)
        answer = subprocess.run([interpreter, str(VALIDATOR)], input=text, capture_output=True, text=True, check=False)
        found = [json.loads(line) for line in answer.stdout.splitlines()]
        if len(found) != len(part):
            raise RuntimeError(f"the validator answered {len(found)} of {len(part)}\n{answer.stderr[-4000:]}")
        return found

    with ThreadPoolExecutor(jobs) as pool:
        return {verdict["name"]: verdict for part in pool.map(one, parts) for verdict in part}


def lines_of(cases: Iterable[Broken]) -> list[dict[str, Any]]:
    """What the validator is given."""
    return [{"name": c.name, "yaml": as_yaml(c.config), "capability": c.capability, "gpus": c.gpus} for c in cases]


def as_yaml(config: Any) -> str:
    """A configuration as YAML, keys that are numbers included."""
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False)


def main() -> int:
    """Compare, and record where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="write Axolotl's answers down")
    parser.add_argument("--every", type=int, default=1, help="take each n-th case alone")
    parser.add_argument("--only", default="", help="names that start with this")
    parser.add_argument("--jobs", type=int, default=2, help="validators side by side")
    arguments = parser.parse_args()
    cases = [case for case in broken(schema()) if case.name.startswith(arguments.only)][:: arguments.every]
    verdicts = ask(lines_of(cases), os.environ.get("AXOLOTL_PYTHON", sys.executable), arguments.jobs)
    wrong = [case for case in cases if ours(case) is not verdicts[case.name]["valid"]]
    for case in wrong:
        theirs = verdicts[case.name]
        print(case.name, "| Axolotl:", "valid" if theirs["valid"] else (theirs["error"] or "").replace("\n", " ")[:230])
        if theirs["valid"]:
            found = check(case.config, None, case.hardware, schema())
            print("    ours:", [(f.code, f.key) for f in found if f.effect is Effect.REJECTED])
    if arguments.record:
        record(verdicts)
    invalid = sum(not verdict["valid"] for verdict in verdicts.values())
    share = 100 * (1 - len(wrong) / len(cases))
    print(f"{len(cases)} cases, {invalid} invalid to Axolotl; {len(wrong)} disagreements, {share:.2f} % agree")
    return 1 if share < 99 else 0


def record(verdicts: dict[str, dict[str, Any]]) -> None:
    """Write the answers down beside those of other cases: the names of what is valid, and of what is not."""
    known: dict[str, bool] = {}
    if RECORDING.exists():
        before = json.loads(RECORDING.read_text(encoding="utf-8"))
        known = dict.fromkeys(before["valid"], True) | dict.fromkeys(before["invalid"], False)
    known |= {name: verdict["valid"] for name, verdict in verdicts.items()}
    present = {case.name for case in broken(schema())}
    names = {
        kind: sorted(name for name, valid in known.items() if name in present and valid is (kind == "valid"))
        for kind in ("valid", "invalid")
    }
    RECORDING.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"axolotl": "0.19.0", "made_by": "python -m tests.conformance.agree --record", **names}, indent=0)
    RECORDING.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
