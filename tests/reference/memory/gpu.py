"""Recorded cases as real runs of Axolotl on a CUDA card: ``python -m tests.reference.memory.gpu --out FILE [--only NAME,...]``.

Wants a card, torch, Axolotl 0.19.0 with its pins, bitsandbytes, and ``flash_attn``'s Python (its kernels are PyTorch's own: ``gpu_flash``).
Each case runs in a process of its own, several beside each other as the card's memory allows by what was simulated for them.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback
from importlib.metadata import version
from pathlib import Path

DATA = Path(__file__).parents[2] / "data" / "memory"
PACKAGES = ("torch", "triton", "transformers", "peft", "accelerate", "trl", "axolotl", "bitsandbytes", "liger-kernel")
EARLY = (
    "torch", "numpy", "pandas", "datasets", "transformers", "accelerate", "trl", "safetensors.torch", "axolotl.utils.schemas.config",
    "axolotl.cli.train",
)  # fmt: skip
"""Imported once, before processes part. None of them wakes the card: each process must wake it by itself."""
SLACK = 2 * 2**30
"""Beside what was simulated: the context, workspaces, fragments."""


def chosen(names: list[str]) -> list[dict]:
    """The records of these names, in this order, with the file that each is from."""
    found = {}
    for path in sorted(DATA.glob("*.jsonl")):
        if path.stem.endswith("refused") or path.stem.startswith("gpu"):
            continue
        for line in path.read_text("utf-8").splitlines():
            record = json.loads(line)
            if "model" in record:
                found.setdefault(record["case"], record | {"file": path.stem})
    return [found[name] for name in names]


def prepare() -> None:
    os.environ |= {"PYTORCH_NVML_BASED_CUDA_CHECK": "1", "AXOLOTL_DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1"}
    from . import gpu_flash

    gpu_flash.install()
    for module in EARLY:
        importlib.import_module(module)


def _child(case: dict, home: Path, look: bool) -> None:
    out = os.open(home.with_name(home.name + ".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ["AXOPLAN_LOOK"] = "1" if look else "0"
    began = time.monotonic()
    try:
        from .gpu_run import run

        report = run(case, home)
    except BaseException as error:  # noqa: BLE001  # a case that fails is a finding
        traceback.print_exc()
        from .gpu_meter import REPORT

        report = REPORT | {"error": f"{type(error).__name__}: {str(error)[:600]}"}
    report["run_seconds"] = round(time.monotonic() - began, 1)
    home.with_name(home.name + ".json").write_text(json.dumps(report))
    sys.stdout.flush()
    os._exit(0)


def card() -> dict:
    """What the driver and the packages call themselves."""
    import pynvml

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    told = {"card": pynvml.nvmlDeviceGetName(handle), "driver": pynvml.nvmlSystemGetDriverVersion(),
            "total_bytes": pynvml.nvmlDeviceGetMemoryInfo(handle).total, "python": platform.python_version()}  # fmt: skip
    for package in PACKAGES:
        try:
            told[package] = version(package)
        except Exception as error:  # noqa: BLE001  # a missing package is a finding
            told[package] = repr(error)
    return told


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", type=Path, help="a text file of case names, one a line, in the order to run them")
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=500, help="start no case after this many")
    parser.add_argument("--each", type=float, default=150, help="end a case after this many")
    parser.add_argument("--beside", type=int, default=6, help="how many at once")
    parser.add_argument(
        "--alone", action="store_true", help="one at a time, without the history, for the seconds of a step"
    )
    parser.add_argument("--home", type=Path, default=Path(tempfile.gettempdir()) / "axoplan-gpu")
    given = parser.parse_args()
    names = given.names.read_text("utf-8").split() if given.names else given.only.split(",")
    todo = chosen(names)
    prepare()
    began = time.monotonic()
    told = card()
    room = told["total_bytes"] - 3 * 2**30
    print(json.dumps(told), f"ready after {time.monotonic() - began:.1f} s", flush=True)
    shutil.rmtree(given.home, ignore_errors=True)
    given.home.mkdir(parents=True)
    running: dict[int, tuple[dict, Path, float, int]] = {}
    held = 0

    def finish(child: int) -> None:
        nonlocal held
        case, home, started, size = running.pop(child)
        held -= size
        path = home.with_name(home.name + ".json")
        report = json.loads(path.read_text()) if path.exists() else {"error": "no report"}
        record = {
            "case": case["case"],
            "file": case["file"],
            "simulated_bytes": case["allocated_peak_bytes"],
            "alone": given.alone,
        } | report
        with given.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record | {"versions": told}) + "\n")
        peak, error = report.get("allocated_peak_bytes"), report.get("error", "")
        ratio = f"{100 * (case['allocated_peak_bytes'] / peak - 1):+.2f} %" if peak else ""
        print(
            f"{time.monotonic() - began:6.1f} {case['case']}: {ratio} {time.monotonic() - started:.1f} s {error[:160]}",
            flush=True,
        )
        if error:
            log = home.with_name(home.name + ".log").read_text("utf-8", "replace")
            with given.out.with_suffix(".log").open("a", encoding="utf-8") as file:
                file.write(f"==== {case['case']}\n{log[-6000:]}\n")
        shutil.rmtree(home, ignore_errors=True)

    def reap(*, wait: bool) -> bool:
        for child, (case, _, started, _) in list(running.items()):
            if time.monotonic() - started > given.each:
                os.kill(child, 9)
                print("ended:", case["case"], flush=True)
        child, _ = os.waitpid(-1, os.WNOHANG)
        if child and child in running:
            finish(child)
            return True
        if wait:
            time.sleep(0.05)
        return False

    while todo or running:
        late = time.monotonic() - began > given.seconds
        fits = None
        if todo and not late and len(running) < (1 if given.alone else given.beside):
            fits = next(
                (c for c in todo if not running or held + c["allocated_peak_bytes"] * 1.15 + SLACK < room), None
            )
        if fits is not None:
            todo.remove(fits)
            size = int(fits["allocated_peak_bytes"] * 1.15) + SLACK
            home = given.home / fits["case"]
            child = os.fork()
            if not child:
                _child(fits, home, not given.alone)
            running[child] = (fits, home, time.monotonic(), size)
            held += size
        elif running:
            reap(wait=True)
        else:
            break
    print(f"all done after {time.monotonic() - began:.1f} s, {len(todo)} left", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
