"""The estimate of a configuration: counts, memory, verdict, findings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.library import Catalog
from app.core.adapter import Adapter, resolve_adapter
from app.core.architecture import Architecture, Sight
from app.core.axolotl.lora_kernels import fuses
from app.core.axolotl.rules import check
from app.core.axolotl.run_reader import read_run
from app.core.axolotl.subject import info, misleads
from app.core.collating import Padding
from app.core.estimate import Estimate, Memory, ModuleCount, Phase, Time, Verdict
from app.core.findings import Finding, Severity
from app.core.formula import formula_of
from app.core.hardware import Hardware
from app.core.kept import kept
from app.core.memory import beside_rule, estimate_memory, rule_of_thumb_bytes
from app.core.memory.confirmed import unrecorded
from app.core.memory.losses import loss_of
from app.core.memory.mixers import scans
from app.core.memory.sighted import counted, left_aside, sees
from app.core.memory.updates import unwritten
from app.core.messages import Message, message
from app.core.plan import Dataset
from app.core.run import Attention, Loss, Run
from app.core.shown import listed
from app.core.timing import Samples, adapter_disk_bytes, estimate_time
from app.core.values import limit_of_steps
from app.services.inputs import ResolvedModel, resolve_model

WORTH_SAYING = 50
"""What an older card, padding or evaluation takes besides is said where it is more than this part of the whole."""
PADDED = {Attention.SDPA: "finding.padding_masked", Attention.FLASH: "finding.padding_copied"}
"""What padding takes by the attention, where it takes anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A configuration read, what of it trains, and the memory that this takes."""

    run: Run
    adapter: Adapter
    memory: Memory


def estimate(
    *,
    catalog: Catalog,
    config: Mapping[str, Any],
    model: Mapping[str, Any] | None = None,
    hardware: Hardware | None = None,
    dataset: Dataset | None = None,
) -> Estimate:
    """Estimate ``config`` for the model it names, or for ``model`` where a config.json is given.

    Raises:
        InvalidInput: the configuration or the config.json holds values that cannot be.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(
        catalog=catalog, base_model=config.get("base_model"), model=model, dataset=dataset, config=config
    )
    return estimate_resolved(catalog=catalog, resolved=resolved, config=config, hardware=hardware, dataset=dataset)


def estimate_resolved(
    *,
    catalog: Catalog,
    resolved: ResolvedModel,
    config: Mapping[str, Any],
    hardware: Hardware | None,
    dataset: Dataset | None = None,
    measured: Measured | None = None,
    checked: bool = True,
    composed: bool = False,
) -> Estimate:
    """``estimate`` for a model that is already looked up, and for what is already measured of ``config``.

    Where it is not to be ``checked`` there are no findings; where it is all ``composed`` here, no value's type is
    looked at.
    """
    architecture = resolved.architecture
    if measured is None:
        read = read_run(config).on(hardware)
        trains = resolve_adapter(architecture, read)
        measured = Measured(run=read, adapter=trains, memory=memory_of(architecture, read, trains))
    run, adapter, memory = measured.run, measured.adapter, measured.memory
    capacity = hardware.capacity_bytes if hardware else None
    return Estimate(
        model_id=resolved.id,
        architecture=architecture,
        total_parameters=architecture.total_parameters,
        trainable_parameters=adapter.trainable_parameters,
        trainable_percent=adapter.trainable_percent,
        all_parameters=adapter.total_parameters,
        modules=_module_counts(architecture, run, adapter),
        memory=memory,
        fits=memory.process_bytes <= capacity if capacity is not None else None,
        verdict=verdict(memory, capacity),
        capacity_bytes=capacity,
        headroom_bytes=capacity - memory.process_bytes if capacity is not None else None,
        rule_of_thumb=beside_rule(run.method, rule_of_thumb_bytes(run.method, architecture.total_parameters), memory),
        adapter_disk_bytes=adapter_disk_bytes(run, adapter),
        time=time_of(architecture, run, adapter, hardware, config, dataset) if hardware else None,
        findings=(
            *check(config, architecture, hardware, catalog.known_keys if composed else catalog.axolotl),
            *_own_findings(resolved, measured, hardware),
        )
        if checked
        else (),
    )


def memory_of(architecture: Architecture, run: Run, adapter: Adapter) -> Memory:
    """The memory alone, Axolotl's own choice of kernels made."""
    return estimate_memory(architecture, run, adapter, fused_lora=fuses(run, architecture.model_type))


def time_of(
    architecture: Architecture,
    run: Run,
    adapter: Adapter,
    hardware: Hardware,
    config: Mapping[str, Any],
    dataset: Dataset | None = None,
) -> Time | None:
    """The time alone, ``config`` having been read by ``Run`` before."""
    return estimate_time(
        architecture,
        run,
        adapter,
        hardware,
        samples=Samples(
            rows=dataset.rows,
            mean_tokens=dataset.mean_tokens,
            max_tokens=dataset.max_tokens,
            padded=bool(config.get("pad_to_sequence_len")),
        )
        if dataset
        else Samples(),
        epochs=float(config.get("num_epochs") or 1),
        max_steps=limit_of_steps(config),
        rl=str(config["rl"]) if config.get("rl") else None,
        price_per_hour=hardware.price_per_hour,
        fused_lora=fuses(run, architecture.model_type),
    )


def verdict(memory: Memory, capacity_bytes: int | None) -> Verdict:
    """``tight`` where the band crosses the capacity, whichever side the expected value lies on."""
    if capacity_bytes is None:
        return Verdict.UNKNOWN
    low, high = memory.range_bytes
    if high <= capacity_bytes:
        return Verdict.FITS
    return Verdict.DOES_NOT_FIT if low > capacity_bytes else Verdict.TIGHT


def _module_counts(architecture: Architecture, run: Run, adapter: Adapter) -> tuple[ModuleCount, ...]:
    """The rows of what trains; kept where a layout and a rank say it all."""
    if adapter.shared_layout is None:
        return _counted(adapter)
    key = ("counts", adapter.shared_layout, run.lora.r if run.lora else 0)
    return kept(architecture, key, lambda: _counted(adapter))


def _counted(adapter: Adapter) -> tuple[ModuleCount, ...]:
    return tuple(
        ModuleCount(
            module=adapted.module.name,
            path=adapted.module.path,
            layers=adapted.copies,
            shape=adapted.module.shape,
            trainable_parameters=adapted.trainable_parameters,
            formula=formula_of(adapted),
        )
        for adapted in adapter.modules
    )


def _approximation(architecture: Architecture) -> Message:
    """How far a model that no description covers was counted."""
    outer, inner = architecture.model_type, architecture.language_type
    if inner:
        return message("finding.towers_left_out", model_type=outer, inner=inner)
    code = "architecture_flat_towers" if architecture.towers_left_out else "architecture_approximate"
    return message(f"finding.{code}", model_type=outer)


def _of_padding(architecture: Architecture, measured: Measured) -> Iterator[Finding]:
    """How long rows are, and what their padding takes; of packed rows without a named attention the check speaks."""
    run = measured.run
    if run.row_tokens != run.sequence_len_tokens:
        numbers = {"multiple": run.row_multiple, "given": run.sequence_len_tokens, "tokens": run.row_tokens}
        yield Finding(severity=Severity.INFO, key="sequence_len", message=message("finding.rows_filled_up", **numbers))
    if run.attention not in PADDED or not run.padded or run.sample_packing:
        return
    whole = memory_of(architecture, replace(run, padding=Padding.NEVER), measured.adapter).process_bytes
    more = measured.memory.process_bytes - whole
    if more * WORTH_SAYING >= whole:
        said = message(PADDED[run.attention], more_bytes=more)
        yield Finding(severity=Severity.INFO, key="attn_implementation", message=said)


def said_of(resolved: ResolvedModel) -> tuple[Finding, ...]:
    """Which model a copy is counted as."""
    if resolved.copied is None:
        return ()
    return (info("model_namesake", "base_model", given=(resolved.id or "")[:100], id=resolved.copied.id),)


def _of_images(architecture: Architecture, run: Run) -> Iterator[Finding]:
    """What is taken of a batch's images, or that there are none in the figures."""
    sight = architecture.sight
    if aside := left_aside(architecture, run):
        yield Finding(
            severity=Severity.WARNING, key="processor_type", message=message("finding.images_without", keys=aside)
        )
    if sight is not None and sees(architecture, counted(architecture, run)):
        yield Finding(severity=Severity.INFO, key="processor_type", message=_counted_images(sight))
        together = sight.per_row * sight.row_tokens
        if together > run.sequence_len_tokens:
            numbers = {"tokens": together, "given": run.sequence_len_tokens}
            said = message("finding.images_longer", **numbers)
            yield Finding(severity=Severity.WARNING, key="sequence_len", message=said)
    elif architecture.multimodal and not architecture.towers_left_out:
        yield Finding(severity=Severity.INFO, message=message("finding.text_alone"))


def _counted_images(sight: Sight) -> Message:
    """How many images the figures hold, of which size, and who said so."""
    sizes = {"images": sight.per_row, "side": sight.side, "patches": sight.patches, "tokens": sight.row_tokens}
    if not sight.sized:
        return message("finding.images_counted", **sizes)
    if sight.resized:
        return message("finding.images_counted_resized", **sizes | {"given": sight.side, "side": sight.read_side})
    return message("finding.images_counted_as_large" if sight.said else "finding.images_counted_unsaid", **sizes)


def _of_evaluation(architecture: Architecture, measured: Measured) -> Iterator[Finding]:
    """Liger's fused loss makes no logits in training, and all of them in evaluation."""
    run, memory = measured.run, measured.memory
    fused = loss_of(architecture, run) is Loss.LIGER_FUSED_LINEAR and run.preference is None
    if not fused or memory.step_phase is not Phase.EVALUATION:
        return
    training = memory_of(architecture, replace(run, evaluates=False), measured.adapter).process_bytes
    more = memory.process_bytes - training
    if more * WORTH_SAYING >= training:
        said = message("finding.liger_evaluates_row", more_bytes=more)
        if run.eval_batch_size > 1:
            said = message("finding.liger_evaluates_rows", rows=run.eval_batch_size, more_bytes=more)
        yield Finding(severity=Severity.INFO, key="eval_batch_size", message=said)


def _own_findings(resolved: ResolvedModel, measured: Measured, hardware: Hardware | None) -> tuple[Finding, ...]:
    run, adapter = measured.run, measured.adapter
    found = [*said_of(resolved)]
    if resolved.architecture.approximate:
        found.append(Finding(severity=Severity.WARNING, message=_approximation(resolved.architecture)))
    if unrecorded(resolved.architecture):
        model_type = resolved.architecture.model_type
        found.append(
            Finding(severity=Severity.INFO, message=message("finding.architecture_unrecorded", model_type=model_type))
        )
    if scans(resolved.architecture):
        model_type = resolved.architecture.model_type
        found.append(
            Finding(severity=Severity.WARNING, message=message("finding.mixer_approximate", model_type=model_type))
        )
    found += _of_images(resolved.architecture, run)
    if resolved.unstated:
        found.append(
            Finding(
                severity=Severity.WARNING, message=message("finding.config_json_defaults", fields=resolved.unstated)
            )
        )
    if run.peft is not None and unwritten(run.peft.type, (row.module.kind for row in adapter.modules if row.tensors)):
        name = run.peft.type.value
        found.append(
            Finding(
                severity=Severity.WARNING, key="adapter", message=message("finding.method_approximate", adapter=name)
            )
        )
    if adapter.unmatched:
        key, have = "peft_config.target_modules", resolved.architecture.module_names
        found.append(misleads("targets_some", key, names=listed(adapter.unmatched), have=have))
    if hardware is not None and not run.ampere:
        newer = memory_of(resolved.architecture, replace(run, ampere=True), adapter).process_bytes
        more = measured.memory.process_bytes - newer
        if more * WORTH_SAYING >= newer:
            said = message("finding.scores_before_ampere", hardware=hardware.name, more_bytes=more)
            found.append(Finding(severity=Severity.INFO, key="attn_implementation", message=said))
    found += _of_padding(resolved.architecture, measured)
    found += _of_evaluation(resolved.architecture, measured)
    if hardware is not None and hardware.data_parallel > 1:
        found.append(
            Finding(severity=Severity.INFO, message=message("finding.data_parallel", count=hardware.data_parallel))
        )
    return tuple(found)
