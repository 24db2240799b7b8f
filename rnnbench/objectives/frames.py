"""Which of many keys sound at each step."""

from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MultilabelJaccardIndex

from rnnbench.objectives.base import Objective, check_shape


class MultiLabelFrames(Objective):
    """Which of O keys sound in the next frame, each by itself: targets `[B, T, O]`, 0 or 1, NaN beyond the end. Causal.

    Loss: binary cross-entropy, summed over the keys, a frame: the negative log-likelihood in nats a frame as
    Boulanger-Lewandowski et al. 2012, Chung et al. 2014 and Bai et al. 2018 report it. Metric: frame-level accuracy,
    TP / (TP + FP + FN) over all frames of the part (Bay et al. 2009), where a key counts as predicted if its
    probability is above one half.
    """

    causal: ClassVar[bool] = True
    per_step: ClassVar[bool] = True
    unknown = float("nan")
    loss_name = "nll"

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all keys of known frames, summed, and the number of these frames."""
        check_shape(targets, predictions.shape)
        known = ~targets.isnan().any(-1)
        weight = known.unsqueeze(-1).to(predictions.dtype)
        summed = F.binary_cross_entropy_with_logits(predictions, targets.nan_to_num(), weight, reduction="sum")
        return summed, known.sum()

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`probabilities` `[B, T, O]` that a key sounds in the next frame, NaN beyond the end; `keys` that do, bool."""
        probabilities = self.known_targets(outputs.sigmoid(), lengths)
        return {"keys": probabilities > 0.5, "probabilities": probabilities}

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities `[N, O]` and keys that sound `[N, O]` of known frames."""
        known = ~targets.isnan().any(-1)
        # Probabilities, not logits: the metric tells these apart by their range, batch by batch.
        return predictions[known].sigmoid(), targets[known].long()

    def metrics(self) -> MetricCollection:
        """Frame-level accuracy, which is the micro-averaged Jaccard index of the keys."""
        accuracy = MultilabelJaccardIndex(self.output_size, average="micro", validate_args=False)
        return MetricCollection({"frame_accuracy": accuracy})
