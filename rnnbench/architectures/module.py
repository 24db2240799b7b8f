"""The one LightningModule: input, sequence layer, objective. Every architecture is a subclass that names its layer."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from lightning.pytorch import Callback, LightningModule
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from rnnbench.architectures.answers import Answers
from rnnbench.architectures.embedding import make_embedding
from rnnbench.architectures.micro_batches import Term
from rnnbench.architectures.optimisation import OptimizerName, ScheduleName
from rnnbench.architectures.options import Option, as_arguments, options_of
from rnnbench.architectures.penalties import activation_penalties
from rnnbench.architectures.protocols import HasFacts, SequenceLayer
from rnnbench.architectures.settings import check_decoding, check_settings
from rnnbench.architectures.steps import Stage
from rnnbench.batch import AnyBatch, Batch, StreamBatch
from rnnbench.errors import Infeasible, RnnbenchError, unknown
from rnnbench.nn import run_padded, run_padded_to_states
from rnnbench.nn.attention import AttentionName
from rnnbench.nn.layer import States
from rnnbench.objectives import Objective, find_objective

SIZES = ("input_size", "output_size", "objective", "input_kind", "objective_options", "tokenizer")
"""Arguments that are facts of the data."""


class SequenceModule(Answers):
    """A sequence layer, most often a recurrent stack, trained on one objective.

    A subclass names its layer: a `Recurrent`; or a module with `SequenceLayer`'s properties, and then says in
    `make_layer`, `hidden_states` and `causal` how it is made, run and where it looks.

    Called with inputs `[B, T, C]` (features) or `[B, T]` (token ids) and true lengths `[B]` or None, it gives the
    objective's predictions: `[B, O]` for a sequence, `[B, T, O]` per step. Batches are `(inputs, targets, lengths)`.

    The first four arguments are facts of the data: give them, take them from a data module with `from_data`, or leave
    them out and they are read from the Trainer's data module when it starts (a `LightningCLI` file never repeats them).

    Args:
        input_size: channels of a step, or size of the vocabulary.
        output_size: classes or channels to predict.
        objective: `classification`, `ordinal_classification`, `tagging`, `language_model`, `character_model`,
            `regression`, `forecast`, or the import path of an `Objective`.
        input_kind: `features` (real vectors) or `tokens` (ids, 0 is padding; see `embedding`).
        hidden_size: units of each layer in each direction, H.
        num_layers: depth of the stack.
        bidirectional: read in both directions; refused by causal objectives.
        dropout: probability, on the output of every layer while training.
        embedding_size: width of a learned token embedding; of pre-trained vectors it becomes theirs.
        layer_options: options of the layer itself, see each architecture, and of every recurrent layer: `bias`,
            `connections`, `variational_dropout`, `zoneout`, `weight_dropout`, `recurrent_init`, `spectral_radius`,
            `chrono`, `engine`, `checkpoint_steps`, `bptt`, see `rnnbench.nn.Recurrent`. A list stands for a tuple.
        optimizer: `adam`, `adamw`, `sgd` or `rmsprop`, fused where torch has it.
        learning_rate: step size (the peak, with a schedule).
        weight_decay: L2 penalty (`adamw`: decoupled).
        momentum: of `sgd` and `rmsprop`.
        schedule: `constant`, or `cosine` or `linear` down to 0 over the steps of the run.
        warmup_steps: optimiser steps of linear warm-up.
        clip_norm: largest total norm of the gradient (Pascanu, Mikolov & Bengio 2013).
        clip_value: largest absolute value of each component of the gradient, applied before `clip_norm`.
        activation_penalty: α of activation regularisation (Merity, McCann & Socher 2017): `α mean(h²)` of the top
            layer's states after dropout is added to what is minimised, not to the logged loss.
        temporal_penalty: β of its temporal form, `β mean((h_{t+1} − h_t)²)`, of the states before dropout.
        objective_options: what the objective has to know beside the sizes, by its keywords; a fact of the data too.
        attention: of a decoder over the encoder's states: `none`, `bahdanau` or `luong`, see `rnnbench.nn.Decoder`.
        teacher_forcing: probability that a step which could read a prediction of the model itself, in a decoder or a
            forecast, reads the true value instead while training; without one, what the objective says, mostly 1.
        embedding: of tokens that are read: `learned` with the task; `one-hot`; or pre-trained vectors: `glove-6b-50d`
            (fetched), or the path of a file that `rnnbench.vectors.read_vectors` knows. A decoder learns its own.
        freeze_embedding: leave the embedding as it is at the start.
        tokenizer: of the inputs, as JSON; a fact of the data, too.

    Raises:
        RnnbenchError: unknown objective or layer option.
        Infeasible: bidirectional, or looking ahead in another way, on a causal objective.
        ValueError: a value out of its range.
    """

    layer_class: ClassVar[type[nn.Module]]
    least_layers: ClassVar[int] = 1
    """The smallest `num_layers`."""
    stateful: ClassVar[bool] = True
    """Whether the layer gives the states in which it ended, and can begin in them."""
    layer: Any
    """A `SequenceLayer`, of the type that the subclass names."""

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
        activation_penalty: float = 0.0,
        temporal_penalty: float = 0.0,
        objective_options: dict[str, Any] | None = None,
        attention: AttentionName = "none",
        teacher_forcing: float | None = None,
        embedding: str = "learned",
        freeze_embedding: bool = False,
        tokenizer: str | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self._check_settings()
        self.built = False
        self._trained_by: str | None = None
        self._carried: dict[tuple[Stage, int], States] = {}
        self.register_state_dict_post_hook(_note_sizes)  # type: ignore[no-untyped-call]
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
        data: HasFacts | None = getattr(self._trainer, "datamodule", None)
        if data is None or not hasattr(data, "facts"):
            name = type(self).__name__
            raise RnnbenchError(
                f"{name} does not know its sizes: give it input_size, output_size and objective, "
                f"use {name}.from_data(data), or train it on a data module that has facts()"
            )
        self.build_from(data)

    def configure_callbacks(self) -> list[Callback]:
        """No callbacks, but the layers, if the data is known: some callbacks copy or freeze a module when they are set
        up, which is before `configure_model`.
        """
        if hasattr(getattr(self._trainer, "datamodule", None), "facts"):
            self.configure_model()
        return []

    @property
    def backbone(self) -> SequenceLayer:
        """The layer without embedding and head, by the name that `BackboneFinetuning` asks for."""
        return self.layer  # type: ignore[no-any-return]

    def build_from(self, data: HasFacts) -> None:
        """Build the layers with the sizes of `data`, unless they have been built."""
        if not self.built:
            self.hparams.update(data.facts())  # a checkpoint then reopens without any data
            self._build()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Take over parameters. Layers that have not been built are built first, with the sizes that come with the
        parameters: after training in spawned processes, Lightning brings these to a module that never saw the data.

        Raises:
            RnnbenchError: there are no layers yet, and nothing says what sizes they have.
        """
        sizes = getattr(state_dict, "_metadata", {}).get("", {}).get("sizes")
        if not self.built and sizes:
            self.hparams.update(sizes)
            self._build()
        elif state_dict:
            self.configure_model()
        return super().load_state_dict(state_dict, strict, assign)

    @property
    def example_input_array(self) -> Any:
        """Inputs with which Lightning draws the graph and sums up the model, if it is to; a batch will do."""
        return super().example_input_array

    @example_input_array.setter
    def example_input_array(self, example: Any) -> None:
        if isinstance(example, Batch | StreamBatch):
            example = example.inputs if example.lengths is None else (example.inputs, example.lengths)
        LightningModule.example_input_array.fset(self, example)  # type: ignore[attr-defined]

    def _build(self) -> None:
        p: Any = self.hparams
        objective = find_objective(p.objective)
        if objective.causal and not self.causal:
            who = "bidirectional stack" if p.bidirectional else type(self).__name__
            raise Infeasible(f"objective {p.objective!r} is causal: a {who} would read the answer")
        check_decoding(objective, p, type(self).__name__, self.stateful)
        self.embedding, size = make_embedding(p)
        if self.embedding_coverage is not None:
            p.embedding_size = size
        self.layer = self._make_stack(size, p.bidirectional)
        self.dropout: nn.Module = nn.Dropout(p.dropout)
        self.set_objective(self.make_objective(objective))
        self.built = True

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Predictions `[B, O]` or `[B, T, O]` for inputs `[B, T, C]` or token ids `[B, T]` of true `lengths` `[B]`.

        Of an objective that unrolls, whatever its `unroll` gives without targets.
        """
        if self.objective.unrolls:
            return self.objective.unroll(self.read, inputs, lengths, None, 1.0)  # type: ignore[no-any-return]
        hidden = self.hidden_states(inputs, lengths)
        return self.objective(self.dropout(hidden), lengths)  # type: ignore[no-any-return]

    def hidden_states(self, inputs: Tensor, lengths: Tensor | None) -> Tensor:
        """What the layer makes of every step, `[B, T, D·H]`, zero beyond each sequence's length."""
        return run_padded(self.layer, self.embedding(inputs), lengths)

    def read(self, inputs: Tensor, lengths: Tensor | None = None, state: Any = None) -> tuple[Tensor, Any]:
        """Hidden states of the top layer after dropout, `[B, T, D·H]`, and the state in which each sequence ends.

        `state` is one that `read` gave, None at the start: reading on from it is as reading both inputs in one go, for
        stacks that read forwards. A layer without states reads all it was given since the start again; its rows are
        then of one length.
        """
        embedded = self.embedding(inputs)
        if self.stateful:
            hidden, state = run_padded_to_states(self.layer, embedded, lengths, state)
        else:
            state = inputs if state is None else torch.cat([state, inputs], 1)
            hidden = self.hidden_states(state, lengths)[:, -inputs.shape[1] :]
        return self.dropout(hidden), state

    def training_outputs(self, batch: AnyBatch) -> tuple[Any, list[Term]]:
        """Predictions for a batch, and the penalties on its hidden states that were asked for."""
        if self.objective.unrolls:
            return self.outputs("train", batch), []
        alpha, beta = self.hparams["activation_penalty"], self.hparams["temporal_penalty"]
        hidden, lengths = self.hidden("train", batch), batch[2]
        dropped = self.dropout(hidden)
        penalties = activation_penalties(hidden, dropped, lengths, alpha, beta) if alpha or beta else []
        return self.objective(dropped, lengths), penalties

    def outputs(self, stage: Stage, batch: AnyBatch) -> Any:
        """Predictions for a batch, as the objective takes them; see `hidden`."""
        if self.objective.unrolls:
            forcing = self.hparams["teacher_forcing"]
            forcing = self.objective.teacher_forcing if forcing is None else forcing
            return self.objective.unroll(self.read, batch[0], batch[2], batch[1], forcing)
        return self.objective(self.dropout(self.hidden(stage, batch)), batch[2])

    def hidden(self, stage: Stage, batch: AnyBatch) -> Tensor:
        """Hidden states of the top layer, `[B, T, D·H]`.

        Rows that are pieces of streams (`StreamBatch`) begin with the states in which the same rows of the stage's
        last batch ended; gradients end where a batch begins (truncated back-propagation through time). A layer without
        states sees no further back than its batch.
        """
        if len(batch) == 3 or not self.stateful:
            return self.hidden_states(batch[0], batch[2])
        place = stage, self.part
        hidden, final = self.layer(self.embedding(batch[0]), self._carried.get(place) if batch[3] else None)
        self._carried[place] = final.detach() if isinstance(final, Tensor) else tuple(one.detach() for one in final)
        return hidden  # type: ignore[no-any-return]

    def running_state(self) -> dict[str, Any]:  # noqa: D102
        carried = {part: states for (stage, part), states in self._carried.items() if stage == "train"}
        return {**super().running_state(), "carried": carried}

    def set_running_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        super().set_running_state(state)
        for part, states in state["carried"].items():
            self._carried["train", part] = tree_map(lambda one: one.to(self.device), states)

    # --- the layer

    def known_options(self) -> set[str]:
        """Names that `layer_options` can have."""
        return options_of(self.layer_class)

    @property
    def causal(self) -> bool:
        """Whether no output step depends on a later input."""
        return not self.hparams["bidirectional"]

    def make_objective(self, objective: type[Objective]) -> Objective:
        """Head, loss and metrics for what the layer gives."""
        p: Any = self.hparams
        layer: SequenceLayer = self.layer
        options = dict(p.objective_options or {})
        if objective.decodes:
            options["make_layer"] = lambda size: self._make_stack(size, bidirectional=False)
            options |= {"embedding_size": p.embedding_size, "attention": p.attention, "dropout": p.dropout}
        try:
            return objective(layer.output_size // layer.directions, layer.directions, p.output_size, **options)
        except TypeError as error:
            raise RnnbenchError(
                f"objective {p.objective!r} was not given what it needs of the data: {error}"
            ) from error

    def _make_stack(self, input_size: int, bidirectional: bool) -> SequenceLayer:
        p: Any = self.hparams
        dropout = p.dropout if p.num_layers > 1 else 0.0
        shape = {"num_layers": p.num_layers, "bidirectional": bidirectional, "dropout": dropout}
        return self.make_layer(input_size, batch_first=True, **shape)

    def make_layer(self, input_size: int, **arguments: Any) -> SequenceLayer:
        """The layer, or stack of them."""
        make: Any = self.layer_class
        options = as_arguments(self.hparams["layer_options"])
        return make(input_size, self.hparams["hidden_size"], **arguments, **options)  # type: ignore[no-any-return]

    def on_train_start(self) -> None:
        """Note what computes the layer: after training Lightning takes the module back to the CPU."""
        super().on_train_start()
        self._trained_by = self.layer.backend

    @property
    def backend(self) -> str | None:
        """The engine that trained this module: `native`, `function`, `reference` or `torch`.

        Before any training the one that would run it where it is; None if there is no layer yet, or none can.
        """
        if self._trained_by or not self.built:
            return self._trained_by
        layer: SequenceLayer = self.layer
        try:
            return layer.backend
        except ValueError:  # an engine was asked for that cannot run here
            return None

    def _check_settings(self) -> None:
        p: Any = self.hparams
        check_settings(p, self.least_layers)
        options = self.known_options()
        for name in p.layer_options or {}:
            if name not in options:
                raise unknown(f"layer option of {type(self).__name__}", name, options)
        with torch.device("meta"):  # the layer knows best which values it takes
            layer = self.make_layer(1)
        if getattr(layer, "engine", None) == "torch":
            _ = layer.backend  # refuses what torch has no layer for


def _note_sizes(module: Any, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> None:
    """Let parameters know the sizes of the module that they are of; see `load_state_dict`."""
    if module.built:
        local_metadata["sizes"] = {name: module.hparams[name] for name in SIZES}
