"""Changes one thing in the parameter or memory modules and sees whether a test fails; again and again.

    python -m pip install mutmut==3.8.1
    python -m tests.mutation.run --count 400 --seed 4 --out mutants.jsonl     # judges a sample drawn by chance
    python -m tests.mutation.run --again mutants.jsonl                        # only those that survived then
    python -m tests.mutation.run --table mutants.jsonl                        # the figures, and the survivors

mutmut makes the changes: an operator for another, a number one higher, an argument left out or None, a condition
turned round, a case of a match dropped. It cannot run them here: its way puts a wrapper around each function, which
holds the arguments until the function returns, and the memory model counts what is let go of. So each mutant is a
process of its own, forked before anything of the product is imported, that reads one module with the change in it.

A mutant meets the tests that ran its line when nothing was changed, the quickest first, until one fails. Tests that
only compare with what this code said before (``SNAPSHOTS``) do not count: they are asked last, and told apart.
"""

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import coverage
import pytest

ROOT = Path(__file__).parents[2]
MUTATED = ("app/core/adapter.py", "app/core/methods", "app/core/memory")
TESTS = (
    "tests/core/test_adapter.py",
    "tests/core/test_corners.py",
    "tests/core/methods",
    "tests/core/memory/test_methods.py",
    "tests/core/memory/test_switches.py",
    "tests/core/memory/test_parts.py",
    "tests/core/memory/test_heads.py",
    "tests/core/memory/test_peaks.py::test_every_architecture_is_met",
    "tests/core/memory/test_peaks.py::test_drawn_peaks_are_met",
    "tests/core/memory/test_peaks.py::test_quantised_and_adapted_experts_are_met",
    "tests/core/memory/test_accuracy.py",
)
"""What is quick and holds the two parts to recordings. Searches by hypothesis are left out: they differ each time."""
SNAPSHOTS = ("test_published_estimates_are_todays", "test_published_runs_are_shown_as_they_are")
OPTIONS = ("-q", "-x", "--noconftest", "-p", "no:cacheprovider", "-p", "no:logging", "-m", "not hypothesis")
WITHOUT_PLUGINS = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLUGINS = ("-p", "_hypothesis_pytestplugin")
MOST_CPU_SECONDS = 120
MOST_BYTES = 6 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change. ``number`` counts the changes of a file in mutmut's order."""

    path: str
    number: int
    line: int
    end: int
    before: str
    after: str
    source: str

    @property
    def name(self) -> str:
        """Short, and the same as long as the file and mutmut are."""
        return f"{self.path.removeprefix('app/core/')}#{self.number}"

    @property
    def module(self) -> str:
        """As it is imported."""
        return self.path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def files() -> list[str]:
    """All that may be changed, in order."""
    found = [
        path for name in MUTATED for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).glob("*.py"))
    ]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def drawn(count: int, seed: int, only: Sequence[str]) -> tuple[list[Mutant], int]:
    """A sample of all mutants, or the named ones, and how many there are in all."""
    import libcst
    from libcst.metadata import MetadataWrapper, PositionProvider
    from mutmut.mutation.file_mutation import create_mutations, deep_replace

    known: list[tuple[str, int]] = []
    made: dict[str, tuple[libcst.Module, list[Any]]] = {}
    for path in files():
        module, mutations, *_ = create_mutations(path, (ROOT / path).read_text(encoding="utf-8"))
        made[path] = (module, mutations)
        known += [(path, number) for number in range(len(mutations))]
    if only:
        chosen = [(path, number) for path, number in known if f"{path.removeprefix('app/core/')}#{number}" in set(only)]
    else:
        chosen = random.Random(seed).sample(known, min(count, len(known)))
    found = []
    positions: dict[str, Mapping[Any, Any]] = {}
    trees: dict[str, ast.Module] = {}
    for path, number in chosen:
        module, mutations = made[path]
        if path not in positions:
            wrapper = MetadataWrapper(module, unsafe_skip_copy=True)
            positions[path] = wrapper.resolve(PositionProvider)
            trees[path] = ast.parse(module.code)
        old, new = mutations[number].original_node, mutations[number].mutated_node
        line = positions[path][old].start.line
        start, end = statement(trees[path], line)
        found.append(
            Mutant(
                path=path,
                number=number,
                line=start,
                end=end,
                before=" ".join(module.code_for_node(old).split())[:100],
                after=" ".join(module.code_for_node(new).split())[:100],
                source=deep_replace(module, old, new).code,
            )
        )
    return found, len(known)


def statement(tree: ast.Module, line: int) -> tuple[int, int]:
    """First and last line of the innermost statement on a line, without what is nested in it."""
    found = (line, line)
    for node in ast.walk(tree):  # outer ones come first
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or line):
            inner = getattr(node, "body", None) or getattr(node, "cases", None)
            first = inner[0].body[0] if inner and isinstance(inner[0], ast.match_case) else inner[0] if inner else None
            end = (node.end_lineno or line) if first is None else max(node.lineno, first.lineno - 1)
            if line <= end:
                found = (node.lineno, end)
    return found


class _Watch:
    """A pytest plugin that knows how long each test took, and which failed first."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.failed: str | None = None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed and self.failed is None:
            self.failed = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed and self.failed is None:
            self.failed = f"{report.nodeid} (import)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which tests run which lines, and how long each takes."""

    seconds: Mapping[str, float]
    by_line: Mapping[str, Mapping[int, frozenset[str]]]

    def tests(self, mutant: Mutant) -> list[str]:
        """Those that run a mutant's statement, quickest first; all of them where it runs while it is imported."""
        lines = self.by_line.get(mutant.path, {})
        contexts = frozenset().union(*(lines.get(line, frozenset()) for line in range(mutant.line, mutant.end + 1)))
        names = {context.removesuffix("|run") for context in contexts if context}
        if not names and contexts:
            names = set(self.seconds)
        return sorted((name for name in names if name in self.seconds), key=self.seconds.__getitem__)


def reach() -> Reach:
    """Run the tests once under coverage."""
    code = "import sys; from tests.mutation.run import measured; measured(sys.argv[1])"
    data = ROOT / ".coverage-mutation"
    seconds = data.with_suffix(".json")
    subprocess.run([sys.executable, "-c", code, str(seconds)], check=True, cwd=ROOT, env=WITHOUT_PLUGINS)
    lines = coverage.CoverageData(basename=str(data))
    lines.read()
    by_line = {
        path: {line: frozenset(names) for line, names in lines.contexts_by_lineno(str(ROOT / path)).items()}
        for path in files()
    }
    found = Reach(seconds=json.loads(seconds.read_text(encoding="utf-8")), by_line=by_line)
    data.unlink()
    seconds.unlink()
    return found


def measured(out: str) -> None:
    """In a process of its own: lines by test, and seconds."""
    watch = _Watch()
    os.environ["COVERAGE_FILE"] = str(ROOT / ".coverage-mutation")
    options = [option for option in OPTIONS if option != "-x"]
    cover = ["-p", "pytest_cov.plugin", "--cov=app/core", "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    code = pytest.main([*options, *PLUGINS, *cover, *(test for test in TESTS if _there(test))], plugins=[watch])
    if code != pytest.ExitCode.OK:
        raise SystemExit("the tests fail without any change")
    Path(out).write_text(json.dumps(watch.seconds), encoding="utf-8")


def _there(test: str) -> bool:
    return (ROOT / test.partition("::")[0]).exists()


class _Changed(importlib.abc.MetaPathFinder):
    """Finds the one module that is changed, ahead of everybody else."""

    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.mutant.module:
            return None
        where = str(ROOT / self.mutant.path)
        inside = [str(Path(where).parent)] if where.endswith("__init__.py") else None
        loader = _Loader(fullname, where, self.mutant.source)
        return importlib.util.spec_from_file_location(fullname, where, loader=loader, submodule_search_locations=inside)


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


def judged(mutant: Mutant, tests: Sequence[str], verdict: int) -> None:
    """In a forked process: run the tests against the mutant; what came of it goes through a pipe."""
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_SECONDS, MOST_CPU_SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    sys.meta_path.insert(0, _Changed(mutant))
    snapshots = [test for test in tests if test.endswith(SNAPSHOTS)]
    for part in ([test for test in tests if test not in snapshots], snapshots):
        watch = _Watch()
        code = pytest.main([*OPTIONS, *PLUGINS, *part], plugins=[watch]) if part else 0
        if code:
            break
    what = "survived" if not code else "killed by today's figures" if part is snapshots else "killed"
    os.write(verdict, json.dumps({"fate": what, "by": watch.failed}).encode())
    os._exit(0)


def judge(mutants: Sequence[Mutant], reached: Reach, jobs: int) -> Iterator[dict[str, Any]]:
    """What became of each, ``jobs`` at a time."""
    import hypothesis  # noqa: F401 - imported once, before any fork
    import yaml  # noqa: F401

    if any(name.partition(".")[0] == "app" for name in sys.modules):
        raise RuntimeError("something of the product is imported already")
    waiting = list(reversed(mutants))
    running: dict[int, tuple[Mutant, int, float]] = {}
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            tests = reached.tests(mutant)
            if not tests:
                yield {**told(mutant), "seconds": 0.0, "fate": "not reached", "by": None}
                continue
            read, write = os.pipe()
            child = os.fork()
            if not child:
                os.close(read)
                judged(mutant, tests, write)
            os.close(write)
            running[child] = (mutant, read, time.monotonic())
        if not running:
            break
        child, status = os.wait()
        mutant, read, started = running.pop(child)
        with os.fdopen(read, "rb") as pipe:
            answer = pipe.read()
        if not answer and not os.WIFSIGNALED(status):
            raise RuntimeError(f"the tests could not be run against {mutant.name}")
        # A process that was stopped had spent its time, where the unchanged code needs a tenth of it.
        verdict = json.loads(answer) if answer else {"fate": "killed", "by": f"limits ({status})"}
        yield {**told(mutant), "seconds": round(time.monotonic() - started, 1), **verdict}


def told(mutant: Mutant) -> dict[str, Any]:
    """What a line of results says of a mutant itself."""
    return {"name": mutant.name, "line": mutant.line, "before": mutant.before, "after": mutant.after}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures by part, and what survived."""
    lines = [
        "| part | mutants | killed | by today's figures alone | survived | score |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    parts = {"parameters": ("adapter.py", "methods/"), "memory": ("memory/",), "both": ("",)}
    for part, starts in parts.items():
        fates = Counter(row["fate"] for row in rows if row["name"].startswith(starts))
        whole = sum(fates.values())
        killed, today = fates["killed"], fates["killed by today's figures"]
        left = fates["survived"] + fates["not reached"]
        score = f"{100 * killed / whole:.1f} %" if whole else "-"
        lines.append(f"| {part} | {whole} | {killed} | {today} | {left} | {score} |")
    lines += ["", "| mutant | line | was | became | fate |", "|---|---:|---|---|---|"]
    lines += [
        f"| `{row['name']}` | {row['line']} | `{row['before']}` | `{row['after']}` | {row['fate']} |"
        for row in sorted(rows, key=lambda row: row["name"])
        if row["fate"] != "killed"
    ]
    return "\n".join(lines)


def main() -> None:
    """Draw, judge, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=400, help="mutants to draw")
    parser.add_argument("--seed", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=1e9, help="stop drawing after so long")
    parser.add_argument("--out", type=Path, help="one line of JSON for each mutant")
    parser.add_argument("--again", type=Path, help="judge those of a file that were not killed")
    parser.add_argument("--table", type=Path, help="show a file and do nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print(table([json.loads(line) for line in arguments.table.read_text(encoding="utf-8").splitlines()]))
        return
    only = []
    if arguments.again:
        before = [json.loads(line) for line in arguments.again.read_text(encoding="utf-8").splitlines()]
        only = [row["name"] for row in before if row["fate"] != "killed"]
    os.chdir(ROOT)
    os.environ |= WITHOUT_PLUGINS
    mutants, known = drawn(arguments.count, arguments.seed, only)
    print(f"{len(mutants)} of {known} mutants", flush=True)
    reached = reach()
    unchanged = [replace(mutants[0], source=(ROOT / mutants[0].path).read_text(encoding="utf-8"))]
    if [row["fate"] for row in judge(unchanged, reached, 1)] != ["survived"]:
        raise SystemExit("the tests fail without any change")
    started, rows = time.monotonic(), []
    for row in judge(mutants, reached, arguments.jobs):
        rows.append(row)
        print(f"{len(rows):4d} {row['fate']:26s} {row['seconds']:6.1f} s  {row['name']}:{row['line']}", flush=True)
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        if time.monotonic() - started > 60 * arguments.minutes:
            break
    print(table(rows))


if __name__ == "__main__":
    main()
