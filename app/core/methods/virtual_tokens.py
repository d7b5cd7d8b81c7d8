"""Prompt tuning, prefix tuning and P-tuning: parameters before the tokens, none of them the model's.

Source: PEFT 0.20.0, ``utils/other.py`` (``_prepare_prompt_learning_config``), ``tuners/prompt_tuning``,
``tuners/prefix_tuning``, ``tuners/p_tuning``. Papers: arXiv:2104.08691, arXiv:2101.00190, arXiv:2103.10385,
arXiv:2110.07602.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.adapted import AdaptedModule
from app.core.architecture import Architecture, Block, Kind, Module
from app.core.messages import message
from app.core.methods.matching import peft_fault
from app.core.methods.settings import Encoder, PeftType, VirtualTokens

UNGROUPED = frozenset(("bloom", "falcon", "gpt2", "gptj", "mpt", "opt"))
"""Whose configurations have no key and value heads by that name, so that PEFT takes the whole width for each."""
SELDOM_GROUPED = frozenset(("gpt_neox",))
"""Whose configurations have them only where somebody put them in."""
TURNED = frozenset(("deepseek_v2", "deepseek_v3"))
"""Whose configurations call a head's turned part its width."""
WHOLE = frozenset(("glm4_moe_lite",))
"""Whose configurations give no width of a head, so that PEFT divides the model's."""
HEADLESS = frozenset(("mpt",))
"""Whose configurations name their heads in a way that PEFT does not know."""
WIDTH = "prompt_encoder.default."


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What PEFT reads of the model: layers, width of a virtual token, heads."""

    layers: int
    token_dim: int
    heads: int
    encoder_hidden_size: int


def sizes_of(architecture: Architecture, type_: PeftType, settings: VirtualTokens) -> Sizes:
    """The sizes that a prompt has beside this model; keys and values alone where heads are grouped.

    Raises:
        InvalidInput: PEFT cannot tell one of them, and asks for it.
    """
    heads = settings.attention_heads
    attending = [block for block in architecture.blocks if block.attention_heads]
    if heads is None:
        if architecture.model_type in HEADLESS or not attending:
            raise peft_fault("num_attention_heads", "error.peft.missing_size", model_type=architecture.model_type)
        heads = attending[0].attention_heads
    token_dim = settings.token_dim or architecture.hidden_size
    if type_ is PeftType.PREFIX_TUNING and _grouped(architecture, attending):
        widest = max(attending, key=lambda block: block.head_dim)
        heads = widest.key_value_heads
        token_dim = _head_dim(architecture, widest) * heads
    return Sizes(
        layers=settings.layers or architecture.num_layers,
        token_dim=token_dim,
        heads=heads,
        encoder_hidden_size=settings.encoder_hidden_size or token_dim,
    )


def _grouped(architecture: Architecture, attending: Sequence[Block]) -> bool:
    """Whether PEFT sees key and value heads, and then takes their width whatever it is told."""
    if architecture.model_type in SELDOM_GROUPED:
        return attending[0].key_value_heads != attending[0].attention_heads
    return architecture.model_type not in UNGROUPED


def _head_dim(architecture: Architecture, block: Block) -> int:
    """A head's width as the configuration has it, which multi-head latent attention does not compute with."""
    if architecture.model_type in WHOLE:
        return architecture.hidden_size // block.attention_heads
    if architecture.model_type in TURNED:
        by_name = {module.name: module.shape for module in architecture.modules}
        return by_name["kv_a_proj_with_mqa"][1] - by_name["kv_b_proj"][0]
    return block.head_dim


def count_virtual_tokens(
    architecture: Architecture, type_: PeftType, settings: VirtualTokens
) -> tuple[AdaptedModule, ...]:
    """The prompt encoder's modules.

    Raises:
        InvalidInput: PEFT cannot tell one of the model's sizes.
    """
    sizes = sizes_of(architecture, type_, settings)
    if type_ is PeftType.PREFIX_TUNING:
        return _prefix(settings, sizes)
    tokens = settings.tokens * settings.submodules
    embedding = _row(
        "embedding",
        Kind.EMBEDDING,
        ((tokens, sizes.token_dim),),
        "formula.prompt",
        tokens=tokens,
        width=sizes.token_dim,
    )
    if type_ is PeftType.PROMPT_TUNING:
        return (embedding,)
    return (embedding, *_encoder(settings, sizes))


def _prefix(settings: VirtualTokens, sizes: Sizes) -> tuple[AdaptedModule, ...]:
    """A key and a value for each layer and token, straight or through a two-layer network."""
    wide = sizes.layers * 2 * sizes.token_dim
    if not settings.projection:
        return (
            _row(
                "embedding",
                Kind.EMBEDDING,
                ((settings.tokens, wide),),
                "formula.prefix",
                layers=sizes.layers,
                tokens=settings.tokens,
                heads=sizes.heads,
                width=sizes.token_dim // sizes.heads,
            ),
        )
    embedding = _row(
        "embedding",
        Kind.EMBEDDING,
        ((settings.tokens, sizes.token_dim),),
        "formula.prompt",
        tokens=settings.tokens,
        width=sizes.token_dim,
    )
    return (
        embedding,
        _linear("transform.0", sizes.token_dim, sizes.encoder_hidden_size),
        _linear("transform.2", sizes.encoder_hidden_size, wide),
    )


def _encoder(settings: VirtualTokens, sizes: Sizes) -> tuple[AdaptedModule, ...]:
    """P-tuning's network: three linears, or a bidirectional LSTM and two."""
    width, hidden = sizes.token_dim, sizes.encoder_hidden_size
    if settings.encoder is Encoder.MLP:
        return (
            _linear("mlp_head.0", width, hidden),
            _linear("mlp_head.2", hidden, hidden),
            _linear("mlp_head.4", hidden, width),
        )
    shapes: list[tuple[int, ...]] = []
    for layer in range(settings.encoder_layers):
        inputs = width if layer == 0 else 2 * hidden
        shapes += 2 * [(4 * hidden, inputs), (4 * hidden, hidden), (4 * hidden,), (4 * hidden,)]
    lstm = _row(
        "lstm_head",
        Kind.PARAMETER,
        tuple(shapes),
        "formula.lstm",
        hidden=hidden,
        inputs=width,
        later=settings.encoder_layers - 1,
    )
    return lstm, _linear("mlp_head.0", 2 * hidden, 2 * hidden), _linear("mlp_head.2", 2 * hidden, width)


def _linear(name: str, inputs: int, outputs: int) -> AdaptedModule:
    shapes = ((outputs, inputs), (outputs,))
    return _row(name, Kind.LINEAR, shapes, "formula.linear_bias", inputs=inputs, outputs=outputs)


def _row(name: str, kind: Kind, shapes: tuple[tuple[int, ...], ...], formula: str, **numbers: int) -> AdaptedModule:
    """One module of the prompt encoder."""
    shape = shapes[0] if kind is Kind.EMBEDDING else shapes[0][::-1]
    module = Module(path=WIDTH + name, kind=kind, shape=shape)
    return AdaptedModule(module=module, tensors=shapes, formula=message(formula, **numbers))
