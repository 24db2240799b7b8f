"""Metrics of texts against references: BLEU, chrF, exact match. Tokens are separated by spaces."""

from collections import Counter

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.text import SacreBLEUScore

from rnnbench.objectives.double import DoubleMetric

ORDERS = 6
"""Longest n-gram of characters that chrF counts."""


class Bleu(SacreBLEUScore):
    """BLEU-4 of a corpus in percent (Papineni et al. 2002), over tokens separated by spaces, as sacrebleu counts it.

    Not smoothed: without a common 4-gram it is 0.
    """

    def __init__(self) -> None:
        super().__init__(tokenize="none")

    def compute(self) -> Tensor:
        """0 to 100."""
        return 100 * super().compute()


class ChrF(DoubleMetric):
    """chrF2 of a corpus in percent (Popović 2015), as sacrebleu counts it.

    With P and R the mean shares of character n-grams (n = 1 … 6, without spaces) that match, over those of the texts
    and of the references: `5 P R / (4 P + R)`. An n of which either has none in the whole corpus is left out; those of
    a text do not count where its reference is too short to have any.
    """

    full_state_update = False
    counts: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("counts", torch.zeros(3, ORDERS, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, texts: list[str], references: list[list[str]]) -> None:
        """Count the n-grams of texts and references, and those that match; each text has one reference."""
        for text, (reference,) in zip(texts, references, strict=True):
            for order in range(ORDERS):
                ours, theirs = _ngrams(text, order + 1), _ngrams(reference, order + 1)
                counts = ours.total() if theirs else 0, theirs.total(), (ours & theirs).total()
                self.counts[:, order] += self.counts.new_tensor(counts)

    def compute(self) -> Tensor:
        """0 to 100."""
        predicted, true, matched = self.counts[:, (self.counts[:2] > 0).all(0)]
        if not len(predicted):
            return self.counts.new_zeros(())
        precision, recall = (matched / predicted).mean(), (matched / true).mean()
        score: Tensor = 5 * precision * recall / (4 * precision + recall).clamp(min=1e-16)
        return 100 * score.float()


def _ngrams(text: str, order: int) -> Counter[str]:
    letters = "".join(text.split())
    return Counter(letters[start : start + order] for start in range(len(letters) - order + 1))


class ExactMatch(Metric):
    """Share of texts that equal a reference, in [0, 1]."""

    full_state_update = False
    right: Tensor
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("total", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, texts: list[str], references: list[list[str]]) -> None:
        """Count the texts that are among their references."""
        self.right += sum(text in true for text, true in zip(texts, references, strict=True))
        self.total += len(texts)

    def compute(self) -> Tensor:
        """The share."""
        return self.right / self.total


class MistakenTexts(ExactMatch):
    """Share of texts that equal none of their references, in [0, 1]."""

    def compute(self) -> Tensor:
        """The share."""
        return 1 - super().compute()


def corpus_scores(texts: list[str], references: list[str]) -> dict[str, float]:
    """`bleu`, `chrf` and `exact_match` of texts, each with one reference."""
    scores: dict[str, float] = {}
    metrics: dict[str, Metric] = {"bleu": Bleu(), "chrf": ChrF(), "exact_match": ExactMatch()}
    for name, metric in metrics.items():
        metric.update(texts, [[reference] for reference in references])
        scores[name] = float(metric.compute())
    return scores
