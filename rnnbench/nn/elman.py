"""The simple recurrent network."""

from typing import Literal

import torch
from torch import nn


class Elman(nn.RNN):
    """Simple recurrent network (Elman 1990).

    `h_t = f(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)` with `f` tanh or ReLU.

    Arguments, call and shapes are those of `torch.nn.RNN`: input `[T, B, I]` (`[B, T, I]` with `batch_first`) or a
    `PackedSequence`; output `[T, B, D·H]`; state `[L·D, B, H]`, with D = 2 if bidirectional, else 1.

    Raises:
        ValueError: `nonlinearity` is neither `tanh` nor `relu`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: Literal["tanh", "relu"] = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            nonlinearity,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device=device,
            dtype=dtype,
        )
