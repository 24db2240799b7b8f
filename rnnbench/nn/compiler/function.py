"""The function engine: a program run step by step with torch's operations; any device, no compiler."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.compiler.autodiff import RECURRENT, Program
from rnnbench.nn.compiler.schedule import closure
from rnnbench.nn.compiler.sequence import CallTensors, SequenceCall
from rnnbench.nn.compiler.trace import OPERATIONS, Node
from rnnbench.nn.compiler.weights import slot_bias, weight_rows


class Interpreter:
    """Runs a program step by step with torch's operations, and back with its derivative: an `Engine`.

    What of the derivative depends on no gradient (the slopes of the gates) is computed for all steps at once, and so
    are the gradients of all weights.
    """

    def __init__(self, program: Program) -> None:
        self.program, adjoint = program, program.adjoint
        self.matrices = ["weight_ih", RECURRENT, *program.cell.matrices]
        self.kept = [*adjoint.saved, *adjoint.means]
        operands = [p.operand for p in program.products if p.operand is not None]
        forward = _order([*program.after, *operands, *self.kept])
        self.forward_order = sorted(forward, key=lambda node: (program.phase_of(node), node.index))
        available = adjoint.available  # not computed backwards
        needed = sorted(closure(adjoint.roots, lambda node: node in available), key=lambda node: node.index)
        on_gradient: dict[Node, bool] = {}  # whether a node depends on a gradient
        for node in needed:
            on_gradient[node] = node.op in ("grad", "pulled") or (
                node not in available and any(on_gradient[argument] for argument in node.inputs)
            )
        computed = [node for node in needed if node.inputs and node not in available]
        self.slopes = [node for node in computed if not on_gradient[node]]  # for all steps at once
        self.backward_order = sorted(
            (node for node in computed if on_gradient[node]), key=lambda node: (adjoint.phase_of(node), node.index)
        )
        arguments = {argument for node in self.backward_order for argument in node.inputs}
        self.used = [node for node in needed if not on_gradient[node] and node.op != "const" and node in arguments]
        self.pull_phases = [max(adjoint.phase_of(adjoint.slots[k]) for k in p.slots) for p in program.products]

    # --- forwards

    def forward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool
    ) -> list[Tensor]:
        """All states after all steps; when training also what the derivative needs."""
        program, by_kind = self.program, call.split(tensors)
        weights = dict(zip(self.matrices, by_kind.matrices, strict=True))
        bias = slot_bias(program, call, by_kind.biases, inputs)
        first = program.products[0]
        hoisted = inputs @ weight_rows(weights[first.matrix], first, call).T
        starts = [0]
        for width in program.slots:
            starts.append(starts[-1] + call.width(width))
        current = [
            inputs.new_zeros(call.batch, width) if state is None else state.clone()
            for state, width in zip(by_kind.states, call.widths, strict=True)
        ]
        parts = {k: weight_rows(weights[p.matrix], p, call).T for k, p in enumerate(program.products) if k}
        steps = torch.split(hoisted, call.steps.rows.tolist()) if call.is_packed else hoisted.unbind(0)
        record: list[list[Tensor]] = [[] for _ in (*program.states, *self.kept, *program.states)]
        for t in reversed(range(len(steps))) if call.reverse else range(len(steps)):
            n = len(steps[t])
            before = [state[:n] for state in current]
            values = self._leaves(call, by_kind, before, t, n)
            tile = bias.expand(n, -1).clone()
            tile[:, : steps[t].shape[-1]] += steps[t]
            for k, matrix in parts.items():  # those that read a state need nothing computed
                p = program.products[k]
                if p.operand is not None and p.operand.op == "state":
                    tile[:, starts[p.start] : starts[p.stop]] += values[p.operand] @ matrix
            todo = [k for k in parts if program.products[k].operand.op != "state"]  # type: ignore[union-attr]
            for node in self.forward_order:
                for k in [k for k in todo if program.products[k].operand in values]:
                    p = program.products[k]
                    tile[:, starts[p.start] : starts[p.stop]] += values[p.operand] @ parts[k]  # type: ignore[index]
                    todo.remove(k)
                if node.op == "slot":
                    values[node] = tile[:, starts[node.args[0]] : starts[node.args[0] + 1]]
                else:
                    values[node] = _value(node, values)
            after = [values[node].expand(n, -1) for node in program.after]
            for k, value in enumerate([*after, *(values[node] for node in self.kept)]):
                record[k].append(value.expand(n, -1))
            for k, value in enumerate(before):
                record[len(after) + len(self.kept) + k].append(value)
            current = [
                torch.cat([new, old[n:]]) if n < call.batch else new for new, old in zip(after, current, strict=True)
            ]
        count = len(program.states) if not training else len(record)
        return [self._join(call, part) for part in record[:count]]

    # --- backwards

    def backward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], results: Sequence[Tensor],
        gradients: Sequence[Tensor | None], needed: Sequence[bool],
    ) -> list[Tensor | None]:  # fmt: skip
        """Gradients of the inputs and of all tensors, from those of the emitted sequences and the final states."""
        program, by_kind = self.program, call.split(tensors)
        weights = dict(zip(self.matrices, by_kind.matrices, strict=True))
        states, emitted, kept = len(program.states), len(program.emitted), len(self.kept)
        everything: dict[Node, Tensor] = dict(zip(program.after, results[:states], strict=True))
        everything |= dict(zip(self.kept, results[states : states + kept], strict=True))
        everything |= {program.state(k): value for k, value in enumerate(results[states + kept :])}
        everything |= self._constants(by_kind)
        for name, noise in zip(program.cell.noise_inputs, call.noise, strict=True):
            node = program.graph.leaf("noise", name, program.cell.noise_inputs[name])
            if noise.shape[:-1] == inputs.shape[:-1]:
                everything[node] = noise
            elif call.is_packed:
                everything[node] = torch.cat([noise[:n] for n in call.steps.rows.tolist()])
            else:
                everything[node] = noise.expand(len(call.steps.rows), *noise.shape)
        for node in self.slopes:
            everything[node] = _value(node, everything)
        rows = {node: self._steps(call, everything[node]) for node in self.used if everything[node].ndim > 1}
        fixed = {node: everything[node] for node in self.used if everything[node].ndim == 1}  # of vectors alone
        sequences = [None if g is None else self._steps(call, g) for g in gradients[:emitted]]
        ds = [
            inputs.new_zeros(call.batch, width) if g is None else g.clone()
            for g, width in zip(gradients[emitted:], call.widths, strict=True)
        ]
        matrices = [weight_rows(weights[p.matrix], p, call) for p in program.products]
        slots: list[list[Tensor]] = [[] for _ in program.slots]
        vectors: dict[str, Tensor] = {}
        count = len(call.steps.rows)
        for t in range(count) if call.reverse else reversed(range(count)):
            n = int(call.steps.rows[t])
            values = {node: part[t] for node, part in rows.items()} | fixed
            for k, width in enumerate(program.states):
                gradient = ds[k][:n]
                if k in program.emitted and (gy := sequences[program.emitted.index(k)]) is not None:
                    gradient = gradient + gy[t]
                values[program.graph.leaf("grad", k, width)] = gradient
            step_slots, step_vectors, before = self._step_backward(call, inputs, n, values, matrices)
            for k, gradient in enumerate(step_slots):
                slots[k].append(gradient)
            for name, gradient in step_vectors.items():
                vectors[name] = vectors[name] + gradient if name in vectors else gradient
            ds = [torch.cat([new, old[n:]]) if n < call.batch else new for new, old in zip(before, ds, strict=True)]
        planes = [self._join(call, part, backwards=True).flatten(0, -2) for part in slots]
        weight_gradients = self._weights(call, inputs, weights, planes, everything)
        first = program.products[0]
        dx = torch.cat([planes[k] for k in first.slots], -1)
        dx = dx @ matrices[0]
        biases = [
            None if b is None else program.bias_gradient(m, [plane.sum(0) for plane in planes], b)
            for m, b in zip(self.matrices, by_kind.biases, strict=False)
        ]
        return [
            dx.view_as(inputs), *ds, *(weight_gradients.get(name) for name in self.matrices), *biases,
            *(vectors[name] for name in program.cell.vectors),
        ]  # fmt: skip

    def _step_backward(
        self, call: SequenceCall, inputs: Tensor, n: int, values: dict[Node, Tensor], matrices: Sequence[Tensor]
    ) -> tuple[list[Tensor], dict[str, Tensor], list[Tensor]]:
        """Gradients of the slots, of the vectors and of the states before one step of `n` rows.

        `values` has those of the states after the step and all that depends on no gradient; the rest is added.
        """
        program, adjoint = self.program, self.program.adjoint
        waiting = [k for k, product in enumerate(program.products) if product.operand is not None]
        pulled: dict[int, Tensor] = {}  # the gradient of each product's operand

        def row(node: Node, width: str) -> Tensor:
            if node.op == "const":
                return inputs.new_full((n, call.width(node.width or width)), node.args[0])
            return values[node]

        def pull(phase: float) -> None:
            for k in [k for k in waiting if self.pull_phases[k] < phase]:
                product = program.products[k]
                slots = torch.cat([row(adjoint.slots[slot], program.slots[slot]) for slot in product.slots], -1)
                pulled[k] = slots @ matrices[k]
                waiting.remove(k)
                if product.operand is not None and product.operand.op != "state":
                    values[program.graph.leaf("pulled", k, product.operand.width)] = pulled[k]

        for node in self.backward_order:
            pull(adjoint.phase_of(node))
            values[node] = _value(node, values)
        pull(math.inf)
        before = []
        for k, node in enumerate(adjoint.states):
            total = row(node, program.states[k])
            for j, product in enumerate(program.products):
                if product.operand is program.state(k):
                    total = total + pulled[j]
            before.append(total)
        vectors = {name: row(node, "H").sum(0) for name, node in adjoint.vectors.items()}
        return [row(node, program.slots[k]) for k, node in enumerate(adjoint.slots)], vectors, before

    # --- parts

    def _steps(self, call: SequenceCall, value: Tensor) -> Sequence[Tensor]:
        return torch.split(value, call.steps.rows.tolist()) if call.is_packed else value.unbind(0)

    def _join(self, call: SequenceCall, parts: list[Tensor], backwards: bool = False) -> Tensor:
        ordered = parts[::-1] if call.reverse != backwards else parts
        return torch.cat(ordered) if call.is_packed else torch.stack(ordered)

    def _constants(self, by_kind: CallTensors) -> dict[Node, Tensor]:
        graph, names = self.program.graph, self.program.cell.vectors
        return {graph.leaf("vector", name, "H"): value for name, value in zip(names, by_kind.vectors, strict=True)}

    def _leaves(
        self, call: SequenceCall, by_kind: CallTensors, before: Sequence[Tensor], t: int, n: int
    ) -> dict[Node, Tensor]:
        program = self.program
        values = {program.state(k): state for k, state in enumerate(before)} | self._constants(by_kind)
        for name, noise in zip(program.cell.noise_inputs, call.noise, strict=True):
            values[program.graph.leaf("noise", name, program.cell.noise_inputs[name])] = call.noise_at(noise, t, n)
        return values

    def _weights(
        self, call: SequenceCall, inputs: Tensor, weights: dict[str, Tensor | None], planes: list[Tensor],
        values: dict[Node, Tensor],
    ) -> dict[str, Tensor]:  # fmt: skip
        """Gradients of the matrices, for all steps at once."""
        totals: dict[str, Tensor] = {}
        for p in self.program.products:
            weight = weights[p.matrix]
            if weight is None:
                continue
            for node in [] if p.operand is None else _order([p.operand]):
                if node not in values and node.op != "const" and p.operand not in values:
                    values[node] = _value(node, values)
            operand = inputs if p.operand is None else values[p.operand].expand(*inputs.shape[:-1], -1)
            total = totals.setdefault(p.matrix, torch.zeros_like(weight))
            size = planes[p.start].shape[-1]
            for slot, block in zip(p.slots, p.blocks, strict=True):
                total[block * size : (block + 1) * size] += planes[slot].T @ operand.flatten(0, -2)
        return totals


def _order(roots: Sequence[Node]) -> list[Node]:
    return sorted((n for n in closure(roots) if n.inputs or n.op == "slot"), key=lambda node: node.index)


def _value(node: Node, values: dict[Node, Tensor]) -> Tensor:
    def get(argument: Node) -> Any:
        return argument.args[0] if argument.op == "const" else values[argument]

    if node.op == "row_mean":
        value = get(node.args[0])
        mean: Tensor = value.mean(-1, keepdim=True).expand_as(value)
        return mean
    function: Callable[..., Any] = OPERATIONS[node.op].torch
    arguments = [get(argument) for argument in node.args]
    if node.op in ("sub", "div", "gt", "ge", "maximum", "minimum") and not isinstance(arguments[0], Tensor):
        arguments[0] = torch.as_tensor(arguments[0], dtype=arguments[1].dtype, device=arguments[1].device)
    if node.op in ("maximum", "minimum") and not isinstance(arguments[1], Tensor):
        arguments[1] = torch.as_tensor(arguments[1], dtype=arguments[0].dtype, device=arguments[0].device)
    result: Tensor = function(*arguments)
    return result
