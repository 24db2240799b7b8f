"""Calls under `torch.func.vmap`, `grad` and `vjp`: the compiled engine once for each member of a batch of weights or
inputs, inside one call, with its derivative."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from rnnbench.nn.compiler import reference
from rnnbench.nn.compiler.sequence import Engine, Result, SequenceCall
from rnnbench.nn.compiler.torch_mode import has_dispatch_modes, is_legacy_batched, is_tracing

Dims = tuple[int | None, ...]


def can_run(call: SequenceCall, *tensors: Tensor | None) -> bool:
    """Whether only transforms are active that this file knows: any number of `vmap`, and a single derivative.

    Forward-mode and higher derivatives, and masks that may differ from member to member, are left to the reference.
    """
    if not torch._C._are_functorch_transforms_active() or call.noise or call.padding is not None:
        return False
    if forward_ad._current_level >= 0 or has_dispatch_modes() or is_tracing():
        return False
    if any(t is not None and is_legacy_batched(t) for t in tensors):
        return False
    kinds = [interpreter.key() for interpreter in torch._C._functorch.get_interpreter_stack() or ()]
    known = torch._C._functorch.TransformType
    return all(kind in (known.Vmap, known.Grad) for kind in kinds) and kinds.count(known.Grad) <= 1


def run(engine: Engine, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None]) -> Result:
    """Sequences of the emitted states, and final states, of a call."""
    outputs = _Forward.apply(engine, call, torch.is_grad_enabled(), inputs, *tensors)  # type: ignore[no-untyped-call]
    emitted, states = len(call.cell.emitted), len(call.widths)
    return tuple(outputs[:emitted]), tuple(outputs[emitted : emitted + states])


def _each(function: Callable[..., Any], size: int, in_dims: Dims, arguments: Sequence[Any]) -> tuple[Any, Any]:
    """The rule of `vmap` for a function that has none: call it for each member, and stack what it gives."""
    pairs = list(zip(arguments, in_dims, strict=True))
    members = [
        [value.select(dim, k) if isinstance(value, Tensor) and dim is not None else value for value, dim in pairs]
        for k in range(size)
    ]
    columns = zip(*(function(*member) for member in members), strict=True)
    outputs = tuple(torch.stack(column) for column in columns)
    return outputs, (0,) * len(outputs)


class _Forward(torch.autograd.Function):
    """Emitted sequences and final states; then, not differentiable, all that the engine gave."""

    @staticmethod
    def forward(
        engine: Engine, call: SequenceCall, training: bool, inputs: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        inputs, *prepared = (None if t is None else t.contiguous().resolve_neg() for t in (inputs, *tensors))  # type: ignore[assignment]
        results = engine.forward(call, inputs, prepared, training)
        states = results[: len(call.widths)]
        outputs = (*call.emitted(states), *map(call.final, states))
        return (*(output.clone() for output in outputs), *results)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.engine, ctx.call, _, *tensors = inputs
        ctx.differentiable = len(ctx.call.cell.emitted) + len(ctx.call.widths)
        results = output[ctx.differentiable :]
        ctx.mark_non_differentiable(*results)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors, *results)
        ctx.count = len(tensors)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        needed = ctx.needs_input_grad[3:]
        wanted = gradients[: ctx.differentiable]
        saved = ctx.saved_tensors
        settings = (ctx.engine, ctx.call, needed, ctx.count)
        computed = iter(_Backward.apply(*settings, *saved, *wanted))  # type: ignore[no-untyped-call]
        present = [need and tensor is not None for need, tensor in zip(needed, saved, strict=False)]
        return None, None, None, *(next(computed) if one else None for one in present)

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *arguments: Any) -> tuple[Any, Any]:
        return _each(_Forward.apply, info.batch_size, in_dims, arguments)


class _Backward(torch.autograd.Function):
    """Gradients of the inputs and tensors that are there and need one.

    Arguments are the engine, the call, what needs a gradient, the number of inputs and tensors, these, the engine's
    results, and the gradients of emitted sequences and final states.
    """

    @staticmethod
    def forward(
        engine: Engine, call: SequenceCall, needed: tuple[bool, ...], count: int, *values: Tensor | None
    ) -> tuple[Tensor, ...]:
        outputs = len(call.cell.emitted) + len(call.widths)
        prepared: Any = [None if t is None else t.contiguous().resolve_neg() for t in values]
        inputs, *tensors = prepared[:count]
        results, gradients = prepared[count:-outputs], prepared[-outputs:]
        computed = engine.backward(call, inputs, tensors, results, gradients, needed)
        present = [
            (gradient, value)
            for gradient, need, value in zip(computed, needed, values, strict=False)
            if need and value is not None
        ]
        return tuple(torch.zeros_like(value) if g is None else g.clone() for g, value in present)  # no two share memory

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, ctx.call, ctx.needed, ctx.count, *values = inputs
        ctx.outputs = len(ctx.call.cell.emitted) + len(ctx.call.widths)
        ctx.total = len(values)
        ctx.save_for_backward(*values[: ctx.count], *values[-ctx.outputs :])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        """The derivative of the derivative, by autograd through the reference."""
        saved = ctx.saved_tensors
        with torch.enable_grad():
            leaves = [None if t is None else t.detach().requires_grad_() for t in saved]
            inputs, *tensors = leaves[: ctx.count]
            first = reference.differentiate(ctx.call, inputs, tensors, leaves[ctx.count :], ctx.needed, True)  # type: ignore[arg-type]
            pairs = [
                (f, g) for f, g in zip([f for f in first if f is not None], gradients, strict=True) if g is not None
            ]
            sources = [leaf for leaf in leaves if leaf is not None]
            found = iter(torch.autograd.grad([f for f, _ in pairs], sources, [g for _, g in pairs], allow_unused=True))
        by_leaf = [None if leaf is None else next(found) for leaf in leaves]
        between = ctx.total - ctx.count - ctx.outputs
        return None, None, None, None, *by_leaf[: ctx.count], *[None] * between, *by_leaf[ctx.count :]

    @staticmethod
    def vmap(info: Any, in_dims: Dims, *arguments: Any) -> tuple[Any, Any]:
        return _each(_Backward.apply, info.batch_size, in_dims, arguments)
