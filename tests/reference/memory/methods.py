"""Records peaks of PEFT's methods beside LoRA, and of bottleneck adapters: ``python -m tests.reference.memory.methods``.

Writes ``tests/data/memory/methods.jsonl``, in the form of ``record``. ``config`` names the method as the product does:
``adapter`` with ``peft_config``. Bottleneck adapters, which PEFT has not, are modules of two linears hooked behind
attention and feed-forward.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Iterator
from importlib.metadata import version

import torch

from .cases import MODELS
from .record import DATA, PACKAGES
from .simulator import Simulation

FLASH = {"attn_implementation": "flash_attention_2"}
GC = {"gradient_checkpointing": True}
CCE = {"cut_cross_entropy": True}
ATTENDING = ("self_attn", "attention")


class Bottleneck(torch.nn.Module):
    """``x + up(f(down(x)))``."""

    def __init__(self, width: int, size: int, *, bias: bool, gelu: bool) -> None:
        super().__init__()
        self.down = torch.nn.Linear(width, size, bias=bias)
        self.up = torch.nn.Linear(size, width, bias=bias)
        self.gelu = gelu

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.down(x)
        return x + self.up(torch.nn.functional.gelu(inner) if self.gelu else torch.nn.functional.relu(inner))


def behind(adapter: Bottleneck):
    """A hook that passes a module's result through an adapter."""

    def hook(_module, _inputs, output):
        return (adapter(output[0]), *output[1:]) if isinstance(output, tuple) else adapter(output)

    return hook


class MethodSimulation(Simulation):
    """A step under one of PEFT's other methods."""

    def _adapter(self, base):
        from peft import get_peft_model
        from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING

        given = self.cfg.get("peft_config") or {}
        if self.cfg["adapter"] == "bottleneck":
            return self._bottleneck(base, given)
        kinds = {str(getattr(kind, "value", kind)): made for kind, made in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
        return get_peft_model(base, kinds[self.cfg["adapter"].upper()](task_type="CAUSAL_LM", **given))

    def _bottleneck(self, base, given):
        base.requires_grad_(requires_grad=False)
        if self.cfg.get("gradient_checkpointing"):
            base.enable_input_require_grads()
        width, size = base.config.hidden_size, given.get("bottleneck_size", 64)
        facts = {"bias": given.get("bias", True), "gelu": given.get("non_linearity") == "gelu"}
        names = (*ATTENDING, "mlp") if given.get("placement", "houlsby") == "houlsby" else ("mlp",)
        for module in list(base.modules()):
            for name, child in list(module.named_children()):
                if name in names and hasattr(module, "mlp"):
                    adapter = Bottleneck(width, size, **facts)
                    module.add_module(f"adapter_{name}", adapter)
                    child.register_forward_hook(behind(adapter))
        return base


def cases() -> Iterator[tuple[str, dict, dict, tuple[int, int]]]:
    """(name, config.json, keys, [rows, tokens])."""
    tokens = {"num_virtual_tokens": 20}
    for name in ("qwen2.5-0.5b",):
        model = MODELS[name]
        for keys, label in ((FLASH, "flash"), ({}, "sdpa"), (FLASH | GC, "flash-gc")):
            for size in (20, 100):
                config = keys | {"adapter": "prompt_tuning", "peft_config": {"num_virtual_tokens": size}}
                yield f"{name}-prompt-{size}-{label}", model, config, (2, 512)
            if "gradient_checkpointing" not in keys:
                for projection in (False, True):
                    given = tokens | {"prefix_projection": projection, "encoder_hidden_size": 512}
                    config = keys | {"adapter": "prefix_tuning", "peft_config": given}
                    yield f"{name}-prefix-{'projected-' if projection else ''}{label}", model, config, (2, 512)
            config = keys | {"adapter": "p_tuning", "peft_config": tokens}
            yield f"{name}-p-tuning-{label}", model, config, (1, 1024)
            for loss, said in (({}, ""), (CCE, "-cce")):
                config = keys | loss | {"adapter": "ia3"}
                yield f"{name}-ia3-{label}{said}", model, config, (1, 1024)
                for placement, form in (("houlsby", "relu"), ("pfeiffer", "gelu")):
                    given = {"placement": placement, "non_linearity": form}
                    config = keys | loss | {"adapter": "bottleneck", "peft_config": given}
                    yield f"{name}-{placement}-{label}{said}", model, config, (1, 1024)
    for name, extra in (
        ("llama-3.1-8b", {"num_hidden_layers": 8}),
        ("gemma-2b", {"num_hidden_layers": 8}),
        ("phi-2", {"num_hidden_layers": 8}),
        ("pythia-1.4b", {"num_hidden_layers": 8}),
    ):
        model = MODELS[name] | extra
        for keys, label in ((FLASH | GC | CCE, "gc-cce"), (FLASH | CCE, "cce")):
            targets = {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]}
            given = targets if name not in ("phi-2", "pythia-1.4b") else {}
            yield f"{name}-ia3-{label}", model, keys | {"adapter": "ia3", "peft_config": given}, (1, 2048)
            yield f"{name}-houlsby-{label}", model, keys | {"adapter": "bottleneck"}, (1, 2048)
        config = FLASH | {"adapter": "prefix_tuning", "peft_config": {"num_virtual_tokens": 128}}
        yield f"{name}-prefix-128", model, config, (1, 512)


def main() -> int:
    """Record what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="only cases whose name contains this")
    parser.add_argument("--again", action="store_true", help="record again what is already there")
    parser.add_argument("--details", action="store_true", help="print what is live at the peak and write nothing")
    given = parser.parse_args()
    path = DATA / "methods.jsonl"
    held = {r["case"]: r for r in map(json.loads, path.read_text().splitlines())} if path.exists() else {}
    versions = {package: version(package) for package in PACKAGES}
    order = [name for name, *_ in cases()]
    for name, model, cfg, rows in cases():
        if given.only not in name or (name in held and not given.again and not given.details):
            continue
        simulation = MethodSimulation(model, cfg, rows)
        try:
            result = simulation.run()
        except Exception:
            traceback.print_exc()
            print("refused:", name, flush=True)
            continue
        print(f"{name}: {result['allocated_peak_bytes'] / 2**30:.3f} GiB, {result['phase']}", flush=True)
        if given.details:
            for size, category, label in simulation.tracker.at_peak(2**20):
                print(f"  {size / 2**20:10.1f} MiB  {category:10}  {label}")
            continue
        held[name] = {"case": name, "model": model, "config": cfg, "rows": list(rows), **result, "versions": versions}
        lines = [json.dumps(held[one]) for one in order if one in held]
        path.write_text("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
