"""A call as one operation of torch.library, so that torch.compile sees it from outside only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler import chunks
from rnnbench.nn.compiler.dispatch import choose, engine_of, failed_triton_kernel, instead_of_triton
from rnnbench.nn.compiler.native import Kernel
from rnnbench.nn.compiler.reference import of_one_dtype
from rnnbench.nn.compiler.sequence import Engine, Result, SequenceCall
from rnnbench.nn.compiler.triton_engine import NoTriton, TritonKernel, unsupported_reason

_cells: WeakValueDictionary[str, Cell] = WeakValueDictionary()
_numbers = count()
_PROCESS = uuid4().hex
"""Keeps names apart from those of other processes: compiled graphs that torch keeps on disk have them in their keys."""


def register(cell: Cell) -> str:
    """A name of its own by which the operation finds the cell, as long as somebody holds it."""
    name = f"{type(cell).__qualname__}-{_PROCESS}-{next(_numbers)}"
    _cells[name] = cell
    return name


def call_custom_op(
    name: str, required: str | None, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None]
) -> Result:  # fmt: skip
    """Sequences of the emitted states, and final states, of a call of the cell registered under `name`; `required` is
    the engine that the layer asks for."""
    if chunks.runs_in_chunks(call.cell):  # torch's own operations, which torch.compile may look into
        return chunks.run(call, inputs, tensors)
    mask = "".join("01"[tensor is not None] for tensor in tensors)
    present = [tensor for tensor in tensors if tensor is not None]
    results = _forward(
        name, inputs, present, list(call.noise), call.batch_sizes, mask, call.hidden_size, call.batch, call.reverse,
        required == "triton",
    )  # fmt: skip
    states = len(call.widths)
    return call.emitted(results[:states]), tuple(results[states : 2 * states])


class _CompiledForTriton:
    """The engine of a graph that was compiled for Triton kernels: another one runs where they cannot be started, and
    leaves what they would have kept as it is."""

    def __init__(self, kernel: TritonKernel) -> None:
        self.kernel = kernel

    def forward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool
    ) -> list[Tensor]:
        if not self.kernel.failed and inputs.numel():
            try:
                return self.kernel.forward(call, inputs, tensors, training)
            except NoTriton as error:
                instead_of_triton(call.cell, error)
        inputs_now, tensors = of_one_dtype(inputs, tensors)
        states = self._other(call).forward(call, inputs_now, tensors, False)[: len(call.widths)]
        return [*(state.to(inputs.dtype) for state in states), *self.kernel.kept(call, inputs)]

    def backward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], results: Sequence[Tensor],
        gradients: Sequence[Tensor | None], needed: Sequence[bool],
    ) -> list[Tensor | None]:  # fmt: skip
        if not self.kernel.failed and inputs.numel():
            try:
                return self.kernel.backward(call, inputs, tensors, results, gradients, needed)
            except NoTriton as error:
                instead_of_triton(call.cell, error)
        before, (inputs, tensors) = (inputs, *tensors), of_one_dtype(inputs, tensors)
        gradients = [None if g is None else g.to(inputs.dtype) for g in gradients]
        results = self._other(call).forward(call, inputs, tensors, True)
        computed = self._other(call).backward(call, inputs, tensors, results, gradients, needed)
        return [
            None if gradient is None or tensor is None else gradient.to(tensor.dtype)
            for gradient, tensor in zip(computed, before, strict=True)
        ]

    def _other(self, call: SequenceCall) -> Engine:
        return engine_of("function" if call.batch and call.length else "reference", call.cell, torch.float32)


def _engine(cell: Cell, inputs: Tensor, triton: bool) -> Engine:
    """The kernel, by Triton if that is asked for; or the reference, whose derivative torch.compile may look into."""
    wanted = (triton or inputs.device.type != "cpu") and not unsupported_reason(inputs.device, inputs.dtype)
    if wanted and (kernel := failed_triton_kernel(cell)):
        return _CompiledForTriton(kernel)
    name = choose(cell, inputs.device, inputs.dtype, "triton" if triton else None)
    engine = engine_of(name if name in ("native", "triton") else "reference", cell, inputs.dtype)
    return _CompiledForTriton(engine) if isinstance(engine, TritonKernel) else engine


def _restore(
    name: str, inputs: Tensor, present: Sequence[Tensor], noise: Sequence[Tensor], batch_sizes: Tensor | None,
    mask: str, hidden_size: int, batch: int, reverse: bool, triton: bool,
) -> tuple[Engine, SequenceCall, Tensor, list[Tensor | None]]:  # fmt: skip
    """The engine, and its arguments from those of the operation, which can be tensors or lists of them only."""
    cell, rest = _cells[name], iter(present)
    call = SequenceCall(cell, hidden_size, batch, len(inputs), batch_sizes, reverse, tuple(noise))
    engine = _engine(cell, inputs, triton)
    if not inputs.numel() and not isinstance(engine, _CompiledForTriton):
        engine = engine_of("reference", cell, inputs.dtype)
    tensors = [next(rest).contiguous() if k == "1" else None for k in mask]
    return engine, call, inputs.contiguous(), tensors


@torch.library.custom_op("rnnbench::sequence", mutates_args=())
def _forward(
    name: str, inputs: Tensor, present: list[Tensor], noise: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool, triton: bool,
) -> list[Tensor]:  # fmt: skip
    """All states after all steps, all final states, and what the derivative needs in addition."""
    engine, call, inputs, tensors = _restore(
        name, inputs, present, noise, batch_sizes, mask, hidden_size, batch, reverse, triton
    )
    results = engine.forward(call, inputs, tensors, True)
    sequences, kept = results[: len(call.widths)], results[len(call.widths) :]
    return [*sequences, *(call.final(state).clone() for state in sequences), *(kept or _nothing_kept(inputs))]


def _nothing_kept(inputs: Tensor) -> list[Tensor]:
    """In the place of the two tensors that a kernel keeps."""
    return [inputs.new_empty(0), inputs.new_empty(0)]


@_forward.register_fake
def _(
    name: str, inputs: Tensor, present: list[Tensor], noise: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool, triton: bool,
) -> list[Tensor]:  # fmt: skip
    cell = _cells[name]
    widths, kernel = cell.state_sizes(hidden_size), _engine(cell, inputs, triton)
    shape, rows = inputs.shape[:-1], inputs.shape[0] if inputs.ndim == 2 else inputs.shape[0] * inputs.shape[1]
    results = [inputs.new_empty(*shape, w) for w in widths] + [inputs.new_empty(batch, w) for w in widths]
    if isinstance(kernel, _CompiledForTriton):
        call = SequenceCall(cell, hidden_size, batch, len(inputs), batch_sizes, reverse)
        return [*results, *kernel.kernel.kept(call, inputs)]
    if not isinstance(kernel, Kernel):
        return results + _nothing_kept(inputs)
    h, p = kernel.kept_widths
    results += [inputs.new_empty(rows, h * hidden_size + p * widths[0])]
    results += [inputs.new_empty(rows, len(kernel.program.adjoint.means))]
    return results + ([inputs.new_empty(rows, w) for w in widths] if batch_sizes is not None else [])


@torch.library.custom_op("rnnbench::sequence_backward", mutates_args=())
def _backward(
    name: str, inputs: Tensor, present: list[Tensor], noise: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool, triton: bool, results: list[Tensor], gradients: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    """Gradients of the inputs and of the tensors that are present, from those of all states, after all steps and
    final."""
    engine, call, inputs, tensors = _restore(
        name, inputs, present, noise, batch_sizes, mask, hidden_size, batch, reverse, triton
    )
    states = len(call.widths)
    kept = [*results[:states], *results[2 * states :]]
    wanted = [*call.emitted(gradients[:states]), *gradients[states : 2 * states]]
    computed = engine.backward(call, inputs, tensors, kept, wanted, [True] * (1 + len(tensors)))
    return [
        torch.zeros_like(tensor) if gradient is None else gradient.clone(memory_format=torch.contiguous_format)
        for tensor, gradient in zip((inputs, *tensors), computed, strict=True)
        if tensor is not None
    ]


@_backward.register_fake
def _(
    name: str, inputs: Tensor, present: list[Tensor], noise: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool, triton: bool, results: list[Tensor], gradients: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    return [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (inputs, *present)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _, data, present, noise, batch_sizes, *_ = inputs
    sizes = [batch_sizes] if batch_sizes is not None else []
    ctx.save_for_backward(data, *present, *noise, *sizes, *output)
    ctx.counts = len(present), len(noise), len(sizes), len(_cells[inputs[0]].states)
    ctx.name, ctx.settings = inputs[0], inputs[5:]


def _gradient(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    present, noise, sizes, states = ctx.counts
    data, *saved = ctx.saved_tensors
    noise_at, sizes_at, output_at = present, present + noise, present + noise + sizes
    computed = _backward(
        ctx.name, data, saved[:noise_at], saved[noise_at:sizes_at], saved[sizes_at] if sizes else None, *ctx.settings,
        saved[output_at:], [g.contiguous() for g in gradients[: 2 * states]],
    )  # fmt: skip
    return (None, computed[0], list(computed[1:]), [None] * noise, *[None] * (1 + len(ctx.settings)))


torch.library.register_autograd("rnnbench::sequence", _gradient, setup_context=_setup)


def _one_after_the_other(operation: Any, info: Any, in_dims: tuple[Any, ...], *arguments: Any) -> tuple[Any, list[int]]:
    """The rule of `torch.func.vmap`: a call for each of what is mapped, as the engines do without torch.compile."""

    def at(k: int, value: Any, dim: Any) -> Any:
        if isinstance(value, list):
            return [at(k, one, its) for one, its in zip(value, dim, strict=True)]
        return value if dim is None else value.select(dim, k)

    results = [
        operation(*(at(k, value, dim) for value, dim in zip(arguments, in_dims, strict=True)))
        for k in range(info.batch_size)
    ]
    return [torch.stack(column) for column in zip(*results, strict=True)], [0] * len(results[0])


for _operation in (_forward, _backward):
    torch.library.register_vmap(_operation, partial(_one_after_the_other, _operation))
