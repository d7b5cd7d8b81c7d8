"""The files that exports are made of: Axolotl's plugin, and the parts of a training script."""

from functools import cache
from string import Template

from app.catalog.files import DATA

PLUGIN_MODULE = "axoplan_peft"
PLUGIN_CLASS = f"{PLUGIN_MODULE}.AxoplanPeftPlugin"


@cache
def export_text(name: str) -> str:
    """One file as it is."""
    return (DATA / "export" / f"{name}.py.txt").read_text(encoding="utf-8")


def export_template(name: str) -> Template:
    """One file with places to fill."""
    return Template(export_text(name))
