"""Optimizer states and the temporaries of a step, by Axolotl's `optimizer` name.

Followed: ``torch/optim`` (multi-tensor variants, which CUDA uses unless fused, take one temporary as large as a parameter group's
second moment), ``bitsandbytes/optim/optimizer.py`` (8 bits: one byte a state and fp32 absmax per 256, fp32 under 4,096 elements; paged
buffers from 100,000 elements on live outside the device's allocator), ``transformers/trainer.py`` (8-bit optimizers keep nn.Embedding weights in
32 bits), ``transformers.optimization.Adafactor`` (the real class runs).
"""

from __future__ import annotations

import contextlib

import torch

from .immediate import IMMEDIATE, Immediate
from .polora import Polora
from .real_optimizers import REAL, STOOD_IN, StandIn, tensors_of

BNB = {"adamw_8bit": (8, 2), "adamw_bnb_8bit": (8, 2), "paged_adamw_8bit": (8, 2), "paged_adamw_32bit": (32, 2), "paged_adamw": (32, 2),
       "lion_8bit": (8, 1), "lion_32bit": (32, 1), "paged_lion_8bit": (8, 1), "paged_lion_32bit": (32, 1), "rmsprop_bnb_8bit": (8, 1),
       "rmsprop_bnb": (32, 1), "rmsprop_bnb_32bit": (32, 1), "ademamix": (32, 3), "ademamix_8bit": (8, 3), "paged_ademamix_32bit": (32, 3),
       "paged_ademamix_8bit": (8, 3)}  # fmt: skip
TORCH = {"adamw_torch": 2, "adamw_torch_fused": 2, "sgd": 0, "rmsprop": 1, "adagrad": 1}
SUPPORTED = (*BNB, *TORCH, "adafactor", *REAL, *STOOD_IN, *IMMEDIATE, "polora")


@contextlib.contextmanager
def _items(*, truth: bool = False):
    """Counters of steps and norms are read as numbers; fake ones say ten, and ``truth`` when asked which is larger."""
    kept = torch.Tensor.item, torch.Tensor.__bool__
    torch.Tensor.item, torch.Tensor.__bool__ = lambda self: 10.0, lambda self: truth
    try:
        yield
    finally:
        torch.Tensor.item, torch.Tensor.__bool__ = kept


class Optimizer:
    """Allocates states at once (as after a first step) and runs the allocations of a step."""

    def __init__(
        self,
        name: str,
        groups: list[list[torch.nn.Parameter]],
        embeddings: set[int],
        model=None,
        cfg: dict | None = None,
    ) -> None:
        if name not in SUPPORTED:
            raise NotImplementedError(f"optimizer {name}")
        self.name = name
        self.groups = [g for g in groups if g]
        self.states: list[torch.Tensor] = []
        self.host_bytes = 0
        self.real = self.stand_in = self.immediate = None
        if name in IMMEDIATE:
            self.immediate = Immediate(name, model, cfg or {})
            self.states = self.immediate.states
        elif name == "polora":
            self.stand_in = Polora(model)
            self.states = self.stand_in.states
        elif name in STOOD_IN:
            self.stand_in = StandIn(name, model, cfg or {})
            self.states, self.host_bytes = self.stand_in.states, self.stand_in.host_bytes
        elif name in REAL:
            self.real = REAL[name](name, model, cfg or {}, self.groups)
        elif name in BNB:
            self._bitsandbytes(embeddings)
        elif name in TORCH:
            for p in self._params():
                self.states += [torch.zeros_like(p) for _ in range(TORCH[name])]
                if name == "adamw_torch_fused":  # the step counters of the fused kernel live on the device
                    self.states.append(torch.zeros((), dtype=torch.float32))
        else:
            from transformers.optimization import Adafactor

            groups = [{"params": g} for g in self.groups]
            self.real = Adafactor(groups, lr=1e-4, scale_parameter=False, relative_step=False)

    def _params(self):
        return [p for group in self.groups for p in group]

    def _bitsandbytes(self, embeddings: set[int]) -> None:
        bits, count = BNB[self.name]
        if bits == 8:
            self.states += [torch.zeros(256, dtype=torch.float32) for _ in range(count)]
        for p in self._params():
            small = bits == 32 or p.numel() < 4096 or id(p) in embeddings
            dtype = torch.float32 if small else torch.uint8
            paged = self.name.startswith("paged") and p.numel() >= 100_000
            for _ in range(count):
                if paged:
                    self.host_bytes += p.numel() * dtype.itemsize
                else:
                    self.states.append(torch.zeros_like(p, dtype=dtype))
                if not small:
                    self.states.append(torch.zeros(-(-p.numel() // 256), dtype=torch.float32))

    @property
    def runs(self) -> bool:
        """Whether an optimizer's own code makes its states, in its first step."""
        return self.real is not None or self.immediate is not None or self.name == "polora"

    def backward(self, loss: torch.Tensor) -> None:
        """The backward of a micro batch, which for some is the step too."""
        if self.immediate is None:
            loss.backward()
            return
        with _items():
            self.immediate.backward(loss)

    def step(self) -> None:
        if self.immediate is not None:
            self.immediate.collect()
            self.states = self.immediate.states
            return
        if self.real is not None:
            with _items(truth=self.name == "q_galore_adamw8bit"):  # which asserts that nothing is no number
                self.real.step()
            self.states = tensors_of(dict(enumerate(self.real.state.values())))
            return
        if self.stand_in is not None:
            self.stand_in.step()
            self.states = self.stand_in.states
        if self.name in ("adamw_torch", "rmsprop", "adagrad"):
            for group in self.groups:
                for dtype in {p.dtype for p in group}:
                    same = [p for p in group if p.dtype == dtype and p.grad is not None]
                    held = [torch.empty_like(p) for p in same]
                    if self.name == "adagrad":
                        held += [torch.empty_like(p) for p in same]
                    del held
        if self.name in BNB:
            for p in self._params():
                if p.grad is not None:
                    p.grad = p.grad.contiguous()
        for p in self._params():  # what the kernel does to the weights: caches keyed on their version must miss
            torch.autograd.graph.increment_version(p)
