"""One class for a sequence, or one for each step."""

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from rnnbench.objectives.base import Objective


class Classification(Objective):
    """One class for the whole sequence: targets `[B]` (int64), −100 where unknown.

    Loss: cross-entropy in nats. Metrics: accuracy and macro-F1, in [0, 1].
    """

    unknown = -100  # torch's own convention
    loss_name = "cross_entropy"

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over known targets, summed, and their number."""
        logits = predictions.flatten(0, -2)
        summed = F.cross_entropy(logits, targets.flatten(), ignore_index=int(self.unknown), reduction="sum")
        return summed, (targets != self.unknown).sum()

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[N, O]` and classes `[N]` of known targets."""
        known = targets != self.unknown
        return predictions[known], targets[known]

    def metrics(self) -> MetricCollection:
        """Accuracy (share of correct predictions) and macro-F1 (mean over the classes)."""
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(self.output_size, average="micro", validate_args=False),
                "macro_f1": MulticlassF1Score(self.output_size, average="macro", validate_args=False),
            }
        )


class Tagging(Classification):
    """One class for each step, the whole sequence known: targets `[B, T]` (int64), −100 where none is asked for."""

    per_step: ClassVar[bool] = True
