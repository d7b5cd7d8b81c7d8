"""The transient while a model loads: embeddings, head and norms in fp32 before they go back to 16 bits.

Axolotl 0.19's ``ModelLoader._configure_embedding_dtypes`` casts them up whatever trains and back where an adapter, the
attention or cut cross entropy want it, and PEFT's ``prepare_model_for_kbit_training`` does it to all that is not
quantised; ``embeddings_skip_upcast`` leaves embeddings and head out on a 4-bit base. No part of a step: it has to fit
all the same.
"""

from dataclasses import replace

from app.core.architecture import Architecture, Kind
from app.core.memory.weights import Storing, base_bytes
from app.core.run import Quantization, Run


def load_bytes(architecture: Architecture, run: Run) -> int:
    """Weights at their widest, and the one being cast once more."""
    storing = Storing.of(run)
    if run.embeddings_skip_upcast and run.quantization is Quantization.NF4:
        return base_bytes(architecture, storing)
    kinds = (Kind.EMBEDDING, Kind.HEAD)
    original = max((m.weight_parameters for m in architecture.modules if m.kind in kinds), default=0)
    return base_bytes(architecture, replace(storing, fp32_residual=True)) + run.itemsize * original
