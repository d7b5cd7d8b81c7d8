"""Fitting: the least change that fits a card, the most of one key, or the fastest; and a grid of two keys."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.catalog.library import Catalog
from app.core.errors import FieldError, InvalidInput
from app.core.estimate import Estimate, Verdict
from app.core.findings import Finding, Severity
from app.core.fit import KEY_RUNGS, LOSSLESS, RUNG_KEYS, Fitted, Ladder, Rung, build_ladder, climb
from app.core.hardware import Hardware
from app.core.messages import Param, message
from app.core.objective import MOST_OF, Objective, candidates, faster, most, with_value
from app.core.plan import Change, Dataset, Install, Outcome
from app.core.run import Run
from app.services.estimating import estimate_resolved, verdict
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
class Fit:
    """What came of fitting a configuration. Where nothing fits, ``config`` is as small as may be varied."""

    outcome: Outcome
    objective: Objective
    config: Mapping[str, Any]
    changes: tuple[Change, ...]
    estimate: Estimate
    findings: tuple[Finding, ...]
    grid: Grid | None


GOES_ALONG: Mapping[str, Rung] = {
    "gradient_accumulation_steps": Rung.MICRO_BATCH,
    "lora_alpha": Rung.RANK,
    "quantize_moe_experts": Rung.QUANTIZATION,
    "embeddings_skip_upcast": Rung.QUANTIZATION,
}
"""Keys that change with a rung's own."""


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

    Without ``vary`` everything may change; where most of one key is wanted, that key alone; for the fastest, what
    leaves the training the same.

    Raises:
        InvalidInput: the configuration holds values that cannot be, or the objective asks for what there is not.
        UnknownName: the catalogue does not hold ``base_model``.
    """
    resolved = resolve_model(catalog=catalog, base_model=config.get("base_model"), model=model)
    search = _Fitting(catalog, resolved, config, hardware, install, dataset)
    found = search.search(vary, objective)
    estimate = search.estimate(found.config)
    outcome = Outcome.FITS if estimate.fits else Outcome.DOES_NOT_FIT
    return Fit(
        outcome=outcome,
        objective=objective,
        config=found.config,
        changes=found.changes,
        estimate=estimate,
        findings=() if estimate.fits else (search.smallest_gpu(estimate.memory.process_bytes),),
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
        self.meter = Meter.of(resolved)

    def search(self, vary: Sequence[str] | None, objective: Objective) -> Fitted:
        """What fits, as the objective has it."""
        wanted = MOST_OF.get(objective)
        rungs = {KEY_RUNGS[key] for key in vary} if vary is not None else set() if wanted else set(Rung)
        if wanted is not None:
            return self._most(wanted[0], self._ladder(rungs - {wanted[1]}))
        if objective is Objective.FASTEST:
            fastest = self._fastest(rungs if vary is not None else {*LOSSLESS, Rung.OFFLOADING})
            if fastest is not None:
                return fastest
        return climb(self._ladder(rungs), measure=self.meter.process_bytes, capacity_bytes=self.hardware.capacity_bytes)

    def _ladder(self, rungs: Collection[Rung]) -> Ladder:
        return build_ladder(
            self.config,
            architecture=self.resolved.architecture,
            hardware=self.hardware,
            install=self.install,
            rungs=tuple(rungs),
        )

    def _most(self, key: str, ladder: Ladder) -> Fitted:
        run = Run.from_config(self.config)
        if key == "lora_r" and run.lora is None:
            raise InvalidInput(FieldError("/objective", message("error.fit.no_rank")))
        values = candidates(key, self.resolved.architecture, run)
        capacity = self.hardware.capacity_bytes
        found = most(key, ladder, values=values, measure=self.meter.process_bytes, capacity_bytes=capacity)
        if found is None:
            least = Ladder(config=with_value(self.config, key, values[0]), patches=ladder.patches)
            return self._described(climb(least, measure=self.meter.process_bytes, capacity_bytes=capacity))
        return self._described(found[1])

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
                after = found.config.get(key)
                saves = before - size if position == 0 else 0
                changes.append(Change(key=key, before=self.config.get(key), after=after, saves_bytes=saves))
        return replace(found, changes=tuple(changes))

    def _fastest(self, rungs: Collection[Rung]) -> Fitted | None:
        """The configuration with most tokens a second among those that fit; None where none does."""
        best: tuple[float, Mapping[str, Any]] | None = None
        for config in faster(self.config, rungs, self._ladder(rungs)):
            if self.meter.process_bytes(config) > self.hardware.capacity_bytes:
                continue
            time = self.meter.time(config, self.hardware, self.dataset)
            if time is None:
                raise InvalidInput(FieldError("/objective", message("error.fit.no_rates", hardware=self.hardware.name)))
            if best is None or time.tokens_per_second > best[0]:
                best = time.tokens_per_second, config
        if best is None:
            return None
        process = self.meter.process_bytes(best[1])
        return self._described(Fitted(config=best[1], process_bytes=process, fits=True, changes=()))

    def estimate(self, config: Mapping[str, Any]) -> Estimate:
        """All of it, with findings."""
        return estimate_resolved(
            catalog=self.catalog, resolved=self.resolved, config=config, hardware=self.hardware, dataset=self.dataset
        )

    def smallest_gpu(self, need_bytes: int) -> Finding:
        """The card with the least memory that holds ``need_bytes``."""
        card: dict[str, Param] = {
            "hardware": self.hardware.name,
            "capacity_bytes": self.hardware.capacity_bytes,
            "process_bytes": need_bytes,
        }
        rows = [row for row in self.catalog.gpus.rows if row.memory_bytes >= need_bytes]
        if not rows:
            return Finding(severity=Severity.ERROR, message=message("finding.fits_no_gpu", **card))
        row = min(rows, key=lambda row: (row.memory_bytes, row.name))
        said = message("finding.smallest_gpu", **card, gpu=row.name, gpu_bytes=row.memory_bytes, need_bytes=need_bytes)
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
