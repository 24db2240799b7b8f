"""One class for a sequence, or one for each step."""

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassExactMatch,
    MulticlassF1Score,
)

from rnnbench.errors import RnnbenchError
from rnnbench.objectives.base import Objective, check_shape


class Classification(Objective):
    """One class for the whole sequence: targets `[B]` (int64), −100 where unknown.

    Loss: cross-entropy in nats. Metrics: accuracy and macro-F1, in [0, 1].
    """

    unknown = -100  # torch's own convention
    loss_name = "cross_entropy"

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over known targets, summed, and their number."""
        if targets.numel() != predictions.shape[:-1].numel():
            check_shape(targets, predictions.shape[:-1])
        logits = predictions.flatten(0, -2)
        summed = F.cross_entropy(logits, targets.flatten(), ignore_index=int(self.unknown), reduction="sum")
        return summed, (targets != self.unknown).sum()

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """As in `Objective`, of any type of whole numbers.

        Raises:
            RnnbenchError: targets that are not whole numbers.
        """
        if targets.is_floating_point():
            raise RnnbenchError(f"targets must be classes, whole numbers, got {targets.dtype}")
        return super().known_targets(targets.long(), lengths)

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`classes` `[B]` and `probabilities` of all classes `[B, O]`."""
        return {"classes": outputs.argmax(-1), "probabilities": outputs.float().softmax(-1)}

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


class OrdinalClassification(Classification):
    """One class for the whole sequence, classes in an order: targets as in `Classification`.

    Loss: cross-entropy in nats. Metrics: accuracy, macro-F1, and Cohen's kappa with quadratic weights (Cohen 1968),
    which counts a miss by the square of its distance: 1 is perfect, 0 is what answers drawn at random would reach.
    """

    def metrics(self) -> MetricCollection:
        """Accuracy, macro-F1 and quadratic-weighted kappa."""
        metrics = super().metrics()
        kappa = MulticlassCohenKappa(self.output_size, weights="quadratic", validate_args=False)
        metrics.add_metrics({"quadratic_kappa": kappa})
        return metrics


class Tagging(Classification):
    """One class for each step, the whole sequence known: targets `[B, T]` (int64), −100 where none is asked for.

    Loss: cross-entropy in nats. Metrics, in [0, 1]: accuracy and macro-F1 over steps, and exact match, the share of
    sequences whose every step is right.
    """

    per_step: ClassVar[bool] = True

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`tags` `[B, T]`, −100 beyond the end, and `probabilities` of all classes `[B, T, O]`."""
        tags = self.known_targets(outputs.argmax(-1), lengths)
        return {"tags": tags, "probabilities": outputs.float().softmax(-1)}

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, O, T]` and classes `[B, T]`: the metrics leave out what is not known."""
        return predictions.transpose(1, 2), targets

    def metrics(self) -> MetricCollection:
        """Accuracy, macro-F1 and exact match."""
        classes, left_out = self.output_size, int(self.unknown)
        return MetricCollection(
            {
                "accuracy": MulticlassAccuracy(classes, average="micro", ignore_index=left_out, validate_args=False),
                "macro_f1": MulticlassF1Score(classes, average="macro", ignore_index=left_out, validate_args=False),
                "exact_match": MulticlassExactMatch(classes, ignore_index=left_out, validate_args=False),
            }
        )
