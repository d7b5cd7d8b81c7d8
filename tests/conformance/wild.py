"""Files as people write them: old ones, broken ones, ones for other tools, ones that run and do something else.

    AXOLOTL_PYTHON=.cache/axolotl-0.19.0/bin/python python -m tests.conformance.wild            # what both say of each
    AXOLOTL_PYTHON=.cache/axolotl-0.19.0/bin/python python -m tests.conformance.wild --record   # and writes Axolotl's answers down

Each stands in ``tests/data/axolotl/wild``, after what people report in Axolotl's issues; ``wild.yaml`` beside that folder
names it and what has to be said of it. The answers are kept in ``wild-0.19.0.json``, each of the file as given and of the
file with every safe fix.
"""

import argparse
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from app.catalog.library import Catalog, load_catalog
from app.services.checking import Checked, check_text
from app.services.inputs import resolve_hardware
from tests.conformance.agree import ask

DATA = Path(__file__).parents[1] / "data" / "axolotl"
RECORDING = DATA / "wild-0.19.0.json"
GPU = "rtx-4090"
CAPABILITY = "sm_89"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wild:
    """A file, the codes that must be among what is said of it, and a config.json where the catalogue lacks the model."""

    text: str
    says: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    """Codes that must not be there."""
    model: dict[str, Any] | None = None


def _files() -> dict[str, Wild]:
    rows = yaml.safe_load((DATA / "wild.yaml").read_text(encoding="utf-8"))
    return {
        row["name"]: Wild(
            text=(DATA / "wild" / row["file"]).read_bytes().decode("utf-8"),
            says=tuple(row["says"]),
            silent=tuple(row.get("silent", ())),
            model=row.get("model"),
        )
        for row in rows
    }


FILES = _files()


def checked(catalog: Catalog, name: str, text: str = "") -> Checked:
    """What we say of one file, or of ``text`` in its place."""
    hardware = resolve_hardware(catalog=catalog, gpu=GPU)
    return check_text(catalog=catalog, text=text or FILES[name].text, hardware=hardware, model=FILES[name].model)


def lines(catalog: Catalog) -> list[dict[str, Any]]:
    """What Axolotl is asked: each file, and each with every safe fix."""
    made = []
    for name, wild in FILES.items():
        mended = checked(catalog, name).mended.text or wild.text
        for kind, text in (("given", wild.text), ("mended", mended)):
            made.append({"name": f"{kind}: {name}", "yaml": text, "capability": CAPABILITY, "gpus": 1})
    return made


def main() -> int:
    """Ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    catalog = load_catalog()
    answers = ask(lines(catalog), os.environ["AXOLOTL_PYTHON"])
    apart = 0
    for name in FILES:
        found, theirs, after = checked(catalog, name), answers[f"given: {name}"], answers[f"mended: {name}"]
        agree = found.valid == theirs["valid"]
        apart += not agree
        mark, verdict = ("   " if agree else "!! "), ("takes" if theirs["valid"] else "refuses")
        print(f"{mark}{name}: {found.verdict}, Axolotl {verdict} it", end="")
        print(f", {'takes' if after['valid'] else 'refuses'} it mended")
        for finding in found.findings:
            print(f"        {finding.effect} {finding.code} {finding.key} line {finding.line} fix {finding.fix}")
        if not theirs["valid"]:
            print("        Axolotl:", " ".join(theirs["error"].split())[:240])
        if not after["valid"] and after["error"] != theirs["error"]:
            print("        Axolotl, mended:", " ".join(after["error"].split())[:240])
    print(f"{len(FILES)} files, {apart} disagreements")
    if given.record:
        kept = {name: {"valid": answer["valid"], "error": answer["error"]} for name, answer in answers.items()}
        RECORDING.write_text(json.dumps(kept, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    return 1 if apart else 0


if __name__ == "__main__":
    sys.exit(main())
