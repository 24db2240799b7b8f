"""A callback that logs gradients through time while a module is trained."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from rnnbench.analysis.gradients import distance_below, loss_norms, recurrent_layer, unpadded
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.batch import Batch

GRADIENTS, CLIPPING = "gradients", "clipping"
"""Prefixes of the names of logged values."""


class GradientWatch(Callback):
    """Logs at each validation how far back gradients reach, and how often clipping has acted since the last validation.

    For each layer and direction, on the first sequences of the validation split (of several processes, those of the
    first), in the dtype of the module:

        gradients/<place>/distance  first d at which ‖∂L(T)/∂s(T−d)‖ is below 1 % of that at d = 0; T if there is none
        gradients/<place>/first     ‖∂L(T)/∂s(T)‖
        gradients/<place>/last      the share of it that is left at the first step

    with place `layer1`, `layer1_reverse`, … (except a direction whose last step the loss does not depend on); and, over
    optimiser steps,

        clipping/norm     mean of the gradient's total norm before any clipping
        clipping/by_norm  share of steps on which clipping by norm acted, if it is set
        clipping/by_value share of steps on which clipping by value acted, if it is set

    by the limits of the module (`clip_norm`, `clip_value`; by value first) and of the Trainer (`gradient_clip_val`).
    Weights, gradients and random numbers of the training stay as they are. A module without a recurrent stack has
    values of clipping only.

    Args:
        sequences: how many of the validation split.

    Raises:
        ValueError: `sequences` is less than 1.
    """

    state_key = "gradient-watch"

    def __init__(self, sequences: int = 4) -> None:
        if sequences < 1:
            raise ValueError(f"sequences must be at least 1, got {sequences}")
        self.sequences = sequences
        self._steps = 0
        self._counts: dict[str, Tensor] = {}
        self._batch: Any = None

    # --- clipping

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        """Count whether clipping is about to act."""
        gradients = [p.grad.detach() for p in pl_module.parameters() if p.grad is not None]
        if not gradients:
            return
        self._steps += 1
        values, norms = clipping_limits(trainer, pl_module)
        norm = torch.nn.utils.get_total_norm(gradients)
        self._add("norm", norm)
        if values is not None:
            largest = torch.stack([gradient.abs().max() for gradient in gradients]).max()
            self._add("by_value", (largest > values).float())
            if norms is not None:
                norm = torch.nn.utils.get_total_norm([gradient.clamp(-values, values) for gradient in gradients])
        if norms is not None:
            self._add("by_norm", (norm > norms).float())

    def _add(self, name: str, value: Tensor) -> None:
        self._counts[name] = self._counts.get(name, torch.zeros_like(value)) + value

    # --- gradients through time

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the first batch."""
        if batch_idx == dataloader_idx == 0:
            self._batch = batch

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log all values."""
        batch, self._batch = self._batch, None
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        values = {f"{CLIPPING}/{name}": total / self._steps for name, total in self._counts.items()}
        self._steps, self._counts = 0, {}
        if batch is not None:
            values |= self._through_time(pl_module, batch)
        pl_module.log_dict(values, sync_dist=True, rank_zero_only=True)  # gradients are the same in all processes

    def _through_time(self, module: Any, batch: Any) -> dict[str, Any]:
        try:
            layer = recurrent_layer(module)
        except RnnbenchError:
            return {}
        with torch.inference_mode(False):  # in which Lightning validates, and which has no gradients
            norms = loss_norms(
                module,
                [
                    Batch(*map(_cloned, sequence))
                    for sequence in unpadded(batch, self.sequences, type(module.objective))
                ],
            )
        values: dict[str, Any] = {}
        for place, norm in enumerate(norms):
            if norm[0] == 0:  # the last loss depends only on the start of a direction that reads backwards
                continue
            name = f"{GRADIENTS}/layer{place // layer.directions + 1}{'_reverse' * (place % layer.directions)}"
            distance = distance_below(norm)
            values[f"{name}/distance"] = float(len(norm) if distance is None else distance)
            values[f"{name}/first"] = norm[0]
            values[f"{name}/last"] = norm[-1] / norm[0]
        return values


def clipping_limits(trainer: Trainer, module: Any) -> tuple[float | None, float | None]:
    """The smallest absolute value and the smallest norm to which gradients are clipped, None without clipping."""
    p = getattr(module, "hparams", {})
    values, norms = [p.get("clip_value")], [p.get("clip_norm")]
    (values if trainer.gradient_clip_algorithm == "value" else norms).append(trainer.gradient_clip_val or None)
    return tuple(min((limit for limit in limits if limit is not None), default=None) for limits in (values, norms))  # type: ignore[return-value]


def _cloned(part: Any) -> Any:
    return part.clone() if isinstance(part, Tensor) else part
