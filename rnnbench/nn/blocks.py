"""A sequence in blocks of steps: gradients end where a block begins, or blocks are computed again for the gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
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
    sizes: Tensor | None, reverse: bool, *, gradients_end: bool, computed_again: bool,
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
    steps = int(data.shape[0]) if sizes is None else len(sizes)
    bounds = [*range(0, steps, block), steps]  # steps at which blocks begin, and the last ends
    ends = None if sizes is None else [0, *sizes.cumsum(0).tolist()]
    at = bounds if ends is None else [ends[bound] for bound in bounds]  # the same in rows of `data`
    lengths = [stop - start for start, stop in pairwise(at)]
    inputs = torch.split(data, lengths)
    moves = computed_again and not torch.compiler.is_compiling() and is_eager(data) and data.device.type == "cpu"
    if moves:
        run_block = _with_freeing(run_block)
    numbers = range(len(lengths))
    pieces: dict[int, Tensors] = {}
    whole: list[Tensor] = []
    for k in reversed(numbers) if reverse else numbers:
        size = None if sizes is None else sizes[bounds[k] : bounds[k + 1]]
        count = None if size is None else int(size[0])
        noise_here = tuple(
            value[at[k] : at[k + 1]] if len(value) == len(data) and value.ndim == data.ndim else value[:count]
            for value in noise
        )
        before = tuple(None if state is None else state[:count] for state in states)
        if gradients_end and pieces:
            before = tuple(state.detach() for state in before if state is not None)
        arguments = inputs[k], before, noise_here, size
        if computed_again:
            pieces[k], after = checkpoint(run_block, *arguments, use_reentrant=False)
        else:
            pieces[k], after = run_block(*arguments)
        states = tuple(
            new if count is None or old is None else torch.cat([new, old[count:]])
            for new, old in zip(after, states, strict=True)
        )
        if moves:
            states = tuple(state.clone() for state in states if state is not None)  # views keep all of their sequence
            if not whole:
                whole = [piece.new_empty(sum(lengths), *piece.shape[1:]) for piece in pieces[k]]
            _move(pieces[k], [memory[at[k] : at[k + 1]] for memory in whole])
    columns = zip(*(pieces[k] for k in numbers), strict=True)
    if moves:
        joined = [_Join.apply(memory, lengths, *column) for memory, column in zip(whole, columns, strict=True)]  # type: ignore[no-untyped-call]
        return tuple(joined), states  # type: ignore[return-value]
    return tuple(torch.cat(column) for column in columns), states  # type: ignore[return-value]


FREE_EVERY = 2**19
"""Bytes of sequences after which memory is given back: of each, a block takes and frees several times as much."""


def _with_freeing(run_block: Callable[..., Result]) -> Callable[..., Result]:
    """`run_block` that gives the memory of former blocks back now and then.

    glibc (seen with 2.36) does not use the gaps again that aligned memory leaves when it is freed: the memory of all
    blocks would add up to what a call without blocks takes.
    """
    size = waiting = 0

    def run(*arguments: Any) -> Result:
        nonlocal size, waiting
        waiting += size
        if waiting >= FREE_EVERY:
            return_freed_memory()
            waiting = 0
        sequences, final = run_block(*arguments)  # from which checkpoint does not come back in the backward pass
        size = sum(sequence.nbytes for sequence in sequences)
        return sequences, final

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
