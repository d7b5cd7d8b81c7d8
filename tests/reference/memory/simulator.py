"""One training step of Axolotl 0.19.0 under ``FakeTensorMode``: the peak of the allocator and what was live at it.

The model is Transformers' own class built from a ``config.json``, wrapped by PEFT; dtypes follow ``axolotl/loaders/model.py``
``_configure_embedding_dtypes``, the adapter ``axolotl/loaders/adapter.py``, autocast and the float32 outputs Accelerate's ``prepare_model``, the
order of a step Transformers' ``Trainer``. See README.md for what is stubbed.
"""

from __future__ import annotations

import contextlib
import gc
import re
from types import MethodType

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from . import (
    autocast,
    base_model,
    experts,
    fused_lora,
    gptq,
    image_batches,
    layer_offloading,
    liger,
    lisa,
    losses,
    offloading,
    other_images,
    restarts,
    settings,
)
from .adapters import lora
from .chances import Never, chances
from .loading import convert_dtypes, embedding_names, patched, prepare_kbit
from .optimizers import Optimizer
from .settings import kernels, weights_dtype
from .tracker import MemoryTracker

TOWERS = re.compile(
    r"\b(vision_tower|vision_model|visual|audio_tower|multi_modal_projector|embed_vision|embed_audio|connector|image_newline)\b"
)
HEARD = re.compile(r"\b(audio_tower|embed_audio)\b")
"""Of them, what images do not go through."""
PASSED_BY = ("MllamaCrossAttentionDecoderLayer",)
"""Layers that a batch of text does not run."""


class Simulation:
    """Builds the model of a case and runs its step; `model` is a config.json, `cfg` Axolotl keys, `rows` [rows, tokens in each]."""

    def __init__(self, model: dict, cfg: dict, rows: tuple[int, int]) -> None:
        self.config, self.cfg, self.rows = model, cfg, rows
        self.tracker = MemoryTracker()
        self.tracker.answer = self._answer
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.host = offloading.Host()
        self.hooks = None
        self.offloaded = None

    def _answer(self, func, args):
        """Answers to what models ask of chance, and to what a batch of images asks of its values."""
        if self.cfg.get("images"):
            out = image_batches.answer(func, args, self.tracker.see)
            if out is not NotImplemented:
                return out
        return chances(func, args)

    @staticmethod
    def compute_dtype(cfg: dict) -> torch.dtype | None:
        """Autocast's type, as the Trainer's ``bf16`` and ``fp16`` set it; None where it is off.

        ``axolotl/core/builders/base.py`` ``_configure_precision_settings``: ``bfloat16`` is ``bf16`` there, ``float16`` nothing.
        """
        if cfg.get("bf16", True) or cfg.get("bfloat16"):
            return torch.bfloat16
        return torch.float16 if cfg.get("fp16") else None

    # ---- load -------------------------------------------------------------------------------------------------------------------
    def build(self) -> None:
        cfg = self.cfg
        base_model.stand_in(cfg)
        config, packing = base_model.configured(self.config)
        base = base_model.loaded(config, cfg, self.rows)
        prepares = base_model.pack(base, packing, cfg)
        if cfg.get("selective_checkpointing"):
            self._select(base, cfg["selective_checkpointing"])
        names = embedding_names(config.model_type)
        convert_dtypes(base, names, torch.float32, before=True)
        checkpointing = cfg.get("gradient_checkpointing")
        checkpoint_kwargs, every = settings.checkpointing(cfg, config.model_type)
        self.reentrant = bool(checkpointing) and checkpoint_kwargs["use_reentrant"]
        if cfg.get("adapter"):
            if checkpointing:
                base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpoint_kwargs)
            if prepares and (cfg.get("load_in_4bit") or cfg.get("load_in_8bit")):
                prepare_kbit(base, bool(checkpointing))
        if cfg.get("adapter") or base_model.attention(cfg) not in ("sdpa", "eager") or cfg.get("cut_cross_entropy"):
            convert_dtypes(base, names, weights_dtype(cfg), before=False)
        self.base = base
        model = self._adapter(base) if cfg.get("adapter") else base
        fused = kernels(cfg)
        if any(fused.values()):
            fused_lora.patch_model(model, fused)
        mode = cfg.get("activation_offloading")
        if checkpointing and (mode in (None, False, "hidden_states")):
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpoint_kwargs, every_n_layers=every)
        if cfg.get("relora") and restarts.goes_on(cfg):
            restarts.unpack(model)
        if cfg.get("unfrozen_parameters"):
            self._freeze(cfg["unfrozen_parameters"])
        if cfg.get("freeze_mm_modules"):
            from axolotl.utils.freeze import freeze_mm_modules

            freeze_mm_modules(model)
        image_batches.whole_rows(config.model_type, alone=bool(cfg.get("images")) and not cfg.get("padded"))
        if cfg.get("images"):
            image_batches.unchecked()
            image_batches.gridded(config.model_type)
            if config.model_type in other_images.FAMILIES:
                other_images.patch(self.config)
        self.model = model.train()
        for module in self.model.modules():
            if hasattr(module, "layerdrop"):
                module.layerdrop = Never()
        if mode:
            self.hooks = offloading.offloaded(self.model, cfg, checkpoint_kwargs, self.host)
        self._loss()
        if cfg.get("neftune_noise_alpha"):
            from transformers.integrations.neftune import activate_neftune

            activate_neftune(base, cfg["neftune_noise_alpha"])

    def _freeze(self, patterns: list[str]) -> None:
        """``axolotl/utils/freeze.py`` ``freeze_layers_except``: a dot is a dot, and names match from their start."""
        wanted = [re.compile(re.sub(r"\.(?!\+)", r"\.", pattern)) for pattern in patterns]
        for name, parameter in self.base.named_parameters():
            parameter.requires_grad = any(pattern.match(name) for pattern in wanted)
        if any(name in pattern for pattern in patterns for name in ("lm_head", "embed_tokens")):
            self.base.enable_input_require_grads()  # ``axolotl/train.py``, ``setup_model_and_tokenizer``

    def _select(self, base, settings: bool | dict) -> None:
        """``ModelLoader._apply_selective_checkpointing``: every call that switches checkpointing on gets Axolotl's own policy."""
        from axolotl.monkeypatch.selective_checkpointing import apply_selective_checkpointing

        given = settings if isinstance(settings, dict) else {}
        apply_selective_checkpointing(
            base,
            save=given.get("save"),
            save_sliding_window=bool(given.get("save_sliding_window")),
            recompute_layer_types=given.get("recompute_layer_types"),
        )

    def _adapter(self, base):
        return lora(base, self.cfg)

    def _loss(self) -> None:
        cfg, base = self.cfg, self.base
        # Axolotl puts it in the place of causal models' loss alone
        if cfg.get("chunked_cross_entropy") and base.loss_type != "ForConditionalGeneration":
            base.loss_function = losses.chunked_loss(cfg.get("chunked_cross_entropy_num_chunks") or 8)
        if cfg.get("cut_cross_entropy"):
            base.forward = MethodType(losses.fused_forward(losses.cut_cross_entropy, None), base)
        elif liger.reaches(base.config.model_type, cfg, "liger_fused_linear_cross_entropy"):
            fused = (losses.liger_loss, type(base).forward)  # liger-kernel's own forwards end as Transformers' do
            if base.config.model_type == "deepseek_v2":
                fused = (losses.shifted_liger_loss, losses.float_logits)
            base.forward = MethodType(losses.fused_forward(*fused), base)
        elif liger.reaches(base.config.model_type, cfg, "liger_cross_entropy"):
            base.loss_function = losses.liger_logits_loss

    def _optimizer(self) -> Optimizer:
        """Transformers' two groups, weight decay and none; nn.Embedding weights are told apart for 8-bit states."""
        embeddings = {id(m.weight) for m in self.model.modules() if isinstance(m, torch.nn.Embedding)}
        # a batch of text gives the towers no gradients, so that no optimizer makes states for them
        passed = {id(p) for m in self.model.modules() if type(m).__name__ in PASSED_BY for p in m.parameters()}
        # nor does one to layers that a reentrant checkpoint runs on what asks for none
        unasked = self.config["model_type"].startswith(("qwen3_vl", "qwen3_5", "glm4v", "glm46v"))
        cut_off = self.reentrant and self.cfg.get("adapter") and unasked
        asked = any("patch_embed" in n for n, p in self.model.named_parameters() if p.requires_grad)
        cut_off = cut_off and not asked
        seen = self.cfg.get("images") and self.config["model_type"] in ("llava", "llava_next")
        behind = other_images.behind(self.config) if seen else None
        trained = [
            (n, p)
            for n, p in self.model.named_parameters()
            if p.requires_grad
            and not (cut_off and "visual.blocks." in n)
            and not (HEARD if self.cfg.get("images") else TOWERS).search(n)
            and not (behind and behind.search(n))
            and id(p) not in passed
        ]
        decays = [p for n, p in trained if p.ndim > 1 or not ("norm" in n or n.endswith("bias"))]
        kept = {id(p) for p in decays}
        return Optimizer(
            self.cfg.get("optimizer", "adamw_torch_fused"),
            [decays, [p for _, p in trained if id(p) not in kept]],
            embeddings,
            self.model,
            self.cfg,
        )

    # ---- step -------------------------------------------------------------------------------------------------------------------
    def _static(self) -> None:
        for name, tensor in [*self.model.named_parameters(), *self.model.named_buffers()]:
            kind = "weights" if not tensor.requires_grad else "adapter" if self.cfg.get("adapter") else "weights"
            self.tracker.relabel(tensor, kind, f"{_short(name)} {tensor.dtype}")
            for extra in getattr(tensor, "quant_state", None).tensors() if getattr(tensor, "quant_state", None) else ():
                self.tracker.relabel(extra, kind, "nf4 statistics")
            if getattr(tensor, "SCB", None) is not None:
                self.tracker.relabel(tensor.SCB, kind, "int8 statistics")
            if tensor.requires_grad and tensor.is_leaf:  # not so PEFT's copy of trained tokens' rows
                tensor.register_post_accumulate_grad_hook(
                    lambda p, n=name: (
                        None
                        if p.grad is None
                        else self.tracker.relabel(p.grad, "gradients", f"{_short(n)}.grad {p.grad.dtype}")
                    )
                )
        for module in self.model.modules():
            if isinstance(module, experts.Bnb4bitParametrization):
                for extra in module.quant_state.tensors():
                    self.tracker.relabel(extra, "weights", "nf4 statistics")

    def _batch(self) -> dict:
        shape = self.rows
        batch = {"input_ids": torch.zeros(shape, dtype=torch.int64), "labels": torch.zeros(shape, dtype=torch.int64)}
        if self.cfg.get("sample_packing"):
            batch["position_ids"] = torch.zeros(shape, dtype=torch.int64)
        if self.cfg.get("padded"):
            batch["attention_mask"] = torch.zeros(shape, dtype=torch.int64)
        if self.cfg.get("images"):
            batch |= image_batches.batch(self.config, self.cfg, shape)
        for tensor in batch.values():
            if isinstance(tensor, torch.Tensor):
                self.tracker.relabel(tensor, "batch")
        return batch

    def _forward(self, batch, num_items):
        """``Trainer.compute_loss``: the outputs die when it returns."""
        from accelerate.utils.operations import convert_to_fp32

        def forward(**inputs):
            kind = self.base.config.model_type
            own = losses.loss_class(liger.reaches(kind, self.cfg, "liger_cross_entropy"))
            with autocast.cuda_autocast(self.compute_dtype(self.cfg)), own:
                return self.model(**inputs)

        outputs = forward(**batch, num_items_in_batch=num_items)
        if (
            self.compute_dtype(self.cfg) is not None
        ):  # ``Accelerator.prepare_model`` wraps the forward under mixed precision alone
            outputs = convert_to_fp32(outputs)
        return outputs["loss"]

    def _phase(self, name: str) -> None:
        self.tracker.phase = name

    def step(self, optimizer: Optimizer) -> None:
        """Forward and backward of one or two micro-batches (the second finds the gradients there), clipping, step."""
        accumulate = min(2, self.cfg.get("gradient_accumulation_steps") or 1)
        num_items = torch.ones((), dtype=torch.int64)
        for _ in range(accumulate):
            batch = self._batch()
            with self.offloaded or contextlib.nullcontext(), self.hooks or contextlib.nullcontext():
                self._phase("forward")
                loss = self._forward(batch, num_items)
                self._phase("backward")
                optimizer.backward(loss)
            del loss, batch
        self._phase("optimizer")
        with torch.no_grad():
            if self.cfg.get("max_grad_norm", 1.0):
                torch.nn.utils.clip_grad_norm_(
                    [p for p in self.model.parameters() if p.grad is not None], 1.0, foreach=True
                )
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        if self.cfg.get("relora"):
            restarts.restart(self.model, self.cfg)

    def evaluate(self, rows: int) -> None:
        """``Trainer.prediction_step`` with ``prediction_loss_only``: no graph, `rows` of the same length."""
        self._phase("evaluation")
        kept, self.rows = self.rows, (rows, self.rows[1])
        self.model.eval()
        with torch.no_grad():
            self._forward(self._batch(), torch.ones((), dtype=torch.int64))
        self.model.train()
        self.rows = kept

    def run(self) -> dict:
        """The record of one case."""
        offloading.unmark_layers()
        packed = bool(self.cfg.get("sample_packing")) and (self.cfg.get("attn_implementation") or "sdpa") == "sdpa"
        with patched(bool(self.cfg.get("padded")), packed), self.fake, self.tracker:
            self.build()
            optimizer = self._optimizer()
            self._static()
            if self.cfg.get("layer_offloading"):
                self.offloaded = layer_offloading.managed(self.model, self.tracker)
            for tensor in optimizer.states:
                self.tracker.relabel(tensor, "optimizer")
            if optimizer.runs:  # a real optimizer makes its states in its first step
                self.step(optimizer)
                for tensor in optimizer.states:
                    self.tracker.relabel(tensor, "optimizer")
            if self.cfg.get("lisa_n_layers"):
                lisa.take_turns(self.model, self.cfg)
            gc.collect()
            static = self.tracker.now
            self.tracker.reset_peak()
            self.step(optimizer)
            if self.cfg.get("eval_batch_size") and self.cfg.get("val_set_size"):
                self.evaluate(self.cfg["eval_batch_size"])
        return {
            "allocated_peak_bytes": self.tracker.peak,
            "phase": self.tracker.peak_phase,
            "phase_peaks": {
                k: v
                for k, v in self.tracker.phase_peaks.items()
                if k in ("forward", "backward", "optimizer", "evaluation")
            },
            "live_at_peak": self._categories(),
            "static_bytes": static,
            "host_bytes": optimizer.host_bytes + self.host.peak + layer_offloading.host_bytes(self.offloaded),
            "parameters": {
                "total": _numel(self.model),
                "trained": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            },
        }

    def _categories(self) -> dict[str, int]:
        """Static categories as they are; the rest by the operation that made it, its dtype, and the phase."""
        total: dict[str, int] = {}
        for (category, label), size in self.tracker.peak_live.items():
            key = category
            if category in ("forward", "backward", "optimizer step", "evaluation", "load"):
                op, _, rest = label.partition(" ")
                key = f"{category}: {op} {rest.split('[')[0]}"
            total[key] = total.get(key, 0) + size
        return dict(sorted(total.items(), key=lambda kv: -kv[1]))


def _short(name: str) -> str:
    return ".".join(
        "*" if part.isdigit() else part
        for part in name.split(".")
        if part not in ("base_model", "model", "default", "weight")
    )


def _numel(model) -> int:
    seen = {}
    for p in model.parameters():
        state = getattr(p, "quant_state", None)
        seen[id(p)] = state.shape[0] * state.shape[1] if state else p.numel()
    for module in model.modules():
        if isinstance(module, gptq.GptqLinear):
            bias = 0 if module.bias is None else module.out_features
            seen[id(module)] = module.in_features * module.out_features + bias
    return sum(seen.values())
