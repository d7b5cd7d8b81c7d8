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
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from app.core.architecture import Architecture, Kind, Module, Packing, Part
from app.core.coverage import QUANTIZED_HEADS, QUANTIZED_HEADS_IN_8_BITS
from app.core.kept import kept
from app.core.memory.pieces import Piece, total
from app.core.run import Loss, Method, Quantization, Run, is_plain
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


def _filled(copies: int, pieces: Iterable[Piece], tables: int = 0) -> tuple[Piece, ...]:
    """Buffers of so many weights, each filled up to the allocator's steps, and tables of one step each."""
    found, filling = [], 0
    for code, times, values, each in pieces:
        found.append((code, times, copies * values, each))
        size = times * values * each
        filling += round_up(size, GRANULE) - size
    return *found, ("tables", 1, copies * tables, GRANULE), ("filling", 1, copies * filling, 1)


def nf4_pieces(parameters: int, *, nested: bool = True, copies: int = 1) -> tuple[Piece, ...]:
    """NF4 weights: half a byte each and its statistics, fp32 per block of 64 or a byte with double quantisation.

    Source: bitsandbytes 0.50, ``functional.quantize_4bit`` with ``compress_statistics``; QLoRA, arXiv:2305.14314.
    """
    blocks = ceil_div(parameters, NF4_BLOCK)
    codes = ("halves", 1, ceil_div(parameters, 2), 1)
    if not nested:
        return _filled(copies, (codes, ("scales", 1, blocks, 4)), tables=1)
    nesting = ("nested_scales", 1, ceil_div(blocks, NF4_NESTED_BLOCK), 4)
    return _filled(copies, (codes, ("scales", 1, blocks, 1), nesting), tables=2)


def nf4_bytes(parameters: int, *, nested: bool = True) -> int:
    """One of them."""
    return total(nf4_pieces(parameters, nested=nested))


def int8_pieces(out_features: int, parameters: int, *, copies: int = 1) -> tuple[Piece, ...]:
    """LLM.int8 weights: a byte each and one fp32 scale per output row."""
    return ("values", 1, copies * parameters, 1), ("row_scales", 1, copies * out_features, 4)


def gptq_pieces(inputs: int, outputs: int, packing: Packing, *, bias: int = 0, copies: int = 1) -> tuple[Piece, ...]:
    """GPTQ weights: packed words, a zero point and an fp16 scale for each group and output, each row's group.

    And a table of shifts. Source: gptqmodel 7, ``GPTQQuantLinear._register_gptq_buffers``.
    """
    groups = ceil_div(inputs, packing.group_size if packing.group_size > 0 else inputs)
    pieces = (
        ("words", 1, outputs * ceil_div(inputs * packing.bits, 8 * WORD_BYTES), WORD_BYTES),
        ("zeros", 1, groups * ceil_div(outputs * packing.bits, 8 * WORD_BYTES), WORD_BYTES),
        ("scales", 1, groups * outputs, 2),
        ("row_groups", 1, inputs, WORD_BYTES),
        ("values", 1, bias, 2),
    )
    return _filled(copies, pieces, tables=1)


def gptq_bytes(inputs: int, outputs: int, packing: Packing) -> int:
    """One of them."""
    return total(gptq_pieces(inputs, outputs, packing))


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
    if architecture.model_type in TYPED_ROUTERS and module.name == "router":
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
    beginnings = _beginnings(patterns)
    return sum(name.endswith(patterns) or any(one.match(name) for one in beginnings) for name in names)


@lru_cache(maxsize=64)
def _beginnings(patterns: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """What a path may begin with: one for all that are no more than names."""
    plain = [name for name in patterns if is_plain(name)]
    others = (re.compile(one) for one in patterns if not is_plain(one))
    return (*([re.compile("|".join(plain))] if plain else ()), *others)


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


def module_pieces(architecture: Architecture, module: Module, storing: Storing) -> tuple[Piece, ...]:
    """All instances of one row of the base model."""
    itemsize, copies, parameters = stored(architecture, module, storing), module.copies, module.weight_parameters
    bias = ("values", 1, copies * module.bias_parameters, itemsize)
    if module.kind is Kind.EXPERTS and storing.experts is not Quantization.NONE:
        if storing.experts is Quantization.NF4:
            return *nf4_pieces(parameters, copies=copies), bias
        return *int8_pieces(parameters // module.shape[1], parameters, copies=copies), bias
    if not quantizes(architecture, module, storing):
        return (("values", 1, module.parameters, itemsize),)
    apart = left_out(module, storing)
    if apart:  # some layers of the row are, some are not
        layers = module.layers or ()
        some = [replace(module, layers=layers[:apart]), replace(module, layers=layers[apart:])]
        rest = module_pieces(architecture, some[1], replace(storing, unquantized=()))
        return ("values", 1, some[0].parameters, itemsize), *rest
    if storing.quantization is Quantization.GPTQ:
        inputs, outputs = module.shape
        packing = architecture.packing or Packing()
        return gptq_pieces(inputs, outputs, packing, bias=module.bias_parameters, copies=copies)
    if storing.quantization is Quantization.NF4:
        return *nf4_pieces(parameters, nested=storing.double_quantization, copies=copies), bias
    return *int8_pieces(module.shape[-1], parameters, copies=copies), bias


def module_bytes(architecture: Architecture, module: Module, storing: Storing) -> int:
    """Bytes of all of them."""
    return total(module_pieces(architecture, module, storing))


def base_bytes(architecture: Architecture, storing: Storing) -> int:
    """The base model, frozen or trained."""
    return kept(architecture, storing, lambda: total(base_pieces(architecture, storing)))


def base_pieces(architecture: Architecture, storing: Storing) -> tuple[Piece, ...]:
    """The base model, row by row, and the tables of its tower."""
    rows = [piece for module in architecture.modules for piece in module_pieces(architecture, module, storing)]
    return *rows, ("places", 1, architecture.place_values, 4)
