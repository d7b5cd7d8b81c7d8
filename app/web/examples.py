"""Plans to look at: the start page's, and what an unfinished form could become."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.catalog.library import Catalog
from app.core.axolotl.presets import PRESETS
from app.texts import Texts
from app.web import contexts
from app.web.fields import FIELDS
from app.web.forms import Address, Form, in_field

EXAMPLES = (
    ("meta-llama/Llama-3.1-8B-Instruct", "rtx-4090"),
    ("Qwen/Qwen3-4B", "rtx-3060-12gb"),
    ("google/gemma-3-12b-it", "a100-40gb-sxm"),
)
"""Model and card of the examples; a pair that the catalogue does not hold is left out."""

CARDS = ("rtx-3060-12gb", "rtx-4060-ti-16gb", "rtx-4090", "a100-80gb-sxm")
MODELS = ("Qwen/Qwen3-4B", "meta-llama/Llama-3.1-8B-Instruct", "google/gemma-3-12b-it", "openai/gpt-oss-20b")
"""What to try where only the other half is chosen."""

PRESET_GPUS = {"lora_24gb": "rtx-4090", "qlora_8gb": "rtx-4060"}


def _preset_form(keys: Mapping[str, Any]) -> Form:
    values = {key: in_field(value) for key, value in keys.items() if key in FIELDS}
    values["method"] = str(keys["adapter"])
    values["neftune"] = "on" if keys.get("neftune_noise_alpha") else "off"
    return Form().with_values(model=str(keys["base_model"]), **values)


PRESET_FORMS = {name: _preset_form(keys) for name, keys in PRESETS.items()}


def example_plans(catalog: Catalog, texts: Texts, form: Form, address: Address) -> tuple[contexts.Link, ...]:
    """Whole plans for an empty form; otherwise ``form`` with the half that is missing."""
    models = {row.id: row.name for row in catalog.models.rows}
    gpus = {row.id: row.name for row in catalog.gpus.rows}
    if form.has_model:
        return tuple(
            contexts.Link(text=texts.text("web.example.on", name=gpus[gpu]), url=address(form.with_values(gpu=gpu)))
            for gpu in CARDS
            if gpu in gpus
        )
    if form.has_hardware:
        return tuple(
            contexts.Link(text=models[model], url=address(form.with_values(model=model)))
            for model in MODELS
            if model in models
        )
    return tuple(
        contexts.Link(
            text=texts.text("web.example", model=models[model], hardware=gpus[gpu]),
            url=address(form.with_values(model=model, gpu=gpu)),
        )
        for model, gpu in EXAMPLES
        if model in models and gpu in gpus
    )


def preset_plans(catalog: Catalog, texts: Texts, form: Form, address: Address) -> tuple[contexts.Link, ...]:
    """The guide's two templates: all their values, on the card that is chosen or on one of the size they name."""
    links = []
    for name, preset in PRESET_FORMS.items():
        hardware = {"gpu": form["gpu"], "vram_gib": form["vram_gib"]} if form.has_hardware else {}
        if not hardware and any(row.id == PRESET_GPUS[name] for row in catalog.gpus.rows):
            hardware = {"gpu": PRESET_GPUS[name]}
        filled = replace(preset, lang=form.lang).with_values(**hardware)
        links.append(contexts.Link(text=texts.text(f"web.preset.{name}"), url=address(filled)))
    return tuple(links)
