"""Long short-term memory."""

import torch
from torch import nn


class LSTM(nn.LSTM):
    """Long short-term memory (Hochreiter & Schmidhuber 1997) with forget gate (Gers, Schmidhuber & Cummins 2000).

    `i, f, o = σ(W x_t + U h_{t-1} + b)`, `g = tanh(W x_t + U h_{t-1} + b)`, `c_t = f ⊙ c_{t-1} + i ⊙ g`,
    `h_t = o ⊙ tanh(c_t)`.

    Arguments, call and shapes are those of `torch.nn.LSTM`; state `(h, c)`, each `[L·D, B, H]`. `forget_bias`, when
    given, is what the forget gate's two biases add up to at the start (Jozefowicz, Zaremba & Sutskever 2015 advise 1).

    Raises:
        ValueError: `forget_bias` is given although `bias` is False.
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
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        forget_bias: float | None = None,
    ) -> None:
        if forget_bias is not None and not bias:
            raise ValueError("forget_bias is given, but the layer has no bias: leave forget_bias out or set bias=True")
        self.forget_bias = forget_bias  # before super().__init__, which calls reset_parameters
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype
        )

    def reset_parameters(self) -> None:
        """Draw all weights from U(−1/√H, 1/√H), as torch does, then set the forget gate's bias if one was given."""
        super().reset_parameters()
        if self.forget_bias is None:
            return
        forget = slice(self.hidden_size, 2 * self.hidden_size)  # torch's gate order: i, f, g, o
        with torch.no_grad():
            for name, bias in self.named_parameters():
                if name.startswith("bias"):
                    bias[forget] = self.forget_bias if name.startswith("bias_ih") else 0.0
