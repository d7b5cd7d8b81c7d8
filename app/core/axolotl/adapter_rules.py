"""Rules about the adapter: what trains, on which modules, over what kind of base. One function, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``loaders/adapter.py``, ``monkeypatch/lora_kernels.py``; PEFT
0.20.0 ``tuners/lora``. What only shows at run time was run there.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from app.core.architecture import Architecture, Kind
from app.core.axolotl.composing import unpacking
from app.core.axolotl.lora_kernels import on_by_themselves
from app.core.axolotl.reading import as_read
from app.core.axolotl.renamed import OTHER_TOOLS
from app.core.axolotl.subject import LORA_ADAPTERS, Row, Rule, Subject, fails, info, misleads, rejected
from app.core.axolotl.target_rules import usual_targets
from app.core.coverage import (
    LORA_KERNELS,
    LORA_KERNELS_AFTER_LAYER_NORM,
    QUANTIZED_HEADS,
    QUANTIZED_HEADS_IN_8_BITS,
)
from app.core.findings import Effect, Finding, Fix
from app.core.hardware import Vendor
from app.core.memory.checkpointing import as_checkpointed
from app.core.memory.offloading import hooks_see_layers
from app.core.memory.weights import Storing, left_out
from app.core.methods.settings import VIRTUAL_TOKENS, PeftType
from app.core.nearest import nearest
from app.core.run import LORA_KERNEL_KEYS, SKIP_MODULES, Checkpointing, many_patterns
from app.core.values import FALSE_WORDS, TRUE_WORDS

INITIALISATIONS = ("gaussian", "olora", "pissa", "loftq", "orthogonal", "mica")
"""Source: ``LoraConfig.init_lora_weights`` of PEFT 0.20.0, without those that need a step before training."""
MEANT_ADAPTERS: Mapping[str, Mapping[str, Any]] = {
    "lora": {"adapter": "lora"},
    "qlora": {"adapter": "qlora"},
    "dora": {"adapter": "lora", "peft_use_dora": True},
    "qdora": {"adapter": "qlora", "load_in_4bit": True, "peft_use_dora": True},
    "rslora": {"adapter": "lora", "peft_use_rslora": True},
    **{name: {} for name in ("none", "full", "fft", "fullfinetune", "fullfinetuning")},
}
"""What a name of no adapter of Axolotl's says all the same, by its letters; nothing where it says full fine-tuning."""
REPLACING = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel")
"""Kernels that read a weight themselves, packed or not; on where none is set."""
ALONE = ("lora_r", "lora_target_modules", "lora_target_linear", "peft_use_dora", "relora", "loraplus_lr_ratio")
NOT_AXOLOTLS = "adapter_not_axolotl"
"""Said of an adapter as a configuration names it; files to take along can bring it."""
NEAREST_NATIVE = {PeftType.LN_TUNING: "unfrozen_parameters"}
"""What Axolotl has itself in place of a method, where that is not LoRA."""


def adapter_name(subject: Subject) -> Iterator[Finding]:
    """Axolotl builds lora and qlora; other adapters need a plugin."""
    adapter = subject.config.get("adapter")
    if adapter == "llama-adapter":
        yield fails("llama_adapter", "adapter", fix=Fix(set={"adapter": "lora"}))
    elif adapter == "mora" and "mora" in subject.listed_plugins:
        return
    elif adapter and adapter not in LORA_ADAPTERS and not subject.own_plugins:
        meant = MEANT_ADAPTERS.get(str(adapter).strip().lower().replace("-", "").replace("_", ""))
        fix = None
        if meant is not None:
            fix = Fix(set=meant, safe=True) if meant else Fix(unset=("adapter",), safe=True)
        yield rejected(NOT_AXOLOTLS, "adapter", fix=fix, given=str(adapter)[:100], allowed=LORA_ADAPTERS)
        if adapter in tuple(PeftType):
            native = NEAREST_NATIVE.get(PeftType(str(adapter)), "adapter: lora")
            code = "adapter_by_script" if adapter == PeftType.BOTTLENECK else "adapter_by_export"
            yield info(code, "adapter", given=str(adapter), nearest=native)


def virtual_tokens_packed(subject: Subject) -> Iterator[Finding]:
    """A prompt stands before each packed row once, not before each sample in it."""
    if subject.text("adapter") in VIRTUAL_TOKENS and subject.on("sample_packing"):
        yield misleads("virtual_tokens_packed", "sample_packing", fix=Fix(set={"sample_packing": False}))


def lora_in_4bit(subject: Subject) -> Iterator[Finding]:
    """Only qlora builds the 4-bit configuration; under lora the flag casts every linear to fp32."""
    if subject.text("adapter") == "lora" and subject.on("load_in_4bit"):
        yield misleads("lora_load_in_4bit", "load_in_4bit", fix=Fix(set={"adapter": "qlora"}))


def qlora_bits(subject: Subject) -> Iterator[Finding]:
    """QLoRA wants 4 bits and nothing else."""
    if subject.text("adapter") != "qlora":
        return
    if subject.flag("gptq"):
        yield rejected("qlora_gptq", "gptq", fix=Fix(set={"adapter": "lora"}))
    if subject.flag("merge_lora"):
        if any(map(subject.flag, ("load_in_4bit", "load_in_8bit"))):
            yield rejected("merge_quantized", "merge_lora", fix=Fix(unset=("merge_lora",), safe=True))
    elif subject.flag("load_in_8bit"):
        yield rejected(
            "qlora_8bit", "load_in_8bit", fix=Fix(set={"load_in_4bit": True}, unset=("load_in_8bit",), safe=True)
        )
    elif not subject.flag("load_in_4bit"):
        yield rejected("qlora_needs_4bit", "load_in_4bit", fix=Fix(set={"load_in_4bit": True}, safe=True))


def quantized_full(subject: Subject) -> Iterator[Finding]:
    """A quantised base cannot train by itself."""
    for key in ("load_in_4bit", "load_in_8bit"):
        if subject.on(key) and not subject.on("adapter") and not subject.on("inference"):
            yield rejected("quantized_full", key, key=key)


def lora_needs(subject: Subject) -> Iterator[Finding]:
    """PEFT has no default for rank and alpha in Axolotl, and none for targets of most architectures."""
    if not subject.lora or subject.on("lora_model_dir"):
        return
    if subject.config.get("lora_r") is None:
        yield fails("lora_r_missing", "lora_r", fix=_otherwise(subject, "lora_r") or Fix(set={"lora_r": 16}, safe=True))
    if subject.config.get("lora_alpha") is None:
        rank = subject.config.get("lora_r")
        alpha = 2 * rank if type(rank) is int else 32
        mend = _otherwise(subject, "lora_alpha") or Fix(set={"lora_alpha": alpha}, safe=True)
        yield fails("lora_alpha_missing", "lora_alpha", fix=mend)
    key = "lora_target_modules"
    if not any(map(subject.on, ("lora_target_linear", key, "lora_target_parameters"))):
        yield fails("targets_missing", "lora_target_modules", fix=_otherwise(subject, key) or usual_targets(subject))


def _otherwise(subject: Subject, key: str) -> Fix | None:
    """The key taken from what another tool calls it, where the file has that."""
    for other, ours in OTHER_TOOLS.items():
        if ours == key and subject.given(other):
            return Fix(set={key: subject.config[other]}, unset=(other,), safe=True)
    return None


def quantized_experts(subject: Subject) -> Iterator[Finding]:
    """3-D expert parameters are left alone by bitsandbytes unless told otherwise."""
    asked = subject.on("quantize_moe_experts")
    amd = subject.hardware is not None and subject.hardware.vendor is Vendor.AMD
    quantized = subject.on("load_in_4bit") or subject.on("load_in_8bit")
    if asked and subject.on("lora_target_linear"):
        yield rejected("experts_target_linear", "quantize_moe_experts")
    elif asked and not (subject.lora and quantized):
        fix = Fix(unset=("quantize_moe_experts",), safe=True)
        yield rejected("experts_unquantized_base", "quantize_moe_experts", fix=fix)
    elif asked and amd:
        # Axolotl means to refuse it, but asks whether the card's capability is called "sm_…", and its own probe
        # calls those of AMD so too (``cli/config.py``, ``gpu_capabilities``): an MI300X is "sm_94".
        yield misleads("experts_cuda", "quantize_moe_experts", fix=Fix(unset=("quantize_moe_experts",)))
    elif not asked and subject.text("adapter") == "qlora" and subject.on("load_in_4bit"):
        architecture = subject.architecture
        if architecture is not None and any(module.kind is Kind.EXPERTS for module in architecture.modules):
            helps = not amd and not subject.on("lora_target_linear")
            mend = Fix(set={"quantize_moe_experts": True}) if helps else None
            yield misleads("experts_16bit", "quantize_moe_experts", fix=mend)


def kept_experts(subject: Subject) -> Iterator[Finding]:
    """Experts in 8 bits, which a checkpoint that is not reentrant leaves unpacked where they end their layer.

    Axolotl's hook lets go of them when their forward returns; such a checkpoint leaves it by an exception, once it has
    made again what was saved (``monkeypatch/moe_quant.py``; PyTorch, ``torch/utils/checkpoint.py``).
    """
    eight = subject.lora and subject.on("load_in_8bit") and subject.on("quantize_moe_experts")
    if not eight or not subject.on("gradient_checkpointing") or subject.architecture is None:
        return
    key = "gradient_checkpointing_kwargs"
    last = any(block.experts and not block.shared_intermediate_size for block in subject.architecture.blocks)
    run = as_read(subject) if last else None
    if run is None or run.checkpointing is Checkpointing.OFF:
        return
    run = as_checkpointed(subject.architecture, run)
    if not run.reentrant and not hooks_see_layers(run):
        selective = ("selective_checkpointing",) if subject.given("selective_checkpointing") else ()
        yield misleads("experts_kept", key, fix=Fix(set={f"{key}.use_reentrant": True}, unset=selective))


def quantized_heads(subject: Subject) -> Iterator[Finding]:
    """A fused loss multiplies with the head's weight itself, which is packed where the head is quantised."""
    architecture = subject.architecture
    if architecture is None or architecture.tie_word_embeddings:
        return
    four = subject.text("adapter") == "qlora" and subject.on("load_in_4bit")
    eight = subject.text("adapter") == "lora" and subject.on("load_in_8bit")
    heads = QUANTIZED_HEADS if four else QUANTIZED_HEADS_IN_8_BITS if eight else frozenset()
    own = subject.mapping("bnb_config_kwargs").get(SKIP_MODULES) is not None
    if architecture.model_type in heads and not (four and own):
        for key in ("cut_cross_entropy", "liger_fused_linear_cross_entropy"):
            if subject.on(key):
                fix = Fix(set={"chunked_cross_entropy": True}, unset=(key,))
                yield fails("quantized_head", key, fix=fix, key=key, model_type=architecture.model_type)


def unlisted_head(subject: Subject) -> Iterator[Finding]:
    """A list of what stays unpacked replaces the usual one, on which the head stands.

    A packed head shares no weight (bitsandbytes stops at the first forward, tried) and no fused loss can read it.
    """
    architecture = subject.architecture
    if architecture is None or not subject.mapping("bnb_config_kwargs").get(SKIP_MODULES) or subject.on("reward_model"):
        return
    run = as_read(subject)
    if run is None or run.unquantized is None or many_patterns(run.unquantized):
        return
    heads = [module for module in architecture.modules if module.kind is Kind.HEAD]
    for head in heads[:1]:
        if left_out(head, Storing.of(run)):
            return
        key = f"bnb_config_kwargs.{SKIP_MODULES}"
        fix = Fix(set={key: [*run.unquantized, head.name]}, safe=True)
        if head.tied_to is not None:
            yield fails("unlisted_head_tied", key, fix=fix, head=head.name)
            return
        for loss in ("cut_cross_entropy", "liger_fused_linear_cross_entropy"):
            if subject.on(loss):
                yield fails("unlisted_head_loss", key, fix=fix, head=head.name, loss=loss)
                return
        yield info("unlisted_head", key, fix=replace(fix, safe=False), head=head.name)


def packed_checkpoint(subject: Subject) -> Iterator[Finding]:
    """What is published quantised is neither quantised a second time nor trained without being unpacked."""
    architecture = subject.architecture
    if architecture is None or not architecture.published_in:
        return
    name, form = subject.text("base_model")[:100], architecture.published_in.upper()
    if subject.on("load_in_4bit") or subject.on("load_in_8bit"):
        yield fails("packed_checkpoint", "base_model", base_model=name, form=form)
    elif subject.mapping("model_quantization_config_kwargs").get("dequantize") is not True:
        fix = Fix(set=unpacking(architecture), safe=True)
        yield fails("packed_training", "base_model", fix=fix, base_model=name, form=form)


def kernels(subject: Subject) -> Iterator[Finding]:
    """The fused LoRA kernels, on by default, do not run on every architecture, nor over 8 bits or remote code."""
    if chosen_kernels(subject) and subject.on("trust_remote_code"):
        fix = Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True)
        yield rejected("kernels_remote_code", "trust_remote_code", fix=fix)
    if not subject.lora:
        return
    chosen = chosen_kernels(subject)
    fix = Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True)
    if chosen and subject.text("adapter") == "lora" and subject.on("load_in_8bit"):
        yield rejected("kernels_8bit", "load_in_8bit", fix=fix)
    elif subject.model_type is not None and subject.model_type not in LORA_KERNELS:
        automatic = on_by_themselves(subject.config)
        if automatic or subject.on("lora_qkv_kernel") or subject.on("lora_o_kernel"):
            normed = subject.model_type in LORA_KERNELS_AFTER_LAYER_NORM
            code = "kernels_after_layer_norm" if normed else "kernels_unpatchable"
            yield fails(code, "lora_qkv_kernel", fix=fix, model_type=subject.model_type)


def chosen_kernels(subject: Subject) -> bool:
    """Whether a fused kernel that Axolotl's checks look at is switched on by name."""
    return any(subject.on(key) for key in LORA_KERNEL_KEYS if key != "lora_embedding_kernel")


def loftq(subject: Subject) -> Iterator[Finding]:
    """LoftQ initialises over a 16-bit base and leaves it in 16 bits."""
    peft = subject.config.get("peft")
    if not subject.lora or not isinstance(peft, Mapping) or not peft.get("loftq_config"):
        return
    if subject.on("load_in_4bit"):
        yield fails("loftq_in_4bit", "peft.loftq_config", fix=Fix(unset=("peft",)))
    else:
        yield info("loftq_stays_16bit", "peft.loftq_config")


def relora(subject: Subject) -> Iterator[Finding]:
    """ReLoRA needs restarts, an adapter to merge and an Adam whose state it prunes."""
    if not subject.flag("relora"):
        return
    if not subject.number("jagged_restart_steps"):
        fix = Fix(set={"jagged_restart_steps": 200}, safe=True)
        yield rejected("relora_restart", "jagged_restart_steps", fix=fix)
    if not subject.lora and not (subject.on("adapter") and subject.own_plugins):
        yield rejected("relora_adapter", "adapter", fix=Fix(unset=("relora",)))
    for key in ("deepspeed", "fsdp", "fsdp_config"):
        if subject.on(key):
            yield rejected("relora_sharded", key, key=key)
    if subject.text("lr_scheduler") == "one_cycle":
        yield rejected("relora_one_cycle", "lr_scheduler", fix=Fix(set={"lr_scheduler": "cosine"}))
    if subject.flag("flash_attn_fuse_mlp"):
        yield rejected("fused_mlp", "flash_attn_fuse_mlp", fix=Fix(unset=("flash_attn_fuse_mlp",), safe=True))
    if "adam" not in (subject.text("optimizer") or "adamw_torch_fused"):
        yield fails("relora_optimizer", "optimizer", given=subject.text("optimizer"))
    if subject.on("peft_use_dora"):
        yield misleads("relora_dora", "peft_use_dora")
    quantized = subject.on("load_in_4bit") or subject.on("load_in_8bit")
    if quantized and subject.architecture is not None and _transposed(subject.architecture):
        yield fails("relora_transposed", "relora", fix=Fix(unset=("relora",)), model_type=subject.model_type or "")
    elif subject.on("load_in_4bit"):
        given = [key for key in REPLACING if subject.given(key)]
        replaced = not given or all(subject.flag(key) for key in REPLACING)
        fix = Fix(unset=("relora",))
        yield misleads("relora_unpacked", "relora", fix=fix) if replaced else fails("relora_packed", "relora", fix=fix)


def _transposed(architecture: Architecture) -> bool:
    """Whether linears lie in the checkpoint the other way round than bitsandbytes keeps them.

    Axolotl's merge of a quantised base adds PEFT's update to the checkpoint's weight, and PEFT takes the layer for one
    that is not transposed: run on a GPT-2 with PEFT 0.20.0 and bitsandbytes 0.50.2, ``merge_and_save`` stops at weights
    that are not square. In 16 bits it asks the layer itself, and goes on.
    """
    return any(module.kind is Kind.CONV1D for module in architecture.modules)


def restart_keys(subject: Subject) -> Iterator[Finding]:
    """Keys of ReLoRA without ReLoRA."""
    if subject.flag("relora"):
        return
    for key in ("relora_prune_ratio", "relora_prune_method", "relora_cpu_offload"):
        if subject.on(key):
            yield misleads("relora_off", key, fix=Fix(set={"relora": True}), key=key)


def initialisation(subject: Subject) -> Iterator[Finding]:
    """How PEFT starts the two factors."""
    given = subject.config.get("peft_init_lora_weights")
    key = "peft_init_lora_weights"
    if given is False:
        yield misleads("init_false", key)
    if not isinstance(given, str) or given.lower() in (*TRUE_WORDS, *FALSE_WORDS) or not subject.lora:
        return
    if given in {"corda", "eva"}:
        yield (fails if given == "corda" else misleads)("init_prepared", key, given=given)
    elif given.startswith("pissa") and subject.on("load_in_4bit"):
        yield fails("init_pissa_4bit", key, fix=Fix(set={key: "olora"}))
    elif given == "loftq" and not subject.mapping("peft").get("loftq_config"):
        four = subject.on("load_in_4bit")  # where LoftQ fails on the packed weight
        loftq_fix = Fix(unset=(key,)) if four else Fix(set={"peft.loftq_config": {"loftq_bits": 4}})
        yield fails("init_loftq", key, fix=loftq_fix)
    elif given not in INITIALISATIONS and not re.fullmatch(r"pissa_niter_\d+", given):
        close = nearest(given, INITIALISATIONS, count=1)
        fix = Fix(set={key: close[0]}) if close else None
        yield fails("init_unknown", key, fix=fix, given=given[:60], allowed=INITIALISATIONS)


def dropout(subject: Subject) -> Iterator[Finding]:
    """A share, not a per cent: PyTorch refuses more than 1."""
    given = subject.number("lora_dropout")
    if given is not None and subject.lora and not 0 <= given <= 1:
        fix = Fix(set={"lora_dropout": given / 100}) if 1 < given <= 100 else None
        yield fails("dropout_share", "lora_dropout", fix=fix, given=f"{given:g}")


def rank(subject: Subject) -> Iterator[Finding]:
    """PEFT refuses a rank below 1, unless a pattern gives every module one of its own, and multiplies by alpha."""
    if not subject.lora or subject.on("lora_model_dir"):
        return
    given, alpha = subject.number("lora_r"), subject.number("lora_alpha")
    if given is not None and given <= 0 and not subject.on("lora_rank_pattern"):
        yield fails("not_positive", "lora_r", fix=Fix(set={"lora_r": 16}), key="lora_r", given=f"{given:g}")
    if alpha == 0 and not subject.on("lora_alpha_pattern"):
        yield misleads("alpha_zero", "lora_alpha", fix=Fix(set={"lora_alpha": 32}))


def adapter_keys_alone(subject: Subject) -> Iterator[Finding]:
    """Keys of an adapter that nothing builds."""
    if not subject.on("adapter"):
        keys = [key for key in ALONE if subject.on(key)]
        if keys:
            yield misleads("adapter_missing", keys[0], fix=Fix(set={"adapter": "lora"}), names=tuple(keys))


ADAPTER_RULES: tuple[Rule, ...] = (
    adapter_name,
    virtual_tokens_packed,
    lora_in_4bit,
    qlora_bits,
    quantized_full,
    lora_needs,
    quantized_experts,
    kept_experts,
    quantized_heads,
    unlisted_head,
    packed_checkpoint,
    kernels,
    loftq,
    relora,
    restart_keys,
    initialisation,
    adapter_keys_alone,
    dropout,
    rank,
    Row(
        code="groups_plus",
        key="loraplus_lr_ratio",
        when=lambda s: s.on("lr_groups") and s.on("loraplus_lr_ratio"),
    ),
    Row(
        code="layers_frozen",
        key="unfrozen_parameters",
        when=lambda s: all(map(s.on, ("adapter", "peft_layers_to_transform", "unfrozen_parameters"))),
        fix=Fix(unset=("unfrozen_parameters",)),
    ),
    Row(
        code="layers_pattern",
        key="peft_layers_pattern",
        when=lambda s: s.on("peft_layers_pattern") and not s.on("peft_layers_to_transform"),
        fix=Fix(unset=("peft_layers_pattern",)),
    ),
    Row(
        code="fused_mlp",
        key="flash_attn_fuse_mlp",
        when=lambda s: s.lora and s.flag("flash_attn_fuse_mlp") and not s.flag("relora"),
        fix=Fix(unset=("flash_attn_fuse_mlp",), safe=True),
    ),
    Row(
        code="onebit_lora",
        key="use_onebitllms",
        when=lambda s: s.lora and s.flag("use_onebitllms"),
    ),
    Row(
        code="exclude_unread",
        key="lora_exclude_modules",
        when=lambda s: s.on("lora_exclude_modules") and not s.own_plugins,
        effect=Effect.MISLEADS,
    ),
    Row(
        code="unquantized_plugin",
        key="adapter",
        when=lambda s: (
            bool(s.text("adapter"))
            and not s.lora
            and bool(s.own_plugins)
            and (s.on("load_in_4bit") or s.on("load_in_8bit"))
        ),
        effect=Effect.MISLEADS,
    ),
    Row(
        code="merge_refuses",
        key="peft_init_lora_weights",
        when=lambda s: (
            s.lora
            and s.text("peft_init_lora_weights").startswith(("pissa", "olora", "orthogonal", "mica"))
            and s.text("merge_method") != "legacy"
        ),
        effect=Effect.OK,
        fix=Fix(set={"merge_method": "legacy"}, safe=True),
    ),
)
