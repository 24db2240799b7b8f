"""What generation costs, side by side in one run: `python -m benchmarks.generate`.

Tokens a second of `model.generate`'s loop against a bare loop over `torch.nn.LSTMCell` of the same sizes and weights,
drawn by `torch.multinomial` as such loops are written, or drawn as ours are; medians of rounds in turn, one thread.
And the time of a token at the start of a text and far into it, within one text.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # as on one core; read when torch is imported

import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.layer_timing import Timed, interleave
from rnnbench.analysis.generate import Sampling, generate
from rnnbench.architectures import LSTM

VOCABULARY, EMBEDDING, HIDDEN = 100, 64, 256
TOKENS = 100
"""Of one call that is timed."""
EARLY, LATE, AROUND = 10, 10_000, 400
"""Positions that are compared, and tokens from each on over whose times the median is taken."""


class Bare(nn.Module):
    """The loop that everybody writes, with the weights of one of our modules."""

    def __init__(self, model: Any, own_draw: bool) -> None:
        super().__init__()
        self.embedding, self.head, self.cell = model.embedding, model.objective.head, nn.LSTMCell(EMBEDDING, HIDDEN)
        names = {name.removesuffix("_l0"): value for name, value in model.layer.state_dict().items()}
        self.cell.load_state_dict(names)
        self.sampling = Sampling() if own_draw else None

    @torch.no_grad()
    def forward(self, batch: int, count: int) -> Tensor:
        """Ids `[B, count]`."""
        token = torch.full((batch,), 2)
        state = torch.zeros(batch, HIDDEN), torch.zeros(batch, HIDDEN)
        said = []
        for _ in range(count):
            state = self.cell(self.embedding(token), state)
            logits = self.head(state[0])
            if self.sampling is None:
                token = torch.multinomial(logits.softmax(-1), 1).squeeze(1)
            else:
                token = self.sampling.pick(logits)
            said.append(token)
        return torch.stack(said, 1)


def ours(model: LSTM, batch: int, count: int) -> Tensor:
    """Ids `[B, count]`."""
    with model.inference_mode():
        return generate(
            model.inference.fast_advance(), torch.full((batch, 1), 2), count, Sampling(), never=(0, 1, 2), end=None
        )


def speeds(model: LSTM, batch: int) -> dict[str, float]:
    """Median seconds a step of each loop."""
    calls: dict[str, Callable[[], object]] = {
        "model.generate": lambda: ours(model, batch, TOKENS),
        "LSTMCell, torch.multinomial": lambda: multinomial(batch, TOKENS),
        "LSTMCell, drawn as ours": lambda: same(batch, TOKENS),
    }
    multinomial, same = Bare(model, own_draw=False), Bare(model, own_draw=True)
    entries = [Timed(name, call, calls=TOKENS) for name, call in calls.items()]
    return {entry.name: statistics.median(times) for entry, _, times in interleave(entries, [1], 15, 20.0, 60.0)}


def by_position(model: LSTM) -> tuple[float, float]:
    """Median seconds of a token from `EARLY` and from `LATE` on, of one text."""
    at: list[float] = []

    def advance(tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        at.append(time.perf_counter())
        return prepared(tokens, state, lengths)

    prepared = model.inference.fast_advance()
    with model.inference_mode():
        generate(advance, torch.full((1, 1), 2), LATE + AROUND + 1, Sampling())
    early, late = (
        statistics.median(b - a for a, b in zip(at[start : start + AROUND], at[start + 1 :], strict=False))
        for start in (EARLY, LATE)
    )
    return early, late


def main() -> None:
    """Print both."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = LSTM(VOCABULARY, VOCABULARY, "character_model", "tokens", hidden_size=HIDDEN, embedding_size=EMBEDDING)
    model.eval()
    console = Console(highlight=False)
    console.print(
        f"LSTM of {HIDDEN} units, {VOCABULARY} tokens, one thread; ratio: above 1 is faster than the bare loop"
    )
    table = Table("batch", "loop", "tokens a second", "ratio", box=box.SIMPLE)
    for batch in (1, 64):
        found = speeds(model, batch)
        for loop, each in found.items():
            against = "" if loop == "model.generate" else f"{each / found['model.generate']:.2f}"
            table.add_row(str(batch), loop, f"{batch / each:,.0f}", against)
    console.print(table)
    pairs = [by_position(model) for _ in range(5)]
    ratio = statistics.median(late / early for early, late in pairs)
    least = statistics.median(early for early, _ in pairs)
    console.print(f"a token at position {EARLY}: {1e6 * least:.0f} µs; at {LATE:,} it takes {ratio:.3f} times as long")


if __name__ == "__main__":
    main()
