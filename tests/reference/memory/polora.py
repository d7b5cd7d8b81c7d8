"""PoLoRA, whose package is in no registry: its states and the tensors of its step, in the order that its source makes them.

Followed: ``polora/optim.py`` and ``polora/utils.py`` of github.com/nikhilgsh/polora, read in the port that the framework miles
carries (its kernels verbatim, its update unchanged), and Axolotl 0.19.0 ``utils/optimizers/polora.py``, which hands it the pairs of
the adapter. Pairs of one shape are stacked and stepped together, in fp32, and the names of a group live until the next takes them over.
"""

from __future__ import annotations

import torch
from torch import nn

STEPS = 8
"""Of each iteration, by default."""


def pairs_of(model: nn.Module) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Every adapted module's two factors, in the model's order."""
    found = []
    for module in model.modules():
        down, up = getattr(module, "lora_A", None), getattr(module, "lora_B", None)
        if down is not None and up is not None and hasattr(down, "keys"):
            found += [(down[key].weight, up[key].weight) for key in down if key in up]
    return [(a, b) for a, b in found if a.requires_grad and b.requires_grad]


class Polora:
    """``states`` are a momentum of each factor, a diagonal of each side and four vectors that start the next search."""

    def __init__(self, model: nn.Module) -> None:
        self.pairs = pairs_of(model)
        if not self.pairs:
            raise ValueError("polora found no trainable LoRA pairs")
        self.kept = []
        for a, b in self.pairs:
            kept = {"momenta": [torch.zeros_like(x, dtype=torch.float32) for x in (a, b)]}
            kept["diagonals"] = [torch.full((a.shape[1],), 1e-12), torch.full((b.shape[0],), 1e-12)]
            self.kept.append(kept)
        groups: dict[tuple, list[int]] = {}
        for place, (a, b) in enumerate(self.pairs):
            groups.setdefault((*a.shape, b.shape[0]), []).append(place)
        self.groups = list(groups.values())

    @property
    def states(self) -> list[torch.Tensor]:
        return [
            x for kept in self.kept for value in kept.values() for x in (value if isinstance(value, list) else [value])
        ]

    def step(self) -> None:
        # one function's names, which the loop takes over one by one
        for places in self.groups:
            pairs, kept = [self.pairs[i] for i in places], [self.kept[i] for i in places]
            grad_a = torch.stack([a.grad.float() for a, _ in pairs])
            grad_b = torch.stack([b.grad.float() for _, b in pairs])
            a = torch.stack([x.detach().float() for x, _ in pairs])
            b = torch.stack([x.detach().float() for _, x in pairs])
            momentum_a = torch.stack([k["momenta"][0] for k in kept]).mul_(0.9).add_(grad_a, alpha=0.1)
            momentum_b = torch.stack([k["momenta"][1] for k in kept]).mul_(0.9).add_(grad_b, alpha=0.1)
            q = torch.stack([k["diagonals"][0] for k in kept])
            p = torch.stack([k["diagonals"][1] for k in kept])
            q_root, p_root = _damped(q), _damped(p)
            q_back, p_back = (q_root * q_root).reciprocal(), (p_root * p_root).reciprocal()
            curve_b = b.transpose(-2, -1) @ (p_back.unsqueeze(-1) * b)
            curve_a = (a * q_back.unsqueeze(1)) @ a.transpose(-2, -1)
            root_b = _inverse_root(_symmetric(curve_b))
            root_a = _inverse_root(_symmetric(curve_a))
            inverse_b, inverse_a = root_b @ root_b, root_a @ root_a
            ahead_a = momentum_a.mul(0.9).add(grad_a, alpha=0.1)
            ahead_b = momentum_b.mul(0.9).add(grad_b, alpha=0.1)
            size_a, size_b = _size(a, kept, "a"), _size(b, kept, "b")
            rate = 1e-4 / (size_b + size_a)
            white_a = (root_b @ ahead_a) * q_root.unsqueeze(1)
            white_b = (ahead_b @ root_a) * p_root.unsqueeze(-1)
            white_a = _polar(white_a)
            white_b = _polar(white_b)
            turned_a = (root_b @ white_a) * q_root.unsqueeze(1)
            turned_b = (white_b @ root_a) * p_root.unsqueeze(-1)
            long_a, long_b = _size(turned_a, kept, "turned_a"), _size(turned_b, kept, "turned_b")
            change_a = -(rate / long_a.clamp_min(1e-12)).view(-1, 1, 1) * turned_a
            change_b = -(rate / long_b.clamp_min(1e-12)).view(-1, 1, 1) * turned_b
            q.mul_(0.99).add_((grad_a * (inverse_b @ grad_a)).sum(dim=1), alpha=0.01)
            p.mul_(0.99).add_((grad_b * (grad_b @ inverse_a)).sum(dim=2), alpha=0.01)
            for place, (first, second) in enumerate(pairs):
                first.add_(change_a[place].to(first.dtype))
                second.add_(change_b[place].to(second.dtype))


def _symmetric(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * (x + x.transpose(-2, -1))


def _damped(x: torch.Tensor) -> torch.Tensor:
    return (x / x.amax(dim=-1, keepdim=True) + 1e-4).rsqrt()


def _normal(x: torch.Tensor, dim) -> torch.Tensor:
    norm = x.norm(dim=dim, keepdim=True)
    nothing = norm == 0
    safe = torch.where(nothing, torch.ones_like(norm), norm)
    return torch.where(nothing, torch.zeros_like(x), x / safe)


def _top(x: torch.Tensor, start: torch.Tensor | None, *, symmetric: bool = False):
    """The largest singular value by power iteration on the smaller side, and the vector that it ended at."""
    full = 0.5 * (x + x.transpose(-2, -1)) if symmetric else x
    turned = full.transpose(-2, -1)
    left = symmetric or full.shape[-2] <= full.shape[-1]
    ones = torch.ones(*full.shape[:-2], full.shape[-1] if left else full.shape[-2], 1)
    cold = ((full if left else turned) @ ones).squeeze(-1)
    floor = full.square().sum(dim=-1 if left else -2).amax(dim=-1).sqrt()
    vector = cold if start is None else torch.where(start.norm(dim=-1, keepdim=True) == 0, cold, start)
    vector = _normal(vector, -1).unsqueeze(-1)
    for _ in range(STEPS):
        vector = full @ vector if symmetric else full @ (turned @ vector) if left else turned @ (full @ vector)
        vector = _normal(vector, -2)
    value = ((turned if left else full) @ vector).norm(dim=(-2, -1))
    return torch.maximum(value, floor), vector.squeeze(-1)


def _size(x: torch.Tensor, kept: list[dict], key: str) -> torch.Tensor:
    before = [k.get(key) for k in kept]
    value, vector = _top(x, torch.stack(before) if all(one is not None for one in before) else None)
    for place, k in enumerate(kept):
        k[key] = vector[place].detach()
    rows = x.pow(2).sum(dim=-1).amax(dim=-1).sqrt()
    columns = x.pow(2).sum(dim=-2).amax(dim=-1).sqrt()
    return torch.maximum(value, torch.maximum(rows, columns))


def _driven(r: torch.Tensor, q: torch.Tensor, *, symmetric: bool) -> torch.Tensor:
    for _ in range(STEPS):
        square = r @ r
        m = 0.5 * r + 0.5 * square
        q = m @ q
        r = m @ r @ m
        if symmetric:
            r = _symmetric(r)
    return q


def _polar(x: torch.Tensor) -> torch.Tensor:
    """The polar factor through the smaller Gram matrix."""
    tall = x.shape[-2] > x.shape[-1]
    x = x.transpose(-2, -1) if tall else x
    x = x.reshape(-1, *x.shape[-2:])
    normed = _normal(x, (-2, -1))
    eye = torch.eye(x.shape[-2])
    out = _driven(normed @ normed.transpose(-2, -1), eye.expand(len(x), *eye.shape).clone(), symmetric=False) @ normed
    return out.transpose(-2, -1) if tall else out


def _inverse_root(x: torch.Tensor) -> torch.Tensor:
    x = _symmetric(x)
    eye = torch.eye(x.shape[-1]).expand_as(x)
    most, _ = _top(x, None, symmetric=True)
    damped = x + (1e-4 * most.reshape(-1, 1, 1)).clamp_min(1e-12) * eye
    scale = damped.diagonal(dim1=-2, dim2=-1).sum(-1).reshape(-1, 1, 1)
    ratio = damped / scale
    return _driven(ratio.clone(), eye.clone(), symmetric=True) / scale.sqrt()
