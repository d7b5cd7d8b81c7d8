"""Generates plans and asks Axolotl's validator about each.

    AXOLOTL_PYTHON=/path/to/python python -m tests.conformance.run --sample 300

``AXOLOTL_PYTHON`` is an interpreter that has Axolotl 0.19 (``docs/axolotl.md``). Ends with a line that counts, and
with status 1 if any file is rejected, holds a key that Axolotl does not know or is giving up, or would fail or mislead
at run time as far as ``lint.py`` can tell.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.conformance.generate import SEED, cases

VALIDATOR = Path(__file__).with_name("validate.py")
FAULTS = ("error", "unknown", "deprecated", "lint")


def judge(lines: list[str], interpreter: str) -> list[dict[str, Any]]:
    """The verdicts on some files, from one process of the validator.

    Raises:
        RuntimeError: it stopped before the last one.
    """
    command = [interpreter, str(VALIDATOR)]
    answer = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True, check=False)
    verdicts = [json.loads(line) for line in answer.stdout.splitlines()]
    if len(verdicts) != len(lines):
        raise RuntimeError(f"the validator answered {len(verdicts)} of {len(lines)}\n{answer.stderr[-4000:]}")
    return verdicts


def main() -> int:
    """Run the suite."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", type=int, default=300, help="how many files")
    parser.add_argument("--seed", type=int, default=SEED, help="which ones")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="validators side by side")
    parser.add_argument("--keep", type=Path, help="a folder for the files that fail")
    arguments = parser.parse_args()
    interpreter = os.environ.get("AXOLOTL_PYTHON", sys.executable)
    found = list(cases(arguments.sample, arguments.seed))
    jobs = min(arguments.jobs, len(found))
    parts = [[json.dumps(case) for case in found[job::jobs]] for job in range(jobs)]
    with ThreadPoolExecutor(jobs) as pool:
        verdicts = [verdict for part in pool.map(lambda part: judge(part, interpreter), parts) for verdict in part]
    failed = [verdict for verdict in verdicts if not verdict["valid"] or any(verdict[fault] for fault in FAULTS)]
    texts = {case["name"]: case["yaml"] for case in found}
    for number, verdict in enumerate(failed):
        print(verdict["name"], *(f"{fault}: {verdict[fault]}" for fault in FAULTS if verdict[fault]), sep="\n    ")
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            (arguments.keep / f"{number}.yml").write_text(texts[verdict["name"]], encoding="utf-8")
    print(f"{len(verdicts) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
