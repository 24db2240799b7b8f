"""The gated recurrent unit."""

import torch
from torch import nn


class GRU(nn.GRU):
    """Gated recurrent unit (Cho et al. 2014), reset gate applied after the recurrent product as in cuDNN and torch.

    `r, z = σ(W x_t + U h_{t-1} + b)`, `n = tanh(W_n x_t + b_n + r ⊙ (U_n h_{t-1} + c_n))`,
    `h_t = (1 − z) ⊙ n + z ⊙ h_{t-1}`: here `z` keeps the old state (Cho et al. eq. 7); Chung et al. 2014 name its
    complement `z`.

    Arguments, call and shapes are those of `torch.nn.GRU`; state `[L·D, B, H]`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device, dtype=dtype
        )
