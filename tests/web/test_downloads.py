"""Files for methods that Axolotl does not run itself, from a method's page."""

import io
import json
import zipfile

import pytest
from fastapi.testclient import TestClient

from app.application import create_app
from app.settings import Settings


@pytest.fixture(scope="module")
def client() -> TestClient:
    """The service."""
    return TestClient(create_app(Settings(access_log=False)))


@pytest.mark.parametrize("language", ["en", "my"])
def test_a_methods_page_offers_its_files(client: TestClient, language: str) -> None:
    """Three for what PEFT has, a script for bottleneck adapters, none for what Axolotl runs itself."""
    for method, count in (("ia3", 3), ("p_tuning_v2", 3), ("bottleneck", 1), ("lora", 0)):
        page = client.get(f"/methods/{method}", params={"lang": language, "model": "Qwen/Qwen3-4B"}).text
        found = [
            part for part in ("plugin.zip", "adapter_config.json", "train.py") if f"/methods/{method}/{part}?" in page
        ]
        assert len(found) == count, method


def test_the_files_are_for_the_chosen_model(client: TestClient) -> None:
    """Each of its kind, as downloads."""
    chosen = {"model": "Qwen/Qwen3-4B", "gpu": "rtx-4090"}
    plugin = client.get("/methods/ia3/plugin.zip", params=chosen)
    assert plugin.headers["content-disposition"] == 'attachment; filename="qwen3-4b-ia3-plugin.zip"'
    with zipfile.ZipFile(io.BytesIO(plugin.content)) as archive:
        assert archive.namelist() == ["axoplan_peft.py", "qwen3-4b-ia3.yaml"]
    config = json.loads(client.get("/methods/prompt_tuning/adapter_config.json", params=chosen).content)
    assert (config["peft_type"], config["num_virtual_tokens"]) == ("PROMPT_TUNING", 20)
    assert "class Bottleneck" in client.get("/methods/bottleneck/train.py", params=chosen).text
    assert 'MODEL = "meta-llama/Llama-3.1-8B-Instruct"' in client.get("/methods/vera/train.py").text


@pytest.mark.parametrize(
    "path",
    [
        "/methods/ia3/nothing.txt",
        "/methods/lora/train.py",
        "/methods/bottleneck/plugin.zip",
        "/methods/nothing/train.py",
        "/methods/ia3/train.py?model=no/such-model",
        "/methods/ia3/train.py?gpu=no-such-card",
        "/methods/adalora/train.py?model=microsoft/Phi-3-mini-4k-instruct",
    ],
)
def test_what_there_is_not_is_a_page_that_says_so(client: TestClient, path: str) -> None:
    """404, never 500."""
    response = client.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
