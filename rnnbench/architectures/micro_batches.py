"""A batch in parts, whose gradients are accumulated to those of the whole: for batches that exceed the memory."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.objectives.batch import AnyBatch

Gradients = Sequence[Tensor | None]


class Term(NamedTuple):
    """A term of the objective, the mean `summed / number`; means of several batches are over all their numbers."""

    summed: Tensor
    number: Tensor


def micro_batches(batch: AnyBatch, count: int) -> list[AnyBatch]:
    """A batch split into `count` batches of adjacent rows; into single rows, if it has fewer."""
    count = min(count, len(batch[0]))
    if count <= 1:
        return [batch]
    fields = [torch.tensor_split(field, count) if isinstance(field, Tensor) else [field] * count for field in batch]
    make: Any = getattr(batch, "_make", tuple)
    return [make(part) for part in zip(*fields, strict=True)]


def accumulate(parts: Iterable[list[Term]], parameters: Sequence[Tensor]) -> list[Term]:
    """The terms of a whole batch from those of its parts, differentiable by `parameters`.

    Gradients are computed here, part by part, so that the graph of a part is freed before the next.
    """
    totals: list[tuple[Term, Gradients]] = []
    for terms in parts:
        of_part = [(Term(term.summed.detach(), term.number), _gradients(term, terms, parameters)) for term in terms]
        totals = [_add(*pair) for pair in zip(totals, of_part, strict=True)] if totals else of_part
    apply: Any = _PrecomputedGradients.apply
    return [Term(apply(term.summed, gradients, *parameters), term.number) for term, gradients in totals]


def _gradients(term: Term, terms: list[Term], parameters: Sequence[Tensor]) -> Gradients:
    return torch.autograd.grad(term.summed, parameters, retain_graph=term is not terms[-1], allow_unused=True)


def _add(first: tuple[Term, Gradients], second: tuple[Term, Gradients]) -> tuple[Term, Gradients]:
    pairs = zip(first[1], second[1], strict=True)
    gradients = [a if b is None else b if a is None else a + b for a, b in pairs]
    return Term(*map(torch.add, first[0], second[0])), gradients


class _PrecomputedGradients(torch.autograd.Function):
    """A value whose gradients have been computed already."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, gradients: Gradients, *parameters: Tensor) -> Tensor:
        ctx.gradients = gradients
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        return None, None, *(None if gradient is None else outer[0] * gradient for gradient in ctx.gradients)
