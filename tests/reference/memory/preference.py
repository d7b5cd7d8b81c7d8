"""Preference and reward training: TRL 1.9.0's own loss code under the simulator, as Axolotl patches it (``log_probabilities``).

Real: ``DPOTrainer._compute_loss``, ``KTOTrainer._compute_loss``, ``ORPOTrainer`` and ``CPOTrainer.get_batch_loss_metrics``,
``RewardTrainer.compute_loss``, called on an object that holds what they read. Followed: what their constructors and Axolotl's
``core/builders/rl.py``, ``loaders/model.py`` and ``train.py`` do before: under ``rl`` the fused LoRA kernels stay off unless
they are set, checkpointing is not reentrant, DPO, IPO and KTO wrap the adapter in TRL, which casts it to bf16 on a quantised base,
a model that trains whole is loaded a second time as the reference (by TRL itself in fp32 for KTO).

Unless a case's ``answer_tokens`` says how many do, every token counts as part of an answer: masks select all of them, which is the
most that the metrics copy.
"""

from __future__ import annotations

from collections import defaultdict
from types import MethodType, SimpleNamespace

import torch

from . import autocast, log_probabilities
from .chances import chances
from .peft_methods import MethodSimulation
from .simulator import Simulation

TRL_WRAPS = ("dpo", "ipo", "kto")


class Answers:
    """What fake tensors cannot say: numbers are one, half of the labels are good, masks select the answers.

    KTO asks for the good ones, then for the others: of an odd number of rows one more is not.
    """

    def __init__(self, tokens: int | None) -> None:
        self.tokens, self.good = tokens, False

    def __call__(self, func, args):
        aten = torch.ops.aten
        if func is aten._local_scalar_dense.default:
            dtype = args[0].dtype
            return True if dtype == torch.bool else 1.0 if dtype.is_floating_point else 1
        if func is aten.nonzero.default:
            self.good = not self.good
            rows = args[0].numel()
            return torch.empty((max(1, rows // 2 if self.good else rows - rows // 2), args[0].ndim), dtype=torch.int64)
        if func is aten.index.Tensor:
            mask = args[1][0]
            if mask is not None and mask.dtype == torch.bool:
                selected = mask.shape[0] * self.tokens if self.tokens else mask.numel()
                return torch.empty((selected, *args[0].shape[mask.ndim :]), dtype=args[0].dtype)
        return NotImplemented


class PreferenceSimulation(Simulation):
    """`rows` is [micro batch, tokens in each answer with its prompt]; pairs make two rows of each."""

    @property
    def kind(self) -> str:
        return "reward" if self.cfg.get("reward_model") else self.cfg["rl"]

    def build(self) -> None:
        super().build()
        if self.kind != "reward":
            log_probabilities.install()
        if self.kind in TRL_WRAPS and self.cfg.get("adapter"):
            if getattr(self.base, "is_quantized", False):
                for module in self.model.modules():
                    for name, p in module._parameters.items():
                        if p is not None and p.requires_grad:
                            module._parameters[name] = torch.nn.Parameter(p.detach().to(torch.bfloat16))
            if self.cfg.get("gradient_checkpointing"):
                self.model.enable_input_require_grads()
        self._disable_dropout()
        self.reference = None
        if self.kind in TRL_WRAPS and not self.cfg.get("adapter") and not self.cfg.get("precompute_ref_log_probs"):
            self.reference = self._reference()
        self._prepare(self.model)
        if self.reference is not None:
            self._prepare(self.reference)
        self.tracker.answer = Answers(self.cfg.get("answer_tokens"))

    def _disable_dropout(self) -> None:
        """``disable_dropout`` of every TRL preference config."""
        if self.kind != "reward":
            for module in self.model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0

    def _reference(self):
        """The second model: as Axolotl loads the first; KTO's trainer takes none and loads its own in fp32."""
        if self.kind == "kto":
            from transformers import AutoConfig, AutoModelForCausalLM
            from transformers.initialization import no_init_weights

            arguments = dict(self.config)
            config = AutoConfig.for_model(arguments.pop("model_type"), **arguments)
            with no_init_weights():
                model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
            model.tie_weights()
            model.config._attn_implementation = self.base.config._attn_implementation
            return model.eval()
        other = Simulation(self.config, {k: v for k, v in self.cfg.items() if k != "gradient_checkpointing"}, self.rows)
        other.build()
        self.tracker.answer = chances
        return other.model.eval()

    def _prepare(self, model) -> None:
        """Accelerate's ``prepare_model``: autocast around the forward, outputs in fp32."""
        from accelerate.utils.operations import convert_to_fp32

        inner = model.forward

        def forward(self, *args, **kwargs):
            with autocast.cuda_autocast(Simulation.compute_dtype(sim.cfg)):
                out = inner(*args, **kwargs)
            return convert_to_fp32(out)

        sim = self
        model.forward = MethodType(forward, model)

    # ---- step ----
    def _batch(self) -> dict:
        rows, tokens = self.rows

        def ids():
            return torch.zeros((rows, tokens), dtype=torch.int64)

        def masks(*names):
            return {name: torch.ones((rows, tokens), dtype=torch.int64) for name in names}

        match self.kind:
            case "dpo" | "ipo" | "reward":
                shape = (2 * rows, tokens)
                batch = {
                    name: torch.ones(shape, dtype=torch.int64)
                    for name in ("input_ids", "attention_mask", "completion_mask")
                }
                if self.cfg.get("precompute_ref_log_probs"):
                    batch |= {f"ref_{name}_logps": torch.zeros(rows) for name in ("chosen", "rejected")}
                if self.kind == "reward":
                    del batch["completion_mask"]
            case "kto":
                batch = {"input_ids": ids(), "KL_input_ids": ids(), "label": torch.ones(rows, dtype=torch.bool)}
                batch |= masks("attention_mask", "completion_mask", "KL_attention_mask", "KL_completion_mask")
                if self.cfg.get("precompute_ref_log_probs"):
                    batch |= {"ref_logps": torch.zeros(rows), "ref_KL_logps": torch.zeros(rows)}
            case _:
                batch = {f"{side}_input_ids": ids() for side in ("chosen", "rejected")}
                batch |= masks(
                    *(f"{side}_{name}" for side in ("chosen", "rejected") for name in ("attention_mask", "labels"))
                )
        for tensor in batch.values():
            self.tracker.relabel(tensor, "batch")
        return batch

    def _trainer(self) -> SimpleNamespace:
        kwargs = {"use_reentrant": False} | dict(self.cfg.get("gradient_checkpointing_kwargs") or {})
        same = lambda x: x  # noqa: E731
        accelerator = SimpleNamespace(
            device=torch.device("cpu"), gather=same, gather_for_metrics=same, unwrap_model=lambda m, *a, **k: m
        )
        metrics = {"train": defaultdict(list), "eval": defaultdict(list)}
        return SimpleNamespace(
            model=self.model, ref_model=self.reference, accelerator=accelerator, _metrics=metrics, _stored_metrics=metrics,
            args=SimpleNamespace(gradient_checkpointing_kwargs=kwargs, device=torch.device("cpu"), center_rewards_coefficient=None),
            aux_loss_enabled=False, ld_alpha=None, precompute_ref_logps=bool(self.cfg.get("precompute_ref_log_probs")),
            f_divergence_type="reverse_kl", loss_types=["ipo" if self.kind == "ipo" else "sigmoid"], loss_weights=[1.0], beta=0.1,
            label_smoothing=0.0, use_weighting=False, _total_train_tokens=0, calculate_KL=True, use_liger_kernel=False,
            loss_type="kto" if self.kind == "kto" else "simpo", desirable_weight=1.0, undesirable_weight=1.0, is_encoder_decoder=False,
            padding_value=0, pad_token_id=0, cpo_alpha=self.cfg.get("cpo_alpha", 1.0), simpo_gamma=0.5, alpha=0.0,
        )  # fmt: skip

    def _forward(self, batch, num_items):
        trainer = self._trainer()
        match self.kind:
            case "dpo" | "ipo":
                from trl.trainer.dpo_trainer import DPOTrainer

                return DPOTrainer._compute_loss(trainer, self.model, batch, False)
            case "kto":
                from trl.trainer.kto_trainer import KTOTrainer

                trainer._compute_kl_logps = MethodType(KTOTrainer._compute_kl_logps, trainer)
                return KTOTrainer._compute_loss(trainer, self.model, batch, False)
            case "reward":
                from trl.trainer.reward_trainer import RewardTrainer

                return RewardTrainer.compute_loss(trainer, self.model, batch)
            case "orpo":
                from trl.experimental.orpo.orpo_trainer import ORPOTrainer as cls
            case _:
                from trl.experimental.cpo.cpo_trainer import CPOTrainer as cls
        for name in ("concatenated_forward", "odds_ratio_loss", "cpo_loss"):
            if hasattr(cls, name):
                setattr(trainer, name, MethodType(getattr(cls, name), trainer))
        trainer.concatenated_inputs, trainer.get_batch_logps = cls.concatenated_inputs, cls.get_batch_logps
        return cls.get_batch_loss_metrics(trainer, self.model, batch)[0]


def simulation(model: dict, cfg: dict, rows: tuple[int, int]) -> Simulation:
    """The simulation that a configuration asks for."""
    if cfg.get("adapter") not in (None, "lora", "qlora"):
        return MethodSimulation(model, cfg, tuple(rows))
    cls = PreferenceSimulation if cfg.get("rl") or cfg.get("reward_model") else Simulation
    return cls(model, cfg, tuple(rows))
