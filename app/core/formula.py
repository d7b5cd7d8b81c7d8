"""How many parameters one instance of a row trains, with the row's own numbers in the method's formula."""

from app.core.adapted import AdaptedModule
from app.core.architecture import Kind
from app.core.messages import Message, message


def formula_of(row: AdaptedModule) -> Message:
    """r·(in + out) for LoRA and its kin, the weight's own size where it trains itself, else the method's."""
    if row.formula is not None:
        return row.formula
    module = row.module
    if not row.rank:
        return _own(row)
    if module.kind is Kind.EXPERTS:
        experts, inputs, outputs = module.shape
        return message("formula.lora_experts", rank=row.rank, experts=experts, inputs=inputs, outputs=outputs)
    inputs = row.lora_a_parameters // row.rank // row.copies
    outputs = row.lora_b_parameters // row.rank // row.copies
    if row.magnitude_parameters:
        magnitude = row.magnitude_parameters // row.copies
        return message("formula.dora", rank=row.rank, inputs=inputs, outputs=outputs, magnitude=magnitude)
    return message("formula.lora", rank=row.rank, inputs=inputs, outputs=outputs)


def _own(row: AdaptedModule) -> Message:
    """A weight by its dimensions, with its bias."""
    module = row.module
    shape = " × ".join(f"{side:,}" for side in module.shape)
    if module.bias_parameters and not module.tied_to:
        return message("formula.own_bias", shape=shape, bias=module.bias_parameters)
    if module.tied_to:
        return message("formula.own", parameters=module.bias_parameters)
    return message("formula.own_shape", shape=shape)
