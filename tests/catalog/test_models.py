"""The model rows: every one can be described, its size is the published one, and daily speech finds it."""

from pathlib import Path

import pytest

from app.catalog.files import CatalogError
from app.catalog.library import Catalog, load_catalog
from app.catalog.models import ModelRow, load_models
from app.core.axolotl.data_rules import is_foreign
from app.core.errors import UnknownName

ROWS = load_catalog().models.rows

GOOD = """
- id: someone/some-model
  name: Some Model
  aliases: []
  family: some
  context_tokens: 2048
  source: https://example.org/config.json
  checked_on: "2026-01-31"
  config: {model_type: llama}
"""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_every_row_is_described_by_its_own_architecture(row: ModelRow, catalog: Catalog) -> None:
    """A row that is merely approximated, or not counted at all, does not belong in the catalogue."""
    architecture = catalog.architecture(row.id)
    assert not architecture.approximate
    assert architecture.total_parameters > 10**7
    assert architecture.module_names


@pytest.mark.parametrize("row", [row for row in ROWS if row.published_parameters], ids=lambda row: row.id)
def test_totals_are_the_published_ones(row: ModelRow, catalog: Catalog) -> None:
    """Exact figures within 0.3 %, rounded ones within 2 %.

    Checkpoints also count buffers, and the vision towers that training the language model alone leaves out.
    """
    published = row.published_parameters or 0
    exact = len(str(published).rstrip("0")) > 5
    tolerance = published * 3 // 1000 if exact else published // 50
    assert abs(catalog.architecture(row.id).total_parameters - published) <= tolerance


def test_there_is_enough_to_choose_from() -> None:
    """At least 70 models over at least 20 architectures."""
    assert len(ROWS) >= 70
    assert len({row.model_type for row in ROWS}) >= 20


def test_rows_are_sourced() -> None:
    """Each says where it was read and when."""
    assert all(row.source.startswith("https://") and row.checked_on >= "2024" for row in ROWS)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("llama 3.1 8b", "meta-llama/Llama-3.1-8B"),
        ("Llama3.1 8 billion instruct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("qwen3 30b", "Qwen/Qwen3-30B-A3B"),
        ("qwen 2.5 7b instruct", "Qwen/Qwen2.5-7B-Instruct"),
        ("gemma 3 4b", "google/gemma-3-4b-it"),
        ("gpt oss 20b", "openai/gpt-oss-20b"),
        ("gpt-oss", "openai/gpt-oss-20b"),
        ("phi 4", "microsoft/phi-4"),
        ("meta-llama/Llama-3.1-8B", "meta-llama/Llama-3.1-8B"),
        ("lama 3.1 8b", "meta-llama/Llama-3.1-8B"),
        ("llama 3.1 8", "meta-llama/Llama-3.1-8B"),
        ("qwen3 8", "Qwen/Qwen3-8B"),
    ],
)
def test_daily_speech_finds_the_model_first(catalog: Catalog, query: str, found: str) -> None:
    """What people say comes out on top."""
    assert [row.id for row in catalog.models.search(query)][:1] == [found]


def test_mistral_in_daily_speech(catalog: Catalog) -> None:
    """Versions aside, it is one of the instruct models."""
    first = catalog.models.search("mistral 7b instruct")[0]
    assert first.id.startswith("mistralai/Mistral-7B-Instruct")


@pytest.mark.parametrize("query", ["nothing like this", "🦙", "%%%", "7b 8b 9b"])
def test_what_nothing_is_called_finds_nothing(catalog: Catalog, query: str) -> None:
    """No guesses where no word fits."""
    assert catalog.models.search(query) == ()


def test_a_blank_query_finds_everything(catalog: Catalog) -> None:
    """Newest first."""
    found = catalog.models.search("  ")
    assert {row.id for row in found} == {row.id for row in ROWS}
    released = [row.released or "" for row in found]
    assert released == sorted(released, reverse=True)


def test_every_model_is_found_by_its_name_and_aliases(catalog: Catalog) -> None:
    """Nothing in the catalogue is out of reach of the search box."""
    for row in ROWS:
        for name in (row.id, row.name, *row.aliases):
            assert row in catalog.models.search(name), name


def test_ids_ignore_case(catalog: Catalog) -> None:
    """As on the Hub."""
    assert catalog.models.get(" META-LLAMA/llama-3.1-8b ").id == "meta-llama/Llama-3.1-8B"


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("meta-llama/Llama-3.1-8b-instrct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("llama 3.1 8b", "meta-llama/Llama-3.1-8B"),
        ("gtp-oss-20b", "openai/gpt-oss-20b"),
        ("Qwen/Qwen3-8x", "Qwen/Qwen3-8B"),
    ],
)
def test_an_unknown_id_names_the_nearest(catalog: Catalog, given: str, meant: str) -> None:
    """By words and by spelling."""
    with pytest.raises(UnknownName) as caught:
        catalog.models.get(given)
    assert meant in caught.value.nearest


def load(tmp_path: Path, text: str) -> None:
    """Load one file of rows."""
    (tmp_path / "some.yaml").write_text(text, "utf-8")
    load_models(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("checked_on:", "cheked_on:", r"some.yaml, row 1 \(someone/some-model\): unknown field 'cheked_on'; did you"),
        ("family: some", "family: 3", "family must be a text, not 3"),
        ("context_tokens: 2048", "context_tokens: -1", "context_tokens must be a whole number of at least 1, not -1"),
        ("source: https://", "source: ftp://", "source is"),
        ("{model_type: llama}", "{model_type: 7}", "config.model_type must be a text"),
        ("{model_type: llama}", "[]", "config must be a mapping"),
        ("aliases: []", "aliases: [1]", "aliases must be a list of texts"),
        ("  family: some", "  family: some\n  published_parameters: 5", "needs a published_parameters_source"),
        ("- id: someone/some-model", "- id: some model", "id is 'some model'"),
        ("- id: someone/some-model\n ", "-", "no id"),
    ],
)
def test_a_row_that_will_not_do_is_named(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """File, row and field."""
    assert old in GOOD
    with pytest.raises(CatalogError, match=complaint):
        load(tmp_path, GOOD.replace(old, new))


def test_two_rows_may_not_share_an_id(tmp_path: Path) -> None:
    """Whatever their case."""
    with pytest.raises(CatalogError, match="already in some.yaml"):
        load(tmp_path, GOOD + GOOD.replace("someone/", "SomeOne/"))


@pytest.mark.parametrize("text", ["{}", "- 1", "a: [", "just text"])
def test_a_file_that_is_no_list_of_rows_is_named(tmp_path: Path, text: str) -> None:
    """Whether it is YAML or not."""
    with pytest.raises(CatalogError, match="some.yaml"):
        load(tmp_path, text)


def test_a_good_row_loads(tmp_path: Path) -> None:
    """The rows above fail for their faults alone."""
    load(tmp_path, GOOD)


def test_no_models_template_is_another_familys() -> None:
    """What a plan writes by itself is nothing that the check then finds."""
    assert not [row.id for row in ROWS if row.chat_template and is_foreign(row.chat_template, row.model_type)]
