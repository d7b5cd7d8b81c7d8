"""Checking whole files: the verdict, the lines, the mended text and its estimate."""

from collections import Counter
from importlib import import_module
from itertools import chain, islice
from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.axolotl.fixing import LEAST_ENTRIES, MOST_LOOKED_AT
from app.core.axolotl.rules import MOST_SUGGESTIONS
from app.core.findings import MOST_ALIKE, Effect
from app.core.plan import Install
from app.services.checking import MOST_ROUNDS, check_config, check_text, plain
from app.services.inputs import resolve_hardware
from app.services.reading import MOST_ENTRIES
from app.texts import texts
from tests.conformance.largest import of_datasets, of_keys

GOOD = """base_model: meta-llama/Llama-3.1-8B-Instruct
datasets:
  - path: a/b
    type: alpaca
adapter: qlora
load_in_4bit: true
lora_r: 16
lora_alpha: 32
lora_target_modules: [q_proj, v_proj]
sequence_len: 2048
attn_implementation: flash_attention_2
sample_packing: true
gradient_checkpointing: true
learning_rate: 0.0002
"""


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real one."""
    return load_catalog()


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ("", Effect.OK),
        ("relora_steps: 200\n", Effect.MISLEADS),
        ("optimizer: lion_pytorch\n", Effect.FAILS_AT_RUN),
        ("load_in_8bit: true\n", Effect.REJECTED),
    ],
)
def test_the_verdict_is_the_gravest_effect(catalog: Catalog, change: str, verdict: Effect) -> None:
    found = check_text(catalog=catalog, text=GOOD + change)
    assert found.verdict is verdict
    assert found.valid is (verdict is not Effect.REJECTED)
    if change:
        assert any(f.line == GOOD.count("\n") + 1 and f.effect is verdict for f in found.findings)


def test_safe_fixes_are_applied_and_the_mended_file_is_estimated(catalog: Catalog) -> None:
    hardware = resolve_hardware(catalog=catalog, gpu="rtx-4090")
    old = GOOD.replace("attn_implementation: flash_attention_2", "flash_attention: true  # fast").replace(
        "0.0002", "2e-4"
    )
    found = check_text(catalog=catalog, text=old, hardware=hardware)
    assert "attn_implementation: flash_attention_2  # fast\n" in found.mended.text
    assert "learning_rate: 0.0002\n" in found.mended.text
    assert found.estimate is not None
    assert found.estimate.fits
    assert check_text(catalog=catalog, text=found.mended.text, hardware=hardware).safe_fixes == ()


def test_a_switch_where_a_word_belongs_is_mended_as_written(catalog: Catalog) -> None:
    found = check_text(catalog=catalog, text=GOOD + "save_strategy: no\nwandb_mode: off\n")
    assert found.verdict is Effect.REJECTED
    assert (found.mended.config or {})["save_strategy"] == "no"
    assert (found.mended.config or {})["wandb_mode"] == "off"
    assert check_text(catalog=catalog, text=found.mended.text).valid


def test_an_unknown_model_is_a_note_and_no_estimate(catalog: Catalog) -> None:
    found = check_text(catalog=catalog, text=GOOD.replace("Llama-3.1-8B-Instruct", "Nothing-9B"))
    assert found.verdict is Effect.OK
    assert found.estimate is None
    assert any(f.code.startswith("model_unknown") and f.line == 1 for f in found.findings)


def test_what_depends_on_the_model_needs_it_known(catalog: Catalog) -> None:
    targets = GOOD.replace("[q_proj, v_proj]", "[q_proj, Wqkv]")
    checked = check_text(catalog=catalog, text=targets)
    assert {f.code: f for f in checked.findings}["targets_some"].line == 9
    alone = check_text(catalog=catalog, text=GOOD.replace("[q_proj, v_proj]", "[q_proj]")).estimate
    assert checked.estimate is not None and alone is not None
    assert checked.estimate.memory == alone.memory
    beyond = GOOD.replace("2048", "999999")
    assert "beyond_context" in {f.code for f in check_text(catalog=catalog, text=beyond).findings}
    template = check_text(catalog=catalog, text=GOOD + "chat_template: gemma\n")
    assert "template_foreign" in {f.code for f in template.findings}


def test_a_pip_install_lacks_what_the_image_has(catalog: Catalog) -> None:
    assert "pip_flash" in {f.code for f in check_text(catalog=catalog, text=GOOD, install=Install.PIP).findings}


def test_a_configuration_is_checked_like_its_file(catalog: Catalog) -> None:
    config = {"base_model": "Qwen/Qwen3-4B", "adapter": "prefix_tuning", "peft_config": {"num_virtual_tokens": 20}}
    found = check_config(catalog=catalog, config=config)
    assert found.verdict is Effect.REJECTED
    assert {"adapter_not_axolotl", "datasets_missing", "key_missing"} <= {f.code for f in found.findings}


def test_whatever_yaml_holds_json_holds() -> None:
    text = "a: 2024-01-01\nb: .nan\nc: !!binary aGk=\nd: !!set {x, y}\n1: e\nf: 123456789012345678901234567890\n"
    from app.services.reading import read

    assert plain(read(text).config) == {
        "a": "2024-01-01",
        "b": "nan",
        "c": "aGk=",
        "d": ["x", "y"],
        "1": "e",
        "f": "123456789012345678901234567890",
    } or set(plain(read(text).config)["d"]) == {"x", "y"}


def many(line: str, count: int, head: str = "") -> str:
    """A file with ``count`` lines like this."""
    return (
        "base_model: meta-llama/Llama-3.1-8B\nadapter: lora\nlora_r: 16\nlora_alpha: 32\nlora_target_linear: true\n"
        "learning_rate: 0.0002\n" + head + "".join(line.format(n=n) for n in range(count))
    )


def test_of_many_findings_of_a_kind_the_first_are_told_and_the_rest_counted(catalog: Catalog) -> None:
    text = many("  - path: a\n    type: alpaca\n    zzz{n}: 1\n", 130, "datasets:\n")
    found = [f for f in check_text(catalog=catalog, text=text).findings if f.code in ("unknown_key", "more_alike")]
    assert [f.code for f in found] == ["unknown_key"] * MOST_ALIKE + ["more_alike"]
    more = found[-1]
    assert more.message.params == {"count": 130 - MOST_ALIKE, "alike": "unknown_key"}
    assert (more.key, more.effect) == (f"datasets[{MOST_ALIKE}].zzz{MOST_ALIKE}", found[0].effect)
    assert more.line == text.split("\n").index(f"    zzz{MOST_ALIKE}: 1") + 1
    assert texts("en").render(more.message).startswith("80 more like the ones before")


def test_findings_that_are_too_many_altogether_are_counted(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.checking.MOST_FINDINGS", 80)
    keys = sorted(catalog.axolotl.keys)
    config = "".join(f"{key}: true\n" for key in keys if key != "base_model")
    found = check_text(catalog=catalog, text="base_model: meta-llama/Llama-3.1-8B\n" + config).findings
    more = [f for f in found if f.code == "more_findings"]
    assert len(more) == 1
    assert more[0].message.params["count"] > 0  # type: ignore[operator] # a count is an integer
    assert {"rejected"} <= {f.effect.value for f in found}
    assert texts("my").render(more[0].message)


def test_the_time_of_a_crafted_file_is_bounded_by_steps(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long: few searches for the nearest key, few readings of the text, few looks of the rules."""
    calls: Counter[str] = Counter()

    def counted(module: str, name: str) -> None:
        real = import_module(module).__dict__[name]

        def call(*given: Any, **named: Any) -> Any:
            calls[name] += 1
            return real(*given, **named)

        monkeypatch.setattr(f"{module}.{name}", call)

    counted("app.core.axolotl.rules", "nearest")
    counted("app.core.axolotl.rules", "_look")
    counted("app.services.checking", "read")
    counted("app.services.mending", "read")
    for name, text in chain(islice(of_datasets(catalog.axolotl), 3), islice(of_keys(catalog.axolotl), 2)):
        calls.clear()
        check_text(catalog=catalog, text=text)
        looks = calls["_look"]
        assert calls["nearest"] <= 2 * MOST_SUGGESTIONS * looks, name  # a form is settled by looking twice
        assert calls["read"] <= 1 + 2 * MOST_ROUNDS, name
        assert looks <= 1 + MOST_ROUNDS + MOST_LOOKED_AT // LEAST_ENTRIES * MOST_ROUNDS, name


def test_keys_in_json_are_as_many_as_a_file_may_hold(catalog: Catalog) -> None:
    config = {"base_model": "meta-llama/Llama-3.1-8B", **{f"key_{n}": n for n in range(MOST_ENTRIES)}}
    found = check_config(catalog=catalog, config=config)
    assert [f.code for f in found.findings] == ["yaml_many"]
    assert found.reading.config is None


def test_two_misspelt_plugins_are_put_right_together(catalog: Catalog) -> None:
    text = many(
        "",
        0,
        "datasets:\n  - path: a\n    type: alpaca\nplugins:\n  - axolotl.integrations.ligerr.LigerPlugin\n"
        "  - axolotl.integrations.cut_cross_entropi.CutCrossEntropyPlugin\n",
    )
    found = [f for f in check_text(catalog=catalog, text=text).findings if f.code == "plugin_unknown"]
    assert [f.fix is not None for f in found] == [True, False]
    assert found[0].fix is not None
    assert found[0].fix.set == {
        "plugins": [
            "axolotl.integrations.liger.LigerPlugin",
            "axolotl.integrations.cut_cross_entropy.CutCrossEntropyPlugin",
        ]
    }


def test_a_key_that_looks_like_another_is_told_once(catalog: Catalog) -> None:
    """What stands there says more than that Axolotl does not know such a key."""
    text = "base_model: a/b\ndatasets:\n  - path: a\n\u00a0\u00a0type: b\n"
    found = [f.code for f in check_text(catalog=catalog, text=text).findings if f.key and "type" in f.key]
    assert found == ["key_space"]


def test_what_the_estimate_says_of_a_key_stands_beside_what_a_rule_says_of_it(catalog: Catalog) -> None:
    change = """micro_batch_size: 1
eval_batch_size: 4
val_set_size: 0.1
plugins:
  - axolotl.integrations.liger.LigerPlugin
liger_fused_linear_cross_entropy: true
"""
    found = check_text(catalog=catalog, text=GOOD + change).findings
    of_rows = [finding for finding in found if finding.key == "eval_batch_size"]
    assert [finding.code for finding in of_rows] == ["eval_batch", "liger_evaluates_rows"]
    assert {finding.line for finding in of_rows} == {GOOD.count("\n") + 2}


@pytest.mark.parametrize(
    ("base", "type_", "own", "written", "fixed"),
    [
        ("meta-llama/Llama-3.1-8B", "chat_template", None, "", "chat_template"),
        ("meta-llama/Llama-3.1-8B", "chat_template", None, "chat_template: tokenizer_default", "chat_template"),
        ("meta-llama/Llama-3.1-8B", "chat_template", "tokenizer_default", "", "datasets[0].chat_template"),
        ("meta-llama/Llama-3.1-8B", "chat_template", None, "chat_template: llama3", None),
        ("meta-llama/Llama-3.1-8B", "chat_template", "llama3", "", None),
        ("meta-llama/Llama-3.1-8B", "alpaca", None, "", None),
        ("meta-llama/Llama-3.1-8B-Instruct", "chat_template", None, "", None),
        ("LiquidAI/LFM2-1.2B", "chat_template", None, "", None),
        ("nobody/Nothing-8B", "chat_template", None, "", None),
        ("meta-llama/Llama-3.1-8B", "chat_template", None, "chat_template_jinja: x", None),
        ("meta-llama/Llama-3.1-8B", "chat_template", "tokenizer_default\n    chat_template_jinja: x", "", None),
        ("meta-llama/Llama-3.1-8B", "chat_template", None, "tokenizer_config: some/other", None),
        ("Qwen/Qwen3-8B-Base", "chat_template", None, "", None),
    ],
)
def test_conversations_want_a_template_that_a_base_model_may_lack(
    catalog: Catalog, base: str, type_: str, own: str | None, written: str, fixed: str | None
) -> None:
    block = f"type: {type_}" + (f"\n    chat_template: {own}" if own else "")
    text = GOOD.replace("meta-llama/Llama-3.1-8B-Instruct", base).replace("type: alpaca", block) + written
    found = [finding for finding in check_text(catalog=catalog, text=text).findings if finding.code == "template_own"]
    assert [list(finding.fix.set) for finding in found if finding.fix] == ([[fixed]] if fixed else [])
    assert all(finding.line == 4 and finding.effect is Effect.OK for finding in found)
