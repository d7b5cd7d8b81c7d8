"""Rules about PEFT's methods beside LoRA, which run by a script of their own.

Source: PEFT 0.20.0 ``tuners/adalora/layer.py``, ``RankAllocator``. What fails was run there.
"""

from collections.abc import Iterator

from app.core.axolotl.subject import Rule, Subject, fails
from app.core.findings import Finding, Fix
from app.core.methods.reading import ADALORA_START_RANK, ADALORA_TARGET_RANK
from app.core.methods.settings import PeftType


def adalora_ranks(subject: Subject) -> Iterator[Finding]:
    """AdaLoRA takes ranks away, and asks for the first of none where there are none to take."""
    if subject.text("adapter") != PeftType.ADALORA:
        return
    given = subject.mapping("peft_config")
    start, target = given.get("init_r"), given.get("target_r")
    start = ADALORA_START_RANK if start is None else start
    target = ADALORA_TARGET_RANK if target is None else target
    if type(start) is not int or type(target) is not int or start > target:
        return
    fix = Fix(set={"peft_config.target_r": start // 2}) if start > 1 else Fix(set={"peft_config.init_r": 2 * target})
    yield fails("adalora_ranks", "peft_config", fix=fix, start=start, target=target)


PEFT_RULES: tuple[Rule, ...] = (adalora_ranks,)
