"""Liger's kernels beside its losses: norms, gated feed-forwards and positions that need less than Transformers' own.

The norm saves its input and a statistic a row and writes one gradient over the other; the feed-forward saves gate and
up and writes their gradients over them; positions turn queries and keys in place. Axolotl's fused LoRA kernels take
the place of the feed-forward where both are on.

Source: liger-kernel 0.8.1 ``ops/{rms_norm,swiglu,geglu,rope}.py``; Axolotl 0.19.0 ``integrations/liger/plugin.py``.
"""

from collections.abc import Sequence
from dataclasses import replace

from app.core.coverage import LIGER_LAYERS
from app.core.memory.layers import FeedForward, LayerSpec
from app.core.memory.middle import Middle
from app.core.memory.norms import Norm, NormSpec

RMS_FORMS = frozenset((Norm.RMS, Norm.RMS_PLUS_ONE, Norm.RMS_WEIGHT_FIRST))


def norm_under_liger(spec: NormSpec | None, model_type: str, keys: frozenset[str]) -> NormSpec | None:
    """The norm as Liger computes it, where it does."""
    if spec is None or "liger_rms_norm" not in keys or model_type not in LIGER_LAYERS:
        return spec
    return replace(spec, liger=True) if spec.form in RMS_FORMS else spec


def layers_under_liger(specs: Sequence[LayerSpec], model_type: str, keys: frozenset[str]) -> tuple[LayerSpec, ...]:
    """The layers as Liger patches them; equal ones stay the same object."""
    if not keys or model_type not in LIGER_LAYERS:
        return tuple(specs)
    made: dict[int, LayerSpec] = {}
    return tuple(made.setdefault(id(spec), _patched(spec, model_type, keys)) for spec in specs)


def _patched(spec: LayerSpec, model_type: str, keys: frozenset[str]) -> LayerSpec:
    found = replace(
        spec,
        input_norm=norm_under_liger(spec.input_norm, model_type, keys),
        feed_norm=norm_under_liger(spec.feed_norm, model_type, keys),
        attention_norm=norm_under_liger(spec.attention_norm, model_type, keys),
        output_norm=norm_under_liger(spec.output_norm, model_type, keys),
        query_norm=norm_under_liger(spec.query_norm, model_type, keys),
        key_norm=norm_under_liger(spec.key_norm, model_type, keys),
    )
    forward = spec.feed_forward
    if "liger_glu_activation" in keys and forward is not None and _takes_glu(forward):
        found = replace(found, feed_forward=replace(forward, liger=True))
    if "liger_rope" in keys and spec.heads is not None:
        found = replace(found, heads=replace(spec.heads, in_place=True))
    return found


def _takes_glu(forward: FeedForward) -> bool:
    """Whether no fused kernel has taken a gated feed-forward."""
    return forward.gated and not forward.fused and forward.middle is Middle.SAVES_INPUT
