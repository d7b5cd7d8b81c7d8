"""Counts the bytes a caching allocator would hold, storage by storage.

A ``TorchDispatchMode`` above ``FakeTensorMode`` sees the outputs of every dispatched operation. Each new storage is counted once, its
size rounded up to 512 bytes as PyTorch's CUDA caching allocator does, and it is given back when the storage dies (a weak
reference to the Python object of the storage, which PyTorch keeps alive as long as the C++ storage). Views add nothing.

What is seen is what is live at the end of each operation: workspaces that a kernel allocates and frees inside one operation are not
(cuBLAS workspaces, sort buffers); the stand-ins of this package allocate the buffers of the kernels they replace one by one.

One thing differs under a dispatch mode: where two gradients meet, the autograd engine (``input_buffer.cpp``) adds in place if it holds the
only reference to the first, but never does so for tensor subclasses. The tracker recognises the engine's own additions and lets the sum take over
the bytes of the first operand in that case.
"""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from dataclasses import dataclass

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

GRANULE = 512
INTO_ZEROS = (torch.ops.aten.scatter_add.default, torch.ops.aten.index_put.default)


def rounded(nbytes: int) -> int:
    """Bytes that the CUDA caching allocator counts for a request."""
    return -(-nbytes // GRANULE) * GRANULE


def _called_by_engine(depth: int) -> bool:
    """Whether the autograd engine runs the operation, no Python between."""
    frame = sys._getframe(depth)
    while frame is not None and frame.f_code.co_name in ("_fn", "inner"):  # wrappers of __torch_dispatch__
        frame = frame.f_back
    return frame is not None and frame.f_code.co_name == "_engine_run_backward"


def _added_by_engine(args) -> bool:
    """Whether the engine would have written this sum over its first operand: called by the engine, which alone holds a dense tensor."""
    first, second = args[0], args[1]
    if torch.is_grad_enabled() or not isinstance(second, torch.Tensor) or first.shape != second.shape:
        return False
    if not _called_by_engine(3):
        return False
    # The thresholds are those of a tensor that only the engine's buffer, this call and its Python wrapper refer to; a view has a base, which
    # holds the storage too.
    alone = (
        first._use_count() <= 4
        and sys.getrefcount(first) <= 4
        and torch._C._storage_Use_Count(first.untyped_storage()._cdata) <= 2
    )
    return alone and torch._prims_common.is_non_overlapping_and_dense_or_false(first)


@dataclass
class Block:
    """One live storage."""

    size: int
    category: str
    label: str
    ref: object


class MemoryTracker(TorchDispatchMode):
    """Live bytes, their peak, and what was live at the peak."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks: dict[int, Block] = {}
        self.live: Counter[tuple[str, str]] = Counter()
        self.now = 0
        self.peak = 0
        self.peak_phase = ""
        self.peak_live: dict[tuple[str, str], int] = {}
        self.phase = "load"
        self.phase_peaks: Counter[str] = Counter()
        self.trace: list[tuple[int, str]] | None = None
        self.unseen = False
        """Whether what is made is the host's."""
        self.answer = None
        """Answers operations that ask for values, which fake tensors do not have."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if self.answer is not None:
            out = self.answer(func, args)
            if out is not NotImplemented:
                if isinstance(out, torch.Tensor):
                    self.see(out, str(func).removeprefix("aten."))
                return out
        reused = func is torch.ops.aten.add.Tensor and _added_by_engine(args)
        # backwards that put a gradient into fresh zeros, in place but for tensor subclasses (``gather_backward``, ``index_backward``)
        reused = reused or (func in INTO_ZEROS and _called_by_engine(2))
        out = func(*args, **(kwargs or {}))
        if reused:
            self._take_over(args[0], out)
        for leaf in pytree.tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.see(leaf, str(func).removeprefix("aten.").removesuffix(".default"))
        return out

    def see(self, tensor: torch.Tensor, op: str, category: str | None = None) -> None:
        """Count the storage of `tensor` unless it is already counted."""
        if self.unseen:
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        block = self.blocks.get(key)
        if block is not None and block.ref() is storage:
            return
        if block is not None:  # the address was given to a new storage before the callback of the old one ran
            self._forget(key)
        size = rounded(storage.nbytes())
        if size == 0:
            return
        shape = "x".join(map(str, tensor.shape)) or "scalar"
        label = f"{op} {str(tensor.dtype).removeprefix('torch.')}[{shape}]"
        ref = weakref.ref(storage, lambda _, key=key, me=weakref.ref(self): me() and me()._died(key, _))
        self.blocks[key] = Block(size, category or self.phase, label, ref)
        self._add(self.blocks[key], size)

    def _take_over(self, old: torch.Tensor, new: torch.Tensor) -> None:
        storage = old.untyped_storage()
        block = self.blocks.get(storage._cdata)
        if block is None or block.ref() is not storage or block.size != rounded(new.untyped_storage().nbytes()):
            return
        self._forget(storage._cdata)
        self.see(new, block.label.partition(" ")[0], block.category)

    def _add(self, block: Block, size: int) -> None:
        entry = (block.category, block.label)
        self.live[entry] += size
        if not self.live[entry]:
            del self.live[entry]
        self.now += size
        if size > 0:
            if self.now > self.phase_peaks[self.phase]:
                self.phase_peaks[self.phase] = self.now
            if self.now > self.peak:
                self.peak = self.now
                self.peak_phase = self.phase
                self.peak_live = dict(self.live)
            if self.trace is not None:
                self.trace.append((self.now, block.label))

    def _forget(self, key: int) -> None:
        block = self.blocks.pop(key)
        self._add(block, -block.size)

    def _died(self, key: int, ref: object) -> None:
        block = self.blocks.get(key)
        if block is not None and block.ref is ref:
            self._forget(key)

    def relabel(self, tensor: torch.Tensor, category: str, label: str | None = None) -> None:
        """Move a live storage to another category (weights, gradients ...), counting it if it was not yet seen."""
        key = tensor.untyped_storage()._cdata
        block = self.blocks.get(key)
        if block is None or block.ref() is not tensor.untyped_storage():
            self.see(tensor, label or category, category)
            return
        for step in (-1, 1):
            entry = (block.category, block.label)
            self.live[entry] += step * block.size
            if not self.live[entry]:
                del self.live[entry]
            if step == -1:
                block.category = category
                block.label = label or block.label

    def reset_peak(self) -> None:
        """Forget the peak so far, as ``torch.cuda.reset_peak_memory_stats`` does."""
        self.peak = self.now
        self.peak_phase = self.phase
        self.peak_live = dict(self.live)
        self.phase_peaks.clear()
        self.phase_peaks[self.phase] = self.now

    def by_category(self) -> dict[str, int]:
        """Bytes live at the peak, by category."""
        total: Counter[str] = Counter()
        for (category, _), size in self.peak_live.items():
            total[category] += size
        return dict(sorted(total.items()))

    def at_peak(self, least: int = 0) -> list[tuple[int, str, str]]:
        """Every (bytes, category, label) live at the peak, the largest first."""
        return sorted(((size, *entry) for entry, size in self.peak_live.items() if size >= least), reverse=True)
