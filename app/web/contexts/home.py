"""``/``: what this is, and a start."""

from dataclasses import dataclass

from app.web.contexts.form import FieldView, Option
from app.web.contexts.frame import Link, Shell
from app.web.contexts.result import MemoryBar, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One plan at a glance, to show what this is."""

    link: Link
    method: str
    verdict: Verdict
    bar: MemoryBar
    trainable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HomePage:
    """``/``: what this is, and three ways to begin. An address that is blank belongs to a page that there is not."""

    shell: Shell
    fields: dict[str, FieldView]
    model_options: tuple[Option, ...]
    sample: Sample | None
    examples: tuple[Link, ...]
    model_count: str
    gpu_count: str
    methods_url: str
    methods: tuple[Link, ...]
    tree_url: str
    suggestions: dict[str, tuple[str, ...]]
    action: str
    models_url: str
    post_url: str
    check_post_url: str
    yaml: str
    problem: str
    lang: str
