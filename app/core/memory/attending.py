"""Softmax attention of a layer, read from its rows: projections, norms, positions and the kernel."""

from collections.abc import Mapping
from dataclasses import replace

from app.core.architecture import Architecture, Block, Kind, Module
from app.core.collating import Padding
from app.core.memory.attention import SDPA_WIDTH, Heads, Kernel
from app.core.memory.layers import LayerSpec
from app.core.memory.linears import LinearSpec
from app.core.memory.norms import Norm, NormSpec
from app.core.memory.rows import LayerRows
from app.core.memory.sighted import sees
from app.core.memory.tape import ROW, TOKEN
from app.core.memory.traits import (
    ALWAYS_MASKED,
    ATTENTION_HOLDERS,
    ATTENTION_IN,
    ATTENTION_OUT,
    GATED_QUERIES,
    GEMMA4,
    MIXER_HOLDERS,
    NO_ROTARY,
    PARTIAL_ROTARY,
    RETURNS_SCORES,
    ROTARY_BY_AXIS,
    ROTARY_COPIED,
    ROTARY_FULL,
    ROTARY_IN_WINDOWS,
    ROTARY_JOINED,
    SCALED_QUERIES,
    SLICED,
    STATED_ROTARY,
    TYPED_WINDOWS,
    UNAWARE,
    UNTOLD,
)
from app.core.memory.weights import Storing, stored
from app.core.run import Attention, KeptAttention, Run


def takes_lengths(architecture: Architecture, run: Run) -> bool:
    """Whether Axolotl's variable-length attention takes the place of SDPA for packed rows.

    It does in 16 bits, for heads of one width up to 256 and without sliding windows; of a model with towers the
    wrapper's config.json is asked, which says nothing of these. Source: Axolotl 0.19.0, ``_apply_sdpa_varlen_patch``.
    """
    if architecture.multimodal:
        return run.half
    return run.half and all(
        block.sliding_window is None and block.head_dim == block.value_head_dim <= SDPA_WIDTH
        for block in architecture.blocks
        if block.attention_heads
    )


def masked(architecture: Architecture, run: Run) -> bool:
    """Whether padding reaches the model as a mask."""
    return run.padded and _keeps_mask(architecture, run)


def _keeps_mask(architecture: Architecture, run: Run) -> bool:
    """Whether rows keep the mask that they come with: not so Gemma 3's with towers, which Axolotl throws away.

    Source: Axolotl 0.19.0, ``utils/trainer.py`` (``process_datasets_for_packing``), which preferences do not take.
    """
    return run.preference is not None or architecture.model_type != "gemma3" or sees(architecture, run)


def overlaid(architecture: Architecture, run: Run, window: int | None) -> bool:
    """Whether SDPA gets a mask whatever the rows: tokens of one image see each other (Gemma 3, larger ones of 4)."""
    sight = architecture.sight
    if sight is None or not sight.mutual or run.attention is not Attention.SDPA or not sees(architecture, run):
        return False
    return window is not None or not sight.mutual_in_windows


def kernels_by_window(architecture: Architecture, run: Run, row_tokens: int) -> Mapping[int | None, Kernel]:
    """Which kernel layers of each window run, None being those that see the whole row.

    Packed rows come with a mask where no attention is named alone (``collating``). Axolotl's variable-length attention
    then does not take SDPA's place by itself, and Transformers looks for no documents beside a mask. Sources: Axolotl
    0.19.0, ``_apply_sdpa_varlen_patch``; Transformers 5.16.1, ``masking_utils._preprocess_mask_arguments``.
    """
    padded, always = masked(architecture, run), architecture.computes_as in ALWAYS_MASKED
    unnamed = run.sample_packing and run.padding is not Padding.NEVER
    by_lengths = not unnamed and not always and takes_lengths(architecture, run)
    one_row = architecture.computes_as in (UNAWARE | UNTOLD if by_lengths else UNAWARE)
    apart = run.sample_packing and not one_row and not (unnamed and _keeps_mask(architecture, run))
    scoring = frozenset(block.sliding_window for block in architecture.blocks if _scores_without_mask(run, block))
    return {
        window: kernel_of(
            run,
            row_tokens=row_tokens,
            window=window,
            apart=apart,
            by_lengths=by_lengths,
            padded=always or overlaid(architecture, run, window) or (padded and window not in scoring),
        )
        for window in {block.sliding_window for block in architecture.blocks}
    }


def _scores_without_mask(run: Run, block: Block) -> bool:
    """Whether this is SDPA that makes scores of every pair without a mask (``attention._unmasked``), not with one.

    Some batch comes without padding, and it is the larger one then.
    """
    grouped = block.attention_heads != block.key_value_heads
    even = block.head_dim == block.value_head_dim <= SDPA_WIDTH
    return run.attention is Attention.SDPA and grouped and even and not (run.half and run.ampere)


def kernel_of(run: Run, *, row_tokens: int, window: int | None, apart: bool, by_lengths: bool, padded: bool) -> Kernel:
    """Which attention kernel a layer runs: a window shorter than the row needs a mask under SDPA.

    So does padding, and so do documents that are kept ``apart``, unless it is ``by_lengths``. FlashAttention takes
    padding away before.
    """
    if run.attention is Attention.EAGER:
        return Kernel.EAGER
    if run.attention is Attention.FLEX:
        return Kernel.FLEX
    if run.attention is Attention.SDPA:
        if apart and by_lengths:
            return Kernel.SDPA_PACKED
        if apart or padded or (window is not None and row_tokens >= window):
            return Kernel.SDPA_MASKED
        return Kernel.SDPA if run.ampere else Kernel.SDPA_BEFORE_AMPERE
    return Kernel.FLASH_PADDED if padded else Kernel.FLASH


def keeps_results(architecture: Architecture, run: Run, *, row_tokens: int, window: int | None) -> bool:
    """Whether selective checkpointing keeps what attention makes in a layer of this window.

    A window is known by the layer's own word, or by what FlashAttention is told of it where the row is longer.
    Source: Axolotl 0.19.0 ``monkeypatch/selective_checkpointing.py``.
    """
    if run.kept_attention is not KeptAttention.WHOLE or window is None:
        return run.kept_attention is not KeptAttention.NONE
    told = architecture.computes_as in TYPED_WINDOWS or (run.attention is Attention.FLASH and row_tokens > window)
    return not told


def rotary_width(architecture: Architecture, head_dim: int) -> int:
    """Elements of a head that take positions: as its config.json says, or the share that its type is left with."""
    if architecture.computes_as in NO_ROTARY:
        return 0
    numerator, denominator = PARTIAL_ROTARY.get(architecture.computes_as, (1, 1))
    stated = architecture.rotary if architecture.computes_as in STATED_ROTARY else None
    width = head_dim * numerator // denominator if stated is None else min(stated, head_dim)
    return width // 2 * 2


def copied_tables(model_type: str) -> int:
    """Of how many tokens, as the tape packs them, each layer makes sines and cosines of its own."""
    if model_type in ROTARY_BY_AXIS:
        return TOKEN
    return ROW if model_type in ROTARY_COPIED else 0


def has_attention(layer: LayerRows) -> bool:
    """Whether this layer has rows of softmax attention."""
    return any(layer.held_by(ATTENTION_HOLDERS | MIXER_HOLDERS, ATTENTION_IN))


def with_attention(layer: LayerRows, spec: LayerSpec) -> LayerSpec:
    """Projections, norms on queries and keys, and the kernel."""
    block = layer.block
    holders = ATTENTION_HOLDERS | MIXER_HOLDERS
    ins = layer.held_by(holders, ATTENTION_IN)
    beside = ins[0].outer_path.rpartition(".")[0]
    outs = [row for row in layer.held_by(holders, ATTENTION_OUT) if row.outer_path.rpartition(".")[0] == beside]
    within_norm = layer.model_type in GEMMA4
    unturned = layer.model_type in ROTARY_IN_WINDOWS and block.sliding_window is None
    rotary = 0 if within_norm or unturned else rotary_width(layer.architecture, block.head_dim)
    heads = Heads(
        heads=block.attention_heads,
        key_value_heads=block.key_value_heads,
        head_dim=block.head_dim,
        value_dim=block.value_head_dim,
        rotary_dim=rotary,
        rotary_full=layer.model_type in ROTARY_FULL,
        rotary_copied=copied_tables(layer.model_type),
        rotary_joined=layer.model_type in ROTARY_JOINED,
        softcap=block.attention_softcap,
        sinks=sink_itemsize(layer),
        biased=layer.model_type == "mpt",
        drops=layer.drops.scores,
        own_scale=layer.architecture.own_scale,
        fp16=layer.run.half and not layer.run.bf16,
        kept=block.sliding_window in layer.kept,
        rows=layer.run.several_rows,
        returned=layer.model_type in RETURNS_SCORES and layer.kernels[block.sliding_window] is Kernel.EAGER,
    )
    latent = {row.name: row for row in layer.rows if row.kind is Kind.LINEAR}
    projections = tuple(layer.linear(row) for row in ins)
    apart = len(projections) == 3 or (len(projections) == 2 and layer.model_type in GEMMA4)
    fused_attention = "lora_qkv_kernel" in layer.fused and apart and all(p.rank for p in projections)
    out = layer.linear(outs[0]) if outs else None
    gates = layer.held_by(ATTENTION_HOLDERS, ("gate_proj",))
    fused_out = "lora_o_kernel" in layer.fused and out is not None and bool(out.rank) and outs[0].name == "o_proj"
    spec = replace(
        spec,
        heads=heads,
        kernel=layer.kernels[block.sliding_window],
        projections=projections,
        sliced=layer.model_type in SLICED,
        indexed=layer.model_type == "falcon",
        norms_first=layer.model_type == "falcon",
        out=out,
        fused_attention=fused_attention,
        fused_out=fused_out,
        gate_on_output=layer.model_type in GATED_QUERIES,
        output_gate=layer.linear(gates[0]) if gates else None,
    )
    if "kv_b_proj" in latent:
        spec = with_latent(layer, spec, latent)
    spec = replace(spec, query_norm=head_norm(layer, "q"), key_norm=head_norm(layer, "k"))
    if layer.model_type not in GEMMA4:
        return spec
    width = block.key_value_heads * block.value_head_dim
    values = layer.norm(None, width=width, groups=block.key_value_heads, form=Norm.FUSED)
    return replace(spec, value_norm=values, reuses=[row.name for row in ins] == ["q_proj"])


def sink_itemsize(layer: LayerRows) -> int:
    """Bytes of a stored attention sink, 0 without."""
    row = next((row for row in layer.rows if row.name == "sinks"), None)
    return 0 if row is None else stored(layer.architecture, row, Storing.of(layer.run))


def with_latent(layer: LayerRows, spec: LayerSpec, latent: Mapping[str, Module]) -> LayerSpec:
    """Multi-head latent attention: down, norm and up."""
    norms = {row.name: row for row in layer.rows if row.kind is Kind.NORM}

    def pair(name: str) -> LinearSpec | None:
        return layer.linear(latent[name]) if name in latent else None

    kept = [pair("q_a_proj") or pair("q_proj"), pair("q_b_proj"), pair("kv_a_proj_with_mqa"), pair("kv_b_proj")]
    q_norm, kv_norm = norms.get("q_a_layernorm"), norms.get("kv_a_layernorm")
    return replace(
        spec,
        projections=tuple(one for one in kept if one is not None),
        scaled_queries=layer.model_type in SCALED_QUERIES,
        latent_norms=tuple(
            layer.norm(row, width=row.shape[0]) if row is not None else None for row in (q_norm, kv_norm)
        ),
    )


def head_norm(layer: LayerRows, letter: str) -> NormSpec | None:
    """The norm on queries or keys: of each head, or over their whole width."""
    block = layer.block
    heads = block.attention_heads if letter == "q" else block.key_value_heads
    names = (f"{letter}_norm", f"{letter}_layernorm", "query_layernorm" if letter == "q" else "key_layernorm")
    width = heads * block.head_dim
    for row in layer.rows:
        if row.kind is Kind.NORM and row.name in names:
            groups = heads if row.shape[0] == block.head_dim else 1
            form = Norm.FUSED if layer.model_type in GEMMA4 else None
            return layer.norm(row, width=width, groups=groups, form=form)
    if block.bare_query_key_norm:
        return layer.norm(None, width=width, groups=heads, form=Norm.RMS_BARE)
    if any(row.kind is Kind.NORM and f"{letter}_layernorm.norms" in row.path for row in layer.rows):
        return layer.norm(None, width=width, groups=heads)
    return None
