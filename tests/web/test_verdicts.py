"""What a verdict says, and that what it says comes out."""

import re

import pytest
from starlette.testclient import TestClient

GPUS = ("rtx-3060-12gb", "rtx-4060", "rtx-4090", "a100-40gb-sxm", "a100-80gb-sxm", "h100-pcie")
MODELS = ("Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-3-12b-it", "Qwen/Qwen3-0.6B")
ROOM = re.compile(r"([\d.,]+)\s*GiB of ([\d.,]+)\s*GiB, ([\d.,]+)\s*GiB to spare")
SHORT = re.compile(r"([\d.,]+)\s*GiB, but the card has ([\d.,]+)\s*GiB: ([\d.,]+)\s*GiB too much")


@pytest.mark.parametrize("gpu", GPUS)
def test_what_is_left_or_lacking_is_the_difference_of_what_is_shown(client: TestClient, gpu: str) -> None:
    seen = 0
    for model in MODELS:
        page = client.get("/plan", params={"model": model, "gpu": gpu, "lang": "en"}).text
        for sizes in (*ROOM.findall(page), *SHORT.findall(page)):
            one, other, apart = (round(10 * float(size.replace(",", ""))) for size in sizes)
            assert abs(one - other) == apart, sizes
            seen += 1
    assert seen


def test_the_file_of_a_plan_that_does_not_fit_says_so(client: TestClient) -> None:
    asked = {"model": "meta-llama/Llama-3.3-70B-Instruct", "gpu": "rtx-4090", "lang": "en"}
    first = client.get("/plan/config.yaml", params=asked).text.partition("\n")[0]
    assert re.search(r"about [\d.]+\sGiB, which does not fit its 23\.6\sGiB\.$", first)
    fitting = client.get("/plan/config.yaml", params=asked | {"model": "Qwen/Qwen3-8B"}).text.partition("\n")[0]
    assert "does not fit" not in fitting


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "vera"])
def test_each_method_has_its_own_directory(client: TestClient, method: str) -> None:
    """No run overwrites another's checkpoints."""
    own = {"adapter": method} if method in ("ia3", "vera") else {"adapter": "lora", "peft_use_dora": method == "dora"}
    asked = {"base_model": "Qwen/Qwen3-8B", "hardware": {"gpu": "a100-40gb-sxm"}, "overrides": own}
    assert client.post("/api/v1/plan", json=asked).json()["config"]["output_dir"] == f"./outputs/{method}"
