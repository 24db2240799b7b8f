"""The reference engine: a cell's step in a loop, with nothing but autograd; what the others are tested against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import product
from rnnbench.nn.engine.sequence import Pass


def run(one: Pass, inputs: Tensor, tensors: Sequence[Tensor | None]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Sequences of the emitted states and final states of a pass; any device, any type, any order of derivative."""
    cell, given = one.cell, one.split(tensors)
    (weight_ih, weight_hh, *more), (bias_ih, bias_hh) = given.matrices, given.biases
    names, size = cell.recurrent_gates(), one.hidden_size
    rows = _blocks(weight_hh, bias_hh, names, size)
    length_is_open = isinstance(one.length, torch.SymInt) and not one.is_packed and not cell.raws
    if length_is_open:  # what the loop of an exported program reads may not share memory
        rows = {gate: (w.clone(), None if b is None else b.clone()) for gate, (w, b) in rows.items()}
    mask = cell.recurrent_mask
    now: dict[str, Tensor] = {}

    def recur(value: Tensor, *gates: str) -> Any:
        for gate in gates:
            cell.check_held(gate)
        value = value if mask is None else value * now[mask]
        parts: Any = torch.split(F.linear(value, *_joined([rows[gate] for gate in gates])), size, -1)
        return parts if len(parts) > 1 else parts[0]

    bound = cell.bound(
        recur=recur,
        **dict(zip(cell.vectors, given.vectors, strict=True)),
        **{name: product(weight) for name, weight in zip(cell.matrices, more, strict=True)},  # type: ignore[arg-type]
    )
    projected = F.linear(inputs, weight_ih, bias_ih)  # type: ignore[arg-type]
    states = [
        inputs.new_zeros(one.batch, width) if state is None else state
        for state, width in zip(given.states, one.widths, strict=True)
    ]
    at_once = [gate for gate in names if gate not in cell.held]
    together = _joined([rows[gate] for gate in at_once]) if at_once else None

    def step(inputs: Tensor, before: Sequence[Tensor]) -> list[Tensor]:
        z = dict(zip(cell.gates, torch.split(inputs, size, -1), strict=True))
        h = before[0] if mask is None else before[0] * now[mask]
        hidden = None if together is None else F.linear(h, *together)
        for k, gate in enumerate(at_once):
            part = hidden[..., k * size : (k + 1) * size]  # type: ignore[index]
            if gate in cell.apart:
                z[f"{gate}_h"] = part
            else:
                z[gate] = z[gate] + part
        result = bound.after([z[name] for name in (*cell.gates, *(f"{g}_h" for g in cell.apart))], before)
        return [new.expand_as(old) for new, old in zip(result, before, strict=True)]

    emitted = [cell.states.index(name) for name in cell.emitted]
    if length_is_open:
        return _any_length(step, projected, states, emitted, one.reverse)
    steps = torch.split(projected, one.steps.rows.tolist()) if one.is_packed else projected.unbind(0)
    sequences: list[list[Tensor]] = [[] for _ in emitted]
    order = reversed(range(len(steps))) if one.reverse else range(len(steps))
    for t in order:
        n = steps[t].shape[0] if one.is_packed else one.batch  # len() would fix a size that an export leaves open
        now = {name: one.raw_at(raw, t, n) for name, raw in zip(cell.raws, one.raws, strict=True)}
        vars(bound).update(now)
        after = step(steps[t], [state[:n] for state in states])
        for sequence, k in zip(sequences, emitted, strict=True):
            sequence.append(after[k])
        # rows that have ended keep their state, rows that have not begun keep their initial one
        states = [torch.cat([new, old[n:]]) if n < one.batch else new for new, old in zip(after, states, strict=True)]
    join = torch.cat if one.is_packed else torch.stack
    return tuple(join(part[::-1] if one.reverse else part) for part in sequences), tuple(states)


def _any_length(
    step: Callable[[Tensor, Sequence[Tensor]], list[Tensor]], projected: Tensor, states: Sequence[Tensor],
    emitted: Sequence[int], reverse: bool,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:  # fmt: skip
    """A pass in an export that leaves the number of steps open: a loop of the exported program."""
    from torch._higher_order_ops.scan import scan

    def one_step(before: list[Tensor], inputs: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        after = step(inputs, before)  # nothing that comes out may share its memory
        return [state.clone() for state in after], [after[k].clone() for k in emitted]

    final, sequences = scan(one_step, [state.clone() for state in states], projected, reverse=reverse)
    return tuple(sequences), tuple(final)


def _blocks(
    weight: Tensor | None, bias: Tensor | None, names: Sequence[str], size: int
) -> dict[str, tuple[Tensor, Tensor | None]]:
    if weight is None or not names:
        return {}
    biases = [None] * len(names) if bias is None else torch.split(bias, size)
    return dict(zip(names, zip(torch.split(weight, size), biases, strict=True), strict=True))


def _joined(rows: list[tuple[Tensor, Tensor | None]]) -> tuple[Tensor, Tensor | None]:
    biases = [bias for _, bias in rows if bias is not None]
    return torch.cat([weight for weight, _ in rows]), torch.cat(biases) if biases else None
