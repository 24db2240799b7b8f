"""The one LightningModule: input, recurrent stack, objective. Every architecture is a subclass that names its layer."""

import inspect
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn

from rnnbench.architectures.optimisation import OptimizerName, ScheduleName
from rnnbench.architectures.steps import ObjectiveSteps
from rnnbench.errors import Infeasible, RnnbenchError, unknown
from rnnbench.nn import run_padded
from rnnbench.objectives import find_objective

Option = bool | int | float | str


class HasFacts(Protocol):
    """Anything that states its sizes: `input_kind`, `input_size`, `output_size`, `objective`."""

    def facts(self) -> dict[str, Any]:
        """The four facts, as keyword arguments of a `SequenceModule`."""
        ...


class SequenceModule(ObjectiveSteps):
    """A recurrent stack trained on one objective.

    Called with inputs `[B, T, C]` (features) or `[B, T]` (token ids) and true lengths `[B]` or None, it gives the
    objective's predictions: `[B, O]` for a sequence, `[B, T, O]` per step. Batches are `(inputs, targets, lengths)`.

    The first four arguments are facts of the data: give them, take them from a data module with `from_data`, or leave
    them out and they are read from the Trainer's data module when it starts (a `LightningCLI` file never repeats them).

    Args:
        input_size: channels of a step, or size of the vocabulary.
        output_size: classes or channels to predict.
        objective: `classification`, `tagging`, `regression`, `forecast`, or the import path of an `Objective`.
        input_kind: `features` (real vectors) or `tokens` (ids, 0 is padding; an embedding is learned).
        hidden_size: units of each layer in each direction, H.
        num_layers: depth of the stack.
        bidirectional: read in both directions; refused by causal objectives.
        dropout: probability, on the output of every recurrent layer while training.
        embedding_size: width of the token embedding.
        layer_options: options of the layer itself, see each architecture.
        optimizer: `adam`, `adamw`, `sgd` or `rmsprop`, fused where torch has it.
        learning_rate: step size (the peak, with a schedule).
        weight_decay: L2 penalty (`adamw`: decoupled).
        momentum: of `sgd` and `rmsprop`.
        schedule: `constant`, or `cosine` or `linear` down to 0 over the steps of the run.
        warmup_steps: optimiser steps of linear warm-up.
        clip_norm: largest total norm of the gradient (Pascanu, Mikolov & Bengio 2013).
        clip_value: largest absolute value of each component of the gradient, applied before `clip_norm`.

    Raises:
        RnnbenchError: unknown objective or layer option.
        Infeasible: bidirectional on a causal objective.
        ValueError: a value out of its range.
    """

    layer_class: ClassVar[type[nn.RNNBase]]

    def __init__(
        self,
        input_size: int | None = None,
        output_size: int | None = None,
        objective: str | None = None,
        input_kind: Literal["features", "tokens"] = "features",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        embedding_size: int = 64,
        layer_options: dict[str, Option] | None = None,
        optimizer: OptimizerName = "adam",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: ScheduleName = "constant",
        warmup_steps: int = 0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self._check_settings()
        self.built = False
        facts = (input_size, output_size, objective)
        if any(fact is not None for fact in facts):
            if None in facts:
                raise ValueError("give input_size, output_size and objective together, or leave all three to the data")
            self._build()

    @classmethod
    def from_data(cls, data: HasFacts, **settings: Any) -> Self:
        """The architecture with the sizes of `data`; `settings` are any other constructor arguments."""
        return cls(**data.facts(), **settings)

    def configure_model(self) -> None:
        """Build the layers from the facts of the Trainer's data module, if the constructor was not given them."""
        if self.built:
            return
        data: HasFacts | None = getattr(self.trainer, "datamodule", None)
        if data is None or not hasattr(data, "facts"):
            name = type(self).__name__
            raise RnnbenchError(
                f"{name} does not know its sizes: give it input_size, output_size and objective, "
                f"use {name}.from_data(data), or train it on a data module that has facts()"
            )
        self.hparams.update(data.facts())  # a checkpoint then reopens without any data
        self._build()

    def _build(self) -> None:
        p: Any = self.hparams
        objective = find_objective(p.objective)
        if objective.causal and p.bidirectional:
            raise Infeasible(f"objective {p.objective!r} is causal: a bidirectional stack would read the answer")
        tokens = p.input_kind == "tokens"
        self.embedding = nn.Embedding(p.input_size, p.embedding_size, padding_idx=0) if tokens else nn.Identity()
        self.layer = self.layer_class(
            p.embedding_size if tokens else p.input_size,
            p.hidden_size,
            p.num_layers,
            batch_first=True,
            dropout=p.dropout if p.num_layers > 1 else 0.0,
            bidirectional=p.bidirectional,
            **(p.layer_options or {}),
        )
        self.dropout = nn.Dropout(p.dropout)
        self.set_objective(objective(self.layer.proj_size or p.hidden_size, 1 + p.bidirectional, p.output_size))
        self.built = True

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predictions `[B, O]` or `[B, T, O]` for inputs `[B, T, C]` or token ids `[B, T]` of true `lengths` `[B]`."""
        hidden = run_padded(self.layer, self.embedding(inputs), lengths)
        return self.objective(self.dropout(hidden), lengths)  # type: ignore[no-any-return]

    def _check_settings(self) -> None:
        p: Any = self.hparams
        for name in ("hidden_size", "num_layers", "embedding_size"):
            if p[name] < 1:
                raise ValueError(f"{name} must be at least 1, got {p[name]}")
        for name in ("learning_rate", "clip_norm", "clip_value"):
            if p[name] is not None and not p[name] > 0:
                raise ValueError(f"{name} must be greater than 0, got {p[name]}")
        for name in ("weight_decay", "warmup_steps"):
            if p[name] < 0:
                raise ValueError(f"{name} must be at least 0, got {p[name]}")
        for name in ("dropout", "momentum"):
            if not 0 <= p[name] < 1:
                raise ValueError(f"{name} must be at least 0 and less than 1, got {p[name]}")
        options = set(inspect.signature(self.layer_class).parameters) - _SET_BY_THE_MODULE
        for name in p.layer_options or {}:
            if name not in options:
                raise unknown(f"layer option of {type(self).__name__}", name, options)
        layer: Any = self.layer_class
        with torch.device("meta"):  # the layer knows best which values it takes
            layer(1, p.hidden_size, **(p.layer_options or {}))


_SET_BY_THE_MODULE = {
    "input_size", "hidden_size", "num_layers", "batch_first", "dropout", "bidirectional", "device", "dtype",
}  # fmt: skip
