"""Gradients through time: how much of a loss, or of a state, is left a number of steps back."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from rnnbench.analysis.record_steps import watching
from rnnbench.errors import RnnbenchError
from rnnbench.nn import Recurrent
from rnnbench.objectives import Objective
from rnnbench.objectives.batch import AnyBatch, Batch

FAINT = 0.01
"""Below this share of what it was, a gradient counts as gone."""
LARGEST = 512
"""Most numbers of a state whose Jacobian is taken."""
ASKED = ("objective", "outputs", "hidden_states", "embedding")
"""What a module has beside its layer, as a `SequenceModule` does."""
ROWS = 8192
"""Rows of Jacobians that are taken at a time."""
FAR = 200
"""Farthest distance over which a profile multiplies Jacobians."""


@dataclass(frozen=True)
class StateGradients:
    """∂L/∂s of one layer in one direction, steps in the order in which they were computed.

    Args:
        states: `[T, B, W]` by the name of the state.
    """

    states: dict[str, Tensor]

    def norms(self) -> Tensor:
        """‖∂L/∂s_t‖ of all states of a step together, by distance from the last step: `[T, B]`."""
        norms: Tensor = torch.linalg.vector_norm(torch.cat(list(self.states.values()), -1), dim=-1)
        return norms.flip(0)


def state_gradients(layer: Recurrent, loss: Callable[[], Tensor]) -> list[StateGradients]:
    """Exact gradients of `loss()`, in which `layer` runs, with respect to the states after each of its steps.

    For each layer and direction, as of `torch.nn.LSTM`'s states. A gradient is the total derivative: through all later
    steps and all layers above. States of one step are independent of each other, so that of an LSTM's c_t does not go
    through h_t. The graph is that of the loss: where it is cut (`bptt`), nothing is left.
    """

    def tapped(cell: Any, step: Any, z: Sequence[Tensor], s: Sequence[Tensor]) -> tuple[Any, Any]:
        after = step(z, s)
        taps = [torch.zeros_like(state, requires_grad=True) for state in after]
        return tuple(state + tap for state, tap in zip(after, taps, strict=True)), taps

    with torch.enable_grad(), watching(layer, tapped) as places:
        value = loss()
    taps = [tap for place in places for step in place for tap in step]
    found = iter(torch.autograd.grad(value, taps, materialize_grads=True))
    names = layer.cell.states
    result = []
    for place in places:
        steps = [[next(found) for _ in names] for _ in place]
        result.append(StateGradients({name: torch.stack([s[k] for s in steps]) for k, name in enumerate(names)}))
    return result


def distance_below(norms: Tensor, share: float = FAINT) -> int | None:
    """The first distance at which `norms` `[T]` (by distance) is below `share` of that at distance 0, None if never."""
    below = (norms < share * norms[0]).nonzero()
    return int(below[0]) if len(below) else None


# --- the Jacobian of the states


def step_jacobians(layer: Recurrent, inputs: Tensor, last: int | None = None) -> Tensor:
    """`∂s_t/∂s_{t−1}` of a stack for each step t of one sequence `inputs` `[T, I]` from zero states: `[T, N, N]`.

    s is all states of all layers side by side, N = L ΣW numbers. `last`: only so many steps, the last ones. By
    vmapped reverse mode, in the type of the layer.

    Raises:
        RnnbenchError: the layer reads both ways, or N is more than `LARGEST`.
    """
    shapes = [(layer.num_layers, 1, width) for width in layer.cell.state_sizes(layer.hidden_size)]
    sizes = [layer.num_layers * width for *_, width in shapes]
    if layer.bidirectional:
        raise RnnbenchError("a stack that reads both ways has no one state whose Jacobian could be taken")
    if sum(sizes) > LARGEST:
        raise RnnbenchError(f"a state of {sum(sizes)} numbers has a Jacobian too large to take: most are {LARGEST}")

    def step(states: Tensor, x: Tensor) -> Tensor:
        parts: Any = torch.split(states, sizes)
        before = tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        _, after = layer(x.reshape(1, 1, -1), before if len(before) > 1 else before[0])
        return torch.cat([one.flatten() for one in ((after,) if isinstance(after, Tensor) else after)])

    engine, layer.engine = layer.engine, "reference"
    try:
        states = [inputs.new_zeros(sum(sizes))]
        with torch.no_grad():
            for x in inputs[:-1]:
                states.append(step(states[-1], x))
            some, chunk = slice(-min(last or len(inputs), len(inputs)), None), max(1, ROWS // sum(sizes))
            jacobians: Tensor = vmap(jacrev(step), chunk_size=chunk)(torch.stack(states)[some], inputs[some])
            return jacobians
    finally:
        layer.engine = engine


def singular_values(jacobians: Tensor) -> Tensor:
    """Singular values of `∂s_T/∂s_{T−d} = J_T J_{T−1} … J_{T−d+1}`, largest first, for d = 0 … T: `[T + 1, N]`.

    `jacobians` are those of each step, `[T, N, N]`. Products are scaled on the way, so that none over- or underflows
    before its values do.
    """
    product = torch.eye(jacobians.shape[1], dtype=jacobians.dtype)
    scale = jacobians.new_zeros(())
    found = [torch.linalg.svdvals(product)]
    for jacobian in jacobians.flip(0):
        product = product @ jacobian
        size = torch.linalg.matrix_norm(product)
        if size == 0:
            found.append(product.new_zeros(len(product)))
            continue
        product, scale = product / size, scale + size.log()
        found.append(torch.linalg.svdvals(product) * scale.exp())
    return torch.stack(found)


# --- of a trained module


@dataclass(frozen=True)
class Profile:
    """Gradients of a module by distance from the last step, means over sequences.

    Args:
        loss: ‖∂L_T/∂s_{T−d}‖ of each layer and direction, `[L·D, T]`.
        directions: D.
        jacobian: singular values of ∂s_T/∂s_{T−d}, largest first, `[T + 1, N]`, T at most `FAR`; None if they could
            not be taken.
        why_not: why they could not.
    """

    loss: Tensor
    directions: int
    jacobian: Tensor | None
    why_not: str = ""


def last_step_loss(module: Any, batch: AnyBatch) -> Tensor:
    """L_T: the loss at each sequence's last scored step, where each step has one, else the whole loss; summed."""
    objective: Objective = module.objective
    inputs, targets, lengths = batch[:3]
    targets = objective.known_targets(targets, lengths)
    if stepwise(type(objective)):
        targets = _last_alone(targets, objective.unknown)
    predictions = module.outputs("test", Batch(inputs, targets, lengths))
    return objective.loss(predictions, targets)[0]


def stepwise(objective: type[Objective]) -> bool:
    """Whether there is a target for each step of the input."""
    return objective.per_step and objective.aligned and not objective.unrolls


def _last_alone(targets: Tensor, unknown: float) -> Tensor:
    """Targets `[B, T, …]` with all but the last known one of each sequence unknown."""
    flat = targets.flatten(2) if targets.ndim > 2 else targets.unsqueeze(2)
    known = (~flat.isnan() if unknown != unknown else flat != unknown).any(2)
    steps = torch.arange(targets.shape[1], device=targets.device)
    last = torch.where(known, steps, -1).amax(1, keepdim=True)
    other = (steps != last).reshape(*known.shape, *[1] * (targets.ndim - 2))
    return targets.masked_fill(other, unknown)


def recurrent_layer(module: Any) -> Recurrent:
    """The recurrent stack of a module.

    Raises:
        RnnbenchError: it has none.
    """
    layer = getattr(module, "layer", None)
    if not isinstance(layer, Recurrent) or not all(hasattr(module, name) for name in ASKED):
        raise RnnbenchError(f"{type(module).__name__} has no recurrent stack of rnnbench.nn: it carries no state on")
    return layer


def alone(batch: AnyBatch, most: int, objective: type[Objective]) -> list[Batch]:
    """The first `most` sequences of a batch as batches without padding: each by itself, if their lengths differ."""
    inputs, targets, lengths = batch[:3]
    if lengths is None:
        return [Batch(inputs[:most], targets[:most])]
    return [
        Batch(inputs[k : k + 1, :length], targets[k : k + 1, :length] if stepwise(objective) else targets[k : k + 1])
        for k, length in enumerate(lengths[:most].tolist())
    ]


def loss_norms(module: Any, batches: Sequence[Batch]) -> Tensor:
    """‖∂L_T/∂s_{T−d}‖ by layer and direction, and distance d, `[L·D, T]`: means over all sequences that are so long.

    T is the last step that a sequence's loss depends on: what is read later does not count.
    """
    layer = recurrent_layer(module)
    each: list[Tensor] = []
    for batch in batches:
        found = state_gradients(layer, partial(last_step_loss, module, batch))
        each += [_from_last(one) for one in torch.stack([one.norms() for one in found]).unbind(-1)]
    return mean_of_lengths(each)


def _from_last(norms: Tensor) -> Tensor:
    """Norms `[L·D, T]` without the first distances, if nothing depends on them."""
    counts = norms.sum(0).nonzero()
    return norms[:, int(counts[0]) :] if len(counts) else norms


def mean_of_lengths(each: Sequence[Tensor]) -> Tensor:
    """Mean of tensors `[…, T]` of different T over those that have each place."""
    longest = max(one.shape[-1] for one in each)
    padded = torch.stack([torch.nn.functional.pad(one, (0, longest - one.shape[-1]), value=torch.nan) for one in each])
    return padded.nanmean(0)


def profile(module: Any, batches: Sequence[Batch], jacobians: int = 2) -> Profile:
    """Gradients through time of a module on some sequences, in float64, without dropout; the module stays as it is.

    `jacobians`: of how many sequences the singular values are taken.

    Raises:
        RnnbenchError: the module has no recurrent stack.
    """
    recurrent_layer(module)
    one = copy.deepcopy(module).double().eval()
    layer = recurrent_layer(one)
    doubled = [Batch(*(_doubled(part) for part in batch)) for batch in batches]
    loss = loss_norms(one, doubled)
    sequences = [row for batch in doubled for row in batch.inputs][:jacobians]
    try:
        with torch.no_grad():
            each = [
                singular_values(step_jacobians(layer, one.embedding(row.unsqueeze(0))[0], FAR)) for row in sequences
            ]
    except RnnbenchError as error:
        return Profile(loss, layer.directions, None, str(error))
    return Profile(loss, layer.directions, mean_of_lengths([values.T for values in each]).T)


def _doubled(part: Any) -> Any:
    return part.double() if isinstance(part, Tensor) and part.is_floating_point() else part
