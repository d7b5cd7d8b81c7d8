"""Activation offloading: what stays on the card while saved tensors wait on the host.

TRL's hooks take every saved tensor of a kibibyte or more. With streams a few of the last stay until their copies are
made (``STASH``), and what is saved twice in a short while stays. Under an adapter Axolotl's loader has switched
checkpointing on and nothing switches it off: the hooks take the checkpoints and, in the backward, all that each layer
makes again; what comes back for one layer's backward is let go of only after the next layer's (``bwd_tensor_stash``
is cleared by nodes of the outer graph alone). In full fine-tuning each layer is wrapped in a checkpoint of its own,
which the hooks do not see into.

Sources: TRL 1.9.0 ``models/activation_offloading.py``; Axolotl 0.19.0
``core/trainers/mixins/activation_checkpointing.py``, ``loaders/model.py``,
``monkeypatch/{activation_offload_checkpoint,checkpoint_activation_offload}.py``.
"""

from collections.abc import Sequence

from app.core.memory.tape import ACTIVATIONS, MASK, Gradients, Parameter, Run, Storage, Strided, Tape, Tensor
from app.core.run import CHUNKS, Loss, Method, Offloading
from app.core.run import Run as Training

LEAST_BYTES = 1024
LABEL_BYTES = 8
STASH = 5
"""Saved tensors whose copies to the host may be under way (``max_fwd_stash_size``)."""


def hooks_see_layers(run: Training) -> bool:
    """Whether the hooks take what a layer makes again in its backward.

    A checkpoint that is not reentrant has hooks of its own there; ``legacy`` puts its own function in the place of any.
    """
    if run.method is Method.FULL:
        return False
    return run.offloading is Offloading.ALL_AT_ONCE or (run.offloading is Offloading.ALL and run.reentrant)


def streams_held(run: Training) -> int:
    """Inputs of layers that a layer's backward finds on the card though all of them were offloaded.

    Under an adapter the embedding's output is a leaf that the graph holds to the end. The layer's own input is back,
    which a layer whose nodes the hooks take holds itself; with streams one more is under way, or not let go of yet.
    """
    leaf, own = run.method is not Method.FULL, hooks_see_layers(run)
    match run.offloading:
        case Offloading.ALL:
            return 3 - own if leaf else 1
        case Offloading.ALL_AT_ONCE:
            return 2 - own if leaf else 0
        case _:
            return leaf + (not marks_inputs(run))


def marks_inputs(run: Training) -> bool:
    """Whether hooks take the inputs of checkpoints that are not reentrant: a layer's is there to make it again."""
    return run.offloading is Offloading.INPUTS and not run.reentrant


def lets_go_itself(run: Training, *, between: bool) -> bool:
    """Whether the nodes of the last layer of the backward let go of what came back, of the layer above's too.

    The hooks have nothing of the outer graph left there and take the layer's own for it (``is_first_backward_call``),
    unless something was saved ``between`` the embedding and that layer.
    """
    return hooks_see_layers(run) and run.offloading is Offloading.ALL and not between


def hooks_see_head(run: Training) -> bool:
    """Whether the hooks take what the loss saves: where they are open through the whole step."""
    return run.preference is None and run.offloading in (Offloading.ALL, Offloading.ALL_AT_ONCE)


def labels_stay(run: Training, row: int) -> bool:
    """Whether the last chunk's labels are less than what is moved, so that they push nothing out of the stash.

    ``row`` is the tokens of one row, of which each chunk takes an eighth, rounded up, and the last what is left.
    """
    whole = -(-row // CHUNKS)
    last = (row - 1) % whole + 1
    labels = LABEL_BYTES * last * max(1, run.tokens // row)
    return run.loss is Loss.CHUNKED and hooks_see_head(run) and labels < LEAST_BYTES


def inputs_flying(run: Training, layers: int) -> int:
    """Inputs of layers on the card when the forward has reached the loss.

    Under an adapter the embedding's output is a leaf; the copies of the last two are under way where inputs alone are
    offloaded, while what a chunked loss saves pushes them out of the stash.
    """
    leaf = run.method is not Method.FULL
    under_way = 0 if run.offloading in (Offloading.ALL, Offloading.ALL_AT_ONCE) else 2
    return min(layers, leaf + under_way)


class OffloadingTape(Tape):
    """A tape whose nodes hand what they save to the host and get copies back.

    ``streams`` keeps the last few saved and all that came back; without them a tensor leaves at once and its copy
    goes with its node.
    """

    def __init__(
        self,
        *,
        streams: bool,
        compute: int = 2,
        gradients_present: bool = False,
        positions: int = 2,
        autocast: bool = True,
        normed: bool = False,
    ) -> None:
        super().__init__(
            compute=compute,
            gradients_present=gradients_present,
            positions=positions,
            autocast=autocast,
            normed=normed,
        )
        self.streams = streams
        self.sparing = False
        """Whether the hooks are off, as they are within the output head."""
        self.labels_leave = True
        """Whether a chunk's labels are large enough to be moved."""
        self.outer = False
        """Whether nodes are the outer graph's, each of which lets go of what came back for the one before."""
        self.count = 0
        self.stash: dict[int, Storage] = {}
        self.twice: set[int] = set()
        self.pinned: list[Storage] = []
        self.reading: list[Storage] = []
        """What the node that runs has saved and reads: copies that came back, or what is still in the stash."""
        self.moved = 0

    def join(
        self, outputs: Sequence[Tensor], inputs: Sequence[Tensor | None], saved: Sequence[Tensor | None], run: Run
    ) -> None:
        """As the plain tape's, but what is saved leaves."""
        if not any(x is not None and x.node is not None for x in inputs):
            return
        if self.sparing:
            super().join(outputs, inputs, saved, run)
            return
        kept: list[Tensor] = []
        moved: list[tuple[int, int]] = []
        for x in saved:
            if x is not None:
                self._pack(x, kept, moved)
        if not moved:
            super().join(outputs, inputs, kept, run)
            return

        def restored(grads: list[Tensor | None]) -> Gradients:
            back = {one: Storage(self, size, ACTIVATIONS) for one, size in moved if one not in self.stash}
            self.reading = [back[one] if one in back else self.stash[one] for one, _ in moved]
            made = run(grads)
            self.reading = []
            self.stash.clear()
            if self.outer:
                self.pinned.clear()
            if self.streams:
                self.pinned += back.values()
            return made

        super().join(outputs, inputs, kept, restored)

    def _pack(self, x: Tensor, kept: list[Tensor], moved: list[tuple[int, int]]) -> None:
        self.count += 1
        if isinstance(x, Strided):
            x = self.part(x)
        storage = x.storage
        if storage is not None and (id(storage) in self.twice or storage in self.stash.values()):
            self.twice.add(id(storage))
            kept.append(x)
            return
        if isinstance(x, Parameter) or (x.bytes <= MASK and x.bytes < LEAST_BYTES):
            kept.append(x)
            return
        if storage is None and not self.streams:  # cloned on its way, being a view of its transpose
            clone = self.fresh(x.bytes, 1, ACTIVATIONS)
            del clone
        if self.streams:
            for old in [identity for identity in self.stash if identity <= self.count - STASH]:
                del self.stash[old]
            # a frozen weight is saved as a view of its transpose, which is no parameter: a copy of it leaves
            self.stash[self.count] = storage or Storage(self, x.bytes, ACTIVATIONS)
        moved.append((self.count, x.bytes))
        self.moved += x.bytes

    def part(self, x: Tensor) -> Tensor:
        """A view that does not begin where its storage does: the hooks clone it, and it is the clone that leaves."""
        return Tensor(Storage(self, x.bytes, ACTIVATIONS), x.elements, x.itemsize)

    def found_waiting(self, size: int) -> None:
        """Where ``size`` is none below 0: nodes let go of each other's, and of what came back for the layer above."""
        if size >= 0:
            self.outer = True
            self.pinned = [Storage(self, size, ACTIVATIONS)]

    def let_go(self) -> tuple[int, int]:
        """The backward has ended: packed bytes that came back and stay through the next layer's, and that moved."""
        pinned = sum(storage.bytes for storage in self.pinned)
        self.pinned.clear()
        return pinned, self.moved
