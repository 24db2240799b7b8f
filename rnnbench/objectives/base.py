"""The contract of an objective, and how objectives are found by name."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, ClassVar, Literal, Protocol, Self, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import MetricCollection

from rnnbench.errors import RnnbenchError, told, unknown

OutputKind = Literal["text", "frames", "tags", "classes", "sequences", "transcripts", "forecasts", "values", "symbols"]
"""What the predictions of a trained model are, for everything that shows them."""


class StatefulModel(Protocol):
    """A sequence model without its head, as an objective that runs the model itself calls it."""

    def __call__(self, inputs: Tensor, lengths: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Hidden states `[B, T, D·H]` of inputs, starting from `state`, and the state at the end of each sequence."""
        ...


class Objective(nn.Module, ABC):
    """Head, loss and metrics over the hidden states of a sequence model.

    A subclass sets `unknown` and `loss_name`, whatever other class attributes differ, and implements `loss`, `scored`
    and `metrics`. What it has to know of the data beside the sizes are keyword arguments of its constructor, the
    `objective_options` of a `SequenceModule`.

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1, or 2 for a bidirectional stack.
        output_size: classes or channels to predict.
    """

    causal: ClassVar[bool] = False
    """Whether step t may only use inputs up to t: a model that looks ahead would read the answer."""
    per_step: ClassVar[bool] = False
    """Whether there is a prediction for each step, instead of one for the sequence."""
    aligned: ClassVar[bool] = True
    """Whether there is also a target for each of these steps, and not a sequence of another length."""
    unrolls: ClassVar[bool] = False
    """Whether predictions become inputs again, so that the objective runs the model itself, in `unroll`."""
    decodes: ClassVar[bool] = False
    """Whether it also makes a decoder of the same architecture: its constructor then gets `make_layer`,
    `embedding_size`, `attention` and `dropout` too, and there is no `head`."""
    unknown: ClassVar[float]
    """The value of targets that are not scored."""
    loss_name: ClassVar[str]
    """The usual name of the loss, under which it is logged."""
    description: ClassVar[str] = ""
    """What a model trained on it is, with an article: "a classifier"."""
    output_kind: ClassVar[OutputKind | None] = None
    """What its predictions are; None if nothing here can show them."""
    verbs: ClassVar[tuple[str, ...]] = ()
    """Verbs of the command line that a trained model supports because of it."""
    pool: Callable[[Tensor, Tensor | None], Tensor] | None
    """Reduces the states of a sequence to a single state, as `rnnbench.nn.mean_over_steps` does; None takes the last
    state of each direction."""
    head: nn.Linear
    teacher_forcing: float = 1.0
    """What `unroll` gets where the model has no `teacher_forcing` of its own."""
    state_rows_dim: int = 1
    """Dimension of the sequences of a batch in the states that the model of `unroll` gives; the model sets it."""

    def __init__(self, state_size: int, directions: int, output_size: int) -> None:
        super().__init__()
        self.pool = None  # an attribute, so that constructors of subclasses need not pass it on
        self.state_size, self.directions, self.output_size = state_size, directions, output_size
        if not self.decodes:
            self.head = nn.Linear(state_size * directions, output_size)

    @classmethod
    def example(cls) -> Self:
        """A small instance, for what does not depend on sizes: the names of its scores."""
        return cls(1, 1, 2)

    def forward(self, hidden: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predictions `[B, T, O]` (per step) or `[B, O]` from hidden states `[B, T, D·H]`."""
        states = hidden if self.per_step else self.summary(hidden, lengths)
        return self.head(states)  # type: ignore[no-any-return]

    def summary(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """A single state for the sequence, `[B, D·H]`: pooled, or the last."""
        return self.last_state(hidden, lengths) if self.pool is None else self.pool(hidden, lengths)

    def last_state(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """The last state of each direction, `[B, D·H]`: forwards at the true last step, backwards at the first."""
        if lengths is None:
            forwards = hidden[:, -1, : self.state_size]
        else:
            rows = torch.arange(hidden.shape[0], device=hidden.device)
            forwards = hidden[rows, lengths - 1, : self.state_size]
        if self.directions == 1:
            return forwards
        return torch.cat([forwards, hidden[:, 0, self.state_size :]], dim=-1)

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """`targets` with `unknown` written over every step beyond its sequence's length."""
        if not self.per_step or lengths is None:
            return targets
        beyond = torch.arange(targets.shape[1], device=targets.device) >= lengths.unsqueeze(1)
        return targets.masked_fill(beyond.reshape(*beyond.shape, *[1] * (targets.dim() - 2)), self.unknown)

    def unroll(
        self,
        model: StatefulModel,
        inputs: Tensor,
        lengths: Tensor | None,
        targets: Tensor | None,
        teacher_forcing: float,
    ) -> Any:
        """Run the model, and return predictions in the form that `loss` and `update` take.

        `targets` is None where only predictions are needed. While training, a step reads the true value before it with
        probability `teacher_forcing`, otherwise the prediction for it (scheduled sampling, Bengio et al. 2015).
        """
        raise NotImplementedError(f"{type(self).__name__} does not unroll")

    @abstractmethod
    def loss(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss summed over all known targets, and their number: means are then exact over any split of a batch."""

    @abstractmethod
    def scored(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs `[N, O]`, `[N]` (classes) or `[N]`, `[N]` (values) of all known targets, for the metrics."""

    def predict(self, outputs: Any, lengths: Tensor | None) -> dict[str, Any]:
        """Predictions for a batch, by name, from the `outputs` that `loss` takes; for `Trainer.predict`.

        The `outputs` themselves, unless a subclass overrides it. Steps beyond `lengths` `[B]` are `unknown`.
        """
        return {"outputs": outputs}

    def update(self, metrics: MetricCollection, predictions: Any, targets: Tensor) -> None:
        """Update the metrics with a batch."""
        metrics.update(*self.scored(predictions, targets))

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """New metrics, which `update` feeds with the pairs of `scored`."""

    def derived(self, loss: Tensor) -> dict[str, Tensor]:
        """Scores computed from the mean loss over a whole split: the loss itself, under its usual name."""
        return {self.loss_name: loss}

    def score_names(self) -> list[str]:
        """Names of all scores, which a task card can rank by."""
        return [*self.derived(torch.zeros(())), *map(str, self.metrics().keys())]


def check_shape(targets: Tensor, shape: torch.Size) -> None:
    """Check the shape of targets: another shape could be broadcast, and train on something else.

    Raises:
        RnnbenchError: targets have another shape.
    """
    if targets.shape != shape:
        raise RnnbenchError(f"targets must have shape {[*shape]}, as the predictions, got {[*targets.shape]}")


def multi_label_loss(predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy of logits `[B, T, O]` over all labels of known steps, summed, and the number of these steps.

    Targets `[B, T, O]` are 0 or 1; a step with a NaN is not known.

    Raises:
        RnnbenchError: the shapes of targets and predictions differ.
    """
    check_shape(targets, predictions.shape)
    known = ~targets.isnan().any(-1)
    weight = known.unsqueeze(-1).to(predictions.dtype)
    summed = F.binary_cross_entropy_with_logits(predictions, targets.nan_to_num(), weight, reduction="sum")
    return summed, known.sum()


def find_objective(name: str) -> type[Objective]:
    """The objective of a name (`language_model` for `LanguageModel`), or of an import path (`package.Class`).

    Raises:
        RnnbenchError: there is no such objective.
    """
    own = {_snake_case(cls.__name__): cls for cls in _subclasses(Objective) if cls.__module__.startswith("rnnbench.")}
    if name in own:
        return own[name]
    module, _, attribute = name.rpartition(".")
    if not module:
        raise unknown("objective", name, own)
    try:
        objective = getattr(import_module(module), attribute)
    except Exception as error:  # a third party's module may raise anything
        raise RnnbenchError(f"objective {name!r} cannot be imported: {told(error, module)}") from error
    if not _is_objective(objective):
        raise RnnbenchError(f"objective {name!r} is not a subclass of rnnbench.objectives.Objective")
    return objective


def _subclasses(cls: type[Any]) -> Iterator[type[Objective]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _is_objective(thing: object) -> TypeGuard[type[Objective]]:
    return isinstance(thing, type) and issubclass(thing, Objective) and thing is not Objective
