"""Fitting: the least change that fits a card, the most of one key, or the fastest; and a grid of two keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.library import Catalog
from app.core.axolotl.run_reader import read_run
from app.core.errors import FieldError, InvalidInput
from app.core.estimate import Estimate, Memory, Verdict
from app.core.findings import Finding, Severity
from app.core.fit import KEY_RUNGS, LOSSLESS, RUNG_KEYS, SHORTEST_SEQUENCE, Fitted, Ladder, Rung, build_ladder, climb
from app.core.hardware import Hardware
from app.core.knobs import ROOM_SEQUENCE
from app.core.messages import Param, message
from app.core.objective import MOST_OF, Objective, candidates, faster, most, with_value
from app.core.plan import Change, Dataset, Install, Outcome
from app.core.timing import Pace
from app.services.estimating import estimate_resolved, verdict
from app.services.headroom import PAID_FOR_HEADROOM, least_change
from app.services.inputs import ResolvedModel, resolve_model
from app.services.measuring import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis of a grid: a key and the values that it takes."""

    key: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One combination of a grid: what it takes and whether it fits."""

    x: int
    y: int
    config: Mapping[str, Any]
    process_bytes: int
    fits: bool
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Two keys varied against each other; ``rows`` run along y, each along x."""

    x: Axis
    y: Axis
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One configuration that a search ended at."""

    config: Mapping[str, Any]
    changes: tuple[Change, ...]
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What came of fitting a configuration. Where nothing fits, ``config`` is as small as may be varied.

    ``config`` has headroom where that can be had. ``at_most`` is then what reaches further without it, so that it is
    tight; None where nothing does.
    """

    outcome: Outcome
    objective: Objective
    config: Mapping[str, Any]
    changes: tuple[Change, ...]
    estimate: Estimate
    at_most: Found | None
    findings: tuple[Finding, ...]
    grid: Grid | None


GOES_ALONG: Mapping[str, Rung] = {
    "gradient_accumulation_steps": Rung.MICRO_BATCH,
    "lora_alpha": Rung.RANK,
    "quantize_moe_experts": Rung.QUANTIZATION,
    "embeddings_skip_upcast": Rung.QUANTIZATION,
}
"""Keys that change with a rung's own."""


def _rungs(vary: Sequence[str] | None, objective: Objective) -> set[Rung]:
    """What may change: what ``vary`` names, else what the objective leaves open."""
    if vary is not None:
        return {KEY_RUNGS[key] for key in vary}
    if objective in MOST_OF:
        return set()
    return {*LOSSLESS, Rung.OFFLOADING} if objective is Objective.FASTEST else set(Rung)


def _rung_of(key: str) -> Rung:
    """Which rung changes this key."""
    own = KEY_RUNGS.get(key) or GOES_ALONG.get(key)
    return own or next((rung for rung, keys in RUNG_KEYS.items() if key in keys), Rung.LOSS)


GRID_DEFAULTS: Mapping[str, tuple[int, ...]] = {
    "sequence_len": (512, 1024, 2048, 4096, 8192, 16384, 32768),
    "micro_batch_size": (1, 2, 4, 8, 16),
    "lora_r": (8, 16, 32, 64, 128, 256),
}
GRID_BOUNDS: Mapping[str, tuple[int, int]] = {
    "sequence_len": (1, 1 << 24),
    "micro_batch_size": (1, 1 << 16),
    "lora_r": (1, 1 << 16),
}


def fit(
    *,
    catalog: Catalog,
    config: Mapping[str, Any],
    model: Mapping[str, Any] | None,
    hardware: Hardware,
    vary: Sequence[str] | None = None,
    objective: Objective = Objective.FITS,
    grid: tuple[Axis, Axis] | None = None,
    install: Install = Install.DOCKER,
    dataset: Dataset | None = None,
) -> Fit:
    """Make ``config`` fit ``hardware`` by changing nothing but what ``vary`` names, or find the most that fits.

    What goes along with a key that varies (accumulation with micro batches, alpha with the rank) is said in its change.
    Without ``vary`` everything may change; where most of one key is wanted, that key alone; for the fastest, what
    leaves the training the same.

    Raises:
        InvalidInput: the configuration holds values that cannot be, or the objective asks for what there is not.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(
        catalog=catalog, base_model=config.get("base_model"), model=model, dataset=dataset, config=config
    )
    search = _Fitting(catalog, resolved, config, hardware, install, dataset)
    found = search.search(vary, objective)
    estimate = search.estimate(found.config)
    outcome = Outcome.FITS if estimate.fits else Outcome.DOES_NOT_FIT
    further = search.further(found, vary, objective) if estimate.verdict is Verdict.FITS else None
    return Fit(
        outcome=outcome,
        objective=objective,
        config=found.config,
        changes=found.changes,
        estimate=estimate,
        at_most=Found(config=further.config, changes=further.changes, estimate=search.estimate(further.config))
        if further
        else None,
        findings=(
            *(() if estimate.fits else (search.smallest_gpu(estimate.memory),)),
            *search.other_batch(found.config),
        ),
        grid=search.grid(found.config, *grid) if grid else None,
    )


class _Fitting:
    """One configuration being fitted."""

    def __init__(
        self,
        catalog: Catalog,
        resolved: ResolvedModel,
        config: Mapping[str, Any],
        hardware: Hardware,
        install: Install,
        dataset: Dataset | None,
    ) -> None:
        self.catalog = catalog
        self.resolved = resolved
        self.config = config
        self.hardware = hardware
        self.install = install
        self.dataset = dataset
        self.meter = Meter(resolved.architecture, hardware)

    def search(self, vary: Sequence[str] | None, objective: Objective) -> Fitted:
        """What fits, as the objective has it: with headroom, and without where that cannot be had."""
        wanted = MOST_OF.get(objective)
        rungs = _rungs(vary, objective)
        if wanted is not None:
            return self._most(wanted[0], self._ladder(rungs - {wanted[1]}))
        if objective is Objective.FASTEST:
            fastest = self._fastest(rungs, roomy=True) or self._fastest(rungs, roomy=False)
            if fastest is not None:
                return fastest
            rungs = _rungs(vary, Objective.FITS)
        return least_change(
            self.meter,
            self.hardware.capacity_bytes,
            paid=self._ladder(rungs) if vary is not None else self._ladder(PAID_FOR_HEADROOM, ROOM_SEQUENCE),
            whole=lambda: self._ladder(rungs),
        )

    def further(self, found: Fitted, vary: Sequence[str] | None, objective: Objective) -> Fitted | None:
        """What the objective comes to without headroom, where that is more than ``found``, which has it."""
        wanted = MOST_OF.get(objective)
        rungs = _rungs(vary, objective)
        if wanted is not None:
            key, own = wanted
            more = self._at_most(key, self._ladder(rungs - {own}), roomy=False)
            return more if more is not None and more.config[key] > found.config[key] else None
        if objective is not Objective.FASTEST:
            return None
        quickest = self._fastest(rungs, roomy=False)
        if quickest is None:
            return None
        pace = Pace(ratio=self._rate(found.config) / self._rate(quickest.config))
        return quickest if pace.kind == "faster" else None

    def _ladder(self, rungs: Collection[Rung], shortest_sequence: int = SHORTEST_SEQUENCE) -> Ladder:
        return build_ladder(
            self.config,
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            install=self.install,
            rungs=tuple(rungs),
            shortest_sequence=shortest_sequence,
        )

    def _most(self, key: str, ladder: Ladder) -> Fitted:
        found = self._at_most(key, ladder, roomy=True) or self._at_most(key, ladder, roomy=False)
        if found is not None:
            return found
        least = with_value(self.config, key, self._values(key)[0])
        smallest = Ladder(config=least, patches=ladder.patches)
        capacity = self.hardware.capacity_bytes
        return self._described(climb(smallest, measure=self.meter.process_bytes, capacity_bytes=capacity))

    def _at_most(self, key: str, ladder: Ladder, *, roomy: bool) -> Fitted | None:
        """The most of ``key``, with headroom or without; None where not even the least fits so."""
        found = most(
            key,
            ladder,
            values=self._values(key),
            measure=self.meter.process_bytes,
            capacity_bytes=self.hardware.capacity_bytes,
            at_most=self.meter.most_bytes if roomy else None,
        )
        return None if found is None else self._described(found[1])

    def _values(self, key: str) -> Sequence[int]:
        run = read_run(self.config)
        if key == "lora_r" and run.lora is None:
            raise InvalidInput(FieldError("/objective", message("error.fit.no_rank")))
        return candidates(key, self.resolved.architecture, run)

    def _described(self, found: Fitted) -> Fitted:
        """``found`` with its changes told from the configuration as given, rung by rung; what raises a key costs."""
        changes: list[Change] = []
        config, size = dict(self.config), self.meter.process_bytes(self.config)
        changed = [key for key in {**self.config, **found.config} if self.config.get(key) != found.config.get(key)]
        for rung in Rung:
            keys = [key for key in changed if _rung_of(key) is rung]
            if not keys:
                continue
            before = size
            for key in keys:
                if key in found.config:
                    config[key] = found.config[key]
                else:
                    del config[key]
            size = self.meter.process_bytes(config)
            shown = sorted((key for key in keys if key != "plugins"), key=lambda key: key not in KEY_RUNGS)
            for position, key in enumerate(shown):
                changes.append(
                    Change(
                        key=key,
                        before=self.config.get(key),
                        after=found.config.get(key),
                        saves_bytes=before - size if position == 0 else 0,
                        along=shown[0] if position else None,
                    )
                )
        return replace(found, changes=tuple(changes))

    def _rate(self, config: Mapping[str, Any]) -> float:
        """Tokens a second.

        Raises:
            InvalidInput: the card's rates are not known.
        """
        time = self.meter.time(config, self.hardware, self.dataset)
        if time is None:
            raise InvalidInput(FieldError("/objective", message("error.fit.no_rates", hardware=self.hardware.name)))
        return time.tokens_per_second

    def _fastest(self, rungs: Collection[Rung], *, roomy: bool) -> Fitted | None:
        """The configuration with most tokens a second among those that fit; None where none does.

        Of those that the model of time cannot tell apart, the one that changes least: nothing is given up for nothing.
        """
        size_of = self.meter.most_bytes if roomy else self.meter.process_bytes
        tried = faster(self.config, rungs, self._ladder(rungs))
        rates = [(self._rate(one), one) for one in tried if size_of(one) <= self.hardware.capacity_bytes]
        if not rates:
            return None
        best = max(rate for rate, _ in rates)
        alike = [(rate, one) for rate, one in rates if Pace(ratio=best / rate).kind == "same"]
        _, config = min(alike, key=lambda pair: (self._differing(pair[1]), -pair[0]))
        process = self.meter.process_bytes(config)
        return self._described(Fitted(config=config, process_bytes=process, fits=True, changes=()))

    def _differing(self, config: Mapping[str, Any]) -> int:
        return sum(config.get(key) != self.config.get(key) for key in {**self.config, **config})

    def estimate(self, config: Mapping[str, Any]) -> Estimate:
        """All of it, with findings."""
        return estimate_resolved(
            catalog=self.catalog, resolved=self.resolved, config=config, hardware=self.hardware, dataset=self.dataset
        )

    def other_batch(self, config: Mapping[str, Any]) -> tuple[Finding, ...]:
        """Says where whole numbers did not let accumulation make up for another micro batch."""
        before, after = (read_run(given) for given in (self.config, config))
        batches = tuple(run.micro_batch_size * run.gradient_accumulation_steps for run in (before, after))
        if batches[0] == batches[1]:
            return ()
        said = message("finding.other_batch", before=batches[0], after=batches[1])
        return (Finding(severity=Severity.INFO, key="gradient_accumulation_steps", message=said),)

    def smallest_gpu(self, memory: Memory) -> Finding:
        """The card with the least memory that holds ``memory`` with headroom. The method is kept, so others may fit."""
        need_bytes, most_bytes = memory.process_bytes, memory.range_bytes[1]
        card: dict[str, Param] = {
            "hardware": self.hardware.name,
            "capacity_bytes": self.hardware.capacity_bytes,
            "process_bytes": need_bytes,
        }
        large = [row for row in self.catalog.gpus.rows if row.memory_bytes >= most_bytes]
        rows = [row for row in large if row.vendor is self.hardware.vendor] or large
        if not rows:
            return Finding(severity=Severity.ERROR, message=message("finding.fits_no_gpu_kept", **card))
        row = min(rows, key=lambda row: (row.memory_bytes, row.name))
        named: dict[str, Param] = {"gpu": row.name, "gpu_bytes": row.memory_bytes, "need_bytes": need_bytes}
        said = message("finding.smallest_gpu_kept", **card, **named)
        return Finding(severity=Severity.ERROR, message=said)

    def grid(self, config: Mapping[str, Any], x: Axis, y: Axis) -> Grid:
        """Every combination of the two axes, the rest as it is in ``config``."""
        rows = []
        for down in y.values:
            row = with_value(config, y.key, down)
            rows.append(tuple(self._cell(with_value(row, x.key, across), across, down) for across in x.values))
        return Grid(x=x, y=y, rows=tuple(rows))

    def _cell(self, config: Mapping[str, Any], x: int, y: int) -> Cell:
        memory = self.meter.memory(config)
        return Cell(
            x=x,
            y=y,
            config=config,
            process_bytes=memory.process_bytes,
            fits=memory.process_bytes <= self.hardware.capacity_bytes,
            verdict=verdict(memory, self.hardware.capacity_bytes),
        )
