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
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from . import (
    autocast,
    bnb,
    experts,
    flash,
    fused_lora,
    gptq,
    grouped,
    image_batches,
    layer_offloading,
    liger,
    lisa,
    losses,
    offloading,
    other_images,
    restarts,
    scans,
    tiled,
)
from .loading import convert_dtypes, dequantize_module_weight, embedding_names, patched, prepare_kbit
from .optimizers import Optimizer
from .tracker import MemoryTracker

KERNELS = ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel")
TOWERS = re.compile(
    r"\b(vision_tower|vision_model|visual|audio_tower|multi_modal_projector|embed_vision|embed_audio|connector|image_newline)\b"
)
PASSED_BY = ("MllamaCrossAttentionDecoderLayer",)
"""Layers that a batch of text does not run."""
FLASH = ("flash_attention_2", "flash_attention_3", "flash_attention_4")


def kernels(cfg: dict) -> dict[str, bool]:
    """Which fused LoRA kernels run: all when none of their keys is set (8-bit bases and ``rl`` apart), else those set to true."""
    if cfg.get("adapter") not in ("lora", "qlora"):
        return dict.fromkeys(KERNELS, False)
    if any(cfg.get(k) is not None for k in KERNELS):
        return {k: bool(cfg.get(k)) for k in KERNELS}
    return dict.fromkeys(KERNELS, not cfg.get("load_in_8bit") and not cfg.get("rl"))


def weights_dtype(cfg: dict) -> torch.dtype:
    """``axolotl/utils/config`` ``normalize_config``: what the base is loaded in."""
    if cfg.get("bf16", True) or cfg.get("bfloat16"):
        return torch.bfloat16
    return torch.float16 if cfg.get("fp16") or cfg.get("float16") or cfg.get("load_in_8bit") else torch.float32


def _takes_lengths(config, cfg: dict) -> bool:
    """Whether Axolotl puts its variable-length attention in the place of SDPA (``_apply_sdpa_varlen_patch``)."""
    kinds = getattr(config, "layer_types", None) or ["sliding_attention"]
    windowed = getattr(config, "sliding_window", None) and "sliding_attention" in kinds
    latent = (getattr(config, "qk_nope_head_dim", None) or 0) + (getattr(config, "qk_rope_head_dim", None) or 0)
    uneven = latent and getattr(config, "v_head_dim", None) not in (None, latent)
    dim, width, heads = (getattr(config, key, None) for key in ("head_dim", "hidden_size", "num_attention_heads"))
    dim = dim or (width // heads if width and heads else 0)  # a model with towers is not asked for its text's
    return weights_dtype(cfg) != torch.float32 and not windowed and not uneven and dim <= 256


PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default)


def chances(func, args):
    """Answers to what models ask of chance: no layer of OPT is dropped, no module of LyCORIS'; AdaLoRA takes no rank away.

    OPT compares a number, LyCORIS a tensor of one. A product of two types is refused, as it is on a card and not among fake tensors.
    """
    if func in PRODUCTS and len({x.dtype for x in args if isinstance(x, torch.Tensor)}) > 1:
        raise RuntimeError(
            f"expected both to have the same dtype, but got {[x.dtype for x in args if isinstance(x, torch.Tensor)]}"
        )
    if func is not torch.ops.aten._local_scalar_dense.default:
        return NotImplemented
    return args[0].dim() == 1 if args[0].dtype == torch.bool else 0.0


class Never:
    """A chance that no draw falls below: OPT asks whether to leave a layer out."""

    def __gt__(self, drawn: object) -> bool:
        return False


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
        from transformers import (
            AutoConfig,
            AutoModelForCausalLM,
            AutoModelForImageTextToText,
            AutoModelForMultimodalLM,
            AutoModelForSequenceClassification,
        )
        from transformers.initialization import no_init_weights
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

        cfg = self.cfg
        autocast.install()
        bnb.install()
        fused_lora.install()
        fused_lora.restore()
        tiled.restore()
        flash.install()
        flash.sdpa.before_ampere = bool(cfg.get("before_ampere"))
        flash.FlashAttention.apart = not cfg.get("selective_checkpointing")
        grouped.install()
        scans.install()
        arguments = dict(self.config)
        packing = arguments.pop("quantization_config", None)
        config = AutoConfig.for_model(arguments.pop("model_type"), **arguments)
        config.use_cache = False
        sees = config.model_type in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES
        if sees or config.model_type == "voxtral":  # ``check_model_config``, where ``is_multimodal``
            config.get_text_config().use_cache = False
        attention = cfg.get("attn_implementation") or "sdpa"
        packed = bool(cfg.get("sample_packing"))
        named = cfg.get("attn_implementation") == "sdpa"  # Axolotl asks for the name, which has no default
        varlen = named and packed and _takes_lengths(config, cfg)
        # of rows that stay apart each holds several documents, or nothing would be packed
        flash.flash_attention.documents = cfg.get("documents", self.rows[0] * (2 if varlen else 1)) if packed else None
        flash.flash_attention.padded = bool(cfg.get("padded"))
        implementation = (
            "simulated_flash"
            if attention in FLASH
            else "simulated_flex"
            if attention == "flex_attention"
            else attention
        )
        if varlen:
            implementation = "simulated_varlen"
        fused = kernels(cfg)
        if config.model_type in ("gemma4", "gemma4_text", "gemma4_unified"):
            fused_lora.patch_gemma4(config.model_type.removesuffix("_text"), bool(cfg.get("gradient_checkpointing")))
        liger.patch_module(config.model_type, cfg)
        if cfg.get("tiled_mlp"):
            tiled.patch(config.model_type, cfg)
        if fused["lora_qkv_kernel"] or fused["lora_o_kernel"]:
            fused_lora.patch_attention(config)
        auto = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        auto = AutoModelForMultimodalLM if config.model_type == "voxtral" else auto
        if cfg.get("reward_model"):
            auto, config.num_labels, config.pad_token_id = AutoModelForSequenceClassification, 1, 0
        with no_init_weights():
            base = auto.from_config(config, dtype=weights_dtype(cfg))
        liger.patch_model(base, cfg)
        base.config._attn_implementation = implementation
        if cfg.get("gptq"):
            gptq.quantize(base, packing)
        elif cfg.get("load_in_4bit") and cfg.get("adapter") == "qlora":
            given = cfg.get("bnb_config_kwargs") or {}
            computing = given.get("bnb_4bit_compute_dtype", weights_dtype(cfg))
            bnb.quantize(
                base,
                {"lm_head", "embed_out", "score"},
                4,
                given.get("bnb_4bit_use_double_quant", True),
                getattr(torch, computing) if isinstance(computing, str) else computing,
                given.get("llm_int8_skip_modules"),
            )
        elif cfg.get("load_in_8bit"):
            bnb.quantize(base, {"lm_head", "embed_out", "score"}, 8)
        prepares = not (cfg.get("quantize_moe_experts") and experts.quantize(base, cfg))
        if cfg.get("selective_checkpointing"):
            self._select(base, cfg["selective_checkpointing"])
        names = embedding_names(config.model_type)
        convert_dtypes(base, names, torch.float32, before=True)
        checkpointing = cfg.get("gradient_checkpointing")
        default = (
            not cfg.get("rl")
            and not cfg.get("unfrozen_parameters")
            and cfg.get("activation_offloading") != "hidden_states"
        )
        checkpoint_kwargs = dict(cfg.get("gradient_checkpointing_kwargs") or {"use_reentrant": default})
        if config.model_type in ("gemma4", "gemma4_unified"):  # ``normalize_config``
            checkpoint_kwargs["use_reentrant"] = False
        every = checkpoint_kwargs.pop("every_n_layers", 1)  # as the Trainer, whose call is the last one
        checkpoint_kwargs = (checkpoint_kwargs or {"use_reentrant": False}) | {"preserve_rng_state": False}
        checkpoint_kwargs.setdefault("use_reentrant", True)  # PyTorch's own, which warns of it
        self.reentrant = bool(checkpointing) and checkpoint_kwargs["use_reentrant"]
        if cfg.get("adapter"):
            if checkpointing:
                base.gradient_checkpointing_enable(gradient_checkpointing_kwargs=checkpoint_kwargs)
            if prepares and (cfg.get("load_in_4bit") or cfg.get("load_in_8bit")):
                prepare_kbit(base, bool(checkpointing))
        if cfg.get("adapter") or attention not in ("sdpa", "eager") or cfg.get("cut_cross_entropy"):
            convert_dtypes(base, names, weights_dtype(cfg), before=False)
        self.base = base
        model = self._adapter(base) if cfg.get("adapter") else base
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
            self._offload(mode, checkpoint_kwargs)
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

    def _offload(self, mode: str | bool, checkpoint_kwargs: dict) -> None:
        """What ``activation_offloading`` does: see ``offloading``."""
        import torch.utils.checkpoint as checkpoints
        from transformers import GradientCheckpointingLayer

        layers = [m for m in self.model.modules() if isinstance(m, GradientCheckpointingLayer)]
        if mode == "hidden_states":
            if checkpoint_kwargs.get("use_reentrant"):
                offloading.HiddenStates.host = self.host
                for layer in layers:
                    layer._gradient_checkpointing_func = lambda run, *args: offloading.HiddenStates.apply(
                        run, False, *args
                    )
            else:
                self.hooks = offloading.Marked(self.host)
                self.hooks.mark_layers(self.model)
            return
        if not self.cfg.get("adapter"):  # ``ac_wrap_hf_model``
            for layer in layers:
                layer.gradient_checkpointing = True
                layer._gradient_checkpointing_func = lambda run, *args: checkpoints.checkpoint(
                    run, *args, use_reentrant=False, preserve_rng_state=False
                )
        elif mode == "legacy":
            offloading.Legacy.host = self.host
            for layer in layers:
                layer._gradient_checkpointing_func = lambda run, *args: offloading.Legacy.apply(run, *args)
        offloading.spare_head(self.model)
        known = set() if self.cfg.get("adapter") else {p.untyped_storage()._cdata for p in self.model.parameters()}
        self.hooks = offloading.Offload(self.host, mode != "legacy", known)

    def _adapter(self, base):
        from peft import LoraConfig, TaskType, get_peft_model
        from peft.tuners.lora import dora

        cfg = self.cfg
        dora.dequantize_module_weight = dequantize_module_weight
        dora.deepcopy = lambda layer: (
            layer
        )  # DoRA copies a 4-bit layer for the time of its initialisation; fake storages do not survive it
        targets = cfg.get("lora_target_modules") or []
        if cfg.get("lora_target_linear"):
            linear = {n.rsplit(".", 1)[-1] for n, m in base.named_modules() if "Linear" in type(m).__name__}
            targets = sorted({*targets, *linear} - {embedding_names(base.config.model_type)[1]})
        lora = LoraConfig(
            r=cfg["lora_r"], lora_alpha=cfg.get("lora_alpha", cfg["lora_r"]), target_modules=targets, lora_dropout=cfg.get("lora_dropout", 0.0),
            target_parameters=cfg.get("lora_target_parameters") or [], modules_to_save=cfg.get("lora_modules_to_save") or None, bias="none",
            trainable_token_indices=cfg.get("peft_trainable_token_indices"), rank_pattern=cfg.get("lora_rank_pattern") or {}, layers_to_transform=cfg.get("peft_layers_to_transform"),
            task_type=TaskType.SEQ_CLS if cfg.get("reward_model") else TaskType.CAUSAL_LM, use_dora=bool(cfg.get("peft_use_dora")), use_rslora=bool(cfg.get("peft_use_rslora")),
        )  # fmt: skip
        extra = {}
        if cfg.get("peft_autocast_adapter_dtype") is not None:
            extra["autocast_adapter_dtype"] = cfg["peft_autocast_adapter_dtype"]
        if cfg.get("quantize_moe_experts") or cfg.get("lora_target_parameters"):
            from axolotl.monkeypatch.moe_quant import patch_peft_target_parameters_matching

            experts.install()
            patch_peft_target_parameters_matching()
        base.enable_input_require_grads()  # Axolotl's ``load_adapter``, with and without checkpointing
        model = get_peft_model(base, lora, **extra)
        renew_copies(model)
        return model

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
        cut_off = self.reentrant and self.cfg.get("adapter") and self.config["model_type"].startswith("qwen3_vl")
        asked = any("patch_embed" in n for n, p in self.model.named_parameters() if p.requires_grad)
        cut_off = cut_off and not asked
        seen = self.cfg.get("images") and self.config["model_type"] in ("llava", "llava_next")
        behind = other_images.behind(self.config) if seen else None
        trained = [
            (n, p)
            for n, p in self.model.named_parameters()
            if p.requires_grad
            and not (cut_off and "visual.blocks." in n)
            and (self.cfg.get("images") or not TOWERS.search(n))
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


def renew_copies(model) -> None:
    """PEFT's copies of modules come out of ``deepcopy`` as tensors whose views have storages of their own."""
    for module in model.modules():
        for name, p in module._parameters.items():
            if p is None or getattr(p, "quant_state", None) is not None:
                continue
            whole = isinstance(p, FakeTensor) and p.untyped_storage()._cdata == p.detach().untyped_storage()._cdata
            if not whole:
                module._parameters[name] = torch.nn.Parameter(torch.empty(p.shape, dtype=p.dtype), p.requires_grad)


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
