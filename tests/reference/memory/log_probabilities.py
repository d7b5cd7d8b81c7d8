"""Axolotl 0.19.0's own ``monkeypatch/trainer/utils.py``: what a preference trainer reads log-probabilities and entropies with.

Under ``rl`` Axolotl puts its ``selective_log_softmax`` and ``entropy_from_logits`` where TRL's were (``loaders/patch_manager.py``,
``_apply_trl_trainer_utils_patches``) before it imports TRL's trainers, so all of them get these. They run here as they are, with
their saved tensors and copies; of the Triton kernels in them only what they fill is made, by the fakes that Axolotl registers for its operators.
Without ``rl`` (a reward model) nothing is patched.
"""

from __future__ import annotations

import contextlib
import sys
import types

import torch

TRAINERS = (
    "trainer.dpo_trainer",
    "trainer.kto_trainer",
    "experimental.orpo.orpo_trainer",
    "experimental.cpo.cpo_trainer",
)


@contextlib.contextmanager
def _triton():
    """Enough of Triton to read the file: its kernels are never called."""
    triton, language = types.ModuleType("triton"), types.ModuleType("triton.language")
    triton.jit, triton.language = lambda kernel: kernel, language
    triton.next_power_of_2 = lambda n: 1 << (n - 1).bit_length()
    language.constexpr = int
    sys.modules |= {"triton": triton, "triton.language": language}
    try:
        yield
    finally:
        del sys.modules["triton"], sys.modules["triton.language"]


@contextlib.contextmanager
def _on_card():
    """The simulator's tensors say ``cpu``; asked here, they are on a card, or Axolotl would call TRL's own function."""
    torch.Tensor.is_cuda = property(lambda _: True)
    try:
        yield
    finally:
        del torch.Tensor.is_cuda


def _asked(function):
    def ask(*args):
        with _on_card():
            return function(*args)

    return ask


def install() -> None:
    """Patch TRL as Axolotl does under ``rl``: here the trainers' modules may have been imported before. Once a process."""
    from importlib import import_module

    if "axolotl.monkeypatch.trainer.utils" in sys.modules:
        return
    with _triton():
        from axolotl.monkeypatch.trainer import utils
    utils.RuntimeError = (
        RuntimeError,
        ValueError,
    )  # what a view of fake tensors is refused with, which the copy then follows
    for name in ("selective_log_softmax", "entropy_from_logits"):
        function = _asked(getattr(utils, name))
        for path in TRAINERS:
            module = import_module(f"trl.{path}")
            if hasattr(module, name):
                setattr(module, name, function)
