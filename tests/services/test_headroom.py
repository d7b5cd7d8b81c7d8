"""Headroom: one meaning in plans, in what is named where nothing fits, and in a person's own method."""

from typing import Any

import pytest

from app.catalog.library import Catalog
from app.core.estimate import Time, Verdict
from app.core.findings import Finding
from app.core.hardware import Hardware
from app.core.plan import Goal, Outcome, Plan, Priority, Wish
from app.core.timing import Pace
from app.services.inputs import resolve_hardware
from app.services.planning import plan
from app.texts import texts

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
LARGE = "meta-llama/Llama-3.3-70B-Instruct"
LORA: dict[str, Any] = {"adapter": "lora"}
FULL: dict[str, Any] = {"adapter": None}


def planned(catalog: Catalog, model: str, gpu: str, vram_gib: float | None = None, **wish: Any) -> Plan:
    """A plan for a catalogued card."""
    hardware = resolve_hardware(catalog=catalog, gpu=gpu, vram_gib=vram_gib)
    assert hardware is not None
    return plan(catalog=catalog, base_model=model, model=None, hardware=hardware, wish=Wish(**wish))


def found(made: Plan, code: str) -> Finding:
    """The finding with this code."""
    return next(finding for finding in made.findings if finding.code == code)


def codes(made: Plan) -> set[str]:
    """What a plan says."""
    return {finding.code for finding in made.findings}


@pytest.mark.parametrize(
    ("gpu", "overrides", "method", "instead"),
    [
        ("rtx-3060-12gb", LORA, "LoRA", "qlora"),
        ("rtx-4090", FULL, "Full fine-tuning", "lora"),
        ("rtx-3060-12gb", LORA | {"peft_use_dora": True}, "DoRA", "qlora"),
    ],
)
def test_a_kept_method_that_does_not_fit_names_one_that_does(
    catalog: Catalog, gpu: str, overrides: dict[str, Any], method: str, instead: str
) -> None:
    """With what that takes, by keys that switch to it; and nothing is said of other models."""
    made = planned(catalog, LLAMA, gpu, overrides=overrides)
    assert made.outcome is Outcome.DOES_NOT_FIT
    said = found(made, "own_method_too_large")
    assert said.fix is not None
    switched = {key: value for key, value in overrides.items() if key not in said.fix.unset} | dict(said.fix.set)
    other = planned(catalog, LLAMA, gpu, overrides=switched)
    assert (other.method, other.estimate.verdict) == (instead, Verdict.FITS)
    assert said.message.params["process_bytes"] == other.estimate.memory.process_bytes
    english = texts("en").render(said.message)
    assert english.startswith(f"With {method} kept nothing fits")
    assert method in texts("my").render(said.message)
    assert not codes(made) & {"smallest_gpu", "relative_model", "largest_model"}
    assert found(made, "smallest_gpu_method").message.params["method"] == method


@pytest.mark.parametrize(
    ("model", "gpu", "overrides"),
    [
        (LARGE, "rtx-4060", {}),
        (LARGE, "rtx-4090", LORA),
        (LLAMA, "rtx-3060-12gb", LORA),
        (LLAMA, "rtx-4090", FULL),
        ("Qwen/Qwen2.5-32B-Instruct", "t4", {}),
        (LLAMA, "rtx-4090", {"sequence_len": 32768, "micro_batch_size": 4}),
        ("google/gemma-3-12b-it", "rx-7900-xtx", FULL),
    ],
)
def test_the_smallest_gpu_named_has_headroom(catalog: Catalog, model: str, gpu: str, overrides: dict[str, Any]) -> None:
    """The plan there fits by all of its range; on the next smaller card of the maker it does not."""
    made = planned(catalog, model, gpu, overrides=overrides)
    named = next(f for f in made.findings if f.code.startswith("smallest_gpu"))
    row = next(row for row in catalog.gpus.rows if row.name == named.message.params["gpu"])
    kept = overrides or {"adapter": made.config["adapter"], "load_in_4bit": True}
    there = planned(catalog, model, row.id, overrides=kept)
    assert there.estimate.verdict is Verdict.FITS
    assert row.vendor is catalog.gpus.get(gpu).vendor
    tight = [f for f in made.findings if f.code == "tight_gpu"]
    if tight:
        row = next(row for row in catalog.gpus.rows if row.name == tight[0].message.params["gpu"])
        assert planned(catalog, model, row.id, overrides=kept).estimate.verdict is Verdict.TIGHT


@pytest.mark.parametrize(
    ("model", "gpu", "goal"),
    [
        (LARGE, "rtx-4060", Goal.CHAT),
        ("Qwen/Qwen2.5-72B-Instruct", "rtx-3060-12gb", Goal.CHAT),
        ("meta-llama/Llama-3.1-70B", "rtx-4060", Goal.CONTINUED_PRETRAINING),
    ],
)
def test_models_named_in_its_place_fit_with_headroom(catalog: Catalog, model: str, gpu: str, goal: Goal) -> None:
    """A smaller one of the family, about as new and as talkative; and the largest at all."""
    made = planned(catalog, model, gpu, goal=goal)
    asked = catalog.models.get(model)
    for code in ("relative_model", "largest_model"):
        said = found(made, code)
        assert said.fix is not None
        row = catalog.models.get(str(said.fix.set["base_model"]))
        assert planned(catalog, row.id, gpu, goal=goal).estimate.verdict is Verdict.FITS
        if code == "relative_model":
            assert row.family == asked.family
            assert row.released is None or int(row.released[:4]) >= int((asked.released or "0")[:4]) - 1
        if goal is Goal.CHAT:
            assert row.chat_template is not None


def test_models_are_named_for_the_method_that_is_kept(catalog: Catalog) -> None:
    """What QLoRA would train is no help to who keeps LoRA."""
    made = planned(catalog, LARGE, "rtx-4060", overrides=LORA)
    said = found(made, "largest_model")
    assert said.message.params["method"] == "LoRA"
    assert said.fix is not None
    there = planned(catalog, str(said.fix.set["base_model"]), "rtx-4060", overrides=LORA)
    assert there.estimate.verdict is Verdict.FITS


@pytest.mark.parametrize(
    ("model", "gpu", "wish"),
    [
        ("google/gemma-2-9b", "rtx-3070", {}),
        ("bigcode/starcoder2-15b", "rtx-4070", {}),
        (LLAMA, "rtx-4090", {"overrides": {"adapter": "prefix_tuning"}}),
    ],
)
def test_a_tight_plan_says_which_length_would_not_be(
    catalog: Catalog, model: str, gpu: str, wish: dict[str, Any]
) -> None:
    """Everything else as it is; and where no length would, that it is tight."""
    made = planned(catalog, model, gpu, **wish)
    assert made.estimate.verdict is Verdict.TIGHT
    said = codes(made) & {"tight", "tight_but_shorter"}
    assert len(said) == 1
    shorter = [f for f in made.findings if f.code == "tight_but_shorter"]
    for finding in shorter:
        assert finding.fix is not None
        own = wish.get("overrides", {})
        again = planned(catalog, model, gpu, overrides={**own, **finding.fix.set})
        differ = {key for key in {**again.config, **made.config} if again.config.get(key) != made.config.get(key)}
        assert differ == {"sequence_len"}
        assert again.estimate.verdict is Verdict.FITS


@pytest.mark.parametrize("model", ["Qwen/Qwen3-0.6B", "meta-llama/Llama-3.2-1B-Instruct", "Qwen/Qwen2.5-3B-Instruct"])
def test_nothing_is_given_up_where_there_is_room(catalog: Catalog, model: str) -> None:
    """Full fine-tuning with plain AdamW on 80 GB, nothing changed; 8 bits and pages where the card needs them."""
    made = planned(catalog, model, "a100-80gb-sxm", priority=Priority.QUALITY)
    assert (made.method, made.changes) == ("full", ())
    assert made.config["optimizer"] == "adamw_torch_fused"
    short = planned(catalog, LLAMA, "rtx-6000-ada", priority=Priority.QUALITY)
    assert (short.method, short.config["optimizer"]) == ("full", "paged_adamw_8bit")


def test_speed_first_checkpoints_only_where_it_must(catalog: Catalog) -> None:
    """On a card with room no activation is computed twice, which is faster; on one without it is."""
    roomy = planned(catalog, LLAMA, "h200-sxm", priority=Priority.SPEED)
    usual = planned(catalog, LLAMA, "h200-sxm")
    assert not roomy.config.get("gradient_checkpointing")
    assert roomy.estimate.verdict is Verdict.FITS
    pace = Pace.between(roomy.estimate.time, usual.estimate.time)
    assert pace is not None
    assert pace.kind == "faster"
    small = planned(catalog, LLAMA, "rtx-4090", priority=Priority.SPEED)
    assert small.config["gradient_checkpointing"] is True
    assert [change.key for change in small.changes][:1] == ["gradient_checkpointing"]


def time_of(made: Plan) -> Time:
    """How long it takes, which is known for catalogued cards."""
    assert made.estimate.time is not None
    return made.estimate.time


@pytest.mark.parametrize(("model", "gpu"), [(LLAMA, "rtx-4090"), ("Qwen/Qwen3-0.6B", "rtx-4060"), (LARGE, "h200-sxm")])
def test_roads_not_taken_say_their_pace_and_what_was_cut(catalog: Catalog, model: str, gpu: str) -> None:
    """By the same times that every page shows, and the keys that fitting changed."""
    made = planned(catalog, model, gpu)
    for other in made.alternatives:
        if not other.estimate.fits:
            assert (other.pace, other.changes) == (None, ())
            continue
        assert other.estimate.time is not None
        ratio = time_of(made).tokens_per_second / other.estimate.time.tokens_per_second
        kind = "same" if abs(ratio - 1) < 0.02 else "slower" if ratio > 1 else "faster"
        kind = f"times_{kind}" if ratio >= 2 or ratio <= 0.5 else kind
        assert other.pace is not None
        assert other.pace.code == f"alternative.pace.{kind}"
        for change in other.changes:
            assert other.config.get(change.key) == change.after != change.before
        for language in ("en", "my"):
            assert "{" not in texts(language).render(other.pace)
        assert "slower" not in texts("en").render(other.reason)


def test_a_quantised_checkpoint_is_offered_no_quantisation(catalog: Catalog) -> None:
    """Transformers refuses to quantise gpt-oss again."""
    made = planned(catalog, "openai/gpt-oss-20b", "a100-80gb-sxm")
    assert "qlora" not in {other.method for other in made.alternatives}


@pytest.mark.parametrize("own", [{}, {"peft_config": {"prefix_projection": False}}])
def test_prefixes_say_why_nothing_is_checkpointed_or_packed(catalog: Catalog, own: dict[str, Any]) -> None:
    """PEFT's own refusal, with the line that holds it; fitting never turns it on."""
    for gpu in ("rtx-4090", "rtx-4060"):
        made = planned(catalog, "meta-llama/Llama-3.2-3B", gpu, overrides={"adapter": "prefix_tuning"} | own)
        assert not made.config.get("gradient_checkpointing")
        assert "activation_offloading" not in made.config
        for code in ("prefix_without_checkpointing", "virtual_tokens_unpacked"):
            assert str(found(made, code).message.params["source"]).startswith("https://github.com/huggingface/peft/")


@pytest.mark.parametrize(("vram_gib", "method"), [(11, "qlora"), (23, "lora"), (48, "lora")])
def test_memory_beside_a_gpu_is_what_there_is_of_it(catalog: Catalog, vram_gib: float, method: str) -> None:
    """The tree reads what was typed; kernels and speed are the card's; a note says so."""
    made = planned(catalog, LLAMA, "rtx-4090", vram_gib)
    assert made.estimate.capacity_bytes == vram_gib * 2**30
    assert made.method == method
    assert "vram_as_typed" in codes(made)
    assert "card_memory" not in codes(made)
    whole = planned(catalog, LLAMA, "rtx-4090", overrides={"adapter": made.config["adapter"], "load_in_4bit": True})
    assert made.estimate.time is not None
    if method == "qlora":
        assert time_of(whole).tokens_per_second == pytest.approx(made.estimate.time.tokens_per_second, rel=0.2)


def test_a_card_with_memory_typed_stays_the_card(catalog: Catalog) -> None:
    """But for how much there is of it."""
    card = catalog.gpus.get("rtx-4090").hardware()
    typed = card.with_memory(20)
    assert isinstance(typed, Hardware)
    assert typed.name == "GeForce RTX 4090 (20\u00a0GiB)"
    assert (typed.capacity_bytes, typed.marketed_memory_gb, typed.offered_bytes) == (
        20 << 30,
        20.0,
        card.capacity_bytes,
    )
    assert (typed.gpu_id, typed.bf16_flops, typed.compute_capability) == ("rtx-4090", card.bf16_flops, (8, 9))
