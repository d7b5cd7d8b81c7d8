"""Puts ``/check`` together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import unified_diff
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from app.catalog.library import Catalog
from app.core.axolotl.overriding import apply_overrides
from app.core.axolotl.unmodelled import spreads
from app.core.errors import InvalidInput, UnknownName
from app.core.findings import Effect, Finding, Fix
from app.core.hardware import Hardware
from app.core.plan import Install
from app.schemas.vocabulary import YAML_EXAMPLE
from app.services.checking import Checked, check_text
from app.services.exporting import file_stem
from app.services.inputs import resolve_hardware
from app.services.mending import apply
from app.services.writing import flow_text
from app.texts import LANGUAGES, Texts
from app.web import pasted_model
from app.web.check.context import (
    CheckPage,
    CheckResult,
    DiffLine,
    FixView,
    FoundView,
    LineView,
)
from app.web.check.images import Images
from app.web.check.memory import FITTING, OTHER_METHOD, SAVING, Weighed
from app.web.contexts import Link, Option
from app.web.field_views import gpu_groups
from app.web.forms import Form
from app.web.image_fields import IMAGE_FIELDS, asked_of
from app.web.planning import answer
from app.web.presenting import verdict, yaml_file
from app.web.sharing import pack, text_of
from app.web.shell import shell
from app.web.templating import path_for

ALL_SAFE, MODEL = "safe", "model"
"""What a button that changes the text asks for; a finding's own fix is called by its code."""
MOST_DIFF = 400
UNKNOWN_MODEL = ("model_unknown", "model_unknown_nearest")
ICONS = {
    "rejected": "error",
    "fails_at_run": "error",
    "misleads": "warning",
    "ok": "fits",
    "tight": "tight",
    "does_not_fit": "does_not_fit",
    "unknown": "unknown",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the form says: a file, and what it is to run on."""

    text: str | bytes = ""
    model_json: str = ""
    m: str = ""
    gpu: str = ""
    vram_gib: str = ""
    count: str = ""
    install: str = ""
    images_per_row: str = ""
    image_side: str = ""

    @property
    def blank(self) -> bool:
        """Whether there is no file to look at."""
        return not self.text.strip()

    def query(self, lang: str, packed: str | None = None) -> str:
        """The address's query that says the same; blanks are left out."""
        pairs = {
            "c": packed or "",
            "m": self.m,
            "gpu": self.gpu,
            "vram_gib": self.vram_gib,
            "count": self.count if self.count != "1" else "",
            "install": self.install,
            "images_per_row": self.images_per_row,
            "image_side": self.image_side,
            "lang": lang,
        }
        found = {name: value for name, value in pairs.items() if value}
        return f"?{urlencode(found)}" if found else ""


class Builder:
    """One page in the making."""

    def __init__(self, request: Request, texts: Texts, asked: Asked, *, damaged: bool = False) -> None:
        self.request, self.texts, self.t, self.asked = request, texts, texts.text, asked
        self.catalog: Catalog = request.app.state.catalog
        self.problems: list[str] = [self.t("check.error.link")] if damaged else []
        self.hardware = self._hardware()
        self.model = self._model()
        self.install = self._install()
        self.images = Images(texts, {name: getattr(asked, name) for name in IMAGE_FIELDS})
        self.problems += self.images.problems
        lang = request.query_params.get("lang", "")
        self.lang = lang if lang in LANGUAGES else ""

    @cached_property
    def checked(self) -> Checked | None:
        """What was found; None where there is no file, or something else of the form is wrong."""
        if self.asked.blank or self.problems:
            return None
        return check_text(
            catalog=self.catalog,
            text=self.asked.text,
            hardware=self.hardware,
            model=self.model,
            install=self.install,
            dataset=self.images.dataset,
        )

    @property
    def status(self) -> int:
        """The HTTP status of the page."""
        return 422 if self.problems else 200

    def _hardware(self) -> Hardware | None:
        try:
            count = int(self.asked.count) if self.asked.count else 1
        except ValueError:
            self.problems.append(self.t("web.error.whole", given=self.asked.count[:60]))
            return None
        try:
            vram = float(self.asked.vram_gib) if self.asked.vram_gib else None
            return resolve_hardware(catalog=self.catalog, gpu=self.asked.gpu or None, vram_gib=vram, count=count)
        except ValueError:
            self.problems.append(self.t("web.error.number", given=self.asked.vram_gib[:60]))
        except UnknownName as error:
            self.problems.append(self.t("web.error.unknown_gpu", given=error.given[:60]))
        except InvalidInput as error:
            self.problems += (self.texts.render(e.message) for e in error.errors)
        return None

    def _model(self) -> Mapping[str, Any] | None:
        """The config.json that was pasted, now or before; from here on in its short form."""
        try:
            if self.asked.model_json:
                model = pasted_model.reduce(pasted_model.read_json(self.asked.model_json))
                self.asked = replace(self.asked, m=pasted_model.pack(model), model_json="")
                return model
            return pasted_model.unpack(self.asked.m) if self.asked.m else None
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
        """The text with one change applied, or with every safe fix; None where there is no such change (any more)."""
        checked = self.checked
        if checked is None or checked.reading.config is None:
            return None
        if name == ALL_SAFE:
            return checked.mended.text
        kind, _, rest = name.partition(" ")
        if kind == MODEL and (row := self.catalog.models.find(rest)) is not None:
            return apply(checked.reading, [Fix(set={"base_model": row.id})]).text
        if kind == SAVING:
            weighed = self.weighed(checked)
            turns = [knob.turn.patch for knob in weighed.knobs() if knob.turn.knob == rest] if weighed else []
            changed = [apply_overrides(checked.reading.config, patch) for patch in turns[:1]]
            return apply(checked.reading, [_between(checked.reading.config, changed[0])]).text if changed else None
        if kind in (FITTING, OTHER_METHOD) and (weighed := self.weighed(checked)) is not None:
            found = weighed.fitted() if kind == FITTING else weighed.by_adapter()
            made = [_between(weighed.config, found.config)] if found is not None else []
            return apply(checked.reading, made).text if made else None
        wanted = [f.fix for f in checked.findings if f.fix is not None and _name(f) == name]
        return apply(checked.reading, wanted[:1]).text if wanted else None

    def weighed(self, checked: Checked) -> Weighed | None:
        """The mended file with its estimate, None where there is none."""
        if checked.estimate is None or checked.mended.config is None:
            return None
        return Weighed(
            catalog=self.catalog,
            texts=self.texts,
            config=checked.mended.config,
            estimate=checked.estimate,
            model=self.model,
            hardware=self.hardware,
            install=self.install,
            dataset=self.images.dataset,
        )

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
                form="check-form",
            ),
            action=path_for(self.request, "check") + (f"?lang={self.lang}" if self.lang else ""),
            file_action=path_for(self.request, "check_file") + (f"?lang={self.lang}" if self.lang else ""),
            plan_action=path_for(self.request, "plan") + (f"?lang={self.lang}" if self.lang else ""),
            yaml=text,
            model_json=self.asked.model_json,
            packed_model=self.asked.m,
            pasted=self.pasted(),
            asks_model=self.asks_model(),
            gpu_groups=gpu_groups(self.catalog.gpus, self.texts),
            gpu=self.hardware.gpu_id or "" if self.hardware else self.asked.gpu,
            vram_gib=self.asked.vram_gib,
            count=self.asked.count or "1",
            installs=tuple(Option(value=i.value, label=self.t(f"web.install.{i.value}")) for i in Install),
            install=self.install.value,
            image_fields=self.images.views(self.asked_images()),
            problems=tuple(self.problems),
            result=result,
            from_plan=self.from_plan(),
            sample=Link(text=self.t("check.sample"), url=self.address(YAML_EXAMPLE) or ""),
            lang=self.lang,
        )

    def pasted(self) -> str:
        """The config.json in use, in a few words."""
        if self.model is None:
            return ""
        return self.t("check.model.pasted", model_type=str(self.model.get("model_type") or "?"))

    def asks_model(self) -> bool:
        """Whether the file's model is one that only its config.json can tell of, or what was pasted is at fault."""
        findings = self.checked.findings if self.checked else ()
        unknown = any(finding.code in UNKNOWN_MODEL for finding in findings)
        return bool(self.asked.model_json) or (unknown and self.model is None)

    def asked_images(self) -> tuple[str, ...]:
        """Fields that the figures of the mended file depend on."""
        weighed = self.weighed(self.checked) if self.checked else None
        return asked_of(weighed.config, weighed.estimate.architecture) if weighed else ()

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
        kind, headline, detail = self.headline(checked)
        weighed = self.weighed(checked)
        diff = tuple(_diff(checked.reading.text, checked.mended.text))
        return CheckResult(
            verdict=kind,
            icon=ICONS[kind],
            headline=headline,
            detail=detail,
            runs=effect in (Effect.OK, Effect.MISLEADS),
            counts=self.counts(checked.findings),
            lines=tuple(
                _line(number, line, by_line.get(number, ()))
                for number, line in enumerate(checked.reading.text.removesuffix("\n").split("\n"), 1)
            ),
            general=tuple(view for view in found if view.line is None),
            safe_count=len(checked.safe_fixes),
            diff=diff,
            mended=checked.mended.text if diff else "",
            memory=weighed.view() if weighed is not None else None,
            no_memory=self.t("check.no_memory") if checked.reading.config is not None else "",
            wizard=checked.resolved is not None and checked.reading.config is not None,
            shared=pack(checked.reading.text) is not None,
        )

    def headline(self, checked: Checked) -> tuple[str, str, str]:
        """What becomes of the file on this card: Axolotl's judgement, what fails at run time, and whether it fits.

        The gravest decides colour and shape; what else there is to say stands in the second line.
        """
        effect = checked.verdict
        stands = self.t(f"check.verdict.{effect.value}.detail")
        if checked.reading.config is None:
            return effect.value, self.t(f"check.verdict.{effect.value}"), stands
        if self.hardware is None or checked.estimate is None:
            unknown = self.t("check.fit.no_card" if self.hardware is None else "check.fit.no_model")
            code = "check.headline.ok" if effect is Effect.OK else f"check.verdict.{effect.value}"
            return ("unknown" if effect is Effect.OK else effect.value), self.t(code), f"{stands} {unknown}"
        fits = verdict(checked.estimate, self.hardware, self.texts)
        memory = self.t("planner.verdict.memory", memory=fits.headline, detail=fits.detail)
        if spreads(checked.reading.config) and fits.kind != "fits":
            memory = self.t("check.spread", memory=fits.detail)
        if effect in (Effect.REJECTED, Effect.FAILS_AT_RUN):
            alone = effect is Effect.FAILS_AT_RUN and any(f.code == "fsdp_one_gpu" for f in checked.findings)
            said = self.t("check.headline.one_gpu", hardware=self.hardware.name) if alone else ""
            return effect.value, said or self.t(f"check.verdict.{effect.value}"), f"{stands} {memory}"
        if spreads(checked.reading.config) and fits.kind != "fits":
            kind = effect.value if effect is Effect.MISLEADS else "unknown"
            return kind, self.t(f"check.headline.{effect.value}.spread"), f"{memory} {stands}"
        if fits.kind == "fits" and effect is Effect.MISLEADS:
            return effect.value, self.t("check.verdict.misleads"), f"{stands} {memory}"
        headline = self.t(f"check.headline.{effect.value}.{fits.kind}", hardware=self.hardware.name)
        return (effect.value if fits.kind == "fits" else fits.kind), headline, f"{fits.detail} {stands}"

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
            choices=self.choices(finding),
        )

    def choices(self, finding: Finding) -> tuple[FixView, ...]:
        """The names that an unknown model may have meant, to be put in its place."""
        if finding.code != "model_unknown_nearest":
            return ()
        names = finding.message.params.get("nearest")
        rows = [self.catalog.models.find(name) for name in (names if isinstance(names, tuple) else ())]
        return tuple(FixView(name=f"{MODEL} {row.id}", text=row.id, safe=False) for row in rows if row is not None)


def plan_text(request: Request, texts: Texts) -> str | None:
    """The wizard's file for what the address says, None where there is none."""
    catalog: Catalog = request.app.state.catalog
    found = answer(Form.from_query(request.query_params, catalog.known_keys), catalog)
    if found.plan is None or found.hardware is None:
        return None
    return yaml_file(found.plan, found.hardware, catalog, texts)


def file_from(builder: Builder, wanted: str) -> tuple[str, str]:
    """A file's name and its text: as given, or with every safe fix."""
    checked = builder.checked
    text = builder.asked.text if isinstance(builder.asked.text, str) else ""
    if checked is None or checked.reading.config is None:
        return "config.yaml", text
    config = checked.mended.config or {}
    name = file_stem(config) if isinstance(config.get("base_model"), str) else "config"
    return f"{name}.yaml", checked.mended.text if wanted == ALL_SAFE else checked.reading.text


def asked_from(fields: Mapping[str, str | bytes]) -> Asked:
    """A posted form. A chosen file wins over the text box."""
    return Asked(
        text=text_of(fields),
        model_json=_long(fields, "model_json"),
        m=_long(fields, "m"),
        gpu=_field(fields, "gpu"),
        vram_gib=_field(fields, "vram_gib"),
        count=_field(fields, "count"),
        install=_field(fields, "install"),
        images_per_row=_field(fields, "images_per_row"),
        image_side=_field(fields, "image_side"),
    )


def _long(fields: Mapping[str, str | bytes], name: str) -> str:
    value = fields.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _between(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Fix:
    """What turns the one configuration into the other."""
    changed = {key: value for key, value in after.items() if key not in before or before[key] != value}
    return Fix(set=changed, unset=tuple(key for key in before if key not in after))


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
