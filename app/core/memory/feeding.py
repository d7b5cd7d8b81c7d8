"""What stands beside or behind attention in a layer, read from its rows: feed-forward, experts, mixer."""

from app.core.architecture import Kind, Module
from app.core.memory.attending import masked
from app.core.memory.experts import ExpertsSpec, RoutedLinear
from app.core.memory.layers import FeedForward
from app.core.memory.middle import Middle
from app.core.memory.mixers import FORMS as MIXERS
from app.core.memory.mixers import MixerSpec
from app.core.memory.norms import Norm, NormSpec
from app.core.memory.rows import LayerRows
from app.core.memory.traits import (
    ATTENTION_HOLDERS,
    BEST_FIRST,
    DOWNS,
    EVERY_EXPERT,
    FULL_ROUTERS,
    GATES,
    GEMMA4,
    HALF_ROUTERS,
    HALF_SCORES,
    MIDDLES,
    MIXER_HOLDERS,
    OUTER_ROUTERS,
    SHARED_FIRST,
    SIGMOID_ROUTERS,
    TOGETHER,
    UPS,
)
from app.core.memory.weights import Storing, stored
from app.core.run import Method, Quantization


def middle_of(layer: LayerRows) -> Middle:
    """The activation as it computes."""
    if layer.model_type == "bloom":
        return Middle.GELU_BLOOM
    return MIDDLES.get(layer.block.activation, Middle.SAVES_INPUT)


def dense_feed_forward(layer: LayerRows) -> FeedForward | None:
    """The dense feed-forward of this layer."""
    rows = [
        row
        for row in layer.rows
        if row.kind in (Kind.LINEAR, Kind.CONV1D)
        and row.name in (*GATES, *UPS, *DOWNS)
        and row.outer_path.rpartition(".")[0].rpartition(".")[2]
        not in ATTENTION_HOLDERS | {"shared_expert", "shared_experts"}
    ]
    return feed_forward(layer, rows)


def shared_feed_forward(layer: LayerRows) -> FeedForward | None:
    """The feed-forward that every token takes beside its experts."""
    rows = [
        row
        for row in layer.rows
        if row.kind is Kind.LINEAR
        and row.name in (*GATES, *UPS, *DOWNS)
        and row.outer_path.rpartition(".")[0].rpartition(".")[2] in {"shared_expert", "shared_experts", "shared_mlp"}
    ]
    return feed_forward(layer, rows)


def feed_forward(layer: LayerRows, rows: list[Module]) -> FeedForward | None:
    """Linears in the order gate, up, down."""
    by_name = {row.name: layer.linear(row) for row in rows}
    ordered = [by_name[name] for names in (GATES, UPS, DOWNS) for name in names if name in by_name]
    if len(ordered) < 2:
        return None
    gated = len(ordered) == 3
    together = any(row.name in TOGETHER for row in rows)
    holder = rows[0].outer_path.rpartition(".")[0].rpartition(".")[2]
    fused = (
        "lora_mlp_kernel" in layer.fused
        and gated
        and holder == "mlp"
        and all(one.rank for one in ordered)
        and "gate_proj" in by_name
    )
    return FeedForward(
        linears=tuple(ordered),
        middle=middle_of(layer),
        gated=gated or together,
        together=together,
        fused=fused,
        scaled=layer.model_type == "falcon_h1",
    )


def experts_spec(layer: LayerRows) -> ExpertsSpec:
    """Router and experts."""
    block = layer.block
    parameters = [row for row in layer.rows if row.kind is Kind.EXPERTS]
    names = ("router", "router.proj", "router.gate")
    router = next(
        (row for row in layer.rows if row.kind is Kind.ROUTER or row.path.partition("{}.")[2].endswith(names)), None
    )
    gate = next((row for row in layer.rows if row.name == "shared_expert_gate"), None)
    return ExpertsSpec(
        hidden=block.hidden_size,
        count=block.experts,
        per_token=block.experts_per_token,
        router_itemsize=stored(layer.architecture, router, Storing.of(layer.run)) if router is not None else 2,
        router_trained=router is not None and router.path in layer.adapted,
        router=layer.linear(router) if router is not None and router.kind is Kind.LINEAR else None,
        routed=tuple(routed(layer, row) for row in parameters),
        middle=middle_of(layer),
        gated=block.gated,
        clamped=layer.model_type == "gpt_oss",
        shared_gate=layer.linear(gate) if gate is not None else None,
        widened=layer.model_type in (SIGMOID_ROUTERS | FULL_ROUTERS) - HALF_ROUTERS,
        outside=layer.model_type in OUTER_ROUTERS,
        sigmoid=layer.model_type in SIGMOID_ROUTERS,
        half_router=layer.model_type in HALF_ROUTERS,
        best_first=layer.model_type in BEST_FIRST,
        router_norm=router_norm(layer, router),
        half_scores=layer.model_type in HALF_SCORES,
        every=layer.model_type in EVERY_EXPERT,
        shared_first=layer.model_type in SHARED_FIRST,
    )


def router_norm(layer: LayerRows, router: Module | None) -> NormSpec | None:
    """The norm that a router has of its own."""
    if layer.model_type not in GEMMA4 or router is None:
        return None
    return layer.norm(None, form=Norm.RMS_BARE)


def routed(layer: LayerRows, row: Module) -> RoutedLinear:
    """A 3-D parameter as the tape's grouped linear."""
    own = layer.adapted.get(row.path)
    count, inputs, outputs = row.shape
    return RoutedLinear(
        count=count,
        inputs=inputs,
        outputs=outputs,
        bias=bool(row.bias_parameters),
        itemsize=stored(layer.architecture, row, Storing.of(layer.run)),
        trained=own is not None and bool(own.own_parameters),
        rank=own.rank if own is not None else 0,
        dropout=bool(layer.run.lora and layer.run.lora.dropout),
        quantization=layer.run.expert_quantization,
        unpacked_itemsize=4 if layer.run.expert_quantization is Quantization.INT8 else layer.run.itemsize,
    )


def mixer_spec(layer: LayerRows) -> MixerSpec:
    """A mixer of another kind than softmax attention."""
    rows = [row for row in layer.rows if row.outer_path.rpartition(".")[0].rpartition(".")[2] in MIXER_HOLDERS]
    named = {row.name: row for row in rows}
    convolution = named.get("conv1d") or named["conv"]
    decay, own = named.get("A_log"), named.get("norm")
    norm = None
    if own is not None:
        width = named["out_proj"].shape[0]
        norm = layer.norm(own, width=width, groups=width // own.shape[0], form=Norm.RMS)
    block = layer.block
    return MixerSpec(
        form=MIXERS[layer.model_type],
        hidden=block.hidden_size,
        linears=tuple(layer.linear(row) for row in rows if row.kind is Kind.LINEAR),
        channels=convolution.shape[0],
        taps=convolution.shape[-1],
        itemsize=stored(layer.architecture, convolution, Storing.of(layer.run)),
        trained=layer.run.method is Method.FULL,
        heads=decay.shape[0] if decay is not None else 0,
        state=block.state_size,
        groups=block.state_groups,
        chunk=block.scan_chunk,
        norm=norm,
        inner_norms=tuple(
            layer.norm(named[name], width=named[name].shape[0], form=Norm.RMS)
            for name in ("dt_layernorm", "b_layernorm", "c_layernorm")
            if name in named
        ),
        scaled=layer.model_type == "falcon_h1",
        padded=masked(layer.architecture, layer.run),
    )
