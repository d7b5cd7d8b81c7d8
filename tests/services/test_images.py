"""What an estimate says of images, and where it reads how many and how large they are."""

from typing import Any

import pytest

from app.catalog.library import Catalog, load_catalog
from app.core.estimate import Estimate
from app.core.findings import Effect
from app.core.hardware import Hardware
from app.core.plan import Dataset, Wish
from app.services.checking import check_config
from app.services.comparing import compare
from app.services.estimating import estimate
from app.services.fitting import fit
from app.services.inputs import image_side, resolve_hardware
from app.services.planning import plan
from app.texts import LANGUAGES, texts

TUNED: dict[str, Any] = {
    "sequence_len": 2048,
    "adapter": "lora",
    "lora_r": 16,
    "lora_target_modules": r".*language_model\.layers\.\d+\.self_attn\.(q|k|v|o)_proj",
    "bf16": True,
    "gradient_checkpointing": True,
}
GEMMA = TUNED | {"base_model": "google/gemma-3-4b-it"}
QWEN = TUNED | {"base_model": "Qwen/Qwen2.5-VL-7B-Instruct"}
MISTRAL = TUNED | {"base_model": "mistralai/Mistral-Small-3.2-24B-Instruct-2506"}
SEEING = {"processor_type": "AutoProcessor", "skip_prepare_dataset": True, "remove_unused_columns": False}
DATA = {
    "datasets": [{"path": "a/b", "type": "chat_template"}],
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "learning_rate": 2e-4,
    "lora_alpha": 32,
    "num_epochs": 1,
}


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """The real one."""
    return load_catalog()


@pytest.fixture(scope="module")
def card(catalog: Catalog) -> Hardware:
    """One with room."""
    found = resolve_hardware(catalog=catalog, gpu="h100-sxm")
    assert found is not None
    return found


def said(found: Estimate) -> dict[str, dict[str, Any]]:
    """Findings by code, with their numbers."""
    return {each.message.code: dict(each.message.params) for each in found.findings}


def test_images_are_counted_where_a_processor_reads_them(catalog: Catalog) -> None:
    text, seen = (estimate(catalog=catalog, config=config) for config in (GEMMA, GEMMA | SEEING))
    assert "finding.text_alone" in said(text)
    numbers = said(seen)["finding.images_counted"]
    assert numbers == {"images": 1, "side": 896, "patches": 4096, "tokens": 256}
    assert "finding.text_alone" not in said(seen)
    assert not any(code.startswith("finding.memory_not_priced") for code in said(seen))
    assert seen.memory.allocated_peak_bytes > text.memory.allocated_peak_bytes


def test_the_data_says_how_many(catalog: Catalog) -> None:
    """None of them is text."""
    one, four, none = (
        estimate(catalog=catalog, config=GEMMA | SEEING, dataset=Dataset(images_per_row=count)) for count in (1, 4, 0)
    )
    assert one.memory.allocated_peak_bytes < four.memory.allocated_peak_bytes
    assert said(four)["finding.images_counted"]["images"] == 4
    assert "finding.text_alone" in said(none)


def test_more_images_than_a_row_holds_are_told(catalog: Catalog) -> None:
    found = estimate(catalog=catalog, config=GEMMA | SEEING, dataset=Dataset(images_per_row=9))
    assert said(found)["finding.images_longer"] == {"tokens": 2304, "given": 2048}


def test_the_size_is_the_file_s_then_the_data_s_then_taken(catalog: Catalog) -> None:
    """Of a model whose processor leaves images as they are."""

    def side(config: dict[str, Any], dataset: Dataset, code: str = "as_large") -> object:
        found = estimate(catalog=catalog, config=QWEN | SEEING | config, dataset=dataset)
        return said(found)[f"finding.images_counted_{code}"]["side"]

    assert side({}, Dataset(), "unsaid") == 1024
    assert side({}, Dataset(image_side=640)) == 640
    assert side({"image_size": 512}, Dataset(image_side=640)) == 512
    assert side({"image_size": 1024}, Dataset()) == 1024
    assert side({"image_size": [256, 1024]}, Dataset()) == 512
    assert side({"image_size": True}, Dataset(), "unsaid") == 1024


@pytest.mark.parametrize(("given", "side", "tokens"), [(20, 56, 4), (5000, 3556, 16129), (7168, 3584, 16384)])
def test_a_size_that_the_processor_changes_is_told(catalog: Catalog, given: int, side: int, tokens: int) -> None:
    """Of 5,000 pixels ``smart_resize`` makes a square less than it might: its floats come out below 3,584."""
    found = said(estimate(catalog=catalog, config=QWEN | SEEING | {"image_size": given}))
    numbers = found["finding.images_counted_resized"]
    assert (numbers["given"], numbers["side"], numbers["tokens"]) == (given, side, tokens)


def test_ends_of_lines_are_tokens_of_the_row(catalog: Catalog) -> None:
    """Mistral 3's images keep their size up to 1,540 pixels; 2,048 tokens hold one of them and not two."""
    unsaid = said(estimate(catalog=catalog, config=MISTRAL | SEEING))
    assert unsaid["finding.images_counted_unsaid"] == {"images": 1, "side": 1024, "patches": 5476, "tokens": 1406}
    assert "finding.images_longer" not in unsaid
    large = Dataset(images_per_row=2, image_side=3000)
    found = estimate(catalog=catalog, config=MISTRAL | SEEING, dataset=large)
    numbers = said(found)["finding.images_counted_resized"]
    assert numbers == {"images": 2, "given": 3000, "side": 1540, "patches": 12100, "tokens": 3080}
    assert said(found)["finding.images_longer"] == {"tokens": 6160, "given": 2048}
    one = estimate(catalog=catalog, config=MISTRAL | SEEING, dataset=Dataset(image_side=3000))
    assert one.memory.allocated_peak_bytes < found.memory.allocated_peak_bytes


def test_llava_s_images_are_counted(catalog: Catalog) -> None:
    """Whatever their size is said to be, its processor brings them to the tower's."""
    config = TUNED | SEEING | {"base_model": "llava-hf/llava-1.5-7b-hf"}
    found = said(estimate(catalog=catalog, config=config, dataset=Dataset(images_per_row=3, image_side=900)))
    assert found["finding.images_counted"] == {"images": 3, "side": 336, "patches": 576, "tokens": 576}
    assert not any(code.startswith("finding.memory_not_priced") for code in found)


def test_the_check_reads_the_size_as_the_estimate_does(catalog: Catalog) -> None:
    config = QWEN | SEEING | {"image_size": 3584, "datasets": [{"path": "there", "type": "chat_template"}]}
    checked = check_config(catalog=catalog, config=config)
    sizes = [f.message.params["side"] for f in checked.findings if f.code == "images_counted_as_large"]
    assert sizes == [3584]
    assert checked.estimate is not None
    assert checked.estimate.memory == estimate(catalog=catalog, config=config).memory


def test_a_variant_s_size_is_its_own(catalog: Catalog) -> None:
    """None takes the file's away."""
    config = QWEN | SEEING | {"image_size": 512}
    names = [{}, {"image_size": 2048}, {"image_size": None}, {"base_model": QWEN["base_model"], "image_size": 256}]
    for variant, found in zip(names, compare(catalog=catalog, config=config, variants=names), strict=True):
        assert found.estimate is not None
        alone = estimate(catalog=catalog, config=config | variant)
        assert found.estimate.memory == alone.memory
        assert said(found.estimate) == said(alone)
    peaks = {made.estimate.memory.allocated_peak_bytes for made in compare(catalog=catalog, config=config, variants=names)
             if made.estimate}  # fmt: skip
    assert len(peaks) == len(names)


@pytest.mark.parametrize(
    ("given", "pixels"), [(None, None), (512, 512), ([300, 1200], 600), ((4, 4), 4), ("512", 512), (" 512 ", 512), (512.0, 512), (["300", 1200.0], 600), ("512 px", None),
                          (512.5, None), ("512,512", None), ([1, 2, 3], None),
                          (0, None), ([0, 5], None), (1 << 20, None), (True, None), ([True, 9], None), (-5, None)]
)  # fmt: skip
def test_sides(given: object, pixels: int | None) -> None:
    assert image_side(given) == pixels


def test_a_model_that_is_not_described_is_priced_as_text(catalog: Catalog) -> None:
    config = TUNED | {"base_model": "LiquidAI/LFM2-VL-450M", "lora_target_modules": ["q_proj"]}
    found = estimate(catalog=catalog, config=config | SEEING)
    assert "finding.text_alone" in said(found)
    assert any(code.startswith("finding.memory_not_priced") for code in said(found))


@pytest.mark.parametrize(
    ("model", "code", "numbers"),
    [
        ("Qwen/Qwen2-VL-2B-Instruct", "as_large", {"side": 640, "patches": 46**2, "tokens": 23**2}),
        ("Qwen/Qwen2-VL-7B-Instruct", "as_large", {"side": 640, "patches": 46**2, "tokens": 23**2}),
        ("Qwen/Qwen3.5-4B", "as_large", {"side": 640, "patches": 1600, "tokens": 400}),
        ("Qwen/Qwen3.6-35B-A3B", "as_large", {"side": 640, "patches": 1600, "tokens": 400}),
        ("zai-org/GLM-4.1V-9B-Thinking", "as_large", {"side": 640, "patches": 46**2, "tokens": 23**2}),
        ("zai-org/GLM-4.5V", "as_large", {"side": 640, "patches": 46**2, "tokens": 23**2}),
        ("google/gemma-4-E2B-it", "", {"side": 768, "patches": 2520, "tokens": 256}),
        ("google/gemma-4-12B-it", "", {"side": 768, "patches": 280, "tokens": 256}),
        ("google/gemma-4-31B-it", "", {"side": 768, "patches": 2520, "tokens": 256}),
    ],
)
def test_each_family_s_images_are_counted(catalog: Catalog, model: str, code: str, numbers: dict[str, int]) -> None:
    """As its own processor makes them of what the data is said to hold; each image takes more."""
    config = TUNED | SEEING | {"base_model": model}
    two, three = (
        estimate(catalog=catalog, config=config, dataset=Dataset(images_per_row=count, image_side=640))
        for count in (2, 3)
    )
    assert said(two)["finding.images_counted" + (f"_{code}" if code else "")] == {"images": 2} | numbers
    assert not any(one.startswith("finding.memory_not_priced") for one in said(two))
    assert two.memory.allocated_peak_bytes < three.memory.allocated_peak_bytes


def test_a_tower_that_does_not_train_is_told(catalog: Catalog) -> None:
    """Qwen 3 VL's under reentrant checkpoints, which are Axolotl's own choice; not Qwen 2.5 VL's."""
    reached = SEEING | {"lora_target_modules": ["q_proj", "qkv"]}
    third = TUNED | {"base_model": "Qwen/Qwen3-VL-8B-Instruct"}
    asked = {"gradient_checkpointing_kwargs": {"use_reentrant": False}}
    for config, told in (
        (third | reached, True),
        (third | reached | asked, False),
        (third | reached | {"activation_offloading": True}, True),
        (third | reached | asked | {"activation_offloading": True}, False),
        (third | reached | {"freeze_mm_modules": True}, False),
        (third | SEEING, False),
        (QWEN | reached, False),
    ):
        assert ("finding.tower_cut_off" in said(estimate(catalog=catalog, config=config))) is told
        checked = check_config(catalog=catalog, config=config | DATA)
        if told:
            assert checked.verdict is Effect.MISLEADS
        assert ("tower_cut_off" in {finding.code for finding in checked.findings}) is told


def test_targets_that_are_not_there_reach_no_tower(catalog: Catalog) -> None:
    config = TUNED | SEEING | DATA | {"base_model": "Qwen/Qwen3-VL-8B-Instruct", "lora_target_modules": ["nothing"]}
    assert "tower_cut_off" not in {finding.code for finding in check_config(catalog=catalog, config=config).findings}


def test_a_tower_that_trains_in_fp16_does_not_run(catalog: Catalog) -> None:
    """Beside an embedding that Axolotl keeps in fp32, where images reach it."""
    parts = ["model.language_model.embed_tokens", "model.vision_tower"]
    config = {"base_model": "google/gemma-3-4b-it", "fp16": True, "unfrozen_parameters": parts, "sequence_len": 2048}
    for more, told in ((SEEING, True), ({}, False)):
        found = check_config(catalog=catalog, config=config | DATA | more).findings
        assert ("fp16_weights" in {finding.code for finding in found}) is told


def test_searches_and_comparisons_count_them_too(catalog: Catalog, card: Hardware) -> None:
    config, dataset = GEMMA | SEEING, Dataset(images_per_row=3)
    alone = estimate(catalog=catalog, config=config, hardware=card, dataset=dataset).memory
    fitted = fit(catalog=catalog, config=config, model=None, hardware=card, vary=["micro_batch_size"], dataset=dataset)
    assert fitted.estimate is not None
    assert fitted.estimate.memory.allocated_peak_bytes == alone.allocated_peak_bytes
    variants = [{}, {"base_model": "google/gemma-3-12b-it"}]
    found = compare(catalog=catalog, config=config, hardware=card, variants=variants, dataset=dataset)
    assert found[0].estimate is not None and found[1].estimate is not None
    assert found[0].estimate.memory.allocated_peak_bytes == alone.allocated_peak_bytes
    assert said(found[1].estimate)["finding.images_counted"]["images"] == 3


def test_a_plan_counts_them(catalog: Catalog, card: Hardware) -> None:
    wish = Wish(overrides=SEEING | {"sample_packing": False}, dataset=Dataset(images_per_row=2))
    found = plan(catalog=catalog, base_model="google/gemma-3-4b-it", model=None, hardware=card, wish=wish)
    assert said(found.estimate)["finding.images_counted"]["images"] == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_is_said_in_both_languages(catalog: Catalog, language: str) -> None:
    found = estimate(catalog=catalog, config=GEMMA | SEEING, dataset=Dataset(images_per_row=9))
    words = texts(language)
    for each in found.findings:
        if "images" in each.message.code:
            assert "2,304" in words.render(each.message) or "4,096" in words.render(each.message)
