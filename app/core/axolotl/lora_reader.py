"""Reads the LoRA keys of a configuration. Source: Axolotl 0.19.0 ``loaders/adapter.py``, ``utils/schemas/peft.py``."""

from collections.abc import Mapping

from app.core.run import LoraSettings
from app.core.shown import shown
from app.core.values import Values


class LoraReader(Values):
    """Of a configuration the keys that an adapter is made of."""

    def lora(self) -> LoraSettings:
        """The rank, what is adapted, and what trains beside it; what cannot be is a fault."""
        targets = self.config.get("lora_target_modules")
        layers = self.config.get("peft_layers_to_transform")
        if isinstance(layers, int) and not isinstance(layers, bool):
            layers = [layers]
        if layers is not None and not (isinstance(layers, list | tuple) and all(type(i) is int for i in layers)):
            self.fault("peft_layers_to_transform", "error.config.layers", given=shown(layers))
            layers = None
        pattern = self.config.get("lora_rank_pattern") or {}
        if not isinstance(pattern, Mapping) or not all(type(v) is int and v > 0 for v in pattern.values()):
            self.fault("lora_rank_pattern", "error.config.rank_pattern", given=shown(pattern))
            pattern = {}
        if self.config.get("lora_r") is None:
            self.fault("lora_r", "error.config.lora_r_missing")
        rank = self.whole("lora_r", 16)
        return LoraSettings(
            r=rank,
            alpha=self.whole("lora_alpha", 2 * rank),
            dropout=self.number("lora_dropout", 0.0, 0.0, 0.999999),
            dora=self.flag("peft_use_dora"),
            target_modules=targets if isinstance(targets, str) else (self.names("lora_target_modules") or None),
            target_linear=self.flag("lora_target_linear"),
            target_parameters=self.names("lora_target_parameters"),
            modules_to_save=self.names("lora_modules_to_save"),
            rank_pattern=dict(pattern),
            layers_to_transform=tuple(layers) if layers is not None else None,
            token_rows=self.token_rows(),
        )

    def token_rows(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        """Numbers of rows by table."""
        key = "peft_trainable_token_indices"
        given = self.config.get(key) or ()
        tables = given if isinstance(given, Mapping) else {"": given}
        if all(isinstance(name, str) for name in tables) and all(
            isinstance(rows, list | tuple) and all(type(row) is int for row in rows) for rows in tables.values()
        ):
            return tuple((name, tuple(rows)) for name, rows in tables.items() if rows)
        self.fault(key, "error.config.token_rows", given=shown(given))
        return ()
