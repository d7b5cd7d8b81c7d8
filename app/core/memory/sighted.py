"""Whether a run reads images that are described, and how long its rows are then."""

from collections.abc import Iterator
from dataclasses import replace

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Part
from app.core.memory.checkpointing import as_checkpointed
from app.core.memory.optimizer_forms import form_of
from app.core.run import UNPRICED_IMAGES, Attention, Checkpointing, KeptAttention, Method, Offloading, Run

OFFLOADING = "activation_offloading"


def sees(architecture: Architecture, run: Run) -> bool:
    """Whether what images take is described for this run; else it is priced as of text.

    Not described: preferences, methods beside LoRA, optimizers that step within the backward, and checkpoints and
    layers that move or keep what others do not, scores of windows.
    """
    return (
        reads_images(architecture, run)
        and run.preference is None
        and run.peft is None
        and run.autocast
        and not (run.attention is Attention.EAGER and architecture.sight is not None and architecture.sight.window)
        and run.checkpointing is not Checkpointing.OFFLOAD
        and run.checkpoint_every == 1
        and run.kept_attention is KeptAttention.NONE
        and not run.layer_offloading
        and not run.lisa_layers
        and not run.tiled
        and not form_of(run.optimizer).immediate
    )


def counted(architecture: Architecture, run: Run) -> Run:
    """The run that images are counted in: without what they are not described with.

    Layers that are checkpointed here and there, or keep more than their input, take less than without checkpoints.
    What leaves for the host is checkpointed as the run asks.
    """
    if not reads_images(architecture, run) or sees(architecture, run):
        return run
    checkpointing = run.checkpointing
    if run.offloading is not Offloading.NONE or checkpointing is Checkpointing.OFFLOAD:
        checkpointing = Checkpointing.REENTRANT if run.reentrant else Checkpointing.NON_REENTRANT
    if run.checkpoint_every > 1 or run.kept_attention is not KeptAttention.NONE:
        checkpointing = Checkpointing.OFF
    without = replace(
        run,
        checkpointing=checkpointing,
        offloading=Offloading.NONE,
        checkpoint_every=1,
        kept_attention=KeptAttention.NONE,
        layer_offloading=False,
        lisa_layers=0,
        tiled=False,
    )
    return without if sees(architecture, without) else run


def left_aside(architecture: Architecture, run: Run) -> tuple[str, ...]:
    """Keys that images are counted without."""
    if counted(architecture, run) is run:
        return ()
    keys = {
        OFFLOADING: run.offloading is not Offloading.NONE or run.checkpointing is Checkpointing.OFFLOAD,
        "gradient_checkpointing_kwargs.every_n_layers": run.checkpoint_every > 1,
        "selective_checkpointing": run.kept_attention is not KeptAttention.NONE,
        "layer_offloading": run.layer_offloading,
        "lisa_n_layers": bool(run.lisa_layers),
        "tiled_mlp": run.tiled,
    }
    return tuple(key for key, acts in keys.items() if acts)


def images_percent(architecture: Architecture, run: Run) -> int:
    """Room above the figure: for each image of a row that is not counted, and for offloading that is left aside.

    Hooks that offload see what reentrant checkpoints make again, of which some stays: over short rows that takes more.
    """
    if not run.sees or run.sample_packing:
        return 0
    if sees(architecture, counted(architecture, run)):
        return UNPRICED_IMAGES if OFFLOADING in left_aside(architecture, run) else 0
    images = architecture.images if architecture.sight is None else architecture.sight.per_row
    return UNPRICED_IMAGES * images


def reads_images(architecture: Architecture, run: Run) -> bool:
    """Whether images come with the rows: packed rows pass by the processor, whose collator alone reads them."""
    return architecture.sight is not None and architecture.sight.per_row > 0 and run.sees and not run.sample_packing


def cut_off(architecture: Architecture, run: Run, adapter: Adapter) -> bool:
    """Whether reentrant checkpoints leave the tower's layers without gradients: what enters the first asks for none.

    Where Transformers does not find the tower's first output, an adapter asks there only if it reaches the convolution.
    """
    sight, run = architecture.sight, as_checkpointed(architecture, run)
    if sight is None or sight.asks or run.method is Method.FULL or run.checkpointing is not Checkpointing.REENTRANT:
        return False
    return not any(row.module.kind is Kind.CONVOLUTION and not row.frozen for row in adapter.modules)


def left_out(architecture: Architecture, run: Run, adapter: Adapter) -> Iterator[str]:
    """Paths of the tower's layers whose factors get no gradient by that."""
    if cut_off(architecture, run, adapter):
        layered = (row.module for row in adapter.modules if row.layers and not row.frozen)
        yield from (module.path for module in layered if module.part is Part.VISION)


def lengthened(architecture: Architecture, run: Run) -> Run:
    """The run with rows that hold their images' tokens: a processor cuts nothing off at ``sequence_len``.

    Source: Axolotl 0.19.0 ``utils/collators/mm_chat.py``.
    """
    sight = architecture.sight
    if sight is None or not sees(architecture, run):
        return run
    least = sight.per_row * sight.row_tokens
    return run if run.sequence_len_tokens >= least else replace(run, sequence_len_tokens=least)


def unpriced_percent(architecture: Architecture, run: Run) -> int:
    """Of the room that one image has above a figure, what these do not need; less than none where they need more."""
    return UNPRICED_IMAGES - images_percent(architecture, run) if run.sees else 0
