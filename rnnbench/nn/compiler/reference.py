"""The reference engine: a cell's step in a loop, with nothing but autograd; what the others are tested against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import product
from rnnbench.nn.compiler import onnx_operators
from rnnbench.nn.compiler.loops import scan_steps, script_steps
from rnnbench.nn.compiler.sequence import CallTensors, Result, SequenceCall
from rnnbench.nn.compiler.torch_mode import is_traced

Step = Callable[[Tensor, Sequence[Tensor], Mapping[str, Tensor]], list[Tensor]]
"""States after one step from its projected inputs `[n, …]`, the states before it and the noise of its rows by name."""


class Reference:
    """The loop as an `Engine`: its derivative is autograd's, of the loop run once more."""

    def forward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool
    ) -> list[Tensor]:
        """All states after all steps."""
        cell = call.cell.with_values(outputs=call.cell.states)  # a copy that emits all
        full = SequenceCall(
            cell, call.hidden_size, call.batch, call.length, call.batch_sizes, call.reverse, call.noise, call.padding
        )
        with torch.no_grad():
            return list(run(full, inputs, tensors)[0])

    def backward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], results: Sequence[Tensor],
        gradients: Sequence[Tensor | None], needed: Sequence[bool],
    ) -> list[Tensor | None]:  # fmt: skip
        """Gradients of the inputs and of all tensors, from those of the emitted sequences and the final states."""
        leaves = [None if t is None else t.detach().requires_grad_() for t in (inputs, *tensors)]
        with torch.enable_grad(), _autograd():
            return differentiate(call, leaves[0], leaves[1:], gradients, needed)  # type: ignore[arg-type]


def differentiate(
    call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], gradients: Sequence[Tensor | None],
    needed: Sequence[bool], create_graph: bool = False,
) -> list[Tensor | None]:  # fmt: skip
    """Gradients of the inputs and of all tensors, by autograd; with `create_graph` they can be derived again."""
    # views: what an input was itself computed from, by the same weights or not, is no part of this call
    inputs, *tensors = (None if t is None else t.view_as(t) for t in (inputs, *tensors))  # type: ignore[assignment]
    sequences, final = run(call, inputs, tensors)
    pairs = [
        (o, g.to(o.dtype))
        for o, g in zip((*sequences, *final), gradients, strict=True)
        if g is not None and o.requires_grad
    ]
    sources = [t for t, need in zip((inputs, *tensors), needed, strict=True) if need and t is not None]
    outputs, output_gradients = [output for output, _ in pairs], [gradient for _, gradient in pairs]
    results = iter(
        torch.autograd.grad(outputs, sources, output_gradients, create_graph=create_graph, allow_unused=True)
    )
    return [
        next(results) if need and t is not None else None for t, need in zip((inputs, *tensors), needed, strict=True)
    ]


def _autograd() -> AbstractContextManager[Any]:
    """Autograd as usual: torch switches it off inside an operation of torch.library."""
    excluded = torch._C._dispatch_tls_local_exclude_set()
    for key in ("AutogradFunctionality", "AutogradOther", "ADInplaceOrView"):
        excluded = excluded.remove(getattr(torch._C.DispatchKey, key))
    included = torch._C._dispatch_tls_local_include_set()
    return torch._C._ForceDispatchKeyGuard(included, excluded)


def run(call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None]) -> Result:
    """Sequences of the emitted states and final states of a call; any device, any type, any order of derivative."""
    inputs, tensors = of_one_dtype(inputs, tensors)
    cell, by_kind = call.cell, call.split(tensors)
    if onnx_operators.records_operator(call, inputs):
        return onnx_operators.run(call, inputs, by_kind)
    projected = F.linear(inputs, by_kind.matrices[0], by_kind.biases[0])  # type: ignore[arg-type]
    states = [
        inputs.new_zeros(call.batch, width) if state is None else state
        for state, width in zip(by_kind.states, call.widths, strict=True)
    ]
    weights = weights_of(call, by_kind)
    emitted = [cell.states.index(name) for name in cell.emitted]
    if is_traced() or isinstance(call.length, torch.SymInt) or call.padding is not None:
        return _run_recorded(call, projected, states, weights, emitted)
    step = step_of(call, weights)
    steps = torch.split(projected, call.steps.rows.tolist()) if call.is_packed else projected.unbind(0)
    sequences: list[list[Tensor]] = [[] for _ in emitted]
    order = reversed(range(len(steps))) if call.reverse else range(len(steps))
    for t in order:
        n = steps[t].shape[0] if call.is_packed else call.batch  # len() would fix a size that an export leaves open
        noise = {name: call.noise_at(value, t, n) for name, value in zip(cell.noise_inputs, call.noise, strict=True)}
        after = step(steps[t], [state[:n] for state in states], noise)
        for sequence, k in zip(sequences, emitted, strict=True):
            sequence.append(after[k])
        # rows that have ended keep their state, rows that have not begun keep their initial one
        states = [torch.cat([new, old[n:]]) if n < call.batch else new for new, old in zip(after, states, strict=True)]
    join = torch.cat if call.is_packed else torch.stack
    return tuple(join(part[::-1] if call.reverse else part) for part in sequences), tuple(states)


def of_one_dtype(inputs: Tensor, tensors: Sequence[Tensor | None]) -> tuple[Tensor, list[Tensor | None]]:
    """The tensors of a call, all in the widest of their types; only the triton engine takes several."""
    dtypes = {tensor.dtype for tensor in (inputs, *tensors) if tensor is not None}
    if len(dtypes) < 2:
        return inputs, list(tensors)
    widest = max(dtypes, key=lambda dtype: dtype.itemsize)
    return inputs.to(widest), [None if tensor is None else tensor.to(widest) for tensor in tensors]


def weights_of(call: SequenceCall, tensors: CallTensors) -> dict[str, Tensor]:
    """What a call computes with at every step, by name.

    `weight` and `bias` are the recurrent ones of all gates that h is multiplied with at once, `weight_k` and `bias_k`
    those of a deferred gate k; the cell's matrices and vectors have their own names.
    """
    cell, (_, weight_hh, *matrices), (_, bias_hh) = call.cell, tensors.matrices, tensors.biases
    weights: dict[str, Tensor] = {}
    names = cell.recurrent_gates()
    for name, whole in (("weight", weight_hh), ("bias", bias_hh)):
        if whole is None or not names:
            continue
        rows = dict(zip(names, torch.split(whole, call.hidden_size), strict=True))
        together = [rows[gate] for gate in names if gate not in cell.deferred_gates]
        weights |= {name: torch.cat(together)} if together else {}
        weights |= {f"{name}_{gate}": rows[gate] for gate in names if gate in cell.deferred_gates}
    weights |= {
        f"matrix_{name}": matrix for name, matrix in zip(cell.matrices, matrices, strict=True) if matrix is not None
    }
    return weights | {f"vector_{name}": vector for name, vector in zip(cell.vectors, tensors.vectors, strict=True)}


def step_of(call: SequenceCall, weights: Mapping[str, Tensor]) -> Step:
    """One step of a call with `weights`, see `weights_of`."""
    cell, size, mask = call.cell, call.hidden_size, call.cell.recurrent_mask
    gate_sizes = list(cell.gate_sizes(size))
    at_once = [gate for gate in cell.recurrent_gates() if gate not in cell.deferred_gates]
    noise_now: dict[str, Tensor] = {}

    def recur(value: Tensor, *gates: str) -> Any:
        for gate in gates:
            cell.check_deferred(gate)
        value = value if mask is None else value * noise_now[mask]
        weight = torch.cat([weights[f"weight_{gate}"] for gate in gates])
        bias = torch.cat([weights[f"bias_{gate}"] for gate in gates]) if f"bias_{gates[0]}" in weights else None
        parts: Any = torch.split(F.linear(value, weight, bias), size, -1)
        return parts if len(parts) > 1 else parts[0]

    bound = cell.with_values(
        recur=recur,
        **{name: weights[f"vector_{name}"] for name in cell.vectors},
        **{name: product(weights[f"matrix_{name}"]) for name in cell.matrices},
    )

    def step(inputs: Tensor, before: Sequence[Tensor], noise: Mapping[str, Tensor]) -> list[Tensor]:
        noise_now.update(noise)
        vars(bound).update(noise)
        z = dict(zip(cell.gates, torch.split(inputs, gate_sizes, -1), strict=True))
        if at_once:
            h = before[0] if mask is None else before[0] * noise_now[mask]
            hidden = F.linear(h, weights["weight"], weights.get("bias"))
            for gate, part in zip(at_once, torch.split(hidden, size, -1), strict=True):
                if gate in cell.split_gates:
                    z[f"{gate}_h"] = part
                else:
                    z[gate] = z[gate] + part
        after = bound.checked_step([z[name] for name in cell.gate_names()], before)
        return [new.expand_as(old) for new, old in zip(after, before, strict=True)]

    return step


def _run_recorded(
    call: SequenceCall, projected: Tensor, states: Sequence[Tensor], weights: Mapping[str, Tensor],
    emitted: Sequence[int],
) -> Result:  # fmt: skip
    """A call as a loop of the program that an export or a trace makes, over as many steps as that is called with."""
    noise = dict(zip(call.cell.noise_inputs, call.noise, strict=True))
    masks = {name: value for name, value in noise.items() if name == call.cell.recurrent_mask}  # the same at every step
    each = {name: value for name, value in noise.items() if name not in masks}

    def step(
        rows: Sequence[Tensor], before: Sequence[Tensor], masked: Sequence[Tensor], constants: Sequence[Tensor]
    ) -> list[Tensor]:
        now = dict(zip((*each, *masks), (*rows[1 : 1 + len(each)], *masked), strict=True))
        after = step_of(call, dict(zip(weights, constants, strict=True)))(rows[0], before, now)
        if call.padding is None:
            return after
        return [torch.where(rows[-1], old, new) for new, old in zip(after, before, strict=True)]

    rows = [projected, *each.values(), *([] if call.padding is None else [call.padding])]
    arguments = rows, states, list(masks.values()), list(weights.values()), call.reverse, emitted
    if is_traced():
        sequences, final = script_steps(step, *arguments, call.batch_sizes)
    elif (
        type(projected.shape[0]) is int and projected.shape[0] == 1
    ):  # a single step, as a decoder takes, needs no loop
        final = step([row.squeeze(0) for row in rows], states, arguments[2], arguments[3])
        sequences = [final[k].unsqueeze(0) for k in emitted]
    else:
        sequences, final = scan_steps(step, *arguments)
    return tuple(sequences), tuple(final)
