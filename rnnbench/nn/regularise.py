"""Penalties on what a recurrent layer puts out."""

from __future__ import annotations

from torch import Tensor


def activation_regularisation(
    output: Tensor, alpha: float = 2.0, beta: float = 1.0, batch_first: bool = False
) -> Tensor:
    """`α mean(h_t²) + β mean((h_{t+1} − h_t)²)`: activation and temporal activation regularisation.

    (Merity, McCann & Socher 2017, eq. 2 and 3, with means in the place of norms.) `output` is `[T, B, H]`, or
    `[B, T, H]` with `batch_first`; the result is a scalar to add to a loss.
    """
    steps = output.transpose(0, 1) if batch_first else output
    penalty = alpha * output.square().mean()
    return penalty + beta * (steps[1:] - steps[:-1]).square().mean() if len(steps) > 1 else penalty
