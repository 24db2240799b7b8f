"""Error rates of a transcriber over a whole part of its data, with and without a language model."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

from rnnbench.analysis.decode import transcripts
from rnnbench.analysis.external_lm import ExternalLanguageModel
from rnnbench.data.module import Split
from rnnbench.errors import RnnbenchError
from rnnbench.harness.samples import examples

WEIGHTS = (0.1, 0.2, 0.4, 0.7, 1.0, 1.5)
INSERTION_BONUSES = (0.0, 1.0, 2.0)
"""What is tried on the validation part, and a weight of 0 with a bonus of 0."""

Scores = dict[str, float]


class TriedWeights(NamedTuple):
    """Weights of a language model, and the error rates with them."""

    weight: float
    insertion_bonus: float
    scores: Scores


class RecognitionPart:
    """A part of a transcriber's data: log-probabilities are computed once, and decoded as often as is asked.

    Args:
        model: the transcriber.
        data: that it was trained on.
        split: which part.

    Raises:
        RnnbenchError: the data has no transcripts in words.
    """

    def __init__(self, model: Any, data: Any, split: Split) -> None:
        part = examples(model, data, split=split)
        if not part.references:
            raise RnnbenchError(f"{type(data).__name__} has no transcripts in words: there is nothing to score against")
        self.objective, self.references = model.objective, part.references
        with model.inference_mode():
            self.log_probs = [model(inputs.unsqueeze(0)) for inputs in part.inputs]

    def __len__(self) -> int:
        return len(self.references)

    def scores(self, beam: int, language_models: Sequence[ExternalLanguageModel | None] = (None,)) -> list[Scores]:
        """Error rates of the best texts with each language model, or without; decoded greedily with `beam` 1."""
        texts = [
            [transcripts(self.objective, values, beam, language_model)[0][0].text for language_model in language_models]
            for values in self.log_probs
        ]  # of one recording after the other, so that models that share what they have read find it
        return [self.objective.corpus_scores(list(decoded), self.references) for decoded in zip(*texts, strict=True)]


def try_weights(part: RecognitionPart, language_model: ExternalLanguageModel, beam: int) -> list[TriedWeights]:
    """Error rates of a part with each pair of `WEIGHTS` and `INSERTION_BONUSES`, and with 0 and 0."""
    pairs = [(0.0, 0.0), *product(WEIGHTS, INSERTION_BONUSES)]
    scores = part.scores(beam, [language_model.weighted(*pair) for pair in pairs])
    return [TriedWeights(*pair, rates) for pair, rates in zip(pairs, scores, strict=True)]
