"""Reads ``adapter`` and ``peft_config`` into a method and its settings, naming every fault it meets.

Defaults and cross-checks are those of PEFT 0.20.0's configuration classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.core.errors import FieldError, InvalidInput
from app.core.messages import Param, message
from app.core.methods.defaults import FIELDS
from app.core.methods.settings import (
    Activation,
    Bias,
    Bottleneck,
    Decomposed,
    Encoder,
    OwnLayers,
    PeftMethod,
    PeftType,
    Placement,
    Rotation,
    Scaling,
    Settings,
    Targets,
    TokenRows,
    VirtualTokens,
)
from app.core.nearest import nearest
from app.core.shown import shown

MOST_TOKENS = 1 << 20
MOST_RANK = 1 << 16
MOST_SIZE = 1 << 24
MOST_STEPS = 10**9
MOST_TERMS = 100
ADALORA_START_RANK, ADALORA_TARGET_RANK = 12, 8
"""PEFT's own ``init_r`` and ``target_r``."""
MOST_INDICES = 1 << 20


def read_method(type_: PeftType, given: object, *, pointer: str = "/config/peft_config") -> PeftMethod:
    """The method that ``adapter`` names, as ``peft_config`` has it.

    Raises:
        InvalidInput: with one error per bad setting.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        key = pointer.rpartition("/")[2]
        raise InvalidInput(FieldError(pointer, message("error.peft.mapping", key=key, given=shown(given))))
    reader = _Reader(type_, given, pointer)
    reader.known()
    settings = _READERS[type_](reader)
    if reader.errors:
        raise InvalidInput(*reader.errors)
    return PeftMethod(type=type_, settings=settings)


class _Reader:
    """Typed access to one ``peft_config`` that collects faults."""

    def __init__(self, type_: PeftType, values: Mapping[str, Any], pointer: str) -> None:
        self.type, self.values, self.pointer = type_, values, pointer
        self.errors: list[FieldError] = []

    def fault(self, key: str, code: str, **params: Param) -> None:
        name = f"{self.pointer.rpartition('/')[2]}.{key}"
        self.errors.append(FieldError(f"{self.pointer}/{key}", message(code, key=name, **params)))

    def known(self) -> None:
        """Refuse settings that this method does not have: PEFT does."""
        allowed = FIELDS[self.type]
        for key in self.values:
            if key not in allowed:
                own = tuple(name for name in allowed if name not in _PLUMBING)
                close = nearest(str(key), own, count=1)
                params: dict[str, Param] = {"given": str(key)[:60], "method": self.type.value, "allowed": own}
                if close:
                    self.fault(str(key)[:60], "error.peft.unknown_nearest", nearest=close[0], **params)
                else:
                    self.fault(str(key)[:60], "error.peft.unknown", **params)

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        found = self.optional(key, least, most)
        return default if found is None else found

    def optional(self, key: str, least: int, most: int) -> int | None:
        value = self.values.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, "error.config.integer", given=shown(value), least=least, most=most)
            return None
        if not least <= value <= most:
            self.fault(key, "error.config.range", given=value, least=least, most=most)
            return None
        return value

    def number(self, key: str, default: float, least: float, most: float) -> float:
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(key, "error.config.number", given=shown(value), least=least, most=most)
            return default
        if not least <= value <= most:
            self.fault(key, "error.config.range", given=value, least=least, most=most)
            return default
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.fault(key, "error.config.boolean", given=shown(value))
            return default
        return value

    def names(self, key: str) -> tuple[str, ...] | str | None:
        """A list of names, or a text that is a pattern."""
        value = self.values.get(key)
        if value is None or isinstance(value, str):
            return value
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(value)
        self.fault(key, "error.config.names", given=shown(value))
        return None

    def listed(self, key: str) -> tuple[str, ...]:
        """A list of names; a single one will do."""
        found = self.names(key)
        return (found,) if isinstance(found, str) else found or ()

    def choice(self, key: str, default: str, allowed: Sequence[str]) -> str:
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, str) and value in allowed:
            return value
        close = nearest(str(value), allowed, count=1)
        params: dict[str, Param] = {"given": shown(value), "allowed": tuple(allowed)}
        if close:
            self.fault(key, "error.config.choice_nearest", nearest=close[0], **params)
        else:
            self.fault(key, "error.config.choice", **params)
        return default

    def ranks(self, key: str) -> tuple[tuple[str, int], ...]:
        value = self.values.get(key)
        if value is None:
            return ()
        if isinstance(value, Mapping) and all(
            isinstance(name, str) and type(rank) is int and 0 < rank <= MOST_RANK for name, rank in value.items()
        ):
            return tuple(value.items())
        self.fault(key, "error.config.rank_pattern", given=shown(value))
        return ()

    def targets(self, *, save: bool = True) -> Targets:
        layers = self.values.get("layers_to_transform")
        if isinstance(layers, int) and not isinstance(layers, bool):
            layers = [layers]
        if layers is not None and not (isinstance(layers, list | tuple) and all(type(i) is int for i in layers)):
            self.fault("layers_to_transform", "error.config.layers", given=shown(layers))
            layers = None
        pattern = self.listed("layers_pattern")
        if pattern and not layers:
            self.fault("layers_pattern", "error.peft.layers_pattern")
        return Targets(
            modules=self.names("target_modules"),
            exclude=self.names("exclude_modules") or (),
            save=self.listed("modules_to_save") if save else (),
            layers=tuple(layers) if layers else None,
            layers_pattern=pattern,
        )

    def bias(self, only: str) -> Bias:
        chosen = self.choice("bias", "none", ("none", "all", only))
        return Bias.ONLY if chosen == only else Bias(chosen)


_PLUMBING = ("auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode")
"""Settings that PEFT fills in itself; known, but nobody's to choose from."""


def _virtual_tokens(reader: _Reader) -> VirtualTokens:
    if reader.values.get("num_virtual_tokens") is None:
        reader.fault("num_virtual_tokens", "error.peft.missing", example="20")
    encoder = Encoder.MLP
    projection = False
    if reader.type is PeftType.P_TUNING:
        encoder = Encoder(reader.choice("encoder_reparameterization_type", "MLP", tuple(Encoder)))
    elif reader.type is PeftType.PREFIX_TUNING:
        projection = reader.flag("prefix_projection", default=False)
    else:
        start = reader.choice("prompt_tuning_init", "RANDOM", ("RANDOM", "SAMPLE_VOCAB", "TEXT"))
        for key in ("prompt_tuning_init_text", "tokenizer_name_or_path"):
            if start == "TEXT" and not reader.values.get(key):
                reader.fault(key, "error.peft.needed_with", other="prompt_tuning_init: TEXT")
    return VirtualTokens(
        tokens=reader.whole("num_virtual_tokens", 20, 1, MOST_TOKENS),
        token_dim=reader.optional("token_dim", 1, MOST_SIZE),
        layers=reader.optional("num_layers", 1, 10_000),
        attention_heads=reader.optional("num_attention_heads", 1, MOST_SIZE),
        submodules=reader.whole("num_transformer_submodules", 1, 1, 2),
        projection=projection,
        encoder=encoder,
        encoder_hidden_size=reader.optional("encoder_hidden_size", 1, MOST_SIZE),
        encoder_layers=reader.whole("encoder_num_layers", 2, 1, 1000),
        dropout=reader.number("encoder_dropout", 0.0, 0.0, 0.999999) > 0,
        modules_to_save=reader.listed("modules_to_save"),
    )


def _scaling(reader: _Reader) -> Scaling:
    targets, feedforward = reader.targets(), reader.names("feedforward_modules")
    if isinstance(feedforward, tuple) and isinstance(targets.modules, tuple):
        strange = tuple(name for name in feedforward if name not in targets.modules)
        if strange:
            reader.fault("feedforward_modules", "error.peft.subset", given=strange, allowed=targets.modules)
    return Scaling(targets=targets, feedforward=feedforward)


def _adalora(reader: _Reader) -> Decomposed:
    steps = reader.optional("total_step", 1, MOST_STEPS)
    if reader.values.get("total_step") is None:
        reader.fault("total_step", "error.peft.missing", example="1000")
    first, last = reader.whole("tinit", 0, 0, MOST_STEPS), reader.whole("tfinal", 0, 0, MOST_STEPS)
    if steps is not None and first >= steps - last:
        reader.fault("tinit", "error.peft.schedule", first=first, last=last, steps=steps)
    for key in ("beta1", "beta2"):
        reader.number(key, 0.85, 1e-9, 1 - 1e-9)
    reader.number("orth_reg_weight", 0.5, 0.0, 1e9)
    reader.whole("target_r", ADALORA_TARGET_RANK, 1, MOST_RANK)
    reader.whole("deltaT", 1, 1, MOST_STEPS)
    targets = reader.targets()
    if isinstance(targets.modules, str) and reader.values.get("layers_to_transform") is not None:
        reader.fault("layers_to_transform", "error.layers_with_pattern", given=targets.modules[:200])
    return Decomposed(
        targets=targets,
        rank=reader.whole("init_r", ADALORA_START_RANK, 1, MOST_RANK),
        dropout=reader.number("lora_dropout", 0.0, 0.0, 0.999999) > 0,
        bias=reader.bias("lora_only"),
    )


def _lycoris(reader: _Reader) -> Decomposed:
    factor = reader.values.get("decompose_factor")
    return Decomposed(
        targets=reader.targets(),
        rank=reader.whole("r", 8, 1, MOST_RANK),
        rank_pattern=reader.ranks("rank_pattern"),
        dropout=reader.number("module_dropout", 0.0, 0.0, 0.999999) > 0,
        effective_convolution=reader.flag("use_effective_conv2d", default=False),
        decompose_both=reader.flag("decompose_both", default=False),
        decompose_factor=-1 if factor == -1 else reader.whole("decompose_factor", -1, 1, MOST_SIZE),
        drops_rows=reader.number("rank_dropout", 0.0, 0.0, 0.999999) > 0,
    )


def _vera(reader: _Reader) -> Decomposed:
    reader.flag("save_projection", default=True)
    return Decomposed(
        targets=reader.targets(),
        rank=reader.whole("r", 256, 1, MOST_RANK),
        dropout=reader.number("vera_dropout", 0.0, 0.0, 0.999999) > 0,
        bias=reader.bias("vera_only"),
    )


def _rotation(reader: _Reader) -> Rotation:
    blocks, size = reader.whole("r", 0, 0, MOST_SIZE), reader.whole("oft_block_size", 32, 0, MOST_SIZE)
    if bool(blocks) == bool(size):
        reader.fault("oft_block_size", "error.peft.one_of_two", other="r", given=size, beside=blocks)
    terms = reader.whole("num_cayley_neumann_terms", 5, 1, MOST_TERMS)
    return Rotation(
        targets=reader.targets(),
        blocks=blocks,
        block_size=size,
        block_share=reader.flag("block_share", default=False),
        bias=reader.bias("oft_only"),
        terms=terms if reader.flag("use_cayley_neumann", default=True) else 0,
    )


def _own_layers(reader: _Reader) -> OwnLayers:
    return OwnLayers(targets=reader.targets())


def _token_rows(reader: _Reader) -> TokenRows:
    given = reader.values.get("token_indices") or ()
    indices: tuple[int, ...] = ()
    if not isinstance(given, list | tuple) or not all(type(i) is int for i in given) or len(given) > MOST_INDICES:
        reader.fault("token_indices", "error.peft.token_indices", given=shown(given))
    elif not given:
        reader.fault("token_indices", "error.peft.missing", example="[0, 1]")
    else:
        indices = tuple(given)
    return TokenRows(targets=reader.targets(save=False), indices=indices)


def _bottleneck(reader: _Reader) -> Bottleneck:
    return Bottleneck(
        size=reader.whole("bottleneck_size", 64, 1, MOST_SIZE),
        placement=Placement(reader.choice("placement", "houlsby", tuple(Placement))),
        activation=Activation(reader.choice("non_linearity", "relu", tuple(Activation))),
        bias=reader.flag("bias", default=True),
    )


_READERS: Mapping[PeftType, Callable[[_Reader], Settings]] = {
    PeftType.PROMPT_TUNING: _virtual_tokens,
    PeftType.PREFIX_TUNING: _virtual_tokens,
    PeftType.P_TUNING: _virtual_tokens,
    PeftType.IA3: _scaling,
    PeftType.BOTTLENECK: _bottleneck,
    PeftType.ADALORA: _adalora,
    PeftType.LOHA: _lycoris,
    PeftType.LOKR: _lycoris,
    PeftType.VERA: _vera,
    PeftType.OFT: _rotation,
    PeftType.LN_TUNING: _own_layers,
    PeftType.TRAINABLE_TOKENS: _token_rows,
}
