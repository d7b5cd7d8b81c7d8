"""Brings a folder of other people's configurations in and holds what comes of it to Axolotl.

    AXOLOTL_PYTHON=/path/to/python python -m tests.conformance.import_examples FOLDER

For every ``*.yml`` and ``*.yaml`` below the folder: nothing crashes; what Axolotl holds valid is valid here; each key is
known or has a finding; written anew by the product, and with every safe fix, it means the same to Axolotl (the same
validated values). Ends with a count, and with status 1 where any of that does not hold.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from app.catalog.library import load_catalog
from app.core.axolotl.renamed import RENAMED
from app.core.findings import Effect
from app.services.checking import Checked, check_text
from app.services.writing import write_yaml
from app.texts import texts
from tests.conformance.agree import ask
from tests.conformance.broken import Broken

CARD = Broken(name="", config={})
RENEWED = ("dataset_num_proc", "merge_method", *RENAMED)
"""Values that Axolotl fills in from the machine, how a later merge is done, which a fix sets where the default would refuse,
and old names, which stay beside the new ones."""


def line(name: str, text: str) -> dict[str, Any]:
    """One question to the validator, its values wanted."""
    return {"name": name, "yaml": text, "capability": CARD.capability, "gpus": CARD.gpus, "values": True}


def looked_at(file: Path, catalog: Any) -> Checked | str:
    """What the product makes of a file, or how it failed to."""
    try:
        return check_text(catalog=catalog, text=file.read_bytes(), hardware=CARD.hardware)
    except Exception as error:  # noqa: BLE001 - a crash is what is looked for
        return f"{type(error).__name__}: {error}"


def main() -> int:
    """Run the field test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    catalog = load_catalog()
    files = sorted(f for f in arguments.folder.rglob("*") if f.suffix in (".yml", ".yaml"))
    checked = {str(file.relative_to(arguments.folder)): looked_at(file, catalog) for file in files}
    faults = [f"{name}: crashed: {found}" for name, found in checked.items() if isinstance(found, str)]
    read = {n: c for n, c in checked.items() if not isinstance(c, str) and c.reading.config is not None}
    questions = []
    for name, found in read.items():
        questions += [
            line(f"given {name}", found.reading.text),
            line(f"written {name}", write_yaml(found.reading.config or {}, texts("en"))),
            line(f"mended {name}", found.mended.text),
        ]
    answers = ask(questions, os.environ.get("AXOLOTL_PYTHON", sys.executable), arguments.jobs)
    valid = disagree = 0
    unknown: dict[str, int] = {}
    for name, found in read.items():
        for finding in found.findings:
            if finding.code in ("unknown_key", "unknown_key_nearest", "never_read", "never_read_successor"):
                unknown[str(finding.key)] = unknown.get(str(finding.key), 0) + 1
        given, written, mended = (answers[f"{kind} {name}"] for kind in ("given", "written", "mended"))
        valid += given["valid"]
        refused = [(f.code, f.key) for f in found.findings if f.effect is Effect.REJECTED]
        if given["valid"] and refused:
            faults.append(f"{name}: valid to Axolotl, refused here: {refused}")
        if not given["valid"] and not refused:
            disagree += 1
            print(f"{name}: refused by Axolotl, not here: {given['error'][:300]!r}")
        # A file that fails at run time is mended into one that does not, which is something else by intent.
        fails = any(f.effect is Effect.FAILS_AT_RUN and f.fix and f.fix.safe for f in found.findings)
        if given["valid"]:
            for kind, answer in (("written", written), ("mended", mended)):
                if not answer["valid"]:
                    faults.append(f"{name}: {kind}, no longer valid: {answer['error'][:300]!r}")
                elif (difference := different(given["values"], answer["values"])) and not (fails and kind == "mended"):
                    faults.append(f"{name}: {kind}, means something else: {difference}")
        elif mended["valid"]:
            print(f"{name}: refused as given, mended by the safe fixes")
    print(*faults, sep="\n")
    print("keys that Axolotl drops:", ", ".join(f"{key} ({count})" for key, count in sorted(unknown.items())))
    unread = len(checked) - len(read)
    print(
        f"{len(files)} files, {unread} no configuration; {valid} valid to Axolotl; "
        f"{disagree} refused by Axolotl alone; {len(faults)} faults"
    )
    return 1 if faults else 0


def different(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Values that differ."""
    names = {*one, *other} - {*RENEWED}
    return {name: (one.get(name), other.get(name)) for name in names if one.get(name) != other.get(name)}


if __name__ == "__main__":
    sys.exit(main())
