"""Measuring: how much a configuration takes, as often as a search needs, and how long a step of it lasts."""

import marshal
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from operator import attrgetter
from typing import Any

from app.core.adapter import Adapter, resolve_adapter
from app.core.architecture import Architecture
from app.core.estimate import Memory, Time
from app.core.hardware import Hardware
from app.core.plan import Dataset
from app.core.run import LoraSettings, Run
from app.core.run_reader import LONGEST_SEQUENCE, read_run
from app.services.estimating import Measured, memory_of, sizes_of, time_of
from app.services.inputs import ResolvedModel

KEPT_SIZES = 1 << 13
"""Sizes kept for models of the catalogue, a thousand bytes each: a person's next question differs by one key."""
KEPT_MEMORIES = 1024
KEPT_ADAPTERS = 256
"""Itemised memories and what trains: some thousand bytes each."""
KEPT_RUNS = 1024
LONGEST_KEPT = 4096
"""Configurations as read, without their length, and the bytes that one may take to be kept."""


@dataclass(frozen=True, slots=True)
class _Written:
    """A configuration told apart by how it is written."""

    key: bytes | str
    config: Mapping[str, Any] = field(compare=False)


@dataclass(frozen=True, slots=True)
class _Known:
    """A run told apart by what memory depends on."""

    key: Hashable
    run: Run = field(compare=False)


class Meter:
    """Measures variants of one model's configurations on one kind of card.

    What a catalogue model takes is kept between requests.
    """

    def __init__(self, architecture: Architecture, hardware: Hardware | None, *, kept: bool = False) -> None:
        self.architecture = architecture
        self.hardware = hardware
        self.kept = kept
        self._adapters: dict[Hashable, Adapter] = {}
        self._runs: dict[Hashable, Run] = {}

    @classmethod
    def of(cls, resolved: ResolvedModel, hardware: Hardware) -> "Meter":
        """For a model as asked for; a pasted one is measured anew each time."""
        return cls(resolved.architecture, hardware, kept=resolved.row is not None and not resolved.pasted)

    def memory(self, config: Mapping[str, Any]) -> Memory:
        """All of it, itemised.

        Raises:
            InvalidInput: the configuration holds values that cannot be.
        """
        return self.measured(config).memory

    def measured(self, config: Mapping[str, Any]) -> Measured:
        """The configuration read, what of it trains, and its memory.

        Raises:
            InvalidInput: the configuration holds values that cannot be.
        """
        run = self.run(config)
        adapter = self._adapter(run)
        if self.kept:
            return Measured(run=run, adapter=adapter, memory=_kept_memory(self.architecture, _Known(_key(run), run)))
        return Measured(run=run, adapter=adapter, memory=memory_of(self.architecture, run, adapter))

    def process_bytes(self, config: Mapping[str, Any]) -> int:
        """What the process is expected to take."""
        return self._sizes(config)[0]

    def most_bytes(self, config: Mapping[str, Any]) -> int:
        """What the process may take at the most: the upper end of its range."""
        return self._sizes(config)[1]

    def _sizes(self, config: Mapping[str, Any]) -> tuple[int, int]:
        run = self.run(config)
        if self.kept:
            return _kept_sizes(self.architecture, _Known(_key(run), run))
        return sizes_of(self.architecture, run, self._adapter(run))

    def time(self, config: Mapping[str, Any], hardware: Hardware, dataset: Dataset | None = None) -> Time | None:
        """How long a step takes, None where the card's rates are not known."""
        run = self.run(config)
        return time_of(self.architecture, run, self._adapter(run), hardware, config, dataset)

    def run(self, config: Mapping[str, Any]) -> Run:
        """``config`` read, once for as long as this meter lasts: a plan asks for the same one several times.

        Raises:
            InvalidInput: the configuration holds values that cannot be.
        """
        tokens = config.get("sequence_len")
        if type(tokens) is not int or not 1 <= tokens <= LONGEST_SEQUENCE:
            return self._read(_written(config), config)
        alike = _written({**config, "sequence_len": ...})  # what else it says is read once for all lengths
        run = self._runs.get((alike, tokens))
        if run is None:
            run = self._read(alike, config)
            if run.sequence_len_tokens != tokens:
                run = replace(run, sequence_len_tokens=tokens)
            self._runs[alike, tokens] = run
        return run

    def _read(self, key: bytes | str, config: Mapping[str, Any]) -> Run:
        run = self._runs.get(key)
        if run is None:
            read = _kept_run(_Written(key, config)) if len(key) <= LONGEST_KEPT else read_run(config)
            run = self._runs[key] = read.on(self.hardware)
        return run

    def _adapter(self, run: Run) -> Adapter:
        key = _adapter_key(run)
        if self.kept:
            return _kept_adapter(self.architecture, _Known(key, run))
        adapter = self._adapters.get(key)
        if adapter is None:
            adapter = self._adapters[key] = resolve_adapter(self.architecture, run)
        return adapter


def _written(config: Mapping[str, Any]) -> bytes | str:
    """A configuration as bytes; its text where it holds what has none, a date or a set."""
    plain = config if type(config) is dict else dict(config)
    try:
        return marshal.dumps(plain, 2)  # the version that writes equals the same
    except ValueError:
        return repr(plain)


_beside_lora = attrgetter(*(one.name for one in fields(Run) if one.name != "lora"))


def _key(run: Run) -> Hashable:
    return (_beside_lora(run), *_lora_key(run.lora))


def _adapter_key(run: Run) -> Hashable:
    return (run.method, run.quantization, run.unfrozen_parameters, run.relora, run.peft, *_lora_key(run.lora))


def _lora_key(lora: LoraSettings | None) -> tuple[Hashable, ...]:
    """The keys of LoRA that size and count depend on; alpha is none of them, nor by how much is dropped out."""
    if lora is None:
        return ()
    return (
        lora.r,
        lora.dropout > 0,
        lora.dora,
        lora.target_modules,
        lora.target_linear,
        lora.target_parameters,
        lora.modules_to_save,
        tuple(sorted(lora.rank_pattern.items())),
        lora.layers_to_transform,
    )


@lru_cache(maxsize=KEPT_RUNS)
def _kept_run(written: _Written) -> Run:
    return read_run(written.config)


@lru_cache(maxsize=KEPT_SIZES)
def _kept_sizes(architecture: Architecture, known: _Known) -> tuple[int, int]:
    return sizes_of(architecture, known.run, _kept_adapter(architecture, _Known(_adapter_key(known.run), known.run)))


@lru_cache(maxsize=KEPT_MEMORIES)
def _kept_memory(architecture: Architecture, known: _Known) -> Memory:
    adapter = _kept_adapter(architecture, _Known(_adapter_key(known.run), known.run))
    return memory_of(architecture, known.run, adapter)


@lru_cache(maxsize=KEPT_ADAPTERS)
def _kept_adapter(architecture: Architecture, known: _Known) -> Adapter:
    return resolve_adapter(architecture, known.run)
