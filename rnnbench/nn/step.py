"""One step without a gradient, with everything prepared: what generation and streaming spend their time on."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from rnnbench.nn.autocast import autocasts, result_dtypes
from rnnbench.nn.checks import InputError, InputTypeError, check_inputs, check_states, check_weights
from rnnbench.nn.compiler.dispatch import check_unchanged, kernel_of, plain
from rnnbench.nn.compiler.native import Kernel
from rnnbench.nn.compiler.sequence import Pass

if TYPE_CHECKING:
    from rnnbench.nn.recurrent import Recurrent


def suits(layer: Recurrent) -> bool:
    """Whether a step of this layer can be prepared: compiled, and nothing around its cells but the stack."""
    cell = layer.cells[layer.training][0]
    return (
        layer.backend == "native"
        and layer.connections == "plain"
        and not (layer.training and (layer.dropout or layer.weight_dropout))
        and not cell.raws
        and not cell.reworks
        and all(isinstance(one, nn.Parameter) and one.is_contiguous() for one in _weights(layer))
    )


def _weights(layer: Recurrent) -> list[Tensor]:
    """What the layer computes with: no parameters, if they are made of others (pruned, normalised, low rank)."""
    return [one for k in range(layer.num_layers) for one in layer.parameters_of(k, f"_l{k}").values()]


class Stepper:
    """A step of a layer for one batch size."""

    def __init__(self, layer: Recurrent, batch: int) -> None:
        cell, weight = layer.cells[layer.training][0], layer.parameters_of(0, "_l0")["weight_ih"]
        kernel: Any = kernel_of(cell, weight.dtype)
        assert isinstance(kernel, Kernel)
        self.kernel, self.widths = kernel, cell.state_sizes(layer.hidden_size)
        self.names, self.parameters = list(layer._parameters), list(layer._parameters.values())
        self.pointers = [parameter.data_ptr() for parameter in layer.parameters()]
        self.input_shape, self.dtype = torch.Size([batch, layer.input_size]), weight.dtype
        self.shapes = [torch.Size([layer.num_layers, batch, width]) for width in self.widths]
        self.sizes = [width * batch * weight.element_size() for width in self.widths]
        self.calls, self.passes = [], []
        units = 0
        for k in range(layer.num_layers):
            given = layer.parameters_of(k, f"_l{k}")
            names = ("weight_ih", "weight_hh", *cell.matrices, "bias_ih", "bias_hh", *cell.vectors)
            check_weights(layer, k, {name: given.get(name) for name in names}, weight)
            one = Pass(cell, layer.hidden_size, batch, 1)
            tensors = one.split([*(None for _ in cell.states), *(given.get(name) for name in names)])
            inputs = weight.new_empty(1, batch, tensors.matrices[0].shape[1])  # type: ignore[union-attr]
            made = kernel.call(one, inputs, tensors, training=False, saved=None, means=None)
            units = max(units, kernel.units(made, back=False))
            self.calls.append((made, kernel.address(made)))
            self.passes.append(one)  # keeps what the call points to
        self.scratch = weight.new_empty(units)
        for made, _ in self.calls:
            made.scratch = self.scratch.data_ptr()

    def valid(self, layer: Recurrent) -> bool:
        """Whether the layer's parameters are still where they were."""
        now: Any = layer._parameters.values()
        return list(layer._parameters) == self.names and all(
            new is old and old.data_ptr() == at
            for new, old, at in zip(now, self.parameters, self.pointers)  # noqa: B905
        )

    def fits(self, inputs: Tensor, states: Any) -> bool:
        """Whether nothing is left to be checked."""
        if inputs.shape != self.input_shape or inputs.dtype is not self.dtype or not inputs.is_cpu:
            return False
        return (
            isinstance(states, (tuple, list))
            and len(states) == len(self.shapes)
            and all(
                isinstance(state, Tensor) and state.shape == shape and state.dtype is self.dtype and state.is_cpu
                for state, shape in zip(states, self.shapes)  # noqa: B905
            )
        )

    def __call__(self, inputs: Tensor, states: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output and states after one step; `inputs` `[B, I]`, states `[L, B, W]`."""
        inputs, states = inputs.contiguous(), tuple(state.contiguous() for state in states)
        after = tuple(torch.empty(shape, dtype=self.dtype, device="cpu") for shape in self.shapes)
        before_at, after_at = [state.data_ptr() for state in states], [state.data_ptr() for state in after]
        where, forward = inputs.data_ptr(), self.kernel.forward
        for k, (made, address) in enumerate(self.calls):
            made.x = where
            made.init[:] = [at + k * size for at, size in zip(before_at, self.sizes)]  # noqa: B905
            made.next[:] = next_at = [at + k * size for at, size in zip(after_at, self.sizes)]  # noqa: B905
            forward(address)
            where = next_at[0]
        return after[0][-1], after


def run_step(layer: Recurrent, input: Tensor, hx: Any) -> tuple[Tensor, Any]:
    """One step of a stack; see `Recurrent.step`."""
    if layer.bidirectional:
        raise ValueError("a bidirectional layer has no step: it needs the whole sequence")
    if not isinstance(input, Tensor):
        raise InputTypeError(f"input of a step must be a tensor, got {type(input).__name__}")
    if input.ndim != 2:
        raise InputError(f"input of a step must be [B, I], got shape {list(input.shape)}")
    batch, casts = input.shape[0], autocasts(input.device)
    hooked = layer._forward_pre_hooks or layer._forward_hooks  # they belong to a call of the layer
    stepper = None if hooked or torch.is_grad_enabled() or not plain(input) else _stepper(layer, batch)
    if stepper is None:
        output, final = layer(input.unsqueeze(1 if layer.batch_first else 0), hx)
        return output.squeeze(1 if layer.batch_first else 0), final
    states = (hx,) if isinstance(hx, Tensor) else hx
    dtypes: tuple[torch.dtype, ...] = ()
    if casts or not stepper.fits(input, states):
        check_inputs(layer, input, None)
        states = check_states(layer, hx, batch, False, input)
        if casts:
            dtypes = result_dtypes(layer, input, states, packed=False)
            input = input.to(stepper.dtype)
            states = None if states is None else tuple(state.to(stepper.dtype) for state in states)
        if states is None:
            states = tuple(input.new_zeros(shape) for shape in stepper.shapes)
    output, after = stepper(input, states)
    if dtypes:
        output, after = output.to(dtypes[0]), tuple(state.to(dtype) for state, dtype in zip(after, dtypes, strict=True))
    return output, after if len(after) > 1 else after[0]


def _stepper(layer: Recurrent, batch: int) -> Stepper | None:
    """The prepared step for a batch size, if one can be prepared."""
    key = batch, layer.training, layer.engine, threading.get_ident()  # a call's arguments are one thread's
    found = layer.steppers.get(key)
    if found is None or not found.valid(layer):
        if not batch or not suits(layer):
            return None
        found = layer.steppers[key] = Stepper(layer, batch)
    check_unchanged(layer.cells[layer.training][0])
    return found
