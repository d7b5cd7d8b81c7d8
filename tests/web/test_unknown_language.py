"""A language that there is none of: answered in one that there is, which the answer names, and not kept."""

from urllib.parse import parse_qs, urlsplit

import pytest
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

PLAN = "model=meta-llama/Llama-3.1-8B-Instruct&gpu=rtx-4090"
FILE = "base_model: Qwen/Qwen3-8B\nadapter: lora\n"
PAGES = ("/", "/plan", f"/plan?{PLAN}", "/check", f"/check?from=plan&{PLAN}", f"/compare?{PLAN}", f"/fit?{PLAN}",
         "/methods", "/methods/lora", "/models", "/models/Qwen/Qwen3-8B", "/gpus", "/tree", "/about", "/styleguide", "/nope",
         "/plan?gpu=zzz")  # fmt: skip
FILES = (f"/plan/config.yaml?{PLAN}", f"/compare.csv?{PLAN}", f"/compare.json?{PLAN}",
         f"/plan/take/train.py?{PLAN}&method=ia3", "/plan/models?q=qwen", "/api/v1/gpus", "/api/v1/models/nope")  # fmt: skip


def asked(address: str, lang: str = "fr") -> str:
    """An address that asks for a language."""
    return f"{address}{'&' if '?' in address else '?'}lang={lang}"


@pytest.mark.parametrize("address", [*PAGES, *FILES])
@pytest.mark.parametrize(("accepts", "spoken"), [("", "en"), ("fr", "en"), ("my", "my"), ("fr, my;q=0.5", "my")])
def test_the_answer_says_what_language_it_is_in(client: TestClient, address: str, accepts: str, spoken: str) -> None:
    """English, where the browser does not ask for another that there is."""
    response = client.get(asked(address), headers={"accept-language": accepts})
    assert response.headers["content-language"] == spoken
    if response.headers["content-type"].startswith("text/html") and "/plan/models" not in address:
        assert BeautifulSoup(response.text, "html.parser").html["lang"] == spoken  # type: ignore[index]


@pytest.mark.parametrize("address", PAGES)
def test_no_link_keeps_it(client: TestClient, address: str) -> None:
    """Nor does any form."""
    page = client.get(asked(address)).text
    assert "lang=fr" not in page
    assert 'value="fr"' not in page


@pytest.mark.parametrize("address", ["/plan", f"/plan?{PLAN}"])
def test_the_plan_s_address_lets_go_of_it(client: TestClient, address: str) -> None:
    assert "lang" not in parse_qs(urlsplit(str(client.get(asked(address)).url)).query)
    assert parse_qs(urlsplit(str(client.get(asked(address, "my")).url)).query)["lang"] == ["my"]


@pytest.mark.parametrize("path", ["/", "/check", "/plan"])
@pytest.mark.parametrize(("lang", "kept"), [("fr", False), ("my", True)])
def test_a_form_that_is_posted_does_not_either(client: TestClient, path: str, lang: str, kept: bool) -> None:
    fields = {"yaml": FILE, "gpu": "rtx-4090", "model": "Qwen/Qwen3-8B"}
    response = client.post(asked(path, lang), data=fields, follow_redirects=False)
    assert response.status_code == 303
    assert ("lang" in parse_qs(urlsplit(response.headers["location"]).query)) is kept
