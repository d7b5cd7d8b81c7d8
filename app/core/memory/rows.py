"""The rows of one layer as the tape's linears and norms."""

from collections.abc import Mapping
from dataclasses import replace
from math import isqrt

from app.core.adapter import AdaptedModule
from app.core.architecture import Architecture, Block, Dropouts, Kind, Module, NormForm
from app.core.memory.attention import Kernel
from app.core.memory.beside import Scaled
from app.core.memory.linears import LinearSpec
from app.core.memory.norms import Norm, NormSpec
from app.core.memory.tape import FULL
from app.core.memory.traits import DROPPED_IN_MODULES, PLUS_ONE, WEIGHT_FIRST
from app.core.memory.updates import Update
from app.core.memory.weights import Storing, quantizes, stored
from app.core.methods.settings import Decomposed, PeftType, Rotation
from app.core.run import Method, Preference, Quantization, Run


class LayerRows:
    """Reads one layer's specification from its rows."""

    def __init__(
        self,
        architecture: Architecture,
        run: Run,
        block: Block,
        rows: tuple[Module, ...],
        adapted: Mapping[str, AdaptedModule],
        fused: frozenset[str],
        kernels: Mapping[int | None, Kernel],
        kept: frozenset[int | None] = frozenset(),
    ) -> None:
        self.architecture, self.run, self.block = architecture, run, block
        self.rows, self.adapted, self.fused, self.kernels, self.kept = rows, adapted, fused, kernels, kept
        self.model_type = architecture.computes_as
        self.drops = dropouts_of(architecture, run)
        self.plain_norms = {r.name: r for r in rows if r.kind is Kind.NORM and "." not in r.path.partition("{}.")[2]}

    def linear(self, module: Module) -> LinearSpec:
        """A row as the tape's linear."""
        return linear_spec(self.architecture, self.run, module, self.adapted.get(module.path))

    def norm(self, module: Module | None, *, width: int = 0, groups: int = 1, form: Norm | None = None) -> NormSpec:
        """A row as the tape's norm; without a row, one that holds no weight."""
        whole = width or self.block.hidden_size
        trained = self.run.method is Method.FULL
        bias = False
        if module is not None:
            own = self.adapted.get(module.path)
            trained = own is not None and bool(own.own_parameters)
            bias = bool(module.bias_parameters)
        return NormSpec(
            form=form or self.norm_form,
            width=whole,
            groups=groups,
            itemsize=2 if module is None else stored(self.architecture, module, Storing.of(self.run)),
            trained=trained,
            bias=bias,
        )

    @property
    def norm_form(self) -> Norm:
        """How this model's norms compute."""
        return norm_form(self.architecture, self.block)

    def at(self, *names: str) -> NormSpec | None:
        """The norm of the layer under one of ``names``."""
        return next((self.norm(self.plain_norms[name]) for name in names if name in self.plain_norms), None)

    def held_by(self, holders: frozenset[str], names: tuple[str, ...] | frozenset[str]) -> tuple[Module, ...]:
        """Linears of one part of the layer, in the model's order."""
        return tuple(
            row
            for row in self.rows
            if row.kind in (Kind.LINEAR, Kind.CONV1D)
            and row.name in names
            and row.outer_path.rpartition(".")[0].rpartition(".")[2] in holders
        )


def dropouts_of(architecture: Architecture, run: Run) -> Dropouts:
    """Where the model drops in this run: TRL switches off what stands in modules, but for rewards."""
    found = architecture.dropouts
    disabled = run.preference not in (None, Preference.REWARD) and found.modules
    return Dropouts(scores=found.scores and architecture.computes_as not in DROPPED_IN_MODULES) if disabled else found


def scaled_by(run: Run, own: AdaptedModule | None) -> Scaled | None:
    """Where IA³ multiplies a module."""
    if own is None or run.peft is None or run.peft.type is not PeftType.IA3 or not own.tensors:
        return None
    return Scaled.INPUTS if own.on_inputs else Scaled.OUTPUTS


def norm_form(architecture: Architecture, block: Block) -> Norm:
    """How a model's norms compute."""
    model_type = architecture.computes_as
    if block.norm is NormForm.LAYER:
        special = {"nemotron": Norm.LAYER_HALF, "olmo": Norm.LAYER_FULL}
        return Norm.CENTERED if model_type.startswith("cohere") else special.get(model_type, Norm.LAYER)
    if block.norm is NormForm.RMS_PLUS_ONE or model_type in PLUS_ONE:
        return Norm.RMS_PLUS_ONE
    return Norm.RMS_WEIGHT_FIRST if model_type in WEIGHT_FIRST else Norm.RMS


def linear_spec(architecture: Architecture, run: Run, module: Module, own: AdaptedModule | None) -> LinearSpec:
    """A row of a linear under this run."""
    lora = run.lora
    storing = Storing.of(run)
    quantization = run.quantization if quantizes(architecture, module, storing) else Quantization.NONE
    return LinearSpec(
        name=module.name,
        inputs=module.shape[0],
        outputs=module.shape[1],
        bias=bool(module.bias_parameters),
        itemsize=stored(architecture, module, storing),
        quantization=quantization,
        trained=own is not None and bool(own.own_parameters),
        rank=own.rank if own is not None else 0,
        dropout=bool(lora and lora.dropout > 0),
        again=bool(lora and (lora.dropout > 0 or lora.idle_dropout)),
        dora=bool(lora and lora.dora and own is not None and own.rank),
        scaled=scaled_by(run, own),
        adapter_itemsize=4 if run.adapter_fp32 else run.itemsize,
        nested=run.double_quantization,
        full=run.computes_full,
        turned=module.kind is not Kind.CONV1D,
        converted=run.bf16,
        rows=own.rows if own is not None else 0,
        update=update_of(run, module, own),
    )


def update_of(run: Run, module: Module, own: AdaptedModule | None) -> Update | None:
    """What one of PEFT's methods beside LoRA puts beside a linear."""
    if own is None or not own.tensors or run.peft is None:
        return None
    settings = run.peft.settings
    if not isinstance(settings, Rotation | Decomposed):
        return None
    inputs, outputs = module.shape
    made = Update(
        type=run.peft.type,
        name=f"{module.name}.{inputs}",
        inputs=inputs,
        outputs=outputs,
        tensors=own.tensors,
        itemsize=FULL if run.adapter_fp32 else run.itemsize,
    )
    if isinstance(settings, Rotation):
        return replace(made, blocks=inputs // block_size(own.tensors[0][1]), terms=settings.terms)
    small = small_tensors(own.tensors, inputs, outputs) if made.type is PeftType.LOKR else 1
    return replace(made, dropout=settings.dropout, drops_rows=settings.drops_rows, small=small)


def small_tensors(tensors: tuple[tuple[int, ...], ...], inputs: int, outputs: int) -> int:
    """How many of LoKr's tensors make its small factor: one, unless its sides are no parts of the weight's."""
    (left, right), *_ = tensors
    return 1 if left * tensors[1][0] == outputs and right * tensors[-1][1] == inputs else 2


def block_size(entries: int) -> int:
    """The side of a square whose upper triangle has so many entries."""
    return (1 + isqrt(1 + 8 * entries)) // 2
