"""The width at which a network has the size that a grid asks for."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.config.grid import RunSpec
from rnnbench.config.model_size import NO_WIDTH, WIDTH, Fit, Size
from rnnbench.errors import Infeasible, RnnbenchError, UnknownName, told
from rnnbench.harness.instantiate import constructor_arguments, import_class, make_model
from rnnbench.utils.fingerprint import digest

WIDTHS = (WIDTH, "channels", "width")
"""What the width of a network is called; a class that calls it otherwise says so in `width_argument`."""
START, WIDEST = 32, 2**17
"""The search begins at the first, and ends at the second."""
GAP = 64
"""Most widths in a row that a network may refuse, as one whose heads divide it."""
TRAINING_ONLY = {
    "optimizer", "learning_rate", "weight_decay", "momentum", "schedule", "warmup_steps", "clip_norm", "clip_value",
    "activation_penalty", "temporal_penalty", "teacher_forcing", "dropout",
}  # fmt: skip
"""Arguments that do not shape a network: all that differ in these alone share one search."""
Tried = tuple[int, int]
"""A width and its count."""
Count = Callable[[int], int | None]
"""Gives the count of a width, or None."""
_SEARCHES: dict[str, list[Tried]] = {}
"""Searches that this process has made."""


def width_argument(spec: RunSpec) -> str:
    """The argument of the run's architecture that is its width.

    Raises:
        RnnbenchError: it has none.
    """
    where = f"architecture {spec.architecture.name!r}"
    cls = import_class(spec.architecture.class_path, LightningModule, where)
    names = [str(cls.width_argument)] if hasattr(cls, "width_argument") else WIDTHS
    if found := next((name for name in names if name in constructor_arguments(cls)), None):
        return found
    raise RnnbenchError(
        f"{where}: {cls.__name__} has no width to choose for {spec.size}: no argument {' or '.join(names)}, "
        "and no attribute width_argument that names another"
    )


def fit_size(spec: RunSpec, model_kwargs: dict[str, Any]) -> tuple[RunSpec, Fit | None]:
    """The run with the width that its rule leads to, and the fit; without a rule the run as it is.

    Raises:
        Infeasible: no width is near enough.
        RnnbenchError: the architecture has no width, or its operations cannot be counted.
    """
    size = spec.size
    if size is None:
        return spec, None
    argument = width_argument(spec)
    tried = _search(spec, model_kwargs, argument, size)
    if not tried:
        make_model(spec, **model_kwargs)  # says what is wrong with it
        raise Infeasible(f"no width ({argument}) up to {WIDEST:,} makes a network")
    width, count = min(tried, key=lambda width_and_count: abs(width_and_count[1] - size.target))
    if not size.met_by(count):
        counts = ", ".join(f"{width} gives {count:,}" for width, count in tried)
        raise Infeasible(f"{NO_WIDTH} {100 * size.tolerance:g} % of {size.target:,}: {argument} {counts}")
    return with_width(spec, argument, width), Fit(argument=argument, width=width, count=count)


def _search(spec: RunSpec, model_kwargs: dict[str, Any], argument: str, size: Size) -> list[Tried]:
    """The widths beside the target; runs whose networks have the same shape share one search."""
    shape = {name: value for name, value in spec.arguments.items() if name not in {*TRAINING_ONLY, argument}}
    key = digest([spec.architecture.class_path, shape, model_kwargs, size.content])
    if key not in _SEARCHES:
        _SEARCHES[key] = near(size.target, _counter(spec, model_kwargs, argument, size))
    return _SEARCHES[key]


def narrowest(spec: RunSpec, model_kwargs: dict[str, Any]) -> Tried:
    """The smallest width at which a run's architecture makes a network, and what that counts by the run's rule.

    Raises:
        Infeasible: the architecture cannot do such a task, or there is no such width.
    """
    assert spec.size is not None
    argument = width_argument(spec)
    smallest = _next(_counter(spec, model_kwargs, argument, spec.size), 1, GAP)
    if smallest is None:
        raise Infeasible(f"no width ({argument}) up to {GAP} makes a network")
    return smallest


def check_size(spec: RunSpec, fit: Fit | None, model: LightningModule) -> None:
    """Check that a network has the size it was to have.

    Raises:
        RnnbenchError: it has another.
    """
    if spec.size is not None and fit is not None and (built := count_of(model, spec.size)) != fit.count:
        raise RnnbenchError(f"{spec.size}: {fit.argument} {fit.width} was to give {fit.count:,}, but gives {built:,}")


def with_width(spec: RunSpec, argument: str, width: int) -> RunSpec:
    """The run with another width."""
    arguments = {**spec.architecture.init_args, argument: width}
    return spec.model_copy(update={"architecture": spec.architecture.model_copy(update={"init_args": arguments})})


def count_of(model: LightningModule, size: Size) -> int:
    """The count of a network: parameters, or operations of a step, as a rule has it.

    Raises:
        RnnbenchError: nothing in it is a sequence layer, or its operations cannot be counted.
    """
    if size.quantity == "flops":
        return flops_of_a_step(model)
    if size.count == "recurrent":
        own = {parameter for layer in _layers(model) for parameter in layer.parameters()}
        return sum(parameter.numel() for parameter in own if parameter.requires_grad)
    skipped = set[int]()
    if size.count == "non-embedding":
        embeddings = (module for module in model.modules() if isinstance(module, nn.Embedding | nn.EmbeddingBag))
        skipped = {id(module.weight) for module in embeddings}
    return sum(weight.numel() for weight in model.parameters() if weight.requires_grad and id(weight) not in skipped)


def _layers(model: LightningModule) -> list[nn.Module]:
    """The sequence layers: of ours and of whoever calls them so, `layer` and a decoder's; of others, those of torch."""
    named = [module for name, module in model.named_modules() if name.rpartition(".")[2] == "layer"]
    if layers := named or [module for module in model.modules() if isinstance(module, nn.RNNBase)]:
        return layers
    raise RnnbenchError(f"{type(model).__name__} has no sequence layer whose parameters could be counted")


def state_bytes(model: LightningModule) -> int | None:
    """Bytes of the states that the layers keep of one sequence between two steps; None where no layer has a cell."""
    layers: list[Any] = [
        module for module in model.modules() if hasattr(module, "cell") and hasattr(module, "directions")
    ]
    sizes = [
        layer.num_layers * layer.directions * sum(layer.cell.state_sizes(layer.hidden_size))
        * next(layer.parameters()).element_size()
        for layer in layers
    ]  # fmt: skip
    return sum(sizes) if sizes else None


def flops_of_a_step(model: LightningModule) -> int:
    """What one more input step of one sequence costs in the forward pass, see `rnnbench.config.model_size.Flops`.

    A head that answers at every step is part of it, one that answers once for the sequence is not, nor is a decoder.

    Raises:
        RnnbenchError: it cannot be run on made-up inputs.
    """
    shadow: Any = deepcopy(model).to("meta").eval()
    # a network without states is as deep in its past as it is long, and has no loop over steps
    steps = 2 if getattr(shadow, "stateful", True) else 1024
    try:
        return _flops(shadow, steps + 1) - _flops(shadow, steps)
    except Exception as error:  # a third party's class may raise anything
        why = told(error, type(model).__module__)
        raise RnnbenchError(f"{type(model).__name__}: operations of a step cannot be counted: {why}") from error


def _flops(model: Any, steps: int) -> int:
    size, tokens = model.hparams["input_size"], model.hparams["input_kind"] == "tokens"
    shape, dtype = ((1, steps), torch.int64) if tokens else ((1, steps, size), torch.get_default_dtype())
    run = model.read if getattr(getattr(model, "objective", None), "unrolls", False) else model
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run(torch.empty(shape, dtype=dtype, device="meta"))
    return int(counter.get_total_flops())


def _counter(spec: RunSpec, model_kwargs: dict[str, Any], argument: str, size: Size) -> Count:
    """Gives the count of a run's network at a width; None where the network refuses the width."""

    def count(width: int) -> int | None:
        try:
            with torch.device("meta"):
                model = make_model(with_width(spec, argument, width), **model_kwargs)
        except (Infeasible, UnknownName):
            raise
        except RnnbenchError:
            return None
        return count_of(model, size)

    return count


def near(target: int, count: Count) -> list[Tried]:
    """The widest network with less than `target`, if there is one, and the narrowest with no less, by bisection.

    `count` grows with the width, and is None for widths that there are not. At single widths it may be smaller than at
    the one before (a residual connection needs no weights where a layer is as wide as its input): one that the
    bisection has met is given as well, and what lies beside it is searched without it.
    """
    below, above = _crossing(target, count)
    if below is None or above is None:
        return [tried for tried in (below, above) if tried is not None]
    before = next((number for width in range(below[0] - 1, max(0, below[0] - GAP), -1)
                   if (number := count(width)) is not None), 0)  # fmt: skip
    if before <= below[1]:
        return [below, above]
    return sorted([*near(target, lambda width: None if width == below[0] else count(width)), below])


def _crossing(target: int, count: Count) -> tuple[Tried | None, Tried | None]:
    """Neighbours of which the first has less than `target`, and the second has not."""
    below, above, floor, ceiling = None, None, 0, START
    while above is None and ceiling <= WIDEST:
        tried = _next(count, ceiling, 2 * ceiling)
        if tried is not None and tried[1] >= target:
            above = tried
        else:
            below = tried or below
            floor, ceiling = (tried or (floor,))[0], 2 * ceiling
    while above is not None and ceiling - floor > 1:
        middle = (floor + ceiling) // 2
        tried = _next(count, middle, ceiling)
        if tried is None or tried[1] >= target:
            above, ceiling = tried or above, middle
        else:
            below, floor = tried, tried[0]
    return below, above


def _next(count: Count, first: int, end: int) -> Tried | None:
    """The first width from `first` on, before `end`, that there is, and its count."""
    tried = ((width, count(width)) for width in range(first, min(end, first + GAP)))
    return next(((width, number) for width, number in tried if number is not None), None)
