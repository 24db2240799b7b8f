"""Beam search: the likeliest sequences that a model can say, as far as a narrow search finds them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.errors import RnnbenchError

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""Logits `[N, V]` of the token after `tokens` `[N, 1]`, and the next state."""
Select = Callable[[Any, Tensor], Any]
"""The state of some rows, `[M]`, of a state."""


class Hypothesis(NamedTuple):
    """A sequence that may be said.

    `tokens` are without the end; `log_prob` is ln of its probability, that of its end included; `score` is by what it
    is ranked, `log_prob / length^α`.
    """

    tokens: list[int]
    log_prob: float
    score: float


def check_beam(beam: int, n_best: int, length_penalty: float) -> None:
    """Refuse a search that finds nothing.

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

    After each step the `beam` likeliest beginnings are kept; one that ends among them is a hypothesis. The search ends
    with `beam` hypotheses, or at `max_length`, where beginnings fill up what is missing. With `beam` 1 it is greedy; it
    is exact if `beam` is at least the number of sequences.

    Hypotheses are ranked by `log p / length^α`, α the `length_penalty`: 0 ranks by probability, which favours the
    short, 1 by the mean of a token, its end being one.

    Args:
        logits: of the first token, `[B, V]`.
        state: after what the first token follows.
        step: the model, for `B · beam` rows, those of one sequence side by side.
        select: picks rows of a state.
        beam: beginnings kept, K.
        max_length: tokens after which a sequence ends without `end`.
        end: the token that ends a sequence; None: nothing does.
        never: tokens that are not said.
        length_penalty: α.
    """
    rows, size = logits.shape
    refused = logits.new_zeros(size)
    refused[list(never)] = -torch.inf
    state = select(state, torch.arange(rows, device=logits.device).repeat_interleave(beam))
    logits = logits.repeat_interleave(beam, 0)
    scores = torch.full((rows, beam), -torch.inf, dtype=torch.float64)
    scores[:, 0] = 0.0  # all beginnings are the same one still
    begun: list[list[list[int]]] = [[[]] * beam for _ in range(rows)]
    found: list[list[Hypothesis]] = [[] for _ in range(rows)]
    for length in range(1, max_length + 1):
        next_ones = torch.log_softmax(logits.float(), -1) + refused
        total = scores.unsqueeze(-1) + next_ones.cpu().double().reshape(rows, beam, size)
        best = total.flatten(1).topk(min(2 * beam, beam * size))
        parents = torch.arange(rows * beam).reshape(rows, beam)
        tokens = torch.zeros(rows, beam, dtype=torch.int64)
        for row in range(rows):
            kept = _grow(begun, found[row], row, best.values[row].tolist(), best.indices[row].tolist(),
                         size, end, length, length_penalty)  # fmt: skip
            scores[row] = -torch.inf
            for place, (score, parent, token) in enumerate(kept):
                scores[row, place], parents[row, place], tokens[row, place] = score, row * beam + parent, token
        if length == max_length or all(len(some) >= beam for some in found):
            break
        state = select(state, parents.flatten().to(logits.device))
        logits, state = step(tokens.reshape(-1, 1).to(logits.device), state)
    for row, some in enumerate(found):
        left = zip(begun[row], scores[row].tolist(), strict=False)
        unended = [_hypothesis(one, score, len(one), length_penalty) for one, score in left if score > -torch.inf]
        some += unended[: max(0, beam - len(some))]
    return [sorted(some, key=lambda one: -one.score)[:beam] for some in found]


def _grow(
    begun: list[list[list[int]]], found: list[Hypothesis], row: int, values: list[float], places: list[int],
    size: int, end: int | None, length: int, length_penalty: float,
) -> list[tuple[float, int, int]]:  # fmt: skip
    """Note which of the best ways on end; keep the best that do not: score, parent and token of each."""
    before, beam = begun[row], len(begun[row])
    kept: list[tuple[float, int, int]] = []
    if len(found) >= beam:
        return kept
    for rank, (score, place) in enumerate(zip(values, places, strict=True)):
        parent, token = divmod(place, size)
        if score == -torch.inf or len(kept) == beam:
            break
        if token != end:
            kept.append((score, parent, token))
        elif rank < beam:
            found.append(_hypothesis(before[parent], score, length, length_penalty))
    begun[row] = [[*before[parent], token] for _, parent, token in kept]
    begun[row] += [[]] * (beam - len(kept))
    return kept


def _hypothesis(tokens: list[int], log_prob: float, length: int, length_penalty: float) -> Hypothesis:
    return Hypothesis(tokens, log_prob, log_prob / length**length_penalty)
