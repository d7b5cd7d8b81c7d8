"""``/check``: paste, upload, findings at their lines, fixes, a link to share."""

import json

import pytest
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.schemas.vocabulary import YAML_EXAMPLE
from app.web.sharing import LONGEST_PACKED, pack, posted, unpack


def parsed(response: object) -> BeautifulSoup:
    """A response's document."""
    return BeautifulSoup(response.text, "html.parser")  # type: ignore[attr-defined]


def test_a_pasted_file_gets_an_address_of_its_own(client: TestClient) -> None:
    response = client.post("/check?lang=en", data={"yaml": YAML_EXAMPLE, "gpu": "rtx-4090"}, follow_redirects=False)
    assert response.status_code == 303
    page = client.get(response.headers["location"])
    assert page.status_code == 200
    document = parsed(page)
    assert document.select_one("#f-yaml").text.strip() == YAML_EXAMPLE.strip()
    assert "runs, but not as it says" in document.select_one(".verdict-headline").text
    line = document.select_one("#L9")
    assert "flash_attention" in line.code.text
    assert "attn_implementation" in line.select_one(".finding").text
    assert document.select(".bar")


def test_without_a_card_no_line_of_one_is_drawn(client: TestClient) -> None:
    for gpu, lines in (("", 0), ("rtx-4090", 1)):
        drawn = parsed(client.post("/check?lang=en", data={"yaml": YAML_EXAMPLE, "gpu": gpu}))
        assert drawn.select(".bar")
        assert len(drawn.select(".bar-capacity")) == len(drawn.select(".bar-capacity-label")) == lines


def test_an_uploaded_file_is_looked_through(client: TestClient) -> None:
    files = {"file": ("old.yml", YAML_EXAMPLE.encode(), "text/yaml")}
    document = parsed(client.post("/check?lang=en", data={"yaml": ""}, files=files))
    assert "relora_steps" in document.select_one("#L10").text


def test_one_fix_or_all_safe_ones_are_applied(client: TestClient) -> None:
    one = parsed(client.post("/check?lang=en", data={"yaml": YAML_EXAMPLE, "apply": "renamed_key flash_attention"}))
    text = one.select_one("#f-yaml").text
    assert "attn_implementation: flash_attention_2  # the old switch" in text
    assert "learning_rate: 2e-4" in text
    every = parsed(client.post("/check?lang=en", data={"yaml": YAML_EXAMPLE, "apply": "safe"}))
    assert "learning_rate: 0.0002" in every.select_one("#f-yaml").text
    assert "relora_steps: 200" in every.select_one("#f-yaml").text
    assert not every.select('button[value="safe"]')


@pytest.mark.parametrize("text", ["a: [1", "- a", "a: !!python/name:os.system x", "x" * 70_000, "a: \x07"])
def test_what_is_no_configuration_is_a_page_all_the_same(client: TestClient, text: str) -> None:
    response = client.post("/check?lang=my", data={"yaml": text})
    assert response.status_code == 200
    assert parsed(response).select(".verdict-headline")


def test_bytes_of_any_kind_are_a_page(client: TestClient) -> None:
    for content in (b"\xff\xfe\x00\x01", b"\x00" * 100, bytes(range(256))):
        response = client.post("/check", files={"file": ("x.yml", content, "application/octet-stream")})
        assert response.status_code == 200
    for body, kind in (
        (b"--x", "multipart/form-data; boundary=x"),
        (b"\xff", "text/plain"),
        (b"a=1&" * 99, "application/x-www-form-urlencoded"),
    ):
        assert client.post("/check", content=body, headers={"content-type": kind}).status_code == 200


def test_a_damaged_address_says_so(client: TestClient) -> None:
    response = client.get("/check?c=abc&lang=en")
    assert response.status_code == 422
    assert "damaged" in parsed(response).select_one(".error-summary").text


def test_a_card_that_is_none_keeps_what_was_pasted(client: TestClient) -> None:
    response = client.post("/check?lang=en", data={"yaml": YAML_EXAMPLE, "gpu": "rtx-9999"})
    assert response.status_code == 422
    assert parsed(response).select_one("#f-yaml").text.strip() == YAML_EXAMPLE.strip()


def test_the_wizards_file_can_be_opened_and_taken_back(client: TestClient) -> None:
    query = "model=meta-llama/Llama-3.1-8B-Instruct&gpu=rtx-4090&lang=en"
    link = parsed(client.get(f"/check?{query}")).select_one(".form-actions a.quiet")
    document = parsed(client.get(link["href"]))
    assert "adapter" in document.select_one("#f-yaml").text
    assert "fine" in document.select_one(".verdict-headline").text
    onward = next(button for button in document.select("#result button") if "wizard" in button.text)
    text = document.select_one("#f-yaml").text
    back = parsed(client.post(onward["formaction"], data={"yaml": text, "gpu": "rtx-4090"}))
    assert back.select_one("#yaml") is not None


def test_a_long_file_is_answered_where_it_was_posted(client: TestClient) -> None:
    import hashlib

    long = YAML_EXAMPLE + "".join(f"# {hashlib.sha256(str(i).encode()).hexdigest()}\n" for i in range(300))
    response = client.post("/check?lang=en", data={"yaml": long}, follow_redirects=False)
    assert response.status_code == 200
    assert "too long" in response.text


def test_sharing_goes_both_ways() -> None:
    assert unpack(pack(YAML_EXAMPLE) or "") == YAML_EXAMPLE
    assert unpack("a" * (LONGEST_PACKED + 1)) is None
    assert unpack("%%%") is None
    assert posted(b"yaml=a%3A+1&gpu=", "application/x-www-form-urlencoded") == {"yaml": "a: 1", "gpu": ""}


FILE = """base_model: meta-llama/Llama-3.1-8B-Instruct
# mine
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
adapter: lora
lora_r: 16
lora_alpha: 32
lora_target_modules: [q_proj, v_proj]
attn_implementation: flash_attention_2
sequence_len: 4096
sample_packing: true
micro_batch_size: 2
gradient_accumulation_steps: 4
learning_rate: 0.0002
gradient_checkpointing: true
bf16: auto
"""


@pytest.mark.parametrize(
    ("change", "gpu", "kind", "said"),
    [
        ("", "a100-80gb-sxm", "ok", "fits NVIDIA A100"),
        ("", "rtx-4090", "does_not_fit", "does not fit GeForce RTX 4090"),
        ("relora_steps: 5\n", "rtx-4090", "does_not_fit", "does not run as it says"),
        ("relora_steps: 5\n", "a100-80gb-sxm", "misleads", "not as it says"),
        ("warmup_steps: 5\nwarmup_ratio: 0.1\n", "rtx-4090", "rejected", "refuses"),
        ("optimizer: adamw_hf\n", "rtx-4090", "fails_at_run", "the run fails"),
        ("", "", "unknown", "takes this file"),
    ],
)
def test_the_headline_says_what_axolotl_the_run_and_the_card_make_of_it(
    client: TestClient, change: str, gpu: str, kind: str, said: str
) -> None:
    document = parsed(client.post("/check?lang=en", data={"yaml": FILE + change, "gpu": gpu}))
    verdict = document.select_one(".check-verdict")
    assert f"is-{kind}" in verdict["class"]
    assert said in verdict.select_one(".verdict-headline").text
    if gpu:
        assert "GiB" in verdict.text or kind == "misleads"


def test_each_change_that_saves_is_applied_to_the_text(client: TestClient) -> None:
    asked = {"yaml": FILE, "gpu": "rtx-4090"}
    document = parsed(client.post("/check?lang=en", data=asked))
    names = [button["value"] for button in document.select(".alternatives button")]
    assert len(names) > 4
    for name in names:
        text = parsed(client.post("/check?lang=en", data=asked | {"apply": name})).select_one("#f-yaml").text
        assert text.strip() != FILE.strip()
        assert "# mine" in text
    small = parsed(client.post("/check?lang=en", data=asked | {"apply": "saving base_4bit"}))
    assert "is-tight" in small.select_one(".check-verdict")["class"]
    fitted = parsed(client.post("/check?lang=en", data=asked | {"apply": "fit"}))
    assert "is-ok" in fitted.select_one(".check-verdict")["class"]


def test_where_nothing_makes_it_fit_the_smallest_card_is_named(client: TestClient) -> None:
    text = FILE.replace("Llama-3.1-8B-Instruct", "Llama-3.3-70B-Instruct")
    document = parsed(client.post("/check?lang=en", data={"yaml": text, "gpu": "rtx-4060"}))
    assert not document.select('button[value="fit"]')
    assert "smallest" in document.select_one("#result").text


FULL = """base_model: meta-llama/Llama-3.1-8B-Instruct
datasets:
  - path: tatsu-lab/alpaca
    type: alpaca
val_set_size: 0.02
sequence_len: 4096
micro_batch_size: 4
gradient_accumulation_steps: 2
optimizer: adamw_torch
learning_rate: 0.00002
bf16: true
"""


def test_a_full_fine_tune_too_large_for_the_card_is_offered_an_adapter(client: TestClient) -> None:
    """It is said that the method is kept, not that nothing fits, and the way out is one button."""
    asked = {"yaml": FULL, "gpu": "rtx-4090"}
    page = parsed(client.post("/check?lang=en", data=asked)).select_one("#result").text
    assert "Kept to its method" in page
    assert "Nothing fits" not in page
    assert "an adapter instead of full fine-tuning" in page
    assert "adapter not set" in " ".join(page.split())
    fitted = parsed(client.post("/check?lang=en", data=asked | {"apply": "method"}))
    assert "is-ok" in fitted.select_one(".check-verdict")["class"]
    assert "adapter:" in fitted.select_one("#f-yaml").text
    beyond = FULL.replace("Llama-3.1-8B-Instruct", "Llama-3.3-70B-Instruct")
    assert not parsed(client.post("/check", data=asked | {"yaml": beyond})).select('button[value="method"]')


def test_of_a_model_like_no_other_no_neighbours_are_named(client: TestClient) -> None:
    found = client.post("/api/v1/check", json={"yaml": "base_model: zzqq\n"}).json()["findings"]
    said = next(finding["message"] for finding in found if finding["code"] == "model_unknown")
    assert said.endswith("nothing is estimated.")


def test_what_was_not_mended_is_not_called_so(client: TestClient) -> None:
    plain = parsed(client.post("/check?lang=en", data={"yaml": FULL, "gpu": "rtx-4090"}))
    assert plain.select_one("#memory-title").text == "Memory of this file"
    old = parsed(client.post("/check?lang=en", data={"yaml": YAML_EXAMPLE, "gpu": "rtx-4090"}))
    assert old.select_one("#memory-title").text == "Memory of the mended file"
    assert "Download without the fixes" in old.select_one("#result").text


@pytest.mark.parametrize("named", ["NousResearch/Meta-Llama-3.1-8B-Instruct", "./models/Llama-3.1-8B-Instruct/"])
def test_a_copy_by_another_name_is_counted_as_what_it_is_called(client: TestClient, named: str) -> None:
    """The same figures, the file's own name kept, and a word that it was assumed."""
    asked = {"yaml": FILE, "gpu": "rtx-4090"}
    known = parsed(client.post("/check?lang=en", data=asked))
    copied = asked | {"yaml": FILE.replace("meta-llama/Llama-3.1-8B-Instruct", named)}
    copy = parsed(client.post("/check?lang=en", data=copied))
    assert copy.select_one(".fit-plan").text == known.select_one(".fit-plan").text
    assert "counted as meta-llama/Llama-3.1-8B-Instruct" in copy.select_one("#result").text
    wizard = client.post("/plan?lang=en", data=copied)
    assert wizard.status_code == 200
    assert f"base_model: {named}" in parsed(wizard).select_one("#result").text
    fitted = parsed(client.post("/check?lang=en", data=copied | {"apply": "fit"}))
    assert "is-ok" in fitted.select_one(".check-verdict")["class"]
    assert f"base_model: {named}" in fitted.select_one("#f-yaml").text


def test_a_model_that_is_not_known_is_chosen_or_pasted(client: TestClient) -> None:
    text = FILE.replace("8B-Instruct", "8B-Instrukt")
    document = parsed(client.post("/check?lang=en", data={"yaml": text}))
    assert document.select_one("#fold-json").has_attr("open")
    choice = document.select_one('button[value="model meta-llama/Llama-3.1-8B-Instruct"]')
    again = parsed(client.post("/check?lang=en", data={"yaml": text, "apply": choice["value"]}))
    assert again.select_one("#f-yaml").text.strip() == FILE.strip()
    config = {"model_type": "llama", "vocab_size": 32000, "hidden_size": 2048, "intermediate_size": 5632}
    config |= {"num_hidden_layers": 22, "num_attention_heads": 32, "num_key_value_heads": 4}
    asked = {"yaml": text, "model_json": json.dumps(config), "gpu": "rtx-4090"}
    response = client.post("/check?lang=en", data=asked)
    page = parsed(response)
    assert page.select(".bar")
    assert "m=" in str(response.url)
    assert "config.json is in use" in page.select_one("#fold-json").text
    wizard = client.post(
        "/plan?lang=en", data={"yaml": text, "gpu": "rtx-4090", "m": page.select_one("[name=m]")["value"]}
    )
    assert wizard.status_code == 200


def test_a_pasted_config_that_is_none_is_said_and_kept(client: TestClient) -> None:
    response = client.post("/check?lang=en", data={"yaml": FILE, "model_json": "{bad"})
    assert response.status_code == 422
    document = parsed(response)
    assert "not JSON" in document.select_one(".error-summary").text
    assert document.select_one("#f-model_json").text.strip() == "{bad"
    assert document.select_one("#f-yaml").text.strip() == FILE.strip()


@pytest.mark.parametrize(("take", "held"), [("given", "flash_attention: true"), ("safe", "flash_attention_2")])
def test_the_file_is_taken_along_as_it_is_or_mended(client: TestClient, take: str, held: str) -> None:
    response = client.post("/check/config.yaml", data={"yaml": YAML_EXAMPLE, "take": take})
    assert response.headers["content-disposition"] == 'attachment; filename="llama-3.1-8b-instruct-lora.yaml"'
    assert held in response.text
    assert client.post("/check/config.yaml", data={"yaml": "a: ["}).text == "a: ["


def test_another_language_keeps_what_was_typed(client: TestClient) -> None:
    document = parsed(client.get("/check?lang=en"))
    switch = document.select_one('#languages button[value="my"]')
    assert (switch["form"], switch["formmethod"]) == ("check-form", "post")
    for text in (FILE, ""):
        there = parsed(client.post(switch["formaction"], data={"yaml": text, "gpu": "rtx-4090", "switch": "my"}))
        assert there.html["lang"] == "my"
        assert there.select_one("#f-yaml").text.strip() == text.strip()
        assert there.select_one("#f-gpu option[selected]")["value"] == "rtx-4090"


SHARDED = """base_model: meta-llama/Llama-3.1-8B
adapter: lora
lora_r: 32
lora_alpha: 16
lora_target_linear: true
sequence_len: 4096
micro_batch_size: 2
learning_rate: 0.0002
datasets:
  - path: mlabonne/FineTome-100k
    type: chat_template
"""
FSDP = "fsdp_version: 2\nfsdp_config:\n  offload_params: false\n  state_dict_type: FULL_STATE_DICT\n"


@pytest.mark.parametrize(
    ("more", "count", "headline"),
    [
        (FSDP, "1", "This file is for several GPUs; on one GeForce RTX 4090 the run fails"),
        (FSDP, "2", "Axolotl takes this file; what each GPU holds of it is not worked out here"),
        (
            "deepspeed: deepspeed_configs/zero3.json\n",
            "1",
            "Axolotl takes this file; what each GPU holds of it is not worked out here",
        ),
        ("", "2", "Axolotl takes this file, but it does not fit GeForce RTX 4090"),
    ],
)
def test_a_file_for_several_gpus_is_not_judged_by_one(client: TestClient, more: str, count: str, headline: str) -> None:
    data = {"yaml": SHARDED + more, "gpu": "rtx-4090", "count": count}
    document = parsed(client.post("/check?lang=en", data=data))
    assert document.select_one(".verdict-headline").text == headline
    assert document.select_one("#f-count")["value"] == count
    said = document.select_one(".verdict-detail").text
    assert ("On one GPU that held all of it" in said) is bool(more)
    fits = document.select_one(".fit-plan")
    assert all(strong.text for strong in fits.select("strong"))
    if more:
        assert fits.get_text().strip().startswith("On one GPU")


@pytest.mark.parametrize(
    ("file", "marks"),
    [("zero1.json", False), ("ds.json", False), ("zero3.json", True), (None, True)],
)
def test_formulas_are_marked_as_the_file_divides(client: TestClient, file: str | None, marks: bool) -> None:
    """Full sharding's marks are not those of a file that shards less, or nobody knows how much."""
    data = {"yaml": SHARDED + (f"deepspeed: {file}\n" if file else ""), "gpu": "h100-sxm", "count": "2"}
    document = parsed(client.post("/check?lang=en", data=data))
    assert bool(document.select("dt .part-mark")) is marks


def test_a_number_of_gpus_that_is_none_is_told(client: TestClient) -> None:
    for count, said in (("two", "two"), ("0", "count is 0"), ("99999", "1,024")):
        response = client.post("/check?lang=en", data={"yaml": SHARDED, "gpu": "rtx-4090", "count": count})
        assert response.status_code == 422
        assert said in parsed(response).select_one("#error-summary").text
        assert parsed(response).select_one("#f-count")["value"] == count
