"""What AdaLomo keeps of weights that do not train: it makes its rows and columns for every parameter that it finds.

A packed weight is one long column, so its rows take two bytes for each byte of it, or four where bytes pack it.
Sources: lomo-optim 0.1.1 ``adalomo.py``, ``AdaLomo.__init__``; Axolotl 0.19.0 ``loaders/model.py``, for what packs it.
"""

from app.core.architecture import Architecture, Kind, Module
from app.core.kept import kept
from app.core.memory.weights import Storing, quantizes
from app.core.run import Method, Quantization, Run
from app.core.units import ceil_div

FULL = 4
EVERYTHING = "adalomo"
"""The optimizer that does so."""


def frozen_states(architecture: Architecture, run: Run) -> int:
    """Bytes on the GPU."""
    if run.optimizer != EVERYTHING or run.method is Method.FULL:
        return 0
    storing = Storing.of(run)
    key = "frozen", storing, run.packed_itemsize
    found: int = kept(
        architecture,
        key,
        lambda: sum(_of_row(architecture, module, storing, run.packed_itemsize) for module in architecture.modules),
    )
    return found


def _of_row(architecture: Architecture, module: Module, storing: Storing, packed_itemsize: int) -> int:
    """Of all instances of one row."""
    if module.tied_to:
        return 0
    experts = module.kind is Kind.EXPERTS and storing.experts is Quantization.NF4
    if experts or (storing.quantization is Quantization.NF4 and quantizes(architecture, module, storing)):
        each = ceil_div(ceil_div(module.weight_parameters, 2), packed_itemsize)
    elif len(module.shape) > 1:
        each = module.shape[0] + module.shape[1]
    else:
        each = module.weight_parameters
    return FULL * module.copies * (each + module.bias_parameters)
