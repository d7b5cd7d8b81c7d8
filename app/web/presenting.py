"""Turns a plan into words and figures for the page."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.catalog.library import Catalog
from app.core.estimate import Estimate, Time, badge
from app.core.findings import Finding, Severity
from app.core.hardware import Hardware
from app.core.plan import Alternative, Change, Plan, Wish
from app.core.units import GIB
from app.services.exporting import reasons
from app.services.lengths import by_length
from app.services.measuring import Meter
from app.services.pricing import price_savings
from app.services.verdicts import grave
from app.services.writing import flow_text, write_yaml
from app.texts import Texts
from app.web import contexts
from app.web.chooser import FITTED, pinned
from app.web.contexts.time import Beyond
from app.web.durations import duration
from app.web.fields import File, field_of_key
from app.web.forms import Address, Form, in_field, turned
from app.web.highlight import highlight
from app.web.knob_list import MOST, knob_views
from app.web.length_chart import length_chart
from app.web.memory_bar import gib, memory_bar, peak_text
from app.web.taking import take_along
from app.web.timing import time_detail

_BY_SEVERITY = (Severity.ERROR, Severity.WARNING, Severity.INFO)


def model_name(plan: Plan, catalog: Catalog, texts: Texts) -> str:
    """What people call the model."""
    id_ = plan.estimate.model_id
    row = catalog.models.find(id_) if id_ else None
    if row is not None:
        return row.name
    return id_ or texts.text("web.own_model", model_type=plan.estimate.architecture.model_type)


def yaml_file(plan: Plan, hardware: Hardware, catalog: Catalog, texts: Texts) -> str:
    """The file, headed by what it is."""
    estimate = plan.estimate
    header = texts.text(
        "web.yaml.header.too_large" if estimate.fits is False else "web.yaml.header",
        model=model_name(plan, catalog, texts),
        hardware=hardware.name,
        method=texts.text(f"method.{plan.method}"),
        process_bytes=estimate.memory.process_bytes,
        capacity_bytes=hardware.capacity_bytes,
    )
    against = reasons(grave(plan.findings, plan.config), texts)
    return write_yaml(plan.config, texts, header=(*against, header, texts.text("web.yaml.run")))


def file_name(plan: Plan) -> str:
    """What the download is called: ``llama-3.1-8b-instruct-qlora.yaml``."""
    name = str(plan.config.get("base_model") or "").rstrip("/").rpartition("/")[2].lower()
    safe = "".join(letter if letter.isascii() and (letter.isalnum() or letter == ".") else "-" for letter in name)
    return f"{safe.strip('-.')[:80] or 'model'}-{plan.method}.yaml"


def present(
    plan: Plan,
    *,
    form: Form,
    wish: Wish,
    hardware: Hardware,
    catalog: Catalog,
    texts: Texts,
    address: Address,
    download_url: str,
    export_path: str = "",
    check_url: str = "",
    onward: tuple[contexts.Link, ...] = (),
) -> contexts.Result:
    """Everything that the result region shows."""
    t = texts.text
    estimate = plan.estimate
    method = t(f"method.{plan.method}")
    own = plan.method != plan.decision.method
    meter = Meter(estimate.architecture, hardware)
    savings = price_savings(
        plan.config,
        estimate,
        hardware=hardware,
        dataset=wish.dataset,
        install=wish.install,
        meter=meter,
        most=MOST,
    )
    take = take_along(plan, catalog=catalog, form=form, texts=texts, path=export_path, address=address)
    here = pinned(form, plan.config, FITTED)
    yaml = yaml_file(plan, hardware, catalog, texts) if take is None else take.yaml
    return contexts.Result(
        verdict=run_verdict(estimate, hardware, texts, findings=plan.findings, config=plan.config),
        refused=t("planner.download.refused") if take is None and grave(plan.findings, plan.config) else "",
        method=method,
        method_reason=t("web.result.own_method" if own else "web.result.recommended"),
        model=model_name(plan, catalog, texts),
        hardware=hardware.name,
        bar=memory_bar(estimate, texts, config=plan.config),
        lengths=length_chart(
            by_length(meter=meter, config=plan.config, capacity_bytes=hardware.capacity_bytes),
            capacity_bytes=hardware.capacity_bytes,
            own=int(plan.config.get("sequence_len") or 0),
            texts=texts,
            at=lambda tokens: address(turned(here, {"sequence_len": tokens})),
        ),
        time=time_fact(estimate.time, texts) if estimate.time else None,
        disk=t("web.result.disk", disk_bytes=estimate.adapter_disk_bytes),
        rule_of_thumb=rule_of_thumb(estimate, texts),
        peak=peak_text(estimate.memory, texts),
        host=t("web.result.host", host_bytes=estimate.memory.host_bytes) if estimate.memory.host_bytes else "",
        trainable=t("web.number", number=estimate.trainable_parameters),
        trainable_share=t("web.percent", share=estimate.trainable_percent),
        trainable_of=t(
            "web.result.trainable_of" + (".adapter" if estimate.all_parameters > estimate.total_parameters else ""),
            trainable=t("web.number", number=estimate.trainable_parameters),
            total=t("web.number", number=estimate.all_parameters),
        ),
        modules=tuple(
            contexts.ModuleView(
                module=row.module,
                layers=t("web.number", number=row.layers),
                shape=" × ".join(t("web.number", number=size) for size in row.shape),
                parameters=t("web.number", number=row.trainable_parameters),
            )
            for row in estimate.modules
        ),
        steps=tuple(
            contexts.StepView(
                question=texts.render(step.question), answer=texts.render(step.answer), reason=texts.render(step.reason)
            )
            for step in plan.decision.path
        ),
        changes=change_views(plan.changes, texts),
        knobs=knob_views(savings, here, texts, address),
        alternatives=tuple(_alternative(other, form, texts, address) for other in plan.alternatives),
        alternatives_note=t("planner.alternatives.filled") if form["file"] == File.AS_IS else "",
        findings=findings(plan.findings, form, texts, address),
        yaml=highlight(yaml),
        download_url=download_url if take is None else take.downloads[0].url,
        download_text=t("web.verdict.yaml") if take is None else take.downloads[0].text,
        file_name=file_name(plan) if take is None else "",
        check_url=check_url if take is None else "",
        take=take,
        brought=brought(plan, form=form, wish=wish, texts=texts, address=address),
        beyond=Beyond(time=time_detail(plan, hardware, catalog, texts), links=onward),
    )


def rule_of_thumb(estimate: Estimate, texts: Texts) -> str:
    """The guide's figure beside this one, and why they differ."""
    rule, process = estimate.rule_of_thumb_bytes, estimate.memory.process_bytes
    code = "web.result.rule_of_thumb.above" if rule > process else "web.result.rule_of_thumb"
    return texts.text(code, rule_bytes=rule, process_bytes=process)


def brought(plan: Plan, *, form: Form, wish: Wish, texts: Texts, address: Address) -> contexts.Brought | None:
    """What became of a file that somebody brought; None where there is none."""
    if not form["file"]:
        return None
    whole = form["file"] == File.AS_IS
    theirs = {"base_model", *_own(form, wish)}
    added = {} if whole else {key: value for key, value in plan.config.items() if key not in theirs}
    other = File.FILLED if whole else File.AS_IS
    return contexts.Brought(
        text=texts.text(f"planner.file.{form['file']}", count=len(added)),
        added=tuple(f"{key}: {flow_text(value)}" for key, value in added.items()),
        other=contexts.Link(
            text=texts.text(f"planner.file.to_{other.value}"), url=address(form.with_values(file=other.value))
        ),
    )


def _own(form: Form, wish: Wish) -> set[str]:
    """The keys that a person set, in the box or in fields."""
    fields = {"datasets": "dataset_path", "rl": "goal", "sequence_len": "sequence_len"}
    return {key for key, name in fields.items() if form.values.get(name)} | set(wish.overrides)


def time_fact(time: Time, texts: Texts) -> contexts.TimeFact:
    """How long, with its band: the whole run where the data's size is known, a step otherwise."""
    seconds, band, of = time.step_seconds, time.step_seconds_range, "step"
    if time.run_seconds is not None and time.run_seconds_range is not None:
        seconds, band, of = time.run_seconds, time.run_seconds_range, "run"
    low, high = band
    return contexts.TimeFact(
        figure=duration(seconds, texts),
        of=texts.text(f"web.time.of.{of}", steps=time.total_steps or 0),
        band=texts.text("web.time.band", low=duration(low, texts), high=duration(high, texts)),
        price=texts.text("web.time.price", price=time.price) if time.price is not None else "",
    )


def run_verdict(
    estimate: Estimate, hardware: Hardware, texts: Texts, *, findings: Iterable[Finding], config: Mapping[str, Any]
) -> contexts.Verdict:
    """Whether the file runs at all, and then whether it fits: what is refused or fails is said before its memory."""
    fits = verdict(estimate, hardware, texts)
    against = grave(findings, config)
    if not against:
        return fits
    effect = against[0].effect.value
    memory = texts.text("planner.verdict.memory", memory=fits.headline, detail=fits.detail)
    return contexts.Verdict(
        kind=effect,
        headline=texts.text(f"check.verdict.{effect}"),
        detail=texts.render(against[0].message),
        range=memory,
    )


def verdict(estimate: Estimate, hardware: Hardware, texts: Texts) -> contexts.Verdict:
    """Whether it fits, in words."""
    kind = badge(estimate).value
    low, high = estimate.memory.range_bytes
    return contexts.Verdict(
        kind=kind,
        headline=texts.text(f"web.verdict.{kind}", hardware=hardware.name),
        detail=texts.text(
            "web.verdict.room" if (estimate.headroom_bytes or 0) >= 0 else "web.verdict.short",
            process_bytes=estimate.memory.process_bytes,
            capacity_bytes=hardware.capacity_bytes,
            headroom_bytes=difference_shown(hardware.capacity_bytes, estimate.memory.process_bytes),
        ),
        range=texts.text("web.verdict.range", low_bytes=low, high_bytes=high),
    )


def difference_shown(one_bytes: int, other_bytes: int) -> int:
    """How far two sizes lie apart as they are shown, to a tenth of a GiB, so that a reader's sum comes out.

    Where they are shown alike it is the true difference.
    """
    one, other = (round(10 * round(size / GIB, 1)) for size in (one_bytes, other_bytes))
    return abs(one - other) * GIB // 10 or abs(one_bytes - other_bytes)


def change_views(changes: Iterable[Change], texts: Texts) -> tuple[contexts.ChangeView, ...]:
    """What was changed to fit, key by key."""
    return tuple(
        contexts.ChangeView(
            key=made.key,
            before=in_field(made.before) if made.before is not None else "",
            after=in_field(made.after) if made.after is not None else "",
            saves=saved(made.saves_bytes, texts),
            along=texts.text("planner.goes_along_with", key=made.along) if made.along else "",
        )
        for made in changes
    )


def saved(saves_bytes: int, texts: Texts) -> str:
    """What a change saves as a negative size, what it costs as a positive one; nothing for what goes along."""
    if not saves_bytes:
        return ""
    return texts.text("planner.saves" if saves_bytes > 0 else "planner.costs", saved_bytes=-saves_bytes)


def _alternative(other: Alternative, form: Form, texts: Texts, address: Address) -> contexts.AlternativeView:
    kind = badge(other.estimate).value
    return contexts.AlternativeView(
        name=texts.text(f"method.{other.method}"),
        verdict=kind,
        verdict_text=texts.text(f"web.verdict.{kind}.short"),
        memory=gib(other.estimate.memory.process_bytes, texts),
        trainable=texts.text("web.percent", share=other.estimate.trainable_percent),
        reason=" ".join(texts.render(said) for said in (other.reason, other.pace) if said is not None),
        changes=change_views(other.changes, texts),
        url=address(form.with_method(other.method)),
    )


def findings(found: Iterable[Finding], form: Form, texts: Texts, address: Address) -> tuple[contexts.FindingView, ...]:
    """Findings in words, gravest first, each once."""
    ordered = sorted(found, key=lambda finding: _BY_SEVERITY.index(finding.severity))
    views = (_finding(finding, form, texts, address) for finding in ordered)
    return tuple(dict.fromkeys(views))


def _finding(finding: Finding, form: Form, texts: Texts, address: Address) -> contexts.FindingView:
    name = field_of_key(finding.key) if finding.key else None
    if (
        name is None
        and finding.key
        and any(line.startswith(f"{finding.key.partition('.')[0]}:") for line in form["keys"].splitlines())
    ):
        name = "keys"
    return contexts.FindingView(
        severity=finding.severity.value,
        text=texts.render(finding.message),
        key=finding.key,
        field_id=f"f-{name}" if name else None,
        fix=_fix(finding, form, texts, address),
    )


def _fix(finding: Finding, form: Form, texts: Texts, address: Address) -> contexts.Link | None:
    """A link that applies the fix."""
    fix = finding.fix
    if fix is None or not (fix.set or fix.unset):
        return None
    changes: dict[str, Any] = {**fix.set, **dict.fromkeys(fix.unset)}
    mended = turned(form, changes)
    if mended == form:
        return None
    shown = tuple(f"{key}: {flow_text(value)}" if value is not None else f"− {key}" for key, value in changes.items())
    return contexts.Link(text=texts.text("web.finding.fix", changes=shown), url=address(mended))
