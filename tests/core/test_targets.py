"""Which modules a target means, by PEFT's rules."""

import pytest

from app.core.targets import safe_pattern, suffix_layers

LAYERS = (0, 1, 2, 3)
PATH = "model.layers.{}.self_attn.q_proj"


@pytest.mark.parametrize(
    ("target", "layers"),
    [
        ("q_proj", LAYERS),
        ("self_attn.q_proj", LAYERS),
        ("layers.3.self_attn.q_proj", (3,)),
        ("model.layers.0.self_attn.q_proj", (0,)),
        ("base.model.layers.0.self_attn.q_proj", None),
        ("layers.4.self_attn.q_proj", None),
        ("layers.03.self_attn.q_proj", None),
        ("proj", None),
        ("k_proj", None),
    ],
)
def test_a_name_means_whole_parts_of_a_path(target: str, layers: tuple[int, ...] | None) -> None:
    """From the end, and one layer where it names one."""
    assert suffix_layers(PATH, LAYERS, target) == layers


def test_a_module_that_stands_once_has_no_layers() -> None:
    """It is reached all the same."""
    assert suffix_layers("lm_head", None, "lm_head") == ()


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|b)*c", "x" * 1001, ".*a.*b.*c.*d.*e.*f"])
def test_patterns_that_could_take_for_ever_are_refused(pattern: str) -> None:
    """Backtracking would be exponential, or of a high degree."""
    with pytest.raises(ValueError, match=r"repeats|longer|variable"):
        safe_pattern(pattern)
