"""Real values: one vector for a sequence, or the next one at each step."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

from rnnbench.objectives.base import Objective, check_shape


class Regression(Objective):
    """One real vector for the whole sequence: targets `[B, O]`, NaN where unknown.

    Loss: mean squared error. Metrics: mean absolute error and root mean squared error, in the unit of the targets.
    """

    unknown = float("nan")
    loss_name = "mse"

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """As in `Objective`; where there is one channel, targets without that dimension get it."""
        if self.output_size == 1 and targets.dim() == 1 + self.per_step:
            targets = targets.unsqueeze(-1)
        return super().known_targets(targets, lengths)

    def loss(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Squared error over known targets, summed, and their number.

        Raises:
            RnnbenchError: targets of another shape than the predictions.
        """
        check_shape(targets, predictions.shape)
        known = ~targets.isnan()
        return torch.where(known, predictions - targets, 0.0).square().sum(), known.sum()

    def predict(self, outputs: Any, lengths: Tensor | None) -> dict[str, Any]:
        """`values` `[B, O]`, or `[B, T, O]` with NaN beyond the end, in the unit of the targets."""
        return {"values": self.known_targets(outputs, lengths)}

    def scored(self, predictions: Any, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Values `[N]` and `[N]` of known targets."""
        known = ~targets.isnan()
        return predictions[known], targets[known]

    def metrics(self) -> MetricCollection:
        """Mean absolute error and root mean squared error."""
        return MetricCollection({"mae": MeanAbsoluteError(), "rmse": MeanSquaredError(squared=False)})


class Forecast(Regression):
    """The next values at each step: targets `[B, T, O]`, NaN where nothing was measured. Causal."""

    causal: ClassVar[bool] = True
    per_step: ClassVar[bool] = True
