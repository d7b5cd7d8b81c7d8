"""Which of Liger's losses reach an architecture, against what Axolotl and Liger did to the classes themselves."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.coverage import (
    LIGER_CROSS_ENTROPY,
    LIGER_FUSED_LINEAR,
    LIGER_FUSED_LINEAR_FAILS,
    LIGER_LEAVES_SCALE_OUT,
    NOT_FUSED_BY_LIGER,
)
from app.core.findings import Effect
from app.core.run import LIGER_PLUGIN
from tests.core.axolotl.examples import architecture
from tests.core.axolotl.good import findings

RECORDED = json.loads(
    (Path(__file__).parents[2] / "data" / "axolotl" / "liger-0.19.0.json").read_text(encoding="utf-8")
)
FUSED = "liger_fused_linear_cross_entropy"
LOGITS = "liger_cross_entropy"


def _said(model_type: str, key: str) -> dict[str, Effect]:
    given = {"plugins": [LIGER_PLUGIN], key: True}
    found = findings(given, architecture(model_type))
    return {code: finding.effect for code, finding in found.items() if code.startswith("liger_loss")}


@pytest.mark.parametrize("model_type", sorted(RECORDED[FUSED]))
def test_fused_loss_is_known_for_what_axolotl_does(model_type: str) -> None:
    """Patched by name, by a forward of Axolotl's own, not at all, or stopped."""
    answer = RECORDED[FUSED][model_type]
    assert (model_type in NOT_FUSED_BY_LIGER) == (answer == "")
    by_name = model_type in LIGER_FUSED_LINEAR
    assert by_name == (answer == "patched" and model_type != "deepseek_v2")
    if answer.startswith("raises"):
        assert model_type in LIGER_FUSED_LINEAR_FAILS | {"jamba"}
    else:
        assert (model_type in LIGER_FUSED_LINEAR_FAILS) == answer.startswith("lacks")
    assert model_type not in LIGER_LEAVES_SCALE_OUT or answer == "generic"


@pytest.mark.parametrize("model_type", sorted(RECORDED[LOGITS]))
def test_cross_entropy_is_known_for_what_axolotl_does(model_type: str) -> None:
    """Jamba stops whatever is on."""
    reached = RECORDED[LOGITS][model_type] in ("patched", "raises ImportError")
    assert (model_type in LIGER_CROSS_ENTROPY) == reached


def test_what_reaches_nothing_is_said() -> None:
    """With what it is taken away for, which changes nothing; where it stops, and where other logits are trained for."""
    assert _said("lfm2_vl", FUSED) == {"liger_loss_missing": Effect.MISLEADS}
    assert _said("qwen3_5", FUSED) == {"liger_loss_missing": Effect.MISLEADS}
    assert _said("mistral", LOGITS) == {"liger_loss_missing": Effect.MISLEADS}
    assert _said("granite", FUSED) == {"liger_loss_fails": Effect.FAILS_AT_RUN}
    assert _said("cohere", FUSED) == {"liger_loss_scale": Effect.MISLEADS}
    for model_type, key in (("llama", FUSED), ("llama", LOGITS), ("olmo", FUSED), ("qwen3_5", LOGITS)):
        assert _said(model_type, key) == {}


def test_what_is_not_on_is_not_spoken_of() -> None:
    """Neither without the plugin nor without the key, nor of a model that nobody knows."""
    assert not any(code.startswith("liger_loss") for code in findings({FUSED: True}, architecture("lfm2_vl")))
    assert not any(
        code.startswith("liger_loss") for code in findings({"plugins": [LIGER_PLUGIN]}, architecture("gpt2"))
    )
    assert not any(code.startswith("liger_loss") for code in findings({"plugins": [LIGER_PLUGIN], FUSED: True}, None))


def test_of_what_is_not_known_or_has_no_such_loss_nothing_is_said() -> None:
    """A reward model's loss is none of Liger's, whose patch of Granite raises all the same."""
    given = {"plugins": [LIGER_PLUGIN], FUSED: True}
    rewarded = {**given, "reward_model": True}
    assert "liger_loss_fails" in findings(given, architecture("bloom"))
    assert "liger_loss_fails" not in findings(rewarded, architecture("bloom"))
    assert "liger_loss_fails" in findings(rewarded, architecture("granite"))
    assert "liger_loss_fails" not in findings(given, replace(architecture("bloom"), approximate=True))
