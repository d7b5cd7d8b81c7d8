"""Which loss runs: not always the one that is set."""

from dataclasses import replace

from app.core.architecture import Architecture
from app.core.coverage import LIGER_CROSS_ENTROPY, NOT_FUSED_BY_LIGER
from app.core.run import Loss, Run


def loss_of(architecture: Architecture, run: Run) -> Loss:
    """The loss of this model: what Axolotl does not reach stays Transformers' own.

    Its chunked one replaces that of causal models, not of those with towers (``monkeypatch/loss/chunked.py`` changes
    ``LOSS_MAPPING["ForCausalLM"]`` alone); Liger's some models' (``integrations/liger/plugin.py``).
    """
    match run.loss:
        case Loss.CHUNKED:
            reached = not architecture.multimodal
        case Loss.LIGER_FUSED_LINEAR:
            reached = architecture.model_type not in NOT_FUSED_BY_LIGER
        case Loss.LIGER:
            reached = architecture.model_type in LIGER_CROSS_ENTROPY
        case _:
            reached = True
    return run.loss if reached else Loss.PLAIN


def as_reached(architecture: Architecture, run: Run) -> Run:
    """The run with the loss that runs."""
    loss = loss_of(architecture, run)
    return run if loss is run.loss else replace(run, loss=loss)
