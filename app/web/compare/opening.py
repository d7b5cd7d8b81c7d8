"""The wizard's form for exactly one row of a comparison: the same knobs, so the same figures.

A row keeps what the plan says and changes the method alone; the wizard, asked for that method, would choose knobs anew.
So the row's knobs are asked for along with it, and of the rest whatever the method's own template has otherwise.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.catalog.library import Catalog
from app.core.axolotl.run_reader import read_run
from app.core.errors import InvalidInput
from app.core.fit import RUNG_KEYS, Rung
from app.core.hardware import Hardware
from app.services.inputs import ResolvedModel, resolve_model
from app.services.templates import asked_method, template
from app.web import own_keys
from app.web.chooser import pinned
from app.web.fields import FIELDS, File
from app.web.forms import Form, turned, understand

HABITS = frozenset(
    """output_dir learning_rate num_epochs warmup_ratio warmup_steps relora_prune_method relora_prune_ratio
    jagged_restart_steps jagged_restart_warmup_steps jagged_restart_anneal_steps""".split()
)
"""What each method has its own habit of and no figure of a row depends on: left to the wizard, unless it was typed."""
KNOBS = frozenset(name for name, field in FIELDS.items() if field.knob or name == "sequence_len")
MOST_TURNS = 3
"""Times that what differs is asked for; a key that is set can rule others out."""


def exactly(
    form: Form,
    config: Mapping[str, Any],
    catalog: Catalog,
    hardware: Hardware,
    habits: frozenset[str] = HABITS,
) -> Form:
    """What the wizard is asked so that its plan is ``config``, but for ``habits``."""
    if form["file"] == File.AS_IS:
        return pinned(form, config)
    free = habits.difference(form.values)
    without = own_keys.without(form.values, [key for key in own_keys.parse(form["keys"]) if key not in config])
    asked = replace(form, values={name: text for name, text in without.items() if name not in KNOBS})
    asked = pinned(asked.with_method(""), config, KNOBS - free)
    asked = asked.with_values(neftune="on" if config.get("neftune_noise_alpha") == 5 else "off")
    for _ in range(MOST_TURNS):
        patch = _differing(asked, config, catalog, hardware, free)
        if patch == {}:
            return asked
        if patch is None:
            break
        asked = turned(asked, patch)
    return pinned(asked.with_values(file=File.AS_IS.value), config)


def _differing(
    form: Form, config: Mapping[str, Any], catalog: Catalog, hardware: Hardware, free: frozenset[str]
) -> dict[str, Any] | None:
    """The keys to set, None to take one out, for the wizard to come to ``config``; None where it cannot be asked."""
    asked = understand(form, catalog)
    if asked.errors:
        return None
    wish = asked.wish
    try:
        resolved: ResolvedModel = resolve_model(catalog=catalog, base_model=asked.base_model, model=asked.model)
        made = template(catalog, resolved, hardware, wish, asked_method(wish.overrides) or "lora")
    except InvalidInput:
        return None
    passed = free - asked.own_keys | {"base_model"}
    patch = {key: config.get(key) for key in (*made, *config) if made.get(key) != config.get(key) and key not in passed}
    # what nothing asks for may be given up to fit
    kept = wish.overrides.keys() | patch.keys() | ({"sequence_len"} if wish.sequence_len_tokens is not None else set())
    for keys in (RUNG_KEYS[rung] for rung in Rung if kept.isdisjoint(RUNG_KEYS[rung])):
        held = next((key for key in keys if key in config), None)
        if held is not None:
            patch[held] = config[held]
        elif keys == RUNG_KEYS[Rung.LOSS] or (keys == RUNG_KEYS[Rung.EVALUATION] and read_run(config).evaluates):
            patch[keys[0]] = None  # one that nothing asks for is put in to fit
    return patch
