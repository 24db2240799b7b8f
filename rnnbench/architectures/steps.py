"""The steps of training, validation and test on an objective: losses and metrics accumulated, logged once per epoch."""

from collections.abc import Iterator
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from lightning.pytorch import LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from rnnbench.architectures.micro_batches import Term, added_up, micro_batches
from rnnbench.architectures.optimisation import make_optimizer, make_schedule
from rnnbench.batch import AnyBatch, as_batch
from rnnbench.objectives import Objective

Stage = Literal["train", "val", "test", "predict"]


class MeanLoss(Metric):
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
        self.summed += summed
        self.count += count

    def compute(self) -> Tensor:
        """The mean."""
        return (self.summed / self.count).float()


class ObjectiveSteps(LightningModule):
    """What any module trained on an `Objective` does; subclasses build `objective` and say how to predict.

    Logs `train/loss` (mean since it was last logged), and for `val` and `test` the loss, what the objective derives
    from it, and the objective's metrics. Nothing is logged per step: a log call costs more than a small step.
    """

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

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the running hook on the module some forty times a step; torch checks each for parameters."""
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def set_objective(self, objective: Objective) -> None:
        """Install the head and fresh metrics."""
        self.objective = objective
        self.metrics = nn.ModuleDict({stage: objective.metrics() for stage in ("val", "test")})
        self.losses = nn.ModuleDict({stage: MeanLoss() for stage in ("val", "test")})

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The mean loss of a batch, and penalties; over several processes, of all their shares of it together.

        Here and in the other steps a batch is whatever `rnnbench.batch.as_batch` takes.
        """
        batch = as_batch(batch)
        if self.micro_batches == 1:
            terms = self._training_terms(batch)
        else:
            parameters = [one for one in self.parameters() if one.requires_grad]
            terms = added_up(map(self._training_terms, self._parts(batch)), parameters)
        of_batch = Term(*(value.detach().float() for value in terms[0]))
        self.train_loss = of_batch if self.train_loss is None else Term(*map(torch.add, self.train_loss, of_batch))
        return sum(map(_mean, terms[1:]), _mean(terms[0]))

    def _training_terms(self, batch: AnyBatch) -> list[Term]:
        predictions, penalties = self.training_outputs(batch)
        return [self._loss(predictions, batch), *penalties]

    def _parts(self, batch: AnyBatch) -> Iterator[AnyBatch]:
        for number, part in enumerate(micro_batches(batch, self.micro_batches)):
            self.part = number
            yield part

    def training_outputs(self, batch: AnyBatch) -> tuple[Any, list[Term]]:
        """Predictions for a batch, and what is to be added to their mean loss."""
        return self.outputs("train", batch), []

    def outputs(self, stage: Stage, batch: AnyBatch) -> Any:
        """Predictions for a batch, as the objective takes them."""
        return self(batch[0], batch[2])

    def on_fit_start(self) -> None:
        """Begin to add up the training loss."""
        self.train_loss = None

    def running_state(self) -> dict[str, Any]:
        """What goes from batch to batch beside the weights: for a training that goes on where it was cut off."""
        return {"train_loss": None if self.train_loss is None else list(self.train_loss)}

    def set_running_state(self, state: dict[str, Any]) -> None:
        """Take over what `running_state` gave."""
        loss = state["train_loss"]
        self.train_loss = None if loss is None else Term(*(value.to(self.device) for value in loss))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the running state of every process, if training can go on from the checkpoint."""
        if "optimizer_states" not in checkpoint:
            return
        states = [self.running_state()]
        if dist.is_initialized():
            mine, states = states[0], [{}] * dist.get_world_size()
            dist.all_gather_object(states, mine)
        checkpoint["running_states"] = states

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Remember the running states until training starts, when the device is known."""
        self._resumed = checkpoint.get("running_states")

    def on_train_start(self) -> None:
        """Go on from the running state of a checkpoint, if training was resumed from one.

        Of another number of processes than now, streams begin anew: their rows are shared in another way.
        """
        states, self._resumed = self._resumed, None
        rank, world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        if states is not None and len(states) == world:
            self.set_running_state(states[rank])

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Accumulate loss and metrics on the validation part."""
        self._evaluate("val", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Accumulate loss and metrics on the test part."""
        self._evaluate("test", batch)

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """Predictions for a batch, by name, as the objective describes them in its `predict`.

        Tensors have the batch first. Where sequences are padded, `lengths` `[B]` is there too. Targets, if a batch has
        any, are never read. Rows of streams go on from batch to batch.
        """
        batch = as_batch(batch, needs_targets=False)
        outputs = self.outputs("predict", batch._replace(targets=None))
        lengths = {} if batch.lengths is None else {"lengths": batch.lengths}
        return {**self.objective.predict(outputs, batch.lengths), **lengths}

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

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """The optimiser, and the schedule if there is one."""
        p: Any = self.hparams
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

    def _loss(self, predictions: Any, batch: AnyBatch) -> Term:
        summed, count = self.objective.loss(predictions, self.objective.known_targets(batch[1], batch[2]))
        return Term(summed, count.to(torch.promote_types(summed.dtype, torch.float32)))

    def _evaluate(self, stage: Stage, batch: Any) -> None:
        for part in self._parts(as_batch(batch)):
            predictions = self.outputs(stage, part)
            cast(MeanLoss, self.losses[stage]).update(*self._loss(predictions, part))
            targets = self.objective.known_targets(part[1], part[2])
            self.objective.update(cast(MetricCollection, self.metrics[stage]), predictions, targets)

    def _log_train_loss(self) -> None:
        if self.train_loss is not None:
            summed, count = map(float, self.train_loss)
            self.train_loss = None
            if count:
                self.log("train/loss", summed / count, sync_dist=True)

    def _log_scores(self, stage: Stage) -> None:
        loss, metrics = cast(MeanLoss, self.losses[stage]), cast(MetricCollection, self.metrics[stage])
        mean: Any = loss.compute()
        scores: dict[str, Any] = {"loss": mean, **self.objective.derived(mean), **metrics.compute()}
        # computed over all processes already; sync_dist only keeps Lightning from warning that it might not be
        self.log_dict({f"{stage}/{name}": value for name, value in scores.items()}, sync_dist=True)
        loss.reset()
        metrics.reset()


def _mean(term: Term) -> Tensor:
    """The mean over all processes: gradients are averaged over them, so each share is weighed by its number."""
    summed, number = term
    world = dist.get_world_size() if dist.is_initialized() else 1
    if world > 1:
        dist.all_reduce(number)
    return summed * world / number.clamp(min=1)
