"""Rules about training on a GPTQ checkpoint.

Sources: Axolotl 0.19.0 ``loaders/model.py``, ``loaders/utils.py``, ``kernels/lora.py``,
``monkeypatch/lora_kernels.py``; Transformers 5.16.1 ``quantizer_gptq.py``, ``trainer_utils.py``; PEFT 0.20.0
``tuners/lora/gptq.py``; optimum 2.3.0; gptqmodel 7.0.0 and 7.7.0 ``nn_modules/qlinear``, ``utils/importer.py``.
Loading, training and what a mixture's experts come to were run on a CPU; which kernel is taken on a GPU is read.
"""

from collections.abc import Iterator, Mapping

from app.core.architecture import Packing
from app.core.axolotl.lora_kernels import on_by_themselves
from app.core.axolotl.subject import Rule, Subject, fails, info, misleads
from app.core.findings import Finding, Fix
from app.core.hardware import Vendor
from app.core.run import LORA_KERNEL_KEYS

KERNEL_LINEARS = {
    "lora_qkv_kernel": ("q_proj", "k_proj", "v_proj"),
    "lora_o_kernel": ("o_proj",),
    "lora_mlp_kernel": ("gate_proj", "up_proj", "down_proj"),
}
"""What each of Axolotl's kernels reads, where all of it has adapters."""
TRAINABLE = frozenset(("auto_trainable", "gptq_triton", "gptq_torch", "triton", "torch"))
"""Values of ``backend`` that take a kernel with a backward."""
FASTER_GROUPS = (-1, 32, 64, 128)
"""Groups that gptqmodel's faster kernels take, none of which has a backward."""


def packing_of(subject: Subject) -> Packing | None:
    """How the model is packed, where its description says so."""
    return subject.architecture.packing if subject.architecture is not None else None


def packed(subject: Subject) -> bool:
    """Whether the base is loaded as a GPTQ checkpoint under LoRA, said or not."""
    return subject.lora and (subject.on("gptq") or packing_of(subject) is not None or called_so(subject))


def called_so(subject: Subject) -> bool:
    """Whether the base's own name says that it is one: nobody else puts that word into a name."""
    return subject.architecture is None and "gptq" in subject.text("base_model").rpartition("/")[2].lower()


def gptq_unsaid(subject: Subject) -> Iterator[Finding]:
    """Axolotl loads a GPTQ checkpoint as one under any LoRA, and leaves the bits that a file asks for aside."""
    if subject.on("gptq") or not packed(subject):
        return
    fix = Fix(set={"gptq": True, "adapter": "lora"}, unset=("load_in_4bit", "load_in_8bit"))
    yield misleads("gptq_unsaid" if packing_of(subject) is not None else "gptq_by_name", "gptq", fix=fix)


def gptq_full(subject: Subject) -> Iterator[Finding]:
    """Transformers' Trainer wants something on top of a quantised model that trains."""
    if (subject.on("gptq") or packing_of(subject) is not None) and not subject.on("adapter"):
        yield fails("gptq_full", "adapter", fix=Fix(set={"adapter": "lora"}))


def gptq_counted(subject: Subject) -> Iterator[Finding]:
    """What the figures assume where the model's description is not that of the checkpoint."""
    if subject.on("gptq") and subject.lora and packing_of(subject) is None:
        yield info("gptq_assumed", "gptq", bits=Packing().bits, group_size=Packing().group_size)


def gptq_kernels(subject: Subject) -> Iterator[Finding]:
    """Axolotl's kernels, on by themselves, ask a packed linear for a weight that it has not."""
    if not packed(subject):
        return
    by_itself = on_by_themselves(subject.config)
    names = None if subject.on("lora_target_linear") else set(subject.names("lora_target_modules"))
    for key, linears in KERNEL_LINEARS.items():
        if (by_itself or subject.on(key)) and (names is None or names.issuperset(linears)):
            yield fails("gptq_kernels", key, fix=Fix(set=dict.fromkeys(LORA_KERNEL_KEYS, False), safe=True), key=key)
            return


def gptq_dora(subject: Subject) -> Iterator[Finding]:
    """PEFT refuses DoRA over packed linears."""
    if packed(subject) and subject.on("peft_use_dora"):
        yield fails("gptq_dora", "peft_use_dora", fix=Fix(set={"peft_use_dora": False}))


def taken_faster(packing: Packing) -> bool:
    """Whether a kernel without a backward stands first on any NVIDIA card: Marlin, and ExLlama v2 for 4 bits."""
    forms = packing.bits == 4 or (packing.bits == 8 and packing.symmetric)
    return forms and packing.group_size in FASTER_GROUPS


def gptq_backend(subject: Subject) -> Iterator[Finding]:
    """Gptqmodel takes its fastest kernel unless told that the model trains; told it can be in config.json alone."""
    if not packed(subject) or (subject.hardware is not None and subject.hardware.vendor is not Vendor.NVIDIA):
        return
    packing = packing_of(subject) or Packing()
    overrides = subject.mapping("overrides_of_model_config").get("quantization_config")
    backend = overrides.get("backend") if isinstance(overrides, Mapping) else packing.backend
    if backend not in TRAINABLE and taken_faster(packing):
        yield fails("gptq_backend", "gptq", bits=packing.bits)


def gptq_packages(subject: Subject) -> Iterator[Finding]:
    """Axolotl 0.19.0 brings optimum 1.16.2 and no gptqmodel; Transformers and PEFT want newer, and both."""
    if packed(subject):
        yield info("gptq_packages", "gptq")


def gptq_unchecked(subject: Subject) -> Iterator[Finding]:
    """Every product keeps the whole weight that it made, so that a step holds the model in 16 bits."""
    if packed(subject) and not subject.on("gradient_checkpointing"):
        fix = Fix(set={"gradient_checkpointing": True}, safe=True)
        yield info("gptq_unchecked", "gradient_checkpointing", fix=fix)


def gptq_experts(subject: Subject) -> Iterator[Finding]:
    """Transformers 5 holds a layer's experts in one parameter, which packed experts do not fit into."""
    if packed(subject) and subject.architecture is not None and subject.architecture.mixture_of_experts:
        yield misleads("gptq_experts", "gptq")


GPTQ_RULES: tuple[Rule, ...] = (
    gptq_unsaid,
    gptq_full,
    gptq_counted,
    gptq_kernels,
    gptq_dora,
    gptq_backend,
    gptq_packages,
    gptq_unchecked,
    gptq_experts,
)
