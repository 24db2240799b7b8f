"""The reference engine: a cell's step in a loop, with nothing but autograd; what the others are tested against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import product
from rnnbench.nn.compiler.loops import is_traced, scan_steps, script_steps
from rnnbench.nn.compiler.sequence import Pass, Tensors

Step = Callable[[Tensor, Sequence[Tensor], Mapping[str, Tensor]], list[Tensor]]
"""States after one step from its projected inputs `[n, …]`, the states before it and the raws of its rows by name."""


def run(one: Pass, inputs: Tensor, tensors: Sequence[Tensor | None]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Sequences of the emitted states and final states of a pass; any device, any type, any order of derivative."""
    cell, given = one.cell, one.split(tensors)
    projected = F.linear(inputs, given.matrices[0], given.biases[0])  # type: ignore[arg-type]
    states = [
        inputs.new_zeros(one.batch, width) if state is None else state
        for state, width in zip(given.states, one.widths, strict=True)
    ]
    weights = weights_of(one, given)
    emitted = [cell.states.index(name) for name in cell.emitted]
    if is_traced() or isinstance(one.length, torch.SymInt) or one.outside is not None:
        return _run_recorded(one, projected, states, weights, emitted)
    step = step_of(one, weights)
    steps = torch.split(projected, one.steps.rows.tolist()) if one.is_packed else projected.unbind(0)
    sequences: list[list[Tensor]] = [[] for _ in emitted]
    order = reversed(range(len(steps))) if one.reverse else range(len(steps))
    for t in order:
        n = steps[t].shape[0] if one.is_packed else one.batch  # len() would fix a size that an export leaves open
        raws = {name: one.raw_at(raw, t, n) for name, raw in zip(cell.raws, one.raws, strict=True)}
        after = step(steps[t], [state[:n] for state in states], raws)
        for sequence, k in zip(sequences, emitted, strict=True):
            sequence.append(after[k])
        # rows that have ended keep their state, rows that have not begun keep their initial one
        states = [torch.cat([new, old[n:]]) if n < one.batch else new for new, old in zip(after, states, strict=True)]
    join = torch.cat if one.is_packed else torch.stack
    return tuple(join(part[::-1] if one.reverse else part) for part in sequences), tuple(states)


def weights_of(one: Pass, given: Tensors) -> dict[str, Tensor]:
    """What a pass computes with at every step, by name.

    `weight` and `bias` are the recurrent ones of all gates that h is multiplied with at once, `weight_k` and `bias_k`
    those of a gate k that is held; the cell's matrices and vectors have their own names.
    """
    cell, (_, weight_hh, *matrices), (_, bias_hh) = one.cell, given.matrices, given.biases
    found: dict[str, Tensor] = {}
    names = cell.recurrent_gates()
    for name, whole in (("weight", weight_hh), ("bias", bias_hh)):
        if whole is None or not names:
            continue
        rows = dict(zip(names, torch.split(whole, one.hidden_size), strict=True))
        together = [rows[gate] for gate in names if gate not in cell.held]
        found |= {name: torch.cat(together)} if together else {}
        found |= {f"{name}_{gate}": rows[gate] for gate in names if gate in cell.held}
    found |= {
        f"matrix_{name}": matrix for name, matrix in zip(cell.matrices, matrices, strict=True) if matrix is not None
    }
    return found | {f"vector_{name}": vector for name, vector in zip(cell.vectors, given.vectors, strict=True)}


def step_of(one: Pass, weights: Mapping[str, Tensor]) -> Step:
    """One step of a pass with `weights`, see `weights_of`."""
    cell, size, mask = one.cell, one.hidden_size, one.cell.recurrent_mask
    at_once = [gate for gate in cell.recurrent_gates() if gate not in cell.held]
    now: dict[str, Tensor] = {}

    def recur(value: Tensor, *gates: str) -> Any:
        for gate in gates:
            cell.check_held(gate)
        value = value if mask is None else value * now[mask]
        weight = torch.cat([weights[f"weight_{gate}"] for gate in gates])
        bias = torch.cat([weights[f"bias_{gate}"] for gate in gates]) if f"bias_{gates[0]}" in weights else None
        parts: Any = torch.split(F.linear(value, weight, bias), size, -1)
        return parts if len(parts) > 1 else parts[0]

    bound = cell.bound(
        recur=recur,
        **{name: weights[f"vector_{name}"] for name in cell.vectors},
        **{name: product(weights[f"matrix_{name}"]) for name in cell.matrices},
    )

    def step(inputs: Tensor, before: Sequence[Tensor], raws: Mapping[str, Tensor]) -> list[Tensor]:
        now.update(raws)
        vars(bound).update(raws)
        z = dict(zip(cell.gates, torch.split(inputs, size, -1), strict=True))
        if at_once:
            h = before[0] if mask is None else before[0] * now[mask]
            hidden = F.linear(h, weights["weight"], weights.get("bias"))
            for gate, part in zip(at_once, torch.split(hidden, size, -1), strict=True):
                if gate in cell.apart:
                    z[f"{gate}_h"] = part
                else:
                    z[gate] = z[gate] + part
        result = bound.after([z[name] for name in (*cell.gates, *(f"{g}_h" for g in cell.apart))], before)
        return [new.expand_as(old) for new, old in zip(result, before, strict=True)]

    return step


def _run_recorded(
    one: Pass, projected: Tensor, states: Sequence[Tensor], weights: Mapping[str, Tensor], emitted: Sequence[int]
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """A pass as a loop of the program that an export or a trace makes, over as many steps as that is called with."""
    raws = dict(zip(one.cell.raws, one.raws, strict=True))
    masks = {name: raw for name, raw in raws.items() if name == one.cell.recurrent_mask}  # the same at every step
    each = {name: raw for name, raw in raws.items() if name not in masks}

    def step(
        rows: Sequence[Tensor], before: Sequence[Tensor], masked: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> list[Tensor]:
        now = dict(zip((*each, *masks), (*rows[1 : 1 + len(each)], *masked), strict=True))
        after = step_of(one, dict(zip(weights, constants, strict=True)))(rows[0], before, now)
        if one.outside is None:
            return after
        return [torch.where(rows[-1], old, new) for new, old in zip(after, before, strict=True)]

    rows = [projected, *each.values(), *([] if one.outside is None else [one.outside])]
    given = rows, states, list(masks.values()), list(weights.values()), one.reverse, emitted
    if is_traced():
        sequences, final = script_steps(step, *given, one.batch_sizes)
    else:
        sequences, final = scan_steps(step, *given)
    return tuple(sequences), tuple(final)
