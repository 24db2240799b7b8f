"""A batch in parts, whose gradients are added up to those of the whole: for when memory does not hold it in one go."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.objectives.batch import AnyBatch

Gradients = Sequence[Tensor | None]


class Term(NamedTuple):
    """Part of what is minimised, the mean `summed / number`; of several batches, of all their numbers."""

    summed: Tensor
    number: Tensor


def micro_batches(batch: AnyBatch, count: int) -> list[AnyBatch]:
    """A batch as so many of its kind, of neighbouring rows each; or of one row each, if it has fewer."""
    count = min(count, len(batch[0]))
    if count <= 1:
        return [batch]
    fields = [torch.tensor_split(field, count) if isinstance(field, Tensor) else [field] * count for field in batch]
    make: Any = getattr(batch, "_make", tuple)
    return [make(part) for part in zip(*fields, strict=True)]


def added_up(parts: Iterable[list[Term]], parameters: Sequence[Tensor]) -> list[Term]:
    """The terms of a whole batch from those of its parts, as if differentiable by `parameters`.

    Gradients are computed here, part by part: what one was computed from is freed before the next is begun.
    """
    totals: list[tuple[Term, Gradients]] = []
    for terms in parts:
        known = [(Term(one.summed.detach(), one.number), _gradients(one, terms, parameters)) for one in terms]
        totals = [_added(*both) for both in zip(totals, known, strict=True)] if totals else known
    return [Term(_Known.apply(term.summed, known, *parameters), term.number) for term, known in totals]  # type: ignore[no-untyped-call]


def _gradients(term: Term, terms: list[Term], parameters: Sequence[Tensor]) -> Gradients:
    return torch.autograd.grad(term.summed, parameters, retain_graph=term is not terms[-1], allow_unused=True)


def _added(one: tuple[Term, Gradients], other: tuple[Term, Gradients]) -> tuple[Term, Gradients]:
    both = zip(one[1], other[1], strict=True)
    gradients = [mine if its is None else its if mine is None else mine + its for mine, its in both]
    return Term(*map(torch.add, one[0], other[0])), gradients


class _Known(torch.autograd.Function):
    """A value with gradients that are known already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Gradients, *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return None, None, *(None if one is None else outer[0] * one for one in ctx.gradients)
