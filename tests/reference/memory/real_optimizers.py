"""Optimizers whose own classes run, built as Transformers' and Axolotl's builders do.

Followed: ``transformers/trainer_optimizer.py``, ``axolotl/core/builders/base.py`` (``_configure_optimizer``) and
``axolotl/core/trainers/mixins/optimizer.py`` (three parameter groups for Axolotl's own optimizers). The classes come from
torch-optimi 0.2.1, schedulefree 1.4.1, came_pytorch 0.1.3, galore-torch 1.0, apollo-torch 1.0.3, lomo-optim 0.1.1,
axolotl-contribs-mit 0.0.6 and Axolotl's ``utils/optimizers``. What only a GPU runs stands in: torchao's states and
its compiled step, flashoptim's states (their steps are one fused kernel a tensor), bitsandbytes' inside GaLore, GrokAdamW's, whose states wait on the host.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import sys
import types
from functools import wraps
from pathlib import Path

import torch
from torch import nn
from transformers.trainer_utils import check_target_module_exists

TARGETS = ["self_attn", "mlp"]
"""What the cases set as ``optim_target_modules``."""


def targeted(model: nn.Module, cfg: dict) -> set[int]:
    """Weights of the linears that ``optim_target_modules`` names, as ``_setup_low_rank_optimizer`` finds them."""
    wanted = cfg.get("optim_target_modules") or TARGETS
    everything = isinstance(wanted, str) and wanted.replace("_", "-") == "all-linear"
    names = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and (everything or check_target_module_exists(wanted, name))
    }
    return {id(parameter) for name, parameter in model.named_parameters() if name in names}


def axolotl_groups(model: nn.Module) -> list[dict]:
    """``create_optimizer_grouped_parameters``: decaying weights, embeddings and head, the rest."""
    found: dict[str, list] = {"decay": [], "embeddings": [], "rest": []}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        if name.endswith("modules_to_save.default.weight") or any(n in name for n in ("embed_tokens", "lm_head")):
            found["embeddings"].append(p)
        elif p.ndim > 1 or not ("norm" in name or name.endswith("bias")):
            found["decay"].append(p)
        else:
            found["rest"].append(p)
    return [
        {"params": group, "weight_decay": 0.01 if name == "decay" else 0.0} for name, group in found.items() if group
    ]


def low_rank_groups(model: nn.Module, cfg: dict, **arguments) -> list[dict]:
    """Transformers' two groups of GaLore and APOLLO."""
    chosen = targeted(model, cfg)
    trained = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in trained if id(p) not in chosen]},
        {"params": [p for p in trained if id(p) in chosen], **arguments},
    ]


def _optimi(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    import optimi

    if name == "optimi_adamw":
        return optimi.AdamW(axolotl_groups(model), lr=1e-4, foreach=False)
    # foreach is chosen by the device: on CUDA it is on (``Optimizer._default_to_triton_or_foreach``)
    return optimi.StableAdamW([{"params": g} for g in groups], lr=1e-4, weight_decay=0.0, foreach=True)


def _schedule_free(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    import schedulefree

    cls = {"adamw": "AdamWScheduleFree", "radam": "RAdamScheduleFree", "sgd": "SGDScheduleFree"}[name.split("_")[-1]]
    optimizer = getattr(schedulefree, cls)([{"params": g} for g in groups], lr=1e-4, foreach=True)
    optimizer.train()
    for group in optimizer.param_groups:  # RAdam takes plain steps before its variance is known
        group["k"] = 10
    return optimizer


def _axolotl(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    if name == "came_pytorch":
        from came_pytorch.CAME import CAME

        return CAME(axolotl_groups(model), lr=1e-4, betas=(0.9, 0.999, 0.9999), eps=(1e-30, 1e-16), weight_decay=0.0)
    module = importlib.import_module(
        {"adopt_adamw": "axolotl.utils.optimizers.adopt", "adamc": "axolotl.utils.optimizers.adamc"}[name]
    )
    if name == "adamc":
        return module.AdamC(axolotl_groups(model), lr=1e-4)
    return module.ADOPT(axolotl_groups(model), lr=1e-4, decouple=True, foreach=True)


APOLLO = {"proj": "random", "scale_type": "channel", "update_proj_gap": 200, "scale": 1.0, "proj_type": "std"}


def galore_settings() -> dict:
    """Transformers' of the projected group, its rank apart."""
    return {"update_proj_gap": 200, "scale": 0.25, "proj_type": "std"}


def rank_of(cfg: dict) -> int:
    """Of the projections of GaLore and APOLLO."""
    return int((cfg.get("optim_args") or {}).get("rank", 128))


def galore_class(name: str) -> type[torch.optim.Optimizer]:
    """The class that Transformers builds for an optimizer of low rank."""
    if name.startswith("apollo"):
        return _module("apollo_torch", "apollo").AdamW
    if "8bit" in name:
        with real_bitsandbytes():
            module = _module("galore_torch", "adamw8bit")
    else:
        module = _module("galore_torch", "adafactor" if name.startswith("galore_adafactor") else "adamw")
    module.GaLoreProjector.get_orthogonal_matrix = _orthogonal
    return (
        module.Adafactor
        if name.startswith("galore_adafactor")
        else module.AdamW8bit
        if "8bit" in name
        else module.AdamW
    )


def _low_rank(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    if name.startswith("apollo"):
        return galore_class(name)(low_rank_groups(model, cfg, rank=rank_of(cfg), **APOLLO), lr=1e-4)
    groups_ = low_rank_groups(model, cfg, rank=rank_of(cfg), **galore_settings())
    more = {"scale_parameter": False, "relative_step": False} if name == "galore_adafactor" else {}
    return galore_class(name)(groups_, lr=1e-4, **more)


def _bitsandbytes() -> dict[str, types.ModuleType]:
    return {key: module for key, module in sys.modules.items() if key.partition(".")[0] == "bitsandbytes"}


_LOADED = _bitsandbytes()
"""What Transformers has loaded before the stand-in took its place."""


@contextlib.contextmanager
def real_bitsandbytes():
    """bitsandbytes itself, whose optimizers are Python; its kernels do nothing, its wait for the card neither."""

    kept = _bitsandbytes()
    for key in kept:
        del sys.modules[key]
    sys.modules.update(_LOADED)  # its operators can be defined once
    try:
        functional = importlib.import_module("bitsandbytes.functional")
        for kernel in ("optimizer_update_8bit_blockwise", "optimizer_update_32bit"):
            setattr(functional, kernel, wraps(getattr(functional, kernel))(lambda *_, **__: None))
        torch.cuda.synchronize = lambda *_: None
        yield
    finally:
        for key, module in _bitsandbytes().items():
            _LOADED[key] = module
            del sys.modules[key]
        sys.modules.update(kept)


def _q_galore(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    """``_configure_custom_optimizer``, with the defaults of Axolotl's ``qgalore_*`` keys."""
    from axolotl.utils.optimizers import qgalore

    with real_bitsandbytes():
        module = _module("q_galore_torch", "q_galore_adamw8bit")
        sys.modules["q_galore_torch"].QGaLoreAdamW8bit = module.AdamW8bit
        qgalore.patch_q_galore_for_modern_bnb()
    module.GaLoreProjector.get_orthogonal_matrix = _orthogonal
    groups_ = qgalore.build_qgalore_param_groups(
        model,
        cfg.get("optim_target_modules") or ["attn", "mlp"],
        rank=cfg.get("qgalore_rank", 256),
        update_proj_gap=200,
        scale=0.25,
        proj_type="std",
        proj_quant=cfg.get("qgalore_proj_quant", True),
        proj_bits=4,
        proj_group_size=cfg.get("qgalore_proj_group_size", 256),
        cos_threshold=0.4,
        gamma_proj=2,
        queue_size=5,
    )
    return module.AdamW8bit(groups_, lr=1e-4, weight_decay=0.0)


def _anyprecision(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    """``_get_adamw_anyprecision``, which asks for fp32 in both states."""
    from torchdistx.optimizers import AnyPrecisionAdamW

    full = {"momentum_dtype": torch.float32, "variance_dtype": torch.float32}
    return AnyPrecisionAdamW([{"params": g} for g in groups], lr=1e-4, use_kahan_summation=False, **full)


def _module(package: str, name: str):
    """A module of a package whose ``__init__`` needs bitsandbytes' CUDA library."""
    if package not in sys.modules:
        holder = types.ModuleType(package)
        holder.__path__ = list(importlib.machinery.PathFinder.find_spec(package).submodule_search_locations)
        sys.modules[package] = holder
    return importlib.import_module(f"{package}.{name}")


def _orthogonal(self, weights, rank, type):
    """The projection that an SVD of the gradient gives each 200 steps; the SVD itself is no part of a steady step."""
    rows, columns = weights.shape
    rank = min(rank, rows, columns)
    return torch.empty((rank, columns) if type == "right" else (rows, rank), dtype=weights.dtype)


def _muon(name: str, model: nn.Module, cfg: dict, groups: list[list]) -> torch.optim.Optimizer:
    kept = torch.compile
    torch.compile = lambda function=None, **_: function or (lambda f: f)
    base = types.ModuleType("axolotl.integrations.base")
    base.BaseOptimizerFactory = object
    old = sys.modules.get(base.__name__)
    sys.modules[base.__name__] = base
    try:
        path = next(Path(p) / "axolotl/contribs/mit/muon/muon.py" for p in sys.path if (Path(p) / "axolotl/contribs/mit/muon/muon.py").exists())  # fmt: skip
        spec = importlib.util.spec_from_file_location("contributed_muon", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        torch.compile = kept
        if old is None:
            del sys.modules[base.__name__]
        else:
            sys.modules[base.__name__] = old
    return module.MuonOptimizerFactory()(model, None, lr=1e-4, weight_decay=0.0)


REAL = {
    "optimi_adamw": _optimi,
    "stable_adamw": _optimi,
    "schedule_free_adamw": _schedule_free,
    "schedule_free_radam": _schedule_free,
    "schedule_free_sgd": _schedule_free,
    "came_pytorch": _axolotl,
    "adopt_adamw": _axolotl,
    "adamc": _axolotl,
    "galore_adamw": _low_rank,
    "galore_adafactor": _low_rank,
    "galore_adamw_8bit": _low_rank,
    "apollo_adamw": _low_rank,
    "q_galore_adamw8bit": _q_galore,
    "adamw_anyprecision": _anyprecision,
    "muon": _muon,
}


class StandIn:
    """Optimizers whose kernels run on a GPU only: their states by their sources, and the copies that a step makes.

    ``states`` lives on the device; ``host_bytes`` is what waits beside it.
    """

    def __init__(self, name: str, model: nn.Module, cfg: dict) -> None:
        self.name, self.states, self.host_bytes = name, [], 0
        self.named = ("embed_tokens", "lm_head") + (("wte", "word_embeddings") if name == "sinkgd" else ())
        self.trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        for label, p in self.trained:
            matrix = p.ndim > 1 and not any(n in label for n in self.named)
            match name:
                case "adamw_torch_8bit" | "ao_adamw_fp8":
                    self._torchao(p, 1, 256, 256 if name.endswith("8bit") else 0)
                case "adamw_torch_4bit":
                    self._torchao(p, 0.5, 256, 16)
                case "sinkgd":
                    if not matrix:
                        self._torchao(p, 1, 256, 256)
                case "flash_adamw" | "flash_adam":
                    self._flash(p, 2)
                case "flash_lion":
                    self._flash(p, 1)
                case "flash_sgd" | "flash_sgdw":
                    self._flash(p, 0)
                case "grokadamw":
                    self.host_bytes += 3 * p.numel() * p.element_size()
                case "dion":
                    self.states.append(torch.empty_like(p))
                    if matrix:
                        rank = min(p.shape)
                        self.states.append(torch.empty((min(p.shape), rank), dtype=p.dtype))
                    else:
                        self.states.append(torch.empty_like(p))
                case _:
                    raise NotImplementedError(f"optimizer {name}")
        if name.startswith("flash") and all(p.dtype == torch.float32 for _, p in self.trained):
            raise ValueError("master_weight_bits=24 has no effect when all parameters are fp32")

    def _torchao(self, p, width: float, block: int, codes: int) -> None:
        """torchao 0.17 ``_AdamBase._new_buffer``: codes, an fp32 scale a block, a code book a buffer."""
        for _ in range(2):
            if p.numel() < 4096 or p.numel() % block:
                self.states.append(torch.zeros_like(p))
                continue
            self.states.append(torch.empty(int(p.numel() * width), dtype=torch.uint8))
            self.states.append(torch.empty(p.numel() // block, dtype=torch.float32))
            if codes:
                self.states.append(torch.empty(codes, dtype=torch.float32))

    def _flash(self, p, count: int) -> None:
        """flashoptim 0.1.4 ``_ensure_state_initialized``: int8, an fp16 scale per 32; a byte that corrects a bf16 weight."""
        for _ in range(count):
            self.states.append(torch.empty_like(p, dtype=torch.int8))
            self.states.append(torch.empty(-(-p.numel() // 32), dtype=torch.float16))
        if p.element_size() == 2:
            self.states.append(torch.empty_like(p, dtype=torch.int8))

    def _compiled_adam(self, p) -> None:
        """torchao 0.17 ``single_param_adam``, compiled for each shape: what inductor's code allocates where states are quantised.

        An fp32 maximum a block of each state, and, where a value's code is looked up one by one, each state in fp32. 8 bits: measured on an
        H100 (torch 2.11), and the same in what inductor writes for a CPU. fp8 and 4 bits follow from that code alone: fp8's codes are a cast,
        made in the reduction's own kernel; 4 bits are packed in pairs from codes of int64, one state after the other.
        """
        block = 256
        if p.numel() < 4096 or p.numel() % block:
            return
        held = [torch.empty(p.numel() // block, dtype=torch.float32) for _ in range(2)]
        if self.name != "ao_adamw_fp8":
            held += [torch.empty(p.numel(), dtype=torch.float32) for _ in range(2)]
        if self.name == "adamw_torch_4bit":
            held.append(torch.empty(p.numel(), dtype=torch.int64))
        del held

    def step(self) -> None:
        for label, p in self.trained:
            if p.grad is None:
                continue
            if self.name in ("adamw_torch_8bit", "adamw_torch_4bit", "ao_adamw_fp8"):
                self._compiled_adam(p)
            if self.name in ("flash_sgd", "flash_sgdw"):
                self._plain_sgd(p)
            elif self.name == "sinkgd" and p.ndim > 1 and not any(n in label for n in self.named):
                # compiled: the iterate is written once an iteration, while the one before is read
                first = torch.empty_like(p.grad)
                second = torch.empty_like(p.grad)
                del first, second
            elif self.name == "sinkgd":
                self._compiled_adam(p)
            elif self.name == "dion":
                self._dion(label, p)
        if self.name == "grokadamw":
            self._grok()

    def _plain_sgd(self, p) -> None:
        """``FlashSGD._do_step`` without momentum, in Python: gradient and weight in fp32."""
        grad = p.grad.to(dtype=torch.float32)
        weight = p.detach().to(torch.float32)
        grad_scaled = torch.empty_like(weight) if p.dtype != torch.float32 else None
        del grad, weight, grad_scaled

    def _dion(self, label, p) -> None:
        """``dion_update_ddp`` of one matrix, rank 1: P, its orthogonal form through a sketch, R, and fp32 in between."""
        if p.ndim < 2 or any(n in label for n in ("embed_tokens", "lm_head")):
            held = torch.empty_like(p), torch.empty_like(p)
            del held
            return
        tall, short = max(p.shape), min(p.shape)
        product = torch.empty((tall, short), dtype=p.dtype)
        wide = torch.empty((tall, short), dtype=torch.float32)
        held = torch.empty((int(1.25 * short), tall), dtype=p.dtype), torch.empty((tall, short), dtype=torch.float32)
        del held, wide
        result = torch.empty((short, short), dtype=p.dtype), torch.empty((tall, short), dtype=p.dtype)
        del product, result

    def _grok(self) -> None:
        """``GrokAdamW._update_group``: three copies come to the device for one tensor, those before it go as names are taken over."""
        first = second = third = mixed = None
        for _, p in self.trained:
            if p.grad is None:
                continue
            first, second = torch.empty_like(p), torch.empty_like(p)
            third = torch.empty_like(p)
            scaled = third * 2.0
            mixed = p.grad + scaled
            del scaled
            root = second.sqrt()
            del root
        del first, second, third, mixed


STOOD_IN = ("adamw_torch_8bit", "adamw_torch_4bit", "ao_adamw_fp8", "sinkgd", "flash_adamw", "flash_adam", "flash_sgd", "flash_sgdw",
            "flash_lion", "grokadamw", "dion")  # fmt: skip


def tensors_of(value, seen: set[int] | None = None) -> list[torch.Tensor]:
    """Every tensor inside an optimizer's state, projectors included."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors_of(v, seen)]
    if isinstance(value, list | tuple):
        return [t for v in value for t in tensors_of(v, seen)]
    if "projector" in type(value).__name__.lower():
        return tensors_of(vars(value), seen)
    return []
