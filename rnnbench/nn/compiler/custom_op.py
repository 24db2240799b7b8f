"""A pass as one operation of torch.library, so that torch.compile sees it from outside only."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import count
from typing import Any
from uuid import uuid4
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler import reference
from rnnbench.nn.compiler.dispatch import choose, kernel_of
from rnnbench.nn.compiler.native import Kernel
from rnnbench.nn.compiler.sequence import Pass

_cells: WeakValueDictionary[str, Cell] = WeakValueDictionary()
_numbers = count()
_PROCESS = uuid4().hex
"""Keeps names apart from those of other processes: compiled graphs that torch keeps on disk have them in their keys."""


def register(cell: Cell) -> str:
    """A name of its own by which the operation finds the cell, as long as somebody holds it."""
    name = f"{type(cell).__qualname__}-{_PROCESS}-{next(_numbers)}"
    _cells[name] = cell
    return name


def run_opaque(
    name: str, one: Pass, inputs: Tensor, tensors: Sequence[Tensor | None]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Sequences of the emitted states, and final states, of a pass."""
    mask = "".join("01"[tensor is not None] for tensor in tensors)
    given = [tensor for tensor in tensors if tensor is not None]
    found = _forward(
        name, inputs, given, list(one.raws), one.batch_sizes, mask, one.hidden_size, one.batch, one.reverse
    )
    count = len(one.widths)
    emitted = tuple(found[one.cell.states.index(state)] for state in one.cell.emitted)
    return emitted, tuple(found[count : 2 * count])


def _restore(
    name: str, inputs: Tensor, given: Sequence[Tensor], raws: Sequence[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool,
) -> tuple[Pass, Kernel | None, list[Tensor | None]]:  # fmt: skip
    cell, rest = _cells[name], iter(given)
    one = Pass(cell, hidden_size, batch, len(inputs), batch_sizes, reverse, raws=tuple(raws))
    kernel = kernel_of(cell, inputs.dtype) if choose(cell, inputs.device, inputs.dtype) == "native" else None
    return one, kernel if isinstance(kernel, Kernel) else None, [next(rest) if k == "1" else None for k in mask]


def _all_states(one: Pass) -> Pass:
    """The pass with the sequences of all its states put out."""
    cell = one.cell.bound(outputs=one.cell.states)
    return Pass(cell, one.hidden_size, one.batch, one.length, one.batch_sizes, one.reverse, raws=one.raws)


def _derivable() -> AbstractContextManager[Any]:
    """Inside an operation torch has taken autograd out of the way: put it back."""
    left_out = torch._C._dispatch_tls_local_exclude_set()
    for key in ("AutogradFunctionality", "AutogradOther", "ADInplaceOrView"):
        left_out = left_out.remove(getattr(torch._C.DispatchKey, key))
    taken = torch._C._dispatch_tls_local_include_set()
    return torch._C._ForceDispatchKeyGuard(taken, left_out)


@torch.library.custom_op("rnnbench::sequence", mutates_args=())
def _forward(
    name: str, inputs: Tensor, given: list[Tensor], raws: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool,
) -> list[Tensor]:  # fmt: skip
    one, kernel, tensors = _restore(name, inputs, given, raws, batch_sizes, mask, hidden_size, batch, reverse)
    inputs, tensors = inputs.contiguous(), [None if t is None else t.contiguous() for t in tensors]
    count = len(one.widths)
    if kernel is None or not inputs.numel():
        with torch.no_grad():
            sequences, final = reference.run(_all_states(one), inputs, tensors)
        return [*(s.clone() for s in sequences), *(f.clone() for f in final), *(inputs.new_empty(0) for _ in range(2))]
    results = kernel.run(one, inputs, tensors, True)
    return [*results[:count], *(one.final(state).clone() for state in results[:count]), *results[count:]]


@_forward.register_fake
def _(
    name: str, inputs: Tensor, given: list[Tensor], raws: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool,
) -> list[Tensor]:  # fmt: skip
    cell = _cells[name]
    widths = cell.state_sizes(hidden_size)
    kernel = kernel_of(cell, inputs.dtype) if choose(cell, inputs.device, inputs.dtype) == "native" else None
    shape, rows = inputs.shape[:-1], inputs.shape[0] if inputs.ndim == 2 else inputs.shape[0] * inputs.shape[1]
    found = [inputs.new_empty(*shape, w) for w in widths] + [inputs.new_empty(batch, w) for w in widths]
    if not isinstance(kernel, Kernel):
        return [*found, inputs.new_empty(0), inputs.new_empty(0)]
    h, p = kernel.kept_widths
    found += [inputs.new_empty(rows, h * hidden_size + p * widths[0])]
    found += [inputs.new_empty(rows, len(kernel.program.adjoint.means))]
    return found + ([inputs.new_empty(rows, w) for w in widths] if batch_sizes is not None else [])


@torch.library.custom_op("rnnbench::sequence_backward", mutates_args=())
def _backward(
    name: str, inputs: Tensor, given: list[Tensor], raws: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool, results: list[Tensor], gradients: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    one, kernel, tensors = _restore(name, inputs, given, raws, batch_sizes, mask, hidden_size, batch, reverse)
    inputs, tensors = inputs.contiguous(), [None if t is None else t.contiguous() for t in tensors]
    count, emitted = len(one.widths), [one.cell.states.index(state) for state in one.cell.emitted]
    if kernel is None or not inputs.numel():
        leaves = [t.detach().requires_grad_() for t in (inputs, *(t for t in tensors if t is not None))]
        rest = iter(leaves[1:])
        with torch.enable_grad(), _derivable():
            sequences, final = reference.run(
                _all_states(one), leaves[0], [None if t is None else next(rest) for t in tensors]
            )
            found = torch.autograd.grad(
                [*(sequences[k] for k in emitted), *final], leaves,
                [*(gradients[k] for k in emitted), *gradients[count:]], allow_unused=True,
            )  # fmt: skip
        return [torch.zeros_like(t) if g is None else g.contiguous() for g, t in zip(found, leaves, strict=True)]
    chosen = [*(gradients[k] for k in emitted), *gradients[count : 2 * count]]
    back = kernel.back(
        one, inputs, tensors, [*results[:count], *results[2 * count :]], chosen, [True] * (1 + len(tensors))
    )
    wanted = [True, *(k == "1" for k in mask)]
    return [g.clone() for g, want in zip(back, wanted, strict=True) if want and g is not None]


@_backward.register_fake
def _(
    name: str, inputs: Tensor, given: list[Tensor], raws: list[Tensor], batch_sizes: Tensor | None, mask: str,
    hidden_size: int, batch: int, reverse: bool, results: list[Tensor], gradients: list[Tensor],
) -> list[Tensor]:  # fmt: skip
    return [torch.empty(t.shape, dtype=t.dtype, device=t.device) for t in (inputs, *given)]


def _setup(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    _, data, given, raws, batch_sizes, *_ = inputs
    sizes = [batch_sizes] if batch_sizes is not None else []
    ctx.save_for_backward(data, *given, *raws, *sizes, *output)
    ctx.counts = len(given), len(raws), len(sizes), len(_cells[inputs[0]].states)
    ctx.about = inputs[0], inputs[5:]


def _gradient(ctx: Any, gradients: list[Tensor]) -> tuple[Any, ...]:
    (name, rest), (given, raws, sizes, states) = ctx.about, ctx.counts
    data, *saved = ctx.saved_tensors
    one, two, three = given, given + raws, given + raws + sizes
    found = _backward(
        name, data, saved[:one], saved[one:two], saved[two] if sizes else None, *rest, saved[three:],
        [g.contiguous() for g in gradients[: 2 * states]],
    )  # fmt: skip
    return (None, found[0], list(found[1:]), [None] * raws, *[None] * (1 + len(rest)))


torch.library.register_autograd("rnnbench::sequence", _gradient, setup_context=_setup)
