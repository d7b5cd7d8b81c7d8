"""Rules about switches that change how a step computes: types without autocast, layers by turns, tiles.

Sources: Axolotl 0.19.0 ``loaders/model.py`` (``_configure_embedding_dtypes``), ``core/builders/base.py``
(``_configure_precision_settings``), ``utils/callbacks/lisa.py``, ``monkeypatch/tiled_mlp``.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.core.adapter import resolve_adapter
from app.core.architecture import Architecture, Part
from app.core.axolotl.lora_kernels import fuses
from app.core.axolotl.reading import as_read
from app.core.axolotl.subject import Rule, Subject, fails, info, misleads
from app.core.coverage import NO_GENERIC_MLP, NO_TILED_MLP, OTHER_MLP
from app.core.errors import InvalidInput
from app.core.findings import Finding, Fix
from app.core.memory.forms import kernels_of, layer_specs
from app.core.memory.lengths import row_tokens
from app.core.memory.norms import Norm
from app.core.memory.rows import norm_form
from app.core.memory.tiles import TILE_TOKENS, tiles_of
from app.core.memory.weights import fp32_residual
from app.core.run import Quantization, Run

LISA_LAYERS = "model.layers"
"""Where LISA looks for the layers, unless ``lisa_layers_attribute`` says otherwise."""
MLP_KERNEL = "lora_mlp_kernel"


def weights_type_alone(subject: Subject) -> Iterator[Finding]:
    """``float16`` without autocast multiplies what is stored as it is stored: in full fine-tuning that is two types."""
    if not subject.flag("float16") or subject.on("adapter"):
        return
    run = as_read(subject)
    if run is not None and not run.autocast and fp32_residual(run):
        bf16 = subject.hardware is None or subject.hardware.bf16
        fix = Fix(set={"bf16": True} if bf16 else {"bf16": False, "fp16": False}, unset=("float16",))
        yield fails("float16_residual", "float16", fix=fix)


def lisa(subject: Subject) -> Iterator[Finding]:
    """Layers that train by turns: found by a path, of the model itself; their states stay."""
    if not subject.on("lisa_n_layers") or not subject.on("lisa_step_interval"):
        return
    fix = Fix(unset=("lisa_n_layers", "lisa_step_interval"))
    if subject.on("rl"):
        yield misleads("lisa_rl", "lisa_n_layers", fix=replace(fix, safe=True))
        return
    if subject.on("adapter"):
        yield fails("lisa_adapter", "lisa_n_layers", fix=fix)
        return
    if subject.architecture is None:
        return
    given = subject.text("lisa_layers_attribute") or LISA_LAYERS
    found = _path_of_layers(subject.architecture)
    if found is not None and given != found:
        fix = Fix(set={"lisa_layers_attribute": found}, safe=True)
        yield fails("lisa_layers", "lisa_layers_attribute", fix=fix, given=given[:80], found=found)
    layers = subject.architecture.num_layers
    if (subject.number("lisa_n_layers") or 0) > layers:
        yield fails("lisa_many", "lisa_n_layers", layers=layers)
    yield info("lisa_states", "lisa_n_layers")


def _path_of_layers(architecture: Architecture) -> str | None:
    """The language model's stack, as a path below the model."""
    rows = (module for module in architecture.modules if module.part is Part.TEXT and module.layers is not None)
    first = next(rows, None)
    return first.path.partition(".{}")[0] if first is not None else None


def tiled_mlp(subject: Subject) -> Iterator[Finding]:
    """Tiles of a feed-forward: where there is none to patch, where the tiles of several rows are mixed up, or one.

    With ``use_scattermoe`` the patch takes a mixture's blocks in the place of its feed-forwards.
    """
    known = subject.architecture
    if not subject.flag("tiled_mlp"):
        return
    scattered = subject.flag("use_scattermoe") and (known is None or known.mixture_of_experts)
    if subject.model_type in NO_TILED_MLP and not scattered:
        yield fails("tiled_mlp_type", "tiled_mlp", fix=Fix(unset=("tiled_mlp",), safe=True))
        return
    run = as_read(subject)
    if run is None:
        return
    if _feeds_fp32(run, known):
        yield fails("tiled_mlp_types", "tiled_mlp", fix=Fix(unset=("tiled_mlp",)))
    fused = _fused(run, known)
    if run.tiles_compiled and not fused and not scattered:
        yield from _generic(subject)
    if fused:
        yield misleads("tiled_mlp_kernel", "tiled_mlp", fix=Fix(unset=("tiled_mlp",), safe=True))
    elif tiles_of(run, row_tokens(run)) <= 1:
        yield info("tiled_mlp_one", "tiled_mlp_num_shards", tokens=TILE_TOKENS)
    elif run.micro_batch_size > 1 and not run.one_row:
        fix = Fix(set={"micro_batch_size": 1})
        yield misleads("tiled_mlp_rows", "micro_batch_size", fix=fix, rows=run.micro_batch_size)


def _generic(subject: Subject) -> Iterator[Finding]:
    """What ``tiled_mlp_use_original_mlp: false`` does to a model whose own forward is not the generic one."""
    key = "tiled_mlp_use_original_mlp"
    if subject.model_type in NO_GENERIC_MLP:
        yield fails("tiled_mlp_generic", key, fix=Fix(set={key: True}, safe=True))
    elif subject.model_type in OTHER_MLP:
        yield misleads("tiled_mlp_other", key, fix=Fix(set={key: True}))


def _fused(run: Run, known: Architecture | None) -> bool:
    """Whether the kernel takes every feed-forward that tiles would, which is where all of it has an adapter.

    Of a model that nobody knows it is not said: names tell no more than which linears were meant.
    """
    if run.lora is None or known is None:
        return False
    kernels = kernels_of(run, fused_lora=fuses(run, known.model_type))
    if MLP_KERNEL not in kernels:
        return False
    try:
        adapter = resolve_adapter(known, run)
    except InvalidInput:  # targets that are in no model: the rules on targets say so
        return False
    specs = layer_specs(known, run, adapter, fused=kernels, row_tokens=row_tokens(run))
    found = [spec.feed_forward.fused for spec in specs if spec.feed_forward is not None]
    return bool(found) and all(found)


def _feeds_fp32(run: Run, known: Architecture | None) -> bool:
    """Whether feed-forwards read fp32 while their weights are in 16 bits, which nothing but autocast makes one.

    So it is in full fine-tuning whose norms stay in fp32, and with layer norms, which autocast computes in fp32. A
    packed base casts what it reads.
    """
    if not run.half or run.quantization is not Quantization.NONE:
        return False
    if fp32_residual(run):
        return True
    layered = known is not None and any(norm_form(known, block) is Norm.LAYER for block in known.blocks)
    return run.autocast and layered


STEP_RULES: tuple[Rule, ...] = (weights_type_alone, lisa, tiled_mlp)
