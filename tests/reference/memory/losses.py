"""The fused and chunked losses that Axolotl offers, as autograd Functions with the tensors that the kernels save and allocate.

Plain loss needs no stand-in: ``transformers.loss.loss_utils.ForCausalLMLoss`` runs as it is.
"""

from __future__ import annotations

import contextlib

import torch
import torch.nn.functional as F

IGNORE = -100


class CompiledCrossEntropy(torch.autograd.Function):
    """``F.cross_entropy(logits.float(), labels, reduction="sum")`` under inductor (Axolotl compiles the chunk's loss): the half-precision
    logits, row maxima and log-sums are saved; neither direction materialises float32 logits."""

    @staticmethod
    def forward(ctx, logits, labels):
        top = torch.empty((logits.shape[0], 1), dtype=torch.float32)
        log = torch.empty((logits.shape[0], 1), dtype=torch.float32)
        ctx.save_for_backward(logits, labels, top, log)
        return torch.empty((), dtype=torch.float32)

    @staticmethod
    def backward(ctx, grad):
        logits, labels, top, log = ctx.saved_tensors
        return torch.empty(logits.shape, dtype=logits.dtype), None


def chunked_loss(chunks: int):
    """``axolotl/monkeypatch/loss/chunked.py`` ``for_causal_lm_chunked_loss``."""

    def loss_fn(
        logits, labels, vocab_size=None, num_items_in_batch=None, ignore_index=IGNORE, shift_labels=None, **kwargs
    ):
        if shift_labels is None:
            labels = F.pad(labels, (0, 1), value=ignore_index)
            shift_labels = labels[..., 1:].contiguous()
        logit_chunks = [c.reshape(-1, c.size(-1)) for c in logits.chunk(chunks, dim=1)]
        label_chunks = [c.reshape(-1) for c in shift_labels.chunk(chunks, dim=1)]
        total = 0.0
        for logit_chunk, label_chunk in zip(logit_chunks, label_chunks):
            total += CompiledCrossEntropy.apply(logit_chunk, label_chunk)
        return total / num_items_in_batch if num_items_in_batch is not None else total

    return loss_fn


class CutCrossEntropy(torch.autograd.Function):
    """Axolotl's fork of cut-cross-entropy, ``cce.py``: saves hidden states, classifier, log-sum-exp, targets, valid rows and the mean
    logit of every word; the backward fills dE always and dC only for a trained classifier (both in their tensor's dtype, zeroed first)."""

    @staticmethod
    def forward(ctx, e, c, targets, valids):
        tokens = valids.numel()
        lse = torch.empty(tokens, dtype=torch.float32)
        logit_avg = torch.empty(c.shape[0], dtype=torch.float32)
        nll = torch.empty(tokens, dtype=torch.float32)
        ctx.save_for_backward(e, c, lse, targets, valids, logit_avg)
        return nll.sum()

    @staticmethod
    def backward(ctx, grad):
        e, c, lse, targets, valids, logit_avg = ctx.saved_tensors
        order = torch.argsort(logit_avg).to(torch.int32)
        de = torch.zeros_like(e) if ctx.needs_input_grad[0] else None
        dc = torch.zeros_like(c) if ctx.needs_input_grad[1] else None
        blocks = -(-c.shape[1] // 64)
        locks = [
            torch.empty((-(-n // 128), blocks), dtype=torch.int32)
            for n, g in ((valids.numel(), de), (c.shape[0], dc))
            if g is not None
        ]
        del order, locks
        return de, dc, None, None


def cut_cross_entropy(hidden, weight, labels, num_items):
    targets = labels.contiguous()
    valids = torch.empty((hidden.shape[0] * (hidden.shape[1] - 1),), dtype=torch.int32)
    loss = CutCrossEntropy.apply(hidden.contiguous().flatten(0, -2), weight, targets.flatten(), valids)
    return loss / num_items


class LigerFusedLinear(torch.autograd.Function):
    """liger-kernel 0.8.1 ``ops/fused_linear_cross_entropy.py``: gradients are made chunk by chunk in the forward, and saved."""

    @staticmethod
    def forward(ctx, hidden, weight, target):
        ctx.autocast = torch.is_autocast_enabled("cpu")
        tokens, width = hidden.shape
        vocabulary = weight.shape[0]
        factor = -(-vocabulary // width)
        chunk = 1 << max(0, (-(-tokens // factor) - 1).bit_length())
        dx = torch.zeros_like(hidden)
        needed = hidden.requires_grad
        dw = torch.zeros_like(weight) if needed and weight.requires_grad else None
        gradients = turned = None  # names that hold a chunk's logits while the next one's are made
        loss = torch.zeros(tokens, dtype=torch.float32)
        for start in range(0, tokens, chunk):
            part = hidden[start : start + chunk]
            logits = part @ weight.t()
            gradients = logits
            if needed:
                dx[start : start + chunk] = gradients @ weight
            if dw is not None:
                turned = gradients.t()
                if (
                    dw.dtype == torch.float32 and logits.dtype != torch.float32
                ):  # addmm with out_dtype: no temporary but the cast input
                    cast = part.to(logits.dtype)
                    del cast
                else:
                    dw += torch.mm(turned, part).float()
        del gradients, turned
        ctx.save_for_backward(dx, dw)
        return loss.sum()

    @staticmethod
    def backward(ctx, grad):
        return *ctx.saved_tensors, None


def liger_loss(hidden, weight, labels, num_items):
    """``liger_kernel/transformers/model/loss_utils.py`` ``LigerForCausalLMLoss``."""
    labels = F.pad(labels, (0, 1), value=IGNORE)
    targets = labels[..., 1:].contiguous().view(-1)
    return LigerFusedLinear.apply(hidden.view(-1, hidden.shape[-1]), weight, targets) / num_items


class LigerCrossEntropy(torch.autograd.Function):
    """liger-kernel ``ops/cross_entropy.py``: the gradient is written over the logits in the forward."""

    @staticmethod
    def forward(ctx, logits, target):
        loss = torch.zeros(logits.shape[0], dtype=torch.float32)
        ctx.save_for_backward(logits.detach())
        return loss.sum()

    @staticmethod
    def backward(ctx, grad):
        return ctx.saved_tensors[0], None


def liger_logits_loss(logits, labels, vocab_size=None, num_items_in_batch=None, **kwargs):
    """``ForCausalLMLoss`` with ``nn.functional.cross_entropy`` patched, as ``apply_liger_kernel_to_llama(cross_entropy=True)`` does: fp32
    logits all the same."""
    logits = logits.float()
    targets = F.pad(labels, (0, 1), value=IGNORE)[..., 1:].contiguous().view(-1)
    loss = LigerCrossEntropy.apply(logits.view(-1, logits.shape[-1]), targets)
    return loss / num_items_in_batch if num_items_in_batch is not None else loss


class LigerCrossEntropyLoss(torch.nn.Module):
    """What ``apply_liger_kernel_to_gemma3`` puts in the place of the class that a wrapper's own loss calls."""

    def forward(self, logits, labels):
        return LigerCrossEntropy.apply(logits, labels)


@contextlib.contextmanager
def loss_class(replaced: bool):
    """``nn.CrossEntropyLoss`` as Liger leaves it."""
    kept = torch.nn.CrossEntropyLoss
    if replaced:
        torch.nn.CrossEntropyLoss = LigerCrossEntropyLoss
    try:
        yield
    finally:
        torch.nn.CrossEntropyLoss = kept


def fused_forward(function, evaluating):
    """A causal LM's forward without logits: what both integrations patch in.

    ``evaluating`` is the forward of a model that does not train. Cut cross entropy's is the same (its ``PatchOptions.use_lce`` asks
    whether there are labels); Liger's make the logits there, as ``skip_logits`` is ``self.training`` unless the caller sets it, and
    Transformers' ``Trainer.prediction_step`` sets it under ``use_liger_kernel`` alone, which Axolotl leaves off.
    """

    def forward(
        self, input_ids=None, attention_mask=None, position_ids=None, labels=None, num_items_in_batch=1, **kwargs
    ):
        from transformers.modeling_outputs import CausalLMOutputWithPast
        from transformers.models.llava.modeling_llava import LlavaCausalLMOutputWithPast

        given = {"input_ids": input_ids, "attention_mask": attention_mask, "position_ids": position_ids}
        if evaluating is not None and not self.training:
            return evaluating(self, **given, labels=labels, num_items_in_batch=num_items_in_batch, **kwargs)
        outputs = _body(self, **given, **kwargs)
        hidden = outputs.last_hidden_state
        loss = function(hidden, self.get_output_embeddings().weight, labels, num_items_in_batch)
        if kwargs.get("pixel_values") is None:
            return CausalLMOutputWithPast(loss=loss)
        return LlavaCausalLMOutputWithPast(loss=loss, image_hidden_states=getattr(outputs, "image_hidden_states", None))

    return forward


def _body(model, **inputs):
    """What the body returns, which wrappers hold to the end for what they return of images."""
    named = ("input_ids", "attention_mask", "position_ids")
    given = (
        "inputs_embeds",
        "past_key_values",
        "pixel_values",
        "token_type_ids",
        "mm_token_type_ids",
        "image_grid_thw",
        "image_position_ids",
        "image_sizes",
    )
    others = {key: inputs[key] for key in given if inputs.get(key) is not None}
    body = getattr(model, model.base_model_prefix)
    return body(**{key: inputs[key] for key in named}, use_cache=False, **others)


def _hidden(model, **inputs):
    """What the body hands to the head."""
    return _body(model, **inputs).last_hidden_state


def shifted_liger_loss(hidden, weight, labels, num_items):
    """Axolotl's ``integrations/liger/models/deepseekv2.py`` while the model trains: without the last token of each row."""
    shifted = hidden[..., :-1, :].contiguous()
    targets = labels[..., 1:].contiguous().view(-1)
    return LigerFusedLinear.apply(shifted.view(-1, shifted.shape[-1]), weight, targets)


def float_logits(self, labels=None, **inputs):
    """The same forward while it does not: logits in fp32, and a copy of them without the last token of each row."""
    from transformers.modeling_outputs import CausalLMOutputWithPast

    hidden = _hidden(self, **inputs)
    logits = self.lm_head(hidden)
    logits = logits.float()
    shifted = logits[..., :-1, :].contiguous()
    targets = labels[..., 1:].contiguous().view(-1)
    loss = torch.nn.CrossEntropyLoss()(shifted.view(-1, shifted.shape[-1]), targets)
    return CausalLMOutputWithPast(loss=loss, logits=logits)
