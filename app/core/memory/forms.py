"""From an architecture, a run and an adapter to the layers that the tape runs.

What a description's rows say (which linears stand in a layer, which norms, how wide) is read from them; how a model
type computes with them (``TRAITS``) from its code in Transformers 5.16.1.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from app.core.adapter import AdaptedModule, Adapter
from app.core.architecture import Architecture, Block, Kind, Module, Part
from app.core.kept import kept
from app.core.memory.attending import (
    has_attention,
    keeps_results,
    kernels_by_window,
    rotary_width,
    with_attention,
)
from app.core.memory.attention import Kernel
from app.core.memory.beside import BottleneckSpec, PrefixSpec
from app.core.memory.feeding import dense_feed_forward, experts_spec, mixer_spec, shared_feed_forward
from app.core.memory.layers import LayerSpec, Residual, SmallInput
from app.core.memory.liger import layers_under_liger, norm_under_liger
from app.core.memory.loss import HeadSpec
from app.core.memory.norms import NormSpec
from app.core.memory.rows import LayerRows, linear_spec, norm_form
from app.core.memory.tiles import tiles_of
from app.core.memory.traits import (
    EXPERT_NORMS,
    GEMMA4,
    MULTIPLIERS,
    OWN_LIGER_FORWARD,
    OWN_LOSS,
    SCALED_LOGITS,
    TWO_POSITIONS,
)
from app.core.memory.weights import Storing, stored
from app.core.methods.bottleneck import ATTENTION, FEED_FORWARD
from app.core.methods.settings import Activation as BottleneckActivation
from app.core.methods.settings import Bottleneck, PeftType
from app.core.run import LORA_KERNEL_KEYS, Attention, Loss, Method, Run


def kernels_of(run: Run, *, fused_lora: bool) -> frozenset[str]:
    """Which of Axolotl's kernels replace PEFT's forward."""
    if not fused_lora or run.method is Method.FULL:
        return frozenset()
    return frozenset(run.lora_kernels or LORA_KERNEL_KEYS)


def layer_specs(
    architecture: Architecture, run: Run, adapter: Adapter, *, fused: frozenset[str], row_tokens: int
) -> tuple[LayerSpec, ...]:
    """One specification a layer, in the model's order; equal ones are the same object."""
    kernels = kernels_by_window(architecture, run, row_tokens)
    keeping = frozenset(w for w in kernels if keeps_results(architecture, run, row_tokens=row_tokens, window=w))
    specs = _storing(architecture, _layer_specs(architecture, run, adapter, fused, kernels, keeping))
    return in_tiles(layers_under_liger(specs, architecture.model_type, run.liger), tiles_of(run, row_tokens))


def in_tiles(specs: tuple[LayerSpec, ...], tiles: int) -> tuple[LayerSpec, ...]:
    """The layers with their feed-forwards in tiles, but those that one of Axolotl's kernels has taken.

    Of experts those whose class stands under the name that is looked for, which are gpt-oss's.
    """
    if not tiles:
        return specs
    made: dict[int, LayerSpec] = {}
    return tuple(made.setdefault(id(spec), _in_tiles(spec, tiles)) for spec in specs)


def _in_tiles(spec: LayerSpec, tiles: int) -> LayerSpec:
    if spec.experts is not None and spec.experts.clamped:
        return replace(spec, experts=replace(spec.experts, tiles=tiles))
    forward = spec.feed_forward
    return spec if forward is None or forward.fused else replace(spec, feed_forward=replace(forward, tiles=tiles))


def _storing(architecture: Architecture, specs: tuple[LayerSpec, ...]) -> tuple[LayerSpec, ...]:
    """Gemma 4's last layer of each kind that has keys and values of its own hands them on, whoever takes them.

    Source: Transformers 5.16.1, ``Gemma4TextAttention``, ``store_full_length_kv``.
    """
    if architecture.computes_as not in GEMMA4:
        return specs
    last: dict[int | None, int] = {}
    for block in architecture.blocks:
        for layer in block.layers:
            if not specs[layer].reuses:
                last[block.sliding_window] = max(layer, last.get(block.sliding_window, 0))
    return tuple(replace(spec, stores=True) if place in last.values() else spec for place, spec in enumerate(specs))


def _layer_specs(
    architecture: Architecture,
    run: Run,
    adapter: Adapter,
    fused: frozenset[str],
    kernels: Mapping[int | None, Kernel],
    kept_windows: frozenset[int | None],
) -> tuple[LayerSpec, ...]:
    by_layer: dict[int, dict[str, AdaptedModule]] = {}
    for adapted in adapter.modules:
        for layer in adapted.layers:
            by_layer.setdefault(layer, {})[adapted.module.path] = adapted
    rows = kept(architecture, "rows", lambda: _rows_by_layer(architecture))
    unique: dict[tuple[int, ...], LayerSpec] = {}
    found: dict[int, LayerSpec] = {}
    for block in architecture.blocks:
        for layer in block.layers:
            adapted_here = by_layer.get(layer, {})
            mine = rows.get(layer, ())
            if not mine:  # text passes it by
                continue
            key = (id(block), id(mine), *map(id, adapted_here.values()))
            if key not in unique:
                spec = layer_spec(LayerRows(architecture, run, block, mine, adapted_here, fused, kernels, kept_windows))
                unique[key] = around(spec, run, block, adapted_here, unique.values())
            found[layer] = unique[key]
    return tuple(found[layer] for layer in sorted(found))


def position_elements(architecture: Architecture) -> int:
    """Elements a token of the tables of sines and cosines, which live through the step."""
    model_type = architecture.computes_as
    kinds = {
        (block.head_dim, model_type in TWO_POSITIONS and block.sliding_window is not None)
        for block in architecture.blocks
        if block.attention_heads
    }
    return 2 * sum(rotary_width(architecture, width) for width, _ in kinds)


def _rows_by_layer(architecture: Architecture) -> Mapping[int, tuple[Module, ...]]:
    """The language model's rows that stand in each layer; layers of the same rows share the tuple."""
    rows: dict[int, list[Module]] = {}
    for module in architecture.modules:
        if module.part is Part.TEXT and module.layers is not None:
            for layer in module.layers:
                rows.setdefault(layer, []).append(module)
    shared: dict[tuple[int, ...], tuple[Module, ...]] = {}
    return {layer: shared.setdefault(tuple(map(id, found)), tuple(found)) for layer, found in rows.items()}


def around(
    spec: LayerSpec, run: Run, block: Block, adapted: Mapping[str, AdaptedModule], known: Iterable[LayerSpec]
) -> LayerSpec:
    """The layer with what a method puts into it around its linears; an equal one among ``known`` where there is."""
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
        heads = replace(spec.heads, virtual=run.virtual_tokens)
        made = replace(spec, heads=heads, prefix=prefix, kernel=kernel, fused_attention=False)
    return next((one for one in known if one == made), made)


def layer_spec(layer: LayerRows) -> LayerSpec:
    """The layer."""
    block = layer.block
    norms = norm_places(layer)
    spec = LayerSpec(
        hidden=block.hidden_size,
        residual=Residual.PARALLEL if block.parallel else Residual.PRE,
        multipliers=layer.model_type in MULTIPLIERS,
        rescaled=layer.model_type in GEMMA4,
        holds=layer.model_type == "stablelm",
        inline=layer.model_type == "opt",
        drops_attention=layer.drops.attention,
        drops_feed=layer.drops.feed_forward,
        input_norm=norms.get("input_norm"),
        attention_norm=norms.get("attention_norm"),
        feed_norm=norms.get("feed_norm"),
        output_norm=norms.get("output_norm"),
    )
    if block.attention_heads and has_attention(layer):
        spec = with_attention(layer, spec)
    if block.mixer_width:
        spec = replace(spec, mixer=mixer_spec(layer))
    if "per_layer_input_gate" in (row.name for row in layer.rows):
        spec = replace(spec, small_input=small_input(layer))
    if block.experts:
        around = [layer.norm(layer.plain_norms[name]) for name in EXPERT_NORMS if name in layer.plain_norms]
        if len(around) == 3:
            return replace(
                spec,
                experts=experts_spec(layer),
                feed_forward=dense_feed_forward(layer),
                expert_norms=(around[0], around[1], around[2]),
            )
        return replace(spec, experts=experts_spec(layer), feed_forward=shared_feed_forward(layer))
    dense = dense_feed_forward(layer)
    return spec if dense is None else replace(spec, feed_forward=dense)


def small_input(layer: LayerRows) -> SmallInput:
    """Gemma 4's small embedding as a layer takes it."""
    named = {row.name: row for row in layer.rows}
    return SmallInput(
        gate=layer.linear(named["per_layer_input_gate"]),
        project=layer.linear(named["per_layer_projection"]),
        norm=layer.norm(named["post_per_layer_input_norm"]),
    )


def norm_places(layer: LayerRows) -> dict[str, NormSpec | None]:
    """Which norm stands where."""
    names = layer.plain_norms
    if "pre_feedforward_layernorm" in names:
        return {
            "input_norm": layer.at("input_layernorm"),
            "attention_norm": layer.at("post_attention_layernorm"),
            "feed_norm": layer.at("pre_feedforward_layernorm"),
            "output_norm": layer.at("post_feedforward_layernorm"),
        }
    if "pre_mlp_layernorm" in names:
        return {
            "input_norm": layer.at("input_layernorm"),
            "attention_norm": layer.at("post_attention_layernorm"),
            "feed_norm": layer.at("pre_mlp_layernorm"),
            "output_norm": layer.at("post_mlp_layernorm"),
        }
    if "post_self_attn_layernorm" in names:
        return {
            "input_norm": layer.at("input_layernorm"),
            "attention_norm": layer.at("post_self_attn_layernorm"),
            "feed_norm": layer.at("post_attention_layernorm"),
            "output_norm": layer.at("post_mlp_layernorm"),
        }
    if "post_feedforward_layernorm" in names:
        return {
            "attention_norm": layer.at("post_attention_layernorm"),
            "output_norm": layer.at("post_feedforward_layernorm"),
        }
    if layer.model_type == "olmo":
        plain = layer.norm(None)
        return {"input_norm": plain, "feed_norm": plain}
    found = [layer.norm(row) for row in names.values()]
    if layer.block.attention_heads == 0 and not layer.block.mixer_width:
        return {"feed_norm": found[0]} if found else {}
    return dict(zip(("input_norm", "feed_norm"), found, strict=False))


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
        tokens = run.peft is not None and run.peft.type is PeftType.TRAINABLE_TOKENS
        mine = shared if shared is not None and (run.method is Method.FULL or tokens) else None
    spec = linear_spec(architecture, run, head, mine)
    narrower = next((module for module in architecture.modules if module.name == "project_out"), None)
    return HeadSpec(
        projection=linear_spec(architecture, run, narrower, own.get(narrower.path)) if narrower else None,
        hidden=architecture.hidden_size,
        vocab=architecture.vocab_size,
        norm=norm_under_liger(norm, architecture.model_type, run.liger),
        linear=spec,
        loss=run.loss,
        softcap=architecture.logit_softcap,
        scaled=architecture.model_type in SCALED_LOGITS,
        rows=run.micro_batch_size > 1 and not run.one_row,
        spared=head.path == "lm_head",
        wrapped=architecture.model_type in OWN_LOSS,
        shifts=run.loss is Loss.LIGER_FUSED_LINEAR and architecture.model_type in OWN_LIGER_FORWARD,
        penalties=penalties(run, adapter),
    )


def penalties(run: Run, adapter: Adapter) -> tuple[tuple[int, int, int], ...]:
    """AdaLoRA's matrices: elements, rank and how many are alike."""
    if run.peft is None or run.peft.type is not PeftType.ADALORA:
        return ()
    alike: dict[tuple[int, int], int] = {}
    for row in adapter.modules:
        for rows, columns in row.tensors:
            if columns > 1:
                key = rows * columns, min(rows, columns)
                alike[key] = alike.get(key, 0) + row.copies
    return tuple((elements, rank, copies) for (elements, rank), copies in alike.items())
