"""Loss buffers: what the vocabulary costs."""

from app.core.run import Loss, Run


def logits_bytes(run: Run, tokens: int, vocab_size: int) -> int:
    """Logits at the loss's peak: plain, the fp32 log-softmax kept for backward; chunked and Liger's, the bf16 logits.

    The losses fused with the head never make them.
    """
    match run.loss:
        case Loss.PLAIN:
            return 4 * tokens * vocab_size
        case Loss.CHUNKED | Loss.LIGER:
            return 2 * tokens * vocab_size
    return 0


def loss_bytes(run: Run, tokens: int, vocab_size: int, hidden_size: int) -> int:
    """What the loss holds at its peak beside the logits, without the head's own gradient.

    Plain (Transformers 5.16.1 ``ForCausalLMLoss``): at the start of backward two fp32 gradients of the log-softmax.
    Chunked: Accelerate 1.13 ``convert_outputs_to_fp32`` copies the logits in fp32. Cut cross entropy
    (arXiv:2411.09009): the gradient of the hidden states and the log-sum-exp. Liger's fused linear
    (arXiv:2410.10989): the gradient of the hidden states and a chunk of fp32 logits with its softmax and gradient,
    in as many chunks as the vocabulary is wider than the model.
    """
    match run.loss:
        case Loss.PLAIN:
            return 8 * tokens * vocab_size
        case Loss.CHUNKED | Loss.LIGER:
            return 4 * tokens * vocab_size
        case Loss.CUT_CROSS_ENTROPY:
            return tokens * (2 * hidden_size + 8)
        case Loss.LIGER_FUSED_LINEAR:
            return 2 * tokens * hidden_size + 6 * liger_chunk_tokens(tokens, vocab_size, hidden_size) * vocab_size


def softcap_bytes(run: Run, tokens: int, vocab_size: int) -> int:
    """Soft-capped logits keep the tangent's bf16 output where logits are made at all (Gemma 2)."""
    return 2 * tokens * vocab_size if logits_bytes(run, tokens, vocab_size) else 0


def liger_chunk_tokens(tokens: int, vocab_size: int, hidden_size: int) -> int:
    """Tokens in one of Liger's chunks.

    Source: liger-kernel 0.8.1, ``ops/fused_linear_cross_entropy.py``: the next power of two of tokens divided by
    ``ceil(vocab_size / hidden_size)``.
    """
    share = -(-tokens // -(-vocab_size // hidden_size))
    return min(tokens, 1 << (share - 1).bit_length())
