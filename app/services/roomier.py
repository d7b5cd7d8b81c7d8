"""Where the guide's range asks for 4 bits and the model would do without: said, and the plan stays the guide's."""

from collections.abc import Iterable, Mapping
from typing import Any

from app.core.estimate import Verdict
from app.core.findings import Finding, Fix, Severity
from app.core.messages import message
from app.core.plan import Alternative, Priority

IN_FULL = ("sequence_len", "lora_r")
"""What a road must not have been cut by to be worth naming."""


def fits_too(
    method: str, config: Mapping[str, Any], alternatives: Iterable[Alternative], priority: Priority
) -> list[Finding]:
    """That LoRA in 16 bits, and full fine-tuning too, would have headroom where ``method`` is the guide's QLoRA.

    The tree asks for the card's memory before it knows the model's size, as the guide does; who put memory first wants
    the least of it. Nothing is said where LoRA would be slower, or trains shorter samples or fewer ranks.
    """
    if method != "qlora" or priority is Priority.MEMORY:
        return []
    roomy = {
        road.method: road.estimate.memory.process_bytes
        for road in alternatives
        if road.estimate.verdict is Verdict.FITS
        and all(road.config.get(key, config.get(key)) == config.get(key) for key in IN_FULL)
        and (road.method != "lora" or road.pace is None or not road.pace.code.endswith("slower"))
    }
    if "lora" not in roomy:
        return []
    sizes = {"lora_bytes": roomy["lora"], "full_bytes": roomy.get("full", 0)}
    said = message("finding.lora_and_full_fit_too" if "full" in roomy else "finding.lora_fits_too", **sizes)
    fix = Fix(set={"adapter": "lora"}, unset=("load_in_4bit",))
    return [Finding(severity=Severity.INFO, key="adapter", message=said, fix=fix)]
