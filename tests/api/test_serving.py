"""How the service is wrapped: headers, compression, static files, prefix, cross-origin calls, the log."""

import json
import logging
import os
from hashlib import sha256

import pytest
from bs4 import BeautifulSoup
from starlette.testclient import TestClient

from app.application import create_app
from app.assets import STATIC, content_hash, static_url
from app.settings import Settings

PAGES = [
    "/healthz",
    "/docs",
    "/openapi.json",
    "/api/v1/gpus",
    "/api/v1/nothing",
    "/static/js/api-docs.js",
    "/",
    "/plan",
]


@pytest.mark.parametrize("path", PAGES)
def test_security_headers_are_everywhere(client: TestClient, path: str) -> None:
    """On pages, files, answers and errors."""
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_answers_are_compressed_where_asked(client: TestClient) -> None:
    """And said to vary."""
    response = client.get("/api/v1/gpus", headers={"accept-encoding": "gzip"})
    assert response.headers["content-encoding"] == "gzip"
    assert "Accept-Encoding" in response.headers["vary"]
    assert "content-encoding" not in client.get("/api/v1/gpus", headers={"accept-encoding": "identity"}).headers


def test_static_files_are_kept_for_ever_by_content(client: TestClient) -> None:
    """A file asked for by its hash never changes; one asked for by name may."""
    url = static_url("", "js/api-docs.js")
    assert url == f"/static/js/api-docs.js?v={content_hash('js/api-docs.js')}"
    assert "immutable" in client.get(url).headers["cache-control"]
    assert "immutable" not in client.get("/static/js/api-docs.js").headers["cache-control"]
    assert "cache-control" not in client.get("/static/nothing.js").headers


@pytest.mark.parametrize(
    "path", ["/static/../app/main.py", "/static/%2e%2e/app/main.py", "/static//etc/passwd", "/static/"]
)
def test_static_files_end_at_their_folder(client: TestClient, path: str) -> None:
    """No way out."""
    assert client.get(path).status_code == 404


def test_the_api_documentation_needs_no_network(client: TestClient) -> None:
    """Every address in it is ours, and answers."""
    page = BeautifulSoup(client.get("/docs").text, "html.parser")
    addresses = [tag.get("src") or tag.get("href") for tag in page.find_all(["script", "link", "a"])]
    assert len(addresses) == 5
    for address in addresses:
        assert isinstance(address, str)
        assert address.startswith("/")
        assert client.get(address).status_code == 200
    assert not page.find_all("style")
    assert all(not script.string for script in page.find_all("script"))


def test_what_is_vendored_is_what_was_published() -> None:
    """Bytes as in the package registry, with their licences."""
    folder = STATIC / "vendor" / "swagger-ui-5.35.0"
    sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
    assert set(sums) == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
    assert "LICENSE" in sums
    for name, digest in sums.items():
        assert sha256((folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("strips", [True, False], ids=["the proxy strips the prefix", "the proxy passes it on"])
def test_a_path_prefix(strips: bool) -> None:
    """Addresses carry it, whatever the proxy does with it."""
    client = TestClient(create_app(Settings(root_path="/axoplan", access_log=False)))
    prefix = "" if strips else "/axoplan"
    assert client.get(f"{prefix}/readyz").status_code == 200
    assert 'src="/axoplan/static/js/api-docs.js?v=' in client.get(f"{prefix}/docs").text
    assert client.get(f"{prefix}/static/js/api-docs.js").status_code == 200
    document = client.get(f"{prefix}/openapi.json").json()
    assert document["servers"] == [{"url": "/axoplan"}]
    assert client.get(prefix or "/").text == client.get(f"{prefix}/").text
    page = BeautifulSoup(client.get(f"{prefix}/plan").text, "html.parser")
    for tag in page.find_all(["script", "link", "a", "form"]):
        address = tag.get("src") or tag.get("href") or tag.get("action")
        if isinstance(address, str) and address.startswith("/"):
            assert address.startswith("/axoplan/"), tag


def test_other_origins_may_not_call_unless_named(client: TestClient) -> None:
    """Off by default; only the named ones when on."""
    origin = {"origin": "https://elsewhere.example"}
    assert "access-control-allow-origin" not in client.get("/api/v1/gpus", headers=origin).headers
    open_client = TestClient(create_app(Settings(cors_origins=("https://elsewhere.example",), access_log=False)))
    assert open_client.get("/api/v1/gpus", headers=origin).headers["access-control-allow-origin"] == origin["origin"]
    other = {"origin": "https://third.example"}
    assert "access-control-allow-origin" not in open_client.get("/api/v1/gpus", headers=other).headers


def test_each_request_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Without its query, which may hold what somebody pasted; and Uvicorn's own log is still."""
    with TestClient(create_app(Settings()), raise_server_exceptions=False) as client:
        client.get("/api/v1/models?q=secret")
        client.post("/api/v1/estimate", json=[])
    written = capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines()]
    assert [(line["method"], line["path"], line["status"]) for line in lines] == [
        ("GET", "/api/v1/models", 200),
        ("POST", "/api/v1/estimate", 422),
    ]
    assert all(line["milliseconds"] > 0 and line["bytes"] > 0 for line in lines)
    assert "secret" not in written
    assert not logging.getLogger("uvicorn.access").hasHandlers()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("AXOPLAN_MAX_BODY_BYTES", "lots"),
        ("AXOPLAN_MAX_BODY_BYTES", "10"),
        ("AXOPLAN_ROOT_PATH", "axoplan"),
        ("AXOPLAN_ACCESS_LOG", "maybe"),
    ],
)
def test_a_setting_that_cannot_be_is_named(variable: str, value: str) -> None:
    """At the start, not at the first request."""
    with pytest.raises(ValueError, match=variable):
        Settings.from_environment({variable: value})


def test_settings_are_read_from_the_environment() -> None:
    """All of them."""
    settings = Settings.from_environment(
        {
            "AXOPLAN_ROOT_PATH": "/axoplan/",
            "AXOPLAN_CORS_ORIGINS": "https://a.example, https://b.example",
            "AXOPLAN_MAX_BODY_BYTES": "2048",
            "AXOPLAN_ACCESS_LOG": "0",
        }
    )
    assert settings == Settings(
        root_path="/axoplan",
        cors_origins=("https://a.example", "https://b.example"),
        max_body_bytes=2048,
        access_log=False,
    )
    assert Settings.from_environment({}) == Settings()


def test_every_setting_is_documented() -> None:
    """docs/configuration.md names the variables that the program reads, and no others."""
    root = STATIC.parent
    source = (root / "app" / "settings.py").read_text("utf-8")
    documented = (root / "docs" / "configuration.md").read_text("utf-8")

    def names(text: str) -> set[str]:
        return {word.strip("`\"'(),.|:;[]{}!") for word in text.split() if "AXOPLAN_" in word}

    read = {name for name in names(source.replace("(", " ").replace("`", " ")) if name.startswith("AXOPLAN_")}
    told = {name for name in names(documented.replace("=", " ").replace("`", " ")) if name.startswith("AXOPLAN_")}
    assert {name for name in read if name != "AXOPLAN_*"} == told
    assert not [name for name in os.environ if name.startswith("AXOPLAN_") and name not in told]
