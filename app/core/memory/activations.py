"""Activations: what a decoder layer keeps for its backward, per token.

Each function counts saved tensors of Transformers 5.16.1's modules under bf16 autocast, in bytes per token.
"""

from dataclasses import dataclass

from app.core.architecture import Block, NormForm
from app.core.run import Attention, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraWidths:
    """The adapted linears of one layer, by where they stand; widths in elements per token.

    ``*_in`` sums the inputs of the adapted linears that stand there, ``*_group`` is that input once; ``outputs`` sums
    all their outputs, ``ranks`` their ranks, ``parameters`` A and B of the layer.
    """

    attention_in: int = 0
    attention_out: int = 0
    feed_forward_in: int = 0
    feed_forward_out: int = 0
    attention_group: int = 0
    feed_forward_group: int = 0
    outputs: int = 0
    ranks: int = 0
    parameters: int = 0

    @property
    def inputs(self) -> int:
        """All adapted inputs, each as often as it is adapted."""
        return self.attention_in + self.attention_out + self.feed_forward_in + self.feed_forward_out

    @property
    def groups(self) -> int:
        """Inputs of the fused kernels that take dropout: one a group; the feed-forward's middle takes none."""
        return self.attention_group + self.attention_out + self.feed_forward_group


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerContext:
    """How the layers of this run compute.

    ``residual_itemsize`` is the residual stream's bytes per element; ``quantized`` a base of 4 or 8 bits.
    """

    residual_itemsize: int
    weights_trained: bool
    fused_lora: bool
    dropout: bool
    quantized: bool = False
    dora: bool = False


def norm_saved(block: Block, context: LayerContext) -> int:
    """One RMSNorm keeps its fp32 input, and its normalised output where its weight trains; a LayerNorm its input."""
    if block.norm is NormForm.LAYER:
        return context.residual_itemsize * block.hidden_size
    trained = 2 * block.hidden_size if context.weights_trained else 0
    return 4 * block.hidden_size + trained


def query_key_norm_saved(block: Block, context: LayerContext) -> int:
    """Norms on queries and keys keep their fp32 inputs, and their normalised outputs where the weights train."""
    if not block.query_key_norm:
        return 0
    return (6 if context.weights_trained else 4) * (block.query_width + block.key_value_heads * block.head_dim)


def attention_saved(block: Block, run: Run, row_tokens: int) -> int:
    """Queries, keys, values, output and, by kernel, log-sum-exp (FlashAttention) or the scores (eager).

    Source: FlashAttention-2, arXiv:2307.08691; eager keeps the fp32 softmax and its bf16 copy.
    """
    tensors = 2 * (2 * block.query_width + block.key_value_width)
    if block.attention_heads == 0:
        return 2 * block.mixer_width
    if run.attention is Attention.EAGER:
        return tensors + 6 * block.attention_heads * row_tokens
    return tensors + 4 * block.attention_heads


def feed_forward_width(block: Block) -> int:
    """Elements per token that pass through the feed-forward's middle, routed and shared experts together."""
    if block.experts:
        return block.experts_per_token * block.intermediate_size + block.shared_intermediate_size
    return block.intermediate_size


def feed_forward_saved(block: Block, context: LayerContext, widths: LoraWidths) -> int:
    """Gated: gate, its activation and up, and their product where a weight trains on it; fused: gate and up.

    The fused kernel takes a feed-forward only where all its three projections are adapted.
    """
    width = feed_forward_width(block)
    if not block.gated:
        return (4 if context.weights_trained else 2) * width
    if context.fused_lora and widths.feed_forward_out and widths.feed_forward_in >= 2 * block.hidden_size:
        return 4 * width
    return (8 if context.weights_trained else 6) * width


def lora_saved(widths: LoraWidths, context: LayerContext) -> int:
    """What the adapters of one layer keep of their inputs and outputs.

    PEFT's layer on a 16-bit base casts its input to fp32 and autocast back, a bf16 copy for each adapted module; on
    a quantised base (``tuners/lora/bnb.py``) the inputs are shared. Dropout keeps a mask of a byte and its output.
    Axolotl's kernels (``kernels/lora.py``) drop once a group. DoRA keeps the base's output, and in PEFT's form the
    update's output too.
    """
    dora = (2 if context.fused_lora else 4) * widths.outputs if context.dora else 0
    if context.fused_lora:
        return dora + (3 * widths.groups if context.dropout else 0)
    if context.dropout:
        inputs = 3 * widths.inputs
    elif context.quantized:
        inputs = 2 * widths.feed_forward_out
    else:
        inputs = 2 * widths.inputs
    return dora + inputs + 2 * widths.ranks


def layer_saved(block: Block, run: Run, context: LayerContext, widths: LoraWidths, row_tokens: int) -> int:
    """All that one layer keeps for backward, in bytes per token."""
    shares_inputs = context.weights_trained or context.fused_lora or (context.quantized and not context.dropout)
    linear_inputs = 2 * 2 * block.hidden_size if shares_inputs else 0
    return (
        block.norms_per_layer * norm_saved(block, context)
        + linear_inputs
        + attention_saved(block, run, row_tokens)
        + feed_forward_saved(block, context, widths)
        + query_key_norm_saved(block, context)
        + lora_saved(widths, context)
    )


def layer_backward_work(block: Block, run: Run, context: LayerContext, widths: LoraWidths, row_tokens: int) -> int:
    """The largest temporaries at the start of a layer's backward, in bytes per token, beside what it saved.

    The gradients of the residual stream and of the feed-forward's middle; PEFT's LoRA on the way down adds the fp32
    input of the last projection and the product it was cast from.
    """
    width = feed_forward_width(block)
    hidden = (2 + context.residual_itemsize) * block.hidden_size
    middle = 2 * width
    if widths.feed_forward_out and not context.fused_lora:
        middle += 4 * width if not context.quantized else 2 * width
        if context.dropout and not context.quantized:
            middle += 4 * width
    if context.weights_trained:
        middle += 2 * width
    attention = 8 * block.query_width
    if run.attention is Attention.EAGER:
        attention += 8 * block.attention_heads * row_tokens
    return hidden + max(middle, attention)
