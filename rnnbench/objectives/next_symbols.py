"""Which symbols may come next in a string of a formal language."""

from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection

from rnnbench.objectives.base import Objective, OutputKind, multi_label_loss


class NextSymbols(Objective):
    """The set of symbols, out of O, that may legally come next at each step: targets `[B, T, O]`, 1 for each symbol of
    the set, else 0; NaN at steps that are not scored, and beyond the end. Causal.

    A symbol is predicted where its probability is above one half (Gers & Schmidhuber 2001, section II; Suzgun et al.
    2019, section 4).

    Loss: binary cross-entropy, summed over the symbols, in nats a step. Metrics, in [0, 1]: accuracy, the share of
    steps at which exactly the legal symbols are predicted; exact match, the share of sequences of which every step is
    right.
    """

    causal: ClassVar[bool] = True
    per_step: ClassVar[bool] = True
    unknown = float("nan")
    loss_name = "binary_cross_entropy"
    description: ClassVar[str] = "a model of a formal language"
    output_kind: ClassVar[OutputKind | None] = "symbols"

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all symbols of the scored steps, summed, and the number of these steps.

        Raises:
            RnnbenchError: the shapes of targets and predictions differ.
        """
        return multi_label_loss(predictions, targets)

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """`symbols` `[B, T, O]` that are predicted, bool, and `probabilities` of each, NaN beyond the end."""
        probabilities = self.known_targets(outputs.sigmoid(), lengths)
        return {"symbols": probabilities > 0.5, "probabilities": probabilities}

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, T, O]` and targets `[B, T, O]`: the metric leaves out steps that are not scored."""
        return predictions, targets

    def metrics(self) -> MetricCollection:
        """A single metric that computes both scores."""
        return MetricCollection({"symbols": SymbolScores()})

    def score_names(self) -> list[str]:
        """Names of all scores."""
        return [self.loss_name, "accuracy", "exact_match"]


class SymbolScores(Metric):
    """Shares of steps and of sequences that are right; see `NextSymbols`. Only what has a scored step counts."""

    full_state_update = False
    right_steps: Tensor
    steps: Tensor
    right_sequences: Tensor
    sequences: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("right_steps", "steps", "right_sequences", "sequences"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, targets: Tensor) -> None:
        """Count a batch: logits and targets `[B, T, O]`."""
        known = ~targets.isnan().any(-1)
        right = ((logits > 0) == (targets > 0.5)).all(-1)
        scored = known.any(-1)
        self.right_steps += (right & known).sum()
        self.steps += known.sum()
        self.right_sequences += ((right | ~known).all(-1) & scored).sum()
        self.sequences += scored.sum()

    def compute(self) -> dict[str, Tensor]:
        """Both scores by name."""
        return {
            "accuracy": self.right_steps / self.steps,
            "exact_match": self.right_sequences / self.sequences,
        }
