"""What a model is made of: one table of modules that serves counts, targets, memory and display.

An architecture's description (``app/core/architectures``) turns the facts of a ``config.json`` into an
``Architecture``: rows of ``Module``, named by the paths that Transformers gives them. Everything else
reads these rows and nothing else, so adding an architecture is adding one description.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from itertools import count
from math import ceil, floor, prod, sqrt

from app.core import tiling
from app.core.units import ceil_div

UNPACKED_BY: Mapping[str, str] = {"mxfp4": "Mxfp4Config", "fp8": "FineGrainedFP8Config"}
"""Formats that checkpoints are published in, with what ``model_quantization_config`` calls them.

Transformers 5.16.1 trains neither (``is_trainable`` of its quantisers) and quantises neither a second time
(``merge_quantization_configs``); with ``dequantize`` it reads both as 16 bits.
"""


class Kind(StrEnum):
    """What a module is, as far as counting, targeting and memory care."""

    EMBEDDING = "embedding"
    """``nn.Embedding``: shape (rows, width)."""
    LINEAR = "linear"
    """``nn.Linear``: shape (in_features, out_features)."""
    CONV1D = "conv1d"
    """Transformers' ``Conv1D`` (GPT-2): a linear whose weight is stored (in, out); PEFT takes it, Axolotl's
    ``lora_target_linear`` does not."""
    HEAD = "head"
    """The output embedding, a linear of shape (hidden_size, vocab_size)."""
    NORM = "norm"
    """RMSNorm or LayerNorm: shape (width,)."""
    EXPERTS = "experts"
    """One 3-D parameter holding all experts of a layer: shape (experts, in, out)."""
    ROUTER = "router"
    """A router that is no ``nn.Linear`` but holds a bare weight: shape (hidden_size, experts). Adapters reach it
    by its parameter's name alone."""
    CONVOLUTION = "convolution"
    """``nn.Conv1d`` to ``nn.Conv3d``, as the weight is stored: (out, in per group, *kernel); see ``groups``."""
    PARAMETER = "parameter"
    """A bare ``nn.Parameter`` (attention sinks, state-space decay, positional table)."""


class Part(StrEnum):
    """Where in the model a module sits."""

    TEXT = "text"
    CROSS = "cross"
    """Layers among the text's that attend to an image alone, and that text without one passes by."""
    VISION = "vision"
    AUDIO = "audio"
    PROJECTOR = "projector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module, repeated over ``layers``.

    ``path`` is the dotted name in Transformers with ``{}`` for the layer index, for an ``EXPERTS`` or
    ``PARAMETER`` row the name of the parameter itself. ``shape`` is in mathematical order (in, out); see
    ``Kind``. ``bias_parameters`` counts the bias, 0 without. ``tied_to`` names the path whose weight this
    one shares: it then counts for nothing. ``wrapped`` marks a linear inside a module of the same role
    (Gemma 4's ``q_proj.linear``): Axolotl lets it be targeted by the outer name too. ``groups`` is a
    convolution's, as many as channels where it is depthwise. ``frozen`` is what the model's own code leaves untrained
    (Whisper's positions).
    """

    path: str
    kind: Kind
    shape: tuple[int, ...]
    bias_parameters: int = 0
    layers: tuple[int, ...] | None = None
    part: Part = Part.TEXT
    tied_to: str | None = None
    wrapped: bool = False
    groups: int = 1
    frozen: bool = False

    @property
    def outer_path(self) -> str:
        """The path of the module that people name: of the wrapper where there is one."""
        return self.path.rpartition(".")[0] if self.wrapped else self.path

    @property
    def name(self) -> str:
        """The leaf name, what ``lora_target_modules`` lists: ``q_proj``."""
        return self.outer_path.rpartition(".")[2]

    @property
    def is_parameter(self) -> bool:
        """Whether the row is a parameter itself and not a module that holds one."""
        return self.kind in (Kind.EXPERTS, Kind.PARAMETER)

    @property
    def copies(self) -> int:
        """How many instances the model holds."""
        return 1 if self.layers is None else len(self.layers)

    @property
    def weight_parameters(self) -> int:
        """Elements of one instance's weight."""
        return prod(self.shape)

    @property
    def parameters(self) -> int:
        """Parameters of all instances, 0 where the weight is another module's (a bias stays its own)."""
        weight = 0 if self.tied_to else self.weight_parameters
        return self.copies * (weight + self.bias_parameters)

    def paths(self) -> tuple[str, ...]:
        """The dotted names of all instances."""
        if self.layers is None:
            return (self.path,)
        return tuple(self.path.replace("{}", str(layer), 1) for layer in self.layers)


class Activation(StrEnum):
    """The feed-forward's form, which decides what its backward keeps."""

    SWIGLU = "swiglu"
    GEGLU = "geglu"
    GELU = "gelu"
    RELU = "relu"
    RELU2 = "relu2"
    SILU = "silu"
    XIELU = "xielu"
    GELU_NEW = "gelu_new"
    """In elementary operations, with a cube."""
    GELU_FAST = "gelu_fast"
    """In elementary operations, with products alone."""


class NormForm(StrEnum):
    """How a normalisation computes."""

    RMS = "rms"
    RMS_PLUS_ONE = "rms_plus_one"
    """Gemma's: fp32 product with (1 + weight)."""
    LAYER = "layer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """The shape of one decoder layer as the memory model needs it; widths in elements per token.

    A hybrid model has one Block per kind of layer. ``attention_heads`` 0 means no softmax attention
    (a state-space or convolution mixer). Mixture of experts: ``experts`` > 0, ``intermediate_size`` is
    then one routed expert's, ``shared_intermediate_size`` the always-on part (0: none).
    """

    layers: tuple[int, ...]
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    key_value_heads: int
    head_dim: int
    value_head_dim: int
    activation: Activation
    gated: bool
    norm: NormForm
    parallel: bool = False
    sliding_window: int | None = None
    attention_softcap: bool = False
    bare_query_key_norm: bool = False
    """Whether queries and keys pass norms without a weight, which are no rows (Llama 4)."""
    experts: int = 0
    experts_per_token: int = 0
    shared_intermediate_size: int = 0
    mixer_width: int = 0
    """Elements per token of a non-attention mixer's input projection (0: none)."""
    state_size: int = 0
    """Elements of a scan's state for each element of a head; of a delta net's, the width of a key."""
    state_groups: int = 1
    """Groups that share what a scan's heads do not have of their own."""
    scan_chunk: int = 1
    """Tokens that a scan takes together."""

    @property
    def feed_forward_width(self) -> int:
        """Elements per token that pass through the feed-forward's middle, routed and shared experts together."""
        if self.experts:
            return self.experts_per_token * self.intermediate_size + self.shared_intermediate_size
        return self.intermediate_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """How a GPTQ checkpoint packs its linears: ``bits`` a weight, ``group_size`` rows that share a scale (-1: all).

    ``backend`` is the kernel that it asks gptqmodel for.
    """

    bits: int = 4
    group_size: int = 128
    symmetric: bool = True
    backend: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropouts:
    """Where the model itself drops while it trains: what attention and feed-forward return, the embedding's output.

    ``scores`` are eager attention's probabilities; ``modules`` where TRL's ``disable_dropout`` reaches all of them.
    """

    attention: bool = False
    feed_forward: bool = False
    embedding: bool = False
    scores: bool = False
    modules: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How a model with a tower reads images, which are taken to be square.

    ``square`` times ``square`` patches of ``patch`` pixels a side become one token of the row. ``side`` is an image's,
    in pixels: one that the processor brings every image to, or, where ``most_side`` says how large it leaves one, no
    fact of the model but of the data, as is ``per_row``, the images of a row.
    """

    tower: str
    """Path of the tower, with the dot behind it."""
    projector: str
    side: int
    patch: int
    square: int
    channels: int
    frames: int = 1
    """How often an image stands in its patches: a film has several."""
    width: int
    heads: int
    window: int = 0
    """Tokens a side that the tower's layers attend within, 0 where all see a whole image."""
    whole_layers: frozenset[int] = frozenset()
    """Those that do where others have a window."""
    least_side: int = 0
    """Pixels a side that the processor makes a smaller image, where it leaves one as it is."""
    most_side: int = 0
    said: bool = False
    """Whether ``side`` is what somebody said of the data."""
    asks: bool = True
    """Whether Transformers finds the tower's first output, to ask a gradient of it where an adapter trains."""
    handing_layers: tuple[int, ...] = ()
    """Layers of the tower whose output goes to the language model too, through a merger each."""
    mutual: bool = False
    """Whether tokens of one image see each other, which takes a mask of its own."""
    mutual_in_windows: bool = False
    """Whether they do in layers with a window alone."""
    filled: int = 0
    """Patches that an image's are filled up to, in the batch and in the tower; 0 where they are not."""
    clipped: bool = False
    """Whether what the tower's linears take and make is clipped."""
    line_ends: bool = False
    """Whether a token that is no image's ends each line of them, and sides are rounded up to squares (Pixtral)."""
    read_layers: int = 0
    """As many of the tower's layers as what is read has passed, 0 where all: others run behind it (LLaVA)."""
    classed: bool = False
    """Whether a place of the whole image stands before its patches in the tower (CLIP)."""
    keeps_class: bool = False
    """Whether that becomes a token too."""
    tile: int = 0
    """Pixels a side of the tiles that an image is cut into, 0 where it is read as one."""
    grids: tuple[tiling.Grid, ...] = ()
    """Pixels, high and broad, that tiles make together: one of these is chosen for an image (LLaVA-NeXT)."""
    per_row: int = 1

    @property
    def across(self) -> int:
        """Patches of a side, as the processor rounds it.

        In its floats, which come out a square above or below for some sides. Source: Transformers 5.16.1,
        ``models/qwen2_vl/image_processing_qwen2_vl.py``, ``smart_resize``.
        """
        if not self.most_side:
            return (self.tile or self.side) // self.patch
        each = self.patch * self.square
        if self.line_ends:
            return ceil_div(min(self.side, self.most_side), each) * self.square
        squares, area = round(self.side / each), self.side**2
        if squares * each > self.most_side:
            squares = max(1, floor(self.side / sqrt(area / self.most_side**2) / each))
        elif squares * each < self.least_side:
            squares = ceil(self.side * sqrt(self.least_side**2 / area) / each)
        return squares * self.square

    @property
    def read_side(self) -> int:
        """Pixels a side of what the tower reads."""
        return self.across * self.patch

    @property
    def sized(self) -> bool:
        """Whether what an image takes depends on how large it is."""
        return bool(self.most_side or self.tile)

    @property
    def resized(self) -> bool:
        """Whether the processor makes an image smaller or larger, beside rounding its side."""
        return bool(self.most_side) and not self.least_side <= self.side <= self.most_side

    @property
    def patches(self) -> int:
        """Of an image, which pass the tower."""
        return self.filled or self.across**2 * self.tiles

    @property
    def grid(self) -> tiling.Grid:
        """That tiles make of an image."""
        return tiling.best_grid(self.side, self.grids)

    @property
    def tiles(self) -> int:
        """That an image is read in."""
        return tiling.tiles(self.grid, self.tile) if self.tile else 1

    @property
    def most_patches(self) -> int:
        """Of the largest image."""
        return (self.most_side // self.patch) ** 2

    @property
    def tokens(self) -> int:
        """Of an image, which its features take the place of."""
        if self.tile:
            return tiling.tokens(self.side, self.grid, self.tile, self.across)
        return (self.across // self.square) ** 2 + self.keeps_class

    @property
    def places(self) -> int:
        """Of an image in the tower's layers."""
        return self.patches + self.classed * self.tiles

    @property
    def row_tokens(self) -> int:
        """Of an image, which stand in the row."""
        return self.tokens + (self.across // self.square if self.line_ends else 0)

    @property
    def windows(self) -> int:
        """Of an image; those at its ends may be smaller."""
        return ceil_div(self.across // self.square, self.window) ** 2 if self.window else 1


_SERIALS = count()


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A model as described: its rows and the few facts that are no row.

    ``approximate`` marks a ``model_type`` that no description covers, counted as the nearest known shape.
    """

    model_type: str
    modules: tuple[Module, ...]
    blocks: tuple[Block, ...]
    hidden_size: int
    vocab_size: int
    context_tokens: int | None
    tie_word_embeddings: bool
    logit_softcap: bool = False
    approximate: bool = False
    multimodal: bool = False
    language_type: str = ""
    """Of the language model within a wrapper, where its own type says how its layers compute; see ``computes_as``."""
    towers_left_out: bool = False
    """Whether the model has towers that no description covers: neither counted nor in the memory."""
    packing: Packing | None = None
    """Of a GPTQ checkpoint, as its config.json's ``quantization_config`` says."""
    published_in: str = ""
    """The format of a checkpoint that is quantised already and trains only unpacked, a key of ``UNPACKED_BY``."""
    expert_names: Mapping[str, str] = field(default_factory=dict)
    """Target names that PEFT rewrites to a fused 3-D expert parameter: ``{"gate_proj": "gate_up_proj"}``."""
    dropouts: Dropouts = Dropouts()
    rotary: int | None = None
    """Elements of a head that take positions, where the config.json says it."""
    own_scale: bool = False
    """Whether scores are scaled by another number than one over the root of a head's width."""
    sight: Sight | None = None
    """How images are read, where that is described."""
    images: int = 1
    """Images of a row, where it is not."""
    place_values: int = 0
    """Of tables of places that a tower keeps beside its weights, in fp32."""

    def reading(self, images: int | None, side: int | None = None) -> "Architecture":
        """The same with so many images in a row, and of this side, where they are described; None leaves it."""
        if self.sight is None:
            told = self.images if images is None or not self.multimodal else images
            return self if told == self.images else replace(self, images=told)
        keeps = self.sight.sized and side
        seen = replace(
            self.sight,
            per_row=self.sight.per_row if images is None else images,
            side=side if keeps and side else self.sight.side,
            said=bool(keeps) or self.sight.said,
        )
        return self if seen == self.sight else replace(self, sight=seen)

    def __hash__(self) -> int:
        """Cheap, so that what follows from an architecture alone can be kept by it."""
        return hash((self.model_type, self.total_parameters))

    @cached_property
    def serial(self) -> int:
        """A number that no other description has, not even one that is equal."""
        return next(_SERIALS)

    @property
    def computes_as(self) -> str:
        """The model_type whose code the layers run."""
        return self.language_type or self.model_type

    @cached_property
    def total_parameters(self) -> int:
        """All parameters of the bare model, tied weights once."""
        return sum(module.parameters for module in self.modules)

    @cached_property
    def num_layers(self) -> int:
        """Decoder layers."""
        return sum(len(block.layers) for block in self.blocks)

    @cached_property
    def passed_by(self) -> frozenset[int]:
        """Decoder layers that look at images alone, which text passes by."""
        return frozenset(layer for module in self.modules if module.part is Part.CROSS for layer in module.layers or ())

    @cached_property
    def windows(self) -> frozenset[int]:
        """Tokens of the sliding windows that its layers attend in."""
        return frozenset(block.sliding_window for block in self.blocks if block.sliding_window is not None)

    @cached_property
    def mixture_of_experts(self) -> bool:
        """Whether any layer routes tokens to experts."""
        return any(block.experts for block in self.blocks)

    @cached_property
    def by_leaf(self) -> Mapping[str, tuple[Module, ...]]:
        """The rows that are modules, by the last part of their path (and of their wrapper's)."""
        found: dict[str, list[Module]] = {}
        for module in self.modules:
            if not module.is_parameter:
                for leaf in dict.fromkeys((module.path.rpartition(".")[2], module.name)):
                    found.setdefault(leaf, []).append(module)
        return {leaf: tuple(rows) for leaf, rows in found.items()}

    @cached_property
    def containers(self) -> Mapping[str, tuple[int, ...] | None]:
        """The modules that hold others, such as ``model.layers.{}.mlp``, and the layers that have them."""
        found: dict[str, dict[int, None]] = {}
        for module in self.modules:
            path = module.outer_path
            while path := path.rpartition(".")[0]:
                found.setdefault(path, {}).update(dict.fromkeys(module.layers or ()))
        return {path: tuple(sorted(layers)) if "{}" in path else None for path, layers in found.items()}

    @cached_property
    def module_names(self) -> tuple[str, ...]:
        """Leaf names of everything an adapter can target, in model order, each once."""
        kinds = (Kind.LINEAR, Kind.CONV1D, Kind.EMBEDDING, Kind.HEAD)
        return tuple(dict.fromkeys(m.name for m in self.modules if m.kind in kinds))
