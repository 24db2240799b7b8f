"""Generation: sampling token after token, or frame after frame, from the predictions of a model."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rnnbench.errors import RnnbenchError
from rnnbench.objectives.double import to_double

CHECK_INTERVAL = 16
"""Tokens between two checks whether all sequences have ended."""


class Advance(Protocol):
    """A model that predicts the next token, or frame."""

    def __call__(self, tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits `[B, V]` of the token after `tokens` `[B, T]`, and the state after them; `state` is that of the
        previous call."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from its distribution.

    Args:
        temperature: divides the logits; below 1 the distribution is sharper, above 1 flatter.
        top_k: only the k likeliest tokens (Fan, Lewis & Dauphin 2018).
        top_p: only the smallest set of tokens with a total probability of at least p (nucleus sampling, Holtzman et al.
            2020).
        greedy: always the likeliest token.

    Raises:
        RnnbenchError: a value out of its range, or one that has no effect because decoding is greedy.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    greedy: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            hint = "; for the likeliest token at each step, decode greedily" if self.temperature == 0 else ""
            raise RnnbenchError(f"temperature must be greater than 0, got {self.temperature}{hint}")
        if self.top_k is not None and self.top_k < 1:
            raise RnnbenchError(f"top_k must be at least 1, got {self.top_k}")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise RnnbenchError(f"top_p must be greater than 0 and at most 1, got {self.top_p}")
        if self.greedy and (self.temperature != 1 or self.top_k is not None or self.top_p is not None):
            raise RnnbenchError("greedy decoding draws nothing: leave out temperature, top_k and top_p")

    def pick(self, logits: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """A token for each row of logits `[B, V]`, `[B]`; a token with logit −∞ is never picked."""
        if self.greedy:
            return logits.argmax(-1)
        if self.temperature != 1:
            logits = logits / self.temperature
        if self.top_k is None and self.top_p is None:
            return _draw(logits, generator)
        kept, tokens = logits.topk(min(self.top_k or logits.shape[-1], logits.shape[-1]))
        if self.top_p is not None:
            shares = kept.softmax(-1)
            kept = kept.masked_fill(shares.cumsum(-1) - shares >= self.top_p, -torch.inf)
        return tokens.gather(-1, _draw(kept, generator).unsqueeze(-1)).squeeze(-1)


def _draw(logits: Tensor, generator: torch.Generator | None) -> Tensor:
    """A sample of softmax(logits) for each row, by inversion of the cumulative distribution.

    Sums are float64, so that the uniform number times the last sum stays below it; probability 0 is never drawn.
    """
    sums = to_double(logits.softmax(-1)).cumsum(-1)
    drawn = torch.rand(len(sums), 1, generator=generator, device=logits.device).to(sums.device)
    return torch.searchsorted(sums, drawn * sums[:, -1:], right=True).squeeze(1).to(logits.device)


def generate(
    advance: Advance,
    prompt: Tensor,
    count: int,
    sampling: Sampling,
    *,
    lengths: Tensor | None = None,
    end: int | None = None,
    never: tuple[int, ...] = (),
    generator: torch.Generator | None = None,
) -> Tensor:
    """Token ids that continue prompts, `[B, ≤ count]`; each row has `end` from its end on.

    A step costs the same at any length, as only the state of the model is kept.

    Args:
        advance: the model.
        prompt: ids `[B, P]`, at least one a row.
        count: the most tokens to add.
        sampling: how tokens are drawn.
        lengths: true lengths of the prompts `[B]`, None if all are P.
        end: the token that ends a sequence, if any.
        never: tokens that are not generated.
        generator: of random numbers, on the device of the model.
    """
    logits, state = advance(prompt, None, lengths)
    mask = logits.new_zeros(logits.shape[-1])
    mask[list(never)] = -torch.inf
    tokens: list[Tensor] = []
    for place in range(count):
        tokens.append(sampling.pick(logits + mask, generator))
        if place + 1 == count or (
            end is not None and place % CHECK_INTERVAL == CHECK_INTERVAL - 1 and _all_ended(tokens, end)
        ):
            break
        logits, state = advance(tokens[-1].unsqueeze(1), state)
    generated = torch.stack(tokens, 1)
    return generated if end is None else fill_after_end(generated, end)


def continue_frames(
    advance: Advance,
    frames: Tensor,
    count: int,
    temperature: float = 1.0,
    greedy: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Frames that continue `frames` `[B, T, O]`, `[B, count, O]`: 1 for each key that sounds, else 0.

    Keys are drawn independently, with the probabilities of the model; `temperature` divides the logits. With `greedy`
    a key sounds if its probability is above one half.

    Raises:
        RnnbenchError: a temperature out of its range.
    """
    sampling = Sampling(temperature, greedy=greedy)
    logits, state = advance(frames)
    generated: list[Tensor] = []
    for _ in range(count):
        shares = (logits / sampling.temperature).sigmoid()
        drawn = shares.new_full(shares.shape, 0.5) if greedy else torch.rand(shares.shape, generator=generator)
        generated.append((shares > drawn.to(shares.device)).to(frames.dtype).unsqueeze(1))
        logits, state = advance(generated[-1], state)
    return torch.cat(generated, 1)


def _all_ended(tokens: list[Tensor], end: int) -> bool:
    return bool((torch.stack(tokens) == end).any(0).all())


def fill_after_end(tokens: Tensor, end: int) -> Tensor:
    """Sequences `[B, U]` with everything after the first `end` replaced by `end`, cut to the longest."""
    over = (tokens == end).cumsum(1) > 0
    longest = int((~over).sum(1).max()) + 1 if len(tokens) else 0
    return tokens.masked_fill(over, end)[:, :longest]
