"""Layers that are not recurrent: an MLP over a window, a convolutional network, a temporal convolutional network.

What they make of a step is a function of finitely many steps around it: the baselines to which a memory is compared.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rnnbench.nn.checks import check_flag, check_number, check_padded, check_whole
from rnnbench.nn.compiler.torch_mode import is_recorded


class Feedforward(nn.Module, ABC):
    """A layer without recurrence over sequences `[B, T, I]`, padded at the end.

    Called with inputs `[B, T, I]` and true lengths `[B]` (each 1 to T), or None where nothing is padded, it gives
    `[B, T, output_size]`, zero beyond each length. What stands in the padding, NaN too, has no influence on the result
    or on a gradient. Inside, tensors are `[B, channels, T]`, as torch's convolutions take them.

    `causal` says that no output depends on a later input; `receptive_field` is how many input steps one output sees,
    those before the start and after the end, which are zero, counted in.

    A subclass hands its sizes to the constructor, which checks them; `widths` are then the channels that each of its
    layers reads, of which `fewest` must be there at least.

    Raises:
        ValueError: a size or probability out of range; the shape of an input, or a length.
        TypeError: a size that is not a whole number; an input that is not a tensor.
    """

    causal: bool
    directions = 1
    backend = "torch"
    receptive_field: int

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int, dropout: float, *, fewest: int = 1, **sizes: int
    ) -> None:
        for name, value in {"input_size": input_size, "hidden_size": hidden_size, **sizes}.items():
            check_whole(name, value)
        check_whole("num_layers", num_layers, least=fewest)
        check_number("dropout", dropout)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be at least 0 and less than 1, got {dropout}")
        super().__init__()
        self.input_size, self.output_size = input_size, hidden_size
        self.widths = [input_size, *[hidden_size] * (num_layers - 1)][:num_layers]

    def forward(self, input: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The output `[B, T, output_size]` of `input` `[B, T, I]` whose true `lengths` are `[B]`."""
        check_padded(self.input_size, input, lengths)
        beyond = None
        if lengths is not None:
            steps = torch.arange(input.shape[1], device=input.device)
            beyond = (steps >= lengths.to(input.device).unsqueeze(1)).unsqueeze(1)
        signal = mask_padding(input.transpose(1, 2), beyond)
        return mask_padding(self.compute(signal, beyond), beyond).transpose(1, 2)

    @abstractmethod
    def compute(self, signal: Tensor, beyond: Tensor | None) -> Tensor:
        """`[B, output_size, T]` of `signal` `[B, I, T]`, which is zero where `beyond` `[B, 1, T]` (past the end) holds.

        What it gives past the end is free.
        """


class WindowMLP(Feedforward):
    """A multilayer perceptron over the last steps, the same at every step: a time-delay network (Waibel et al. 1989).

    `u_t = [x_{t−w+1}, …, x_t]`, zeros before the start; `h¹_t = ReLU(W¹ u_t + b¹)`, `hˡ_t = ReLU(Wˡ hˡ⁻¹_t + bˡ)`.
    With `residual` `hˡ_t = hˡ⁻¹_t + ReLU(Wˡ hˡ⁻¹_t + bˡ)` from the second layer on (He et al. 2016). Causal. With a
    window of T or more the last step sees the whole sequence. Without a hidden layer the output is the window itself,
    oldest step first: a linear head on it is linear or logistic regression.

    Args:
        input_size: features of a step, I.
        hidden_size: units of each hidden layer, H.
        num_layers: hidden layers, L, 0 or more.
        dropout: probability, on the output of every layer but the last, while training.
        window: steps seen at once, w.
        residual: add what a layer reads to what it says, from the second on.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a value out of range.
        TypeError: a size that is not a whole number.
    """

    causal = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        *,
        window: int = 16,
        residual: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, dropout, fewest=0, window=window)
        check_flag("residual", residual)
        if not num_layers:
            self.output_size = window * input_size
        self.residual = residual
        self.window = self.receptive_field = window
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.layers = nn.ModuleList(
            nn.Conv1d(width, hidden_size, 1 if k else window, **factory) for k, width in enumerate(self.widths)
        )
        self.dropout = nn.Dropout(dropout)

    def compute(self, signal: Tensor, beyond: Tensor | None) -> Tensor:
        """The perceptron at every step at once; its first layer is a convolution."""
        if not self.layers:
            windows = F.pad(signal, (self.window - 1, 0)).unfold(2, self.window, 1)  # [B, I, T, w]
            return windows.permute(0, 3, 1, 2).flatten(1, 2)
        layers: list[Any] = list(self.layers)
        first, *others = layers
        # the weights of steps before the start meet zeros alone; a recorded program may be given more steps
        seen = self.window if is_recorded() else min(self.window, signal.shape[-1])
        hidden = F.relu(F.conv1d(F.pad(signal, (seen - 1, 0)), first.weight[..., -seen:], first.bias))
        for layer in others:
            inner = F.relu(layer(self.dropout(hidden)))
            hidden = hidden + inner if self.residual else inner
        return hidden


class CNN(Feedforward):
    """A stack of convolutions over time (LeCun et al. 1989, in one dimension). Not causal.

    `hˡ_t = ReLU(Σ_{j=−r…r} Wˡ_j hˡ⁻¹_{t+j} + bˡ)` with r = (k − 1) / 2, `h⁰ = x`, and every `hˡ` zero before the start
    and after the end of its sequence.

    Args:
        input_size: features of a step, I.
        hidden_size: channels of each layer, H.
        num_layers: depth, L.
        dropout: probability, on the output of every layer but the last, while training.
        kernel_size: steps that a convolution sees, k, odd.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a value out of range.
        TypeError: a size that is not a whole number.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        *,
        kernel_size: int = 5,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, dropout, kernel_size=kernel_size)
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, as many steps before as after, got {kernel_size}")
        self.receptive_field = 1 + num_layers * (kernel_size - 1)
        factory: dict[str, Any] = {"padding": kernel_size // 2, "device": device, "dtype": dtype}
        self.layers = nn.ModuleList(nn.Conv1d(width, hidden_size, kernel_size, **factory) for width in self.widths)
        self.dropout = nn.Dropout(dropout)

    def compute(self, signal: Tensor, beyond: Tensor | None) -> Tensor:
        """The stack; after each layer the padding is zero again, as what lies after the end of a sequence alone is."""
        first, *others = self.layers
        hidden = F.relu(first(signal))
        for layer in others:
            hidden = F.relu(layer(self.dropout(mask_padding(hidden, beyond))))
        return hidden


class TCN(Feedforward):
    """Temporal convolutional network (Bai, Kolter & Koltun 2018): a stack of causal, dilated residual blocks.

    Block l = 0 … L − 1 has the dilation d = 2ˡ. With `(W ∗ h)_t = Σ_{j=0…k−1} W_j h_{t−dj}`, zeros before the start,
    `F(h) = D(ReLU(W² ∗ D(ReLU(W¹ ∗ h + b¹)) + b²))` and `hˡ⁺¹ = ReLU(hˡ + F(hˡ))`, where `hˡ` goes through a 1×1
    convolution if its width is not H. D is spatial dropout: it drops whole channels of a sequence. Every W but that of
    the 1×1 convolution is weight-normalised (Salimans & Kingma 2016). Causal; an output sees
    1 + 2 (k − 1) (2ᴸ − 1) steps.

    Args:
        input_size: features of a step, I.
        hidden_size: channels of each block, H.
        num_layers: blocks, L.
        dropout: probability of D, while training.
        kernel_size: taps of a convolution, k.
        device: of the parameters.
        dtype: of the parameters.

    Raises:
        ValueError: a value out of range.
        TypeError: a size that is not a whole number.
    """

    causal = True

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        dropout: float = 0.0,
        *,
        kernel_size: int = 3,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, dropout, kernel_size=kernel_size)
        self.receptive_field = 1 + 2 * (kernel_size - 1) * (2**num_layers - 1)
        factory: dict[str, Any] = {"device": device, "dtype": dtype}
        self.blocks = nn.Sequential(
            *(_Block(width, hidden_size, kernel_size, 2**k, dropout, **factory) for k, width in enumerate(self.widths))
        )

    def compute(self, signal: Tensor, beyond: Tensor | None) -> Tensor:
        """The blocks; nothing that is causal reads the padding at the end."""
        return self.blocks(signal)  # type: ignore[no-any-return]


class _Block(nn.Module):
    """A residual block of `TCN`."""

    def __init__(self, width: int, hidden: int, taps: int, dilation: int, dropout: float, **factory: Any) -> None:
        super().__init__()
        self.first = _CausalConvolution(width, hidden, taps, dilation, **factory)
        self.second = _CausalConvolution(hidden, hidden, taps, dilation, **factory)
        self.residual = nn.Identity() if width == hidden else nn.Conv1d(width, hidden, 1, **factory)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, signal: Tensor) -> Tensor:
        hidden = self.dropout(F.relu(self.first(signal)))
        hidden = self.dropout(F.relu(self.second(hidden)))
        return F.relu(self.residual(signal) + hidden)


class _CausalConvolution(nn.Module):
    """A dilated causal convolution of weight `g v / ‖v‖`, the norm taken for each output channel.

    torch's own weight normalisation is a parametrisation, and a module that has one cannot be pickled.
    """

    def __init__(self, width: int, hidden: int, taps: int, dilation: int, **factory: Any) -> None:
        super().__init__()
        drawn = nn.Conv1d(width, hidden, taps, **factory)  # starts as torch's convolutions do
        self.weight_v, self.bias = drawn.weight, drawn.bias
        self.weight_g = nn.Parameter(drawn.weight.detach().norm(dim=(1, 2), keepdim=True))
        self.dilation, self.before = dilation, (taps - 1) * dilation

    def forward(self, signal: Tensor) -> Tensor:
        weight = self.weight_g * self.weight_v / self.weight_v.norm(dim=(1, 2), keepdim=True)
        return F.conv1d(F.pad(signal, (self.before, 0)), weight, self.bias, dilation=self.dilation)


def mask_padding(signal: Tensor, beyond: Tensor | None) -> Tensor:
    """`signal` `[B, C, T]` with zeros where `beyond` `[B, 1, T]` holds."""
    return signal if beyond is None else signal.masked_fill(beyond, 0.0)
