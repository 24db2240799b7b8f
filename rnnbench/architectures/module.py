"""What a `SequenceModule` asks of its data and of its layer."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Literal, Protocol, Self, cast

import torch
import torch.distributed as dist
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map
from torchmetrics import MetricCollection

from rnnbench.analysis.decode import DecodedText
from rnnbench.analysis.forecast import WindowForecasts
from rnnbench.analysis.score import ScoredText
from rnnbench.architectures.embedding import LEARNED, make_embedding
from rnnbench.architectures.inference import Inference
from rnnbench.architectures.micro_batches import Term, accumulate, micro_batches
from rnnbench.architectures.optim import OptimizerName, ScheduleName, make_optimizer, make_schedule
from rnnbench.architectures.options import Option, as_arguments, check_decoding, check_settings, layer_options
from rnnbench.errors import Infeasible, RnnbenchError, told, unknown
from rnnbench.nn import run_padded, run_padded_to_states
from rnnbench.nn.attention import AttentionName
from rnnbench.nn.recurrent import States
from rnnbench.objectives import Objective, find_objective
from rnnbench.objectives.batch import AnyBatch, Batch, StreamBatch, as_batch
from rnnbench.objectives.double import DoubleMetric, to_double


class HasModelKwargs(Protocol):
    """Anything that states its sizes: `input_kind`, `input_size`, `output_size`, `objective`."""

    def model_kwargs(self) -> dict[str, Any]:
        """Keyword arguments of a `SequenceModule`: the four above, and `objective_options` if the objective has any."""
        ...


class SequenceLayer(Protocol):
    """What a `SequenceModule` asks of its layer beside running it; every `Recurrent` has it."""

    @property
    def directions(self) -> int:
        """2 if the last half of an output is that of a stack that reads backwards, else 1: D."""
        ...

    @property
    def output_size(self) -> int:
        """Features of an output step, D·H."""
        ...

    @property
    def backend(self) -> str:
        """What computes it where its parameters are."""
        ...


def activation_penalties(
    hidden: Tensor, dropped: Tensor, lengths: Tensor | None, alpha: float, beta: float
) -> list[Term]:
    """`α mean(h'_t²)` and `β mean((h_{t+1} − h_t)²)` (Merity, McCann & Socher 2017, eq. 2 and 3, means for norms).

    `hidden` are the states h, `dropped` those after dropout, h', both `[B, T, D·H]`; the means are over the true
    steps, and pairs of true steps, that `lengths` `[B]` leave. One whose factor is 0 is left out.
    """
    if lengths is None:
        lengths = torch.full(hidden.shape[:1], hidden.shape[1], device=hidden.device)
    known = torch.arange(hidden.shape[1], device=hidden.device) < lengths.unsqueeze(1)
    moved = hidden[:, 1:] - hidden[:, :-1]
    chosen = [(alpha, dropped[known]), (beta, moved[known[:, 1:]])]
    return [Term(factor * of.square().sum(), of.new_tensor(of.numel())) for factor, of in chosen if factor]


Stage = Literal["train", "val", "test", "predict"]
SIZES = ("input_size", "output_size", "objective", "input_kind", "objective_options", "tokenizer")
"""Arguments that are facts of the data."""
BUILT_ATTRIBUTES = ("embedding", "layer", "dropout", "objective", "metrics", "losses")
"""What a module has as soon as it knows its sizes."""


class MeanLoss(DoubleMetric):
    """Mean of a loss over all its terms. One that is no number makes the mean none: torchmetrics' own leaves it out."""

    full_state_update = False
    summed: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("summed", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, summed: Tensor, count: Tensor) -> None:
        """Add a sum over `count` terms."""
        self.summed += to_double(summed)
        self.count += to_double(count)

    def compute(self) -> Tensor:
        """The mean."""
        return (self.summed / self.count).float()


class SequenceModule(LightningModule):
    """A sequence layer, most often a recurrent stack, trained on one objective.

    A subclass names its layer: a `Recurrent`; or a module with `SequenceLayer`'s properties, and then says in
    `make_layer`, `hidden_states` and `causal` how it is made, run and where it looks.

    Called with inputs `[B, T, C]` (features) or `[B, T]` (token ids) and true lengths `[B]` or None, it gives the
    objective's predictions: `[B, O]` for a sequence, `[B, T, O]` per step. Batches are `(inputs, targets, lengths)`.

    The first four arguments come from the data: give them, take them from a data module with `from_data`, or leave
    them out and they are read from the Trainer's data module when it starts (a `LightningCLI` file never repeats them).

    Args:
        input_size: channels of a step, or size of the vocabulary.
        output_size: classes or channels to predict.
        objective: `classification`, `ordinal_classification`, `tagging`, `language_model`, `character_model`,
            `regression`, `forecast`, `quantile_forecast`, …, or the import path of an `Objective`.
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
            (fetched), or the path of a file that `rnnbench.utils.word_vectors.read_vectors` knows. A decoder
            learns its own.
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
    low_precision = False
    """Whether inference is under autocast to bfloat16."""
    stateful: ClassVar[bool] = True
    """Whether the layer gives the states in which it ended, and can begin in them."""
    embedding: Any
    """A `WordEmbedding` or `OneHot` of tokens; of features nothing, `Identity`."""
    layer: Any
    """A `SequenceLayer`, of the type that the subclass names."""
    objective: Objective
    train_loss: Term | None = None
    """Sum and number of terms since the training loss was last logged; None if there were none."""
    micro_batches: int = 1
    """In how many parts a batch goes through the network. Gradients, scores and what is carried from batch to batch
    are those of the whole batch, up to rounding and the random numbers that each part draws for itself."""
    part: int = 0
    """Which of them this is."""
    _resumed: list[dict[str, Any]] | None = None
    """Running states of all processes, from a checkpoint, until training starts."""
    _restored: dict[str, Any] | None = None
    """Name and coverage of pre-trained vectors that came with a checkpoint's weights."""

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
        self._other_scores: dict[tuple[Stage, int], tuple[MeanLoss, MetricCollection]] = {}
        self.register_state_dict_post_hook(_save_sizes)  # type: ignore[no-untyped-call]
        facts = (input_size, output_size, objective)
        if any(fact is not None for fact in facts):
            if None in facts:
                raise ValueError("give input_size, output_size and objective together, or leave all three to the data")
            self._build()

    @classmethod
    def from_data(cls, data: HasModelKwargs, **settings: Any) -> Self:
        """The architecture with the sizes of `data`; `settings` are any other constructor arguments."""
        return cls(**data.model_kwargs(), **settings)

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the running hook on the module some forty times a step; torch checks each for parameters."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        """Say why a module that has no layers yet does not have them."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in BUILT_ATTRIBUTES and not self.__dict__.get("built", True):
                raise AttributeError(self._without_sizes()) from None
            raise

    # --- sizes and layers

    def configure_model(self) -> None:
        """Build the layers from the `model_kwargs` of the Trainer's data module, unless the constructor had them."""
        if self.built:
            return
        data: HasModelKwargs | None = getattr(self._trainer, "datamodule", None)
        if data is None or not hasattr(data, "model_kwargs"):
            raise RnnbenchError(self._without_sizes())
        self.build_from(data)

    def configure_callbacks(self) -> list[Callback]:
        """No callbacks, but the layers, if the data is known: some callbacks copy or freeze a module when they are set
        up, which is before `configure_model`.
        """
        if hasattr(getattr(self._trainer, "datamodule", None), "model_kwargs"):
            self.configure_model()
        return []

    def _without_sizes(self) -> str:
        name = type(self).__name__
        return (
            f"{name} does not know its sizes: give it input_size, output_size and objective, "
            f"use {name}.from_data(data), or train it on a data module that has model_kwargs()"
        )

    def extra_repr(self) -> str:
        """What the module is for, its sizes and its number of parameters: the first line of its repr."""
        if not self.__dict__.get("built", True):
            return "sizes come from the data"
        sizes = self.hparams
        tokens = sizes["input_kind"] == "tokens"
        shape = f"[B, T] of {sizes['input_size']:,} tokens" if tokens else f"[B, T, {sizes['input_size']}]"
        count = sum(weight.numel() for weight in self.parameters() if weight.requires_grad)
        return f"{sizes['objective']}: inputs {shape}, {sizes['output_size']:,} outputs, {count:,} trainable parameters"

    def build_from(self, data: HasModelKwargs) -> None:
        """Build the layers with the sizes of `data`, unless they have been built."""
        if not self.built:
            self.hparams.update(data.model_kwargs())  # a checkpoint then reopens without any data
            self._build()

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

    def known_options(self) -> set[str]:
        """Names that `layer_options` can have."""
        return layer_options(self.layer_class)

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
            why = told(error, objective.__module__)
            raise RnnbenchError(f"objective {p.objective!r} was not given what it needs of the data: {why}") from error

    def set_objective(self, objective: Objective) -> None:
        """Install the head and fresh metrics."""
        self.objective = objective
        objective.state_rows_dim = 1 if self.stateful else 0
        self.metrics = nn.ModuleDict({stage: objective.metrics() for stage in ("val", "test")})
        self.losses = nn.ModuleDict({stage: MeanLoss() for stage in ("val", "test")})

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

    @property
    def backbone(self) -> SequenceLayer:
        """The layer without embedding and head, by the name that `BackboneFinetuning` asks for."""
        return self.layer  # type: ignore[no-any-return]

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

    @property
    def example_input_array(self) -> Any:
        """Inputs with which Lightning draws the graph and sums up the model, if it is to; a batch will do."""
        return super().example_input_array

    @example_input_array.setter
    def example_input_array(self, example: Any) -> None:
        if isinstance(example, Batch | StreamBatch):
            example = example.inputs if example.lengths is None else (example.inputs, example.lengths)
        LightningModule.example_input_array.fset(self, example)  # type: ignore[attr-defined]

    # --- from inputs to predictions

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

    # --- steps

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The mean loss of a batch, and penalties; over several processes, of all their shares of it together.

        Here and in the other steps a batch is whatever `rnnbench.objectives.batch.as_batch` takes.
        """
        batch = as_batch(batch)
        if self.micro_batches == 1:
            terms = self._training_terms(batch)
        else:
            parameters = [one for one in self.parameters() if one.requires_grad]
            terms = accumulate(map(self._training_terms, self._parts(batch)), parameters)
        of_batch = Term(*(value.detach().float() for value in terms[0]))
        self.train_loss = of_batch if self.train_loss is None else Term(*map(torch.add, self.train_loss, of_batch))
        return sum(map(_mean_over_processes, terms[1:]), _mean_over_processes(terms[0]))

    def _training_terms(self, batch: AnyBatch) -> list[Term]:
        predictions, penalties = self.training_outputs(batch)
        return [self._loss(predictions, batch), *penalties]

    def _parts(self, batch: AnyBatch) -> Iterator[AnyBatch]:
        for number, part in enumerate(micro_batches(batch, self.micro_batches)):
            self.part = number
            yield part

    def validation_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Accumulate loss and metrics on the validation part; of several loaders for each by itself."""
        self._evaluate("val", batch, dataloader_idx)

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Accumulate loss and metrics on the test part; of several loaders for each by itself."""
        self._evaluate("test", batch, dataloader_idx)

    def predict_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Any]:
        """Predictions for a batch, by name, as the objective describes them in its `predict`.

        Tensors have the batch first. Where sequences are padded, `lengths` `[B]` is there too. Targets, if a batch has
        any, are never read. Rows of streams go on from batch to batch.
        """
        batch = as_batch(batch, needs_targets=False)
        outputs = self.outputs("predict", batch._replace(targets=None))
        lengths = {} if batch.lengths is None else {"lengths": batch.lengths}
        return {**self.objective.predict(outputs, batch.lengths), **lengths}

    def _loss(self, predictions: Any, batch: AnyBatch) -> Term:
        summed, count = self.objective.loss(predictions, self.objective.known_targets(batch[1], batch[2]))
        return Term(summed, count.to(torch.promote_types(summed.dtype, torch.float32)))

    def _evaluate(self, stage: Stage, batch: Any, loader: int) -> None:
        loss, metrics = self._scores_of(stage, loader)
        for part in self._parts(as_batch(batch)):
            predictions = self.outputs(stage, part)
            loss.update(*self._loss(predictions, part))
            targets = self.objective.known_targets(part[1], part[2])
            self.objective.update(metrics, predictions, targets)

    def _scores_of(self, stage: Stage, loader: int) -> tuple[MeanLoss, MetricCollection]:
        """Loss and metrics of one of several loaders; those of the first are the module's own."""
        if not loader:
            return cast(MeanLoss, self.losses[stage]), cast(MetricCollection, self.metrics[stage])
        if (stage, loader) not in self._other_scores:
            with torch.inference_mode(False):
                own = (copy.deepcopy(self.losses[stage]), copy.deepcopy(self.metrics[stage]))
                for score in own:
                    score.reset()  # type: ignore[operator]
            self._other_scores[stage, loader] = cast(tuple[MeanLoss, MetricCollection], own)
        return self._other_scores[stage, loader]

    def on_train_epoch_end(self) -> None:
        """Log the training loss."""
        self._log_train_loss()

    def on_validation_epoch_end(self) -> None:
        """Log the training loss so far beside the validation scores."""
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._log_train_loss()
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the test scores."""
        self._log_scores("test")

    def _log_train_loss(self) -> None:
        if self.train_loss is not None:
            summed, count = map(float, self.train_loss)
            self.train_loss = None
            if count:
                self.log("train/loss", summed / count, sync_dist=True)

    def _log_scores(self, stage: Stage) -> None:
        """Log the scores; of several loaders those of each, with its name behind, and their means."""
        names = loader_names(self.trainer.val_dataloaders if stage == "val" else self.trainer.test_dataloaders)
        every = [self._computed(stage, loader) for loader in range(len(names))]
        self._other_scores.clear()
        scores = every[0] if len(every) == 1 else {}
        if len(every) > 1:
            scores = {name: torch.stack([torch.as_tensor(own[name]) for own in every]).mean() for name in every[0]}
            scores |= {f"{name}/{loader}": own[name] for loader, own in zip(names, every, strict=True) for name in own}
        # computed over all processes already; sync_dist only keeps Lightning from warning that it might not be
        named = {f"{stage}/{name}": value for name, value in scores.items()}
        self.log_dict(named, sync_dist=True, add_dataloader_idx=False)

    def _computed(self, stage: Stage, loader: int) -> dict[str, Any]:
        loss, metrics = self._scores_of(stage, loader)
        mean: Any = loss.compute()
        scores = {"loss": mean, **self.objective.derived(mean), **metrics.compute()}
        with torch.inference_mode(False):  # states that were made in it could not be updated outside of it
            loss.reset()
            metrics.reset()
        return scores

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, and the schedule if there is one."""
        p: Any = self.hparams
        if not self.built:
            raise RnnbenchError(self._without_sizes())
        if p.schedule != "constant" and self._trainer is None:
            raise RnnbenchError(f"schedule {p.schedule!r} needs a Trainer, which knows how many steps there are")
        # a fused step unscales by itself: clipping would see scaled gradients
        fused = self._trainer is None or self._trainer.precision != "16-mixed"
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = make_optimizer(p.optimizer, trained, p.learning_rate, p.weight_decay, p.momentum, fused)
        if p.schedule == "constant" and not p.warmup_steps:
            return optimizer
        total = self.trainer.estimated_stepping_batches if p.schedule != "constant" else float("inf")
        scheduler = make_schedule(optimizer, p.schedule, p.warmup_steps, total)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the module's own `clip_value`, then `clip_norm`; then by whatever the Trainer was told."""
        p: Any = self.hparams
        if p.clip_value is not None:
            nn.utils.clip_grad_value_(self.parameters(), p.clip_value)
        if p.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters(), p.clip_norm)
        super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    # --- what goes from batch to batch, and checkpoints

    def on_fit_start(self) -> None:
        """Begin to add up the training loss."""
        self.train_loss = None

    def on_train_start(self) -> None:
        """Go on from the running state of a checkpoint, if training was resumed from one, and note what computes the
        layer: after training Lightning takes the module back to the CPU.

        Of another number of processes than now, streams begin anew: their rows are shared in another way.
        """
        states, self._resumed = self._resumed, None
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        if states is not None and len(states) == world:
            self.set_running_state(states[rank])
        self._trained_by = self.layer.backend

    def running_state(self) -> dict[str, Any]:
        """What goes from batch to batch beside the weights: for a training that goes on where it was cut off."""
        carried = {part: states for (stage, part), states in self._carried.items() if stage == "train"}
        return {"train_loss": None if self.train_loss is None else list(self.train_loss), "carried": carried}

    def set_running_state(self, state: dict[str, Any]) -> None:
        """Take over what `running_state` gave."""
        loss = state["train_loss"]
        self.train_loss = None if loss is None else Term(*(value.to(self.device) for value in loss))
        for part, states in state["carried"].items():
            self._carried["train", part] = tree_map(lambda value: value.to(self.device), states)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Name the class, so that a checkpoint can be opened by itself; keep where pre-trained vectors came from, since
        they come with the weights; and the running state of every process, if training can go on from here.
        """
        checkpoint["class_path"] = f"{type(self).__module__}.{type(self).__qualname__}"
        if self._restored is None and self.embedding_coverage is not None:
            key = self.CHECKPOINT_HYPER_PARAMS_KEY
            checkpoint["vectors"] = {"name": self.hparams["embedding"], "coverage": self.embedding_coverage}
            checkpoint[key] = {**checkpoint[key], "embedding": LEARNED}
        elif self._restored is not None:
            checkpoint["vectors"] = self._restored
        if "optimizer_states" not in checkpoint:
            return
        states = [self.running_state()]
        if dist.is_initialized():
            mine, states = states[0], [{}] * dist.get_world_size()
            dist.all_gather_object(states, mine)
        checkpoint["running_states"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the coverage of vectors that came with the weights, and running states until training starts, when
        the device is known.
        """
        self._resumed = checkpoint.get("running_states")
        if self.hparams["embedding"] == LEARNED:
            self._restored = checkpoint.get("vectors")

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

    # --- tokens, and what a trained module can be asked

    @property
    def tokenizer(self) -> Tokenizer | None:
        """Texts to ids of the input and back; None if the data has no tokenizer."""
        text = self.hparams["tokenizer"]
        return None if text is None else Tokenizer.from_str(text)

    @property
    def embedding_coverage(self) -> float | None:
        """Share of the vocabulary, special tokens apart, that had a pre-trained vector; None without such vectors."""
        if self._restored is not None:
            return cast(float, self._restored["coverage"])
        return getattr(getattr(self, "embedding", None), "coverage", None)

    @property
    def hparams_initial(self) -> Any:
        """What loggers note of the arguments: the whole vocabulary is for checkpoints alone."""
        noted = super().hparams_initial
        noted.pop("tokenizer", None)
        return noted

    @contextmanager
    def inference_mode(self) -> Iterator[None]:
        """Within it nothing is dropped and no gradient kept; under autocast to bfloat16 if `low_precision` is set."""
        trains = self.training
        if trains:
            self.eval()
        try:
            with torch.no_grad(), self._inference_type():
                yield
        finally:
            if trains:
                self.train()

    def _inference_type(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.low_precision else nullcontext()

    @property
    def inference(self) -> Inference:
        """All that a trained module can be asked; the most common follow here as methods."""
        return Inference(self)

    def generate(self, prompts: str | Sequence[str] = "", length: int = 200, **options: Any) -> list[str]:
        """What a language model adds to each prompt; see `Inference.generate`."""
        return self.inference.generate(prompts, length, **options)

    def continue_frames(self, frames: Tensor, length: int, **options: Any) -> Tensor:
        """Frames of music that go on from `frames`; see `Inference.continue_frames`."""
        return self.inference.continue_frames(frames, length, **options)

    def score(self, texts: str | Sequence[str], context: str = "", end: bool = False) -> list[ScoredText]:
        """How likely each text is; see `Inference.score`."""
        return self.inference.score(texts, context, end)

    def classify(self, inputs: Sequence[str] | Tensor, lengths: Tensor | None = None) -> Tensor:
        """Probabilities of classes; see `Inference.classify`."""
        return self.inference.classify(inputs, lengths)

    def translate(self, texts: Sequence[str], **options: Any) -> list[list[DecodedText]]:
        """The likeliest translations of each text; see `Inference.translate`."""
        return self.inference.translate(texts, **options)

    def transcribe(self, inputs: Tensor, lengths: Tensor | None = None, **options: Any) -> list[list[DecodedText]]:
        """What is said in sounds; see `Inference.transcribe`."""
        return self.inference.transcribe(inputs, lengths, **options)

    def forecast(self, inputs: Tensor, horizon: int) -> WindowForecasts:
        """What follows windows of measured steps; see `Inference.forecast`."""
        return self.inference.forecast(inputs, horizon)


def _save_sizes(module: Any, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any]) -> None:
    """Let parameters know the sizes of the module that they are of; see `load_state_dict`."""
    if module.built:
        local_metadata["sizes"] = {name: module.hparams[name] for name in SIZES}


def loader_names(loaders: Any) -> list[str]:
    """Names of the loaders of a Trainer: keys, or `dataloader_idx_0`, …; the empty name of a single one."""
    if isinstance(loaders, Mapping):
        return [*map(str, loaders)]
    return [f"dataloader_idx_{k}" for k in range(len(loaders))] if isinstance(loaders, list | tuple) else [""]


def _mean_over_processes(term: Term) -> Tensor:
    """The mean over all processes: gradients are averaged over them, so each share is weighed by its number."""
    summed, number = term
    world = dist.get_world_size() if dist.is_initialized() else 1
    if world > 1:
        dist.all_reduce(number)
    return summed * world / number.clamp(min=1)
