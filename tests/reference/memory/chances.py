"""Answers to what models and adapters ask of chance, which fake tensors do not hold."""

from __future__ import annotations

import torch

PRODUCTS = (torch.ops.aten.mm.default, torch.ops.aten.addmm.default, torch.ops.aten.bmm.default)


def chances(func, args):
    """Answers to what models ask of chance: no layer of OPT is dropped, no module of LyCORIS'; AdaLoRA takes no rank away.

    OPT compares a number, LyCORIS a tensor of one. A product of two types is refused, as it is on a card and not among fake tensors.
    """
    if func in PRODUCTS and len({x.dtype for x in args if isinstance(x, torch.Tensor)}) > 1:
        raise RuntimeError(
            f"expected both to have the same dtype, but got {[x.dtype for x in args if isinstance(x, torch.Tensor)]}"
        )
    if func is not torch.ops.aten._local_scalar_dense.default:
        return NotImplemented
    return args[0].dim() == 1 if args[0].dtype == torch.bool else 0.0


class Never:
    """A chance that no draw falls below: OPT asks whether to leave a layer out."""

    def __gt__(self, drawn: object) -> bool:
        return False
