"""The native engine: a call as one call of compiled C, forwards and backwards; and a single step, prepared."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler.autodiff import Program
from rnnbench.nn.compiler.build import load
from rnnbench.nn.compiler.codegen import FIELDS, emit
from rnnbench.nn.compiler.layout import Layout
from rnnbench.nn.compiler.sequence import CallTensors, SequenceCall

DTYPES = (torch.float32, torch.float64)
CHUNK = 2**20  # bytes of gate gradients that wait for their product, so that they are still in the cache
FEW = 4  # rows for which packing the weights costs more than it gains

_local = threading.local()


def _scratch(units: int, dtype: torch.dtype) -> Tensor:
    """Working memory of this thread, kept from call to call."""
    kept: dict[torch.dtype, Tensor] = _local.__dict__.setdefault("kept", {})
    if dtype not in kept or kept[dtype].numel() < units:
        kept[dtype] = torch.empty(units, dtype=dtype, device="cpu")  # whatever the default device
    return kept[dtype]


class Kernel:
    """The compiled form of a program for one type of number: an `Engine`.

    That for bfloat16 takes and gives float32, as its states and sums are; the operands of its products are rounded to
    bfloat16. It needs a processor that multiplies such numbers.
    """

    def __init__(self, program: Program, dtype: torch.dtype) -> None:
        self.program, self.layout = program, Layout(program)
        self.dtype = torch.float32 if dtype == torch.bfloat16 else dtype
        library = load(emit(self.layout, dtype))
        self.c_forward, self.c_backward = library.forward, library.backward
        self.c_scratch_forward, self.c_scratch_backward = library.scratch_forward, library.scratch_backward
        for function in (self.c_forward, self.c_backward, self.c_scratch_forward, self.c_scratch_backward):
            function.argtypes = [ctypes.c_void_p]
            function.restype = None
        self.c_scratch_forward.restype = self.c_scratch_backward.restype = ctypes.c_int64
        self.argument_type = self._argument_type()

    def _argument_type(self) -> type[ctypes.Structure]:
        """The structure `args` of the generated C."""
        counts = {
            "2": 2,
            "MATRICES": len(self.layout.matrices),
            "STATES": len(self.program.states),
            "EMITTED": len(self.program.emitted),
            "VECTORS": len(self.program.cell.vectors),
            "NOISE": len(self.program.cell.noise_inputs),
        }

        def kind(name: str, count: str | None) -> Any:
            element = ctypes.c_int64 if name == "long" else ctypes.c_void_p
            return element * (counts[count] or 1) if count else element

        fields = [(name, kind(type_, count)) for name, type_, count in FIELDS]
        return type("Arguments", (ctypes.Structure,), {"_fields_": fields})

    @cached_property
    def kept_widths(self) -> tuple[int, int]:
        """How many planes of each width the forward pass keeps."""
        widths = self.layout.kept_widths
        return widths.count("H"), widths.count("P")

    def arguments(self, call: SequenceCall, inputs: Tensor, tensors: CallTensors, **more: Any) -> Any:
        """The arguments of the C functions, but for scratch memory."""
        steps = call.steps
        row = sum(map(call.width, self.program.slots))  # gate gradients of a row
        arguments = self.argument_type(
            T=len(steps.rows), B=call.batch, I=inputs.shape[-1], H=call.hidden_size, P=call.widths[0],
            reverse=call.reverse, packed=call.is_packed,
            chunk=max(256, min(512, CHUNK // (row * self.dtype.itemsize))),
            threads=max(1, min(torch.get_num_threads(), call.batch // 4)),
            plain=steps.total <= FEW, offset=steps.offset.ctypes.data, count=steps.rows.ctypes.data,
            x=inputs.data_ptr(),
        )  # fmt: skip
        arguments.w[:] = _pointers(tensors.matrices)
        arguments.b[:] = _pointers(tensors.biases)
        if tensors.vectors:
            arguments.vec[:] = _pointers(tensors.vectors)
        arguments.init[:] = _pointers(tensors.states)
        for k, noise in enumerate(call.noise):
            arguments.noise[k], arguments.noise_width[k] = noise.data_ptr(), noise.shape[-1]
            arguments.noise_steps[k] = noise.shape[:-1] == inputs.shape[:-1]
        for name, value in more.items():
            if isinstance(value, (list, tuple)):
                if value:
                    getattr(arguments, name)[:] = _pointers(value)
            elif value is not None:
                setattr(arguments, name, value.data_ptr() if isinstance(value, Tensor) else value)
        return arguments

    def forward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool
    ) -> list[Tensor]:
        """All states after all steps; then what the derivative needs: kept planes, means, and earlier states."""
        shape, rows = inputs.shape[:-1], call.steps.total
        after = [inputs.new_empty(*shape, width) for width in call.widths]
        saved = inputs.new_empty(0)
        means, before = saved, list[Tensor]()
        if training:
            h, p = self.kept_widths
            saved = inputs.new_empty(rows, h * call.hidden_size + p * call.widths[0])
            means = inputs.new_empty(rows, len(self.program.adjoint.means))
        if call.is_packed:
            before = [inputs.new_empty(rows, width) for width in call.widths]
        arguments = self.arguments(
            call, inputs, call.split(tensors), training=training, saved=saved, means=means, next=after, prev=before
        )
        address = ctypes.addressof(arguments)
        arguments.scratch = _scratch(self.c_scratch_forward(address), inputs.dtype).data_ptr()
        self.c_forward(address)
        return [*after, saved, means, *before]

    def backward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], results: Sequence[Tensor],
        gradients: Sequence[Tensor | None], needed: Sequence[bool],
    ) -> list[Tensor | None]:  # fmt: skip
        """Gradients of the inputs and of all tensors, from those of the emitted sequences and the final states."""
        states, emitted = len(call.widths), len(self.program.emitted)
        by_kind, after, before = call.split(tensors), results[:states], results[states + 2 :]
        sequences = [None if g is None else g.contiguous() for g in gradients[:emitted]]
        ds = [
            inputs.new_zeros(call.batch, width) if g is None else g.clone(memory_format=torch.contiguous_format)
            for g, width in zip(gradients[emitted:], call.widths, strict=True)
        ]
        needed_by_kind = call.split(needed[1:])  # type: ignore[arg-type]
        dx = torch.empty_like(inputs) if needed[0] else None
        dw = [
            torch.zeros_like(w) if w is not None and need else None
            for w, need in zip(by_kind.matrices, needed_by_kind.matrices, strict=True)
        ]
        widths = list(map(call.width, self.program.slots))
        db = inputs.new_empty(sum(widths))
        dvec = [torch.empty_like(vector) for vector in by_kind.vectors]
        arguments = self.arguments(
            call, inputs, by_kind, dx=dx, dw=dw, db=db, dvec=dvec, ds=ds, gy=sequences,
            saved=results[states], means=results[states + 1], next=after, prev=before,
        )  # fmt: skip
        address = ctypes.addressof(arguments)
        arguments.scratch = _scratch(self.c_scratch_backward(address), inputs.dtype).data_ptr()
        self.c_backward(address)
        parts = torch.split(db, widths)
        biases = [
            None if bias is None else self.program.bias_gradient(matrix, parts, bias)
            for matrix, bias in zip(self.layout.matrices, by_kind.biases, strict=False)
        ]
        return [dx, *ds, *dw, *biases, *dvec]


def _pointers(tensors: Sequence[Tensor | None]) -> list[int | None]:
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]


class Stepper:
    """One step of a stack without a gradient, for one batch size, with all arguments of its kernel prepared.

    `weights` are those of each layer, in the order of a `SequenceCall`'s tensors after the states; `parameters` all
    that the layer has, which hold them. States are `[L, B, W]`, or `[B, W]` of a single layer that is not `stacked`.
    """

    def __init__(
        self, kernel: Kernel, cell: Cell, hidden_size: int, batch: int, weights: Sequence[Sequence[Tensor | None]],
        parameters: Mapping[str, Tensor | None], stacked: bool = True,
    ) -> None:  # fmt: skip
        self.forward, self.dtype = kernel.c_forward, kernel.dtype
        self.parameters = list(parameters.values())
        self.pointers = _pointers(self.parameters)
        widths = cell.state_sizes(hidden_size)
        self.shapes = [torch.Size([len(weights), batch, width][0 if stacked else 1 :]) for width in widths]
        self.sizes = [width * batch * self.dtype.itemsize for width in widths]
        self.arguments, self.calls = [], []
        units = 0
        for layer in weights:
            call = SequenceCall(cell, hidden_size, batch, 1)
            tensors = call.split([*(None for _ in cell.states), *layer])
            weight_ih = tensors.matrices[0]
            assert weight_ih is not None
            inputs = weight_ih.new_empty(1, batch, weight_ih.shape[1])
            arguments = kernel.arguments(call, inputs, tensors, training=False, saved=None, means=None)
            address = ctypes.addressof(arguments)
            units = max(units, kernel.c_scratch_forward(address))
            self.arguments.append((arguments, address))
            self.calls.append(call)  # keeps what the arguments point to
        self.input_shape = torch.Size([batch, self.arguments[0][0].I])
        self.scratch = torch.empty(units, dtype=self.dtype, device="cpu")
        for arguments, _ in self.arguments:
            arguments.scratch = self.scratch.data_ptr()

    def is_valid(self, parameters: Mapping[str, Tensor | None]) -> bool:
        """Whether the layer's parameters are still where they were."""
        if len(parameters) != len(self.parameters):
            return False
        for new, old, pointer in zip(parameters.values(), self.parameters, self.pointers, strict=True):
            if new is not old or (new is not None and new.data_ptr() != pointer):
                return False
        return True

    def fits(self, inputs: Tensor, states: Any) -> bool:
        """Whether inputs `[B, I]` and states need no further check or conversion."""
        return inputs.shape == self.input_shape and self.fits_memory(inputs, states)

    def fits_memory(self, inputs: Tensor, states: Any) -> bool:
        """As `fits`, where it is known that the inputs are `[B, I]`, `[1, B, I]` or `[B, 1, I]`."""
        dtype = self.dtype
        if inputs.shape[-1] != self.input_shape[1] or inputs.dtype is not dtype or not inputs.is_cpu or inputs.is_neg():
            return False
        if not isinstance(states, (tuple, list)) or len(states) != len(self.shapes):
            return False
        for state, shape in zip(states, self.shapes, strict=True):
            if type(state) is not Tensor or state.shape != shape or state.dtype is not dtype or not state.is_cpu:
                return False
            if state.is_neg():
                return False
        return True

    def run(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """States `[L, B, W]` after one step; `inputs` are `[B, I]` with or without a dimension of one step."""
        after = tuple([torch.empty(shape, dtype=self.dtype, device="cpu") for shape in self.shapes])
        if not inputs.is_contiguous():
            inputs = inputs.contiguous()
        states = [state if state.is_contiguous() else state.contiguous() for state in states]
        before_at, after_at = [state.data_ptr() for state in states], [state.data_ptr() for state in after]
        input_at, forward = inputs.data_ptr(), self.forward
        if len(self.arguments) == 1:
            arguments, address = self.arguments[0]
            arguments.x, arguments.init[:], arguments.next[:] = input_at, before_at, after_at
            forward(address)
            return after
        for k, (arguments, address) in enumerate(self.arguments):
            arguments.x = input_at
            arguments.init[:] = [at + k * size for at, size in zip(before_at, self.sizes, strict=True)]
            arguments.next[:] = next_at = [at + k * size for at, size in zip(after_at, self.sizes, strict=True)]
            forward(address)
            input_at = next_at[0]
        return after

    def __call__(self, inputs: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Output `[B, W]`, a part of the new h, and states after one step; `inputs` `[B, I]`, states `[L, B, W]`."""
        after = self.run(inputs, states)
        return after[0][-1], after
