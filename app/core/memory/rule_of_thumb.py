"""The guide's rule of thumb, shown beside the estimate: 28, 14 or 6 GB for a model of 7 billion parameters.

It counts weights (and, for full fine-tuning, gradients) alone: no optimizer states, activations or logits.
"""

from app.core.run import Method
from app.core.units import GB

GB_FOR_7B = {Method.FULL: 28, Method.LORA: 14, Method.QLORA: 6, Method.PEFT: 14}


def rule_of_thumb_bytes(method: Method, total_parameters: int) -> int:
    """``GB_FOR_7B x total_parameters / 7e9``, in bytes; whatever trains beside a frozen 16-bit base counts as LoRA."""
    return GB_FOR_7B[method] * GB * total_parameters // (7 * 10**9)
