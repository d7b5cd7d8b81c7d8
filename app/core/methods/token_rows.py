"""Trainable tokens: rows of an embedding that train, the rest of it frozen.

Source: PEFT 0.20.0, ``tuners/trainable_tokens``.
"""

from app.core.adapted import AdaptedModule, token_rows
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.methods.matching import Match, match, peft_fault
from app.core.methods.settings import TokenRows

ROWED = frozenset((Kind.EMBEDDING, Kind.HEAD, Kind.LINEAR))


def count_token_rows(architecture: Architecture, settings: TokenRows) -> tuple[AdaptedModule, ...]:
    """The rows of each target. A head that shares the embedding's weight shares its rows, unless it is named too.

    Raises:
        InvalidInput: a target has no rows, or fewer than an index asks for.
    """
    source = next(m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT)
    matches, _ = match(architecture, settings.targets, (source.path,))
    return tuple(_rows(found, settings) for found in matches)


def _rows(found: Match, settings: TokenRows) -> AdaptedModule:
    module: Module = found.module
    if module.kind not in ROWED:
        raise peft_fault("target_modules", "error.peft.unsupported", method="trainable_tokens", module=module.path)
    count = module.shape[0 if module.kind is Kind.EMBEDDING else 1]
    outside = [index for index in settings.indices if not -count <= index < count]
    if outside:
        raise peft_fault("token_indices", "error.config.range", given=outside[0], least=0, most=count - 1)
    return token_rows(module, len(settings.indices), found.layers)
