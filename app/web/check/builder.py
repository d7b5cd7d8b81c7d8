"""Puts ``/check`` together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import unified_diff
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.errors import InvalidInput, UnknownName
from app.core.findings import Effect, Finding, Fix
from app.core.hardware import Hardware
from app.core.plan import Install
from app.schemas import YAML_EXAMPLE
from app.services.checking import Checked, check_text
from app.services.inputs import resolve_hardware
from app.services.mending import apply
from app.services.reading import read
from app.services.writing import flow_text
from app.texts import LANGUAGES, Texts
from app.web.check.context import CheckPage, CheckResult, DiffLine, FixView, FoundView, LineView, MemoryView
from app.web.check.sharing import pack
from app.web.contexts import Link, Option
from app.web.field_views import gpu_groups
from app.web.forms import Form
from app.web.memory_bar import memory_bar
from app.web.planning import answer
from app.web.presenting import verdict, yaml_file
from app.web.shell import shell
from app.web.templating import path_for

ALL_SAFE = "safe"
MOST_DIFF = 400
LONGEST_KEYS = 5_500
"""Characters of keys that the wizard takes along in an address."""
ICONS = {
    Effect.REJECTED: "error",
    Effect.FAILS_AT_RUN: "error",
    Effect.MISLEADS: "warning",
    Effect.OK: "fits",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the form says: a file, and what it is to run on."""

    text: str | bytes = ""
    gpu: str = ""
    vram_gib: str = ""
    install: str = ""

    @property
    def blank(self) -> bool:
        """Whether there is no file to look at."""
        return not self.text.strip()

    def query(self, lang: str, packed: str | None = None) -> str:
        """The address's query that says the same; blanks are left out."""
        pairs = {"c": packed or "", "gpu": self.gpu, "vram_gib": self.vram_gib, "install": self.install, "lang": lang}
        found = {name: value for name, value in pairs.items() if value}
        return f"?{urlencode(found)}" if found else ""


class Builder:
    """One page in the making."""

    def __init__(self, request: Request, texts: Texts, asked: Asked, *, damaged: bool = False) -> None:
        self.request, self.texts, self.t, self.asked = request, texts, texts.text, asked
        self.catalog: Catalog = request.app.state.catalog
        self.problems: list[str] = [self.t("check.error.link")] if damaged else []
        self.hardware = self._hardware()
        self.install = self._install()
        lang = request.query_params.get("lang", "")
        self.lang = lang if lang in LANGUAGES else ""
        self.checked: Checked | None = None
        if not asked.blank and not self.problems:
            self.checked = check_text(
                catalog=self.catalog, text=asked.text, hardware=self.hardware, install=self.install
            )

    @property
    def status(self) -> int:
        """The HTTP status of the page."""
        return 422 if self.problems else 200

    def _hardware(self) -> Hardware | None:
        try:
            vram = float(self.asked.vram_gib) if self.asked.vram_gib else None
            return resolve_hardware(catalog=self.catalog, gpu=self.asked.gpu or None, vram_gib=vram)
        except ValueError:
            self.problems.append(self.t("web.error.number", given=self.asked.vram_gib[:60]))
        except UnknownName as error:
            self.problems.append(self.t("web.error.unknown_gpu", given=error.given[:60], nearest=error.nearest))
        except InvalidInput as error:
            self.problems += (self.texts.render(e.message) for e in error.errors)
        return None

    def _install(self) -> Install:
        try:
            return Install(self.asked.install or Install.DOCKER)
        except ValueError:
            allowed = tuple(Install)
            self.problems.append(self.t("web.error.choice", given=self.asked.install[:60], allowed=allowed, nearest=""))
            return Install.DOCKER

    def mended(self, name: str) -> str | None:
        """The text with one fix applied, or with every safe one; None where there is no such fix (any more)."""
        if self.checked is None:
            return None
        if name == ALL_SAFE:
            return self.checked.mended.text
        wanted = [f.fix for f in self.checked.findings if f.fix is not None and _name(f) == name]
        return apply(self.checked.reading, wanted[:1]).text if wanted else None

    def address(self, text: str) -> str | None:
        """The page's address with ``text`` in it, None where that is too long."""
        packed = pack(text)
        return path_for(self.request, "check") + self.asked.query(self.lang, packed) if packed else None

    def page(self) -> CheckPage:
        """Everything."""
        text = self.checked.reading.text if self.checked else ""
        if not text and isinstance(self.asked.text, str):
            text = self.asked.text
        packed = pack(text) if text else None
        result = self.result(self.checked) if self.checked is not None else None
        return CheckPage(
            shell=shell(
                self.request,
                self.texts,
                here="check",
                title=self.t("check.title"),
                description=f"{result.headline}: {result.counts}" if result and result.counts else self.t("check.lead"),
                address=lambda code: path_for(self.request, "check") + self.asked.query(code, packed),
            ),
            action=path_for(self.request, "check") + (f"?lang={self.lang}" if self.lang else ""),
            yaml=text,
            gpu_groups=gpu_groups(self.catalog.gpus, self.texts),
            gpu=self.hardware.gpu_id or "" if self.hardware else self.asked.gpu,
            vram_gib=self.asked.vram_gib,
            installs=tuple(Option(value=i.value, label=self.t(f"web.install.{i.value}")) for i in Install),
            install=self.install.value,
            problems=tuple(self.problems),
            result=result,
            from_plan=self.from_plan(),
            sample=Link(text=self.t("check.sample"), url=self.address(YAML_EXAMPLE) or ""),
            lang=self.lang,
        )

    def from_plan(self) -> Link | None:
        """The wizard's file, where the address says which model and card."""
        query = self.request.query_params
        form = Form.from_query(query, self.catalog.known_keys)
        if not (form.has_model and form.has_hardware) or query.get("c"):
            return None
        pairs = [("from", "plan"), *form.values.items(), *([("lang", self.lang)] if self.lang else [])]
        text = self.t("check.from_plan", model=form["model"] or self.t("check.own_model"))
        return Link(text=text, url=f"{path_for(self.request, 'check')}?{urlencode(pairs)}")

    def result(self, checked: Checked) -> CheckResult:
        """What was found out."""
        found = [self.finding(f) for f in checked.findings]
        by_line: dict[int, list[FoundView]] = {}
        for view in found:
            if view.line is not None:
                by_line.setdefault(view.line, []).append(view)
        effect = checked.verdict
        diff = tuple(_diff(checked.reading.text, checked.mended.text))
        return CheckResult(
            verdict=effect.value,
            icon=ICONS[effect],
            headline=self.t(f"check.verdict.{effect.value}"),
            detail=self.t(f"check.verdict.{effect.value}.detail"),
            counts=self.counts(checked.findings),
            lines=tuple(
                _line(number, line, by_line.get(number, ()))
                for number, line in enumerate(checked.reading.text.removesuffix("\n").split("\n"), 1)
            ),
            general=tuple(view for view in found if view.line is None),
            safe_count=len(checked.safe_fixes),
            diff=diff,
            mended=checked.mended.text if diff else "",
            memory=self.memory(checked),
            no_memory=self.t("check.no_memory") if checked.reading.config is not None else "",
            wizard=self.wizard(checked),
            shared=pack(checked.reading.text) is not None,
        )

    def counts(self, findings: Iterable[Finding]) -> str:
        """How many of each kind, the gravest first."""
        effects = [finding.effect for finding in findings]
        parts = [
            self.t(f"check.count.{effect.value}", count=effects.count(effect)) for effect in Effect if effect in effects
        ]
        return " · ".join(parts)

    def finding(self, finding: Finding) -> FoundView:
        """One finding in words."""
        fix = None
        if finding.fix is not None and (finding.fix.set or finding.fix.unset):
            fix = FixView(name=_name(finding), text=_shown(finding.fix), safe=finding.fix.safe)
        return FoundView(
            severity=finding.severity.value,
            effect=finding.effect.value,
            effect_text=self.t(f"check.effect.{finding.effect.value}"),
            code=finding.code,
            key=finding.key,
            line=finding.line,
            text=self.texts.render(finding.message),
            fix=fix,
        )

    def memory(self, checked: Checked) -> MemoryView | None:
        """The estimate of the mended file."""
        estimate = checked.estimate
        if estimate is None:
            return None
        host = estimate.memory.host_bytes
        return MemoryView(
            verdict=verdict(estimate, self.hardware, self.texts) if self.hardware is not None else None,
            bar=memory_bar(estimate, self.texts),
            peak=self.t("web.result.peak", phase=self.t(f"phase.{estimate.memory.peak_phase.value}")),
            host=self.t("web.result.host", host_bytes=host) if host else "",
            rule_of_thumb=self.t(
                "web.result.rule_of_thumb",
                rule_bytes=estimate.rule_of_thumb_bytes,
                process_bytes=estimate.memory.process_bytes,
            ),
        )

    def wizard(self, checked: Checked) -> Link | None:
        """The wizard with these keys, where they fit into an address."""
        config = checked.mended.config
        if checked.resolved is None or config is None or checked.resolved.row is None:
            return None
        keys = {str(key): value for key, value in config.items() if key != "base_model" and value is not None}
        text = "\n".join(f"{flow_text(key)}: {flow_text(value)}" for key, value in keys.items())
        if len(text) > LONGEST_KEYS:
            return None
        pairs = {"model": checked.resolved.row.id, "gpu": self.asked.gpu, "vram_gib": self.asked.vram_gib, "keys": text}
        query = urlencode({name: value for name, value in {**pairs, "lang": self.lang}.items() if value})
        return Link(text=self.t("check.wizard"), url=f"{path_for(self.request, 'plan')}?{query}")


def plan_text(request: Request, texts: Texts) -> str | None:
    """The wizard's file for what the address says, None where there is none."""
    catalog: Catalog = request.app.state.catalog
    found = answer(Form.from_query(request.query_params, catalog.known_keys), catalog)
    if found.plan is None or found.hardware is None:
        return None
    return yaml_file(found.plan, found.hardware, catalog, texts)


def asked_from(fields: Mapping[str, str | bytes]) -> Asked:
    """A posted form. A chosen file wins over the text box, which the start page calls ``keys``."""
    file, text = fields.get("file"), fields.get("yaml", fields.get("keys", ""))
    given = file if isinstance(file, bytes) and file.strip() else text
    if isinstance(given, bytes):
        # Shown and shared as text, so that what the page holds is what was looked at.
        reading = read(given)
        given = reading.text or given
    return Asked(
        text=given.replace("\r\n", "\n") if isinstance(given, str) else given,
        gpu=_field(fields, "gpu"),
        vram_gib=_field(fields, "vram_gib"),
        install=_field(fields, "install"),
    )


def _field(fields: Mapping[str, str | bytes], name: str) -> str:
    value = fields.get(name, "")
    return value.strip()[:200] if isinstance(value, str) else ""


def _name(finding: Finding) -> str:
    """What a fix is called between two requests."""
    return f"{finding.code} {finding.key or ''}"


def _shown(fix: Fix) -> str:
    parts = [f"{key}: {flow_text(value)}" for key, value in fix.set.items()]
    parts += [f"− {key}" for key in fix.unset if key not in fix.set]
    text = ", ".join(parts)
    return text if len(text) <= 160 else text[:159] + "…"


def _line(number: int, text: str, found: Iterable[FoundView]) -> LineView:
    views = tuple(found)
    return LineView(number=number, text=text, worst=_worst(views), found=views)


def _worst(found: Iterable[FoundView]) -> str:
    order = ("error", "warning", "info")
    return min((view.severity for view in found), key=order.index, default="")


def _diff(before: str, after: str) -> Iterable[DiffLine]:
    if before == after:
        return
    kinds = {"+": "added", "-": "gone", " ": "kept", "@": "place"}
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1)
    for number, line in enumerate(lines):
        if number > MOST_DIFF:
            return
        if number > 1:
            yield DiffLine(kind=kinds.get(line[:1], "kept"), text=line[1:] if line[:1] != "@" else "…")
