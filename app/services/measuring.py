"""Measuring: how much a configuration takes, as often as a search needs, and how long a step of it lasts."""

import marshal
from collections.abc import Mapping
from typing import Any

from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture
from app.core.axolotl.run_reader import read_run
from app.core.estimate import Memory, Time
from app.core.hardware import Hardware
from app.core.plan import Dataset
from app.core.run import Run
from app.services.estimating import Measured, memory_of, time_of


class Meter:
    """Measures variants of one model's configurations on one kind of card, each once while it lasts: in one request."""

    def __init__(self, architecture: Architecture, hardware: Hardware | None) -> None:
        self.architecture = architecture
        self.hardware = hardware
        self._measured: dict[bytes | str, Measured] = {}

    def measured(self, config: Mapping[str, Any]) -> Measured:
        """The configuration read, what of it trains, and its memory.

        Raises:
            InvalidInput: the configuration holds values that cannot be, or the adapter reaches nothing.
        """
        written = _written(config)
        found = self._measured.get(written)
        if found is None:
            run = read_run(config).on(self.hardware)
            adapter = resolve_adapter(self.architecture, run)
            memory = memory_of(self.architecture, run, adapter)
            found = self._measured[written] = Measured(run=run, adapter=adapter, memory=memory)
        return found

    def run(self, config: Mapping[str, Any]) -> Run:
        """The configuration read, as it runs on the card."""
        return self.measured(config).run

    def memory(self, config: Mapping[str, Any]) -> Memory:
        """All of it, itemised where that is asked for."""
        return self.measured(config).memory

    def process_bytes(self, config: Mapping[str, Any]) -> int:
        """What the process is expected to take."""
        return self.measured(config).memory.process_bytes

    def most_bytes(self, config: Mapping[str, Any]) -> int:
        """What the process may take at the most: the upper end of its range."""
        return self.measured(config).memory.range_bytes[1]

    def time(self, config: Mapping[str, Any], hardware: Hardware, dataset: Dataset | None = None) -> Time | None:
        """How long a step takes, None where the card's rates are not known."""
        found = self.measured(config)
        return time_of(self.architecture, found.run, found.adapter, hardware, config, dataset)


def _written(config: Mapping[str, Any]) -> bytes | str:
    """A configuration as bytes; its text where it holds what has none, a date or a set."""
    plain = config if type(config) is dict else dict(config)
    try:
        return marshal.dumps(plain, 2)  # the version that writes equals the same
    except ValueError:
        return repr(plain)
