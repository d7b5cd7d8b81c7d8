"""What lives in a step beside its layers' moments: the batch, tables, masks, a leaf, what waits for the backward's end.

Gradients are set to None after each step, so the first micro batch begins without them; with accumulation they are
there from the start. All of it is polynomials in lengths and rank (``tape``).
"""

from dataclasses import replace
from functools import cached_property

from app.core.adapter import Adapter
from app.core.architecture import Architecture, Kind, Module, Part
from app.core.memory.entering import between_bytes, first_itemsize, mask_bytes, prompt_copies, stands_between
from app.core.memory.eyes import family_of
from app.core.memory.forms import head_spec, layer_specs, position_elements
from app.core.memory.layer_offloading import layers_of
from app.core.memory.lengths import row_tokens, virtual_tokens
from app.core.memory.offloading import hooks_see_head, labels_stay
from app.core.memory.optimizers import gradient_bytes
from app.core.memory.preference import larger_side, profile_preference, reference_cache, refers
from app.core.memory.profile import HeadProfile, profile_head
from app.core.memory.seeing import Seeing
from app.core.memory.sighted import sees
from app.core.memory.small_inputs import small_inputs
from app.core.memory.stack import Stack
from app.core.memory.tape import ROW, TOKEN
from app.core.memory.trained import trained_tensors
from app.core.memory.traits import ROTARY_BY_AXIS
from app.core.memory.weights import Storing, stored
from app.core.memory.within import within
from app.core.methods.settings import PeftType
from app.core.run import Checkpointing, Method, Offloading, Preference, Run

BATCH_BYTES = 24
"""Token ids, labels and positions of a token, eight bytes each."""
BATCH = BATCH_BYTES * TOKEN
AXES = 3
"""Of a token's place in a film: frame, row and column."""

TABLES = ("lm_head", "embed_tokens")
"""In a name of ``unfrozen_parameters`` Axolotl takes these for the embedding. Source: Axolotl 0.19.0 ``train.py``."""


class Living:
    """The layers of one step and all that lives around them; all sizes are packed polynomials."""

    def __init__(self, architecture: Architecture, run: Run, adapter: Adapter, *, kernels: frozenset[str]) -> None:
        self.architecture, self.run, self.adapter, self.kernels = architecture, run, adapter, kernels
        seen = sees(architecture, run)
        self.trained = trained_tensors(architecture, run, adapter, towers=seen)
        trained = trained_tensors(architecture, run, adapter) if seen else self.trained
        self.specs = layer_specs(architecture, run, adapter, fused=kernels, row_tokens=row_tokens(run))
        self.full = run.method is Method.FULL
        self.gradients = gradient_bytes(self.trained)
        self.within = within(run.optimizer, trained, run.optimizer_rank)
        self.immediate = self.within is not None
        self.present = run.gradient_accumulation_steps > 1 and not self.immediate
        embedding = next(m for m in architecture.modules if m.kind is Kind.EMBEDDING and m.part is Part.TEXT)
        self.embedding_itemsize = stored(architecture, embedding, Storing.of(run))
        others = {
            row.weight_parameters for row in architecture.modules if row.kind is Kind.EMBEDDING and row is not embedding
        }
        others.discard(embedding.weight_parameters)
        tables = [(t.elements not in others, t.elements * t.itemsize) for t in trained if t.embedding]
        self.embedding = max((size for main, size in tables if main), default=0)
        self.other_table = max((size for main, size in tables if not main), default=0)
        """Of another table than the tokens' own, or a prompt's: positions, or what is added in every layer."""
        self.rowed = self.rows_table(adapter, embedding)
        self.first_itemsize = first_itemsize(architecture, run, self.embedding_itemsize)
        self.masks = mask_bytes(architecture, run, self.specs, self.embedding_itemsize)
        taken = mask_bytes(architecture, run, self.specs, self.embedding_itemsize, made=False)
        self.kept_masks = taken if run.checkpointing is not Checkpointing.OFF else 0
        self.prompt = prompt_copies(adapter, run)
        self.first_needs = self.first_input_needs_gradient()
        self.small = small_inputs(
            architecture, run, adapter, itemsize=self.embedding_itemsize, needs_input=self.first_needs
        )
        self.found = self.present or self.penalised
        """Whether the layers' backward finds gradients there: AdaLoRA's penalty makes them before."""
        self.seeing = self.seen()
        self.tables = self.position_tables(run)
        self.stack = Stack(
            architecture,
            run,
            specs=self.specs,
            moving=layers_of(architecture, run, adapter, kernels),
            itemsize=self.first_itemsize,
            positions=self.embedding_itemsize,
            embedding_trains=bool(self.embedding),
            needs_gradient=self.first_needs or (self.seeing is not None and self.seeing.recorded),
            gradients_present=self.found,
            within=self.within,
        )
        self.layers, self.again, self.moving = self.stack.layers, self.stack.again, self.stack.moving
        stream = self.layers[-1].output if self.layers else self.embedding_itemsize
        self.head = self.head_profile(run, stream)

    def seen(self) -> Seeing | None:
        """The batch's images, where there are any that are described."""
        sight = self.architecture.sight
        if sight is None or not sees(self.architecture, self.run):
            return None
        return family_of(self.architecture)(
            sight,
            self.architecture,
            self.run,
            self.adapter,
            hooked=not self.full or self.table_named or self.run.checkpointing is not Checkpointing.OFF,
            gradients_present=self.found,
            itemsize=self.first_itemsize,
        )

    def position_tables(self, run: Run) -> int:
        """The batch, and sines and cosines: one table, or one a row where packed rows bring their positions."""
        of = TOKEN if run.sample_packing else ROW
        if self.architecture.computes_as in ROTARY_BY_AXIS:
            of = AXES * TOKEN
        if self.seeing is not None and self.seeing.positions_per_token:
            of = self.seeing.positions_per_token * TOKEN
        return BATCH + position_elements(self.architecture) * of * self.embedding_itemsize

    def rows_table(self, adapter: Adapter, embedding: Module) -> int:
        """Bytes of the embedding where rows of it train: its copy in the forward, and its gradient."""
        if embedding.path not in {row.module.path for row in adapter.modules if row.rows}:
            return 0
        return embedding.weight_parameters * self.embedding_itemsize

    @property
    def passed(self) -> int:
        """What Gemma 4's wrapper names while its language model runs: text alone, rows of the small table."""
        if self.small is None or self.architecture.model_type != "gemma4":
            return 0
        return self.embedded + self.small.given

    def head_profile(self, run: Run, stream: int) -> HeadProfile:
        """Final norm, head and loss: of next tokens, or of answers that are preferred."""
        spec = head_spec(self.architecture, run, self.adapter)
        stepping_within = self.within
        if stepping_within is not None and self.waiting:
            stepping_within = replace(stepping_within, shared=self.waiting // self.embedding_itemsize)
        if run.preference is not None:
            return profile_preference(
                spec,
                run.preference,
                stream=stream,
                compute=run.itemsize,
                gradients_present=self.present,
                likelihood=run.likelihood,
                refer=refers(run),
                cached=reference_cache(self.architecture, run),
                side=larger_side(run),
                within=stepping_within,
            )
        return profile_head(
            spec,
            stream=stream,
            compute=run.itemsize,
            gradients_present=self.present and not self.waiting,
            needs_input=not self.layers or self.layers[-1].differentiable,
            offloading=run.offloading if hooks_see_head(run) else Offloading.NONE,
            labels_stay=labels_stay(run, row_tokens(run)),
            within=stepping_within,
            autocast=run.autocast,
        )

    @property
    def penalised(self) -> bool:
        """Whether the loss reads what trains."""
        return self.run.peft is not None and self.run.peft.type is PeftType.ADALORA

    def first_input_needs_gradient(self) -> bool:
        """Whether the embedding's output takes a gradient.

        It trains, or Axolotl has made it require one: ``load_adapter``, whichever adapter it then loads, ``train.py``
        where ``unfrozen_parameters`` name a table. The script for bottlenecks does so for checkpointing alone.
        """
        if self.run.checkpointing is not Checkpointing.OFF:
            return True
        if self.full:
            return self.table_named or bool(self.embedding or self.other_table)
        return self.run.peft is None or self.run.peft.type is not PeftType.BOTTLENECK

    @property
    def table_named(self) -> bool:
        """Whether names of what trains make Axolotl ask the embedding's output for a gradient."""
        return any(table in name for name in self.run.unfrozen_parameters for table in TABLES)

    @property
    def embedded(self) -> int:
        """The embedding's output."""
        return self.architecture.hidden_size * TOKEN * self.embedding_itemsize

    @cached_property
    def batch(self) -> int:
        """What lives through a training step beside its layers: the batch, the tables of positions, a leaf."""
        between = between_bytes(self.architecture, self.run, self.embedding_itemsize, leaf=bool(self.leaf))
        small = self.small.held if self.small is not None else 0
        images = self.seeing.batch if self.seeing is not None else 0
        return self.tables + self.leaf + self.prompt + between + self.stack.stuck + small + self.stack.shared + images

    @property
    def stuck_weights(self) -> int:
        """Weights of offloaded layers that stay on the card with the nodes of their first forward."""
        return sum(self.moving.stuck) if self.moving else 0

    @property
    def waiting(self) -> int:
        """A tied head's gradient, which waits for the embedding's where it is not counted among those that are there.

        An engine adds up what comes to one leaf before it accumulates it.
        """
        tied = self.architecture.tie_word_embeddings and self.full and self.run.preference is not Preference.REWARD
        return self.embedding if tied and (self.present or self.immediate) else 0

    @property
    def made_leaf(self) -> bool:
        """Whether the embedding's output has been made a leaf."""
        asked = self.table_named or self.run.checkpointing is not Checkpointing.OFF
        made = not self.full or (asked and not self.embedding)
        return made and not self.rowed and self.first_needs

    @property
    def left(self) -> int:
        """What outlives the backward: of layers, and the leaf and its gradient, which their nodes name."""
        return self.stack.left + (2 * self.embedded if self.made_leaf and self.stack.left else 0)

    @property
    def leaf(self) -> int:
        """The embedding's output where it has been made a leaf, which lives as long as its gradient is waited for.

        Where nothing stands between it and the first layer, it is that layer's checkpoint, or what its norm saves.
        """
        if not self.made_leaf:
            return 0
        kept = self.again[0] or (bool(self.layers) and self.layers[0].saves_input)
        return 0 if kept and not self.apart else self.embedded

    @property
    def counted(self) -> int:
        """Of the inputs that an offloaded layer finds on the card, those that are counted as the embedding's output."""
        return int(self.apart and bool(self.leaf))

    @property
    def apart(self) -> bool:
        """Whether the first layer reads another tensor than the embedding's output."""
        between = stands_between(self.architecture, self.run) or bool(virtual_tokens(self.run))
        return between or self.seeing is not None

    @property
    def cached(self) -> int:
        """Keys and values of all layers, which a prefix makes the model's cache hold; its own tokens' apart."""
        if self.run.peft is None or self.run.peft.type is not PeftType.PREFIX_TUNING:
            return 0
        return sum((spec.heads.key + spec.heads.value) * self.run.itemsize for spec in self.specs if spec.heads)

    @property
    def alone(self) -> bool:
        """Whether the first layer is the last one too, so that what it reads is the embedding's output itself."""
        return len(self.layers) == 1 and not self.apart
