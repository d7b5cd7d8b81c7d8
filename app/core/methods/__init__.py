"""PEFT's methods beside LoRA, and bottleneck adapters: what each trains, counted as PEFT 0.20.0 counts.

``settings`` holds what a method is told, ``reading`` reads it from ``peft_config``, ``matching`` finds the modules, one
module a kind of method counts, ``resolving`` puts it together.
"""
