"""From an architecture, a run and an adapter to the layers that the tape runs.

What a description's rows say (which linears stand in a layer, which norms, how wide) is read from them; how a model
type computes with them (``TRAITS``) from its code in Transformers 5.16.1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from app.core.adapter import AdaptedModule, Adapter
from app.core.architecture import Activation, Architecture, Block, Kind, Module, NormForm, Part
from app.core.kept import kept
from app.core.memory.attention import Heads, Kernel
from app.core.memory.beside import BottleneckSpec, PrefixSpec, Scaled
from app.core.memory.experts import ExpertsSpec, RoutedLinear
from app.core.memory.layers import FeedForward, LayerSpec, Residual, SmallInput
from app.core.memory.liger import layers_under_liger, norm_under_liger
from app.core.memory.linears import LinearSpec
from app.core.memory.loss import HeadSpec
from app.core.memory.middle import Middle
from app.core.memory.mixers import FORMS as MIXERS
from app.core.memory.mixers import MixerSpec
from app.core.memory.norms import Norm, NormSpec
from app.core.memory.weights import Storing, stored
from app.core.methods.bottleneck import ATTENTION, FEED_FORWARD
from app.core.methods.settings import Activation as BottleneckActivation
from app.core.methods.settings import Bottleneck, PeftType
from app.core.run import Attention, Method, Quantization, Run

ATTENTION_IN = frozenset(
    ("q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "Wqkv", "c_attn", "q_a_proj", "kv_a_proj_with_mqa")
)
ATTENTION_OUT = frozenset(("o_proj", "out_proj", "dense", "c_proj"))
ATTENTION_HOLDERS = frozenset(("self_attn", "attn", "attention", "self_attention"))
MIXER_HOLDERS = frozenset(("mamba", "conv", "linear_attn", "mixer"))
TOGETHER = frozenset(("gate_up_proj",))
GATES = ("gate_proj", "w1")
UPS = ("up_proj", "w3", "fc1", "c_fc", "dense_h_to_4h", "fc_in", "gate_up_proj")
DOWNS = ("down_proj", "w2", "fc2", "c_proj", "dense_4h_to_h", "fc_out")
PARTIAL_ROTARY = {
    "phi": (1, 2),
    "gpt_neox": (1, 4),
    "glm": (1, 2),
    "glm4": (1, 2),
    "glm4_moe": (1, 2),
    "stablelm": (1, 4),
    "nemotron": (1, 2),
    "gptj": (1, 4),
    "qwen3_next": (1, 4),
    "qwen3_5_text": (1, 4),
    "qwen3_5": (1, 4),
    "qwen3_5_moe": (1, 4),
    "qwen3_5_moe_text": (1, 4),
}
"""The share of a head that takes positions, where a configuration leaves it out."""
NO_ROTARY = frozenset(("gpt2", "opt", "bloom", "mpt", "jamba", "nemotron_h"))
ROTARY_FULL = frozenset(("cohere", "cohere2", "ernie4_5"))
WEIGHT_FIRST = frozenset(("olmo2", "olmo3", "gpt_oss", "helium", "gemma4", "gemma4_text"))
PLUS_ONE = frozenset(("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"))
GATED_QUERIES = frozenset(("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"))
SCALED_LOGITS = frozenset(("granite", "granitemoe", "cohere", "cohere2", "falcon_h1"))
MULTIPLIERS = frozenset(("granite", "granitemoe"))
SIGMOID_ROUTERS = frozenset(("deepseek_v3", "glm4_moe", "glm4_moe_lite", "nemotron_h"))
BEST_FIRST = frozenset(("gpt_oss", "granitemoe"))
HALF_SCORES = frozenset(
    (
        "gpt_oss",
        "granitemoe",
        "olmoe",
        "phimoe",
        "qwen2_moe",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_moe",
        "qwen3_next",
    )
)
EXPERT_NORMS = ("post_feedforward_layernorm_1", "pre_feedforward_layernorm_2", "post_feedforward_layernorm_2")
GEMMA4 = frozenset(("gemma4", "gemma4_text"))
SCALED_EMBEDDINGS = frozenset(("granite", "granitemoe", "falcon_h1"))
"""Whose model multiplies the embedding's output, which checkpointing has made a leaf that lives on."""
TWO_POSITIONS = frozenset(("gemma3", "gemma3_text", "gemma4", "gemma4_text"))
"""Whose windowed layers have positions of their own."""
RETURNS_SCORES = frozenset(("bloom", "falcon", "gpt2", "gpt_neox", "gptj", "mpt", "opt"))
EVERY_EXPERT = frozenset(("llama4", "llama4_text"))
UNTYPED_LINEARS = frozenset(("falcon",))
"""Whose linears are of a class of their own, which bitsandbytes' integration passes over."""
SLICED = frozenset(("phi3",))
MIDDLES = {
    Activation.RELU: Middle.SAVES_OUTPUT,
    Activation.RELU2: Middle.SQUARED,
    Activation.XIELU: Middle.XIELU,
    Activation.GELU_NEW: Middle.GELU_NEW,
    Activation.GELU_FAST: Middle.GELU_FAST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What of a run decides how a layer computes, beside lengths."""

    quantization: Quantization
    upcast: bool
    full: bool
    dropout: bool
    dora: bool
    nested: bool
    half: int
    adapter_itemsize: int
    kernel: Kernel
    windowed_kernel: Kernel
    fused: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One layer's rows by the part they stand in."""

    block: Block
    layer: int
    rows: tuple[Module, ...]


def kernel_of(run: Run, *, row_tokens: int, window: int | None) -> Kernel:
    """Which attention kernel a layer runs: a window shorter than the row needs a mask under SDPA."""
    if run.attention is Attention.EAGER:
        return Kernel.EAGER
    if run.attention is Attention.FLEX:
        return Kernel.FLEX
    if run.attention is Attention.SDPA:
        if window is not None and row_tokens >= window:
            return Kernel.SDPA_MASKED
        return Kernel.SDPA_PACKED if run.sample_packing else Kernel.FLASH
    return Kernel.FLASH


def layer_specs(
    architecture: Architecture, run: Run, adapter: Adapter, *, fused: frozenset[str], row_tokens: int
) -> tuple[LayerSpec, ...]:
    """One specification a layer, in the model's order; equal ones are the same object."""
    windows = frozenset(block.sliding_window for block in architecture.blocks)
    kernels = tuple((window, kernel_of(run, row_tokens=row_tokens, window=window)) for window in windows)
    specs = _layer_specs(architecture, run, adapter, fused, dict(kernels))
    return layers_under_liger(specs, architecture.model_type, run.liger)


def _layer_specs(
    architecture: Architecture, run: Run, adapter: Adapter, fused: frozenset[str], kernels: Mapping[int | None, Kernel]
) -> tuple[LayerSpec, ...]:
    by_layer: dict[int, dict[str, AdaptedModule]] = {}
    for adapted in adapter.modules:
        for layer in adapted.layers:
            by_layer.setdefault(layer, {})[adapted.module.path] = adapted
    rows = kept(architecture, "rows", lambda: _rows_by_layer(architecture))
    unique: dict[object, LayerSpec] = {}
    found: dict[int, LayerSpec] = {}
    for block in architecture.blocks:
        for layer in block.layers:
            adapted_here = by_layer.get(layer, {})
            mine = rows.get(layer, ())
            key = (
                id(block),
                id(mine),
                tuple((path, a.rank, bool(a.own_parameters), a.tensors) for path, a in adapted_here.items()),
            )
            if key not in unique:
                unique[key] = _Reader(architecture, run, block, mine, adapted_here, fused, kernels).spec()
            found[layer] = beside(unique[key], run, block, adapted_here, found.values())
    return tuple(found[layer] for layer in sorted(found))


def position_elements(architecture: Architecture) -> int:
    """Elements a token of the tables of sines and cosines, which live through the step."""
    model_type = architecture.model_type
    if model_type in NO_ROTARY:
        return 0
    numerator, denominator = PARTIAL_ROTARY.get(model_type, (1, 1))
    kinds = {
        (block.head_dim, model_type in TWO_POSITIONS and block.sliding_window is not None)
        for block in architecture.blocks
        if block.attention_heads
    }
    return 2 * sum(width * numerator // denominator for width, _ in kinds)


def _rows_by_layer(architecture: Architecture) -> Mapping[int, tuple[Module, ...]]:
    """The language model's rows that stand in each layer; layers of the same rows share the tuple."""
    rows: dict[int, list[Module]] = {}
    for module in architecture.modules:
        if module.part is Part.TEXT and module.layers is not None:
            for layer in module.layers:
                rows.setdefault(layer, []).append(module)
    shared: dict[tuple[int, ...], tuple[Module, ...]] = {}
    return {layer: shared.setdefault(tuple(map(id, found)), tuple(found)) for layer, found in rows.items()}


def scaled_by(run: Run, own: AdaptedModule | None) -> Scaled | None:
    """Where IA³ multiplies a module."""
    if own is None or run.peft is None or run.peft.type is not PeftType.IA3 or not own.tensors:
        return None
    return Scaled.INPUTS if own.on_inputs else Scaled.OUTPUTS


def beside(
    spec: LayerSpec, run: Run, block: Block, adapted: Mapping[str, AdaptedModule], known: Iterable[LayerSpec]
) -> LayerSpec:
    """The layer with what a method puts into it beside its linears; an equal one among ``known`` where there is."""
    settings = run.peft.settings if run.peft is not None else None
    made = spec
    if isinstance(settings, Bottleneck):
        found = {path.rpartition(".")[2]: row.module.shape for path, row in adapted.items()}

        def behind(name: str) -> BottleneckSpec | None:
            if name not in found:
                return None
            width, size = found[name]
            relu = settings.activation is BottleneckActivation.RELU
            return BottleneckSpec(name=name, width=width, size=size, bias=settings.bias, relu=relu)

        made = replace(spec, behind_attention=behind(ATTENTION), behind_feed_forward=behind(FEED_FORWARD))
    elif run.peft is not None and run.peft.type is PeftType.PREFIX_TUNING and spec.heads is not None:
        tokens = run.virtual_tokens * run.micro_batch_size
        widths = block.key_value_heads * block.head_dim, block.key_value_heads * block.value_head_dim
        kernel = Kernel.SDPA_MASKED if run.attention is Attention.SDPA else spec.kernel
        prefix = PrefixSpec(keys=tokens * widths[0], values=tokens * widths[1])
        made = replace(spec, prefix=prefix, kernel=kernel, fused_attention=False)
    return next((one for one in known if one == made), made)


class _Reader:
    """Reads one layer's specification from its rows."""

    def __init__(
        self,
        architecture: Architecture,
        run: Run,
        block: Block,
        rows: tuple[Module, ...],
        adapted: Mapping[str, AdaptedModule],
        fused: frozenset[str],
        kernels: Mapping[int | None, Kernel],
    ) -> None:
        self.architecture, self.run, self.block = architecture, run, block
        self.rows, self.adapted, self.fused, self.kernels = rows, adapted, fused, kernels
        self.model_type = architecture.model_type
        self.plain_norms = {r.name: r for r in rows if r.kind is Kind.NORM and "." not in r.path.partition("{}.")[2]}

    # ---- single modules

    def linear(self, module: Module) -> LinearSpec:
        """A row as the tape's linear."""
        return linear_spec(self.architecture, self.run, module, self.adapted.get(module.path))

    def norm(self, module: Module | None, *, width: int = 0, groups: int = 1, form: Norm | None = None) -> NormSpec:
        """A row as the tape's norm; without a row, one that holds no weight."""
        whole = width or self.block.hidden_size
        trained = self.run.method is Method.FULL
        bias = False
        if module is not None:
            own = self.adapted.get(module.path)
            trained = own is not None and bool(own.own_parameters)
            bias = bool(module.bias_parameters)
        return NormSpec(
            form=form or self.norm_form,
            width=whole,
            groups=groups,
            itemsize=2 if module is None else stored(self.architecture, module, Storing.of(self.run)),
            trained=trained,
            bias=bias,
        )

    @property
    def norm_form(self) -> Norm:
        """How this model's norms compute."""
        return norm_form(self.architecture, self.block)

    def at(self, *names: str) -> NormSpec | None:
        """The norm of the layer under one of ``names``."""
        return next((self.norm(self.plain_norms[name]) for name in names if name in self.plain_norms), None)

    def held_by(self, holders: frozenset[str], names: tuple[str, ...] | frozenset[str]) -> tuple[Module, ...]:
        """Linears of one part of the layer, in the model's order."""
        return tuple(
            row
            for row in self.rows
            if row.kind in (Kind.LINEAR, Kind.CONV1D)
            and row.name in names
            and row.outer_path.rpartition(".")[0].rpartition(".")[2] in holders
        )

    # ---- parts

    def spec(self) -> LayerSpec:
        """The layer."""
        block = self.block
        norms = self.norm_places()
        spec = LayerSpec(
            hidden=block.hidden_size,
            residual=Residual.PARALLEL if block.parallel else Residual.PRE,
            multipliers=self.model_type in MULTIPLIERS,
            holds=self.model_type == "stablelm",
            input_norm=norms.get("input_norm"),
            attention_norm=norms.get("attention_norm"),
            feed_norm=norms.get("feed_norm"),
            output_norm=norms.get("output_norm"),
        )
        if block.attention_heads and self.has_attention():
            spec = self.with_attention(spec)
        if block.mixer_width:
            spec = replace(spec, mixer=self.mixer())
        if "per_layer_input_gate" in (row.name for row in self.rows):
            spec = replace(spec, small_input=self.small_input())
        if block.experts:
            beside = [self.norm(self.plain_norms[name]) for name in EXPERT_NORMS if name in self.plain_norms]
            if len(beside) == 3:
                return replace(
                    spec,
                    experts=self.experts(),
                    feed_forward=self.dense(),
                    expert_norms=(beside[0], beside[1], beside[2]),
                )
            return replace(spec, experts=self.experts(), feed_forward=self.shared())
        dense = self.dense()
        return spec if dense is None else replace(spec, feed_forward=dense)

    def small_input(self) -> SmallInput:
        """Gemma 4's small embedding as a layer takes it."""
        named = {row.name: row for row in self.rows}
        return SmallInput(
            gate=self.linear(named["per_layer_input_gate"]),
            project=self.linear(named["per_layer_projection"]),
            norm=self.norm(named["post_per_layer_input_norm"]),
        )

    def norm_places(self) -> dict[str, NormSpec | None]:
        """Which norm stands where."""
        names = self.plain_norms
        if "pre_feedforward_layernorm" in names:
            return {
                "input_norm": self.at("input_layernorm"),
                "attention_norm": self.at("post_attention_layernorm"),
                "feed_norm": self.at("pre_feedforward_layernorm"),
                "output_norm": self.at("post_feedforward_layernorm"),
            }
        if "post_self_attn_layernorm" in names:
            return {
                "input_norm": self.at("input_layernorm"),
                "attention_norm": self.at("post_self_attn_layernorm"),
                "feed_norm": self.at("post_attention_layernorm"),
                "output_norm": self.at("post_mlp_layernorm"),
            }
        if "post_feedforward_layernorm" in names:
            return {
                "attention_norm": self.at("post_attention_layernorm"),
                "output_norm": self.at("post_feedforward_layernorm"),
            }
        if self.model_type == "olmo":
            plain = self.norm(None)
            return {"input_norm": plain, "feed_norm": plain}
        found = [self.norm(row) for row in names.values()]
        if self.block.attention_heads == 0 and not self.block.mixer_width:
            return {"feed_norm": found[0]} if found else {}
        return dict(zip(("input_norm", "feed_norm"), found, strict=False))

    def has_attention(self) -> bool:
        """Whether this layer has rows of softmax attention."""
        return any(self.held_by(ATTENTION_HOLDERS | MIXER_HOLDERS, ATTENTION_IN))

    def with_attention(self, spec: LayerSpec) -> LayerSpec:
        """Projections, norms on queries and keys, and the kernel."""
        block = self.block
        holders = ATTENTION_HOLDERS | MIXER_HOLDERS
        ins = self.held_by(holders, ATTENTION_IN)
        beside = ins[0].outer_path.rpartition(".")[0]
        outs = [row for row in self.held_by(holders, ATTENTION_OUT) if row.outer_path.rpartition(".")[0] == beside]
        numerator, denominator = PARTIAL_ROTARY.get(self.model_type, (1, 1))
        within_norm = self.model_type in GEMMA4
        rotary = (
            0 if self.model_type in NO_ROTARY or within_norm else block.head_dim * numerator // denominator // 2 * 2
        )
        heads = Heads(
            heads=block.attention_heads,
            key_value_heads=block.key_value_heads,
            head_dim=block.head_dim,
            value_dim=block.value_head_dim,
            rotary_dim=rotary,
            rotary_full=self.model_type in ROTARY_FULL,
            softcap=block.attention_softcap,
            sinks=self.sink_itemsize(),
            biased=self.model_type == "mpt",
            returned=self.model_type in RETURNS_SCORES and self.kernels[block.sliding_window] is Kernel.EAGER,
        )
        latent = {row.name: row for row in self.rows if row.kind is Kind.LINEAR}
        projections = tuple(self.linear(row) for row in ins)
        apart = len(projections) == 3 or (len(projections) == 2 and self.model_type in GEMMA4)
        fused_attention = "lora_qkv_kernel" in self.fused and apart and all(p.rank for p in projections)
        out = self.linear(outs[0]) if outs else None
        fused_out = "lora_o_kernel" in self.fused and out is not None and bool(out.rank) and outs[0].name == "o_proj"
        spec = replace(
            spec,
            heads=heads,
            kernel=self.kernels[block.sliding_window],
            projections=projections,
            sliced=self.model_type in SLICED,
            indexed=self.model_type == "falcon",
            norms_first=self.model_type == "falcon",
            out=out,
            fused_attention=fused_attention,
            fused_out=fused_out,
            gate_on_output=self.model_type in GATED_QUERIES,
        )
        if "kv_b_proj" in latent:
            spec = self.with_latent(spec, latent)
        spec = replace(spec, query_norm=self.head_norm("q"), key_norm=self.head_norm("k"))
        if self.model_type not in GEMMA4:
            return spec
        width = block.key_value_heads * block.value_head_dim
        values = self.norm(None, width=width, groups=block.key_value_heads, form=Norm.FUSED)
        return replace(spec, value_norm=values, reuses=[row.name for row in ins] == ["q_proj"])

    def sink_itemsize(self) -> int:
        """Bytes of a stored attention sink, 0 without."""
        row = next((row for row in self.rows if row.name == "sinks"), None)
        return 0 if row is None else stored(self.architecture, row, Storing.of(self.run))

    def with_latent(self, spec: LayerSpec, latent: Mapping[str, Module]) -> LayerSpec:
        """Multi-head latent attention: down, norm and up."""
        norms = {row.name: row for row in self.rows if row.kind is Kind.NORM}

        def pair(name: str) -> LinearSpec | None:
            return self.linear(latent[name]) if name in latent else None

        kept = [pair("q_a_proj") or pair("q_proj"), pair("q_b_proj"), pair("kv_a_proj_with_mqa"), pair("kv_b_proj")]
        q_norm, kv_norm = norms.get("q_a_layernorm"), norms.get("kv_a_layernorm")
        return replace(
            spec,
            projections=tuple(one for one in kept if one is not None),
            latent_norms=tuple(
                self.norm(row, width=row.shape[0]) if row is not None else None for row in (q_norm, kv_norm)
            ),
            fused_attention=False,
        )

    def head_norm(self, letter: str) -> NormSpec | None:
        """The norm on queries or keys: of each head, or over their whole width."""
        block = self.block
        heads = block.attention_heads if letter == "q" else block.key_value_heads
        names = (f"{letter}_norm", f"{letter}_layernorm", "query_layernorm" if letter == "q" else "key_layernorm")
        width = heads * block.head_dim
        for row in self.rows:
            if row.kind is Kind.NORM and row.name in names:
                groups = heads if row.shape[0] == block.head_dim else 1
                form = Norm.FUSED if self.model_type in GEMMA4 else None
                return self.norm(row, width=width, groups=groups, form=form)
        if any(row.kind is Kind.NORM and f"{letter}_layernorm.norms" in row.path for row in self.rows):
            return self.norm(None, width=width, groups=heads)
        return None

    @property
    def middle(self) -> Middle:
        """The activation as it computes."""
        return MIDDLES.get(self.block.activation, Middle.SAVES_INPUT)

    def dense(self) -> FeedForward | None:
        """The dense feed-forward of this layer."""
        rows = [
            row
            for row in self.rows
            if row.kind in (Kind.LINEAR, Kind.CONV1D)
            and row.name in (*GATES, *UPS, *DOWNS)
            and row.outer_path.rpartition(".")[0].rpartition(".")[2]
            not in ATTENTION_HOLDERS | {"shared_expert", "shared_experts"}
        ]
        return self.feed_forward(rows)

    def shared(self) -> FeedForward | None:
        """The feed-forward that every token takes beside its experts."""
        rows = [
            row
            for row in self.rows
            if row.kind is Kind.LINEAR
            and row.name in (*GATES, *UPS, *DOWNS)
            and row.outer_path.rpartition(".")[0].rpartition(".")[2]
            in {"shared_expert", "shared_experts", "shared_mlp"}
        ]
        return self.feed_forward(rows)

    def feed_forward(self, rows: list[Module]) -> FeedForward | None:
        """Linears in the order gate, up, down."""
        by_name = {row.name: self.linear(row) for row in rows}
        ordered = [by_name[name] for names in (GATES, UPS, DOWNS) for name in names if name in by_name]
        if len(ordered) < 2:
            return None
        gated = len(ordered) == 3
        together = any(row.name in TOGETHER for row in rows)
        holder = rows[0].outer_path.rpartition(".")[0].rpartition(".")[2]
        fused = (
            "lora_mlp_kernel" in self.fused
            and gated
            and holder == "mlp"
            and all(one.rank for one in ordered)
            and "gate_proj" in by_name
        )
        return FeedForward(
            linears=tuple(ordered),
            middle=self.middle,
            gated=gated or together,
            together=together,
            fused=fused,
            scaled=self.model_type == "falcon_h1",
        )

    def experts(self) -> ExpertsSpec:
        """Router and experts."""
        block = self.block
        parameters = [row for row in self.rows if row.kind is Kind.EXPERTS]
        names = ("router", "router.proj")
        router = next(
            (row for row in self.rows if row.kind is Kind.ROUTER or row.path.partition("{}.")[2].endswith(names)), None
        )
        gate = next((row for row in self.rows if row.name == "shared_expert_gate"), None)
        return ExpertsSpec(
            hidden=block.hidden_size,
            count=block.experts,
            per_token=block.experts_per_token,
            router_itemsize=stored(self.architecture, router, Storing.of(self.run)) if router is not None else 2,
            router_trained=router is not None and router.path in self.adapted,
            routed=tuple(self.routed(row) for row in parameters),
            middle=self.middle,
            gated=block.gated,
            clamped=self.model_type == "gpt_oss",
            shared_gate=self.linear(gate) if gate is not None else None,
            sigmoid=self.model_type in SIGMOID_ROUTERS,
            best_first=self.model_type in BEST_FIRST,
            router_norm=self.router_norm(router),
            half_scores=self.model_type in HALF_SCORES,
            every=self.model_type in EVERY_EXPERT,
        )

    def router_norm(self, router: Module | None) -> NormSpec | None:
        """The norm that a router has of its own."""
        if self.model_type not in GEMMA4 or router is None:
            return None
        return replace(self.norm(None, form=Norm.RMS_BARE), trained=self.run.method is Method.FULL)

    def routed(self, row: Module) -> RoutedLinear:
        """A 3-D parameter as the tape's grouped linear."""
        own = self.adapted.get(row.path)
        count, inputs, outputs = row.shape
        return RoutedLinear(
            count=count,
            inputs=inputs,
            outputs=outputs,
            bias=bool(row.bias_parameters),
            itemsize=stored(self.architecture, row, Storing.of(self.run)),
            trained=own is not None and bool(own.own_parameters),
            rank=own.rank if own is not None else 0,
            dropout=bool(self.run.lora and self.run.lora.dropout),
            quantization=self.run.expert_quantization,
            unpacked_itemsize=4 if self.run.expert_quantization is Quantization.INT8 else self.run.itemsize,
        )

    def mixer(self) -> MixerSpec:
        """A mixer of another kind than softmax attention."""
        rows = [row for row in self.rows if row.outer_path.rpartition(".")[0].rpartition(".")[2] in MIXER_HOLDERS]
        named = {row.name: row for row in rows}
        convolution = named.get("conv1d") or named["conv"]
        decay, own = named.get("A_log"), named.get("norm")
        norm = None
        if own is not None:
            width = named["out_proj"].shape[0]
            norm = self.norm(own, width=width, groups=width // own.shape[0], form=Norm.RMS)
        block = self.block
        return MixerSpec(
            form=MIXERS[self.model_type],
            hidden=block.hidden_size,
            linears=tuple(self.linear(row) for row in rows if row.kind is Kind.LINEAR),
            channels=convolution.shape[0],
            taps=convolution.shape[-1],
            itemsize=stored(self.architecture, convolution, Storing.of(self.run)),
            trained=self.run.method is Method.FULL,
            heads=decay.shape[0] if decay is not None else 0,
            state=block.state_size,
            groups=block.state_groups,
            chunk=block.scan_chunk,
            norm=norm,
            inner_norms=tuple(
                self.norm(named[name], width=named[name].shape[0], form=Norm.RMS)
                for name in ("dt_layernorm", "b_layernorm", "c_layernorm")
                if name in named
            ),
            scaled=self.model_type == "falcon_h1",
        )


def norm_form(architecture: Architecture, block: Block) -> Norm:
    """How a model's norms compute."""
    model_type = architecture.model_type
    if block.norm is NormForm.LAYER:
        special = {"nemotron": Norm.LAYER_HALF, "olmo": Norm.LAYER_FULL}
        return Norm.CENTERED if model_type.startswith("cohere") else special.get(model_type, Norm.LAYER)
    if block.norm is NormForm.RMS_PLUS_ONE or model_type in PLUS_ONE:
        return Norm.RMS_PLUS_ONE
    return Norm.RMS_WEIGHT_FIRST if model_type in WEIGHT_FIRST else Norm.RMS


def linear_spec(architecture: Architecture, run: Run, module: Module, own: AdaptedModule | None) -> LinearSpec:
    """A row of a linear under this run."""
    lora = run.lora
    quantization = run.quantization
    if (
        module.kind is Kind.HEAD
        or architecture.model_type in UNTYPED_LINEARS
        or quantization is Quantization.FP32_UPCAST
    ):
        quantization = Quantization.NONE
    return LinearSpec(
        name=module.name,
        inputs=module.shape[0],
        outputs=module.shape[1],
        bias=bool(module.bias_parameters),
        itemsize=stored(architecture, module, Storing.of(run)),
        quantization=quantization,
        trained=own is not None and bool(own.own_parameters),
        rank=own.rank if own is not None else 0,
        dropout=bool(lora and lora.dropout > 0),
        dora=bool(lora and lora.dora and own is not None and own.rank),
        scaled=scaled_by(run, own),
        adapter_itemsize=4 if run.adapter_fp32 else run.itemsize,
        nested=run.double_quantization,
        full=run.computes_full,
    )


def head_spec(architecture: Architecture, run: Run, adapter: Adapter) -> HeadSpec:
    """Final norm, head and loss."""
    head = next(module for module in architecture.modules if module.kind is Kind.HEAD)
    own = {adapted.module.path: adapted for adapted in adapter.modules if not adapted.layers}
    finals = [m for m in architecture.modules if m.kind is Kind.NORM and m.part is Part.TEXT and m.layers is None]
    block = architecture.blocks[-1]
    final = finals[-1] if finals else None
    norm: NormSpec | None = None
    if final is not None or architecture.model_type == "olmo":
        norm = NormSpec(
            form=norm_form(architecture, block),
            width=architecture.hidden_size,
            itemsize=2 if final is None else stored(architecture, final, Storing.of(run)),
            trained=final is not None and final.path in own,
            bias=bool(final and final.bias_parameters),
        )
    mine = own.get(head.path)
    if mine is None and head.tied_to is not None:
        shared = own.get(head.tied_to)
        mine = shared if shared is not None and run.method is Method.FULL else None
    spec = linear_spec(architecture, run, head, mine)
    return HeadSpec(
        hidden=architecture.hidden_size,
        vocab=architecture.vocab_size,
        norm=norm_under_liger(norm, architecture.model_type, run.liger),
        linear=spec,
        loss=run.loss,
        softcap=architecture.logit_softcap,
        scaled=architecture.model_type in SCALED_LOGITS,
        rows=run.micro_batch_size > 1 and not run.sample_packing,
    )
