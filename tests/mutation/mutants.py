"""The changes that mutmut would make to the parameter and memory modules, each as the whole text of a changed file."""

import ast
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MUTATED = ("app/core/adapter.py", "app/core/methods", "app/core/memory")


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
