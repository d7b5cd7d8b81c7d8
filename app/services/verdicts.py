"""What becomes of a plan's file under Axolotl: the gravest of its findings, read for the file that is handed out."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.core.axolotl.adapter_rules import NOT_AXOLOTLS
from app.core.findings import Effect, Finding, by_gravity
from app.core.methods.settings import PeftType
from app.services.exporting import Target, plugin_yaml, reasons
from app.services.templates import PEFT_METHODS
from app.services.writing import write_yaml
from app.texts import Texts


def grave(findings: Iterable[Finding], config: Mapping[str, Any]) -> list[Finding]:
    """What Axolotl refuses, or what fails at run time, in what is handed out for ``config``.

    Bottleneck adapters, which it refuses with a plugin and without, are handed out as a script that runs by itself.
    """
    scripted = targets_of(config) == (Target.SCRIPT,)
    return [
        finding
        for finding in by_gravity(findings)
        if finding.effect in (Effect.REJECTED, Effect.FAILS_AT_RUN) and not (scripted and finding.code == NOT_AXOLOTLS)
    ]


def targets_of(config: Mapping[str, Any]) -> tuple[Target, ...]:
    """The files that there are for ``config``: what ``/config?target=`` gives."""
    adapter = config.get("adapter")
    if adapter == PeftType.BOTTLENECK:
        return (Target.SCRIPT,)
    if adapter in PEFT_METHODS:
        return (Target.PLUGIN, Target.PEFT, Target.SCRIPT)
    return (Target.AXOLOTL, Target.PEFT, Target.SCRIPT) if adapter else (Target.AXOLOTL, Target.SCRIPT)


def file_of(findings: Iterable[Finding], config: Mapping[str, Any], texts: Texts) -> str:
    """The YAML for ``config``: with the plugin's line where one runs the method, headed by what is against it."""
    targets = targets_of(config)
    if Target.PLUGIN in targets:
        return plugin_yaml(config, texts)
    against = grave(findings, config) if Target.AXOLOTL in targets else by_gravity(findings)[:1]
    return write_yaml(config, texts, header=reasons(against, texts))
