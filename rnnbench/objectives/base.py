"""The contract of an objective."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self, TypeGuard

import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from rnnbench.errors import RnnbenchError, unknown


class Reader(Protocol):
    """A sequence model as an objective that runs it sees it."""

    def __call__(self, inputs: Tensor, lengths: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Hidden states `[B, T, D·H]` of inputs read from `state` on, and the state in which each sequence ends."""
        ...


class Objective(nn.Module, ABC):
    """Head, loss and metrics over the hidden states of a sequence model.

    `causal` says that step t may only use inputs up to t, so that a model that looks ahead would read the answer;
    `per_step` that there is one prediction for each step instead of one for the sequence; `aligned` that there is then
    also one target for each step, and not a sequence of another length; `unknown` is the target of
    what is not scored; `loss_name` is the field's name of the loss as it is logged. `pool` makes one state of all those
    of a sequence, as `rnnbench.nn.mean_over_steps` does; None takes the last of each direction. `teacher_forcing` is
    given to `unroll` where the model does not say.

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1, or 2 for a bidirectional stack.
        output_size: classes or channels to predict.

    What else an objective has to know of the data are keywords of its own, `objective_options` of a `SequenceModule`.

    An objective whose predictions are inputs again `unrolls`: it runs the model itself, in `unroll`. One that `decodes`
    as well is given `make_layer`, `embedding_size`, `attention` and `dropout`, to make a decoder of the same
    architecture.
    """

    causal: ClassVar[bool] = False
    per_step: ClassVar[bool] = False
    aligned: ClassVar[bool] = True
    unrolls: ClassVar[bool] = False
    decodes: ClassVar[bool] = False
    unknown: ClassVar[float]
    loss_name: ClassVar[str]
    pool: Callable[[Tensor, Tensor | None], Tensor] | None
    head: nn.Linear
    teacher_forcing: float = 1.0

    def __init__(self, state_size: int, directions: int, output_size: int) -> None:
        super().__init__()
        self.pool = None  # an attribute, so that an objective of one's own need not pass it on
        self.state_size, self.directions, self.output_size = state_size, directions, output_size
        if not self.decodes:
            self.head = nn.Linear(state_size * directions, output_size)

    @classmethod
    def example(cls) -> Self:
        """A small one, to ask for what depends on no size: the names of its scores."""
        return cls(1, 1, 2)

    def forward(self, hidden: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predictions `[B, T, O]` (per step) or `[B, O]` from hidden states `[B, T, D·H]`."""
        states = hidden if self.per_step else self.summary(hidden, lengths)
        return self.head(states)  # type: ignore[no-any-return]

    def summary(self, hidden: Tensor, lengths: Tensor | None) -> Tensor:
        """One state for the sequence, `[B, D·H]`: pooled, or the last."""
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
        self, read: Reader, inputs: Tensor, lengths: Tensor | None, targets: Tensor | None, teacher_forcing: float
    ) -> Any:
        """Predictions of an objective that runs the model itself, of whatever form its `loss` and `update` take.

        `targets` are None where nothing but the predictions is asked for. While training, a step reads the true value
        before it with probability `teacher_forcing`, and what was predicted there otherwise (scheduled sampling, Bengio
        et al. 2015).
        """
        raise NotImplementedError(f"{type(self).__name__} does not unroll")

    @abstractmethod
    def loss(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss summed over all known targets, and their number: so a mean is right over any split of a batch."""

    @abstractmethod
    def scored(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs `[N, O]`, `[N]` (classes) or `[N]`, `[N]` (values) of all known targets, for the metrics."""

    def predict(self, outputs: Any, lengths: Tensor | None) -> dict[str, Any]:
        """What a trained model says of a batch, by name, from the `outputs` that `loss` takes; for `Trainer.predict`.

        `outputs` as they are, unless an objective says more. Steps beyond `lengths` `[B]` are `unknown`.
        """
        return {"outputs": outputs}

    def update(self, metrics: MetricCollection, predictions: Any, targets: Tensor) -> None:
        """Take a batch into the metrics."""
        metrics.update(*self.scored(predictions, targets))

    @abstractmethod
    def metrics(self) -> MetricCollection:
        """Fresh metrics, updated with scored pairs."""

    def derived(self, loss: Tensor) -> dict[str, Tensor]:
        """Scores that follow from the mean loss over a whole part: itself, under the field's name for it."""
        return {self.loss_name: loss}

    def score_names(self) -> list[str]:
        """Names of all scores: what a card can rank by."""
        return [*self.derived(torch.zeros(())), *map(str, self.metrics().keys())]


def check_shape(targets: Tensor, shape: torch.Size) -> None:
    """Check that targets have the shape that the predictions ask for: broadcast, they would train on something else.

    Raises:
        RnnbenchError: they have another.
    """
    if targets.shape != shape:
        raise RnnbenchError(f"targets must have shape {[*shape]}, as the predictions, got {[*targets.shape]}")


def find_objective(name: str) -> type[Objective]:
    """The objective of that name (`language_model` for `LanguageModel`), or of that import path (`package.Class`).

    Raises:
        RnnbenchError: there is none.
    """
    own = {_words(cls.__name__): cls for cls in _subclasses(Objective) if cls.__module__.startswith("rnnbench.")}
    if name in own:
        return own[name]
    module, _, attribute = name.rpartition(".")
    if not module:
        raise unknown("objective", name, own)
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise RnnbenchError(f"objective {name!r} cannot be imported: {error}") from error
    if not _is_objective(found):
        raise RnnbenchError(f"objective {name!r} is not a subclass of rnnbench.objectives.Objective")
    return found


def _subclasses(cls: type[Any]) -> Iterator[type[Objective]]:
    for subclass in cls.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _is_objective(thing: object) -> TypeGuard[type[Objective]]:
    return isinstance(thing, type) and issubclass(thing, Objective) and thing is not Objective
