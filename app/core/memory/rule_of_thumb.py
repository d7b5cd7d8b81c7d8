"""The guide's rule of thumb, shown beside the estimate: 28, 14 or 6 GB for a model of 7 billion parameters.

It counts weights (and, for full fine-tuning, gradients) alone: no optimizer states, activations or logits.
"""

from app.core.estimate import Memory, RuleOfThumb
from app.core.run import Method
from app.core.units import GB

GB_FOR_7B = {Method.FULL: 28, Method.LORA: 14, Method.QLORA: 6, Method.PEFT: 14}


def rule_of_thumb_bytes(method: Method, total_parameters: int) -> int:
    """``GB_FOR_7B x total_parameters / 7e9``, in bytes; whatever trains beside a frozen 16-bit base counts as LoRA."""
    return GB_FOR_7B[method] * GB * total_parameters // (7 * 10**9)


def beside_rule(method: Method, rule_bytes: int, memory: Memory) -> RuleOfThumb:
    """Why ``memory`` differs: what the rule counts otherwise, and what it leaves out.

    The parts sum to ``process_bytes - rule_bytes`` exactly.
    """
    terms = {term.code: term.bytes for term in memory.breakdown}
    full = method is Method.FULL
    counted = ("weights", "gradients") if full else ("weights",)
    parts = {"counted": sum(terms.pop(code) for code in counted) - rule_bytes}
    for code, names in _LEFT_OUT.items():
        parts[code] = sum(terms.pop(name, 0) for name in names)
    parts["process"] = memory.process_bytes - memory.allocated_peak_bytes
    return RuleOfThumb(
        bytes=rule_bytes,
        difference_bytes=memory.process_bytes - rule_bytes,
        counts_gradients=full,
        parts=tuple((code, size) for code, size in parts.items() if size),
    )


_LEFT_OUT = {
    "adapter": ("adapter", "gradients"),
    "optimizer": ("optimizer",),
    "activations": ("activations", "images", "temporaries"),
    "loss": ("logits", "loss"),
}
"""Terms of the breakdown that the rule knows nothing of, as people would name them."""
