"""Penalties on hidden states over the true steps of sequences."""

import torch
from torch import Tensor

from rnnbench.nn import activation_regularisation


def activation_penalty(hidden: Tensor, dropped: Tensor, lengths: Tensor | None, alpha: float, beta: float) -> Tensor:
    """`α mean(h'_t²) + β mean((h_{t+1} − h_t)²)` (Merity, McCann & Socher 2017, eq. 2 and 3, means for norms).

    `hidden` are the states h, `dropped` those after dropout, h', both `[B, T, D·H]`; the means are over the true
    steps, and pairs of true steps, that `lengths` `[B]` leave.
    """
    if lengths is None:
        lengths = torch.full(hidden.shape[:1], hidden.shape[1], device=hidden.device)
    known = torch.arange(hidden.shape[1], device=hidden.device) < lengths.unsqueeze(1)
    penalty = activation_regularisation(dropped[known].unsqueeze(0), alpha, 0.0)
    pairs = known[:, 1:]
    if not (beta and pairs.any()):
        return penalty
    steps = torch.stack([hidden[:, :-1][pairs], hidden[:, 1:][pairs]])
    return penalty + activation_regularisation(steps, 0.0, beta)
