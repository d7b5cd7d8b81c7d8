"""What fits at the least: the same as the planner finds where it gives up everything it may."""

import pytest

from app.catalog.library import Catalog
from app.core.errors import UnknownName
from app.core.plan import Dataset, Outcome, Wish
from app.services.least import METHODS, fitting_models, least_process_bytes
from app.services.planning import plan

LLAMA = "meta-llama/Llama-3.1-8B-Instruct"


def test_each_method_takes_more_than_the_one_before(catalog: Catalog) -> None:
    card = catalog.gpus.get("rtx-4090").hardware()
    needs = [least_process_bytes(catalog, LLAMA, card, method) for method in METHODS]
    assert None not in needs
    assert needs == sorted(needs)  # type: ignore[type-var]  # None was ruled out above


def test_cards_of_one_generation_need_the_same_beside_their_contexts(catalog: Catalog) -> None:
    cards = [catalog.gpus.get(id_).hardware() for id_ in ("rtx-4090", "l40s", "rtx-4060")]
    needs = {(least_process_bytes(catalog, LLAMA, card, "qlora") or 0) - card.context.beside_bytes for card in cards}
    assert len(needs) == 1


@pytest.mark.parametrize("gpu", ["rtx-3060-12gb", "rtx-4060"])
def test_a_model_fits_where_a_plan_for_it_does(catalog: Catalog, gpu: str) -> None:
    card = catalog.gpus.get(gpu).hardware()
    models = (LLAMA, "Qwen/Qwen3-14B", "Qwen/Qwen3-32B", "google/gemma-3-12b-it")
    fitting = fitting_models(catalog, card, [catalog.models.get(model) for model in models])
    for model in models:
        wish = Wish(dataset=Dataset(), overrides={"adapter": "qlora", "load_in_4bit": True})
        made = plan(catalog=catalog, base_model=model, model=None, hardware=card, wish=wish)
        assert (model in fitting) == (made.outcome is Outcome.FITS), model


def test_an_unknown_model_is_said_so(catalog: Catalog) -> None:
    with pytest.raises(UnknownName):
        least_process_bytes(catalog, "no/such-model", catalog.gpus.get("rtx-4090").hardware(), "qlora")
