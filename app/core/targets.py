"""Which of a model's modules a target means, by PEFT's rules for names, patterns, layers and parameters.

Source: PEFT 0.20.0, ``tuners/tuners_utils.py`` (``check_target_module_exists``, ``_inject_parameters``).
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

from app.core.architecture import Kind, Module

Layers: TypeAlias = tuple[int, ...]

LONGEST_PATTERN = 1000
MOST_VARIABLE_PARTS = 5
MOST_DIGITS = 6
"""Of a layer's number."""
QUANTIFIERS = "*+?{"

REFUSED_NAMES = ("out_proj", "conv1d")
REFUSING_TYPES = ("falcon_h1", "nemotron_h")
"""Whose mixers' kernels read these weights themselves: PEFT (``_check_lora_target_modules_mamba``) refuses them."""


def suffix_layers(path: str, layers: Layers | None, target: str) -> Layers | None:
    """The layers at which ``target`` is the path or a dotted end of it; empty for a path without layers.

    None where it is not. ``"q_proj"`` and ``"self_attn.q_proj"`` mean every layer's, ``"layers.3.self_attn.q_proj"``
    one's, ``"proj"`` nothing.
    """
    parts, wanted = path.split("."), target.split(".")
    if len(wanted) > len(parts):
        return None
    hit: Layers = layers or ()
    for want, part in zip(reversed(wanted), reversed(parts), strict=False):
        if part == "{}":
            if not want.isdecimal() or len(want) > MOST_DIGITS or int(want) not in hit or str(int(want)) != want:
                return None
            hit = (int(want),)
        elif want != part:
            return None
    return hit


def is_whole_path(path: str, target: str) -> bool:
    """Whether ``target`` spells the path from its beginning: PEFT then asks for no layer."""
    return path.count(".") == target.count(".")


@lru_cache(maxsize=4096)
def pattern_layers(pattern: re.Pattern[str], path: str, layers: Layers | None) -> Layers | None:
    """As ``suffix_layers`` for a pattern, which must match the whole path."""
    if layers is None:
        return () if pattern.fullmatch(path) else None
    hit = tuple(layer for layer in layers if pattern.fullmatch(path.replace("{}", str(layer), 1)))
    return hit or None


@lru_cache(maxsize=4096)
def found_layers(pattern: re.Pattern[str], path: str, layers: Layers | None) -> Layers | None:
    """As ``pattern_layers``, matching from the beginning of the path but not to its end."""
    if layers is None:
        return () if pattern.match(path) else None
    hit = tuple(layer for layer in layers if pattern.match(path.replace("{}", str(layer), 1)))
    return hit or None


def ending_layers(path: str, layers: Layers | None, end: str) -> Layers | None:
    """As ``suffix_layers``, but ``end`` may begin within a name: how PEFT reads ``modules_to_save``."""
    if layers is None:
        return () if path.endswith(end) else None
    if not any(letter.isdecimal() for letter in end):
        return layers if path.endswith(end) else None
    return tuple(layer for layer in layers if path.replace("{}", str(layer), 1).endswith(end)) or None


def parameter_names(module: Module) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """The parameters of a row: path and shape, that of a matrix in mathematical order."""
    if module.is_parameter:
        weight, bias = module.path, f"{module.path}_bias"
    else:
        weight, bias = f"{module.path}.weight", f"{module.path}.bias"
    if not module.bias_parameters:
        return ((weight, module.shape),)
    wide = module.kind is Kind.EXPERTS
    return (weight, module.shape), (bias, module.shape[::2] if wide else (module.bias_parameters,))


def leaf_of(path: str) -> str:
    """The last part of a path."""
    return path.rpartition(".")[2]


def safe_pattern(text: str, most_variable: int = MOST_VARIABLE_PARTS) -> re.Pattern[str]:
    """Compile a pattern that people hand in, refusing those that could take for ever.

    Backtracking is exponential where a repeated group repeats or chooses within itself, polynomial in the number of
    parts of variable length otherwise.

    Raises:
        ValueError: with what is wrong.
    """
    if len(text) > LONGEST_PATTERN:
        raise ValueError(f"longer than {LONGEST_PATTERN} characters")
    variable, nested = _repetition(text)
    if nested:
        raise ValueError("a repeated group that repeats or chooses within itself")
    if variable > most_variable:
        raise ValueError(f"more than {most_variable} parts of variable length")
    return re.compile(text)


def _repetition(text: str) -> tuple[int, bool]:
    """How many quantifiers the text has, and whether one stands behind a group with a quantifier or choice in it."""
    bare = re.sub(r"\[\^?\]?(?:\\.|[^\]\\])*\]", "x", re.sub(r"\\.", "x", text))
    variable, nested = 0, False
    inner: list[bool] = [False]
    closed = False
    for before, letter in zip(" " + bare, bare, strict=False):
        if letter == "(":
            inner.append(False)
        elif letter == ")" and len(inner) > 1:
            closed = inner.pop()
            inner[-1] = inner[-1] or closed
        elif letter == "|":
            inner[-1] = True
        elif letter in QUANTIFIERS and before not in "(" + QUANTIFIERS:
            variable += 1
            inner[-1] = True
            nested = nested or (before == ")" and closed and letter != "?")
    return variable, nested


def rank_of(patterns: Sequence[tuple[re.Pattern[str], int]], key: str, default: int) -> int:
    """The rank of the first pattern that ends the key, as PEFT's ``get_pattern_key`` finds it."""
    return next((rank for pattern, rank in patterns if pattern.match(key)), default)
