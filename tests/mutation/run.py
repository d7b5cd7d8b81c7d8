"""Changes one thing in the parameter or memory modules and sees whether a test fails; again and again.

    python -m pip install mutmut==3.8.1
    python -m tests.mutation.run --count 400 --seed 4 --out mutants.jsonl     # judges a sample drawn by chance
    python -m tests.mutation.run --again mutants.jsonl --out again.jsonl      # only those that survived then
    python -m tests.mutation.run --table mutants.jsonl again.jsonl            # the figures, and the survivors

mutmut makes the changes: an operator for another, a number one higher, an argument left out or None, a condition
turned round, a case of a match dropped. It cannot run them here: its way puts a wrapper around each function, which
holds the arguments until the function returns, and the memory model counts what is let go of. So each mutant is a
process of its own, forked once everything is imported and the tests are collected: the functions that are changed get
the changed code. What is not inside of a function, or ran while modules were imported, is imported again in that process.

A mutant meets the tests that ran its line when nothing was changed, until one fails: first what is quick and has failed
for others of its file. Tests that only compare with what this code said before (``SNAPSHOTS``) do not count: they are
asked last, and told apart.
"""

import argparse
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import coverage
import pytest

from tests.mutation.mutants import ROOT, Mutant, drawn, files, found_again
from tests.mutation.swapping import Swaps, living, swaps

TESTS = (
    "tests/core/test_adapter.py",
    "tests/core/test_collating.py",
    "tests/core/test_context.py",
    "tests/core/test_corners.py",
    "tests/core/test_hardware.py",
    "tests/core/test_kept.py",
    "tests/core/test_run.py",
    "tests/core/test_run_keys.py",
    "tests/core/test_wrappers.py",
    "tests/core/methods",
    "tests/core/memory",
    "tests/services/test_images.py",
    "tests/services/test_lengths.py",
    "tests/services/test_older_cards.py",
    "tests/services/test_padding.py",
)
"""What is quick and holds the two parts to recordings. Searches by hypothesis are left out: they differ each time."""
SWEEPS = "tests/core/memory/test_catalogue.py::test_every_model_is_estimated_under_every_method"
"""A fifth of what all others take together."""
SNAPSHOTS = (
    "test_published_estimates_are_todays",
    "test_published_runs_are_shown_as_they_are",
    "test_what_a_card_measured_is_shown_as_it_is",
    "test_every_term_stands_there_with_its_bytes",
)
QUIET = ("-q", "-s", "--noconftest", "-p", "no:cacheprovider", "-p", "no:logging", "-p", "tests.mutation.catalogue")
OPTIONS = (*QUIET, "-m", "not hypothesis", "--deselect", SWEEPS)
WITHOUT_PLUGINS = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
PLUGINS = ("-p", "_hypothesis_pytestplugin")
MEMORY = "app/core/memory/"
MOST_TIMES = 5
"""A test is stopped that takes so many times as long as without any change, and two seconds more."""
MOST_BYTES = 6 << 30


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

    def told(self) -> "Told":
        """What became of a mutant."""
        fate = "killed by today's figures" if str(self.failed).endswith(SNAPSHOTS) else "killed"
        return Told(fate if self.failed else "survived", self.failed, self.seconds)


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Which tests run which lines; the empty name stands for lines that run while modules are imported."""

    by_line: Mapping[str, Mapping[int, frozenset[str]]]
    chosen: frozenset[str] = frozenset()
    """Tests that are asked whatever they run: nothing was traced."""

    def tests(self, mutant: Mutant) -> frozenset[str]:
        """Those that run a mutant's statement."""
        if self.chosen:
            return self.chosen
        lines = self.by_line.get(mutant.path, {})
        return frozenset().union(*(lines.get(line, frozenset()) for line in range(mutant.line, mutant.end + 1)))

    @cached_property
    def traced(self) -> frozenset[str]:
        """Tests that run any line at all; the others read tables, or the product's files."""
        return frozenset().union(*(names for lines in self.by_line.values() for names in lines.values()))

    def beside(self, mutant: Mutant) -> frozenset[str]:
        """Those that run anything of the memory model, for what is part of it; all of them for what it stands on."""
        paths = (
            [path for path in self.by_line if path.startswith(MEMORY)]
            if mutant.path.startswith(MEMORY)
            else self.by_line
        )
        return frozenset().union(*(names for path in paths for names in self.by_line[path].values()))


def reach() -> Reach:
    """Run the tests once under coverage."""
    code = "from tests.mutation.run import measured; measured()"
    data = ROOT / ".coverage-mutation"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, env=WITHOUT_PLUGINS)
    lines = coverage.CoverageData(basename=str(data))
    lines.read()
    by_line = {
        path: {
            line: frozenset(name.removesuffix("|run") for name in names)
            for line, names in lines.contexts_by_lineno(str(ROOT / path)).items()
        }
        for path in files()
    }
    data.unlink()
    return Reach(by_line=by_line)


def measured() -> None:
    """In a process of its own: lines by test."""
    os.environ["COVERAGE_FILE"] = str(ROOT / ".coverage-mutation")
    cover = ["-p", "pytest_cov.plugin", "--cov=app/core", "--cov-context=test", "--cov-report=", "--cov-fail-under=0"]
    code = pytest.main([*OPTIONS, *PLUGINS, *cover, *(test for test in TESTS if _there(test))])
    if code != pytest.ExitCode.OK:
        raise SystemExit("the tests fail without any change")


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


class Told(NamedTuple):
    """What a forked process said in the end; nothing where it was stopped."""

    fate: str
    by: str | None
    seconds: Mapping[str, float]


@dataclass(slots=True, kw_only=True)
class Judge:
    """A pytest plugin that runs no test itself: once all are collected it forks a process for each mutant."""

    mutants: Sequence[Mutant]
    reached: Reach
    jobs: int
    told: Callable[[dict[str, Any]], bool]
    """Takes a row of results, and says whether to go on."""
    watch: _Watch = field(default_factory=_Watch)
    seconds: Mapping[str, float] = field(default_factory=dict)
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """In a forked process."""
        self.watch.pytest_runtest_logreport(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of running the tests."""
        items = {item.nodeid: item for item in session.items}
        alive = living()
        gc.freeze()
        if not self.reached.by_line:
            self.reached = Reach(by_line={}, chosen=frozenset(items))
        self.unchanged(items)
        waiting = list(reversed(self.mutants))
        running: dict[int, tuple[Mutant, int]] = {}
        going = True
        while running or (going and waiting):
            while going and waiting and len(running) < self.jobs:
                mutant = waiting.pop()
                tests = self.ordered(mutant, items)
                if not tests:
                    going = self.told({**described(mutant), "seconds": 0.0, "fate": "not reached", "by": None})
                    continue
                exchanged = None if "" in self.reached.tests(mutant) else swaps(mutant, alive)
                child, read = _forked(partial(self.judged, mutant, tests, exchanged, items))
                running[child] = (mutant, read)
            if running:
                child, status, used = os.wait4(-1, 0)
                mutant, read = running.pop(child)
                verdict = _heard(read, status)
                if verdict.fate == "killed":
                    self.kills[mutant.path, str(verdict.by)] += 1
                spent = round(used.ru_utime + used.ru_stime, 1)
                going = (
                    self.told({**described(mutant), "seconds": spent, "fate": verdict.fate, "by": verdict.by}) and going
                )
        return True

    def unchanged(self, items: Mapping[str, pytest.Item]) -> None:
        """Nothing changed must fail nothing, either way; how long each test takes is known from then on."""
        path = files()[0]
        text = (ROOT / path).read_text(encoding="utf-8")
        same = Mutant(path=path, name="", line=0, end=0, before="", after="", source=text)
        self.seconds = dict.fromkeys(items, 60.0)
        ways: tuple[Swaps | None, ...] = ([], None)
        for exchanged in ways:
            child, read = _forked(partial(self.judged, same, list(items), exchanged, items))
            verdict = _heard(read, os.waitpid(child, 0)[1])
            if verdict.fate != "survived" or set(verdict.seconds) != set(items):
                raise RuntimeError(f"without any change: {verdict.fate} by {verdict.by}")
            self.seconds = verdict.seconds

    def ordered(self, mutant: Mutant, items: Mapping[str, pytest.Item]) -> list[str]:
        """The tests of a mutant, snapshots last: first what has killed most in this file for each second it takes."""
        names = self.reached.tests(mutant)
        if "" in names:  # what was made while modules were imported may be read by tests that run none of its lines
            names |= self.reached.beside(mutant) | (items.keys() - self.reached.traced)
        reached = names & items.keys()

        def worth(test: str) -> float:
            return (0.2 + self.kills[mutant.path, test]) / (0.01 + self.seconds[test])

        return sorted(reached, key=lambda test: (test.endswith(SNAPSHOTS), -worth(test)))

    def judged(
        self, mutant: Mutant, tests: Sequence[str], exchanged: Swaps | None, items: Mapping[str, pytest.Item]
    ) -> Told:
        """In a forked process: run the tests against the mutant."""
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
        if exchanged is None:
            return self.judged_anew(mutant, tests)
        for function, code in exchanged:
            function.__code__ = code
        for test in tests:
            signal.setitimer(signal.ITIMER_PROF, 2 + MOST_TIMES * self.seconds[test])  # it is stopped by the signal
            items[test].ihook.pytest_runtest_protocol(item=items[test], nextitem=None)
            if self.watch.failed:
                break
        return self.watch.told()

    def judged_anew(self, mutant: Mutant, tests: Sequence[str]) -> Told:
        """In a forked process: forget all that is the product's and its tests', and import it with the change."""
        for name in [name for name in sys.modules if name.partition(".")[0] in ("app", "tests")]:
            del sys.modules[name]
        sys.meta_path.insert(0, _Changed(mutant))
        signal.setitimer(signal.ITIMER_PROF, 20 + MOST_TIMES * sum(self.seconds[test] for test in tests))
        snapshots = [test for test in tests if test.endswith(SNAPSHOTS)]
        watch = _Watch()
        for part in ([test for test in tests if test not in snapshots], snapshots):
            if part and watch.failed is None:
                code = pytest.main(["-x", *OPTIONS, *PLUGINS, *part], plugins=[watch])
                watch.failed = watch.failed or ("(import)" if code else None)
        return watch.told()


def _forked(work: Callable[[], Told]) -> tuple[int, int]:
    """A process that does something in silence, and where to read what it says of it.

    A file and no pipe: nobody reads before the end, and what all tests took is more than a pipe holds.
    """
    with tempfile.TemporaryFile() as file:
        read = os.dup(file.fileno())
    child = os.fork()
    if child:
        return child, read
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    with os.fdopen(read, "wb") as answer:
        answer.write(json.dumps(work()).encode())
    os._exit(0)


def _heard(read: int, status: int) -> Told:
    """What it said. One that was stopped had spent several times what the unchanged code needs."""
    with os.fdopen(read, "rb") as file:
        file.seek(0)
        answer = file.read()
    if answer:
        return Told(*json.loads(answer))
    if not os.WIFSIGNALED(status):
        raise RuntimeError("the tests could not be run")
    return Told("killed", f"limits (signal {os.WTERMSIG(status)})", {})


def described(mutant: Mutant) -> dict[str, Any]:
    """What a line of results says of a mutant itself."""
    return {"name": mutant.name, "line": mutant.line, "before": mutant.before, "after": mutant.after}


def read(path: Path) -> list[dict[str, Any]]:
    """Rows of results."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The figures by part, and what survived; ``gone`` is what survived once and is no longer there to be changed."""
    lines = [
        "| part | mutants | killed | by today's figures alone | survived | gone | score |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    parts = {
        "parameters": ("adapter.py", "lora.py", "axolotl/lora_reader.py", "methods/"),
        "memory": ("memory/", "collating.py", "context.py"),
        "both": ("",),
    }
    for part, starts in parts.items():
        fates = Counter(row["fate"] for row in rows if row["name"].startswith(starts))
        whole = sum(fates.values()) - fates["gone"]
        killed, today = fates["killed"], fates["killed by today's figures"]
        left = fates["survived"] + fates["not reached"]
        score = f"{100 * killed / whole:.1f} %" if whole else "-"
        lines.append(f"| {part} | {whole} | {killed} | {today} | {left} | {fates['gone']} | {score} |")
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
    parser.add_argument("--within", nargs="+", default=(), help="draw so many of each of these files instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes at a time")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop drawing after so long")
    parser.add_argument("--out", type=Path, help="one line of JSON for each mutant; goes on where it ended")
    parser.add_argument("--again", type=Path, help="judge those of a file that were not killed")
    parser.add_argument("--tests", nargs="+", help="ask these alone, without tracing what runs what")
    parser.add_argument("--table", type=Path, nargs="+", help="show files, where later ones count, and do nothing")
    arguments = parser.parse_args()
    if arguments.table:
        print(table(list({row["name"]: row for path in arguments.table for row in read(path)}.values())))
        return
    os.chdir(ROOT)
    os.environ |= WITHOUT_PLUGINS
    rows = read(arguments.out) if arguments.out and arguments.out.exists() else []
    done = {row["name"] for row in rows}
    started = time.monotonic()

    def told(row: dict[str, Any]) -> bool:
        rows.append(row)
        print(f"{len(rows):4d} {row['fate']:26s} {row['seconds']:6.1f} s  {row['name']}:{row['line']}", flush=True)
        if arguments.out:
            with arguments.out.open("a", encoding="utf-8") as out:
                out.write(json.dumps(row) + "\n")
        return bool(time.monotonic() - started < 60 * arguments.minutes)

    if arguments.again:
        before = {row["name"]: row for row in read(arguments.again) if row["fate"] != "killed"}
        mutants, gone = found_again(before.values())
        for name in gone:
            if name not in done:
                told({**before[name], "seconds": 0.0, "fate": "gone", "by": None})
    else:
        mutants, known = drawn(arguments.count, arguments.seed, arguments.within)
        print(f"{len(mutants)} of {known} mutants", flush=True)
    mutants = [mutant for mutant in mutants if mutant.name not in done]
    tests = arguments.tests or [test for test in TESTS if _there(test)]
    judge = Judge(
        mutants=mutants, reached=Reach(by_line={}) if arguments.tests else reach(), jobs=arguments.jobs, told=told
    )
    code = pytest.main([*OPTIONS, *PLUGINS, *tests], plugins=[judge])
    if code != pytest.ExitCode.OK:
        raise SystemExit("not all was judged")
    print(table(rows))


if __name__ == "__main__":
    main()
