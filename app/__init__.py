"""Axoplan: from a base model and a GPU to an Axolotl configuration that fits."""

__version__ = "0.1.0"
