"""The memory of one training step, in closed form: one term, one function.

``peak`` puts the terms together (``estimate_memory``); the others each hold one of them with its source.
"""

from app.core.memory.peak import estimate_memory
from app.core.memory.rule_of_thumb import beside_rule, rule_of_thumb_bytes

__all__ = ["beside_rule", "estimate_memory", "rule_of_thumb_bytes"]
