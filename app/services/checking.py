"""Looks through a configuration, anybody's YAML or our own keys: findings, a verdict, a mended file, an estimate."""

import base64
import datetime as dt
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.library import Catalog
from app.core.architecture import Architecture
from app.core.axolotl.data_blocks import FALLBACK_TEMPLATE
from app.core.axolotl.fixing import entries
from app.core.axolotl.rules import UNKNOWN_KEYS, check
from app.core.axolotl.subject import info
from app.core.errors import InvalidInput, UnknownName
from app.core.estimate import Estimate
from app.core.findings import Effect, Finding, Fix, by_gravity, gravest
from app.core.hardware import Hardware
from app.core.messages import message
from app.core.plan import Dataset, Install
from app.core.run import CCE_PLUGIN
from app.services.estimating import estimate_resolved, said_of
from app.services.inputs import ResolvedModel, resolve_model
from app.services.mending import apply
from app.services.reading import MOST_ENTRIES, Place, Reading, read, too_many
from app.services.writing import write_yaml
from app.texts import texts

MOST_ROUNDS = 4
"""Times that safe fixes are applied: a mended key may bring another to light."""
MOST_READ_AGAIN = 800
"""Entries that are read again for that, all rounds together; what is left in a long file is fixed the next time."""
MOST_FINDINGS = 200
OWN_TEMPLATE = "tokenizer_default"
"""Axolotl's name, and its default, for the chat template that a model's tokenizer brings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What came of a check. ``mended`` is the file with every safe fix; ``estimate`` is of that one."""

    reading: Reading
    findings: tuple[Finding, ...]
    mended: Reading
    estimate: Estimate | None
    resolved: ResolvedModel | None

    @property
    def valid(self) -> bool:
        """What Axolotl's validator would say of the file as given."""
        return self.verdict is not Effect.REJECTED

    @property
    def verdict(self) -> Effect:
        """The gravest effect of any finding."""
        return gravest(self.findings)

    @property
    def safe_fixes(self) -> tuple[Fix, ...]:
        """Every fix that may be applied without asking."""
        return _safe(self.findings)


def check_text(
    *,
    catalog: Catalog,
    text: str | bytes,
    hardware: Hardware | None = None,
    model: Mapping[str, Any] | None = None,
    install: Install = Install.DOCKER,
    dataset: Dataset | None = None,
) -> Checked:
    """Check a YAML file. Whatever it holds, the answer is findings."""
    return _check(read(text), catalog, hardware, model, install, dataset)


def check_config(
    *,
    catalog: Catalog,
    config: Mapping[str, Any],
    hardware: Hardware | None = None,
    model: Mapping[str, Any] | None = None,
    install: Install = Install.DOCKER,
    dataset: Dataset | None = None,
) -> Checked:
    """Check a configuration that is no text yet; lines are those of the file that it is written as."""
    if entries(config, MOST_ENTRIES + 1) > MOST_ENTRIES:  # as a file it has its keys besides, which ``read`` counts
        return _check(too_many(), catalog, hardware, model, install, dataset)
    reading = read(write_yaml(config, texts("en"), comments=False))
    if reading.config is not None:
        reading = replace(reading, config=dict(config))
    return _check(reading, catalog, hardware, model, install, dataset)


def _check(
    reading: Reading,
    catalog: Catalog,
    hardware: Hardware | None,
    model: Mapping[str, Any] | None,
    install: Install,
    dataset: Dataset | None,
) -> Checked:
    if reading.config is None:
        return Checked(reading=reading, findings=reading.findings, mended=reading, estimate=None, resolved=None)
    resolved, unknown = _resolved(catalog, reading.config, model, dataset)
    architecture = resolved.architecture if resolved else None
    findings = _findings(reading, catalog, architecture, hardware, install)
    mended = reading
    left = _safe(findings)
    rounds = min(MOST_ROUNDS, max(1, MOST_READ_AGAIN // max(1, len(mended.places))))
    for round_ in range(1, rounds + 1):
        again = apply(mended, left) if left else mended
        if again.text == mended.text:
            break
        mended = again
        left = _safe(_findings(mended, catalog, architecture, hardware, install)) if round_ < rounds else ()
    estimate, doubts = _estimate(catalog, mended.config or {}, resolved, hardware, dataset)
    told = {finding.key for finding in findings} - {None}
    doubted = [finding for finding in (*unknown, *doubts) if finding.key not in told]
    extra = (*doubted, *_told(estimate, (*findings, *unknown)))
    lined = tuple(replace(f, line=reading.line(f.key)) for f in extra)
    return Checked(
        reading=reading,
        findings=(*findings, *lined),
        mended=mended,
        estimate=replace(estimate, findings=()) if estimate else None,
        resolved=resolved,
    )


def _findings(
    reading: Reading,
    catalog: Catalog,
    architecture: Architecture | None,
    hardware: Hardware | None,
    install: Install,
) -> tuple[Finding, ...]:
    """Everything to say of one text, each at its line, the gravest first."""
    config = reading.config or {}
    found = [_worded(f, reading) for f in check(config, architecture, hardware, catalog.axolotl)]
    odd = {f.key for f in reading.findings if f.code in ("key_bullet", "key_space")}
    found = [f for f in found if f.key not in odd or f.code not in UNKNOWN_KEYS]
    found += (f for f in _installed(config, install) if f.key not in {g.key for g in found})
    lined = [replace(f, line=f.line if f.line is not None else reading.line(f.key)) for f in found]
    return _limited(by_gravity((*reading.findings, *lined)))


def _limited(findings: list[Finding]) -> tuple[Finding, ...]:
    """The gravest, and how many others there are."""
    if len(findings) <= MOST_FINDINGS:
        return tuple(findings)
    told, left = findings[: MOST_FINDINGS - 1], findings[MOST_FINDINGS - 1 :]
    kinds = tuple(dict.fromkeys(finding.code for finding in left))
    more = message("finding.more_findings", count=len(left), kinds=kinds[:12])
    return (*told, replace(left[0], message=more, key=None, line=None, fix=None))


def _worded(finding: Finding, reading: Reading) -> Finding:
    """A switch where text belongs is put right as the word that was written: ``no``, not ``False``."""
    if finding.key == "evaluation_strategy" and finding.code == "renamed_key":
        old = reading.places.get(finding.key)
        if old is not None and old.text and finding.fix is not None and finding.fix.set:
            return replace(finding, fix=replace(finding.fix, set={"eval_strategy": old.text}))
    if finding.code != "value_type" or finding.key is None:
        return finding
    place: Place | None = reading.places.get(finding.key)
    expected = finding.message.params.get("expected") or ()
    if place is None or not place.text or not isinstance(expected, tuple) or "string" not in expected:
        return finding
    word = place.text
    allowed = [str(value) for value in expected]
    if finding.message.params.get("given") in ("true", "false") and "true/false" not in allowed:
        said = message(finding.message.code, **{**finding.message.params, "given": word})
        return replace(finding, message=said, fix=Fix(set={finding.key: word}, safe=True))
    return finding


def _installed(config: Mapping[Any, Any], install: Install) -> Iterable[Finding]:
    """What a pip install lacks that Axolotl's Docker image has."""
    if install is not Install.PIP:
        return
    if str(config.get("attn_implementation")) == "flash_attention_2" or config.get("flash_attention"):
        yield info("pip_flash", "attn_implementation")
    plugins = config.get("plugins")
    if isinstance(plugins, list) and CCE_PLUGIN in plugins:
        yield info("pip_cut", "plugins")


def _resolved(
    catalog: Catalog, config: Mapping[Any, Any], model: Mapping[str, Any] | None, dataset: Dataset | None
) -> tuple[ResolvedModel | None, tuple[Finding, ...]]:
    """The model, or why it is not known; that is no fault of the file."""
    base = config.get("base_model")
    try:
        named = base if isinstance(base, str) else None
        found = resolve_model(catalog=catalog, base_model=named, model=model, dataset=dataset, config=config)
        return found, (*said_of(found), *_templateless(found, config))
    except UnknownName as error:
        code = "model_unknown_nearest" if error.nearest else "model_unknown"
        return None, (info(code, "base_model", given=error.given[:100], nearest=error.nearest),)
    except InvalidInput as error:
        if base is None or not isinstance(base, str):
            return None, ()
        return None, tuple(replace(info("model_unread", "base_model"), message=e.message) for e in error.errors)


def _templateless(resolved: ResolvedModel, config: Mapping[Any, Any]) -> Iterator[Finding]:
    """Conversations for a model that was taught none: its tokenizer mostly has no chat template."""
    row = resolved.row
    if row is None or not row.only_pretrained or config.get("chat_template") not in (None, OWN_TEMPLATE):
        return
    if config.get("chat_template_jinja") or config.get("tokenizer_config"):
        return
    given = config.get("datasets")
    for position, item in enumerate(given if isinstance(given, list) else ()):
        kind = item.get("type") if isinstance(item, Mapping) else None
        if not isinstance(kind, str) or not kind.startswith("chat_template") or item.get("chat_template_jinja"):
            continue
        if item.get("chat_template") in (None, OWN_TEMPLATE):
            key = "chat_template" if item.get("chat_template") is None else f"datasets[{position}].chat_template"
            fix = Fix(set={key: FALLBACK_TEMPLATE})
            yield info("template_own", f"datasets[{position}].type", fix=fix, id=row.id, fallback=FALLBACK_TEMPLATE)
            return


def _estimate(
    catalog: Catalog,
    config: Mapping[Any, Any],
    resolved: ResolvedModel | None,
    hardware: Hardware | None,
    dataset: Dataset | None,
) -> tuple[Estimate | None, tuple[Finding, ...]]:
    if resolved is None:
        return None, ()
    try:
        found = estimate_resolved(catalog=catalog, resolved=resolved, config=config, hardware=hardware, dataset=dataset)
    except InvalidInput as error:
        doubts = tuple(
            replace(info("not_estimated", e.pointer.removeprefix("/config/").replace("/", ".")), message=e.message)
            for e in error.errors
        )
        return None, doubts
    return found, ()


def _told(estimate: Estimate | None, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """What the estimate says of itself, without what the rules have said."""
    if estimate is None:
        return ()
    said = {finding.code for finding in findings}
    return tuple(f for f in estimate.findings if f.code not in said and f.effect is Effect.OK)


def _safe(findings: Iterable[Finding]) -> tuple[Fix, ...]:
    return tuple(finding.fix for finding in findings if finding.fix is not None and finding.fix.safe)


def plain(value: Any) -> Any:
    """A configuration as JSON holds it: dates, bytes, sets and numbers that are none become text or lists."""
    if isinstance(value, Mapping):
        return {_name(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 1 << 63:
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return value


def _name(key: object) -> str:
    """A key as text; switches and nothing as YAML writes them."""
    return str(key).lower() if key is None or isinstance(key, bool) else str(key)
