"""The changes that mutmut would make to the parameter and memory modules, each as the whole text of a changed file."""

import ast
import random
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
WITHIN = "app/core/"
FARTHEST_LINES = 30
"""A change of the same words that is farther from where it was is another."""
MUTATED = (
    "app/core/adapter.py",
    "app/core/lora.py",
    "app/core/axolotl/lora_reader.py",
    "app/core/methods",
    "app/core/collating.py",
    "app/core/context.py",
    "app/core/memory",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One change, named by its file and its place among the file's changes in mutmut's order."""

    path: str
    name: str
    line: int
    end: int
    before: str
    after: str
    source: str

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


class _Changes:
    """All that mutmut would change in one file."""

    def __init__(self, path: str) -> None:
        from mutmut.mutation.file_mutation import create_mutations

        self.path = path
        self.module, self.mutations, *_ = create_mutations(path, (ROOT / path).read_text(encoding="utf-8"))

    @cached_property
    def positions(self) -> Mapping[Any, Any]:
        from libcst.metadata import MetadataWrapper, PositionProvider

        found: Mapping[Any, Any] = MetadataWrapper(self.module, unsafe_skip_copy=True).resolve(PositionProvider)
        return found

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.module.code)

    def texts(self, number: int) -> tuple[str, str]:
        """What is changed and into what, on one line, short."""
        one = self.mutations[number]
        before, after = (self.module.code_for_node(node).split() for node in (one.original_node, one.mutated_node))
        return " ".join(before)[:100], " ".join(after)[:100]

    def lines(self, number: int) -> tuple[int, int]:
        """Of the statement that is changed."""
        return statement(self.tree, self.positions[self.mutations[number].original_node].start.line)

    def mutant(self, number: int, name: str = "") -> Mutant:
        """One of them."""
        from mutmut.mutation.file_mutation import deep_replace

        line, end = self.lines(number)
        before, after = self.texts(number)
        one = self.mutations[number]
        source = deep_replace(self.module, one.original_node, one.mutated_node).code
        name = name or f"{self.path.removeprefix(WITHIN)}#{number}"
        return Mutant(path=self.path, name=name, line=line, end=end, before=before, after=after, source=source)

    def like(self, row: Mapping[str, Any]) -> int | None:
        """The change that a row of results tells of, wherever it stands by now; None where it is no more."""
        alike = [n for n in range(len(self.mutations)) if self.texts(n) == (row["before"], row["after"])]
        place = int(row["name"].partition("#")[2])
        apart = {number: (abs(self.lines(number)[0] - row["line"]), abs(number - place)) for number in alike}
        nearest = min(apart, key=apart.__getitem__, default=None)
        return None if nearest is None or apart[nearest][0] > FARTHEST_LINES else nearest


def drawn(count: int, seed: int, within: Collection[str] = ()) -> tuple[list[Mutant], int]:
    """A sample of all mutants, or one of each of some files; and how many there are to draw from."""
    changes = {path: _Changes(path) for path in within or files()}
    known = [[(path, number) for number in range(len(found.mutations))] for path, found in changes.items()]
    parts = known if within else [[one for part in known for one in part]]
    chosen = [one for part in parts for one in random.Random(seed).sample(part, min(count, len(part)))]
    return [changes[path].mutant(number) for path, number in chosen], sum(map(len, known))


def found_again(rows: Iterable[Mapping[str, Any]]) -> tuple[list[Mutant], list[str]]:
    """The mutants of earlier results in the code of today under their names of then; and the names of those gone."""
    changes: dict[str, _Changes] = {}
    found, gone = [], []
    for row in rows:
        path = WITHIN + row["name"].partition("#")[0]
        changes[path] = changes.get(path) or _Changes(path)
        number = changes[path].like(row)
        if number is None:
            gone.append(row["name"])
        else:
            found.append(changes[path].mutant(number, row["name"]))
    return found, gone


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
