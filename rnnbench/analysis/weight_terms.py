"""Back-propagation through time, term by term: what each step adds to the gradient of the weights.

The weights W of a recurrent layer act at every step, so the gradient of a loss has a term for each of them (Pascanu,
Mikolov & Bengio 2013, eq. 3–5):

    ∂E_t/∂W = Σ_k (∂E_t/∂s_k) (∂⁺s_k/∂W),    ∂E_t/∂s_k = (∂E_t/∂s_t) (∂s_t/∂s_k)

∂⁺ is the immediate derivative, with the state before step k held constant. If each step has weights of its own, all of
the same value, then term k is the gradient by those of step k.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call

from rnnbench.errors import RnnbenchError
from rnnbench.nn import Recurrent

Weights = dict[str, Tensor]
"""Weights, or gradients by them, by the name of the parameter."""


@contextmanager
def weights_by_step(layer: Recurrent) -> Iterator[list[Weights]]:
    """Within this context `layer` runs one step at a time, each step with its own views of all parameters.

    Yields a list to which the views of each step are appended in the order of computation, call after call. Results are
    those of the layer; gradients still end where a block of `bptt` steps begins.

    Raises:
        RnnbenchError: the layer is bidirectional.
    """
    if layer.bidirectional:
        raise RnnbenchError("a bidirectional stack has no single order of steps: no gradient of its weights by step")
    single, steps = copy.copy(layer), list[Weights]()

    def forward(input: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        dim, outputs = int(layer.batch_first), []
        for number, x in enumerate(input.split(1, dim)):  # type: ignore[no-untyped-call]
            if layer.bptt and number and number % layer.bptt == 0:
                hx = hx.detach() if isinstance(hx, Tensor) else tuple(state.detach() for state in hx)
            steps.append({name: weight.view_as(weight) for name, weight in layer.named_parameters()})
            output, hx = functional_call(single, steps[-1], (x, hx))
            outputs.append(output)
        return torch.cat(outputs, dim), hx

    vars(layer)["forward"] = forward
    try:
        yield steps
    finally:
        del vars(layer)["forward"]


def weight_terms(layer: Recurrent, loss: Callable[[], Tensor]) -> list[Weights]:
    """The terms of `∂loss()/∂W` for every parameter W of `layer`, a dictionary for each step in order of computation.

    Exact; their sum is the gradient. All terms are in memory at once: for long sequences see `term_shares`.

    Raises:
        RnnbenchError: the layer is bidirectional.
    """
    with torch.enable_grad(), weights_by_step(layer) as steps:
        value = loss()
    views = [weight for step in steps for weight in step.values()]
    gradients = iter(torch.autograd.grad(value, views, materialize_grads=True))
    return [{name: next(gradients) for name in step} for step in steps]


class TermShares(NamedTuple):
    """How much of a gradient `∂L/∂W` each term is, `[T]`.

    `shares` are signed projections on the whole gradient, ⟨term, total⟩ / ‖total‖², whose sum is 1; `norms` are
    ‖term‖ / ‖total‖, whose sum is 1 at least: more, where terms cancel each other.
    """

    shares: Tensor
    norms: Tensor


def term_shares(layer: Recurrent, loss: Callable[[], Tensor], names: Sequence[str]) -> TermShares | None:
    """Shares of the steps, in the order of computation, in the gradient of `loss()` by the parameters `names` together.

    One term is in memory at a time. None if the gradient is 0.

    Raises:
        RnnbenchError: the layer is bidirectional.
    """
    with torch.enable_grad(), weights_by_step(layer) as steps:
        value = loss()
    parameters = dict(layer.named_parameters())
    weights = [parameters[name] for name in names]
    total = torch.autograd.grad(value, weights, retain_graph=True, materialize_grads=True)
    products, squares = value.new_zeros(len(steps)), value.new_zeros(len(steps))

    def add(step: int, whole: Tensor, term: Tensor) -> None:
        products[step] += (term * whole).sum()
        squares[step] += term.square().sum()

    for number, step in enumerate(steps):
        for name, whole in zip(names, total, strict=True):
            step[name].register_hook(partial(add, number, whole))  # type: ignore[no-untyped-call]
    torch.autograd.grad(value, weights, materialize_grads=True)  # the hooks see the terms on their way to the sum
    square = torch.stack([whole.square().sum() for whole in total]).sum()
    return TermShares(products / square, (squares / square).sqrt()) if square else None
