"""What Axolotl's validator accepts although it fails or misleads at run time. Runs in Axolotl's environment.

Where the installed packages can answer, they are asked: which optimizers are built, which attention an architecture
has, whether the fused LoRA kernels find the code that they patch. Nothing here comes from the product, so the product's
own lists are held to it.
"""

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

Raw: TypeAlias = Mapping[str, Any]

KERNELS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")
LORA = ("lora", "qlora")
UNBUILT = ("ao_adamw_4bit", "ao_adamw_8bit")
NUMBERS = ("learning_rate", "weight_decay", "warmup_ratio", "lora_dropout", "num_epochs", "val_set_size")
CCE = "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin"


def lint(raw: Raw, model_type: str) -> list[str]:
    """Every complaint about one file for one architecture."""
    return [complaint for rule in RULES for complaint in rule(raw, model_type)]


def adapter(raw: Raw, _: str) -> Iterator[str]:
    """A LoRA that PEFT can build over a base that is stored as the file says."""
    if raw.get("adapter") == "lora" and raw.get("load_in_4bit"):
        yield "lora with load_in_4bit is cast to fp32"
    if raw.get("adapter") not in LORA:
        return
    yield from (f"{key} is missing" for key in ("lora_r", "lora_alpha") if not raw.get(key))
    if not any(raw.get(f"lora_target_{kind}") for kind in ("linear", "modules", "parameters")):
        yield "no targets"
    if (raw.get("peft") or {}).get("loftq_config") and raw.get("load_in_4bit"):
        yield "LoftQ on packed weights"
    if raw.get("lora_target_parameters") and raw.get("peft_use_dora"):
        yield "DoRA on bare parameters"
    if raw.get("relora") and ("adam" not in str(raw.get("optimizer")) or raw.get("peft_use_dora")):
        yield "ReLoRA with an optimizer or adapter that its restart does not know"


def positive(raw: Raw, _: str) -> Iterator[str]:
    """Sizes and rates above zero, and numbers that YAML reads as numbers."""
    for key in ("micro_batch_size", "gradient_accumulation_steps", "sequence_len", "num_epochs", "learning_rate"):
        if not isinstance(raw.get(key), int | float) or raw[key] <= 0:
            yield f"{key}: {raw.get(key)!r} is no positive number"
    yield from (f"{key} is text" for key in NUMBERS if isinstance(raw.get(key), str))


def losses(raw: Raw, _: str) -> Iterator[str]:
    """One loss, and its plugin with it."""
    chosen = [key for key in raw if key.endswith("cross_entropy") and raw[key] is True]
    if len(chosen) > 1 or (CCE in raw.get("plugins", ()) and chosen != ["cut_cross_entropy"]):
        yield f"losses: {chosen} with {raw.get('plugins')}"
    if (raw.get("rl") or raw.get("reward_model")) and chosen:
        yield f"{chosen[0]} under a loss of the trainer's own"


def buildable(raw: Raw, _: str) -> Iterator[str]:
    """Names that something builds."""
    from axolotl.utils.schemas.enums import CustomSupportedOptimizers
    from transformers import SchedulerType
    from transformers.training_args import OptimizerNames

    optimizers = {*(o.value for o in OptimizerNames), *(o.value for o in CustomSupportedOptimizers)} - {*UNBUILT}
    if raw.get("optimizer") not in optimizers:
        yield f"optimizer {raw.get('optimizer')} cannot be built"
    if raw.get("lr_scheduler") not in {*(s.value for s in SchedulerType), "one_cycle", "rex"}:
        yield f"scheduler {raw.get('lr_scheduler')} cannot be built"


def strategies(raw: Raw, _: str) -> Iterator[str]:
    """Dataset types that name code that exists."""
    folder = {"dpo": "dpo.", "simpo": "dpo.", "orpo": "orpo.", "kto": "kto."}.get(str(raw.get("rl")), "")
    for block in raw["datasets"]:
        kind = block["type"]
        if kind == "alpaca":  # the default prompter, no strategy of its own
            continue
        module, _, function = kind.rpartition(".")
        if not module or kind.startswith("bradley_terry."):
            module, function = kind, "load"
        found = importlib.import_module(f"axolotl.prompt_strategies.{folder}{module}")
        if not hasattr(found, function):
            yield f"no strategy {kind}"


def attention(raw: Raw, model_type: str) -> Iterator[str]:
    """An attention that the architecture's class has, and that keeps packed samples apart."""
    chosen = raw.get("attn_implementation")
    if chosen is None:
        yield "attn_implementation is missing"
    model = model_class(model_type)
    if model is not None and chosen == "flash_attention_2":
        allowed = getattr(model, "_compatible_flash_implementations", None)
        if not model._supports_flash_attn or (allowed and chosen not in allowed):
            yield f"{model.__name__} has no {chosen}"
    if model is not None and chosen == "sdpa" and not model._supports_sdpa:
        yield f"{model.__name__} has no sdpa"
    if raw.get("sample_packing") and chosen == "eager":
        yield "packed samples under eager attention"
    if raw.get("rl") and (raw.get("sample_packing") or raw.get("neftune_noise_alpha")):
        yield "packing or NEFTune under rl"


def kernels(raw: Raw, model_type: str) -> Iterator[str]:
    """Fused LoRA kernels only where they find the code that they patch; unset means on."""
    if raw.get("adapter") not in LORA or raw.get("rl"):
        return
    unset = all(raw.get(key) is None for key in KERNELS)
    automatic = unset and not raw.get("load_in_8bit") and not raw.get("trust_remote_code")
    if (automatic or raw.get("lora_qkv_kernel") or raw.get("lora_o_kernel")) and not patchable(model_type):
        yield f"the LoRA kernels cannot patch {model_type}"


@cache
def model_class(model_type: str) -> Any:
    """What Transformers loads for this architecture, None for one that it does not know."""
    import transformers
    from transformers.models.auto import modeling_auto

    for table in ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"):
        name = getattr(modeling_auto, table).get(model_type)
        if name:
            return getattr(transformers, name if isinstance(name, str) else name[0], None)
    return None


@cache
def patchable(model_type: str) -> bool:
    """Whether Axolotl's own search finds what it replaces in this architecture's attention."""
    from axolotl.monkeypatch.utils import detab_code

    own = kernel_search()
    own["AutoConfig"] = SimpleNamespace(from_pretrained=lambda _: SimpleNamespace(model_type=model_type))
    try:
        found = own["get_attention_cls_from_config"]({"base_model": model_type})
    except ValueError:
        return False
    if re.match("Gemma4.*TextAttention", found.__name__):  # has a path of its own there
        return True
    source, _ = detab_code(inspect.getsource(found.forward))
    return own["ORIGINAL_O_CODE"] in source and any(old in source for old, _ in own["QKV_PATCHES"])


@cache
def kernel_search() -> dict[str, Any]:
    """The parts of Axolotl's ``monkeypatch/lora_kernels.py`` that search, taken out of it.

    The module as a whole imports Triton kernels, which a machine without a GPU does not have.
    """
    from axolotl.utils.callbacks.models import get_causal_lm_model_cls_prefix

    wanted = ("QKV_PATCHES", "ORIGINAL_O_CODE", "get_attention_cls_from_config")
    specification = importlib.util.find_spec("axolotl.monkeypatch.lora_kernels")
    assert specification is not None
    assert specification.origin is not None
    tree = ast.parse(Path(specification.origin).read_text(encoding="utf-8"))
    tree.body = [
        node
        for node in tree.body
        if (isinstance(node, ast.FunctionDef) and node.name in wanted)
        or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id in wanted)
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            for argument in node.args.args:
                argument.annotation = None
    own: dict[str, Any] = {"get_causal_lm_model_cls_prefix": get_causal_lm_model_cls_prefix}
    exec(compile(tree, specification.origin, "exec"), own)
    return own


RULES: tuple[Callable[[Raw, str], Iterator[str]], ...] = (
    adapter,
    positive,
    losses,
    buildable,
    strategies,
    attention,
    kernels,
)
