"""The probability of a text under a language model."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class ScoredText:
    """The probabilities of a text's tokens.

    Args:
        text: the text.
        pieces: the part of the text for each token; `</s>` for its end.
        log_probs: ln of the probability of each token given all tokens before it.
    """

    text: str
    pieces: tuple[str, ...]
    log_probs: tuple[float, ...]

    @property
    def total(self) -> float:
        """ln of the probability of the whole text."""
        return math.fsum(self.log_probs)

    @property
    def bits(self) -> float:
        """Mean surprise in bits a token, −log₂ p."""
        return -self.total / len(self.log_probs) / math.log(2)

    @property
    def perplexity(self) -> float:
        """`exp` of the mean surprise in nats a token."""
        return math.exp(-self.total / len(self.log_probs))

    def content(self) -> dict[str, Any]:
        """All fields and scores, for JSON."""
        tokens = [{"token": piece, "log_prob": value} for piece, value in zip(self.pieces, self.log_probs, strict=True)]
        numbers = {"log_prob": self.total, "bits_per_token": self.bits, "perplexity": self.perplexity}
        return {"text": self.text, **numbers, "tokens": tokens}


def log_probs(logits: Tensor, targets: Tensor) -> Tensor:
    """ln of the probability of each target `[B, T]` under logits `[B, T, V]`, `[B, T]`."""
    return torch.log_softmax(logits.float(), -1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
