"""Rules about what a dataset names: the strategy that reads its rows, and the kind of its files.

Sources: Axolotl 0.19.0 ``prompt_strategies``, ``utils/data`` (``wrappers.py``, ``rl.py``, ``shared.py``); ``datasets``
5.2 for the kinds of files.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from app.core.axolotl.data_rules import blocks
from app.core.axolotl.subject import Rule, Subject, fails, info
from app.core.findings import Finding, Fix
from app.core.nearest import nearest

AS_DPO = ("dpo", "ipo", "simpo")
ROLLED_OUT = ("grpo", "gdpo")
"""Where a dataset's type is a function of one's own."""
FILES = tuple(
    """arrow audiofolder conll csv eval fasta fastq genbank harbor hdf5 iceberg imagefolder json lance meshfolder mmcif
    niftifolder pandas parquet pdb pdffolder text tsfile videofolder vortex webdataset xml""".split()
)
"""What ``ds_type`` can be read as: the packaged builders of ``datasets``."""
USUAL_FILES = ("json", "csv", "parquet", "arrow", "text")
MOST_LOOKED_UP = 12
"""Unknown names for which the nearest known one is looked up."""
MEANT = {"jsonl": "json", "jsonlines": "json", "txt": "text", "tsv": "csv", "pq": "parquet"}
LOCAL = ("/", "./", "../", "~")
ENDINGS = (".json", ".jsonl", ".csv", ".parquet", ".arrow", ".txt")


def kind_of(subject: Subject) -> str | None:
    """The kind of training as the recording names it; None where a type is one's own."""
    rl = subject.text("rl")
    if rl in ROLLED_OUT:
        return None
    return "dpo" if rl in AS_DPO else rl or "sft"


def strategy(subject: Subject) -> Iterator[Finding]:
    """A type that nothing reads stops the run before any training.

    A dotted name whose first part is none of Axolotl's may be a module of one's own.
    """
    kind = kind_of(subject)
    schema = subject.schema
    if kind is None or schema is None or kind not in schema.dataset_types:
        return
    if kind == "sft" and subject.on("skip_prepare_dataset"):
        return
    known = schema.dataset_types
    unread = [
        (path, name)
        for key in ("datasets", "test_datasets")
        for path, item in blocks(subject, key)
        if (name := _name(item, kind)) is not None and name not in _allowed(known, kind, name)
    ]
    for position, (path, name) in enumerate(unread):
        yield _unread(known, kind, name, path, near=position < MOST_LOOKED_UP)


def _name(item: Mapping[Any, Any], kind: str) -> str | None:
    """The strategy that a dataset names, None where it names none or one that another rule is about."""
    given = item.get("type")
    if not isinstance(given, str) or not given or given.startswith("sharegpt"):
        return None
    if kind != "sft":
        return given
    name = given.partition(":")[0]  # alpaca:chat is a way to write alpaca's prompt
    return None if name.startswith("stepwise_supervised") else name


def _allowed(known: Mapping[str, frozenset[str]], kind: str, name: str) -> frozenset[str]:
    return known["reward"] if kind == "sft" and name.startswith("bradley_terry") else known[kind]


def _unread(known: Mapping[str, frozenset[str]], kind: str, name: str, path: str, *, near: bool) -> Finding:
    where = f"{path}.type"
    given = name[:80]
    allowed = _allowed(known, kind, name)
    close = nearest(name, allowed, count=1) if near else ()
    others = tuple(other for other in ("sft", *sorted(known)) if other != kind and name in known[other])
    if others:
        usual = tuple(sorted(allowed, key=lambda other: ("." in other, other)))[:4]
        trainings = tuple(dict.fromkeys("sft" if other == "reward" else other for other in others))
        return fails("dataset_type_elsewhere", where, given=given, trainings=trainings, nearest=close or usual)
    first, dot, _ = name.partition(".")
    modules = _modules(allowed)
    if close and (not dot or first in modules or nearest(first, modules, count=1)):
        fix = Fix(set={where: close[0]}, safe=close[0] == name.lower())
        return fails("dataset_type_unknown", where, fix=fix, given=given, nearest=close[0])
    if first in modules or (kind == "sft" and not dot):
        return fails("dataset_type", where, given=given, allowed=_first(allowed))
    return info("dataset_type_own", where, given=given)


@cache
def _modules(allowed: frozenset[str]) -> frozenset[str]:
    return frozenset(name.partition(".")[0] for name in allowed)


@cache
def _first(allowed: frozenset[str]) -> tuple[str, ...]:
    return tuple(sorted(allowed))[:20]


def files(subject: Subject) -> Iterator[Finding]:
    """``ds_type`` says how files of one's own are read; a dataset of the Hub says so itself."""
    unread = [
        (path, given)
        for key in ("datasets", "test_datasets", "pretraining_dataset")
        for path, item in blocks(subject, key)
        if isinstance(given := item.get("ds_type"), str) and given not in FILES and _of_files(item.get("path"))
    ]
    for position, (path, given) in enumerate(unread):
        near = nearest(given, FILES, count=1) if position < MOST_LOOKED_UP else ()
        close = MEANT.get(given.lower()) or next(iter(near), None)
        where = f"{path}.ds_type"
        fix = Fix(set={where: close}, safe=given.lower() in MEANT) if close else None
        yield fails("dataset_files", where, fix=fix, given=given[:40], usual=USUAL_FILES)


def _of_files(source: object) -> bool:
    return isinstance(source, str) and (source.startswith(LOCAL) or source.endswith(ENDINGS))


DATASET_RULES: tuple[Rule, ...] = (strategy, files)
