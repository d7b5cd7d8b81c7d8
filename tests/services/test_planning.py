"""Plans: what is recommended, that it fits or says so, and that a person's own values stand."""

import pytest
import yaml

from app.catalog.library import Catalog, load_catalog
from app.core.errors import InvalidInput
from app.core.plan import Goal, Install, Outcome, Plan, Priority, Wish
from app.services.inputs import resolve_hardware
from app.services.planning import plan
from app.services.writing import write_yaml
from app.texts import texts

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The product's own."""
    return load_catalog()


def planned(
    catalog: Catalog, model: str = LLAMA, gpu: str | None = "rtx-4090", vram: float | None = None, **wish: object
) -> Plan:
    """A plan for ``model`` on ``gpu`` or a card of ``vram`` GiB."""
    hardware = resolve_hardware(catalog=catalog, gpu=None if vram else gpu, vram_gib=vram)
    assert hardware is not None
    return plan(catalog=catalog, base_model=model, model=None, hardware=hardware, wish=Wish(**wish))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gpu", "priority", "method"),
    [
        ("rtx-4060", Priority.BALANCED, "qlora"),
        ("rtx-4090", Priority.BALANCED, "lora"),
        ("rtx-4090", Priority.QUALITY, "dora"),
        ("rtx-4090", Priority.MEMORY, "qlora"),
        ("h200-sxm", Priority.QUALITY, "full"),
    ],
)
def test_the_leaf_is_what_is_planned(catalog: Catalog, gpu: str, priority: Priority, method: str) -> None:
    """Without a wish of one's own the decision is the method."""
    found = planned(catalog, gpu=gpu, priority=priority)
    assert (found.method, found.decision.leaf) == (method, method)


def test_a_plan_that_is_said_to_fit_fits(catalog: Catalog) -> None:
    """The estimate's own numbers."""
    found = planned(catalog)
    assert found.outcome is Outcome.FITS
    assert found.estimate.capacity_bytes is not None
    assert found.estimate.memory.process_bytes <= found.estimate.capacity_bytes
    assert found.estimate.headroom_bytes == found.estimate.capacity_bytes - found.estimate.memory.process_bytes


def test_where_nothing_fits_the_smallest_gpu_is_named(catalog: Catalog) -> None:
    """An answer, not an error."""
    found = planned(catalog, model="meta-llama/Llama-3.3-70B-Instruct", gpu="rtx-4060")
    assert found.outcome is Outcome.DOES_NOT_FIT
    assert any(f.code == "smallest_gpu" for f in found.findings)


def test_nothing_fits_anywhere(catalog: Catalog) -> None:
    """A model too large for any single card."""
    found = planned(catalog, model="deepseek-ai/DeepSeek-R1", gpu="rtx-4060")
    assert any(f.code in ("fits_no_gpu", "smallest_gpu") for f in found.findings)


def test_knobs_shrink_until_the_plan_fits(catalog: Catalog) -> None:
    """What was lowered is said."""
    found = planned(catalog, model="mistralai/Mistral-7B-v0.3", gpu="rtx-3060-laptop")
    assert found.outcome is Outcome.FITS
    assert any(f.code == "made_to_fit" for f in found.findings) or found.config["sequence_len"] == 2048


def test_own_values_are_kept(catalog: Catalog) -> None:
    """An override wins over the template and over fitting."""
    found = planned(catalog, gpu="rtx-4060", overrides={"lora_r": 128, "sequence_len": 4096, "micro_batch_size": 2})
    assert (found.config["lora_r"], found.config["sequence_len"], found.config["micro_batch_size"]) == (128, 4096, 2)


def test_a_plan_is_of_one_model(catalog: Catalog) -> None:
    """Another model among the own keys is refused; a path to a copy of the model is kept."""
    with pytest.raises(InvalidInput) as error:
        planned(catalog, overrides={"base_model": "Qwen/Qwen3-4B"})
    assert [fault.pointer for fault in error.value.errors] == ["/overrides/base_model"]
    for kept in ("./models/llama", LLAMA):
        assert planned(catalog, overrides={"base_model": kept}).config["base_model"] == kept


def test_own_method_is_kept_and_said(catalog: Catalog) -> None:
    """With what the tree would have taken."""
    found = planned(catalog, overrides={"adapter": "qlora", "load_in_4bit": True})
    assert found.method == "qlora"
    assert any(f.code == "own_method" for f in found.findings)
    assert {other.method for other in found.alternatives} == {"lora", "dora", "full"}
    assert all(other.config.get("adapter") != "qlora" for other in found.alternatives)


@pytest.mark.parametrize(
    ("overrides", "method"),
    [
        ({"adapter": None}, "full"),
        ({"adapter": "qlora", "load_in_4bit": True, "peft_use_dora": True}, "qdora"),
        ({"adapter": "lora", "relora": True}, "relora"),
        ({"adapter": "lora", "peft": {"loftq_config": {"loftq_bits": 4}}}, "loftq"),
        ({"peft_use_dora": True}, "dora"),
        ({"adapter": "lora"}, "lora"),
    ],
)
def test_each_method_can_be_asked_for(catalog: Catalog, overrides: dict[str, object], method: str) -> None:
    """By its own keys."""
    assert planned(catalog, overrides=overrides).method == method


@pytest.mark.parametrize("goal", list(Goal))
@pytest.mark.parametrize("install", list(Install))
def test_every_goal_writes_a_file_that_reads_back(catalog: Catalog, goal: Goal, install: Install) -> None:
    """In both languages, comments or not, the configuration is the same."""
    found = planned(catalog, goal=goal, install=install)
    for language in ("en", "my"):
        for comments in (True, False):
            assert yaml.safe_load(write_yaml(found.config, texts(language), comments=comments)) == found.config


def test_neftune_is_for_supervised_goals(catalog: Catalog) -> None:
    """Axolotl's preference trainers ignore it."""
    assert "neftune_noise_alpha" in planned(catalog, goal=Goal.CHAT).config
    assert "neftune_noise_alpha" not in planned(catalog, goal=Goal.DPO).config


def test_old_cards_get_fp16_and_no_flash_attention(catalog: Catalog) -> None:
    """Turing has neither bf16 nor FlashAttention 2."""
    config = planned(catalog, gpu="t4").config
    assert (config["bf16"], config["fp16"], config["attn_implementation"]) == (False, True, "sdpa")


@pytest.mark.parametrize(
    ("vram", "answer"),
    [
        (7.9, "under_8"),
        (8, "from_8_to_16"),
        (15.9, "from_8_to_16"),
        (16, "from_16_to_24"),
        (23.9, "from_16_to_24"),
        (24, "from_24_to_48"),
        (47.9, "from_24_to_48"),
        (48, "from_48"),
    ],
)
def test_typed_vram_is_what_the_tree_reads(catalog: Catalog, vram: float, answer: str) -> None:
    """The guide's ranges, from a card given by its size."""
    assert planned(catalog, vram=vram).decision.path[0].answer.code == f"tree.vram.{answer}.answer"


def test_own_values_that_do_not_fit_are_told_together(catalog: Catalog) -> None:
    """One change at a time would not do, so there is one fix for all; what it gives fits."""
    kept = {
        "adapter": "lora",
        "lora_r": 64,
        "sequence_len": 8192,
        "micro_batch_size": 4,
        "optimizer": "adamw_torch",
    }
    made = planned(catalog, overrides=kept)
    (said,) = [found for found in made.findings if found.code == "kept_do_not_fit"]
    assert made.outcome is Outcome.DOES_NOT_FIT
    assert said.fix is not None
    assert set(said.fix.set) == {"micro_batch_size", "optimizer"}
    assert planned(catalog, overrides={**kept, **said.fix.set}).outcome is Outcome.FITS


@pytest.mark.parametrize(
    ("model", "named"),
    [
        ("mistralai/Devstral-Small-2-24B-Instruct-2512", "FineGrainedFP8Config"),
        ("openai/gpt-oss-20b", "Mxfp4Config"),
        ("mistralai/Ministral-3-8B-Base-2512", None),
    ],
)
def test_what_is_published_quantised_is_unpacked(catalog: Catalog, model: str, named: str | None) -> None:
    """And never quantised a second time, which Transformers refuses."""
    made = planned(catalog, model, gpu="rtx-4090", priority=Priority.MEMORY)
    assert made.config.get("model_quantization_config") == named
    assert made.method == ("qlora" if named is None else "lora")
    assert not {"packed_checkpoint", "packed_training", "not_priced"} & {found.code for found in made.findings}
