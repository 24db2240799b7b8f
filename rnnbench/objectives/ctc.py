"""Connectionist temporal classification: a text for a sequence of frames, without an alignment of the two."""

import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.text import CharErrorRate, WordErrorRate

from rnnbench.errors import RnnbenchError
from rnnbench.objectives.base import Objective, OutputKind
from rnnbench.objectives.double import to_double

BLANK = 0
LOG_ZERO = -1e4
"""Log-probability of the impossible; its exponential is 0."""
Prefix = tuple[int, ...]
"""Numbers of characters, from 1."""
NextScores = Callable[[list[Prefix]], list[list[float]]]
"""For each prefix the scores that are added for each class next; that of `BLANK` is added where the text ends."""


class Ctc(Objective):
    """A text for a longer sequence (Graves et al. 2006): targets `[B, U]` (int64, from 1), −100 after the text.

    At each step a character or a blank (class 0); the text is what remains after repetitions are merged and blanks
    removed. The loss is `−ln Σ Π_t p_t` over all paths that give the text (eq. 3 and 12).

    Loss: nats a sequence. Metrics: word and character error rate (edits over words or characters of the references; an
    empty text has 1, and there is no upper bound) of the text decoded greedily, or by beam search.

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1, or 2 for a bidirectional stack.
        output_size: characters and the blank.
        alphabet: the characters, in the order of their numbers from 1.
        beam: prefixes that a beam search keeps; 1 decodes greedily.

    Raises:
        ValueError: `output_size` does not fit the alphabet.
    """

    per_step: ClassVar[bool] = True
    aligned: ClassVar[bool] = False
    unknown = -100
    loss_name = "ctc"
    description: ClassVar[str] = "a transcriber"
    output_kind: ClassVar[OutputKind | None] = "transcripts"
    verbs: ClassVar[tuple[str, ...]] = ("transcribe",)

    def __init__(self, state_size: int, directions: int, output_size: int, *, alphabet: str, beam: int = 1) -> None:
        super().__init__(state_size, directions, output_size)
        if output_size != 1 + len(alphabet):
            raise ValueError(f"output_size must be 1 + {len(alphabet)}, a blank and the alphabet, got {output_size}")
        self.alphabet, self.beam = alphabet, beam

    @classmethod
    def example(cls) -> Self:
        """A small instance, with a single character."""
        return cls(1, 1, 2, alphabet="a")

    def forward(self, hidden: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Log-probabilities `[B, T, O]`; beyond a sequence's length a blank has probability 1, which adds nothing to a
        text.
        """
        log_probs = F.log_softmax(super().forward(hidden, lengths).float(), -1)
        if lengths is None:
            return log_probs
        beyond = torch.arange(hidden.shape[1], device=hidden.device) >= lengths.to(hidden.device).unsqueeze(1)
        blank = log_probs.new_full((self.output_size,), LOG_ZERO)
        blank[BLANK] = 0.0
        return torch.where(beyond.unsqueeze(-1), blank, log_probs)

    def known_targets(self, targets: Tensor, lengths: Tensor | None) -> Tensor:
        """`targets` as they are: their lengths are not those of the inputs."""
        return targets

    def loss(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of the texts, summed, and their number.

        Raises:
            RnnbenchError: a text is too long for its sequence.
        """
        lengths = (targets != self.unknown).sum(1)
        steps = torch.full_like(lengths, predictions.shape[1])
        texts = targets.clamp(min=0)
        if predictions.device.type == "mps":  # not every torch has this loss there
            predictions, texts, steps, lengths = (part.cpu() for part in (predictions, texts, steps, lengths))
        each = F.ctc_loss(predictions.transpose(0, 1), texts, steps, lengths, BLANK, reduction="none")
        if not bool((each < -LOG_ZERO / 2).all()):  # only impossible paths, or no path at all
            row = int((each >= -LOG_ZERO / 2).nonzero()[0])
            raise RnnbenchError(f"sequence {row} of a batch has too few steps for its text of {int(lengths[row])}")
        return each.sum().to(targets.device), torch.tensor(len(targets), device=targets.device)

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """Decoded `texts`, one a sequence."""
        return {"texts": self.transcribe(outputs, self.beam)}

    def scored(self, predictions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Predictions and targets as they are."""
        return predictions, targets

    def update(self, metrics: MetricCollection, predictions: Tensor, targets: Tensor) -> None:
        """Update the metrics with the decoded texts of a batch."""
        texts = self.transcribe(predictions, self.beam)
        references = [self.text(row[row != self.unknown].tolist()) for row in targets]
        for metric in metrics.values():
            metric.update(texts, references)

    def metrics(self) -> MetricCollection:
        """Word and character error rate."""
        return MetricCollection({"wer": WordErrorRate(), "cer": CharErrorRate()}, compute_groups=False)

    def corpus_scores(self, texts: list[str], references: list[str]) -> dict[str, float]:
        """The metrics of decoded texts, each with one reference."""
        metrics = self.metrics()
        metrics.update(texts, references)
        return {name: float(value) for name, value in metrics.compute().items()}

    def text(self, numbers: list[int]) -> str:
        """The characters of numbers from 1."""
        return "".join(self.alphabet[number - 1] for number in numbers)

    def transcribe(self, log_probs: Tensor, beam: int = 1) -> list[str]:
        """Texts of log-probabilities `[B, T, O]`: decoded greedily, or the likeliest of a beam search."""
        if beam == 1:
            return [self.text(collapse_path(row)) for row in log_probs.argmax(-1).tolist()]
        return [self.text(list(prefix_beam_search(row, beam)[0].prefix)) for row in log_probs]


def collapse_path(path: list[int]) -> list[int]:
    """The path without repetitions and blanks."""
    return [label for label, before in zip(path, [BLANK, *path[:-1]], strict=True) if label not in (before, BLANK)]


class ScoredPrefix(NamedTuple):
    """A text as numbers of characters: ln of its probability, and the score by which it is ranked."""

    prefix: Prefix
    log_prob: float
    score: float


def prefix_beam_search(log_probs: Tensor, beam: int, next_scores: NextScores | None = None) -> list[ScoredPrefix]:
    """Prefix beam search (Hannun et al. 2014): the best texts of `[T, O]`, best first.

    For each prefix the probabilities of all its paths are summed, separately for paths that end in a blank. Prefixes
    are ranked by ln of that sum; with `next_scores`, such as those of a language model, by that plus the scores of
    their characters, and at last of their end. Exact if `beam` is at least the number of texts.

    Args:
        log_probs: log-probabilities of one sequence.
        beam: prefixes kept after each step.
        next_scores: what is added for each character, and for the end of the text.
    """
    beams: dict[Prefix, tuple[float, float]] = {(): (1.0, 0.0)}
    added: dict[Prefix, float] = {(): 0.0}
    nothing = [0.0] * log_probs.shape[1]
    scale = 0.0
    values = to_double(log_probs)
    for step, logs in zip(values.exp().tolist(), values.tolist(), strict=True):
        following = next_scores(list(beams)) if next_scores else [nothing] * len(beams)
        grown: defaultdict[Prefix, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (blank, other) in beams.items():
            grown[prefix] = [(blank + other) * step[BLANK], other * step[prefix[-1]] if prefix else 0.0]
        least = -math.inf  # with so many prefixes that go on as they are, a new one below the last of them is not kept
        if len(beams) == beam:
            least = min(_log(sum(both)) + added[prefix] for prefix, both in grown.items())
        for (prefix, (blank, other)), scores in zip(beams.items(), following, strict=True):
            before = _log(blank + other) + added[prefix]
            for label, probability in enumerate(step):
                if label == BLANK or probability == 0:
                    continue
                if before + logs[label] + scores[label] < least and (*prefix, label) not in beams:
                    continue
                longer = (*prefix, label)
                added[longer] = added[prefix] + scores[label]
                grown[longer][1] += (blank if prefix and prefix[-1] == label else blank + other) * probability
        ranked = [(_log(sum(both)) + added[prefix], prefix) for prefix, both in grown.items() if sum(both) > 0]
        best = [prefix for _, prefix in sorted(ranked, key=lambda item: -item[0])[:beam]]
        largest = max(sum(grown[prefix]) for prefix in best)
        scale += math.log(largest)
        beams = {prefix: (grown[prefix][0] / largest, grown[prefix][1] / largest) for prefix in best}
        added = {prefix: added[prefix] for prefix in best}
    ends = next_scores(list(beams)) if next_scores else [nothing] * len(beams)
    found = []
    for (prefix, both), scores in zip(beams.items(), ends, strict=True):
        log_prob = scale + _log(sum(both))
        found.append(ScoredPrefix(prefix, log_prob, log_prob + added[prefix] + scores[BLANK]))
    return sorted(found, key=lambda text: -text.score)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
