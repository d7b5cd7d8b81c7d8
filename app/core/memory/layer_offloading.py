"""Layer offloading: frozen parameters of the decoder's layers wait on the host and come back as their turn comes.

While a layer runs forward, the ones before and behind it are on the card as well: one not let go of yet, one fetched.
Backward it is the same from the other end, and a checkpoint that is reentrant fetches only once the layer was made
again. The hooks of its forward let the last layer go when that has been made again, so that its backward fetches it a
second time; what its graph holds views of (weights of plain products) stays beside that. Around the loss none is
there, and the first one between steps. Statistics of packed weights are no parameters and stay.

bitsandbytes' products leave the packed weight on their node (``ctx.tensors`` of ``MatMul4Bit``). Under a checkpoint
that is not reentrant that node is there from the forward to the end of the step, and so is every layer's copy of then.

Source: Axolotl 0.19.0 ``core/trainers/mixins/layer_offloading.py``, which finds layers by the name of their class.
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

    ``stuck`` are those of each that stay on the card with the nodes of its first forward.
    """

    sizes: tuple[int, ...]
    viewed: int
    stuck: tuple[int, ...]

    def around(self, place: int, before: int, behind: int) -> int:
        """Of the layers from ``before`` in front of this one to ``behind`` after it."""
        return sum(self.sizes[max(0, place - before) : place + behind + 1])

    def forward(self, place: int) -> int:
        """What is on the card while a layer runs forward: it and its neighbours, and what is stuck of those before."""
        return self.around(place, 1, 1) + sum(self.stuck[: max(0, place - 1)])

    @property
    def most(self) -> int:
        """The most that a forward finds on the card."""
        return max(self.around(place, 1, 1) for place in range(len(self.sizes)))


def offloads_layers(run: Run) -> bool:
    """Whether it is priced: what is frozen, under checkpoints that keep their inputs on the card."""
    kept = run.checkpointing in (Checkpointing.REENTRANT, Checkpointing.NON_REENTRANT)
    packed = run.quantization in (Quantization.INT8, Quantization.GPTQ)
    supervised = run.preference is None and run.offloading is Offloading.NONE
    return run.layer_offloading and run.method in (Method.LORA, Method.QLORA) and kept and supervised and not packed


def layers_of(architecture: Architecture, run: Run, adapter: Adapter, kernels: frozenset[str]) -> Layers | None:
    """What moves; None where nothing does."""
    if not offloads_layers(run) or architecture.computes_as in OTHER_NAMES or not architecture.num_layers:
        return None
    storing = Storing.of(run)
    sizes, stuck = [0] * architecture.num_layers, [0] * architecture.num_layers
    viewed = 0
    for module in architecture.modules:
        if module.part is not Part.TEXT or module.layers is None:
            continue
        each = module.copies // len(module.layers)
        size = each * _moved(architecture, module, storing)
        seen = _viewed(module, adapter, kernels)
        held = seen and not run.reentrant and quantizes(architecture, module, storing)
        for layer in module.layers:
            sizes[layer] += size
            stuck[layer] += size if held else 0
        if module.layers[-1] == architecture.num_layers - 1 and seen:
            viewed += size
    return Layers(sizes=tuple(sizes), viewed=viewed if run.reentrant else 0, stuck=tuple(stuck))


def _moved(architecture: Architecture, module: Module, storing: Storing) -> int:
    """Bytes of one instance's parameters: packed ones without their statistics."""
    itemsize = stored(architecture, module, storing)
    bias = round_up(itemsize * module.bias_parameters, GRANULE)
    experts = module.kind is Kind.EXPERTS and storing.experts is Quantization.NF4
    four = experts or quantizes(architecture, module, storing)
    weight = ceil_div(module.weight_parameters, 2) if four else itemsize * module.weight_parameters
    return round_up(weight, GRANULE) + bias


def _viewed(module: Module, adapter: Adapter, kernels: frozenset[str]) -> bool:
    """Whether its product saves a view of it: not where one of Axolotl's kernels holds the parameter itself."""
    if module.kind not in (Kind.LINEAR, Kind.EXPERTS):
        return False
    attention = "attn" in module.path
    fused = ("lora_qkv_kernel", "lora_o_kernel") if attention else ("lora_mlp_kernel",)
    adapted = any(row.module.path == module.path for row in adapter.modules)
    return not (adapted and kernels.intersection(fused))
