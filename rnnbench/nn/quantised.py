"""Weights of eight bits for inference: each layer's numbers in a quarter of the memory, at some loss of precision."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_map

from rnnbench.nn import fused
from rnnbench.nn.cell_modules import RecurrentCell
from rnnbench.nn.feedforward import CNN, TCN, WindowMLP
from rnnbench.nn.recurrent import Recurrent

KINDS = (nn.Linear, nn.LSTM, nn.GRU, nn.LSTMCell, nn.GRUCell, nn.RNNCell)
"""The layers of torch that have an int8 form."""
TRAINING_ONLY = {"variational_dropout": 0.0, "weight_dropout": 0.0, "checkpoint_steps": None, "bptt": None}
"""Options of a layer that do nothing in evaluation, and their values in a layer without them."""


class QuantisedLayer(nn.Module):
    """An LSTM or GRU with int8 weights, called as the `Recurrent` it was made of; for inference on a CPU alone.

    Weights are int8 with one scale a matrix, inputs and states are rounded for each product as they come (dynamic
    quantisation), and everything else is float32. torch's own kernels compute it.

    Args:
        layer: in evaluation mode, in float32 on the CPU.

    Raises:
        RuntimeError: the layer is in training mode.
        ValueError: torch has no int8 kernel for this layer.
    """

    def __init__(self, layer: Recurrent) -> None:
        super().__init__()
        check_evaluation(layer)
        check_quantisable(layer)
        self.input_size, self.hidden_size, self.num_layers = layer.input_size, layer.hidden_size, layer.num_layers
        self.batch_first, self.bidirectional = layer.batch_first, layer.bidirectional
        self.directions, self.output_size = layer.directions, layer.output_size
        self.quantised: Any = _with_int8(fused.torch_layer(layer))

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
        if isinstance(input, PackedSequence) or input.ndim == 3:
            return self.quantised(input, hx)
        batch = 0 if self.batch_first else 1  # a sequence [T, I] by itself
        states = None if hx is None else tree_map(lambda state: state.unsqueeze(1), hx)
        output, final = self.quantised(input.unsqueeze(batch), states)
        return output.squeeze(batch), tree_map(lambda state: state.squeeze(1), final)

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


def check_evaluation(module: nn.Module) -> None:
    """Check that nothing in a module is to be trained.

    Raises:
        RuntimeError: a part of it is in training mode.
    """
    for name, part in module.named_modules():
        if part.training:
            where = f"{name} of {type(module).__name__}" if name else type(module).__name__
            raise RuntimeError(f"{where} is in training mode, and int8 weights cannot be trained: call eval() first")


def check_quantisable(layer: nn.Module) -> None:
    """Check that a layer, ours or torch's, has an int8 form.

    Raises:
        ValueError: it has none.
    """
    if (reason := _unquantisable(layer)) is not None:
        raise ValueError(f"{type(layer).__name__} cannot have int8 weights: {reason}")


def _unquantisable(layer: Any) -> str | None:
    if isinstance(layer, (CNN, TCN, WindowMLP)):
        return "torch has no such kernel for a convolution"
    if isinstance(layer, Recurrent):
        reason = fused.unsupported_reason(layer.cell, {**vars(layer), **TRAINING_ONLY})
        if reason is not None:
            return f"only LSTM and GRU can, and {reason}"
        is_elman, is_cell = layer.mode.startswith("RNN"), isinstance(layer, RecurrentCell)
    else:
        is_elman, is_cell = isinstance(layer, nn.RNN), False
    if is_elman and not is_cell:
        return "only LSTM and GRU can, torch has no int8 kernel for an Elman network"
    if not isinstance(layer, nn.Linear):
        if layer.bias is False:
            return "torch's int8 kernels add biases, and it has none (bias=False)"
        if getattr(layer, "proj_size", 0):
            return "torch has no int8 kernel for a projected LSTM"
    weight = next(layer.parameters())
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return f"its weights must be float32 on the CPU, they are {weight.dtype} on {weight.device}"
    return None


def quantise(module: nn.Module) -> nn.Module:
    """A copy of a module for inference on a CPU, in which all recurrent and `nn.Linear` layers have int8 weights.

    The copy has no gradient and cannot be trained; embeddings, convolutions of your own and everything else are as
    before. Cells (`LSTMCell`, `GRUCell`, `RNNCell`) become those of `torch.ao.nn.quantized.dynamic`.

    Raises:
        RuntimeError: a part of the module is in training mode.
        ValueError: a layer of it has no int8 form (of recurrent layers LSTM and GRU have one, and the three cells),
            there is nothing that could have one, or torch has none at all here.
    """
    check_evaluation(module)
    result = nn.Sequential(copy.deepcopy(module))
    small: dict[nn.Module, nn.Module] = {}
    for path, part in list(result.named_modules(remove_duplicate=False)):  # a layer may be held under several names
        if isinstance(part, (Recurrent, CNN, TCN, WindowMLP, nn.RNN)) or type(part) in KINDS:
            if part not in small:
                try:
                    small[part] = _int8_form(part)
                except ValueError as error:
                    name = path.partition(".")[2]
                    raise ValueError(f"{name}: {error}" if name else str(error)) from None
            above, _, own = path.rpartition(".")
            setattr(result.get_submodule(above), own, small[part])
    if not small:
        known = "LSTM, GRU, nn.Linear and the cells LSTMCell, GRUCell and RNNCell have one"
        raise ValueError(f"{type(module).__name__} has no layer with an int8 form: {known}")
    return result.get_submodule("0")


def _int8_form(layer: nn.Module) -> nn.Module:
    """What takes the place of a layer.

    Raises:
        ValueError: it has no int8 form.
    """
    check_quantisable(layer)
    if isinstance(layer, RecurrentCell):
        return _with_int8(layer.to_torch())
    return QuantisedLayer(layer) if isinstance(layer, Recurrent) else _with_int8(layer)


def _with_int8(layer: nn.Module) -> nn.Module:
    """torch's dynamically quantised layer for one of its own."""
    try:
        from torch.ao.quantization import quantize_dynamic
    except ImportError:  # torch says that it will move to torchao, which has no recurrent layers yet
        raise ValueError(f"torch {torch.__version__} has no layers with int8 weights") from None
    if torch.backends.quantized.engine in ("", "none"):
        raise ValueError("torch was built without int8 kernels for this processor")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", ".*quantize", category=UserWarning)
        whole: nn.Module = quantize_dynamic(nn.Sequential(layer), {*KINDS}, dtype=torch.qint8, inplace=True)  # type: ignore[no-untyped-call]
    return whole.get_submodule("0")
