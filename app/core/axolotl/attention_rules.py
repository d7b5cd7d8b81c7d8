"""Rules about the sequence: its length, packing, attention, compiling. One function or row, one rule.

Sources: Axolotl 0.19.0 ``utils/schemas/config.py``, ``validation.py``, ``enums.py``; Transformers 5.16.1 for what each
architecture's attention can be.
"""

from collections.abc import Iterator

from app.core.axolotl.renamed import RENAMED
from app.core.axolotl.run_reader import ATTENTION_OF
from app.core.axolotl.subject import Row, Rule, Subject, fails, misleads, rejected
from app.core.coverage import NO_FLASH_ATTENTION, NO_PACKING, NO_SDPA, PACKED_BY_FLASH, PACKED_BY_MASK
from app.core.findings import Effect, Finding, Fix
from app.core.hardware import Vendor
from app.core.nearest import nearest

ATTENTION_FLAGS = tuple(key for key, row in RENAMED.items() if row.successor == "attn_implementation")
SHORT_ATTENTION = {"flash": "flash_attention_2", "fa2": "flash_attention_2", "flex": "flex_attention", "sdp": "sdpa"}
LARGE_HEADS = ("auto", "sdpa", "triton_flash")
PACKS = frozenset(
    """flash_attention_2 flash_attention_3 flash_attention_4 flash_attention_torch flex_attention xformers sage
    kernels-community/flash-attn2 kernels-community/flash-attn3 kernels-community/sage-attention""".split()
)
"""Kernels that take several samples in one row. Source: ``ATTN_IMPLS_SUPPORTING_PACKING`` of ``enums.py``."""
SAGE_CARDS = ((8, 0), (8, 6), (8, 9), (9, 0), (12, 0))
HOPPER = (9, 0)
COMPILE_OPTIONS = frozenset(
    """coordinate_descent_tuning coordinate_descent_check_all_directions shape_padding epilogue_fusion
    max_autotune_gemm fx_graph_cache assume_aligned_inputs comprehensive_padding decompose_mem_bound_mm
    triton.cudagraphs""".split()
)
"""Source: ``INDUCTOR_COMPILE_OPTIONS_ALLOWLIST`` of ``enums.py``."""


def chosen(subject: Subject) -> str:
    """The attention after the old switches are mapped; the first of them in Axolotl's own order counts."""
    given = subject.text("attn_implementation")
    if given:
        return given
    for flag in ("xformers_attention", "sage_attention", "flex_attention", "flash_attention", "sdp_attention"):
        if subject.on(flag):
            return str(RENAMED[flag].mend(True)["attn_implementation"])
    if subject.on("gemma4_hybrid_attn_impl"):
        return "flash_attention_2"
    return "eager" if subject.on("eager_attention") else ""


def context(subject: Subject) -> Iterator[Finding]:
    """A sequence that the model was never trained to read."""
    length = subject.number("sequence_len")
    limit = subject.architecture.context_tokens if subject.architecture is not None else None
    if length is not None and limit is not None and length > limit:
        yield misleads("beyond_context", "sequence_len", given=int(min(length, 1e15)), context=limit)


def packing(subject: Subject) -> Iterator[Finding]:
    """Packed samples must not attend to each other, and preference pairs are not packed at all."""
    if not subject.on("sample_packing"):
        return
    attention = chosen(subject)
    hardware = subject.hardware
    if subject.on("rl"):
        yield rejected("packing_rl", "sample_packing", fix=Fix(set={"sample_packing": False}, safe=True))
    elif subject.model_type in NO_PACKING:
        fix = Fix(set={"sample_packing": False})
        yield misleads("packing_positions", "sample_packing", fix=fix, model_type=subject.model_type)
    elif not attention:
        yield misleads("packing_without_attention", "sample_packing")
    elif attention == "fp8" or _leaks(subject.computes_as, attention):
        yield misleads("packing_leaks", "sample_packing", given=attention)
    elif attention == "sdpa" and hardware is not None and (hardware.compute_capability or HOPPER) < HOPPER:
        yield misleads("packing_sdpa", "sample_packing", hardware=hardware.name)


def _leaks(model_type: str | None, attention: str) -> bool:
    """Whether this kernel is not told where the model's packed samples end."""
    by_mask = model_type in PACKED_BY_MASK and attention != "eager"
    return by_mask or (model_type in PACKED_BY_FLASH and "flash" not in attention)


def attention_name(subject: Subject) -> Iterator[Finding]:
    """One name of those that Axolotl knows, or a kernel's path on the Hub."""
    given = subject.text("attn_implementation")
    if given == "flash_attention_torch":
        torch = Fix(set={"attn_implementation": "sdpa"}, safe=True)
        yield rejected("attention_torch", "attn_implementation", fix=torch)
        return
    if not given or given in ATTENTION_OF or "/" in given:
        if subject.config.get("attn_implementation") == "":
            yield rejected("attention_name", "attn_implementation", given="", allowed=tuple(ATTENTION_OF))
        return
    close = SHORT_ATTENTION.get(given) or next(iter(nearest(given, ATTENTION_OF, count=1)), None)
    fix = Fix(set={"attn_implementation": close}, safe=True) if close else None
    yield rejected("attention_name", "attn_implementation", fix=fix, given=given[:100], allowed=tuple(ATTENTION_OF))


def attention_twice(subject: Subject) -> Iterator[Finding]:
    """Axolotl refuses the old switches beside the new key."""
    for key in ATTENTION_FLAGS:
        if subject.on("attn_implementation") and subject.on(key):
            yield rejected("attention_twice", key, fix=Fix(unset=(key,), safe=True), key=key)


def flash_attention(subject: Subject) -> Iterator[Finding]:
    """FlashAttention needs a card and an architecture that have it."""
    if not chosen(subject).startswith("flash_attention"):
        return
    hardware = subject.hardware
    fix = Fix(set={"attn_implementation": "eager" if subject.model_type in NO_SDPA else "sdpa"})
    if hardware is not None and not hardware.flash_attention:
        yield fails("flash_attention_card", "attn_implementation", fix=fix, hardware=hardware.name)
    elif subject.model_type in NO_FLASH_ATTENTION:
        yield fails("flash_attention_model", "attn_implementation", fix=fix, model_type=subject.model_type)


def sdpa(subject: Subject) -> Iterator[Finding]:
    """Some architectures compute attention eagerly only."""
    if chosen(subject) == "sdpa" and subject.model_type in NO_SDPA:
        fix = Fix(set={"attn_implementation": "eager"}, safe=True)
        yield fails("sdpa_model", "attn_implementation", fix=fix, model_type=subject.model_type)


def cards(subject: Subject) -> Iterator[Finding]:
    """Kernels for some generations of cards only."""
    attention = chosen(subject)
    if attention not in ("sage", "fp8"):
        return
    hardware = subject.hardware
    if hardware is None or hardware.compute_capability is None or hardware.vendor is not Vendor.NVIDIA:
        return
    fix = Fix(set={"attn_implementation": "sdpa"})
    if attention == "sage" and hardware.compute_capability not in SAGE_CARDS:
        yield rejected("sage_card", "attn_implementation", fix=fix, hardware=hardware.name)
    elif attention == "fp8" and hardware.compute_capability < HOPPER:
        yield rejected("fp8_attention_card", "attn_implementation", fix=fix, hardware=hardware.name)


def flattening(subject: Subject) -> Iterator[Finding]:
    """Rows without padding, for kernels that take them; packing does the same already."""
    given = subject.config.get("batch_flattening")
    if given == "auto" or not subject.flag("batch_flattening"):
        return
    base = chosen(subject).split(":")[0].split("@")[0].strip()
    if base not in PACKS:
        yield rejected("flattening_attention", "batch_flattening", fix=Fix(set={"batch_flattening": "auto"}, safe=True))
    elif subject.flag("sample_packing"):
        yield rejected("flattening_packed", "batch_flattening", fix=Fix(unset=("batch_flattening",), safe=True))


def compile_options(subject: Subject) -> Iterator[Finding]:
    """Settings of torch.compile: only with it, and only those of a list."""
    given = subject.mapping("torch_compile_options")
    wrong = [str(key)[:60] for key in given if key not in COMPILE_OPTIONS]
    if wrong:
        yield rejected(
            "compile_option", "torch_compile_options", names=tuple(wrong[:9]), allowed=tuple(sorted(COMPILE_OPTIONS))
        )
    elif subject.given("torch_compile_options") and not (
        subject.text("torch_compile") == "auto" or subject.flag("torch_compile")
    ):
        yield rejected(
            "compile_options_alone", "torch_compile_options", fix=Fix(unset=("torch_compile_options",), safe=True)
        )


def large_heads(subject: Subject) -> Iterator[Finding]:
    """Three policies, no others."""
    given = subject.config.get("large_head_attention")
    if given is not None and str(given).lower() not in LARGE_HEADS:
        yield rejected("large_heads", "large_head_attention", given=str(given)[:40], allowed=LARGE_HEADS)


def gemma_hybrid(subject: Subject) -> Iterator[Finding]:
    """Its sliding layers run under FlashAttention 2."""
    given = subject.config.get("attn_implementation")
    if subject.on("gemma4_hybrid_attn_impl") and given and given != "flash_attention_2":
        fix = Fix(set={"attn_implementation": "flash_attention_2"})
        yield rejected("gemma_hybrid", "attn_implementation", fix=fix)


ATTENTION_RULES: tuple[Rule, ...] = (
    context,
    packing,
    attention_name,
    attention_twice,
    flash_attention,
    sdpa,
    cards,
    flattening,
    compile_options,
    large_heads,
    gemma_hybrid,
    Row(
        code="softmax_flex",
        key="scaling_softmax",
        when=lambda s: s.flag("scaling_softmax") and chosen(s) != "flex_attention",
        fix=Fix(unset=("scaling_softmax",)),
    ),
    Row(
        code="packing_unpadded",
        key="pad_to_sequence_len",
        when=lambda s: s.on("sample_packing") and s.config.get("pad_to_sequence_len") is False,
        effect=Effect.OK,
    ),
    Row(
        code="sage_full",
        key="attn_implementation",
        when=lambda s: chosen(s) == "sage" and not s.on("adapter"),
        effect=Effect.MISLEADS,
    ),
)
