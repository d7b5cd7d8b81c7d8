"""Weights: what the base model and the adapter occupy between steps.

Dtypes are those that Axolotl 0.19's ``loaders/model.py`` leaves behind: bf16 under ``bf16: auto``; with full
fine-tuning and attention unset, sdpa or eager, embeddings, output head and norms in fp32; NF4 and LLM.int8 from
bitsandbytes 0.50, which never quantise embeddings, head or fused 3-D experts.
"""

from functools import lru_cache

from app.core.architecture import Architecture, Kind, Module
from app.core.run import Loss, Method, Quantization, Run
from app.core.units import ceil_div

NF4_BLOCK = 64
NF4_NESTED_BLOCK = 256
NF4_CODE_BYTES = (16 + 256) * 4 + 4
"""Per weight: the 16-entry code, the 256-entry nested code and the fp32 offset."""


def nf4_bytes(parameters: int) -> int:
    """One NF4 weight with double quantisation: half a byte each, one byte of absmax per 64, fp32 per 256 of those.

    Source: bitsandbytes 0.50, ``functional.quantize_4bit`` with ``compress_statistics``; QLoRA, arXiv:2305.14314.
    """
    blocks = ceil_div(parameters, NF4_BLOCK)
    return ceil_div(parameters, 2) + blocks + 4 * ceil_div(blocks, NF4_NESTED_BLOCK) + NF4_CODE_BYTES


def int8_bytes(out_features: int, parameters: int) -> int:
    """One LLM.int8 weight: a byte each and one fp32 scale per output row."""
    return parameters + 4 * out_features


def fp32_residual(run: Run) -> bool:
    """Whether embeddings and norms stay fp32, which makes the residual stream fp32.

    Source: Axolotl 0.19, ``ModelLoader._configure_embedding_dtypes``.
    """
    return run.method is Method.FULL and not run.attention_set and run.loss is not Loss.CUT_CROSS_ENTROPY


def module_bytes(module: Module, quantization: Quantization, *, fp32_ends: bool) -> int:
    """All instances of one row of the base model; ``fp32_ends`` is ``fp32_residual``."""
    if module.kind in (Kind.LINEAR, Kind.CONV1D):
        bias = 2 * module.copies * module.bias_parameters
        match quantization:
            case Quantization.NF4 if module.kind is Kind.LINEAR:
                return module.copies * nf4_bytes(module.weight_parameters) + bias
            case Quantization.INT8 if module.kind is Kind.LINEAR:
                return module.copies * int8_bytes(module.shape[-1], module.weight_parameters) + bias
            case Quantization.FP32_UPCAST:
                return 4 * module.parameters
    if module.kind in (Kind.EMBEDDING, Kind.HEAD, Kind.NORM) and fp32_ends:
        return 4 * module.parameters
    return 2 * module.parameters


def base_bytes(architecture: Architecture, run: Run) -> int:
    """The base model, frozen or trained."""
    return _base_bytes(architecture, run.quantization, fp32_residual(run))


@lru_cache(maxsize=1024)
def _base_bytes(architecture: Architecture, quantization: Quantization, fp32_ends: bool) -> int:
    return sum(module_bytes(module, quantization, fp32_ends=fp32_ends) for module in architecture.modules)
