"""Core results as the dictionaries that the contract names, in the reader's language."""

from typing import Any

from app.catalog.gpus import GpuRow
from app.catalog.library import Catalog
from app.catalog.methods import MethodRow, Support
from app.catalog.models import ModelRow
from app.catalog.target_modules import TargetRow
from app.core.estimate import Estimate, Memory, RuleOfThumb, Time
from app.core.findings import Effect, Finding, Fix, gravest
from app.core.plan import Advice, Change, Decision, Plan
from app.core.prices import Knob, Knobs
from app.core.summand import formula
from app.services.checking import Checked, plain
from app.services.comparing import Compared
from app.services.fitting import Fit, Found, Grid
from app.services.telling import told
from app.services.verdicts import targets_of
from app.texts import Texts


def finding(found: Finding, texts: Texts) -> dict[str, Any]:
    """A finding."""
    return {
        "severity": found.severity.value,
        "code": found.code,
        "key": found.key,
        "line": found.line,
        "effect": found.effect.value,
        "message": texts.render(found.message),
        "fix": _fix(found.fix) if found.fix else None,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {"set": plain(fix.set), "unset": list(fix.unset), "safe": fix.safe}


def checked(result: Checked, texts: Texts) -> dict[str, Any]:
    """A check. ``config`` and ``yaml`` have every safe fix applied."""
    return {
        "valid": result.valid,
        "verdict": result.verdict.value,
        "findings": [finding(found, texts) for found in result.findings],
        "config": plain(result.mended.config or {}),
        "yaml": result.mended.text,
        "estimate": estimate(result.estimate, texts) if result.estimate else None,
    }


def estimate(result: Estimate, texts: Texts, priced: Knobs | None = None) -> dict[str, Any]:
    """An estimate, with its knobs where they were asked for."""
    architecture = result.architecture
    return {
        "model": {
            "id": result.model_id,
            "architecture": architecture.model_type,
            "total_parameters": result.total_parameters,
            "layers": architecture.num_layers,
            "hidden_size": architecture.hidden_size,
            "vocab_size": architecture.vocab_size,
            "context_tokens": architecture.context_tokens,
            "mixture_of_experts": architecture.mixture_of_experts,
            "approximate": architecture.approximate,
        },
        "trainable_parameters": result.trainable_parameters,
        "trainable_percent": result.trainable_percent,
        "all_parameters": result.all_parameters,
        "modules": [
            {
                "module": row.module,
                "path": row.path,
                "layers": row.layers,
                "shape": row.shape,
                "trainable_parameters": row.trainable_parameters,
                "formula": texts.render(row.formula) if row.formula else "",
            }
            for row in result.modules
        ],
        "memory": _memory(result.memory, texts),
        "fits": result.fits,
        "verdict": result.verdict.value,
        "capacity_bytes": result.capacity_bytes,
        "headroom_bytes": result.headroom_bytes,
        "rule_of_thumb_bytes": result.rule_of_thumb_bytes,
        "rule_of_thumb": rule_of_thumb(result.rule_of_thumb, texts),
        "adapter_disk_bytes": result.adapter_disk_bytes,
        "time": time(result.time, texts) if result.time else None,
        "knobs": knobs(priced, texts) if priced else None,
        "findings": [finding(found, texts) for found in result.findings],
    }


def rule_of_thumb(rule: RuleOfThumb, texts: Texts) -> dict[str, Any]:
    """The guide's rule and why the estimate differs."""
    counts = "gradients" if rule.counts_gradients else "weights"
    differs = "above" if rule.difference_bytes >= 0 else "below"
    return {
        "bytes": rule.bytes,
        "difference_bytes": rule.difference_bytes,
        "explanation": texts.text(
            f"rule_of_thumb.{counts}_{differs}", rule_bytes=rule.bytes, difference_bytes=abs(rule.difference_bytes)
        ),
        "parts": [
            {"part": code, "label": texts.text(f"rule_of_thumb.{code}"), "bytes": size} for code, size in rule.parts
        ],
    }


def knobs(priced: Knobs, texts: Texts) -> dict[str, Any]:
    """What each change would save or cost."""
    return {
        "saves_most": priced.saves_most,
        "saves_most_training_the_same": priced.saves_most_training_the_same,
        "items": [knob(one, texts) for one in priced.items],
    }


def knob(priced: Knob, texts: Texts) -> dict[str, Any]:
    """One change and its price."""
    patch = priced.turn.patch
    return {
        "knob": priced.turn.knob,
        "label": texts.render(priced.turn.label),
        "summary": texts.render(priced.summary),
        "set": {key: value for key, value in patch.items() if value is not None},
        "unset": [key for key, value in patch.items() if value is None],
        "trains": priced.turn.trains.value,
        "saves_bytes": priced.saves_bytes,
        "process_bytes": priced.process_bytes,
        "host_bytes": priced.host_bytes,
        "fits": priced.fits,
        "verdict": priced.verdict.value,
        "time_ratio": priced.time_ratio,
    }


def _memory(memory: Memory, texts: Texts) -> dict[str, Any]:
    return {
        "allocated_peak_bytes": memory.allocated_peak_bytes,
        "process_bytes": memory.process_bytes,
        "range_bytes": memory.range_bytes,
        "peak_phase": memory.peak_phase.value,
        "step_phase": memory.step_phase.value,
        "load_bytes": memory.load_bytes,
        "breakdown": [
            {
                "term": term.code,
                "label": texts.text(f"term.{term.code}"),
                "bytes": term.bytes,
                "explanation": texts.render(term.explanation),
                "sharded": term.sharded,
                "formula": formula(memory.formulas[term.code]),
                "parts": [
                    {
                        "part": summand.code,
                        "label": told(summand, texts),
                        "formula": summand.formula,
                        "bytes": summand.bytes,
                    }
                    for summand in memory.formulas[term.code]
                ],
                "source": term.source,
            }
            for term in memory.breakdown
        ],
        "host_bytes": memory.host_bytes,
    }


def time(found: Time, texts: Texts) -> dict[str, Any]:
    """How long it takes."""
    return {
        "basis": "model",
        "explanation": texts.text("planner.time.basis"),
        "step_seconds": found.step_seconds,
        "step_seconds_range": found.step_seconds_range,
        "tokens_per_step": found.tokens_per_step,
        "tokens_per_second": found.tokens_per_second,
        "tokens_per_second_range": found.tokens_per_second_range,
        "parts": [
            {"part": code, "label": texts.text(f"planner.time.{code}"), "seconds": seconds}
            for code, seconds in found.parts
            if seconds
        ],
        "total_steps": found.total_steps,
        "run_seconds": found.run_seconds,
        "run_seconds_range": found.run_seconds_range,
        "energy_kwh": found.energy_kwh,
        "energy_kwh_range": found.energy_kwh_range,
        "price_per_hour": found.price_per_hour,
        "price": found.price,
        "price_range": found.price_range,
    }


def plan(result: Plan, yaml: str, texts: Texts, priced: Knobs | None = None) -> dict[str, Any]:
    """A plan and its file, with the knobs of its estimate where they were asked for."""
    effect = gravest(result.findings)
    return {
        "outcome": result.outcome.value,
        "method": result.method,
        "decision": decision(result.decision, texts),
        "config": result.config,
        "yaml": yaml,
        "valid": effect is not Effect.REJECTED,
        "verdict": effect.value,
        "targets": [target.value for target in targets_of(result.config)],
        "estimate": estimate(result.estimate, texts, priced),
        "advice": [advice(item, texts) for item in result.advice],
        "changes": [change(made) for made in result.changes],
        "alternatives": [
            {
                "method": other.method,
                "config": other.config,
                "estimate": estimate(other.estimate, texts),
                "reason": " ".join(texts.render(said) for said in (other.reason, other.pace) if said is not None),
                "changes": [change(made) for made in other.changes],
            }
            for other in result.alternatives
        ],
        "findings": [finding(found, texts) for found in result.findings],
    }


def advice(item: Advice, texts: Texts) -> dict[str, Any]:
    """What one knob starts from."""
    return {
        "key": item.key,
        "value": item.value,
        "usual": None if item.least is None else (item.least, item.most),
        "reason": texts.render(item.reason),
        "source": item.source,
    }


def fit(result: Fit, texts: Texts) -> dict[str, Any]:
    """What came of fitting."""
    return {
        "outcome": result.outcome.value,
        "objective": result.objective.value,
        "config": result.config,
        "changes": [change(made) for made in result.changes],
        "estimate": estimate(result.estimate, texts),
        "at_most": _found(result.at_most, texts) if result.at_most else None,
        "grid": _grid(result.grid) if result.grid else None,
        "findings": [finding(found, texts) for found in result.findings],
    }


def _found(found: Found, texts: Texts) -> dict[str, Any]:
    return {
        "config": found.config,
        "changes": [change(made) for made in found.changes],
        "estimate": estimate(found.estimate, texts),
    }


def _grid(found: Grid) -> dict[str, Any]:
    return {
        "x": {"key": found.x.key, "values": found.x.values},
        "y": {"key": found.y.key, "values": found.y.values},
        "rows": [
            [
                {
                    "x": cell.x,
                    "y": cell.y,
                    "process_bytes": cell.process_bytes,
                    "fits": cell.fits,
                    "verdict": cell.verdict.value,
                }
                for cell in row
            ]
            for row in found.rows
        ],
    }


def compared(item: Compared, texts: Texts) -> dict[str, Any]:
    """One configuration of a comparison."""
    return {
        "label": item.label or texts.text("compare.as_given"),
        "method": item.method.id if item.method else None,
        "config": item.config,
        "estimate": estimate(item.estimate, texts) if item.estimate else None,
        "reasons": [texts.render(reason) for reason in item.reasons],
        "relative_step_time": item.relative_step_time,
        "gives_up": texts.text(item.method.cost) if item.method else None,
    }


def change(made: Change) -> dict[str, Any]:
    """A change made to fit."""
    return {
        "key": made.key,
        "from": made.before,
        "to": made.after,
        "saves_bytes": made.saves_bytes,
        "along": made.along,
    }


def decision(walked: Decision, texts: Texts) -> dict[str, Any]:
    """The way through the tree."""
    return {
        "path": [
            {
                "node": step.node,
                "answer_id": step.answer_id,
                "question": texts.render(step.question),
                "answer": texts.render(step.answer),
                "reason": texts.render(step.reason),
            }
            for step in walked.path
        ],
        "leaf": walked.leaf,
    }


def model_summary(row: ModelRow, catalog: Catalog) -> dict[str, Any]:
    """A base model as a list shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "aliases": row.aliases,
        "family": row.family,
        "architecture": row.model_type,
        "released": row.released,
        "context_tokens": row.context_tokens,
        "total_parameters": catalog.architecture(row.id).total_parameters,
        "source": row.source,
        "checked_on": row.checked_on,
    }


def model_detail(row: ModelRow, catalog: Catalog) -> dict[str, Any]:
    """A base model with its facts and where they were read."""
    return {
        **model_summary(row, catalog),
        "chat_template": row.chat_template,
        "pad_token": row.pad_token,
        "published_parameters": row.published_parameters,
        "published_parameters_source": row.published_parameters_source,
        "source_note": row.source_note,
        "config": row.config,
    }


def gpu(row: GpuRow) -> dict[str, Any]:
    """A GPU."""
    capability = row.compute_capability
    return {
        "id": row.id,
        "name": row.name,
        "aliases": row.aliases,
        "vendor": row.vendor.value,
        "segment": row.segment,
        "architecture": row.architecture,
        "marketed_memory_gb": row.marketed_memory_gb,
        "memory_bytes": row.memory_bytes,
        "memory_basis": row.memory_basis,
        "memory_source": row.memory_source,
        "memory_note": row.memory_note,
        "compute_capability": f"{capability[0]}.{capability[1]}" if capability else None,
        "gfx": row.gfx,
        "bf16": row.bf16,
        "memory_bandwidth_gb_s": row.memory_bandwidth_gb_s,
        "bf16_tflops_dense": row.bf16_tflops_dense,
        "fp16_tflops_dense": row.fp16_tflops_dense,
        "tflops_note": row.tflops_note,
        "tdp_watts": row.tdp_watts,
        "source": row.source,
        "spec_sources": row.spec_sources,
        "checked_on": row.checked_on,
    }


def method(row: MethodRow, texts: Texts) -> dict[str, Any]:
    """A method, its codes turned into texts."""
    return {
        "id": row.id,
        "name": row.name,
        "number": row.number,
        "family": row.family,
        "family_label": texts.text(f"methods.family.{row.family}"),
        "quantised": row.quantised,
        "formula": row.formula,
        "trained": row.trained,
        "config": row.config,
        "peft": row.peft,
        "nearest": row.nearest,
        "axolotl": _support(row.axolotl, texts),
        "document": _support(row.document, texts),
        "difference": texts.text(row.difference) if row.difference else None,
        "paper": row.paper,
        "summary": texts.text(row.summary),
        "cost": texts.text(row.cost),
        "gain": texts.text(row.gain),
        "when": texts.text(row.when),
        "note": texts.text(row.note),
    }


def target_modules(row: TargetRow, texts: Texts) -> dict[str, Any]:
    """What LoRA is put on in one kind of architecture."""
    return {
        "id": row.id,
        "name": row.name,
        "architectures": list(row.model_types),
        "modules": row.modules if isinstance(row.modules, str) else list(row.modules),
        "document": list(row.document) if row.document else None,
        "why": texts.text(row.why) if row.why else None,
    }


def _support(support: Support, texts: Texts) -> dict[str, Any]:
    return {
        "support": support.support,
        "label": texts.text(f"methods.support.{support.support}"),
        "keys": support.keys,
    }
