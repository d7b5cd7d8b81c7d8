"""Rules about the adapter: what trains, on which modules, over what kind of base. One function, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``loaders/adapter.py``, ``monkeypatch/lora_kernels.py``; PEFT
0.20.0 ``tuners/lora``. What only shows at run time was run there.
"""

import re
from collections.abc import Iterator, Mapping

from app.core.adapted import is_ending
from app.core.adapter import default_targets, linear_names
from app.core.architecture import Architecture, Kind, Part
from app.core.axolotl.coverage import LORA_KERNELS, QUANTIZED_HEADS, QUANTIZED_HEADS_IN_8_BITS
from app.core.axolotl.judging import FALSE_WORDS
from app.core.axolotl.subject import LORA_ADAPTERS, TRUE_WORDS, Row, Rule, Subject, fails, info, misleads, rejected
from app.core.findings import Effect, Finding, Fix
from app.core.hardware import Vendor
from app.core.methods.settings import VIRTUAL_TOKENS, PeftType
from app.core.nearest import nearest
from app.core.run import LORA_KERNEL_KEYS

INITIALISATIONS = ("gaussian", "olora", "pissa", "loftq", "orthogonal", "mica")
"""Source: ``LoraConfig.init_lora_weights`` of PEFT 0.20.0, without those that need a step before training."""
ALONE = ("lora_r", "lora_target_modules", "lora_target_linear", "peft_use_dora", "relora", "loraplus_lr_ratio")
NOT_AXOLOTLS = "adapter_not_axolotl"
"""Said of an adapter as a configuration names it; files to take along can bring it."""
NEAREST_NATIVE = {PeftType.LN_TUNING: "unfrozen_parameters"}
"""What Axolotl has itself in place of a method, where that is not LoRA."""
SCORING_HEADS = ("score", "classifier")
"""Heads of a reward model or a classifier, which its architecture here does not name."""
_PLAIN_NAME = re.compile(r"[\w.]*")
MOST_SAVED = 50
"""Modules to save that are looked for; no model has more kinds of them."""
MOST_PATTERNS = 200
"""Targets of a list that are tried as regular expressions; what is no more than a name always is one."""
ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


def adapter_name(subject: Subject) -> Iterator[Finding]:
    """Axolotl builds lora and qlora; other adapters need a plugin."""
    adapter = subject.config.get("adapter")
    if adapter == "llama-adapter":
        yield fails("llama_adapter", "adapter", fix=Fix(set={"adapter": "lora"}))
    elif adapter == "mora" and "mora" in subject.listed_plugins:
        return
    elif adapter and adapter not in LORA_ADAPTERS and not subject.own_plugins:
        yield rejected(NOT_AXOLOTLS, "adapter", given=str(adapter)[:100], allowed=LORA_ADAPTERS)
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
        yield fails("lora_r_missing", "lora_r", fix=Fix(set={"lora_r": 16}, safe=True))
    if subject.config.get("lora_alpha") is None:
        rank = subject.config.get("lora_r")
        alpha = 2 * rank if type(rank) is int else 32
        yield fails("lora_alpha_missing", "lora_alpha", fix=Fix(set={"lora_alpha": alpha}, safe=True))
    if not any(map(subject.on, ("lora_target_linear", "lora_target_modules", "lora_target_parameters"))):
        yield fails("targets_missing", "lora_target_modules")


def targets_twice(subject: Subject) -> Iterator[Finding]:
    """Both target keys are legal together: the union is taken."""
    if subject.lora and subject.on("lora_target_linear") and subject.on("lora_target_modules"):
        yield info("targets_twice", "lora_target_linear")


def target_linear(subject: Subject) -> Iterator[Finding]:
    """``lora_target_linear`` takes every nn.Linear of the whole model but the head, by leaf name."""
    architecture = subject.architecture
    if architecture is None or not subject.lora or not subject.on("lora_target_linear"):
        return
    names = default_targets(architecture)
    named = names if isinstance(names, str) else list(names)
    fix = Fix(set={"lora_target_modules": named}, unset=("lora_target_linear",))
    if any(name.isdecimal() for name in linear_names(architecture)):
        model_type = architecture.model_type
        yield fails("targets_numbered", "lora_target_linear", fix=fix, model_type=model_type)
    elif any(module.part is not Part.TEXT for module in architecture.modules):
        yield misleads("targets_towers", "lora_target_linear", fix=fix)
    if architecture.model_type == "gpt_neox":
        yield misleads("targets_head", "lora_target_linear")
    linear = any(module.kind is Kind.LINEAR for module in architecture.modules)
    if not linear and not subject.on("lora_target_modules"):
        yield fails("targets_conv1d", "lora_target_linear", model_type=architecture.model_type)


def target_experts(subject: Subject) -> Iterator[Finding]:
    """PEFT rewrites the names of the feed-forward to the fused parameters that hold all experts."""
    architecture = subject.architecture
    if architecture is None or not subject.lora:
        return
    names = [name for name in subject.names("lora_target_modules") if name in architecture.expert_names]
    if names:
        attention = [name for name in architecture.module_names if name in ATTENTION_TARGETS]
        fix = Fix(set={"lora_target_modules": attention}) if attention else None
        yield misleads("targets_experts", "lora_target_modules", fix=fix, names=tuple(names))


def expert_parameters(subject: Subject) -> Iterator[Finding]:
    """LoRA on bare parameters takes neither dropout nor DoRA."""
    if not subject.on("lora_target_parameters"):
        return
    if subject.number("lora_dropout"):
        yield rejected("parameters_dropout", "lora_dropout", fix=Fix(set={"lora_dropout": 0.0}, safe=True))
    if subject.lora and subject.on("peft_use_dora"):
        yield fails("parameters_dora", "peft_use_dora", fix=Fix(unset=("peft_use_dora",)))


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


def quantized_heads(subject: Subject) -> Iterator[Finding]:
    """A fused loss multiplies with the head's weight itself, which is packed where the head is quantised."""
    architecture = subject.architecture
    if architecture is None or architecture.tie_word_embeddings:
        return
    four = subject.text("adapter") == "qlora" and subject.on("load_in_4bit")
    eight = subject.text("adapter") == "lora" and subject.on("load_in_8bit")
    heads = QUANTIZED_HEADS if four else QUANTIZED_HEADS_IN_8_BITS if eight else frozenset()
    if architecture.model_type in heads:
        for key in ("cut_cross_entropy", "liger_fused_linear_cross_entropy"):
            if subject.on(key):
                fix = Fix(set={"chunked_cross_entropy": True}, unset=(key,))
                yield fails("quantized_head", key, fix=fix, key=key, model_type=architecture.model_type)


def packed_checkpoint(subject: Subject) -> Iterator[Finding]:
    """gpt-oss is published in MXFP4; Transformers refuses a second quantisation on top."""
    if subject.text("base_model").lower().startswith("openai/gpt-oss") and subject.on("load_in_4bit"):
        yield misleads("mxfp4_checkpoint", "base_model", base_model=subject.text("base_model"))


def kernels(subject: Subject) -> Iterator[Finding]:
    """The fused LoRA kernels, on by default, cannot patch every architecture, nor work over 8 bits or remote code."""
    if chosen_kernels(subject) and subject.on("trust_remote_code"):
        fix = Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True)
        yield rejected("kernels_remote_code", "trust_remote_code", fix=fix)
    if not subject.lora:
        return
    unset = all(subject.config.get(key) is None for key in LORA_KERNEL_KEYS)
    chosen = chosen_kernels(subject)
    fix = Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True)
    if chosen and subject.text("adapter") == "lora" and subject.on("load_in_8bit"):
        yield rejected("kernels_8bit", "load_in_8bit", fix=fix)
    elif subject.model_type is not None and subject.model_type not in LORA_KERNELS:
        automatic = unset and not any(map(subject.on, ("rl", "load_in_8bit", "trust_remote_code")))
        if automatic or subject.on("lora_qkv_kernel") or subject.on("lora_o_kernel"):
            yield fails("kernels_unpatchable", "lora_qkv_kernel", fix=fix, model_type=subject.model_type)


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


def adapter_keys_alone(subject: Subject) -> Iterator[Finding]:
    """Keys of an adapter that nothing builds."""
    if not subject.on("adapter"):
        keys = [key for key in ALONE if subject.on(key)]
        if keys:
            yield misleads("adapter_missing", keys[0], fix=Fix(set={"adapter": "lora"}), names=tuple(keys))


def missing_targets(subject: Subject) -> Iterator[Finding]:
    """Target names that this model has none of; PEFT only fails where no name matches."""
    given = subject.config.get("lora_target_modules")
    if not isinstance(given, list | tuple) or subject.on("lora_target_linear"):
        return
    architecture = subject.architecture
    if architecture is None or not subject.lora or architecture.approximate:
        return
    have = {*architecture.by_leaf, *architecture.expert_names}
    paths = {f".{module.outer_path}" for module in architecture.modules}
    names = [name for name in subject.names("lora_target_modules") if not _matches(name, have, paths)]
    if names and len(names) == len(given) and not subject.on("lora_target_parameters"):
        fix = Fix(set={"lora_target_modules": list(_linear(architecture))})
        yield fails("targets_none", "lora_target_modules", fix=fix, names=tuple(names[:20]), have=_linear(architecture))
    elif names:
        missing = frozenset(names)
        left = [name for name in subject.names("lora_target_modules") if name not in missing]
        fix = Fix(set={"lora_target_modules": left})
        yield misleads(
            "targets_some", "lora_target_modules", fix=fix, names=tuple(names[:20]), have=_linear(architecture)
        )


def missing_saved_modules(subject: Subject) -> Iterator[Finding]:
    """Names of modules to save that nothing in this model ends with; PEFT passes over them."""
    architecture = subject.architecture
    given = subject.names("lora_modules_to_save")[:MOST_SAVED]
    if architecture is None or not given or not subject.lora or architecture.approximate:
        return
    names = tuple(name for name in given if name not in SCORING_HEADS and not is_ending(architecture, name))
    if names:
        close = {name: nearest(name, architecture.module_names, count=1) for name in names}
        meant = dict.fromkeys(other for name in given for other in close.get(name, (name,)))
        fix = Fix(set={"lora_modules_to_save": list(meant)}) if meant else Fix(unset=("lora_modules_to_save",))
        yield misleads(
            "saved_modules_missing",
            "lora_modules_to_save",
            fix=fix,
            names=names[:20],
            have=architecture.module_names,
        )


def _matches(name: str, have: set[str], paths: set[str]) -> bool:
    """Whether a name of a list is a leaf of the model or the end of a path of it, as PEFT compares."""
    if name in have:
        return True
    layered = re.sub(r"(?<=\.)\d+(?=\.)", "{}", f".{name}")
    return any(path.endswith(layered) for path in paths)


def _linear(architecture: Architecture) -> tuple[str, ...]:
    kinds = (Kind.LINEAR, Kind.CONV1D)
    return tuple(dict.fromkeys(m.name for m in architecture.modules if m.kind in kinds and m.part is Part.TEXT))


def regexes(subject: Subject) -> Iterator[Finding]:
    """Each target of a list is held to be a regular expression."""
    given = subject.config.get("lora_target_modules")
    if isinstance(given, list):
        patterns = [name for name in given if isinstance(name, str) and _PLAIN_NAME.fullmatch(name) is None]
        wrong = [name for name in patterns[:MOST_PATTERNS] if not _compiles(name)]
        if len(patterns) > MOST_PATTERNS:
            yield info("partly_read", "lora_target_modules", key="lora_target_modules", most=MOST_PATTERNS)
        if wrong:
            yield rejected("targets_regex", "lora_target_modules", names=tuple(name[:60] for name in wrong[:9]))


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


ADAPTER_RULES: tuple[Rule, ...] = (
    adapter_name,
    virtual_tokens_packed,
    lora_in_4bit,
    qlora_bits,
    quantized_full,
    lora_needs,
    targets_twice,
    target_linear,
    target_experts,
    expert_parameters,
    quantized_experts,
    quantized_heads,
    packed_checkpoint,
    kernels,
    loftq,
    relora,
    restart_keys,
    initialisation,
    adapter_keys_alone,
    missing_targets,
    missing_saved_modules,
    regexes,
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
