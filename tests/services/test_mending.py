"""Fixes change the lines that they are about, and nothing else."""

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.findings import Fix
from app.services.mending import apply, changed
from app.services.reading import read

TEXT = """# tuned for months
base_model: a/b   # the good one
datasets:
  - path: c/d
    type: alpaca  # from the blog

  # the second
  - {path: e/f, type: alpaca}
adapter: lora
fsdp_config:
  offload_params: true
  # about loading
flash_attention: true  # old

learning_rate: 2e-4
# the end
"""


def test_of_a_key_that_stands_twice_the_one_that_counts_is_mended() -> None:
    text = "# tried first\nlearning_rate: 1e-5\nadapter: lora\nlearning_rate: 2e-4  # better\n"
    mended = apply(read(text), [Fix(set={"learning_rate": 0.0002})])
    assert mended.text == text.replace("2e-4", "0.0002")
    assert mended.line("learning_rate") == 4


def test_what_fixes_would_make_longer_than_is_read_stays_as_it_is() -> None:
    text = "datasets:\n" + "- {path: a, type: alpaca}\n" * 198  # 995 entries
    before = read(text)
    assert before.config is not None
    more = {f"datasets[{position}].split": "train" for position in range(9)}
    assert apply(before, [Fix(set=more)]) is before


@pytest.mark.parametrize(
    ("fix", "gone", "come"),
    [
        (Fix(set={"learning_rate": 0.0002}), ["learning_rate: 2e-4"], ["learning_rate: 0.0002"]),
        (
            Fix(set={"attn_implementation": "flash_attention_2"}, unset=("flash_attention",)),
            ["flash_attention: true  # old"],
            ["attn_implementation: flash_attention_2  # old"],
        ),
        (Fix(unset=("adapter",)), ["adapter: lora"], []),
        (
            Fix(set={"datasets[0].type": "chat_template"}),
            ["    type: alpaca  # from the blog"],
            ["    type: chat_template  # from the blog"],
        ),
        (Fix(set={"datasets[0].field": "x"}), [], ["    field: x"]),
        (Fix(unset=("datasets[0].type",)), ["    type: alpaca  # from the blog"], []),
        (Fix(set={"fsdp_config.reshard": False}), [], ["  reshard: false"]),
        (
            Fix(unset=("fsdp_config.offload_params",), set={"adapter": "qlora"}),
            ["adapter: lora", "fsdp_config:", "  offload_params: true"],
            ["adapter: qlora", "fsdp_config: {}"],
        ),
        (Fix(set={"load_in_4bit": True}), [], ["load_in_4bit: true"]),
        (Fix(set={"peft.loftq_config": {"loftq_bits": 4}}), [], ["peft: {loftq_config: {loftq_bits: 4}}"]),
    ],
)
def test_only_the_lines_concerned_change(fix: Fix, gone: list[str], come: list[str]) -> None:
    mended = apply(read(TEXT), [fix])
    before, after = TEXT.splitlines(), mended.text.splitlines()
    assert [line for line in before if line not in after] == gone
    assert [line for line in after if line not in before] == come
    expected = yaml.safe_load(TEXT)
    changed(expected, fix)
    assert mended.config == expected


def test_a_block_is_replaced_as_a_whole_and_what_follows_stays() -> None:
    mended = apply(read(TEXT), [Fix(set={"datasets": [{"path": "x"}]})])
    assert "datasets: [{path: x}]\nadapter: lora\n" in mended.text


def test_fixes_that_touch_the_same_key_are_not_mixed() -> None:
    mended = apply(read("a: 1\nb: 2\n"), [Fix(set={"a": 5}), Fix(unset=("a",)), Fix(set={"b": 6})])
    assert mended.text == "a: 5\nb: 6\n"


def test_line_endings_stay() -> None:
    mended = apply(read("a: 1\r\nb: 2\r\n"), [Fix(set={"c": 3}, unset=("a",))])
    assert mended.config == {"b": 2, "c": 3}
    assert "\r\n" in mended.text


def test_what_cannot_be_mended_in_place_is_written_anew() -> None:
    reading = read("{a: 1, b: {c: 2}}")
    assert apply(reading, [Fix(unset=("b.c",), set={"d": 4})]).config == {"a": 1, "b": {}, "d": 4}


def test_nothing_to_do_leaves_the_text_as_it_is() -> None:
    reading = read(TEXT)
    assert apply(reading, []).text is reading.text
    assert apply(reading, [Fix(unset=("nothing",))]).text == TEXT


KEYS = st.sampled_from(["a", "b", "c_d", "adapter", "datasets", "x.y", "x"])
VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=6) | st.lists(st.integers(), max_size=2)
CONFIGS = st.dictionaries(
    st.sampled_from(["a", "b", "adapter", "x", "datasets"]),
    VALUES
    | st.dictionaries(st.sampled_from("yz"), VALUES, max_size=2)
    | st.lists(st.dictionaries(st.just("z"), VALUES), max_size=2),
    min_size=1,
)


@settings(deadline=None, max_examples=150)
@given(CONFIGS, st.dictionaries(KEYS, VALUES, max_size=2), st.lists(KEYS, max_size=2), st.booleans())
def test_a_mended_text_says_exactly_what_the_fix_says(
    config: dict[str, object], sets: dict[str, object], unset: list[str], flow: bool
) -> None:
    text = yaml.safe_dump(config, default_flow_style=flow or None, sort_keys=False, allow_unicode=True)
    fix = Fix(set=sets, unset=tuple(key for key in unset if key not in sets))
    expected = read(text).config
    assert expected is not None
    changed(expected, fix)
    assert apply(read(text), [fix]).config == expected or not expected


PREFIXED = """fsdp_config:
  # over both cards
  fsdp_offload_params: false   # there is room

  "fsdp_auto_wrap_policy": 'TRANSFORMER_BASED_WRAP'
  fsdp_transformer_layer_cls_to_wrap: LlamaDecoderLayer
  fsdp_state_dict_type: >-
    FULL_STATE_DICT
"""


def test_keys_that_are_only_called_otherwise_change_in_their_place() -> None:
    """Order, comments, blank lines, quotes and values stay the author's."""
    names = ("offload_params", "auto_wrap_policy", "transformer_layer_cls_to_wrap", "state_dict_type")
    reading = read(PREFIXED)
    assert reading.config is not None
    given = reading.config["fsdp_config"]
    fix = Fix(
        set={f"fsdp_config.{name}": given[f"fsdp_{name}"] for name in names},
        unset=tuple(f"fsdp_config.fsdp_{name}" for name in names),
    )
    mended = apply(reading, [fix])
    expected = PREFIXED.replace('"fsdp_auto_wrap_policy"', "auto_wrap_policy").replace(" fsdp_", " ")
    assert mended.text == expected
    assert mended.config == {"fsdp_config": {name: given[f"fsdp_{name}"] for name in names}}


@pytest.mark.parametrize(
    "fix",
    [
        Fix(set={"b": 2}, unset=("a",)),
        Fix(set={"c": {"y": 1}}, unset=("c.x",)),
        Fix(set={"d": 1}, unset=("nowhere",)),
        Fix(set={"e[0]": 1}, unset=("e[1]",)),
    ],
)
def test_what_is_more_than_another_name_is_still_put_right(fix: Fix) -> None:
    reading = read("a: 1\nc: {x: 1}\ne: [2, 1]\n")
    assert reading.config is not None
    config = dict(reading.config)
    changed(config, fix)
    assert apply(reading, [fix]).config == config


def test_new_keys_of_one_block_stand_as_the_fix_has_them() -> None:
    """In the same order whatever the run."""
    names = ("field_messages", "message_property_mappings", "zeta", "alpha")
    fix = Fix(set={f"datasets[0].{name}": "x" for name in names})
    mended = apply(read("datasets:\n  - path: a\n    type: b\n"), [fix])
    assert [line.strip().partition(":")[0] for line in mended.text.splitlines()[3:]] == list(names)
