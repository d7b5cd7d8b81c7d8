"""Rules about switches that change how a step computes: types without autocast, layers by turns, tiles.

Sources: Axolotl 0.19.0 ``loaders/model.py`` (``_configure_embedding_dtypes``), ``core/builders/base.py``
(``_configure_precision_settings``), ``utils/callbacks/lisa.py``, ``monkeypatch/tiled_mlp``.
"""

from collections.abc import Iterator
from dataclasses import replace

from app.core.architecture import Architecture, Part
from app.core.axolotl.coverage import NO_TILED_MLP
from app.core.axolotl.subject import Rule, Subject, fails, info, misleads
from app.core.findings import Finding, Fix
from app.core.memory.norms import Norm
from app.core.memory.rows import norm_form
from app.core.memory.tiles import TILE_TOKENS
from app.core.run import CCE_PLUGIN, LORA_KERNEL_KEYS

OFF = (False, None, "false")
RESIDUAL_IN_FP32 = ("", "sdpa", "eager")
"""Values of ``attn_implementation`` under which full fine-tuning leaves norms and embeddings in fp32."""
OTHER_ATTENTION = ("flash_attention", "flex_attention", "xformers_attention", "sage_attention")
LISA_LAYERS = "model.layers"
"""Where LISA looks for the layers, unless ``lisa_layers_attribute`` says otherwise."""


def weights_type_alone(subject: Subject) -> Iterator[Finding]:
    """``float16`` without autocast multiplies what is stored as it is stored: in full fine-tuning that is two types."""
    mixed = subject.config.get("bf16", "auto") not in OFF or subject.flag("fp16") or subject.flag("bfloat16")
    if mixed or not subject.flag("float16") or subject.on("adapter"):
        return
    if _residual_in_fp32(subject):
        bf16 = subject.hardware is None or subject.hardware.bf16
        fix = Fix(set={"bf16": True} if bf16 else {"bf16": False, "fp16": False}, unset=("float16",))
        yield fails("float16_residual", "float16", fix=fix)


def _residual_in_fp32(subject: Subject) -> bool:
    """Whether attention is one of those that take no lengths, and no types either."""
    return subject.text("attn_implementation") in RESIDUAL_IN_FP32 and not any(map(subject.flag, OTHER_ATTENTION))


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
    """Tiles of a feed-forward: where there is none to patch, where the tiles of several rows are mixed up, or one."""
    if not subject.flag("tiled_mlp"):
        return
    if subject.model_type in NO_TILED_MLP:
        yield fails("tiled_mlp_type", "tiled_mlp", fix=Fix(unset=("tiled_mlp",), safe=True))
        return
    if _feeds_fp32(subject):
        yield fails("tiled_mlp_types", "tiled_mlp", fix=Fix(unset=("tiled_mlp",)))
    kernels = any(subject.config.get(key) is not None for key in LORA_KERNEL_KEYS)
    fused = subject.flag("lora_mlp_kernel") if kernels else not subject.on("load_in_8bit")
    if subject.lora and fused and not subject.on("rl"):
        yield misleads("tiled_mlp_kernel", "tiled_mlp", fix=Fix(unset=("tiled_mlp",), safe=True))
        return
    shards, tokens = subject.number("tiled_mlp_num_shards"), subject.number("sequence_len") or 0
    rows = subject.number("micro_batch_size") or 1
    one = subject.flag("sample_packing") and not _residual_in_fp32(subject)
    tiles = shards or -(-(tokens * (rows if one else 1)) // TILE_TOKENS)
    if tiles <= 1:
        yield info("tiled_mlp_one", "tiled_mlp_num_shards", tokens=TILE_TOKENS)
    elif rows > 1 and not one:
        fix = Fix(set={"micro_batch_size": 1})
        yield misleads("tiled_mlp_rows", "micro_batch_size", fix=fix, rows=int(rows))


def _feeds_fp32(subject: Subject) -> bool:
    """Whether feed-forwards read fp32 while their weights are in 16 bits, which nothing but autocast makes one.

    So it is in full fine-tuning whose norms stay in fp32, and with layer norms, which autocast computes in fp32.
    """
    if subject.on("load_in_4bit") or subject.on("load_in_8bit"):
        return False
    if not subject.on("adapter") and _residual_in_fp32(subject) and CCE_PLUGIN not in subject.names("plugins"):
        return True
    known = subject.architecture
    return known is not None and any(norm_form(known, block) is Norm.LAYER for block in known.blocks)


STEP_RULES: tuple[Rule, ...] = (weights_type_alone, lisa, tiled_mlp)
