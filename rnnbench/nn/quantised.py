"""Weights of eight bits for inference: each layer's numbers in a quarter of the memory, at some loss of precision."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnbench.nn import fused
from rnnbench.nn.cell_modules import RecurrentCell
from rnnbench.nn.feedforward import CNN, TCN, WindowMLP
from rnnbench.nn.recurrent import Recurrent

KINDS = {nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell}
"""The layers of torch that have an int8 form."""


class QuantisedLayer(nn.Module):
    """An LSTM or GRU with int8 weights, called as the `Recurrent` it was made of; for inference on a CPU alone.

    Weights are int8 with one scale a matrix, inputs and states are rounded for each product as they come (dynamic
    quantisation), and everything else is float32. torch's own kernels compute it.

    Args:
        layer: in evaluation mode, in float32 on the CPU.

    Raises:
        ValueError: torch has no int8 kernel for this layer.
    """

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        if reason := unquantisable(layer):
            raise ValueError(f"{type(layer).__name__} cannot have int8 weights: {reason}")
        self.input_size, self.hidden_size, self.num_layers = layer.input_size, layer.hidden_size, layer.num_layers
        self.batch_first, self.bidirectional = layer.batch_first, layer.bidirectional
        self.directions, self.output_size = layer.directions, layer.output_size
        self.quantised: Any = _with_int8(nn.Sequential(layer.to_torch().eval())).get_submodule("0")

    @property
    def backend(self) -> str:
        """What computes it."""
        return "int8"

    def train(self, mode: bool = True) -> QuantisedLayer:
        """Stay in evaluation mode.

        Raises:
            RuntimeError: the layer is to be trained.
        """
        if mode:
            raise RuntimeError("int8 weights cannot be trained: train the float32 module, and quantise it then")
        return super().train(mode)

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        """Output and final states, as of the float32 layer."""
        return self.quantised(input, hx)

    def step(self, input: Tensor, hx: Any = None) -> Any:
        """One step: input `[B, I]`, output `[B, H]`, states `[L, B, H]`.

        Raises:
            ValueError: the layer is bidirectional.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional layer has no step: it needs the whole sequence")
        at = 1 if self.batch_first else 0
        output, final = self.quantised(input.unsqueeze(at), hx)
        return output.squeeze(at), final


def unquantisable(layer: Recurrent) -> str | None:
    """Why a layer cannot have int8 weights; None if it can."""
    if (reason := fused.unsupported_reason(layer.cell, vars(layer))) is not None:
        return f"only LSTM and GRU can, and {reason}"
    if layer.mode.startswith("RNN") and not isinstance(layer, RecurrentCell):
        return "only LSTM and GRU can, torch has no int8 kernel for an Elman network"
    if layer.proj_size:
        return "torch has no int8 kernel for a projected LSTM"
    weight = layer.any_weight
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return f"its weights must be float32 on the CPU, they are {weight.dtype} on {weight.device}"
    return None


def quantise(module: nn.Module) -> nn.Module:
    """A copy of a module for inference on a CPU, in which all recurrent and `nn.Linear` layers have int8 weights.

    The copy has no gradient and cannot be trained; embeddings, convolutions of your own and everything else are as
    before. Cells (`LSTMCell`, `GRUCell`, `RNNCell`) become those of `torch.ao.nn.quantized.dynamic`.

    Raises:
        RuntimeError: the module is in training mode.
        ValueError: a layer of it has no int8 form (of recurrent ones only LSTM and GRU have), it has none that could
            have one, or torch has none at all here.
    """
    if module.training:
        raise RuntimeError(
            f"{type(module).__name__} is in training mode, and int8 weights cannot be trained: call eval() first"
        )
    result = nn.Sequential(copy.deepcopy(module))
    ours = (Recurrent, CNN, TCN, WindowMLP)
    for path, part in list(result.named_modules()):
        if isinstance(part, ours):
            above, _, own = path.rpartition(".")
            try:
                setattr(result.get_submodule(above), own, _int8_form(part))
            except ValueError as error:
                name = path.partition(".")[2]
                raise ValueError(f"{name}: {error}" if name else str(error)) from None
    if not any(isinstance(part, (QuantisedLayer, *KINDS)) for part in result.modules()):
        raise ValueError(f"{type(module).__name__} has no layer with an int8 form: LSTM, GRU and nn.Linear have one")
    return _with_int8(result).get_submodule("0")


def _int8_form(layer: nn.Module) -> nn.Module:
    """What takes the place of one of our layers.

    Raises:
        ValueError: it has no int8 form.
    """
    if not isinstance(layer, Recurrent):
        raise ValueError(f"{type(layer).__name__} cannot have int8 weights: torch has no such kernel for a convolution")
    if not isinstance(layer, RecurrentCell):
        return QuantisedLayer(layer)
    if reason := unquantisable(layer):
        raise ValueError(f"{type(layer).__name__} cannot have int8 weights: {reason}")
    return layer.to_torch().eval()  # replaced with the linear layers


def _with_int8(module: nn.Module) -> nn.Module:
    """The module with torch's dynamically quantised layers in the place of its own."""
    try:
        from torch.ao.quantization import quantize_dynamic
    except ImportError:  # torch says that it will move to torchao, which has no recurrent layers yet
        raise ValueError(f"torch {torch.__version__} has no layers with int8 weights") from None
    if torch.backends.quantized.engine in ("", "none"):
        raise ValueError("torch was built without int8 kernels for this processor")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", ".*quantize", category=UserWarning)
        result: nn.Module = quantize_dynamic(module, KINDS, dtype=torch.qint8, inplace=True)  # type: ignore[no-untyped-call]
    return result
