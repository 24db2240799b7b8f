"""What engines that work with torch's operations need of the weights: rows of a product, bias of the slots."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnbench.nn.compiler.autodiff import RECURRENT, Product, Program
from rnnbench.nn.compiler.sequence import SequenceCall


def weight_rows(weight: Tensor | None, product: Product, call: SequenceCall) -> Tensor:
    """The rows of its matrix that a product uses, in the order of its slots."""
    assert weight is not None
    size = call.hidden_size if product.matrix in ("weight_ih", RECURRENT) else weight.shape[0]
    if product.blocks == tuple(range(weight.shape[0] // size)):
        return weight
    blocks = torch.split(weight, size)
    return torch.cat([blocks[k] for k in product.blocks])


def slot_bias(program: Program, call: SequenceCall, biases: Sequence[Tensor | None], like: Tensor) -> Tensor:
    """The bias of all slots side by side: of each the sum of those of its products."""
    parts = []
    for k, width in enumerate(program.slots):
        total = like.new_zeros(call.width(width))
        for p in program.products:
            bias = biases[int(p.matrix == RECURRENT)]
            if k in p.slots and p.bias and bias is not None:
                total = total + torch.split(bias, call.hidden_size)[p.blocks[k - p.start]]
        parts.append(total)
    return torch.cat(parts)
