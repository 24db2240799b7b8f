"""A sequence in blocks of steps: gradients end where a block begins, or blocks are computed again for the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rnnbench.nn.compiler.sequence import Result
from rnnbench.nn.compiler.torch_mode import is_eager
from rnnbench.utils.allocator import return_freed_memory

Tensors = tuple[Tensor, ...]


def run_blocks(
    run_block: Callable[..., Result], block: int, data: Tensor, states: tuple[Tensor | None, ...], noise: Tensors,
    sizes: Tensor | None, reverse: bool, gradients_end: bool, computed_again: bool,
) -> Result:  # fmt: skip
    """The sequences and final states of a call, in blocks of `block` steps.

    Args:
        run_block: gives sequences and final states of a block, of its inputs, states before it, noise and batch sizes.
        block: steps of a block; the last may have fewer.
        data: inputs, `[T, B, …]`, or `[rows, …]` with the batch `sizes` of a `PackedSequence`.
        states: those before the first step, zeros if None.
        noise: of each step, as `data`, or `[B, …]` for all.
        sizes: rows of each step, if packed.
        reverse: from the last step to the first.
        gradients_end: gradients of states end where a block begins (`bptt`).
        computed_again: a block keeps its inputs and states alone, and the rest is computed again in the backward pass
            (`checkpoint_steps`).
    """
    steps = len(data) if sizes is None else len(sizes)
    offset = range(steps + 1) if sizes is None else [0, *sizes.cumsum(0).tolist()]
    starts = range(0, steps, block)
    lengths = [offset[min(start + block, steps)] - offset[start] for start in starts]
    inputs = torch.split(data, lengths)
    eager = not torch.compiler.is_compiling() and is_eager(data) and data.device.type == "cpu"
    memory: list[Tensor] = []
    pieces: dict[int, Tensors] = {}
    for k in reversed(range(len(starts))) if reverse else range(len(starts)):
        rows, count = slice(offset[starts[k]], offset[starts[k]] + lengths[k]), None
        if sizes is not None:
            count = int(sizes[starts[k]])
        noise_here = tuple(
            value[rows] if len(value) == len(data) and value.ndim == data.ndim else value[:count] for value in noise
        )
        begin = tuple(None if state is None else state[:count] for state in states)
        if gradients_end and pieces:
            begin = tuple(state.detach() for state in begin if state is not None)
        arguments = (inputs[k], begin, noise_here, None if sizes is None else sizes[starts[k] : starts[k] + block])
        if computed_again:
            run = _after_freeing(run_block) if eager else run_block
            pieces[k], end = checkpoint(run, *arguments, use_reentrant=False)
        else:
            pieces[k], end = run_block(*arguments)
        states = tuple(
            new if count is None or old is None else torch.cat([new, old[count:]])
            for new, old in zip(end, states, strict=True)
        )
        if computed_again and eager:
            states = tuple(None if state is None else state.clone() for state in states)  # not a view of all before it
            memory = memory or [piece.new_empty(sum(lengths), *piece.shape[1:]) for piece in pieces[k]]
            _move(pieces[k], [torch.split(whole, lengths)[k] for whole in memory])
    columns = zip(*(pieces[k] for k in range(len(starts))), strict=True)
    if memory:
        joined = [_Join.apply(whole, lengths, *column) for whole, column in zip(memory, columns, strict=True)]  # type: ignore[no-untyped-call]
        return tuple(joined), states  # type: ignore[return-value]
    return tuple(torch.cat(column) for column in columns), states  # type: ignore[return-value]


def _after_freeing(run_block: Callable[..., Result]) -> Callable[..., Result]:
    """`run_block`, after the memory of blocks before it is given back.

    glibc (seen with 2.36) does not use the gaps again that aligned memory leaves when it is freed, so that the memory of
    all blocks would add up to what a call without blocks takes.
    """

    def run(*arguments: Any) -> Result:
        return_freed_memory()
        return run_block(*arguments)

    return run


def _move(pieces: Sequence[Tensor], places: Sequence[Tensor]) -> None:
    """Move pieces into memory for all of them; their own is freed, and only autograd looks at them from now on."""
    for piece, place in zip(pieces, places, strict=True):
        place.copy_(piece.detach())
    for piece in pieces:
        piece.untyped_storage().resize_(0)


class _Join(torch.autograd.Function):
    """The memory into which pieces were moved, as the concatenation of the pieces; derivatives of any order."""

    @staticmethod
    def forward(ctx: Any, memory: Tensor, lengths: list[int], *pieces: Tensor) -> Tensor:
        ctx.lengths = lengths
        ctx.mark_dirty(memory)
        return memory

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return None, None, *torch.split(gradient, ctx.lengths)
