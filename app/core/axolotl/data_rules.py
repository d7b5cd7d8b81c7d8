"""Rules about data: datasets, streaming, templates, validation sets. One function or row, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/validation.py``, ``datasets.py``, ``utils.py``, ``utils/data``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from app.core.axolotl.schema import Schema
from app.core.axolotl.subject import Row, Rule, Subject, fails, info, misleads, rejected, warning
from app.core.coverage import CHAT_TEMPLATES
from app.core.findings import Effect, Finding, Fix
from app.core.memory.weights import EMBEDDING_NAMES
from app.core.nearest import nearest

ENDS = ("bos_token", "eos_token", "unk_token")
USUAL_EMBEDDINGS = ("embed_tokens", "lm_head")
CHATML_TOKENS = ("<|im_start|>", "<|im_end|>")
"""What people set where their tokenizer lacks it; Qwen's has it."""
METRICS = frozenset(("sacrebleu", "comet", "ter", "chrf", "perplexity"))
MISTRAL_COMMON_REFUSES = ("added_tokens_overrides", "special_tokens", "tokens", "chat_template", "processor_kwargs")
READERS = ("Processor", "Tokenizer", "FeatureExtractor")
"""One of which is in every name of Transformers that a processor can be loaded by."""
TYPED_TWICE = ("role", "content")
TEMPLATE_FAMILIES: Mapping[str, str] = {
    "llama3": "llama mllama",
    "llama3_2_vision": "mllama",
    "llama4": "llama4 llama4_text",
    "gemma": "gemma gemma2",
    "gemma3": "gemma3 gemma3_text",
    "gemma3n": "gemma3n gemma3n_text",
    "gemma4": "gemma4 gemma4_text gemma4_unified gemma4_unified_text",
    "gemma4_unified": "gemma4 gemma4_text gemma4_unified gemma4_unified_text",
    "phi_3": "phi3",
    "phi_35": "phi3 phimoe",
    "qwen_25": "qwen2 qwen2_5_vl qwen2_moe",
    "qwen3": "qwen3 qwen3_moe",
    "qwen3_5": "qwen3_5 qwen3_5_text qwen3_5_moe qwen3_5_moe_text",
    "qwen2_vl": "qwen2_vl qwen2_5_vl",
    "mistral_v1": "mistral mixtral",
    "mistral_v2v3": "mistral mixtral",
    "mistral_v3_tekken": "mistral mistral3 ministral ministral3",
    "mistral_v7_tekken": "mistral mistral3 ministral ministral3",
    "pixtral": "mistral3 llava pixtral",
    "deepseek_v2": "deepseek_v2",
    "deepseek_v3": "deepseek_v3",
    "cohere": "cohere cohere2",
    "command_a": "cohere2",
    "falcon_h1": "falcon_h1",
    "jamba": "jamba",
    "nemotron_h": "nemotron_h",
    "exaone": "exaone exaone4",
    "exaone4": "exaone4",
}
"""The architectures that each model family's own template was made for; the rest are anybody's (ChatML, Alpaca)."""


def datasets(subject: Subject) -> Iterator[Finding]:
    """Something to train on."""
    if not subject.given("datasets") and not subject.given("pretraining_dataset"):
        yield rejected("datasets_missing", "datasets")


def blocks(subject: Subject, key: str = "datasets") -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Each dataset with its path."""
    given = subject.config.get(key)
    if isinstance(given, list | tuple):
        for position, item in enumerate(given):
            if isinstance(item, Mapping):
                yield f"{key}[{position}]", item


def sharegpt(subject: Subject) -> Iterator[Finding]:
    """The old name of conversations; today they are rows of a chat template with columns mapped.

    ``conversation`` named one of FastChat's templates, and no column.
    """
    for path, item in blocks(subject):
        kind = item.get("type")
        if isinstance(kind, str) and kind.startswith("sharegpt"):
            columns: dict[str, Any] = {f"{path}.type": "chat_template"}
            if "field_messages" not in item:
                columns[f"{path}.field_messages"] = "conversations"
            if not ({"message_property_mappings", "message_field_role", "message_field_content"} & item.keys()):
                columns[f"{path}.message_property_mappings"] = {"role": "from", "content": "value"}
            unset = tuple(f"{path}.{key}" for key in ("conversation",) if key in item)
            yield rejected("sharegpt", f"{path}.type", fix=Fix(set=columns, unset=unset, safe=True))


def jinja(subject: Subject) -> Iterator[Finding]:
    """``jinja`` means: the template stands in another key."""
    if subject.text("chat_template") == "jinja" and not subject.on("chat_template_jinja"):
        yield rejected("jinja_missing", "chat_template_jinja")
    for path, item in blocks(subject):
        tagged = item.get("chat_template") == "jinja" and not item.get("chat_template_jinja")
        if tagged and _supervised(subject):
            yield rejected("jinja_missing", f"{path}.chat_template_jinja")


def message_columns(subject: Subject) -> Iterator[Finding]:
    """The old keys of columns against the new mapping."""
    if not _supervised(subject):
        return
    for path, item in blocks(subject):
        mapping = item.get("message_property_mappings")
        mapping = mapping if isinstance(mapping, Mapping) else {}
        for name in TYPED_TWICE:
            old = f"message_field_{name}"
            if old not in item:
                continue
            if name in mapping and mapping[name] != item[old]:
                yield rejected("columns_twice", f"{path}.{old}", key=old, other=f"message_property_mappings.{name}")
                continue
            merged = {**mapping, name: item[old] or name}
            fix = Fix(set={f"{path}.message_property_mappings": merged}, unset=(f"{path}.{old}",), safe=True)
            successor = f"message_property_mappings.{name}"
            yield warning("renamed_key", f"{path}.{old}", fix=fix, key=f"{path}.{old}", successor=successor)


def chat_template(subject: Subject) -> Iterator[Finding]:
    """A template of another family teaches tokens that this model's chat never sees."""
    model_type = subject.model_type
    for path, item in blocks(subject):
        own, kind = item.get("chat_template"), item.get("type")
        read = isinstance(kind, str) and kind.startswith("chat_template") and not subject.on("rl")
        if read and isinstance(own, str) and is_foreign(own, model_type):
            yield misleads("template_foreign", f"{path}.chat_template", given=own, model_type=model_type)
    given = subject.text("chat_template")
    if not given:
        return
    if is_foreign(given, model_type):
        yield misleads("template_foreign", "chat_template", given=given, model_type=model_type)
    if given not in CHAT_TEMPLATES and not given.startswith("tokenizer_default_fallback_"):
        return
    if _supervised(subject) and subject.given("datasets") and not subject.on("pretraining_dataset"):
        kinds = [item.get("type") for _, item in blocks(subject)]
        reads = any(isinstance(kind, str) and "chat_template" in kind for kind in kinds)
        if kinds and not reads and not subject.on("rl") and not subject.on("process_reward_model"):
            yield info("template_unused", "chat_template", given=given)


def is_foreign(template: str, model_type: str | None) -> bool:
    """Whether Axolotl's template of this name is another family's than the model's."""
    family = TEMPLATE_FAMILIES.get(template, "").split()
    return model_type is not None and bool(family) and model_type not in family


def metrics(subject: Subject) -> Iterator[Finding]:
    """Which metrics an evaluation may compute."""
    given = subject.config.get("eval_causal_lm_metrics")
    if not given:
        return
    names = given if isinstance(given, list | tuple) else ()
    wrong = tuple(str(name)[:80] for name in names if not isinstance(name, str) or name not in METRICS)
    if wrong or not isinstance(given, list):
        shown = wrong[:9] or (str(given)[:80],)
        yield rejected("metrics", "eval_causal_lm_metrics", given=shown, allowed=tuple(sorted(METRICS)))


def mistral_common(subject: Subject) -> Iterator[Finding]:
    """Its tokenizer cannot be edited."""
    if subject.on("tokenizer_use_mistral_common"):
        for key in MISTRAL_COMMON_REFUSES:
            if subject.on(key):
                yield rejected("mistral_common", key, key=key)


def empty_names(subject: Subject) -> Iterator[Finding]:
    """Axolotl lowers these names before it knows that they are there (``check_tokenizer_use_mistral_common``)."""
    if subject.given("tokenizer_use_mistral_common") or "magistral" in subject.text("base_model").lower():
        return
    for key in ("base_model_config", "tokenizer_config"):
        if key in subject.config and subject.config[key] is None:
            yield rejected("empty_name", key, fix=Fix(unset=(key,), safe=True), key=key)
        elif "magistral" in subject.text(key).lower():
            return


def dropped_by_preference(subject: Subject) -> Iterator[Finding]:
    """Preference datasets know fewer keys; the rest is dropped in silence."""
    rl = subject.text("rl")
    schema: Schema | None = subject.schema
    if schema is None or rl not in ("dpo", "ipo", "simpo", "kto"):
        return
    model = "KTODataset" if rl == "kto" else "DPODataset"
    for path, item in blocks(subject):
        for name in item:
            if isinstance(name, str) and name in schema.models["SFTDataset"] and name not in schema.models[model]:
                yield misleads("dropped_by_preference", f"{path}.{name}", key=f"{path}.{name}", rl=rl)


def train_on_split(subject: Subject) -> Iterator[Finding]:
    """An often made slip."""
    for path, item in blocks(subject):
        if item.get("train_on_split"):
            fix = Fix(set={f"{path}.split": item["train_on_split"]}, unset=(f"{path}.train_on_split",))
            yield misleads("train_on_split", f"{path}.train_on_split", fix=fix)


def no_path(subject: Subject) -> Iterator[Finding]:
    """A dataset without a path cannot be read."""
    for path, item in blocks(subject):
        if not item.get("path") and item.get("type") != "_synthetic":
            yield info("dataset_no_path", path)


def template_name(subject: Subject) -> Iterator[Finding]:
    """A dataset's template may be any text, and only some can be read."""
    for path, item in blocks(subject):
        given = item.get("chat_template")
        if not isinstance(given, str) or not _supervised(subject) or given in CHAT_TEMPLATES:
            continue
        if not given.startswith("tokenizer_default_fallback_") and "{" not in given:
            close = nearest(given, CHAT_TEMPLATES, count=1)
            where = f"{path}.chat_template"
            yield misleads("template_unknown", where, given=given[:80], allowed=close or ("tokenizer_default",))


def validation(subject: Subject) -> Iterator[Finding]:
    """What ``datasets`` splits off: a share between 0 and 1, or so many samples.

    The schema makes a fraction of every number; supervised training makes those above 1 whole again
    (``utils/data/sft.py``), ``utils/data/rl.py`` does not.
    """
    number = subject.number("val_set_size")
    if number is None or subject.on("test_datasets") or _streams(subject):
        return
    if number < 0 or number == 1:
        yield fails("validation_share", "val_set_size", given=f"{number:g}")
    elif number > 1 and subject.on("rl"):
        yield fails("validation_rl", "val_set_size", fix=Fix(set={"val_set_size": 0.05}), given=f"{number:g}")


def new_tokens(subject: Subject) -> Iterator[Finding]:
    """A token that was added has a row of the embedding that nobody trained, and an adapter leaves it so."""
    if not subject.lora or not (subject.on("tokens") or subject.on("special_tokens")):
        return
    names = EMBEDDING_NAMES.get(subject.model_type or "", USUAL_EMBEDDINGS)
    saved = subject.names("lora_modules_to_save")
    if set(names) <= set(saved) or subject.on("peft_trainable_token_indices"):
        return
    fix = Fix(set={"lora_modules_to_save": list(dict.fromkeys((*saved, *names)))})
    special = subject.mapping("special_tokens")
    own = tuple(
        value[:40]
        for key, value in special.items()
        if key in ENDS and isinstance(value, str) and value in CHATML_TOKENS
    )
    if subject.on("tokens"):
        yield misleads("tokens_untrained", "tokens", fix=fix, names=names)
    elif own and not (subject.model_type or "").startswith("qwen"):
        yield info("tokens_maybe_new", "special_tokens", fix=fix, given=own, names=names)


def images(subject: Subject) -> Iterator[Finding]:
    """Packed rows pass by the processor, whose collator alone reads images."""
    if subject.on("processor_type") and subject.on("sample_packing"):
        yield misleads("images_packed", "sample_packing", fix=Fix(set={"sample_packing": False}))


def processor_name(subject: Subject) -> Iterator[Finding]:
    """Axolotl 0.19.0 looks the name up, ``getattr(transformers, cfg.processor_type)`` (``loaders/processor.py``).

    Whether a name that ends as Transformers' do is one of them is not asked.
    """
    name = subject.text("processor_type")
    if name and not any(end in name for end in READERS):
        fix = Fix(set={"processor_type": "AutoProcessor"})
        yield fails("processor_unknown", "processor_type", fix=fix, given=name[:100])


def _supervised(subject: Subject) -> bool:
    return subject.text("rl") not in ("dpo", "ipo", "simpo", "kto")


def _streams(subject: Subject) -> bool:
    return subject.on("streaming") or subject.on("pretraining_dataset")


def _several(subject: Subject) -> bool:
    given = subject.config.get("datasets")
    return isinstance(given, list | tuple) and len(given) > 1


DATA_RULES: tuple[Rule, ...] = (
    datasets,
    sharegpt,
    jinja,
    message_columns,
    chat_template,
    metrics,
    mistral_common,
    empty_names,
    dropped_by_preference,
    train_on_split,
    no_path,
    template_name,
    validation,
    new_tokens,
    images,
    processor_name,
    Row(
        code="push_without_token",
        key="push_dataset_to_hub",
        when=lambda s: s.on("push_dataset_to_hub") and s.config.get("hf_use_auth_token") is not True,
        fix=Fix(set={"hf_use_auth_token": True}, safe=True),
    ),
    Row(
        code="validation_twice",
        key="val_set_size",
        when=lambda s: s.on("test_datasets") and s.on("val_set_size"),
        fix=Fix(unset=("val_set_size",), safe=True),
    ),
    Row(
        code="table_packed",
        key="eval_sample_packing",
        when=lambda s: (
            s.on("sample_packing") and s.on("eval_table_size") and s.config.get("eval_sample_packing") is not False
        ),
        fix=Fix(set={"eval_sample_packing": False}, safe=True),
    ),
    Row(
        code="streaming_steps",
        key="max_steps",
        when=lambda s: _streams(s) and not s.on("max_steps"),
    ),
    Row(
        code="streaming_validation",
        key="val_set_size",
        when=lambda s: _streams(s) and s.on("val_set_size"),
        fix=Fix(set={"val_set_size": 0.0}, safe=True),
    ),
    Row(
        code="streaming_packed_several",
        key="datasets",
        when=lambda s: s.on("streaming") and s.on("sample_packing") and _several(s),
    ),
    Row(
        code="streaming_deduplicated",
        key="dataset_exact_deduplication",
        when=lambda s: s.on("dataset_exact_deduplication") and _streams(s),
        fix=Fix(set={"dataset_exact_deduplication": False}, safe=True),
    ),
    Row(
        code="deduplication_skipped",
        key="dataset_exact_deduplication",
        when=lambda s: s.on("dataset_exact_deduplication") and s.on("skip_prepare_dataset"),
        fix=Fix(set={"dataset_exact_deduplication": False}, safe=True),
    ),
    Row(
        code="pretraining_speed",
        key="include_tokens_per_second",
        when=lambda s: s.on("pretraining_dataset") and s.on("include_tokens_per_second"),
        fix=Fix(unset=("include_tokens_per_second",), safe=True),
    ),
    Row(
        code="pretraining_streaming",
        key="pretraining_dataset",
        when=lambda s: s.on("pretraining_dataset") and not s.on("streaming"),
        effect=Effect.OK,
        fix=Fix(set={"streaming": True}),
    ),
    Row(
        code="metrics_packed",
        key="do_causal_lm_eval",
        when=lambda s: (
            s.on("do_causal_lm_eval")
            and (
                s.on("eval_sample_packing")
                or (s.on("sample_packing") and not s.given("eval_sample_packing") and not s.on("eval_table_size"))
            )
        ),
        fix=Fix(set={"eval_sample_packing": False}, safe=True),
    ),
)
