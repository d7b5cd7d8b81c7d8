"""Rules about the adapter: what trains, on which modules, over what kind of base. One function, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``loaders/adapter.py``, ``monkeypatch/lora_kernels.py``; PEFT
0.20.0 ``tuners/lora``. What only shows at run time was run there.
"""

from collections.abc import Iterator, Mapping

from app.core.architecture import Kind, Part
from app.core.axolotl.coverage import LORA_KERNELS
from app.core.axolotl.subject import LORA_ADAPTERS, Rule, Subject, error, info, warning
from app.core.findings import Finding, Fix
from app.core.hardware import Vendor
from app.core.methods.settings import VIRTUAL_TOKENS, PeftType
from app.core.run import LORA_KERNEL_KEYS

NEAREST_NATIVE = {PeftType.LN_TUNING: "unfrozen_parameters"}
"""What Axolotl has itself in place of a method, where that is not LoRA."""
ATTENTION_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


def adapter_name(subject: Subject) -> Iterator[Finding]:
    """Axolotl builds lora and qlora; other adapters need a plugin."""
    adapter = subject.config.get("adapter")
    if adapter and adapter not in LORA_ADAPTERS and not _plugin_adapters(subject):
        yield error("adapter_not_axolotl", "adapter", given=str(adapter)[:100], allowed=LORA_ADAPTERS)
        if adapter in tuple(PeftType):
            nearest = NEAREST_NATIVE.get(PeftType(str(adapter)), "adapter: lora")
            code = "adapter_by_script" if adapter == PeftType.BOTTLENECK else "adapter_by_export"
            yield info(code, "adapter", given=str(adapter), nearest=nearest)


def virtual_tokens_packed(subject: Subject) -> Iterator[Finding]:
    """A prompt stands before each packed row once, not before each sample in it."""
    if subject.text("adapter") in VIRTUAL_TOKENS and subject.on("sample_packing"):
        yield warning("virtual_tokens_packed", "sample_packing", fix=Fix(set={"sample_packing": False}))


def _plugin_adapters(subject: Subject) -> bool:
    """Whether a plugin is listed that is none of the bundled ones and so may bring an adapter."""
    bundled = subject.schema.plugin_classes if subject.schema is not None else {}
    return any(name not in bundled for name in subject.names("plugins"))


def lora_in_4bit(subject: Subject) -> Iterator[Finding]:
    """Only qlora builds the 4-bit configuration; under lora the flag casts every linear to fp32."""
    if subject.text("adapter") == "lora" and subject.on("load_in_4bit"):
        yield error("lora_load_in_4bit", "load_in_4bit", fix=Fix(set={"adapter": "qlora"}))


def qlora_bits(subject: Subject) -> Iterator[Finding]:
    """QLoRA wants 4 bits and nothing else."""
    if subject.text("adapter") != "qlora":
        return
    if subject.on("load_in_8bit"):
        yield error(
            "qlora_8bit", "load_in_8bit", fix=Fix(set={"load_in_4bit": True}, unset=("load_in_8bit",), safe=True)
        )
    elif not subject.on("load_in_4bit"):
        yield error("qlora_needs_4bit", "load_in_4bit", fix=Fix(set={"load_in_4bit": True}, safe=True))


def quantized_full(subject: Subject) -> Iterator[Finding]:
    """A quantised base cannot train by itself."""
    for key in ("load_in_4bit", "load_in_8bit"):
        if subject.on(key) and not subject.on("adapter"):
            yield error("quantized_full", key, key=key)


def lora_needs(subject: Subject) -> Iterator[Finding]:
    """PEFT has no default for rank and alpha in Axolotl, and none for targets of most architectures."""
    if not subject.lora or subject.on("lora_model_dir"):
        return
    if subject.config.get("lora_r") is None:
        yield error("lora_r_missing", "lora_r", fix=Fix(set={"lora_r": 16}, safe=True))
    if subject.config.get("lora_alpha") is None:
        rank = subject.config.get("lora_r")
        alpha = 2 * rank if type(rank) is int else 32
        yield error("lora_alpha_missing", "lora_alpha", fix=Fix(set={"lora_alpha": alpha}, safe=True))
    if not any(map(subject.on, ("lora_target_linear", "lora_target_modules", "lora_target_parameters"))):
        yield error("targets_missing", "lora_target_modules")


def targets_twice(subject: Subject) -> Iterator[Finding]:
    """Both target keys are legal together: the union is taken."""
    if subject.lora and subject.on("lora_target_linear") and subject.on("lora_target_modules"):
        yield info("targets_twice", "lora_target_linear")


def target_linear(subject: Subject) -> Iterator[Finding]:
    """``lora_target_linear`` takes every nn.Linear of the whole model but the head, by leaf name."""
    architecture = subject.architecture
    if architecture is None or not subject.lora or not subject.on("lora_target_linear"):
        return
    if any(module.part is not Part.TEXT for module in architecture.modules):
        yield warning("targets_towers", "lora_target_linear")
    if architecture.model_type == "gpt_neox":
        yield warning("targets_head", "lora_target_linear")
    linear = any(module.kind is Kind.LINEAR for module in architecture.modules)
    if not linear and not subject.on("lora_target_modules"):
        yield error("targets_conv1d", "lora_target_linear", model_type=architecture.model_type)


def target_experts(subject: Subject) -> Iterator[Finding]:
    """PEFT rewrites the names of the feed-forward to the fused parameters that hold all experts."""
    architecture = subject.architecture
    if architecture is None or not subject.lora:
        return
    names = [name for name in subject.names("lora_target_modules") if name in architecture.expert_names]
    if names:
        attention = [name for name in architecture.module_names if name in ATTENTION_TARGETS]
        fix = Fix(set={"lora_target_modules": attention}) if attention else None
        yield warning("targets_experts", "lora_target_modules", fix=fix, names=tuple(names))


def expert_parameters(subject: Subject) -> Iterator[Finding]:
    """LoRA on bare parameters takes neither dropout nor DoRA."""
    if not subject.lora or not subject.on("lora_target_parameters"):
        return
    if subject.on("lora_dropout"):
        yield error("parameters_dropout", "lora_dropout", fix=Fix(set={"lora_dropout": 0.0}, safe=True))
    if subject.on("peft_use_dora"):
        yield error("parameters_dora", "peft_use_dora", fix=Fix(unset=("peft_use_dora",)))


def quantized_experts(subject: Subject) -> Iterator[Finding]:
    """3-D expert parameters are left alone by bitsandbytes unless told otherwise."""
    asked = subject.on("quantize_moe_experts")
    amd = subject.hardware is not None and subject.hardware.vendor is Vendor.AMD
    quantized = subject.on("load_in_4bit") or subject.on("load_in_8bit")
    if asked and subject.on("lora_target_linear"):
        yield error("experts_target_linear", "quantize_moe_experts")
    elif asked and not (subject.lora and quantized):
        fix = Fix(unset=("quantize_moe_experts",), safe=True)
        yield error("experts_unquantized_base", "quantize_moe_experts", fix=fix)
    elif asked and amd:
        yield error("experts_cuda", "quantize_moe_experts", fix=Fix(unset=("quantize_moe_experts",), safe=True))
    elif not asked and subject.text("adapter") == "qlora" and subject.on("load_in_4bit"):
        architecture = subject.architecture
        if architecture is not None and any(module.kind is Kind.EXPERTS for module in architecture.modules):
            helps = not amd and not subject.on("lora_target_linear")
            mend = Fix(set={"quantize_moe_experts": True}) if helps else None
            yield warning("experts_16bit", "quantize_moe_experts", fix=mend)


def packed_checkpoint(subject: Subject) -> Iterator[Finding]:
    """gpt-oss is published in MXFP4; Transformers refuses a second quantisation on top."""
    if subject.text("base_model").lower().startswith("openai/gpt-oss") and subject.on("load_in_4bit"):
        yield warning("mxfp4_checkpoint", "base_model", base_model=subject.text("base_model"))


def kernels(subject: Subject) -> Iterator[Finding]:
    """The fused LoRA kernels, on by default, cannot patch every architecture, nor work over 8 bits or remote code."""
    if not subject.lora:
        return
    unset = all(subject.config.get(key) is None for key in LORA_KERNEL_KEYS)
    chosen = any(subject.on(key) for key in LORA_KERNEL_KEYS)
    fix = Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True)
    if chosen and subject.on("trust_remote_code"):
        yield error("kernels_remote_code", "trust_remote_code", fix=fix)
    elif chosen and subject.text("adapter") == "lora" and subject.on("load_in_8bit"):
        yield error("kernels_8bit", "load_in_8bit", fix=fix)
    elif subject.model_type is not None and subject.model_type not in LORA_KERNELS:
        automatic = unset and not any(map(subject.on, ("rl", "load_in_8bit", "trust_remote_code")))
        if automatic or subject.on("lora_qkv_kernel") or subject.on("lora_o_kernel"):
            yield error("kernels_unpatchable", "lora_qkv_kernel", fix=fix, model_type=subject.model_type)


def loftq(subject: Subject) -> Iterator[Finding]:
    """LoftQ initialises over a 16-bit base and leaves it in 16 bits."""
    peft = subject.config.get("peft")
    if not subject.lora or not isinstance(peft, Mapping) or not peft.get("loftq_config"):
        return
    if subject.on("load_in_4bit"):
        yield error("loftq_in_4bit", "peft.loftq_config", fix=Fix(unset=("peft",)))
    else:
        yield info("loftq_stays_16bit", "peft.loftq_config")


def relora(subject: Subject) -> Iterator[Finding]:
    """ReLoRA needs restarts, an adapter to merge and an Adam whose state it prunes."""
    if not subject.on("relora"):
        return
    if not subject.on("jagged_restart_steps"):
        fix = Fix(set={"jagged_restart_steps": 200}, safe=True)
        yield error("relora_restart", "jagged_restart_steps", fix=fix)
    if not subject.on("adapter"):
        yield error("relora_adapter", "adapter", fix=Fix(unset=("relora",)))
    for key in ("deepspeed", "fsdp", "fsdp_config"):
        if subject.on(key):
            yield error("relora_sharded", key, key=key)
    if "adam" not in (subject.text("optimizer") or "adamw_torch_fused"):
        yield error("relora_optimizer", "optimizer", given=subject.text("optimizer"))
    if subject.on("peft_use_dora"):
        yield warning("relora_dora", "peft_use_dora")


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
    packed_checkpoint,
    kernels,
    loftq,
    relora,
)
