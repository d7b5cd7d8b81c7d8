"""The memory of one training step, in closed form: one term, one function.

``peak`` puts the terms together (``estimate_memory``), or their sum alone (``process_sizes``); the others each hold one
of them with its source.
"""

from app.core.memory.peak import estimate_memory, process_sizes
from app.core.memory.rule_of_thumb import beside_rule, rule_of_thumb_bytes

__all__ = ["beside_rule", "estimate_memory", "process_sizes", "rule_of_thumb_bytes"]
