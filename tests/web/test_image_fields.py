"""How many images a row holds and how large they are: asked where figures depend on it, and kept in the address."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.catalog.library import Catalog
from app.core.architectures import describe
from app.core.plan import Dataset
from app.services.estimating import estimate
from app.texts import texts
from app.web.image_fields import asked_of
from app.web.memory_bar import gib
from tests.core.memory.recordings import recorded
from tests.web.conftest import FRAGMENT

Get = Callable[..., Any]

CONFIG: dict[str, Any] = {
    "base_model": "Qwen/Qwen2.5-VL-7B-Instruct",
    "processor_type": "AutoProcessor",
    "skip_prepare_dataset": True,
    "remove_unused_columns": False,
    "datasets": [{"path": "a/b", "type": "chat_template"}],
    "adapter": "lora",
    "lora_r": 16,
    "lora_alpha": 32,
    "lora_qkv_kernel": False,
    "lora_o_kernel": False,
    "lora_mlp_kernel": False,
    "lora_target_modules": r".*language_model\.layers\.\d+\.self_attn\.(q|k|v|o)_proj",
    "sequence_len": 4096,
    "micro_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "learning_rate": 0.0002,
    "num_epochs": 1,
    "bf16": True,
    "gradient_checkpointing": True,
}
FILE = yaml.safe_dump(CONFIG)
BOTH = ["images_per_row", "image_side"]


def parsed(response: Any) -> BeautifulSoup:
    """A response's document."""
    return BeautifulSoup(response.text, "html.parser")


def asked(document: BeautifulSoup) -> list[str]:
    """Names of the images' fields there are."""
    return [str(field["name"]) for field in document.select("#f-images_per_row, #f-image_side")]


def looked(client: TestClient, changes: dict[str, Any], **fields: str) -> BeautifulSoup:
    """The check of the file with ``changes``; None takes a key out."""
    config = {key: value for key, value in (CONFIG | changes).items() if value is not None}
    return parsed(client.post("/check?lang=en", data={"yaml": yaml.safe_dump(config), **fields}))


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, BOTH),
        ({"processor_type": None}, []),
        ({"sample_packing": True}, []),
        ({"image_size": 512}, ["images_per_row"]),
        ({"base_model": "google/gemma-3-4b-it"}, ["images_per_row"]),
        ({"base_model": "google/gemma-4-E4B-it", "lora_target_modules": ["q_proj"]}, ["images_per_row"]),
        ({"base_model": "Qwen/Qwen3-8B", "lora_target_modules": ["q_proj"]}, []),
        ({"base_model": "no/such-model-9z"}, []),
        ({"micro_batch_size": -1}, []),
    ],
)
def test_a_file_is_asked_what_its_figures_depend_on(
    client: TestClient, changes: dict[str, Any], names: list[str]
) -> None:
    """Not where no image is read, nor for a size that the processor or the file decides."""
    assert asked(looked(client, changes)) == names


def test_what_is_said_stays_where_it_no_longer_counts(client: TestClient) -> None:
    """Nothing goes along unseen."""
    page = looked(client, {"processor_type": None}, images_per_row="3")
    assert asked(page) == ["images_per_row"]
    assert page.select_one("#f-images_per_row")["value"] == "3"


def test_the_check_s_figures_are_the_estimate_s(client: TestClient) -> None:
    """By the form, by the address that it leads to, and by the API."""
    catalog: Catalog = client.app.state.catalog  # type: ignore[attr-defined]
    wanted = estimate(catalog=catalog, config=CONFIG, dataset=Dataset(images_per_row=3, image_side=640)).memory
    response = client.post(
        "/check?lang=en", data={"yaml": FILE, "images_per_row": "3", "image_side": "640"}, follow_redirects=False
    )
    assert response.status_code == 303
    address = response.headers["location"]
    query = parse_qs(urlsplit(address).query)
    assert (query["images_per_row"], query["image_side"]) == (["3"], ["640"])
    page = parsed(client.get(address))
    assert gib(wanted.process_bytes, texts("en")) in page.select_one("#memory-title").parent.text
    assert "640 × 640" in page.select_one("#result").text
    assert [page.select_one(f"#f-{name}")["value"] for name in BOTH] == ["3", "640"]
    body = {"config": CONFIG, "dataset": {"images_per_row": 3, "image_side": 640}}
    found = client.post("/api/v1/check", json=body).json()["estimate"]["memory"]
    assert found["allocated_peak_bytes"] == wanted.allocated_peak_bytes
    body["yaml"] = FILE
    del body["config"]
    assert client.post("/api/v1/check", json=body).json()["estimate"]["memory"] == found


def test_what_makes_it_fit_counts_them_too(client: TestClient) -> None:
    """A file that fits with one image and does not with eight is mended for eight."""
    assert "is-ok" in looked(client, {}, gpu="rtx-5090").select_one(".check-verdict")["class"]
    said = {"gpu": "rtx-5090", "images_per_row": "8"}
    eight = looked(client, {}, **said)
    assert "is-does_not_fit" in eight.select_one(".check-verdict")["class"]
    assert eight.select('button[value="fit"]')
    fitted = looked(client, {}, **said, apply="fit")
    assert "is-ok" in fitted.select_one(".check-verdict")["class"]
    assert fitted.select_one("#f-images_per_row")["value"] == "8"


@pytest.mark.parametrize("lang", ["en", "my"])
@pytest.mark.parametrize(
    ("name", "given"), [("images_per_row", "many"), ("images_per_row", "-1"), ("images_per_row", "1025"),
                        ("image_side", "0"), ("image_side", "1.5"), ("image_side", "9" * 99)]
)  # fmt: skip
def test_what_cannot_be_is_said_at_its_field(client: TestClient, name: str, given: str, lang: str) -> None:
    response = client.post(f"/check?lang={lang}", data={"yaml": FILE, name: given})
    assert response.status_code == 422
    page = parsed(response)
    field = page.select_one(f"#f-{name}")
    assert (field["value"], field["aria-invalid"]) == (given, "true")
    assert f"f-{name}-error" in field["aria-describedby"].split()
    assert given[:40] in page.select_one(f"#f-{name}-error").text
    assert page.select_one(f"#error-summary li a[href='#f-{name}']").text.startswith(
        texts(lang).text(f"web.field.{name}")
    )
    assert page.select_one("#f-yaml").text.strip() == FILE.strip()


def test_the_api_refuses_what_cannot_be(client: TestClient) -> None:
    response = client.post("/api/v1/check", json={"config": CONFIG, "dataset": {"images_per_row": -1}})
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "/dataset/images_per_row"


PLAN = {"model": "Qwen/Qwen2.5-VL-7B-Instruct", "gpu": "h100-sxm"}
SEEING = "processor_type: AutoProcessor\nsample_packing: false"


@pytest.mark.parametrize("headers", [{}, FRAGMENT])
def test_the_plan_asks_once_it_reads_images(get: Get, headers: dict[str, str]) -> None:
    assert asked(get("/plan", PLAN, headers).document) == []
    assert asked(get("/plan", PLAN | {"keys": SEEING}, headers).document) == BOTH


def test_the_plan_counts_them(get: Get) -> None:
    said = PLAN | {"keys": SEEING, "images_per_row": "2", "image_side": "640"}
    page = get("/plan", said)
    assert page.status == 200
    assert (page.value("images_per_row"), page.value("image_side")) == ("2", "640")
    assert "640 × 640" in page.one("#result").text
    assert parse_qs(urlsplit(page.url).query)["images_per_row"] == ["2"]
    assert not page.one("#f-images_per_row").find_parent("details"), "what comes while somebody types is in sight"
    for path in ("/fit", "/compare"):
        there = get(path, said).document
        assert there.select_one('input[name="images_per_row"]')["value"] == "2"


def test_a_wrong_number_is_answered_at_the_plan_s_field(get: Get) -> None:
    page = get("/plan", PLAN | {"images_per_row": "1025"})
    assert page.status == 422
    assert "1,024" in page.text("#f-images_per_row-error")


def test_they_go_from_the_check_to_the_plan_and_back(client: TestClient) -> None:
    said = {"images_per_row": "2", "image_side": "640"}
    response = client.post("/plan?lang=en", data={"yaml": FILE, "gpu": "h100-sxm", **said})
    query = parse_qs(urlsplit(str(response.url)).query)
    assert {name: query[name] for name in said} == {name: [value] for name, value in said.items()}
    link = next(a for a in parsed(response).select("#result a[href]") if "from=plan" in a["href"])
    back = parsed(client.get(link["href"]))
    assert [back.select_one(f"#f-{name}")["value"] for name in BOTH] == ["2", "640"]


@pytest.mark.parametrize(
    ("model", "fields"),
    [("Qwen/Qwen2-VL-2B-Instruct", BOTH), ("google/gemma-4-12B-it", BOTH[:1]), ("llava-hf/llava-1.5-7b-hf", BOTH[:1]),
     ("meta-llama/Llama-3.2-11B-Vision-Instruct", BOTH[:1]), ("mistralai/Voxtral-Mini-3B-2507", []),
     ("meta-llama/Llama-3.1-8B", [])]
)  # fmt: skip
def test_what_has_no_eyes_is_asked_for_no_images(model: str, fields: list[str], catalog: Catalog) -> None:
    """Nor what brings every image to its own size for their size."""
    assert list(asked_of({"processor_type": "AutoProcessor"}, catalog.architecture(model))) == fields


def test_the_size_of_an_image_is_asked_for_where_it_is_cut_into_tiles() -> None:
    tiled = describe(next(case["model"] for case in recorded("images_llava_next.jsonl")))
    assert list(asked_of({"processor_type": "AutoProcessor"}, tiled)) == BOTH
