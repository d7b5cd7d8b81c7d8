"""Fitting: how much a configuration takes, measured as often as a search needs."""

from collections.abc import Mapping
from typing import Any

from app.core.adapter import Adapter, resolve_adapter
from app.core.architecture import Architecture
from app.core.estimate import Memory
from app.core.run import Method, Run
from app.services.estimating import memory_of


class Meter:
    """Memory of variants of one configuration; what trains is resolved once for each rank."""

    def __init__(self, architecture: Architecture) -> None:
        self.architecture = architecture
        self._adapters: dict[tuple[Method, int], Adapter] = {}

    def memory(self, config: Mapping[str, Any]) -> Memory:
        """All of it, itemised.

        Raises:
            InvalidInput: the configuration holds values that cannot be.
        """
        run = Run.from_config(config)
        key = (run.method, run.lora.r if run.lora else 0)
        adapter = self._adapters.get(key)
        if adapter is None:
            adapter = self._adapters[key] = resolve_adapter(self.architecture, run)
        return memory_of(self.architecture, run, adapter)

    def process_bytes(self, config: Mapping[str, Any]) -> int:
        """What the process takes."""
        return self.memory(config).process_bytes
