"""An Axolotl plugin that reads the CUDA allocator of the run it sits in; named under ``plugins:`` it changes nothing of what is trained.

Of one steady step (the third) it takes what ``torch.cuda.max_memory_allocated`` and ``max_memory_reserved`` say, before and after the
optimizer; of the fourth the allocator's own history, summed up by who asked for what lives at the peak. ``REPORT`` holds it all.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from pathlib import Path

import torch
from axolotl.integrations.base import BasePlugin
from transformers import TrainerCallback

MEASURED, LOOKED_AT = 3, 4
GRANULE = 512
REPORT: dict = {}
ROWS: list[dict] = []
"""What the run trains on."""
PLUMBING = (
    "torch/nn/modules/module.py",
    "torch/utils/_contextlib.py",
    "torch/autograd/",
    "torch/amp/",
    "torch/_tensor.py",
    "torch/_ops.py",
)


def randomise(model: torch.nn.Module) -> None:
    """Weights as if drawn: files of nothing but zeros are quicker to make. In place, so that memory does not change."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.device.type == "meta":
                continue
            if parameter.dtype == torch.uint8:
                parameter.random_(0, 256)
            elif parameter.dtype == torch.int8:
                parameter.random_(-127, 128)
            elif parameter.ndim > 1:
                parameter.normal_(0.0, 0.02)
            state = getattr(parameter, "quant_state", None)
            if state is not None:
                if state.absmax.dtype == torch.uint8:
                    state.absmax.random_(100, 156)
                    state.state2.absmax.fill_(0.02)
                    state.offset.fill_(0.03)
                else:
                    state.absmax.fill_(0.05)
            if getattr(parameter, "SCB", None) is not None:
                parameter.SCB.fill_(0.05)


def process_bytes() -> int | None:
    """What the driver holds for this process, as ``nvidia-smi`` lists it; None where it does not list this process."""
    import pynvml

    pynvml.nvmlInit()
    card = pynvml.nvmlDeviceGetHandleByIndex(0)
    held = {p.pid: p.usedGpuMemory for p in pynvml.nvmlDeviceGetComputeRunningProcesses(card)}
    return held.get(os.getpid())


def _where(frames: list[dict]) -> str:
    """The innermost calls that are not PyTorch's plumbing."""
    told = []
    for frame in frames:
        name = frame["filename"]
        if any(part in name for part in PLUMBING) or frame["name"] == "<lambda>":
            continue
        told.append(f"{Path(name).stem}.{frame['name']}:{frame['line']}")
        if len(told) == 4:
            break
    return " < ".join(told)


def at_peak(events: list[dict]) -> tuple[int, list]:
    """What was asked for since recording began and lives at its highest moment: bytes, and [bytes, how many, where] of each group."""

    def granules(size: int) -> int:
        return -(-size // GRANULE) * GRANULE

    live: dict[int, int] = {}
    now = peak = moment = 0
    for position, event in enumerate(events):
        if event["action"] == "alloc":
            live[event["addr"]] = granules(event["size"])
            now += live[event["addr"]]
            if now > peak:
                peak, moment = now, position
        elif event["action"] == "free_completed" and event["addr"] in live:
            now -= live.pop(event["addr"])
        elif event["action"] == "free_completed":
            now -= granules(event["size"])
    live, freed = {}, 0
    for event in events[: moment + 1]:
        if event["action"] == "alloc":
            live[event["addr"]] = event
        elif event["action"] == "free_completed" and live.pop(event["addr"], None) is None:
            freed += granules(event["size"])
    groups: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in live.values():
        group = groups[_where(event.get("frames") or [])]
        group[0] += granules(event["size"])
        group[1] += 1
    found = sorted(([size, count, where] for where, (size, count) in groups.items()), reverse=True)
    return peak, [*found[:40], [-freed, 0, "freed since then"]]


class _Steps(TrainerCallback):
    def on_step_begin(self, args, state, control, **_):
        torch.cuda.synchronize()
        self.step = state.global_step + 1
        if self.step == 1:
            REPORT["first_step_begin"] = torch.cuda.memory_allocated()
        if self.step == MEASURED:
            REPORT["before_step_bytes"] = torch.cuda.memory_allocated()
            REPORT["reserved_before_bytes"] = torch.cuda.memory_reserved()
        if self.step == LOOKED_AT and os.environ.get("AXOPLAN_LOOK", "1") == "1":
            torch.cuda.memory._record_memory_history(max_entries=4_000_000, stacks="python")
        torch.cuda.reset_peak_memory_stats()
        self.began = time.monotonic()

    def on_pre_optimizer_step(self, args, state, control, **_):
        if self.step == MEASURED:
            REPORT["backward_peak_bytes"] = torch.cuda.max_memory_allocated()
            REPORT["before_optimizer_bytes"] = torch.cuda.memory_allocated()

    def on_step_end(self, args, state, control, **_):
        torch.cuda.synchronize()
        seconds = time.monotonic() - self.began
        peak = torch.cuda.max_memory_allocated()
        if self.step == 1:
            REPORT["first_peak_bytes"] = peak
        if self.step == MEASURED:
            REPORT["allocated_peak_bytes"] = peak
            REPORT["reserved_peak_bytes"] = torch.cuda.max_memory_reserved()
            REPORT["process_bytes"] = process_bytes()
            REPORT["reserved_now_bytes"] = torch.cuda.memory_reserved()
            REPORT["after_step_bytes"] = torch.cuda.memory_allocated()
            REPORT["seconds"] = round(seconds, 4)
            REPORT["requested_peak_bytes"] = torch.cuda.memory_stats().get("requested_bytes.all.peak")
        if self.step == LOOKED_AT and os.environ.get("AXOPLAN_LOOK", "1") == "1":
            began = time.monotonic()
            events = torch.cuda.memory._snapshot()["device_traces"][0]
            torch.cuda.memory._record_memory_history(enabled=None)
            REPORT["look_peak_bytes"] = peak
            REPORT["events"] = len(events)
            REPORT["made_at_peak_bytes"], REPORT["made_at_peak"] = at_peak(events)
            REPORT["look_seconds"] = round(time.monotonic() - began, 2)
        torch.cuda.reset_peak_memory_stats()

    def on_prediction_step(self, args, state, control, **_):  # Axolotl's log resets the peak before ``on_evaluate``
        REPORT["evaluation_peak_bytes"] = torch.cuda.max_memory_allocated()

    def on_train_end(self, args, state, control, **_):
        before = torch.cuda.memory_allocated()
        torch._C._cuda_clearCublasWorkspaces()
        REPORT["cublas_workspace_bytes"] = before - torch.cuda.memory_allocated()


class Meter(BasePlugin):
    """Named as ``tests.reference.memory.gpu_meter.Meter``."""

    def load_datasets(self, cfg, preprocess=False):
        from axolotl.common.datasets import TrainDatasetMeta
        from datasets import Dataset

        rows = Dataset.from_list(ROWS)
        held_back = Dataset.from_list(ROWS[:4]) if cfg.val_set_size else None
        return TrainDatasetMeta(train_dataset=rows, eval_dataset=held_back, total_num_steps=cfg.max_steps)

    def pre_model_load(self, cfg):
        torch.cuda.reset_peak_memory_stats()
        REPORT["before_load_bytes"] = torch.cuda.memory_allocated()

    def post_model_load(self, cfg, model):
        # not the highest of loading: Axolotl's log of its memory has reset that by now
        REPORT["loaded_bytes"] = torch.cuda.memory_allocated()
        REPORT["trained_parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        REPORT["dtypes"] = _dtypes(model)
        randomise(model)
        torch.cuda.reset_peak_memory_stats()

    def add_callbacks_pre_trainer(self, cfg, model):
        return [_Steps()]


def _dtypes(model: torch.nn.Module) -> dict[str, int]:
    """Bytes of the parameters by type."""
    found: dict[str, int] = defaultdict(int)
    for parameter in model.parameters():
        found[str(parameter.dtype).removeprefix("torch.")] += parameter.numel() * parameter.element_size()
    return dict(found)
