"""Loops over steps that belong to the program which `torch.export` or `torch.jit.trace` makes.

A loop of Python would be unrolled there, and the program would be right for one number of steps alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Step = Callable[[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]], list[Tensor]]
"""States after one step: a function, of tensors alone, of the rows of the step, the states before it, what is the same
at every step for each row (masks), and what is the same for all rows too (constants)."""


def scan_steps(
    step: Step, rows: Sequence[Tensor], states: Sequence[Tensor], masks: Sequence[Tensor], constants: Sequence[Tensor],
    reverse: bool, emitted: Sequence[int],
) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """The emitted states after each step `[T, B, W]`, and all after the last `[B, W]`, by a `scan` of an export.

    `rows` are `[T, B, …]`, `states` and `masks` `[B, …]`; `emitted` are numbers of states.

    The operator is called itself. `torch._higher_order_ops.scan.scan` would compile the step with torch.compile first,
    whose cache takes it for one that it has seen in another export, with other sizes, and which hands sizes over as
    inputs of the step, of which torch then cannot take the derivative.
    """
    from torch._higher_order_ops.scan import scan_op

    count, split = len(states), len(states) + len(rows)

    def combine(*values: Tensor) -> list[Tensor]:
        fixed = values[split:]
        after = step(values[count:split], values[:count], fixed[: len(masks)], fixed[len(masks) :])
        return own([*after, *(after[k] for k in emitted)])

    def own(tensors: Sequence[Tensor]) -> list[Tensor]:
        """Tensors that share no memory, their strides those of their shapes: states must have the same before and
        after a step. What goes to ONNX has no derivative: torch can fail to write down that of a loop whose batch is
        open."""
        detached = [value.detach() if torch.onnx.is_in_onnx_export() else value for value in tensors]
        return [value.clone(memory_format=torch.contiguous_format) for value in detached]

    ordered = [row.flip(0) for row in rows] if reverse else rows
    results = scan_op(combine, own(states), own(ordered), tuple(own([*masks, *constants])))
    sequences = [sequence.flip(0) if reverse else sequence for sequence in results[count:]]
    return sequences, list(results[:count])


def scan_calls(
    module: nn.Module, step: Callable[..., list[Tensor]], rows: Sequence[Tensor], states: Sequence[Tensor],
    fixed: Sequence[Tensor],
) -> Tensor:  # fmt: skip
    """The first state after each step `[T, …]`, by a `scan` of an export whose steps call a module.

    `step(call, rows, states, fixed)` gives the states after a step; `call` is the module, with the parameters that the
    loop was given: it may not use those of outside of it. `rows` are `[T, …]`, `fixed` the same at every step.
    """
    weights = {**dict(module.named_parameters()), **dict(module.named_buffers())}

    def with_weights(
        rows: Sequence[Tensor], before: Sequence[Tensor], fixed: Sequence[Tensor], values: Sequence[Tensor]
    ) -> list[Tensor]:
        own = dict(zip(weights, values, strict=True))
        return step(lambda *arguments: functional_call(module, own, arguments), rows, before, fixed)

    return scan_steps(with_weights, rows, states, fixed, list(weights.values()), reverse=False, emitted=[0])[0][0]


def script_steps(
    step: Step, rows: Sequence[Tensor], states: Sequence[Tensor], masks: Sequence[Tensor], constants: Sequence[Tensor],
    reverse: bool, emitted: Sequence[int], batch_sizes: Tensor | None,
) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """The emitted states after each step, and all after the last, as a loop of TorchScript around the traced step.

    `rows` are `[T, B, …]`, or `[rows, …]` with the `batch_sizes` of a `PackedSequence`; sequences are as rows.
    """
    shape = rows[0].shape[:-1]
    if batch_sizes is None:
        batch_sizes = torch.ones(shape[0], dtype=torch.int64) * shape[1]
        rows = [row.flatten(0, 1) for row in rows]
    with _outside_of_the_trace():  # where sizes are numbers
        widths = [[value.shape[-1] for value in values] for values in (rows, states, masks)]
    count = len(constants)

    def joined_step(row: Tensor, state: Tensor, mask: Tensor, constants: list[Tensor]) -> Tensor:
        rows, states, masks = (
            torch.split(joined, width, -1) if width else ()
            for joined, width in zip((row, state, mask), widths, strict=True)
        )
        return torch.cat(step(rows, states, masks, constants[:count]), -1)

    row, state = torch.cat(list(rows), -1), torch.cat(list(states), -1)
    mask = torch.cat(list(masks), -1) if masks else state.new_zeros(state.shape[0], 0)
    constant_list = list(constants) or [state.new_zeros(0)]  # TorchScript takes no empty list
    with _outside_of_the_trace():
        examples = *(value.detach()[:1] for value in (row, state, mask)), [value.detach() for value in constant_list]
        traced: Any = torch.jit.trace(joined_step, examples, check_trace=False)  # type: ignore[no-untyped-call]

        def loop(
            row: Tensor, sizes: Tensor, state: Tensor, mask: Tensor, constants: list[Tensor], reverse: bool
        ) -> tuple[Tensor, Tensor]:
            ends, steps = sizes.cumsum(0), sizes.size(0)
            outputs: list[Tensor] = []
            for k in range(steps):
                t = steps - 1 - k if reverse else k
                n, end = int(sizes[t]), int(ends[t])
                after = traced(row[end - n : end], state[:n], mask[:n], constants)
                outputs.insert(0 if reverse else k, after)
                state = torch.cat([after, state[n:]])  # rows that have ended, or not begun, keep theirs
            return torch.cat(outputs), state

        scripted = torch.jit.script(loop)
    sequence, final = scripted(row, batch_sizes, state, mask, constant_list, reverse)
    sequences = [part.reshape(*shape, part.shape[-1]) for part in torch.split(sequence, widths[1], -1)]
    return [sequences[k] for k in emitted], list(torch.split(final, widths[1], -1))


@contextmanager
def _outside_of_the_trace() -> Iterator[None]:
    """Nothing that is done here is recorded by the trace that is being made."""
    state = torch._C._get_tracing_state()
    torch._C._set_tracing_state(None)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch._C._set_tracing_state(state)  # type: ignore[attr-defined]
