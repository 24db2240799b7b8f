"""Penalties on hidden states over the true steps of sequences."""

import torch
from torch import Tensor

from rnnbench.architectures.micro_batches import Term


def activation_penalties(
    hidden: Tensor, dropped: Tensor, lengths: Tensor | None, alpha: float, beta: float
) -> list[Term]:
    """`α mean(h'_t²)` and `β mean((h_{t+1} − h_t)²)` (Merity, McCann & Socher 2017, eq. 2 and 3, means for norms).

    `hidden` are the states h, `dropped` those after dropout, h', both `[B, T, D·H]`; the means are over the true
    steps, and pairs of true steps, that `lengths` `[B]` leave. One whose factor is 0 is left out.
    """
    if lengths is None:
        lengths = torch.full(hidden.shape[:1], hidden.shape[1], device=hidden.device)
    known = torch.arange(hidden.shape[1], device=hidden.device) < lengths.unsqueeze(1)
    moved = hidden[:, 1:] - hidden[:, :-1]
    chosen = [(alpha, dropped[known]), (beta, moved[known[:, 1:]])]
    return [Term(factor * of.square().sum(), of.new_tensor(of.numel())) for factor, of in chosen if factor]
