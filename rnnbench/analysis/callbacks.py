"""A callback that looks at gradients through time while a module is trained."""

from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from rnnbench.analysis.gradients import alone, distance_below, loss_norms, recurrent_layer
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.batch import Batch

GRADIENTS, CLIPPING = "gradients", "clipping"
"""What the names of all that is logged begin with."""


class GradientWatch(Callback):
    """Logs at each validation how far back gradients reach, and how often clipping has acted since the last.

    For each layer and direction, on the first sequences of the validation part (of several processes the first one's
    share), in the type of the module:

        gradients/<place>/distance  first d at which ‖∂L(T)/∂s(T−d)‖ is below 1 % of that at d = 0; T if none is
        gradients/<place>/first     ‖∂L(T)/∂s(T)‖
        gradients/<place>/last      what of it is left at the first step, as a share

    with place `layer1`, `layer1_reverse`, … (not of a direction whose last step the loss does not depend on); and, over
    the optimiser's steps,

        clipping/norm     mean of the gradient's total norm before any clipping
        clipping/by_norm  share of steps on which clipping by norm acted, where that is set
        clipping/by_value share of steps on which clipping by value did, likewise

    by what the module (`clip_norm`, `clip_value`; by value first) and the Trainer (`gradient_clip_val`) say. Weights,
    gradients and random numbers of the training are left alone. A module without a recurrent stack has clipping alone.

    Args:
        sequences: of the validation part.

    Raises:
        ValueError: fewer than one.
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
        values, norms = limits(trainer, pl_module)
        norm = torch.nn.utils.get_total_norm(gradients)
        self._add("norm", norm)
        if values is not None:
            largest = torch.stack([one.abs().max() for one in gradients]).max()
            self._add("by_value", (largest > values).float())
            if norms is not None:
                norm = torch.nn.utils.get_total_norm([one.clamp(-values, values) for one in gradients])
        if norms is not None:
            self._add("by_norm", (norm > norms).float())

    def _add(self, name: str, value: Tensor) -> None:
        self._counts[name] = self._counts.get(name, torch.zeros_like(value)) + value

    # --- gradients through time

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Keep the first sequences."""
        if batch_idx == dataloader_idx == 0:
            self._batch = batch

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log."""
        batch, self._batch = self._batch, None
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        found = {f"{CLIPPING}/{name}": total / self._steps for name, total in self._counts.items()}
        self._steps, self._counts = 0, {}
        if batch is not None:
            found |= self._through_time(pl_module, batch)
        pl_module.log_dict(found, sync_dist=True, rank_zero_only=True)  # by then gradients are the same everywhere

    def _through_time(self, module: Any, batch: Any) -> dict[str, Any]:
        try:
            layer = recurrent_layer(module)
        except RnnbenchError:
            return {}
        with torch.inference_mode(False):  # in which Lightning validates; tensors made there know no gradient
            norms = loss_norms(
                module, [Batch(*map(_cloned, one)) for one in alone(batch, self.sequences, type(module.objective))]
            )
        found: dict[str, Any] = {}
        for place, one in enumerate(norms):
            if one[0] == 0:  # the last loss sees only the start of a direction that reads backwards
                continue
            name = f"{GRADIENTS}/layer{place // layer.directions + 1}{'_reverse' * (place % layer.directions)}"
            found[f"{name}/distance"] = float(len(one) if (gone := distance_below(one)) is None else gone)
            found[f"{name}/first"] = one[0]
            found[f"{name}/last"] = one[-1] / one[0]
        return found


def limits(trainer: Trainer, module: Any) -> tuple[float | None, float | None]:
    """The least absolute value and the least norm to which gradients are clipped, if they are."""
    p = getattr(module, "hparams", {})
    values, norms = [p.get("clip_value")], [p.get("clip_norm")]
    (values if trainer.gradient_clip_algorithm == "value" else norms).append(trainer.gradient_clip_val or None)
    return tuple(min((one for one in some if one is not None), default=None) for some in (values, norms))  # type: ignore[return-value]


def _cloned(part: Any) -> Any:
    return part.clone() if isinstance(part, Tensor) else part
