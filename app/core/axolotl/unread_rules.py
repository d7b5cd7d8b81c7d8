"""Rules about keys that nothing reads without another, or beside one: the run is the same without them.

Sources: Axolotl 0.19.0 ``loaders`` (``model.py``, ``_set_quantization_config``; ``patch_manager.py``),
``core/builders``, ``utils/config/__init__.py`` (``resolve_dtype``), ``utils/collators/batching.py``,
``prompt_strategies``; Transformers 5.16.1 ``trainer_optimizer.py``. Adding a key is adding a row.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from app.core.axolotl.data_rules import blocks
from app.core.axolotl.schedule_rules import checkpoints
from app.core.axolotl.subject import Row, Rule, Subject, misleads
from app.core.findings import Effect, Finding, Fix
from app.core.nearest import akin, nearest
from app.core.shown import path_shown
from app.core.values import says_no

PROJECTING = ("galore", "apollo", "q_galore")
TURNS = ("roles_to_train", "train_on_eos", "train_on_eot", "message_property_mappings", "field_messages")
"""Keys of a dataset that only the strategies of chat templates read."""
PROMPTS = ("alpaca", "completion", "input_output")
"""Beginnings of the types that do not."""
MOST_BLOCKS = 50
BITSANDBYTES = frozenset(
    """llm_int8_threshold llm_int8_skip_modules llm_int8_enable_fp32_cpu_offload llm_int8_has_fp16_weight
    bnb_4bit_compute_dtype bnb_4bit_quant_type bnb_4bit_use_double_quant bnb_4bit_quant_storage""".split()
)
"""What ``BitsAndBytesConfig`` takes beside which bits. Source: Transformers 5.16.1 ``utils/quantization_config.py``."""
BITS = frozenset(("load_in_4bit", "load_in_8bit"))
MERGING = "blocksize"
"""Below ``bnb_config_kwargs``, read where an adapter is merged (Axolotl 0.19.0 ``cli/merge_lora.py``)."""
WITHIN: Mapping[str, str] = dict.fromkeys(sorted(BITSANDBYTES), "bnb_config_kwargs") | {
    "use_reentrant": "gradient_checkpointing_kwargs",
    "loftq_config": "peft",
}
"""Keys that are no top-level ones, and what they stand under."""
MOST_SETTINGS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """A key, what must be set for it to be read, and whether it is."""

    key: str
    needs: str
    met: Callable[[Subject], bool]


UNREAD: tuple[Needs, ...] = (
    Needs(
        key="bnb_config_kwargs",
        needs="adapter: qlora, load_in_4bit: true",
        met=lambda s: s.text("adapter") == "qlora" and s.flag("load_in_4bit"),
    ),
    Needs(key="gradient_checkpointing_kwargs", needs="gradient_checkpointing: true", met=checkpoints),
    Needs(
        key="chunked_cross_entropy_num_chunks",
        needs="chunked_cross_entropy: true",
        met=lambda s: s.flag("chunked_cross_entropy"),
    ),
    Needs(key="loraplus_lr_embedding", needs="loraplus_lr_ratio", met=lambda s: s.given("loraplus_lr_ratio")),
    Needs(key="rl_beta", needs="rl", met=lambda s: s.on("rl")),
    Needs(key="lisa_step_interval", needs="lisa_n_layers", met=lambda s: s.on("lisa_n_layers")),
    Needs(key="lisa_n_layers", needs="lisa_step_interval", met=lambda s: s.on("lisa_step_interval")),
    Needs(
        key="optim_target_modules",
        needs="optimizer: galore_*, apollo_*, q_galore_*",
        met=lambda s: s.text("optimizer").startswith(PROJECTING),
    ),
    Needs(
        key="fp16",
        needs="bf16: auto / false",
        met=lambda s: not s.flag("bf16") and not s.flag("bfloat16"),
    ),
)
"""Keys without effect unless something else is set."""


def is_read(key: str, subject: Subject) -> bool:
    """Whether a key is read, as far as ``UNREAD`` knows."""
    return all(row.met(subject) for row in UNREAD if row.key == key)


def unread(subject: Subject) -> Iterator[Finding]:
    """Keys that are set for nothing; a plugin of one's own may read any.

    What they need may be what was forgotten, so none is taken away unasked.
    """
    for row in UNREAD:
        idle = says_no(subject.config.get(row.key)) or row.met(subject) or subject.own_plugins
        if not idle:
            yield misleads("unread_without", row.key, fix=Fix(unset=(row.key,)), key=row.key, needs=row.needs)


def settings_of_quantization(subject: Subject) -> Iterator[Finding]:
    """``BitsAndBytesConfig`` takes any argument and does nothing with one that it does not know."""
    key = "bnb_config_kwargs"
    if not is_read(key, subject):
        return
    given = subject.mapping(key)
    unknown = [name for name in given if name not in BITSANDBYTES and name not in BITS and name != MERGING]
    for name in map(str, unknown[:MOST_SETTINGS]):
        close = nearest(name, BITSANDBYTES, count=1)
        if not close or not akin(name, close[0]):
            yield misleads("bnb_unknown", f"{key}.{name}", given=path_shown(name))
            continue
        fix = None
        if close[0] not in given:
            fix = Fix(set={key: {close[0] if other == name else other: value for other, value in given.items()}})
        yield misleads("bnb_unknown_nearest", f"{key}.{name}", fix=fix, given=path_shown(name), nearest=close[0])


def overwritten(subject: Subject) -> Iterator[Finding]:
    """The weights' type, which ``_set_device_map_config`` sets after anybody's own arguments."""
    for key in ("overrides_of_model_kwargs", "model_kwargs"):
        for name in ("torch_dtype", "dtype"):
            if name in subject.mapping(key):
                where = f"{key}.{name}"
                yield misleads("unread_dtype", where, fix=Fix(unset=(where,), safe=True), key=where)


def unread_in_datasets(subject: Subject) -> Iterator[Finding]:
    """Which turns of a conversation train, of data that has no turns."""
    if subject.on("rl") or subject.on("processor_type") or subject.own_plugins:
        return
    for path, item in list(blocks(subject))[:MOST_BLOCKS]:
        kind = item.get("type")
        if not isinstance(kind, str) or not kind.startswith(PROMPTS):
            continue
        for key in TURNS:
            if item.get(key):
                where = f"{path}.{key}"
                yield misleads("unread_by_type", where, fix=Fix(unset=(where,)), key=key, given=kind[:80])


UNREAD_RULES: tuple[Rule, ...] = (
    unread,
    settings_of_quantization,
    overwritten,
    unread_in_datasets,
    Row(
        code="evaluation_packed_alone",
        key="eval_sample_packing",
        when=lambda s: (
            s.flag("eval_sample_packing")
            and not s.on("sample_packing")
            and (s.on("val_set_size") or s.on("test_datasets"))
            and not any(map(s.on, ("rl", "reward_model", "process_reward_model", "processor_type")))
        ),
        effect=Effect.MISLEADS,
        fix=Fix(unset=("eval_sample_packing",), safe=True),
    ),
)
