"""Layer offloading: frozen parameters of the decoder's layers wait on the host and come back as their turn comes.

While a layer runs forward, the ones before and behind it are on the card as well: one not let go of yet, one fetched.
Backward it is the same from the other end, and a checkpoint that is reentrant fetches only once the layer was made
again. The hooks of its forward let the last layer go when that has been made again, so that its backward fetches it a
second time; what its graph holds views of (weights of plain products) stays beside that. Around the loss none is
there, and the first one between steps. Statistics of packed weights are no parameters and stay.

bitsandbytes' products leave the packed weight on their node (``ctx.tensors`` of ``MatMul4Bit``). Under a checkpoint
that is not reentrant that node is there from the forward to the end of the step, and so is every layer's copy of then.

LLM.int8's linears compute with what they were loaded with (``state.CB``), which no hook knows of: nothing of it leaves.
What is fetched for their parameters comes beside it, and goes as each linear's forward puts its own back in its place.
GPTQ's words are no parameters.

Source: Axolotl 0.19.0 ``core/trainers/mixins/layer_offloading.py``, which finds layers by the name of their class;
bitsandbytes 0.50.2 ``nn/modules.py`` (``Linear8bitLt.forward``), ``autograd/_functions.py``.
"""

from dataclasses import dataclass

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.memory.weights import GRANULE, Storing, quantizes, stored
from app.core.run import Checkpointing, Method, Offloading, Quantization, Run
from app.core.units import ceil_div, round_up

OTHER_NAMES = frozenset(("bloom", "gpt2", "gpt_neox", "gptj", "mpt", "nemotron_h"))
"""Whose layers are called otherwise, so that none is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Bytes that each layer leaves to the host, and of the last one's what the graph of its backward keeps.

    ``stuck`` are those of each that stay on the card with the nodes of its first forward, ``copies`` those that are
    fetched beside what never left.
    """

    sizes: tuple[int, ...]
    viewed: int
    stuck: tuple[int, ...]
    copies: tuple[int, ...]

    def around(self, place: int, before: int, behind: int) -> int:
        """Of the layers from ``before`` in front of this one to ``behind`` after it."""
        return sum(self.sizes[max(0, place - before) : place + behind + 1])

    def forward(self, place: int) -> int:
        """What is on the card while a layer runs forward: it and its neighbours, and what is stuck of those before.

        Its own copies are its profile's, those of the layer before are gone.
        """
        return self.around(place, 1, 1) + sum(self.copies[place + 1 : place + 2]) + sum(self.stuck[: max(0, place - 1)])

    def backward(self, place: int, *, reentrant: bool) -> int:
        """The same while its backward runs; what a reentrant one brings is its profile's (``below``)."""
        if not reentrant:
            return self.around(place, 1, 1) + (self.copies[place - 1] if place else 0)
        return self.around(place, 0, 1) + (self.copies[-1] if place == len(self.copies) - 2 else 0)

    def below(self, place: int) -> int:
        """What a reentrant layer's backward brings: the layer below, and the last layer's own once more."""
        brought = self.sizes[place - 1] + self.copies[place - 1] if place else 0
        return brought + (self.viewed + self.copies[-1] if place == len(self.sizes) - 1 else 0)

    @property
    def waiting(self) -> int:
        """What is there between steps: the first layer, fetched for the next one."""
        return self.sizes[0] + self.copies[0]

    @property
    def most(self) -> int:
        """The most that a forward finds on the card."""
        return max(self.forward(place) - sum(self.stuck[: max(0, place - 1)]) for place in range(len(self.sizes)))


def offloads_layers(run: Run) -> bool:
    """Whether it is priced: what is frozen, under checkpoints that keep their inputs on the card."""
    kept = run.checkpointing in (Checkpointing.REENTRANT, Checkpointing.NON_REENTRANT)
    eight = run.expert_quantization is Quantization.INT8
    supervised = run.preference is None and run.offloading is Offloading.NONE
    return run.layer_offloading and run.method in (Method.LORA, Method.QLORA) and kept and supervised and not eight


def layers_of(architecture: Architecture, run: Run, adapter: Adapter, kernels: frozenset[str]) -> Layers | None:
    """What moves; None where nothing does."""
    if not offloads_layers(run) or architecture.computes_as in OTHER_NAMES or not architecture.num_layers:
        return None
    storing = Storing.of(run)
    sizes, stuck, copies = ([0] * architecture.num_layers for _ in range(3))
    viewed = 0
    for module in architecture.modules:
        if module.part is not Part.TEXT or module.layers is None:
            continue
        each = module.copies // len(module.layers)
        size = each * _moved(architecture, module, storing)
        seen = _viewed(module, adapter, kernels) and not _stays(architecture, module, storing)
        held = seen and not run.reentrant and quantizes(architecture, module, storing)
        copied = each * _copied(architecture, module, storing)
        for layer in module.layers:
            sizes[layer] += size
            stuck[layer] += size if held else 0
            copies[layer] += copied
        if module.layers[-1] == architecture.num_layers - 1 and seen:
            viewed += size
    return Layers(sizes=tuple(sizes), viewed=viewed if run.reentrant else 0, stuck=tuple(stuck), copies=tuple(copies))


def _moved(architecture: Architecture, module: Module, storing: Storing) -> int:
    """Bytes of one instance's parameters that leave: packed ones without their statistics."""
    itemsize = stored(architecture, module, storing)
    if storing.quantization is Quantization.GPTQ and quantizes(architecture, module, storing):
        return 0
    bias = round_up(itemsize * module.bias_parameters, GRANULE)
    if _stays(architecture, module, storing):
        return bias
    experts = module.kind is Kind.EXPERTS and storing.experts is Quantization.NF4
    four = experts or quantizes(architecture, module, storing)
    weight = ceil_div(module.weight_parameters, 2) if four else itemsize * module.weight_parameters
    return round_up(weight, GRANULE) + bias


def _stays(architecture: Architecture, module: Module, storing: Storing) -> bool:
    """Whether what it computes with is held apart from its parameter, or is none."""
    apart = storing.quantization in (Quantization.INT8, Quantization.GPTQ)
    return apart and quantizes(architecture, module, storing)


def _copied(architecture: Architecture, module: Module, storing: Storing) -> int:
    """Bytes of one instance's parameter that are fetched beside what it computes with."""
    eight = storing.quantization is Quantization.INT8 and quantizes(architecture, module, storing)
    return round_up(module.weight_parameters, GRANULE) if eight else 0


def _viewed(module: Module, adapter: Adapter, kernels: frozenset[str]) -> bool:
    """Whether its product saves a view of it: not where one of Axolotl's kernels holds the parameter itself."""
    if module.kind not in (Kind.LINEAR, Kind.EXPERTS):
        return False
    attention = "attn" in module.path
    fused = ("lora_qkv_kernel", "lora_o_kernel") if attention else ("lora_mlp_kernel",)
    adapted = any(row.module.path == module.path for row in adapter.modules)
    return not (adapted and kernels.intersection(fused))
