"""Descriptions of architectures: from the facts of a config.json to a table of modules."""

from app.core.architectures.registry import describe, supported_model_types

__all__ = ["describe", "supported_model_types"]
