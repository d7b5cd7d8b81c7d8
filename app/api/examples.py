"""Examples for the OpenAPI document: asked of the services themselves, so that they cannot go stale."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic_core import to_jsonable_python

from app.api import rendering
from app.catalog.library import Catalog
from app.core.plan import Dataset, Wish
from app.schemas.vocabulary import MODEL_EXAMPLE, QLORA_EXAMPLE, YAML_EXAMPLE
from app.services.checking import check_text
from app.services.comparing import compare
from app.services.estimating import estimate
from app.services.fitting import fit
from app.services.planning import plan
from app.services.pricing import price_knobs
from app.services.writing import write_yaml
from app.texts import DEFAULT_LANGUAGE, texts

BASE_MODEL = "meta-llama/Llama-3.1-8B"
GPU = "rtx-4090"
METHOD = "qlora"

ESTIMATES: Mapping[str, Any] = {
    "QLoRA on a 24 GB card": {"config": QLORA_EXAMPLE, "hardware": {"gpu": GPU}},
    "A pasted config.json, memory alone": {
        "config": {"adapter": "lora", "lora_r": 16, "lora_target_linear": True, "sequence_len": 2048},
        "model": MODEL_EXAMPLE,
        "hardware": {"vram_gib": 7.5, "compute_capability": "7.5"},
    },
}
PLANS: Mapping[str, Any] = {
    "A model, a card, the rest as it suits": {"base_model": BASE_MODEL, "hardware": {"gpu": GPU}},
    "With wishes": {
        "base_model": BASE_MODEL,
        "hardware": {"gpu": GPU},
        "goal": "instruction",
        "priority": "quality",
        "sequence_len": 1024,
        "dataset": {"path": "tatsu-lab/alpaca", "type": "alpaca"},
        "overrides": {"lora_r": 16},
        "install": "pip",
    },
}
FITS: Mapping[str, Any] = {
    "As little change as fits 8 GB": {"config": QLORA_EXAMPLE, "hardware": {"gpu": "rtx-4060"}},
    "The longest sequence, and a grid": {
        "config": QLORA_EXAMPLE,
        "hardware": {"gpu": GPU},
        "objective": "longest_sequence",
        "grid": {"x": {"key": "sequence_len"}, "y": {"key": "micro_batch_size", "values": [1, 2, 4]}},
    },
}
COMPARISONS: Mapping[str, Any] = {
    "Variants": {
        "config": QLORA_EXAMPLE,
        "hardware": {"gpu": GPU, "price_per_hour": 0.4},
        "variants": [{}, {"lora_r": 16}, {"adapter": "lora", "load_in_4bit": False}],
        "dataset": {"rows": 10000, "mean_tokens": 400},
    },
    "The guide's methods": {"config": QLORA_EXAMPLE, "hardware": {"gpu": GPU}},
}
CHECKS: Mapping[str, Any] = {
    "An old file": {"yaml": YAML_EXAMPLE, "hardware": {"gpu": GPU}},
    "No YAML at all": {"yaml": "adapter: [lora"},
    "A configuration": {"config": QLORA_EXAMPLE},
}
CONFIGS: Mapping[str, Any] = {"QLoRA": {"config": QLORA_EXAMPLE}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """What a call takes, by title, and what it gives for the first of that."""

    given: Any
    taken: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)


def made_examples(catalog: Catalog) -> dict[str, Example]:
    """An example for every path."""
    english = texts(DEFAULT_LANGUAGE)
    hardware = catalog.gpus.get(GPU).hardware()
    planned = plan(catalog=catalog, base_model=BASE_MODEL, model=None, hardware=hardware, wish=Wish())
    found = catalog.models.search("llama 3.1 8b")
    model, method = catalog.models.get(BASE_MODEL), catalog.methods.get(METHOD)
    estimated = estimate(catalog=catalog, config=QLORA_EXAMPLE, hardware=hardware)
    made = {
        "/healthz": Example(given={"status": "ok"}),
        "/readyz": Example(given={"status": "ok"}),
        "/api/v1/models": Example(
            given=_listed([rendering.model_summary(row, catalog) for row in found]), parameters={"q": "llama 3.1 8b"}
        ),
        "/api/v1/models/{id}": Example(given=rendering.model_detail(model, catalog), parameters={"id": BASE_MODEL}),
        "/api/v1/gpus": Example(given=_listed([rendering.gpu(catalog.gpus.get(GPU))])),
        "/api/v1/methods": Example(
            given=_listed([rendering.method(method, english)])
            | {"target_modules": [rendering.target_modules(catalog.target_modules[0], english)]}
        ),
        "/api/v1/methods/{id}": Example(given=rendering.method(method, english), parameters={"id": METHOD}),
        "/api/v1/estimate": Example(
            given=rendering.estimate(estimated, english, price_knobs(QLORA_EXAMPLE, estimated, hardware=hardware)),
            taken=ESTIMATES,
            parameters={"knobs": "true"},
        ),
        "/api/v1/plan": Example(
            given=rendering.plan(planned, write_yaml(planned.config, english), english), taken=PLANS
        ),
        "/api/v1/fit": Example(
            given=rendering.fit(
                fit(
                    catalog=catalog, config=QLORA_EXAMPLE, model=None, hardware=catalog.gpus.get("rtx-4060").hardware()
                ),
                english,
            ),
            taken=FITS,
        ),
        "/api/v1/compare": Example(
            given=_listed(
                [
                    rendering.compared(item, english)
                    for item in compare(
                        catalog=catalog,
                        config=QLORA_EXAMPLE,
                        hardware=replace(hardware, price_per_hour=0.4),
                        variants=COMPARISONS["Variants"]["variants"],
                        dataset=Dataset(rows=10000, mean_tokens=400),
                    )
                ]
            ),
            taken=COMPARISONS,
        ),
        "/api/v1/check": Example(
            given=rendering.checked(check_text(catalog=catalog, text=YAML_EXAMPLE, hardware=hardware), english),
            taken=CHECKS,
        ),
        "/api/v1/config": Example(given=write_yaml(QLORA_EXAMPLE, english), taken=CONFIGS),
    }
    return {
        path: Example(given=to_jsonable_python(example.given), taken=example.taken, parameters=example.parameters)
        for path, example in made.items()
    }


def _listed(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"items": items, "total": len(items)}
