"""ReLoRA's restarts: what merging an adapter makes, and what it leaves behind.

Between two steps each adapted weight in turn gets its update: the product of the factors and that times their scale,
while the name of the update before still holds it; a packed weight is added up anew from the checkpoint's own.
bitsandbytes does not pack it again, as its weight says that it is packed already, so from the first restart on it stays
in fp32. Sources: Axolotl 0.19.0 ``monkeypatch/relora.py``, ``merge_and_save`` and ``update_weights``; PEFT 0.20.0
``tuners/lora/layer.py``, ``get_delta_weight``; bitsandbytes 0.50.2 ``nn/modules.py``, ``Params4bit.to``, as they run.
"""

from app.core.adapter import Adapter
from app.core.architecture import Architecture
from app.core.memory.trained import factor_itemsize
from app.core.memory.weights import Storing, nf4_bytes, quantizes
from app.core.run import Quantization, Run

FULL = 4
CHECKPOINT = 2
"""Bytes of a value as the checkpoint holds it."""
READING = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel")
"""Kernels that take a weight as it is."""
PACKED = (Quantization.NF4, Quantization.INT8)


def merging_bytes(run: Run, adapter: Adapter) -> int:
    """What lives beside weights, adapter and states while the largest weight is merged."""
    if not run.relora:
        return 0
    sizes = [row.module.weight_parameters for row in adapter.modules if row.lora_a_parameters]
    itemsize = factor_itemsize(run)
    if run.quantization in PACKED:
        return max(sizes, default=0) * max(2 * itemsize, CHECKPOINT + itemsize + FULL)
    pairs = zip(sizes, [*sizes[-1:], *sizes[:-1]], strict=True)
    return itemsize * max([2 * size + before for size, before in pairs], default=0)


def unpacked_bytes(architecture: Architecture, run: Run, adapter: Adapter, kernels: frozenset[str]) -> int:
    """By how much weights that were packed are larger from the first restart on.

    Where Axolotl's ``kernels`` do not read them all, that restart is the run's end, and they are packed until then.
    """
    storing = Storing.of(run)
    if not run.relora or run.quantization is not Quantization.NF4 or not kernels.issuperset(READING):
        return 0
    found = 0
    for row in adapter.modules:
        if row.lora_a_parameters and quantizes(architecture, row.module, storing):
            elements = row.module.weight_parameters
            found += row.copies * (FULL * elements - nf4_bytes(elements, nested=run.double_quantization))
    return found
