"""Linears: plain, quantised, adapted by PEFT, and adapted by Axolotl's fused kernels.

Sources: PEFT 0.20.0 ``tuners/lora/layer.py``, ``bnb.py``, ``dora.py`` and ``variants.py``; bitsandbytes 0.50
``autograd/_functions.py``; Axolotl 0.19.0 ``kernels/lora.py``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.core.memory.beside import BottleneckSpec, Scaled, activated, by_output_vector, by_vector, residual
from app.core.memory.operations import add, cast, clip, copy, dropout, multiply, scale
from app.core.memory.products import product
from app.core.memory.tape import FULL, Gradients, Tape, Tensor
from app.core.memory.updates import Update, added, rotated
from app.core.methods.settings import PeftType
from app.core.run import Quantization
from app.core.units import ceil_div


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearSpec:
    """One linear of a layer.

    ``itemsize`` is the stored weight's where it is not quantised; ``rank`` 0 means not adapted; ``adapter_itemsize``
    is 4 unless ``peft_autocast_adapter_dtype`` is off; ``trained`` a weight that trains itself.
    """

    name: str
    inputs: int
    outputs: int
    bias: bool = False
    itemsize: int
    quantization: Quantization
    trained: bool = False
    rank: int = 0
    idle: bool = False
    """Its factors get no gradient."""
    dropout: bool = False
    dora: bool = False
    again: bool = False
    """Whether PEFT's DoRA computes the base once more: behind a dropout module, whatever that drops."""
    adapter_itemsize: int = 4
    nested: bool = True
    scaled: Scaled | None = None
    """Where IA³ multiplies by a vector."""
    rows: int = 0
    """Trained rows of it, copied into a copy of the whole at each use (trainable tokens)."""
    update: Update | None = None
    """What another method than LoRA puts beside it."""
    full: bool = False
    """``bnb_4bit_compute_dtype: float32``: unpacked in fp32 by the forward of the linear itself, and cast by autocast
    from there; the backward and Axolotl's kernels unpack to the type that was quantised."""
    clipped: bool = False
    """Whether what it takes and what it makes is clipped, adapter and all (Gemma 4's tower)."""
    turned: bool = True
    """Whether the product reads the weight's transpose."""
    converted: bool
    """Whether fp16, which GPTQ unpacks to and LLM.int8 reads, is not what the run computes in."""

    @property
    def elements(self) -> int:
        """Of the weight."""
        return self.inputs * self.outputs

    @property
    def absmax_bytes(self) -> int:
        """The fp32 statistics that double quantisation unpacks for each use."""
        return FULL * ceil_div(self.elements, 64) if self.nested else 0


def linear(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """The linear as PEFT leaves it."""
    if spec.clipped:
        return clip(t, linear(t, replace(spec, clipped=False), clip(t, x)))
    if spec.scaled is Scaled.INPUTS:
        return base(t, spec, by_vector(t, x, spec.inputs, spec.adapter_itemsize))
    if spec.scaled is Scaled.OUTPUTS:
        return by_output_vector(t, base(t, spec, x), spec.outputs, spec.adapter_itemsize)
    if spec.update is not None:
        return _updated(t, spec, spec.update, x)
    if not spec.rank:
        return base(t, spec, x)
    if spec.quantization is Quantization.NF4:
        return _peft_quantized(t, spec, x, clone=True)
    if spec.quantization is Quantization.INT8:
        return _peft_quantized(t, spec, x, clone=False)
    return _peft(t, spec, x)


def _updated(t: Tape, spec: LinearSpec, update: Update, x: Tensor) -> Tensor:
    """PEFT's layer of a method beside LoRA: AdaLoRA alone leaves the result in the base's type."""
    if update.type is PeftType.OFT:
        turned = rotated(t, update, x)
        result = base(t, spec, cast(t, turned, x.itemsize))
    else:
        result = base(t, spec, x)
        result = added(t, update, x, result)
    return result if update.type is PeftType.ADALORA else cast(t, result, x.itemsize)


def base(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """The linear without its adapter."""
    if spec.quantization is Quantization.NF4:
        return _four_bit(t, spec, x)
    if spec.quantization is Quantization.INT8:
        return _eight_bit(t, spec, x)
    if spec.quantization is Quantization.GPTQ:
        return _packed(t, spec, x)
    weight = weight_of(t, spec)
    bias = t.parameter(spec.outputs, spec.itemsize, trained=spec.trained) if spec.bias else None
    return product(t, x, weight, spec.outputs, key=spec.name, bias=bias, turned=spec.turned)


def weight_of(t: Tape, spec: LinearSpec) -> Tensor:
    """The weight, or where rows of it train, ``index_copy`` of them: a whole one, whose gradient is read at those rows.

    Source: PEFT 0.20.0 ``tuners/trainable_tokens/layer.py``, ``get_merged_weights``.
    """
    if not spec.rows:
        return t.parameter(spec.elements, spec.itemsize, trained=spec.trained)
    size = spec.rows * spec.inputs
    weight = t.fresh(spec.elements, spec.itemsize)
    rows = t.parameter(size, spec.adapter_itemsize, trained=True)
    t.join((weight,), (rows,), (), lambda _: (t.fresh(size, spec.itemsize),))
    return weight


def bottleneck(t: Tape, spec: BottleneckSpec | None, x: Tensor) -> Tensor:
    """``x + up(f(down(x)))``, weights in fp32; the same tensor without an adapter."""
    if spec is None:
        return x
    down = t.parameter(spec.width * spec.size, FULL, trained=True)
    up = t.parameter(spec.size * spec.width, FULL, trained=True)
    biases = [t.parameter(size, FULL, trained=True) if spec.bias else None for size in (spec.size, spec.width)]
    inner = activated(t, spec, product(t, x, down, spec.size, key=f"{spec.name}.down", bias=biases[0]))
    return residual(t, x, product(t, inner, up, spec.width, key=f"{spec.name}.up", bias=biases[1]))


def _four_bit(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """NF4: the whole weight is dequantised for each product: to the compute type, backward to the stored one.

    Where the former is fp32, the input is cast to it too, and autocast casts both back.
    """
    wanted = x.itemsize
    x = cast(t, x, FULL if spec.full else t.compute)
    absmax = t.fresh(2 * spec.absmax_bytes, 1)
    del absmax
    absmax = t.fresh(spec.absmax_bytes, 1)
    whole = t.fresh(spec.elements, FULL) if spec.full else None
    back = t.fresh(x.elements, t.compute) if spec.full else None
    weight = t.fresh(spec.elements, t.compute)
    del absmax
    rows = x.elements // spec.inputs
    out = t.fresh(rows * spec.outputs, t.compute)
    del weight, whole, back
    elements, compute, statistics, size = x.elements, t.compute, spec.absmax_bytes, spec.elements

    def run(_: list[Tensor | None]) -> Gradients:
        absmax = t.fresh(statistics, 1)
        weight = t.fresh(size, compute)
        del absmax
        grad = t.fresh(elements, compute)
        del weight
        return (grad,)

    t.join((out,), (x,), (), run)
    return cast(t, out, wanted)


def _packed(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """GPTQ: the whole weight in fp16, cast to the input's type; a product that keeps it for the backward.

    Evaluation makes it in the input's type at once, which is counted alike. Source: gptqmodel 7, ``qlinear/torch.py``,
    ``_forward_eager``.
    """
    weight = t.fresh(spec.elements, 2)
    if spec.converted or x.itemsize != weight.itemsize:
        weight = t.fresh(spec.elements, x.itemsize)
    return product(t, x, weight, spec.outputs, key=spec.name)


def _eight_bit(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """LLM.int8: outliers are looked for in an fp16 copy of the input, whose int8 copy makes an int32 result.

    The backward makes the whole weight. The input stays on the node, which lives as long as its graph does.
    """
    rows = x.elements // spec.inputs
    converts = spec.converted or x.itemsize != 2
    half = t.fresh(x.elements, 2) if converts else None
    statistics = t.fresh(rows, FULL)
    bytes8 = t.fresh(x.elements, 1)
    absolute = t.fresh(x.elements, 2)
    outliers = t.fresh(x.elements, 1)
    del absolute, outliers, half
    wide = t.fresh(rows * spec.outputs, FULL)
    out = t.fresh(rows * spec.outputs, 2)
    if converts:
        out = t.fresh(rows * spec.outputs, x.itemsize)
    del wide, bytes8, statistics
    elements, itemsize, whole = x.elements, x.itemsize, spec.elements

    def run(_: list[Tensor | None]) -> Gradients:
        weight = t.fresh(whole, itemsize)
        grad = t.fresh(elements, itemsize)
        del weight
        return (grad,)

    t.join((out,), (x,), (), run)
    t.stick(x, out)
    t.put_back(spec.elements)
    return out


def _down_up(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """``lora_B(lora_A(x))``."""
    down = t.parameter(spec.inputs * spec.rank, spec.adapter_itemsize, trained=not spec.idle)
    up = t.parameter(spec.rank * spec.outputs, spec.adapter_itemsize, trained=not spec.idle)
    key = f"{spec.name}.{spec.inputs}"  # GPT-2 has two of a name in a layer
    inner = product(t, x, down, spec.rank, key=f"{key}.A")
    del x  # a dropped copy goes with the first product
    return product(t, inner, up, spec.outputs, key=f"{key}.B")


def _peft(t: Tape, spec: LinearSpec, x: Tensor) -> Tensor:
    """PEFT's layer on a 16-bit base: the input is cast to the adapter's type, and by autocast back."""
    result = base(t, spec, x)
    wanted = result.itemsize
    x = cast(t, x, spec.adapter_itemsize)
    if spec.dora:
        result = _dora(t, spec, x, result)
    else:
        result = add(t, result, scale(t, _down_up(t, spec, dropout(t, x) if spec.dropout else x)))
    return cast(t, result, wanted)


def _peft_quantized(t: Tape, spec: LinearSpec, x: Tensor, *, clone: bool) -> Tensor:
    """PEFT's layer on a quantised base under autocast: the input is not cast; a 4-bit result is cloned.

    Without it the input is, and what comes of it back.
    """
    result = base(t, spec, x)
    if clone:
        result = copy(t, result)
    if not t.autocast:
        x = cast(t, x, spec.adapter_itemsize)
    if spec.dora:
        wanted, result = result.itemsize, _dora(t, spec, x, result)
        return result if t.autocast else cast(t, result, wanted)
    change = scale(t, _down_up(t, spec, dropout(t, x) if spec.dropout else x))
    return add(t, result, change if t.autocast else cast(t, change, result.itemsize))


def _dora(t: Tape, spec: LinearSpec, x: Tensor, result: Tensor) -> Tensor:
    """PEFT's DoRA, added to the result; what it was made of goes when its own forward returns."""
    dropped = dropout(t, x) if spec.dropout else x
    return add(t, result, _scaled_twice(t, spec, dropped, None if spec.again and t.training else result))


def _scaled_twice(t: Tape, spec: LinearSpec, x: Tensor, result: Tensor | None) -> Tensor:
    """The update's weight through an identity matrix, the norm of the sum, then two scaled results.

    Without ``result``, where the input was dropped from, the base computes once more.
    """
    identity = t.fresh(spec.inputs * spec.inputs, spec.adapter_itemsize)
    update = _down_up(t, spec, identity)
    del identity
    update = cast(t, update, x.itemsize)
    whole = t.fresh(spec.elements, t.compute) if spec.quantization is not Quantization.NONE else None
    stored = t.compute if whole is not None else spec.itemsize
    if stored != x.itemsize:
        whole = t.fresh(spec.elements, x.itemsize)
    scaled = t.fresh(spec.elements, x.itemsize)
    total = t.fresh(spec.elements, x.itemsize)
    del scaled, total
    magnitude = scale(t, t.parameter(spec.outputs, spec.adapter_itemsize, trained=not spec.idle))
    change = _down_up(t, spec, x)
    if result is not None:
        original = scale(t, result, spec.itemsize) if spec.bias else result
    else:
        weight = Tensor(whole.storage if whole else None, spec.elements, x.itemsize)
        original = product(t, x, weight, spec.outputs)
    first = multiply(t, scale(t, magnitude), original)
    second = scale(t, multiply(t, magnitude, change))
    del update
    return add(t, first, second)


# ---- Axolotl's kernels ---------------------------------------------------------------------------------------------


def _dequantized(t: Tape, spec: LinearSpec) -> Tensor | None:
    """The whole weight of a quantised base, as ``kernels/quantize.py`` makes it."""
    if spec.quantization is not Quantization.NF4:
        return None
    weight = t.fresh(spec.elements, t.compute)
    absmax = t.fresh(spec.absmax_bytes, 1)
    del absmax
    return weight


def fused_product(t: Tape, spec: LinearSpec, rows: int, itemsize: int, *, adapted: bool = True) -> Tensor:
    """``matmul_lora``: base and update into one result, of autocast's type whatever the input's."""
    weight = _dequantized(t, spec)
    out = t.fresh(rows * spec.outputs, t.compute)
    del weight
    if adapted and spec.rank:
        copies = _copies(t, (spec,), itemsize)
        inner = t.fresh(rows * spec.rank, t.compute)
        del copies, inner
    return out


def fused_dora(t: Tape, spec: LinearSpec, rows: int, itemsize: int, locals_: list[Tensor]) -> Tensor:
    """The scaled sum of base and update, both of which are locals of the kernel's forward.

    The norm of both unpacks the weight once more, but in a layer that is made again: it is kept beside the magnitudes
    until A or B changes (``_compute_dora_scale``).
    """
    locals_.append(fused_product(t, spec, rows, itemsize, adapted=False))
    scaled = t.fresh(rows * spec.inputs, itemsize)
    inner = t.fresh(rows * spec.rank, t.compute)
    del scaled
    locals_.append(t.fresh(rows * spec.outputs, t.compute))
    del inner
    weight = None if t.normed else _dequantized(t, spec)
    del weight
    total = t.fresh(rows * spec.outputs, t.compute)
    out = t.fresh(rows * spec.outputs, itemsize)
    del total
    return out


def _copies(t: Tape, specs: Sequence[LinearSpec], itemsize: int) -> list[Tensor]:
    """A and B in the input's type, which the kernels save; where they are in it, they are no copies."""
    return [
        t.fresh(size, itemsize)
        for spec in specs
        if spec.rank and spec.adapter_itemsize != itemsize
        for size in (spec.inputs * spec.rank, spec.rank * spec.outputs)
    ]


def _parameters(t: Tape, specs: Sequence[LinearSpec]) -> list[Tensor]:
    """A, B and magnitudes as inputs of a kernel, so that their gradients are counted."""
    return [
        t.parameter(size, spec.adapter_itemsize, trained=True)
        for spec in specs
        if spec.rank
        for size in (spec.inputs * spec.rank, spec.rank * spec.outputs, *((spec.outputs,) if spec.dora else ()))
    ]


def _adapter_gradients(t: Tape, sizes: Sequence[int]) -> list[Tensor]:
    """Gradients of A, B and magnitudes; the engine casts them to the parameters' fp32."""
    return [t.fresh(size, FULL) for size in sizes]


def fused_group(t: Tape, specs: Sequence[LinearSpec], x: Tensor) -> tuple[Tensor, ...]:
    """``LoRA_QKV``, ``LoRA_O`` and ``LoRA_FusedProj``: linears that share an input, as one node.

    Saves the input (and its dropped copy) and bf16 copies of A and B; the backward adds every path into one gradient,
    which Axolotl's ``load_adapter`` has asked for, whatever trains.
    """
    itemsize = x.itemsize
    rows = x.elements // specs[0].inputs
    dropped = dropout(t, x) if specs[0].dropout and t.training else None
    outputs: list[Tensor] = []
    held: list[Tensor] = []
    for spec in specs:
        if spec.dora:
            outputs.append(fused_dora(t, spec, rows, itemsize, held))
        else:
            outputs.append(fused_product(t, spec, rows, itemsize))
    combined = [t.fresh(rows * spec.outputs, t.compute) for spec in specs if spec.dora]
    copies = _copies(t, specs, itemsize)
    parameters = _parameters(t, specs)
    sizes = [p.elements for p in parameters]
    elements = x.elements
    shape = [(s.outputs if s.dora else 0, s.rank) for s in specs]
    with_dropout = dropped is not None
    frozen = tuple(specs)

    def run(_: list[Tensor | None]) -> Gradients:
        scaled = [t.fresh(rows * width, itemsize) for width, _ in shape if width]
        inner = [t.fresh(rows * rank, itemsize) for _, rank in shape if rank]
        made = _adapter_gradients(t, sizes)
        grad = t.fresh(elements, itemsize)
        for spec in frozen:
            weight = _dequantized(t, spec)
            del weight
        other = t.fresh(elements, itemsize) if with_dropout else None
        del scaled, inner
        return (grad, other, *made)

    saved = (x, dropped if dropped is not None else x, *copies, *combined)
    t.join(outputs, (x, dropped, *parameters), saved, run)
    del held
    return tuple(outputs)


def fused_feed_forward(t: Tape, gate: LinearSpec, up: LinearSpec, down: LinearSpec, x: Tensor) -> Tensor:
    """``LoRA_MLP``: saves input, gate and up; the backward writes the gradients of both over what it saved.

    ``grad_down`` becomes the hidden product again, so that three tensors of the middle's width are all it holds.
    """
    itemsize = x.itemsize
    rows = x.elements // gate.inputs
    dropped = dropout(t, x) if gate.dropout and t.training else None
    held: list[Tensor] = []
    specs = (gate, up, down)

    def through(spec: LinearSpec) -> Tensor:
        return fused_dora(t, spec, rows, itemsize, held) if spec.dora else fused_product(t, spec, rows, itemsize)

    gated, upper = through(gate), through(up)
    combined = [t.fresh(rows * gate.outputs, t.compute) for _ in range(2)] if gate.dora else []
    hidden = t.fresh(rows * gate.outputs, itemsize)
    out = through(down)
    if gate.dora:
        combined.append(t.fresh(rows * down.outputs, t.compute))
    copies = _copies(t, specs, itemsize)
    del hidden
    parameters = _parameters(t, specs)
    sizes = [p.elements for p in parameters]
    elements, middle = x.elements, rows * gate.outputs
    narrow, dora, with_dropout = rows * down.outputs, gate.dora, dropped is not None

    def run(_: list[Tensor | None]) -> Gradients:
        scaled = t.fresh(narrow, itemsize) if dora else None
        weight = _dequantized(t, down)
        grad_down = t.fresh(middle, itemsize)
        del weight
        wide = [t.fresh(middle, itemsize) for _ in range(2)] if dora else None
        made = _adapter_gradients(t, sizes)
        grad = t.fresh(elements, itemsize)
        weight = _dequantized(t, gate)  # up's, as large, came before
        del weight
        other = t.fresh(elements, itemsize) if with_dropout else None
        del scaled, grad_down, wide
        return (grad, other, *made)

    held.clear()
    saved = (x, dropped if dropped is not None else x, gated, upper, *copies, *combined)
    t.join((out,), (x, dropped, *parameters), saved, run)
    return out
