"""Classes: of a sequence, of each step, of the next token; and labels that are independent of each other."""

import math
from typing import Any, ClassVar

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassCohenKappa,
    MulticlassExactMatch,
    MulticlassF1Score,
    MultilabelJaccardIndex,
)

from rnnbench.errors import RnnbenchError
from rnnbench.objectives.base import Objective, OutputKind, check_shape, multi_label_loss


class Classification(Objective):
    """A class for the whole sequence: targets `[B]` (int64), −100 where unknown.

    Loss: cross-entropy in nats. Metrics: accuracy and macro-F1, in [0, 1].
    """

    unknown = -100  # the default of torch's own losses
    loss_name = "cross_entropy"
    description: ClassVar[str] = "a classifier"
    output_kind: ClassVar[OutputKind | None] = "classes"
    verbs: ClassVar[tuple[str, ...]] = ("classify",)

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over known targets, summed, and their number."""
        if targets.numel() != predictions.shape[:-1].numel():
            check_shape(targets, predictions.shape[:-1])
        logits = predictions.flatten(0, -2)
        summed = F.cross_entropy(logits, targets.flatten(), ignore_index=int(self.unknown), reduction="sum")
        return summed, (targets != self.unknown).sum()

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """As in `Objective`, for any integer type.

        Raises:
            RnnbenchError: targets are not integers.
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
    """A class for the whole sequence, where classes are ordered: targets as in `Classification`.

    Loss: cross-entropy in nats. Metrics: accuracy, macro-F1, and Cohen's kappa with quadratic weights (Cohen 1968),
    which weighs an error by the square of its distance: 1 is perfect, 0 is chance.
    """

    def metrics(self) -> MetricCollection:
        """Accuracy, macro-F1 and quadratic-weighted kappa."""
        metrics = super().metrics()
        kappa = MulticlassCohenKappa(self.output_size, weights="quadratic", validate_args=False)
        metrics.add_metrics({"quadratic_kappa": kappa})
        return metrics


class Tagging(Classification):
    """A class for each step, given the whole sequence: targets `[B, T]` (int64), −100 where a step has no target.

    Loss: cross-entropy in nats. Metrics, in [0, 1]: accuracy and macro-F1 over steps, and exact match, the share of
    sequences whose every step is right.
    """

    per_step: ClassVar[bool] = True
    description: ClassVar[str] = "a tagger"
    output_kind: ClassVar[OutputKind | None] = "tags"

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`tags` `[B, T]`, −100 beyond the end, and `probabilities` of all classes `[B, T, O]`."""
        tags = self.known_targets(outputs.argmax(-1), lengths)
        return {"tags": tags, "probabilities": outputs.float().softmax(-1)}

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, O, T]` and classes `[B, T]`: the metrics ignore unknown targets."""
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


class LanguageModel(Tagging):
    """The next token at each step: targets `[B, T]` (int64), −100 beyond the end. Causal.

    Loss: cross-entropy in nats a token. Metrics: accuracy over tokens; perplexity, `exp` of the mean cross-entropy over
    all tokens of the split (never of a batch).
    """

    causal: ClassVar[bool] = True
    description: ClassVar[str] = "a language model"
    output_kind: ClassVar[OutputKind | None] = "text"
    verbs: ClassVar[tuple[str, ...]] = ("generate", "score")

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """The likeliest next `tokens` `[B, T]`, −100 beyond the end, and the `probabilities` `[B, T]` of these."""
        probabilities, tokens = outputs.float().softmax(-1).max(-1)
        return {"tokens": self.known_targets(tokens, lengths), "probabilities": probabilities}

    def metrics(self) -> MetricCollection:
        """Accuracy alone: macro-F1 over a vocabulary, or exact match of a text, would say nothing."""
        metrics = super().metrics()
        return MetricCollection({"accuracy": metrics["accuracy"]})

    def derived(self, loss: Tensor) -> dict[str, Tensor]:
        """Cross-entropy, and perplexity from it."""
        return {**super().derived(loss), "perplexity": loss.exp()}


class CharacterModel(LanguageModel):
    """A `LanguageModel` whose tokens are characters: also `bits_per_character`, cross-entropy / ln 2."""

    def derived(self, loss: Tensor) -> dict[str, Tensor]:
        """Cross-entropy, perplexity, and bits per character."""
        return {**super().derived(loss), "bits_per_character": loss / math.log(2)}


class MultiLabelFrames(Objective):
    """Which of O keys sound in the next frame, each independently: targets `[B, T, O]`, 0 or 1, NaN beyond the end.
    Causal.

    Loss: binary cross-entropy, summed over the keys, a frame: the negative log-likelihood in nats a frame as
    Boulanger-Lewandowski et al. 2012, Chung et al. 2014 and Bai et al. 2018 report it. Metric: frame-level accuracy,
    TP / (TP + FP + FN) over all frames of the split (Bay et al. 2009), where a key counts as predicted if its
    probability is above one half.
    """

    causal: ClassVar[bool] = True
    per_step: ClassVar[bool] = True
    unknown = float("nan")
    loss_name = "nll"
    description: ClassVar[str] = "a model of polyphonic music"
    output_kind: ClassVar[OutputKind | None] = "frames"
    verbs: ClassVar[tuple[str, ...]] = ("generate",)

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all keys of known frames, summed, and the number of these frames."""
        return multi_label_loss(predictions, targets)

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`probabilities` `[B, T, O]` that a key sounds in the next frame, NaN beyond the end; `keys` that do, bool."""
        probabilities = self.known_targets(outputs.sigmoid(), lengths)
        return {"keys": probabilities > 0.5, "probabilities": probabilities}

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities `[N, O]` and keys that sound `[N, O]` of known frames."""
        known = ~targets.isnan().any(-1)
        # Probabilities, not logits: the metric distinguishes them by their range, separately in each batch.
        return predictions[known].sigmoid(), targets[known].long()

    def metrics(self) -> MetricCollection:
        """Frame-level accuracy, which is the micro-averaged Jaccard index of the keys."""
        accuracy = MultilabelJaccardIndex(self.output_size, average="micro", validate_args=False)
        return MetricCollection({"frame_accuracy": accuracy})
