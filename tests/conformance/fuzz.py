"""Throws inputs of all kinds at the checker: bytes, text, and configurations that are nearly right.

    python -m tests.conformance.fuzz --count 100000 --seed 1

Each is checked and answered as the API answers it, in either language. A crash is told at once. Ends with how many there
were, how long the slowest took and, with status 1, what crashed or took longer than the limit. What took longer is measured again by itself, each time in a process that has checked nothing like it before: a busy machine's
processor takes several times as long for a moment.
"""

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from app.api import rendering
from app.api.reply import json_reply
from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.renamed import NEVER_READ, REMOVED, RENAMED
from app.core.hardware import Hardware
from app.loading import quickly
from app.services.checking import check_text
from app.services.inputs import resolve_hardware
from app.texts import Texts, texts
from tests.conformance.broken import BASES
from tests.conformance.largest import files

LIMIT_SECONDS = 0.2
PIECES = (
    *""": - [ ] { } , # & * ! | > ' " % @ ` ~ < << *a &a !!binary !!set !!python/object:x --- ... ? 0 1e5 2e-4 010 1:30
    .nan -.inf yes no on off null true 2024-01-01 0x1F a b lora base_model datasets adapter ကခ""".split(),
    "\t",
    "\x00",
    "\x85",
    "\u2028",
    "\ud7ff",
    "\n",
    "\n  ",
    "\n    - ",
    ": ",
    "- ",
)
ODD_NUMBERS = (float("nan"), float("inf"), -float("inf"), "---6", "²", "9" * 390, int("9" * 390), "rank=²")


def noise(chance: random.Random) -> bytes:
    """Bytes of any kind."""
    return chance.randbytes(chance.randrange(400))


def soup(chance: random.Random) -> str:
    """Pieces of YAML in any order."""
    return "".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 120)))


def value(chance: random.Random, depth: int = 0) -> Any:
    """A value of any kind."""
    kind = chance.randrange(13 if depth < 3 else 10)
    if kind > 10:
        return [value(chance, depth + 1) for _ in range(chance.randrange(4))]
    if kind == 10:
        return {
            chance.choice(("path", "type", "a", "lora_r", 1)): value(chance, depth + 1)
            for _ in range(chance.randrange(4))
        }
    number = chance.choice(ODD_NUMBERS)
    simple = (None, True, False, 0, -1, 1 << chance.randrange(70), chance.uniform(-1, 1e6), "", chance.choice(PIECES))
    return (*simple, number)[kind]


def nearly(keys: list[str]) -> Callable[[random.Random], str]:
    """Configurations of known keys with values of any kind."""

    def make(chance: random.Random) -> str:
        config = dict(chance.choice(list(BASES.values())))
        for _ in range(chance.randrange(1, 8)):
            config[chance.choice(keys)] = value(chance)
        return yaml.safe_dump(config, sort_keys=False, default_flow_style=chance.choice((None, False, True)))

    return make


def damaged(chance: random.Random) -> str:
    """A good file with something cut, doubled or exchanged."""
    text = yaml.safe_dump(dict(chance.choice(list(BASES.values()))), sort_keys=False)
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.randrange(12))
        text = text[:start] + chance.choice((chance.choice(PIECES), text[start:end] * 2, "")) + text[end:]
    return text


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--alone", type=Path, help="print the seconds that an answer to this file takes, and no more")
    arguments = parser.parse_args()
    if arguments.alone is not None:
        print(once(loaded(), arguments.alone.read_bytes()))
        return 0
    crashes, slow, slowest = run(loaded(), arguments.count, arguments.seed)
    measured = {made: alone(made) for made in slow}
    faults = [
        *crashes,
        *(f"{took * 1000:.0f} ms: {made[:200]!r}" for made, took in measured.items() if took > LIMIT_SECONDS),
    ]
    print(*faults[:40], sep="\n", end="\n" if faults else "")
    print(f"{arguments.count} inputs, {len(faults)} faults, slowest {slowest * 1000:.0f} ms")
    if measured:
        most = max(measured.values()) * 1000
        print(
            f"{len(measured)} took over {LIMIT_SECONDS * 1000:.0f} ms once; by itself none of them over {most:.0f} ms"
        )
    return 1 if faults else 0


def loaded() -> Catalog:
    """The catalogue as the service holds it, which Python's collector passes over."""
    with quickly():
        return load_catalog()


def answer(catalog: Catalog, given: str | bytes, hardware: Hardware | None, language: Texts) -> None:
    """What ``POST /api/v1/check`` does with it."""
    json_reply(language, rendering.checked(check_text(catalog=catalog, text=given, hardware=hardware), language))


def once(catalog: Catalog, given: bytes) -> float:
    """Seconds of the processor that an answer takes, by a service that has begun its work."""
    hardware, language = resolve_hardware(catalog=catalog, gpu="t4"), texts("my")
    answer(catalog, "base_model: meta-llama/Llama-3.1-8B\nadapter: lora\nlora_r: 8\n", hardware, language)
    started = time.process_time()
    answer(catalog, given, hardware, language)
    return time.process_time() - started


def alone(made: str | bytes) -> float:
    """The least of three times, each in a process of its own."""
    given = made if isinstance(made, bytes) else made.encode("utf-8", "surrogatepass")
    with NamedTemporaryFile() as file:
        file.write(given)
        file.flush()
        command = [sys.executable, "-m", "tests.conformance.fuzz", "--alone", file.name]
        return min(float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3))


def run(catalog: Catalog, count: int, seed: int) -> tuple[list[str], list[str | bytes], float]:
    """Answer ``count`` inputs: what crashed, what took longer than the limit, and the longest seconds of the processor."""
    chance = random.Random(seed)
    keys = [*catalog.axolotl.known, *RENAMED, *REMOVED, *NEVER_READ]
    kinds = (noise, soup, nearly(sorted(keys)), damaged)
    hardware = (None, resolve_hardware(catalog=catalog, gpu="rtx-4090"), resolve_hardware(catalog=catalog, gpu="t4"))
    languages = (texts("en"), texts("my"))
    longest: list[str] = []
    crashes, slow, slowest = [], [], 0.0
    for number in range(count):
        if number % 250 == 249:
            longest = longest or [text for _, text in files(catalog)]
            made = chance.choice(longest)
        else:
            made = chance.choice(kinds)(chance)
        started = time.process_time()
        try:
            answer(catalog, made, chance.choice(hardware), chance.choice(languages))
        except Exception as error:  # noqa: BLE001 - a crash is what is looked for
            crashes.append(f"{type(error).__name__}: {error}: {made!r}")
            print(crashes[-1], flush=True)
        took = time.process_time() - started
        slowest = max(slowest, took)
        if took > LIMIT_SECONDS:
            slow.append(made)
        if number % 10_000 == 9_999:
            print(
                f"{number + 1} inputs, {len(crashes)} crashed, {len(slow)} slow, slowest {slowest * 1000:.0f} ms",
                flush=True,
            )
    return crashes, slow, slowest


if __name__ == "__main__":
    sys.exit(main())
