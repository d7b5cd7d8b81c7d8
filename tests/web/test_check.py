"""``/check``: paste, upload, findings at their lines, fixes, a link to share."""

import pytest
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.schemas import YAML_EXAMPLE
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
    onward = next(a for a in document.select("#result a.button") if "wizard" in a.text)
    assert client.get(onward["href"]).status_code == 200


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
