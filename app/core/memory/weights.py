"""Weights: what the base model and the adapter occupy between steps.

Dtypes are those that Axolotl 0.19's ``loaders/model.py`` leaves behind: bf16 under ``bf16: auto``; with full
fine-tuning and attention unset, sdpa or eager, embeddings, output head and norms in fp32; NF4 and LLM.int8 from
bitsandbytes 0.50, which never quantise embeddings, most heads or fused 3-D experts. ``quantize_moe_experts`` quantises
the last (Axolotl 0.19, ``monkeypatch/moe_quant.py``), with double quantisation whatever ``bnb_config_kwargs`` says.
PEFT's k-bit preparation (``prepare_model_for_kbit_training``) casts whatever is not quantised to fp32, and Axolotl
casts back what it knows by name: norms, embeddings and head. A GPTQ checkpoint keeps its words, scales and biases as
they were saved, whatever the model loads in (gptqmodel 7, ``nn_modules/qlinear``), and no preparation touches it.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from app.core.architecture import Architecture, Kind, Module, Packing, Part
from app.core.axolotl.coverage import QUANTIZED_HEADS, QUANTIZED_HEADS_IN_8_BITS
from app.core.kept import kept
from app.core.run import Loss, Method, Quantization, Run
from app.core.units import ceil_div, round_up

NF4_BLOCK = 64
NF4_NESTED_BLOCK = 256
WORD_BYTES = 4
"""GPTQ packs its weights into int32."""
GRANULE = 512
"""PyTorch's caching allocator hands out memory in these steps."""
EMBEDDING_NAMES = {
    "gpt_neox": ("embed_in", "embed_out"),
    "falcon": ("word_embeddings", "lm_head"),
    "nemotron_h": ("embeddings", "lm_head"),
}
"""What Axolotl casts by name, where it does not look for ``embed_tokens`` (``get_linear_embedding_layers``)."""
UNTYPED_LINEARS = frozenset(("falcon",))
"""Model types whose linears are of a class of their own, which bitsandbytes' integration passes over."""
TYPED_ROUTERS = frozenset(("llama4", "llama4_text", "phimoe"))
"""Whose router alone is."""
K_BIT = frozenset((Quantization.NF4, Quantization.INT8, Quantization.FP32_UPCAST))


def nf4_bytes(parameters: int, *, nested: bool = True) -> int:
    """One NF4 weight: half a byte each and its statistics, fp32 per block of 64 or a byte with double quantisation.

    Source: bitsandbytes 0.50, ``functional.quantize_4bit`` with ``compress_statistics``; QLoRA, arXiv:2305.14314.
    """
    blocks = ceil_div(parameters, NF4_BLOCK)
    packed = round_up(ceil_div(parameters, 2), GRANULE) + GRANULE
    if not nested:
        return packed + round_up(4 * blocks, GRANULE)
    return packed + round_up(blocks, GRANULE) + round_up(4 * ceil_div(blocks, NF4_NESTED_BLOCK), GRANULE) + GRANULE


def int8_bytes(out_features: int, parameters: int) -> int:
    """One LLM.int8 weight: a byte each and one fp32 scale per output row."""
    return parameters + 4 * out_features


def gptq_bytes(inputs: int, outputs: int, packing: Packing) -> int:
    """One GPTQ weight: packed words, a zero point and an fp16 scale for each group and output, each row's group.

    And a table of shifts. Source: gptqmodel 7, ``GPTQQuantLinear._register_gptq_buffers``.
    """
    groups = ceil_div(inputs, packing.group_size if packing.group_size > 0 else inputs)
    words = WORD_BYTES * outputs * ceil_div(inputs * packing.bits, 8 * WORD_BYTES)
    zeros = WORD_BYTES * groups * ceil_div(outputs * packing.bits, 8 * WORD_BYTES)
    parts = (words, zeros, 2 * groups * outputs, WORD_BYTES * inputs)
    return sum(round_up(part, GRANULE) for part in parts) + GRANULE


def fp32_residual(run: Run) -> bool:
    """Whether embeddings and norms stay fp32, which makes the residual stream fp32.

    Source: Axolotl 0.19, ``ModelLoader._configure_embedding_dtypes``.
    """
    return run.method is Method.FULL and not run.attention_set and run.loss is not Loss.CUT_CROSS_ENTROPY


@dataclass(frozen=True, slots=True, kw_only=True)
class Storing:
    """All of a run that decides how the base model is stored."""

    quantization: Quantization
    half: bool
    fp32_residual: bool
    double_quantization: bool
    experts: Quantization = Quantization.NONE
    """What 3-D experts are stored in."""
    unquantized: tuple[str, ...] | None = None
    """A list of what is not to be packed, in place of Transformers' and Axolotl's own."""

    @classmethod
    def of(cls, run: Run) -> "Storing":
        """The run's."""
        return cls(
            quantization=run.quantization,
            half=run.half,
            fp32_residual=fp32_residual(run),
            double_quantization=run.double_quantization,
            experts=run.expert_quantization,
            unquantized=run.unquantized,
        )


def quantizes(architecture: Architecture, module: Module, storing: Storing) -> bool:
    """Whether bitsandbytes stores this row: linears of PyTorch's own class, and a head that no list protects.

    Axolotl's own list for Falcon-H1 names ``out_proj``, which its scan reads by itself.
    """
    if storing.quantization is Quantization.GPTQ:
        return packed(architecture, module)
    if storing.quantization not in (Quantization.NF4, Quantization.INT8):
        return False
    if storing.unquantized is not None:
        packs = module.kind in (Kind.LINEAR, Kind.CONV1D) and architecture.model_type not in UNTYPED_LINEARS
        packs = packs or (module.kind is Kind.HEAD and module.tied_to is None)
        return packs and left_out(module, storing) < module.copies
    if module.kind is Kind.HEAD:
        heads = QUANTIZED_HEADS if storing.quantization is Quantization.NF4 else QUANTIZED_HEADS_IN_8_BITS
        return module.tied_to is None and architecture.model_type in heads
    if architecture.model_type in QUANTIZED_HEADS and module.name == "out_proj":
        return False
    if architecture.model_type in TYPED_ROUTERS and module.name == "router":
        return False
    return module.kind in (Kind.LINEAR, Kind.CONV1D) and architecture.model_type not in UNTYPED_LINEARS


def left_out(module: Module, storing: Storing) -> int:
    """Of how many layers a list of a person's own keeps this row from being packed.

    Source: Transformers 5.16.1, ``quantizers_utils.should_convert_module``: what a pattern matches the beginning of, or
    what ends with it. The list replaces the usual one, on which the head stands (``get_modules_to_not_convert``).
    """
    return _left_out(module.path, module.layers, storing.unquantized or ())


@lru_cache(maxsize=4096)
def _left_out(path: str, layers: tuple[int, ...] | None, patterns: tuple[str, ...]) -> int:
    names = [path] if layers is None else [path.replace("{}", str(layer), 1) for layer in layers]
    return sum(any(re.match(one, name) or name.endswith(one) for one in patterns) for name in names)


def packed(architecture: Architecture, module: Module) -> bool:
    """Whether GPTQ stores this row: linears of the layers, of PyTorch's own class.

    Source: optimum 2, ``gptq/utils.py``, ``get_layers``.
    """
    inside = module.layers is not None and module.part is Part.TEXT
    return inside and module.kind in (Kind.LINEAR, Kind.CONV1D) and architecture.model_type not in UNTYPED_LINEARS


def prepared(architecture: Architecture, storing: Storing) -> bool:
    """Whether PEFT's k-bit preparation has cast to fp32 what is not quantised: not where experts are quantised.

    Source: Axolotl 0.19, ``ModelLoader._prepare_model_for_quantization``.
    """
    experts = storing.experts is not Quantization.NONE and any(block.experts for block in architecture.blocks)
    return storing.quantization in K_BIT and not experts


def stored(architecture: Architecture, module: Module, storing: Storing) -> int:
    """Bytes of a stored value of a row that is not quantised."""
    if not storing.half:
        return 4
    known = EMBEDDING_NAMES.get(architecture.model_type, ("embed_tokens", "lm_head"))
    named = "norm" in module.path or any(name in module.path for name in known)
    if module.kind is Kind.EMBEDDING and not named:  # cast along with the head that shares it
        heads = (row.path for row in architecture.modules if row.tied_to == module.path)
        named = any(name in path for path in heads for name in known)
    if named:
        return 4 if storing.fp32_residual else 2
    gate = module.path.endswith(".gate") and module.kind in (Kind.LINEAR, Kind.ROUTER)
    return 4 if gate or prepared(architecture, storing) else 2


def module_bytes(architecture: Architecture, module: Module, storing: Storing) -> int:
    """All instances of one row of the base model."""
    itemsize = stored(architecture, module, storing)
    bias = itemsize * module.copies * module.bias_parameters
    if module.kind is Kind.EXPERTS and storing.experts is not Quantization.NONE:
        if storing.experts is Quantization.NF4:
            return module.copies * nf4_bytes(module.weight_parameters) + bias
        rows = module.weight_parameters // module.shape[1]
        return module.copies * int8_bytes(rows, module.weight_parameters) + bias
    if not quantizes(architecture, module, storing):
        return itemsize * module.parameters
    apart = left_out(module, storing)
    if apart:  # some layers of the row are, some are not
        layers = module.layers or ()
        some = [replace(module, layers=layers[:apart]), replace(module, layers=layers[apart:])]
        rest = module_bytes(architecture, some[1], replace(storing, unquantized=()))
        return itemsize * some[0].parameters + rest
    if storing.quantization is Quantization.GPTQ:
        inputs, outputs = module.shape
        weight = gptq_bytes(inputs, outputs, architecture.packing or Packing())
        return module.copies * (weight + round_up(2 * module.bias_parameters, GRANULE))
    if storing.quantization is Quantization.NF4:
        return module.copies * nf4_bytes(module.weight_parameters, nested=storing.double_quantization) + bias
    return module.copies * int8_bytes(module.shape[-1], module.weight_parameters) + bias


def base_bytes(architecture: Architecture, storing: Storing) -> int:
    """The base model, frozen or trained."""
    return kept(architecture, storing, lambda: _base_bytes(architecture, storing))


def _base_bytes(architecture: Architecture, storing: Storing) -> int:
    return sum(module_bytes(architecture, module, storing) for module in architecture.modules)
