"""Gradients through time: how much of the gradient of a loss, or of a state, is left a number of steps back."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from rnnbench.analysis.record_steps import record_steps
from rnnbench.analysis.weight_terms import TermShares, term_shares
from rnnbench.errors import RnnbenchError
from rnnbench.nn import Recurrent
from rnnbench.objectives import Objective
from rnnbench.objectives.batch import AnyBatch, Batch
from rnnbench.objectives.double import WITHOUT_DOUBLE

VANISHED = 0.01
"""The share of its first value below which a gradient counts as vanished."""
MAX_STATE_SIZE = 512
"""Largest state whose Jacobian is computed."""
MODULE_ATTRIBUTES = ("objective", "outputs", "hidden_states", "embedding")
"""Attributes that a module needs beside its layer, as a `SequenceModule` has them."""
MAX_JACOBIAN_ROWS = 8192
"""Rows of Jacobians that are computed at a time."""
MAX_DISTANCE = 200
"""Farthest distance over which a profile multiplies Jacobians."""


@dataclass(frozen=True)
class StateGradients:
    """∂L/∂s of a layer in one direction, with steps in the order of computation.

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

    A list over layers and directions, in the order of `torch.nn.LSTM`'s states. A gradient is the total derivative:
    through all later steps and all layers above. States of a step are independent variables, so that the gradient of an
    LSTM's c_t does not go through h_t. Beyond a cut of the graph (`bptt`) gradients are 0.
    """

    def tapped(cell: Any, step: Any, z: Sequence[Tensor], s: Sequence[Tensor]) -> tuple[Any, Any]:
        after = step(z, s)
        taps = [torch.zeros_like(state, requires_grad=True) for state in after]
        return tuple(state + tap for state, tap in zip(after, taps, strict=True)), taps

    with torch.enable_grad(), record_steps(layer, tapped) as places:
        value = loss()
    taps = [tap for place in places for step in place for tap in step]
    gradients = iter(torch.autograd.grad(value, taps, materialize_grads=True))
    names = layer.cell.states
    result = []
    for place in places:
        steps = [[next(gradients) for _ in names] for _ in place]
        result.append(StateGradients({name: torch.stack([s[k] for s in steps]) for k, name in enumerate(names)}))
    return result


def distance_below(norms: Tensor, share: float = VANISHED) -> int | None:
    """The first distance at which `norms` `[T]` (by distance) is below `share` of that at distance 0, None if never."""
    below = (norms < share * norms[0]).nonzero()
    return int(below[0]) if len(below) else None


# --- the Jacobian of the states


def step_jacobians(layer: Recurrent, inputs: Tensor, last: int | None = None) -> Tensor:
    """`∂s_t/∂s_{t−1}` of a stack for each step t of one sequence `inputs` `[T, I]` from zero states: `[T, N, N]`.

    s is the concatenation of all states of all layers, N = L ΣW numbers. With `last`, only of the last steps. By
    vmapped reverse mode, in the dtype of the layer.

    Raises:
        RnnbenchError: the layer is bidirectional, or N is more than `MAX_STATE_SIZE`.
    """
    shapes = [(layer.num_layers, 1, width) for width in layer.cell.state_sizes(layer.hidden_size)]
    sizes = [layer.num_layers * width for *_, width in shapes]
    if layer.bidirectional:
        raise RnnbenchError("a bidirectional stack has no single state whose Jacobian could be computed")
    if sum(sizes) > MAX_STATE_SIZE:
        raise RnnbenchError(f"a state of {sum(sizes)} numbers has too large a Jacobian: at most {MAX_STATE_SIZE}")

    def step(states: Tensor, x: Tensor) -> Tensor:
        parts: Any = torch.split(states, sizes)
        before = tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))
        _, after = layer(x.reshape(1, 1, -1), before if len(before) > 1 else before[0])
        return torch.cat([state.flatten() for state in ((after,) if isinstance(after, Tensor) else after)])

    engine, layer.engine = layer.engine, "reference"
    try:
        states = [inputs.new_zeros(sum(sizes))]
        with torch.no_grad():
            for x in inputs[:-1]:
                states.append(step(states[-1], x))
            chosen, chunk = slice(-min(last or len(inputs), len(inputs)), None), max(1, MAX_JACOBIAN_ROWS // sum(sizes))
            jacobians: Tensor = vmap(jacrev(step), chunk_size=chunk)(torch.stack(states)[chosen], inputs[chosen])
            return jacobians
    finally:
        layer.engine = engine


def singular_values(jacobians: Tensor) -> Tensor:
    """Singular values of `∂s_T/∂s_{T−d} = J_T J_{T−1} … J_{T−d+1}`, largest first, for d = 0 … T: `[T + 1, N]`.

    `jacobians` are those of each step, `[T, N, N]`. Products are rescaled, so that they do not over- or underflow
    before their singular values do.
    """
    product = torch.eye(jacobians.shape[1], dtype=jacobians.dtype)
    scale = jacobians.new_zeros(())
    values = [torch.linalg.svdvals(product)]
    for jacobian in jacobians.flip(0):
        product = product @ jacobian
        size = torch.linalg.matrix_norm(product)
        if size == 0:
            values.append(product.new_zeros(len(product)))
            continue
        product, scale = product / size, scale + size.log()
        values.append(torch.linalg.svdvals(product) * scale.exp())
    return torch.stack(values)


# --- of a trained module


@dataclass(frozen=True)
class Profile:
    """Gradients of a module by distance from the last step, means over sequences.

    Args:
        loss: ‖∂L_T/∂s_{T−d}‖ of each layer and direction, `[L·D, T]`.
        directions: D.
        jacobian: singular values of ∂s_T/∂s_{T−d}, largest first, `[T + 1, N]`, T at most `MAX_DISTANCE`; None if they
            could not be computed.
        terms: of the sum of which ∂L_T/∂W consists, W being all weights of the top layer, the shares and norms of the
            terms of step T − d; None if they could not be computed, or the gradient is 0.
        why_not: the reason why something could not be computed.
    """

    loss: Tensor
    directions: int
    jacobian: Tensor | None
    terms: TermShares | None = None
    why_not: str = ""


def last_step_loss(module: Any, batch: AnyBatch) -> Tensor:
    """L_T, summed: the loss at each sequence's last scored step, or the whole loss without a loss for each step."""
    objective: Objective = module.objective
    inputs, targets, lengths = batch[:3]
    targets = objective.known_targets(targets, lengths)
    if stepwise(type(objective)):
        targets = _only_last_target(targets, objective.unknown)
    predictions = module.outputs("test", Batch(inputs, targets, lengths))
    return objective.loss(predictions, targets)[0]


def stepwise(objective: type[Objective]) -> bool:
    """Whether there is a target for each step of the input."""
    return objective.per_step and objective.aligned and not objective.unrolls


def _only_last_target(targets: Tensor, unknown: float) -> Tensor:
    """Targets `[B, T, …]` with all except the last known target of each sequence set to `unknown`."""
    flat = targets.flatten(2) if targets.ndim > 2 else targets.unsqueeze(2)
    known = (~flat.isnan() if unknown != unknown else flat != unknown).any(2)
    steps = torch.arange(targets.shape[1], device=targets.device)
    last = torch.where(known, steps, -1).amax(1, keepdim=True)
    other = (steps != last).reshape(*known.shape, *[1] * (targets.ndim - 2))
    return targets.masked_fill(other, unknown)


def recurrent_layer(module: Any) -> Recurrent:
    """The recurrent stack of a module.

    Raises:
        RnnbenchError: it has no recurrent stack.
    """
    layer = getattr(module, "layer", None)
    if not isinstance(layer, Recurrent) or not all(hasattr(module, name) for name in MODULE_ATTRIBUTES):
        raise RnnbenchError(f"{type(module).__name__} has no recurrent stack of rnnbench.nn, and therefore no state")
    return layer


def unpadded(batch: AnyBatch, count: int, objective: type[Objective]) -> list[Batch]:
    """The first `count` sequences of a batch as batches without padding: one batch each if their lengths differ."""
    inputs, targets, lengths = batch[:3]
    if lengths is None:
        return [Batch(inputs[:count], targets[:count])]
    return [
        Batch(inputs[k : k + 1, :length], targets[k : k + 1, :length] if stepwise(objective) else targets[k : k + 1])
        for k, length in enumerate(lengths[:count].tolist())
    ]


def loss_norms(module: Any, batches: Sequence[Batch]) -> Tensor:
    """‖∂L_T/∂s_{T−d}‖ by layer and direction, and distance d, `[L·D, T]`: means over all sequences that are long
    enough.

    T is the last step that the loss of a sequence depends on.
    """
    layer = recurrent_layer(module)
    each: list[Tensor] = []
    for batch in batches:
        gradients = state_gradients(layer, partial(last_step_loss, module, batch))
        each += [_from_last(norms) for norms in torch.stack([place.norms() for place in gradients]).unbind(-1)]
    return mean_of_lengths(each)


def _from_last(norms: Tensor) -> Tensor:
    """Norms `[L·D, T]` without the first distances, on which nothing depends."""
    counts = norms.sum(0).nonzero()
    return norms[:, int(counts[0]) :] if len(counts) else norms


def loss_terms(module: Any, batches: Sequence[Batch]) -> TermShares | None:
    """Shares and norms of the terms of ∂L_T/∂W by distance d from step T, means over all sequences; a sequence without
    so many steps counts as 0 there, so that shares still sum to 1. W are all weights of the top layer.

    None if the gradient is 0 for every sequence.

    Raises:
        RnnbenchError: the stack is bidirectional.
    """
    layer = recurrent_layer(module)
    names = [name for name, _ in layer.named_parameters() if name.endswith(f"_l{layer.num_layers - 1}")]
    each = []
    for batch in batches:
        for row in range(len(batch.inputs)):
            sequence = Batch(batch.inputs[row : row + 1], batch.targets[row : row + 1])
            found = term_shares(layer, partial(last_step_loss, module, sequence), names)
            if found is not None:
                steps = int(found.norms.nonzero()[-1]) + 1  # nothing depends on those after them
                each.append(torch.stack(found)[:, :steps].flip(1))
    if not each:
        return None
    longest = max(values.shape[1] for values in each)
    padded = [torch.nn.functional.pad(values, (0, longest - values.shape[1])) for values in each]
    return TermShares(*torch.stack(padded).mean(0))


def mean_of_lengths(each: Sequence[Tensor]) -> Tensor:
    """Mean of tensors `[…, T]` of different T, at each position over the tensors that reach it."""
    longest = max(values.shape[-1] for values in each)
    padded = torch.stack(
        [torch.nn.functional.pad(values, (0, longest - values.shape[-1]), value=torch.nan) for values in each]
    )
    return padded.nanmean(0)


def profile(module: Any, batches: Sequence[Batch], jacobians: int = 2) -> Profile:
    """Gradients through time of a module on some sequences, in float64, without dropout; the module is not changed.

    `jacobians`: the number of sequences for singular values.

    Raises:
        RnnbenchError: the module has no recurrent stack.
    """
    recurrent_layer(module)
    if next(module.parameters()).device.type in WITHOUT_DOUBLE:
        module, batches = copy.deepcopy(module).cpu(), [Batch(*map(_to_cpu, batch)) for batch in batches]
    double = copy.deepcopy(module).double().eval()
    layer = recurrent_layer(double)
    doubled = [Batch(*(_to_double(part) for part in batch)) for batch in batches]
    loss, whys = loss_norms(double, doubled), []
    sequences = [row for batch in doubled for row in batch.inputs][:jacobians]
    values, terms = None, None
    try:
        with torch.no_grad():
            each = [
                singular_values(step_jacobians(layer, double.embedding(row.unsqueeze(0))[0], MAX_DISTANCE))
                for row in sequences
            ]
        values = mean_of_lengths([one.T for one in each]).T
    except RnnbenchError as error:
        whys.append(str(error))
    try:
        terms = loss_terms(double, doubled)
    except RnnbenchError as error:
        whys.append(str(error))
    return Profile(loss, layer.directions, values, terms, "; ".join(whys))


def _to_cpu(part: Any) -> Any:
    return part.cpu() if isinstance(part, Tensor) else part


def _to_double(part: Any) -> Any:
    return part.double() if isinstance(part, Tensor) and part.is_floating_point() else part
