"""The linear recurrence by itself."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler.autodiff import record
from rnnbench.nn.compiler.build import NoCompiler, load
from rnnbench.nn.compiler.codegen import shared_text
from rnnbench.nn.compiler.loops import scan_steps, script_steps
from rnnbench.nn.compiler.sequence import SequenceCall
from rnnbench.nn.compiler.torch_mode import is_eager, is_traced
from rnnbench.nn.compiler.triton_engine import NoTriton, ScanKernel, unsupported_reason

_NUMBERS, _POINTERS = ("T", "N", "threads"), ("a", "b", "h0", "g", "h", "da", "db", "dh0")


class _Arguments(ctypes.Structure):
    _fields_ = [*((name, ctypes.c_int64) for name in _NUMBERS), *((name, ctypes.c_void_p) for name in _POINTERS)]


@cache
def _library(dtype: torch.dtype) -> Any:
    """Compiled form for a type of number; None if it cannot be compiled."""
    if dtype not in (torch.float32, torch.float64):
        return None
    try:
        return load(shared_text(dtype, "scan.h"))
    except NoCompiler:
        return None


def _call(name: str, a: Tensor, **tensors: Tensor | None) -> None:
    pointers = {key: None if tensor is None else tensor.data_ptr() for key, tensor in tensors.items()}
    arguments = _Arguments(T=len(a), N=a[0].numel(), threads=torch.get_num_threads(), a=a.data_ptr(), **pointers)
    getattr(_library(a.dtype), name)(ctypes.byref(arguments))


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor | None) -> Tensor:
        h = torch.empty_like(a)
        _call("forward", a, b=b, h0=h0, h=h)
        ctx.save_for_backward(a, b, h0, h)
        return h

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        a, b, h0, h = ctx.saved_tensors
        g = gradients[0]
        if torch.is_grad_enabled() or not is_eager(g):
            return _derive_loop(ctx, a, b, h0, g)
        g = g.contiguous().resolve_neg()
        da, db = torch.empty_like(a), torch.empty_like(a)
        dh0 = None if h0 is None else torch.empty_like(h0)
        _call("backward", a, h0=h0, g=g, h=h, da=da, db=db, dh0=dh0)
        return da, db, dh0


@dataclass(eq=False)
class _AffineCell(Cell):
    """`h_t = a_t ⊙ h_{t-1} + b_t`."""

    gates = ("a", "b")
    recurrent = ()

    def step(self, z: Any, s: Any) -> Any:
        """New state."""
        return z.a * s.h + z.b


@cache
def _triton_kernel() -> ScanKernel:
    return ScanKernel(record(_AffineCell()))


class _TritonScan(torch.autograd.Function):
    """The recurrence by the kernels of a cell, with factors and terms in the place of its products with the input."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, h0: Tensor | None) -> Tensor:
        call = SequenceCall(_AffineCell(), a.shape[2], a.shape[1], a.shape[0])
        initial = a.new_zeros(a.shape[1:], dtype=torch.float32) if h0 is None else h0.float()
        states = torch.empty_like(a, dtype=torch.float32)
        tensors = {"xz": torch.cat([a, b], -1), "initial_0": initial, "seq_0": states}
        _triton_kernel().launch("forward", call, tensors, a)
        ctx.save_for_backward(a, b, h0, initial, states)
        ctx.call = call
        return states.to(a.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        a, b, h0, initial, states = ctx.saved_tensors
        g = gradients[0]
        if torch.is_grad_enabled() or not is_eager(g):
            return _derive_loop(ctx, a, b, h0, g)
        d, ds = a.new_empty(*a.shape[:2], 2 * a.shape[2]), torch.zeros_like(initial)
        tensors = {
            "initial_0": initial,
            "seq_0": states,
            "saved_0": a,
            "gy_0": g.contiguous().resolve_neg(),
            "ds_0": ds,
            "d": d,
        }
        try:
            _triton_kernel().launch("backward", ctx.call, tensors, a)
        except NoTriton:
            return _derive_loop(ctx, a, b, h0, g)
        da, db = d.chunk(2, -1)
        return da, db, None if h0 is None else ds.to(h0.dtype)


def _derive_loop(ctx: Any, a: Tensor, b: Tensor, h0: Tensor | None, g: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients that can be derived again: a derivative of the derivative is wanted, or many at once."""
    with torch.enable_grad():  # views: each is a variable of its own
        views = [tensor.view_as(tensor) for tensor in (a, b, h0) if tensor is not None]
        sources = [view for view, need in zip(views, ctx.needs_input_grad, strict=False) if need]
        results = iter(torch.autograd.grad(loop(*views), sources, g, create_graph=True))
    return tuple(next(results) if need else None for need in ctx.needs_input_grad)


def _step(rows: Sequence[Tensor], before: Sequence[Tensor], *_: Sequence[Tensor]) -> list[Tensor]:
    return [rows[0] * before[0] + rows[1]]


def loop(a: Tensor, b: Tensor, h0: Tensor | None = None) -> Tensor:
    """`linear_recurrence` with plain autograd."""
    state, states = torch.zeros_like(b[0]) if h0 is None else h0, []
    if is_traced():
        return script_steps(_step, [a, b], [state], [], [], False, [0], None)[0][0]
    if isinstance(a.shape[0], torch.SymInt):
        return scan_steps(_step, [a, b], [state], [], [], False, [0])[0][0]
    for factor, term in zip(a.unbind(0), b.unbind(0), strict=True):
        state = factor * state + term
        states.append(state)
    return torch.stack(states)


def linear_recurrence(a: Tensor, b: Tensor, h0: Tensor | None = None) -> Tensor:
    """All states of `h_t = a_t ⊙ h_{t-1} + b_t`.

    `a` and `b` are `[T, B, H]`, `h0` is `[B, H]` (zeros if None); the result is `[T, B, H]`. One pass over memory in
    compiled C on a CPU, chunks of steps beside each other on a GPU that Triton knows (not for float64).

    Raises:
        ValueError: shapes that differ, or no step.
        TypeError: dtypes or devices that differ.
    """
    tensors = [tensor for tensor in (a, b, h0) if tensor is not None]
    if a.shape != b.shape or a.ndim != 3 or a.shape[0] == 0 or (h0 is not None and h0.shape != a.shape[1:]):
        shapes = ", ".join(str(list(tensor.shape)) for tensor in tensors)
        raise ValueError(f"a and b must have one shape [T, B, H] with T ≥ 1, and h0 [B, H]; got {shapes}")
    if len({(tensor.dtype, tensor.device) for tensor in tensors}) > 1:
        kinds = ", ".join(f"{tensor.dtype} on {tensor.device}" for tensor in tensors)
        raise TypeError(f"a, b and h0 must have one dtype and device; got {kinds}")
    if not a.numel() or torch.compiler.is_compiling() or not is_eager(*tensors):
        return loop(*tensors)
    a, b, *begin = (tensor.contiguous().resolve_neg() for tensor in tensors)
    h0 = begin[0] if begin else None
    if a.device.type == "cpu":
        return loop(*tensors) if _library(a.dtype) is None else _Scan.apply(a, b, h0)  # type: ignore[no-untyped-call]
    if unsupported_reason(a.device, a.dtype):
        return loop(*tensors)
    try:
        return _TritonScan.apply(a, b, h0)  # type: ignore[no-any-return, no-untyped-call]
    except NoTriton as error:
        warnings.warn(f"linear_recurrence runs as a loop, which is slower: {error}", stacklevel=2)
        return loop(*tensors)
