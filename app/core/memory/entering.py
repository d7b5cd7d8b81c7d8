"""What a forward makes before its first layer and holds through the step beside the layers' own.

Masks of eager attention and of windows under SDPA, what stands between the embedding and the first layer (a norm, a
dropout), and the copies of a prompt encoder's weights.

Sources: Transformers 5.16.1 ``masking_utils.py`` (``eager_mask``, ``sdpa_mask``) and the models' own ``forward``; PEFT
0.20.0 ``tuners/p_tuning/model.py``.
"""

from collections.abc import Iterable

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Part
from app.core.memory.attending import masked, overlaid
from app.core.memory.attention import Kernel
from app.core.memory.layers import LayerSpec
from app.core.memory.rows import dropouts_of
from app.core.memory.tape import FULL, ROW_SQUARE, SQUARE, TOKEN
from app.core.memory.traits import ADDED_POSITIONS, ALWAYS_MASKED, BOTH_MASKS, NORMED_EMBEDDINGS, SCALED_EMBEDDINGS
from app.core.memory.weights import Storing, stored
from app.core.run import Run

PROMPT = "prompt_encoder."


def first_itemsize(architecture: Architecture, run: Run, embedding_itemsize: int) -> int:
    """Of what the first layer reads: a norm's result is fp32, added positions may be wider than the embedding."""
    if architecture.computes_as in NORMED_EMBEDDINGS:
        return FULL
    if architecture.computes_as not in ADDED_POSITIONS:
        return embedding_itemsize
    storing = Storing.of(run)
    tables = [m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT]
    return max(stored(architecture, table, storing) for table in tables)


def stands_between(architecture: Architecture, run: Run) -> bool:
    """Whether the first layer reads another tensor than the embedding's output: NEFTune's noise makes one too."""
    scaled = architecture.computes_as in SCALED_EMBEDDINGS | ADDED_POSITIONS
    return run.neftune or scaled or dropouts_of(architecture, run).embedding


def saves_between(architecture: Architecture, run: Run) -> bool:
    """Whether anything is saved there for the backward: a norm's input, a dropout's mask."""
    return architecture.computes_as in NORMED_EMBEDDINGS or dropouts_of(architecture, run).embedding


def between_bytes(architecture: Architecture, run: Run, embedding_itemsize: int, *, leaf: bool) -> int:
    """Packed bytes that are saved there: a norm's fp32 input, where it is no leaf itself, and a dropout's mask."""
    width = architecture.hidden_size * TOKEN
    dropped = width if dropouts_of(architecture, run).embedding else 0
    if architecture.computes_as not in NORMED_EMBEDDINGS or (leaf and embedding_itemsize == FULL):
        return dropped
    return dropped + FULL * width


def mask_bytes(
    architecture: Architecture, run: Run, specs: Iterable[LayerSpec], itemsize: int, *, made: bool = True
) -> int:
    """Packed bytes of the masks that are made once for all layers: numbers for eager attention, else truth values.

    ``itemsize`` is the embedding's output's. Models whose layers attend in two ways make both masks, whichever layers
    there are, and let go of one that no layer took: ``made`` tells the forward, where they have names, from what comes
    after. SDPA needs none for the whole row, and one of a window serves all rows, unless rows differ: by padding, by
    their documents.
    """
    attending = [spec for spec in specs if spec.heads is not None]
    kernels = {spec.kernel for spec in attending}
    both = 1
    if architecture.computes_as in BOTH_MASKS:
        taken = {block.sliding_window is None for block in architecture.blocks if block.attention_heads}
        both = 2 if made else len(taken)
    if Kernel.EAGER in kernels:
        return both * max(spec.heads.pairs for spec in attending if spec.heads is not None) * itemsize
    if Kernel.SDPA_MASKED not in kernels:
        return 0
    apart = run.sample_packing and architecture.computes_as not in ALWAYS_MASKED
    if any(overlaid(architecture, run, window) for window in architecture.windows):
        whole = masked(architecture, run) or overlaid(architecture, run, None)
        return (both if whole else 1) * SQUARE
    return both * SQUARE if apart or masked(architecture, run) else ROW_SQUARE


def prompt_copies(adapter: Adapter, run: Run) -> int:
    """Autocast's copies of the weights of a prompt's network, saved until the end of the backward."""
    if run.itemsize == FULL:
        return 0
    rows = [row for row in adapter.modules if row.module.path.startswith(PROMPT) and row.module.kind is Kind.LINEAR]
    return sum(row.module.weight_parameters * run.itemsize for row in rows)
