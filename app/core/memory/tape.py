"""A tape: which tensors live at each moment of a forward and a backward, without any data.

A layer is written down as the operations its code runs; each makes a ``Tensor`` whose ``Storage`` is counted from its
making to its end, and a ``Node`` that knows what it keeps for the backward and what the backward makes. The lifetimes
are those of Python's references, which are also those of the code that is written down: a tensor dies when the last
local, argument, saved tensor or gradient buffer lets go of it. The backward follows PyTorch's engine
(``torch/csrc/autograd/engine.cpp``): nodes in the reverse of their making, gradients of a node dropped when it has
run, then what it saved; two gradients meeting are added into the first where nothing else holds it
(``input_buffer.cpp``).

Sizes are polynomials in the tokens of a micro batch T, the tokens of a row S, the tokens of a loss chunk C, the
adapter's rank R, the tokens G that a scan takes in whole chunks and B that attention's backward takes in whole blocks,
``c + t T + s T S + u S + w S S + k C + r R + q T R + g G + b B``, packed into one integer of 64-bit fields, so that one
recorded tape serves every length and rank.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import le
from typing import TypeAlias
from weakref import ReferenceType, ref

from app.core.memory.within import Within

FIELD = 64
TOKEN = 1 << FIELD
"""One for each token of the micro batch."""
SQUARE = 1 << (2 * FIELD)
"""One for each pair of tokens in the same row."""
ROW = 1 << (3 * FIELD)
"""One for each token of a row, however many rows there are."""
ROW_SQUARE = 1 << (4 * FIELD)
"""One for each pair of tokens of a row, however many rows there are."""
CHUNK = 1 << (5 * FIELD)
"""One for each token in a chunk of the loss; of preferred answers, for each token that another follows."""
RANK = 1 << (6 * FIELD)
"""One for each rank of the adapter; ``RANK * TOKEN`` is one for each token and rank."""
SCANNED = 1 << (8 * FIELD)
"""One for each token that a scan takes: the last chunk of each row counts whole."""
BLOCKED = 1 << (9 * FIELD)
"""One for each token that attention's backward takes: the last block of each row counts whole."""
MASK = TOKEN - 1
FULL = 4
"""Bytes of a value in fp32, which no autocast computes in."""

Slot: TypeAlias = int
ACTIVATIONS, TEMPORARIES, GRADIENTS, LOGITS, LOSS, WEIGHTS = range(6)
SLOTS = 6


Coefficients: TypeAlias = tuple[int, int, int, int, int, int, int, int, int, int]
"""Of 1, T, T S, S, S S, C, R, T R, G and B."""


def fields(size: int) -> Coefficients:
    """A packed polynomial taken apart."""
    return (
        size & MASK,
        (size >> FIELD) & MASK,
        (size >> (2 * FIELD)) & MASK,
        (size >> (3 * FIELD)) & MASK,
        (size >> (4 * FIELD)) & MASK,
        (size >> (5 * FIELD)) & MASK,
        (size >> (6 * FIELD)) & MASK,
        (size >> (7 * FIELD)) & MASK,
        (size >> (8 * FIELD)) & MASK,
        size >> (9 * FIELD),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lengths:
    """Tokens of the micro batch, of a row, of a chunk of the loss, of what is scanned and of blocks, and a rank."""

    tokens: int
    row: int
    chunk: int = 0
    rank: int = 0
    scanned: int = 0
    blocked: int = 0

    @property
    def values(self) -> tuple[int, int, int, int, int, int, int, int, int]:
        """What the coefficients but the first are multiplied with."""
        tokens, row, rank = self.tokens, self.row, self.rank
        return tokens, tokens * row, row, row * row, self.chunk, rank, tokens * rank, self.scanned, self.blocked

    def value(self, size: int) -> int:
        """A packed polynomial at these lengths."""
        if size < TOKEN:
            return size
        c, t, s, u, w, k, r, q, g, b = fields(size)
        tokens, row, rank = self.tokens, self.row, self.rank
        found = c + (t + s * row + q * rank) * tokens + (u + w * row) * row + k * self.chunk + r * rank
        return found + g * self.scanned + b * self.blocked


class Storage:
    """Bytes that live until the last reference goes; ``bytes`` is packed."""

    __slots__ = ("bytes", "slot", "tape")

    def __init__(self, tape: "Tape", size: int, slot: Slot) -> None:
        self.tape, self.bytes, self.slot = tape, size, slot
        tape.log.append((slot, size))

    def __del__(self) -> None:
        self.tape.log.append((self.slot, -self.bytes))

    def move(self, slot: Slot) -> None:
        """Count it as something else from now on."""
        self.tape.log += ((self.slot, -self.bytes), (slot, self.bytes))
        self.slot = slot


class Tensor:
    """A view of a storage: packed number of ``elements`` of ``itemsize`` bytes, and the node that made it.

    ``storage`` is None for what is counted elsewhere (weights) or takes nothing; ``node`` None means no gradient.
    """

    __slots__ = ("elements", "index", "itemsize", "node", "storage")

    def __init__(
        self, storage: Storage | None, elements: int, itemsize: int, node: "Node | None" = None, index: int = 0
    ) -> None:
        self.storage, self.elements, self.itemsize, self.node, self.index = storage, elements, itemsize, node, index

    @property
    def bytes(self) -> int:
        """Packed size of its elements."""
        return self.elements * self.itemsize

    def view(self, elements: int | None = None) -> "Tensor":
        """The same storage under another shape or in part."""
        kind = Strided if isinstance(self, Strided) else Tensor
        return kind(self.storage, self.elements if elements is None else elements, self.itemsize, self.node, self.index)

    def strided(self, elements: int) -> "Strided":
        """Some elements of every row."""
        return Strided(self.storage, elements, self.itemsize, self.node, self.index)


class Strided(Tensor):
    """A view of a part of every row, of which the hooks of offloading make a copy."""

    __slots__ = ()


class Viewed(Tensor):
    """A view whose base lives as long as it does, so that the engine adds nothing into it (``input_buffer.cpp``)."""

    __slots__ = ("base",)

    def __init__(self, base: Tensor) -> None:
        super().__init__(base.storage, base.elements, base.itemsize)
        self.base = base


class Parameter(Tensor):
    """A weight itself, not a view of it: counted elsewhere, and left where it is by the hooks of offloading."""

    __slots__ = ()


Gradients: TypeAlias = Sequence[Tensor | None]
Run: TypeAlias = Callable[[list[Tensor | None]], Gradients]


class Node:
    """One step of the backward: where its gradients go, what it saved, and what it makes."""

    __slots__ = ("__weakref__", "edges", "grads", "reads", "run", "saved", "shapes")

    def __init__(
        self,
        edges: list[tuple["Node", int] | None],
        shapes: list[tuple[int, int] | None],
        saved: list[Storage],
        run: Run,
        outputs: int,
        *,
        reads: bool = False,
    ) -> None:
        self.reads = reads
        self.edges, self.shapes, self.saved, self.run = edges, shapes, saved, run
        self.grads: list[Tensor | None] = [None] * outputs


class Recomputed(Exception):
    """``torch.utils.checkpoint`` stops a recomputation with one of its own once all is there that was saved."""


class Leaf(Node):
    """Where a gradient ends: a trained parameter or the input of the layer."""

    __slots__ = ("parameter",)

    def __init__(self, *, parameter: bool) -> None:
        super().__init__([], [], [], lambda _: (), 1)
        self.parameter = parameter


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What lives at one moment: packed bytes in all and in each slot."""

    total: int
    slots: tuple[int, ...]


class Tape:
    """Records lives and runs the backward.

    ``recording`` is autograd's grad mode, ``compute`` the itemsize that it computes in (4: no autocast),
    ``gradients_present`` whether the parameters hold gradients of an earlier micro batch, ``positions`` the itemsize of
    the tables of positions and masks, which follow the embedding's output, ``training`` whether dropout drops,
    ``autocast`` whether what comes in another type is cast, or 16-bit weights are all that makes it compute so,
    ``normed`` whether an earlier forward of the step has left norms of weights (DoRA's kernels), ``fetched`` the bytes
    of copies of weights that are there and go linear by linear.
    """

    def __init__(
        self,
        *,
        compute: int = 2,
        gradients_present: bool = False,
        recording: bool = True,
        positions: int = 2,
        reentrant: bool = False,
        training: bool = True,
        autocast: bool = True,
        normed: bool = False,
        fetched: int = 0,
    ) -> None:
        self.log: list[tuple[Slot, int]] = []
        self.nodes: list[ReferenceType[Node]] = []
        self.cache: dict[str, Tensor] = {}
        self.kept: list[Storage | None] = []
        self.compute = compute
        self.autocast = autocast and compute < FULL
        self.gradients_present = gradients_present
        self.recording = recording
        self.positions = positions
        self.reentrant = reentrant
        self.training = training
        self.normed = normed
        self.within: Within | None = None
        """How an optimizer steps within the backward, if it does."""
        self.pending: list[Tensor] = []
        """The gradient that waits there for the next."""
        self.saving = 0
        """Nodes so far that save something."""
        self.stops_at = 0
        """How many of them a recomputation waits for, where it stops as soon as it has what is needed."""
        self.beside: Tensor | None = None
        """What attention returns beside its output, which the layer's code names and so holds to its end."""
        self.unpacking = False
        """Whether what a node saved comes out of a hook, and so goes before its gradients are cast."""
        self.left = 0
        """Where in the log the autocast region was left."""
        self.stuck: list[Storage] = []
        """What nodes hold beside what they save, which goes with the graph and leaves with no hook."""
        self.handed_out: Tensor | None = None
        """What a layer hands out beside its output."""
        self.handed_on: tuple[Tensor, ...] = ()
        """What the model keeps of a layer for others, and with it the nodes that made it."""
        self.replaces = False
        """Whether that takes the place of what the same layer handed on before, which is counted elsewhere."""
        self.unpacked = 0
        """Bytes of experts in 8 bits that a cache holds until their module's forward ends (``experts``)."""
        self.attended: list[Tensor] = []
        """What attention's kernels made that a checkpoint keeps."""
        self.given: list[Tensor] = []
        """The same where a layer is made again, which finds them."""
        self.fetched = Storage(self, fetched, WEIGHTS) if fetched else None
        """Copies of packed weights that wait beside those which the layer computes with (``layer_offloading``)."""
        self.slot: Slot = ACTIVATIONS

    def put_back(self, size: int) -> None:
        """Let go of one linear's copy, in whose place it puts what it computes with."""
        if self.fetched is not None:
            size = min(size, self.fetched.bytes)
            self.log.append((WEIGHTS, -size))
            self.fetched.bytes -= size

    def fresh(self, elements: int, itemsize: int, slot: Slot | None = None) -> Tensor:
        """A new tensor without a history."""
        return Tensor(Storage(self, elements * itemsize, self.slot if slot is None else slot), elements, itemsize)

    def parameter(self, elements: int, itemsize: int, *, trained: bool) -> Tensor:
        """A weight, counted elsewhere."""
        return Parameter(None, elements, itemsize, Leaf(parameter=True) if trained else None)

    def join(
        self, outputs: Sequence[Tensor], inputs: Sequence[Tensor | None], saved: Sequence[Tensor | None], run: Run
    ) -> None:
        """Make ``outputs`` the results of one node, where gradients are recorded and an input needs one."""
        if not self.recording or not any(x is not None and x.node is not None for x in inputs):
            return
        edges = [(x.node, x.index) if x is not None and x.node is not None else None for x in inputs]
        storages = [x.storage for x in saved if x is not None and x.storage is not None]
        shapes = [None if x is None or x.node is None else (x.elements, x.itemsize) for x in inputs]
        reads = any(x is not None for x in saved)
        node = Node(edges, shapes, storages, run, len(outputs), reads=reads)
        self.nodes.append(ref(node))
        for index, output in enumerate(outputs):
            output.node, output.index = node, index
        if reads:
            self.saving += 1
            if self.saving == self.stops_at:
                self._unmake(outputs, [*storages, *(x.storage for x in inputs if x is not None)])
                raise Recomputed

    def stick(self, x: Tensor, out: Tensor) -> None:
        """Leave ``x`` on the node that made ``out`` of it: an attribute, which autograd does not release.

        The graph of a first forward lives through the step, that of a layer made again as long as what it made.
        """
        if not self.recording or out.node is None or x.storage is None:
            return
        held = out.node.saved if self.stops_at else self.stuck
        if x.storage not in held:
            held.append(x.storage)

    def hand_on(self, *given: Tensor) -> None:
        """Leave with the model what a layer made, where another layer may find it."""
        self.handed_on = given
        for storage in [each.storage for each in given if self.replaces and each.storage is not None]:
            self.log.append((storage.slot, -storage.bytes))
            storage.bytes = 0

    def _unmake(self, outputs: Sequence[Tensor], there: Sequence[Storage | None]) -> None:
        """An operation saves its inputs before it computes: a result that is not ``there`` already is never made.

        An input is there, over which an operation in place writes, and what it saves of its own making.
        """
        for output in outputs:
            storage = output.storage
            if storage is not None and storage not in there and self.log[-1] == (storage.slot, storage.bytes):
                self.log.pop()
                storage.bytes = 0

    def saves(self, x: Tensor) -> bool:
        """Whether a node keeps this tensor's storage for its backward."""
        return any(node is not None and x.storage in node.saved for node in (made() for made in self.nodes))

    def backward(self, output: Tensor, grad: Tensor, *, reading: Callable[[], None] | None = None) -> None:
        """Run every node behind ``output``; the caller gives up both.

        Nodes whose results died before are gone, as they are in PyTorch. ``reading`` is called once, before the first
        node that reads what it saved.
        """
        if output.node is None:
            return
        self.slot = TEMPORARIES
        output.node.grads[output.index] = grad
        nodes = [node for node in (made() for made in self.nodes) if node is not None]
        self.nodes = []
        output.storage = None
        del output, grad
        while nodes:
            node = nodes.pop()
            if all(grad is None for grad in node.grads):
                continue
            if reading is not None and node.reads:
                reading()
                reading = None
            found = list(node.run(node.grads))
            if self.unpacking:
                node.saved = []
            self._fit(found, node.shapes)
            node.grads = []
            node.saved = []
            for position, edge in enumerate(node.edges):
                passed, found[position] = found[position], None
                if edge is not None and passed is not None:
                    self.receive(*edge, passed)
                del passed
        self.slot = ACTIVATIONS

    def _fit(self, grads: list[Tensor | None], shapes: list[tuple[int, int] | None]) -> None:
        """``validate_outputs``: a gradient is summed to its input's shape, then cast to its type."""
        for position, shape in enumerate(shapes):
            grad = grads[position]
            if grad is None or shape is None:
                grads[position] = None
                continue
            elements, itemsize = shape
            if grad.elements > elements:
                grads[position] = grad = self.fresh(elements, grad.itemsize)
            if grad.itemsize != itemsize:
                grads[position] = self.fresh(elements, itemsize)
            del grad

    def receive(self, node: Node, index: int, grad: Tensor) -> None:
        """Bring a gradient to where it is waited for; the second is added into the first if that is nobody else's."""
        if isinstance(node, Leaf) and node.parameter:
            if self.within is not None and grad.storage is not None and grad.elements != self.within.shared:
                grad.storage.move(GRADIENTS)
                self._step(self.within, grad)
                return
            if not self.gradients_present and grad.storage is not None:
                grad.storage.move(GRADIENTS)
                self.kept.append(grad.storage)
            return
        held = node.grads[index]
        if held is None:
            node.grads[index] = grad
            return
        node.grads[index] = None
        alone = sys.getrefcount(held) <= ALONE and sys.getrefcount(held.storage) <= ALONE
        node.grads[index] = held if alone else self.fresh(held.elements, max(held.itemsize, grad.itemsize))

    def apart(self, *, recording: bool, autocast: bool) -> "Tape":
        """A tape of its own for what runs within an operation of this one, forward or backward."""
        inner = Tape(
            compute=self.compute,
            positions=self.positions,
            training=self.training,
            recording=recording,
            autocast=autocast,
        )
        inner.slot = self.slot
        return inner

    def steps(self, within: Within | None, pending: tuple[int, int] = (0, 0)) -> None:
        """Step within the backward, where a gradient of so many elements and this itemsize waits from above."""
        self.within = within
        self.pending = [self.fresh(*pending, GRADIENTS)] if any(pending) else []

    def forget(self, source: Leaf) -> tuple[int, int]:
        """Let go of all gradients; elements and itemsize of the one that waits for the next."""
        source.grads = []
        self.kept.clear()
        waiting = self.pending.pop() if self.pending else None
        return (waiting.elements, waiting.itemsize) if waiting is not None else (0, 0)

    def _step(self, within: Within, grad: Tensor) -> None:
        """The optimizer's step of a gradient that has come, or of the one before it; it goes with its step."""
        used = [grad]
        if within.deferred:
            used, self.pending = self.pending, used
        if used:
            beside, after = within.of(used[0].elements, used[0].itemsize)
            self.fresh(beside, 1, TEMPORARIES)
            used.clear()
            self.fresh(after, 1, TEMPORARIES)

    def end_autocast(self) -> None:
        """Leave the autocast region: its copies of weights go, unless a node saved them."""
        self.left = len(self.log)
        self.cache.clear()

    @property
    def now(self) -> int:
        """Packed bytes alive."""
        return sum(size for _, size in self.log)

    def moments(self, end: int | None = None) -> tuple[Moment, ...]:
        """The moments at which something could be largest: those that no other exceeds in every coefficient.

        Up to ``end`` in the log, where it is given.
        """
        live = [0] * SLOTS
        total = 0
        peaks: dict[int, tuple[int, ...]] = {}
        log = self.log[:end]
        for position, (slot, size) in enumerate(log):
            live[slot] += size
            total += size
            if size > 0 and (position + 1 == len(log) or log[position + 1][1] <= 0):
                peaks.setdefault(total, tuple(live))
        return prune(Moment(total=total, slots=slots) for total, slots in peaks.items())


ALONE = 2
"""References to an object that only one name holds, as ``sys.getrefcount`` counts them."""


def prune(moments: Iterable[Moment]) -> tuple[Moment, ...]:
    """Leave out moments that another exceeds or equals in every coefficient."""
    kept: list[tuple[Coefficients, Moment]] = []
    for moment in sorted(moments, key=lambda moment: -moment.total):
        mine = fields(moment.total)
        if not any(all(map(le, mine, other)) for other, _ in kept):
            kept.append((mine, moment))
    return tuple(moment for _, moment in kept)
