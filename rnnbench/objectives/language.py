"""The next token at each step."""

import math
from typing import Any, ClassVar

from torch import Tensor
from torchmetrics import MetricCollection

from rnnbench.objectives.classification import Tagging


class LanguageModel(Tagging):
    """The next token at each step: targets `[B, T]` (int64), −100 beyond the end. Causal.

    Loss: cross-entropy in nats a token. Metrics: accuracy over tokens; perplexity, `exp` of the mean cross-entropy over
    all tokens of the part (never of a batch).
    """

    causal: ClassVar[bool] = True

    def predict(self, outputs: Tensor, lengths: Tensor | None) -> dict[str, Any]:
        """The likeliest next `tokens` `[B, T]`, −100 beyond the end, and the `probabilities` `[B, T]` of these."""
        probabilities, tokens = outputs.float().softmax(-1).max(-1)
        return {"tokens": self.known_targets(tokens, lengths), "probabilities": probabilities}

    def metrics(self) -> MetricCollection:
        """Accuracy: a macro-F1 over a vocabulary, or a text predicted without any mistake, says nothing."""
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
