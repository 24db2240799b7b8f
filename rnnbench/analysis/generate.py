"""Drawing one token after another from what a model says of the next."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rnnbench.errors import RnnbenchError

LOOK = 16
"""Tokens between two looks at whether all sequences have ended."""


class Advance(Protocol):
    """A model that says what may come next."""

    def __call__(self, tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits `[B, V]` of the token after `tokens` `[B, T]`, and the state after them; `state` is one it gave."""
        ...


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from its distribution.

    Args:
        temperature: divides the logits: below 1 the likely gets likelier, above 1 all get more alike.
        top_k: only the k likeliest tokens (Fan, Lewis & Dauphin 2018).
        top_p: only the fewest tokens that have probability p together (nucleus sampling, Holtzman et al. 2020).
        greedy: the likeliest token, nothing is drawn.

    Raises:
        RnnbenchError: a value out of its range, or one that says nothing as nothing is drawn.
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
        """A token for each row of logits `[B, V]`, `[B]`; one with logit −∞ is never picked."""
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
    """A draw from softmax(logits) by one uniform number a row: where it lies among the summed probabilities.

    Sums are of float64, so that the number times the last of them stays below it; one of probability 0 has no room.
    """
    sums = logits.softmax(-1).cumsum(-1, dtype=torch.float64)
    drawn = torch.rand(len(sums), 1, generator=generator, device=sums.device)
    return torch.searchsorted(sums, drawn * sums[:, -1:], right=True).squeeze(1)


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
    """Token ids that go on from prompts, `[B, ≤ count]`: each row up to `end`, then `end` again.

    A step costs the same however long the sequence is already, as only the model's state is carried.

    Args:
        advance: the model.
        prompt: ids `[B, P]`, at least one a row.
        count: the most tokens to add.
        sampling: how they are drawn.
        lengths: true lengths of the prompts `[B]`, None if all are P.
        end: the token that ends a sequence; None: nothing does.
        never: tokens that are not emitted.
        generator: of what is drawn, on the device of the model.
    """
    logits, state = advance(prompt, None, lengths)
    refused = logits.new_zeros(logits.shape[-1])
    refused[list(never)] = -torch.inf
    tokens: list[Tensor] = []
    for place in range(count):
        tokens.append(sampling.pick(logits + refused, generator))
        if place + 1 == count or (end is not None and place % LOOK == LOOK - 1 and _all_ended(tokens, end)):
            break
        logits, state = advance(tokens[-1].unsqueeze(1), state)
    said = torch.stack(tokens, 1)
    return said if end is None else ended(said, end)


def continue_frames(
    advance: Advance,
    frames: Tensor,
    count: int,
    temperature: float = 1.0,
    greedy: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Frames that go on from `frames` `[B, T, O]`, `[B, count, O]`, 1 for each key that sounds, else 0.

    Each key sounds with the probability that the model gives it, by itself; `temperature` divides the logits. Greedily
    it sounds if that is above one half.

    Raises:
        RnnbenchError: a temperature out of its range.
    """
    sampling = Sampling(temperature, greedy=greedy)
    logits, state = advance(frames)
    said = []
    for _ in range(count):
        shares = (logits / sampling.temperature).sigmoid()
        drawn = shares.new_full(shares.shape, 0.5) if greedy else torch.rand(shares.shape, generator=generator)
        said.append((shares > drawn.to(shares.device)).to(frames.dtype).unsqueeze(1))
        logits, state = advance(said[-1], state)
    return torch.cat(said, 1)


def _all_ended(tokens: list[Tensor], end: int) -> bool:
    return bool((torch.stack(tokens) == end).any(0).all())


def ended(said: Tensor, end: int) -> Tensor:
    """Sequences `[B, U]` with `end` written over all that follows the first `end`, as short as the longest needs."""
    over = (said == end).cumsum(1) > 0
    longest = int((~over).sum(1).max()) + 1 if len(said) else 0
    return said.masked_fill(over, end)[:, :longest]
