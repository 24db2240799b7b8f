"""Beam search for the likeliest output sequences of a model."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.errors import RnnbenchError

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Logits `[N, V]` of the token after `tokens` `[N, 1]`, and the next state."""
Select = Callable[[Any, Tensor], Any]
"""The state of the rows `[M]` of a state."""


class Hypothesis(NamedTuple):
    """A candidate sequence.

    `tokens` exclude the end token; `log_prob` is ln of the probability, including that of the end; `score` ranks it,
    `log_prob / length^α`.
    """

    tokens: list[int]
    log_prob: float
    score: float


def check_beam(beam: int, n_best: int, length_penalty: float) -> None:
    """Check the parameters of a search.

    Raises:
        RnnbenchError: a value out of its range.
    """
    if beam < 1:
        raise RnnbenchError(f"beam must be at least 1, got {beam}")
    if not 1 <= n_best <= beam:
        raise RnnbenchError(f"n_best must be at least 1 and at most the beam of {beam}, got {n_best}")
    if not 0 <= length_penalty < float("inf"):
        raise RnnbenchError(f"length_penalty must be at least 0, got {length_penalty}")


def beam_search(
    logits: Tensor,
    state: Any,
    step: Step,
    select: Select,
    *,
    beam: int,
    max_length: int,
    end: int | None,
    never: tuple[int, ...] = (),
    length_penalty: float = 1.0,
) -> list[list[Hypothesis]]:
    """Up to `beam` sequences for each row, best first.

    After each step the `beam` likeliest prefixes are kept; those that end become hypotheses. The search stops with
    `beam` hypotheses, or at `max_length`, where unfinished prefixes fill up the list. With `beam` 1 it is greedy; it is
    exact if `beam` is at least the number of possible sequences.

    Hypotheses are ranked by `log p / length^α`, α the `length_penalty`: 0 ranks by probability, which favours short
    sequences, 1 by the mean of a token, the end included.

    Args:
        logits: of the first token, `[B, V]`.
        state: of the model before the first token.
        step: the model, for `B · beam` rows; those of a sequence are adjacent.
        select: picks rows of a state.
        beam: prefixes kept, K.
        max_length: tokens after which a sequence ends without `end`.
        end: the token that ends a sequence, if any.
        never: tokens that are not generated.
        length_penalty: α.
    """
    rows, size = logits.shape
    mask = logits.new_zeros(size)
    mask[list(never)] = -torch.inf
    state = select(state, torch.arange(rows, device=logits.device).repeat_interleave(beam))
    logits = logits.repeat_interleave(beam, 0)
    scores = torch.full((rows, beam), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # at first all prefixes of a row are equal
    prefixes: list[list[list[int]]] = [[[]] * beam for _ in range(rows)]
    hypotheses: list[list[Hypothesis]] = [[] for _ in range(rows)]
    for length in range(1, max_length + 1):
        log_probs = torch.log_softmax(logits.float(), -1) + mask
        total = scores.unsqueeze(-1) + log_probs.cpu().double().reshape(rows, beam, size)
        best = total.flatten(1).topk(min(2 * beam, beam * size))
        parents = torch.arange(rows * beam).reshape(rows, beam)
        tokens = torch.zeros(rows, beam, dtype=torch.int64)
        for row in range(rows):
            kept = _extend(prefixes, hypotheses[row], row, best.values[row].tolist(), best.indices[row].tolist(),
                         size, end, length, length_penalty)  # fmt: skip
            scores[row] = -torch.inf
            for place, (score, parent, token) in enumerate(kept):
                scores[row, place], parents[row, place], tokens[row, place] = score, row * beam + parent, token
        if length == max_length or all(len(ended) >= beam for ended in hypotheses):
            break
        state = select(state, parents.flatten().to(logits.device))
        logits, state = step(tokens.reshape(-1, 1).to(logits.device), state)
    for row, ended in enumerate(hypotheses):
        rest = zip(prefixes[row], scores[row].tolist(), strict=False)
        unended = [
            _hypothesis(prefix, score, len(prefix), length_penalty) for prefix, score in rest if score > -torch.inf
        ]
        ended += unended[: max(0, beam - len(ended))]
    return [sorted(ended, key=lambda hypothesis: -hypothesis.score)[:beam] for ended in hypotheses]


def _extend(
    prefixes: list[list[list[int]]], hypotheses: list[Hypothesis], row: int, values: list[float], places: list[int],
    size: int, end: int | None, length: int, length_penalty: float,
) -> list[tuple[float, int, int]]:  # fmt: skip
    """Extend the prefixes of a row by its best tokens. Adds those that end to `hypotheses`, and returns the best of the
    others: score, parent and token of each."""
    before, beam = prefixes[row], len(prefixes[row])
    kept: list[tuple[float, int, int]] = []
    if len(hypotheses) >= beam:
        return kept
    for rank, (score, place) in enumerate(zip(values, places, strict=True)):
        parent, token = divmod(place, size)
        if score == -torch.inf or len(kept) == beam:
            break
        if token != end:
            kept.append((score, parent, token))
        elif rank < beam:
            hypotheses.append(_hypothesis(before[parent], score, length, length_penalty))
    prefixes[row] = [[*before[parent], token] for _, parent, token in kept]
    prefixes[row] += [[]] * (beam - len(kept))
    return kept


def _hypothesis(tokens: list[int], log_prob: float, length: int, length_penalty: float) -> Hypothesis:
    return Hypothesis(tokens, log_prob, log_prob / length**length_penalty)
