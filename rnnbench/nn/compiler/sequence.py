"""A cell's call over one sequence, and the contract of the engines that run it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler.torch_mode import is_traced

Result = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
"""Sequences of the emitted states, and final states of all."""


class Steps(NamedTuple):
    """The rows of each step: `rows[t]` rows from row `offset[t]` on; all `total` rows lie one after the other."""

    offset: np.ndarray
    rows: np.ndarray
    total: int
    last: Tensor | None  # packed: the row of each sequence's last step


@lru_cache(64)
def dense(steps: int, batch: int) -> Steps:
    """The same number of rows in each step."""
    return Steps(np.arange(steps, dtype=np.int64) * batch, np.full(steps, batch, dtype=np.int64), steps * batch, None)


def packed(batch_sizes: Tensor) -> Steps:
    """The steps of a `PackedSequence`."""
    count = np.ascontiguousarray(batch_sizes.numpy(), dtype=np.int64)
    offset = np.cumsum(count) - count
    lengths = (count[None, :] > np.arange(count[0])[:, None]).sum(1)
    last = torch.from_numpy(offset[lengths - 1] + np.arange(count[0]))
    return Steps(offset, count, int(count.sum()), last)


def first_size(batch_sizes: Tensor) -> int:
    """How many sequences a `PackedSequence` has; in a trace the tensor that stands for the number, whatever it is."""
    return batch_sizes[0] if is_traced() else int(batch_sizes[0])  # type: ignore[return-value]


class CallTensors(NamedTuple):
    """The tensors of a call by kind."""

    states: tuple[Tensor | None, ...]
    matrices: tuple[Tensor | None, ...]
    biases: tuple[Tensor | None, ...]
    vectors: tuple[Tensor, ...]


@dataclass(eq=False)
class SequenceCall:
    """One cell in one direction over one sequence.

    Its tensors are, in this order: the initial states (None: zeros), the matrices (`weight_ih`, `weight_hh`, the
    cell's own), the two biases (None: without) and the cell's vectors. Inputs are `[T, B, I]`, or `[rows, I]` with
    `batch_sizes` if packed; so are the sequences of states, final states are `[B, W]`.
    """

    cell: Cell
    hidden_size: int
    batch: int
    length: int
    batch_sizes: Tensor | None = None
    reverse: bool = False
    noise: tuple[Tensor, ...] = ()
    """Values of the cell's `noise_inputs`."""
    padding: Tensor | None = None
    """Steps of padding, `[T, B, 1]`, at which states stay as they were; for programs that `torch.export` makes."""

    def __post_init__(self) -> None:
        self.widths = self.cell.state_sizes(self.hidden_size)  # of each state
        self._steps_on: dict[str, Tensor] = {}

    @property
    def is_packed(self) -> bool:
        """Whether sequences end at different steps."""
        return self.batch_sizes is not None

    @cached_property
    def steps(self) -> Steps:
        """Where the rows of each step lie."""
        return dense(self.length, self.batch) if self.batch_sizes is None else packed(self.batch_sizes)

    def steps_on(self, device: torch.device) -> dict[str, Tensor]:
        """Packed: the rows of each step, and one 0 after them; the first row of each; the steps of each sequence."""
        if not self._steps_on:
            count, batch = self.steps.rows, np.arange(self.batch)
            arrays = {
                "count": np.append(count, 0),
                "offset": np.append(self.steps.offset, self.steps.total),
                "lengths": (count[None, :] > batch[:, None]).sum(1),
            }
            self._steps_on |= {name: torch.from_numpy(value).to(device) for name, value in arrays.items()}
        return self._steps_on

    def rows_before(self, device: torch.device) -> Tensor:
        """Packed: for each row that of the same sequence one step before; at its first step the number of all rows and
        its place in the batch."""
        steps, rows = self.steps, []
        for t, n in enumerate(steps.rows):
            other = t + 1 if self.reverse else t - 1
            there = steps.rows[other] if 0 <= other < len(steps.rows) else 0
            place = np.arange(n)
            old = steps.offset[other] + place if there else place
            rows.append(np.where(place < there, old, steps.total + place))
        return torch.from_numpy(np.concatenate(rows)).to(device)

    def width(self, name: str) -> int:
        """The width that a program calls "H" (hidden size) or "P" (size of h)."""
        return self.hidden_size if name == "H" else self.widths[0]

    def noise_at(self, noise: Tensor, t: int, n: int) -> Tensor:
        """What `noise` is for the `n` rows of step `t`."""
        if self.batch_sizes is None:
            return noise[t] if noise.ndim == 3 else noise[:n]
        start = int(self.steps.offset[t])
        return noise[start : start + n] if len(noise) == self.steps.total else noise[:n]

    def split(self, tensors: Sequence[Tensor | None]) -> CallTensors:
        """The tensors of the call by kind."""
        states, matrices = len(self.cell.states), 2 + len(self.cell.matrices)
        rest = tensors[states:]
        return CallTensors(
            tuple(tensors[:states]), tuple(rest[:matrices]), tuple(rest[matrices : matrices + 2]),
            tuple(rest[matrices + 2 :]),  # type: ignore[arg-type]
        )  # fmt: skip

    def emitted(self, sequences: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Of the sequences of all states, those that the layer needs."""
        return tuple(sequences[self.cell.states.index(name)] for name in self.cell.emitted)

    def final(self, sequence: Tensor) -> Tensor:
        """The state after each sequence's last step, `[B, W]`, from that after all steps."""
        if self.reverse:
            return sequence[: self.batch] if self.is_packed else sequence[0]
        return sequence[-1] if self.steps.last is None else sequence[self.steps.last]


class Engine(Protocol):
    """What runs a cell over a sequence: `native.Kernel`, `triton_engine.TritonKernel`, `function.Interpreter` or
    `reference.Reference`.

    All compute the same, outside of autograd; `dispatch` and `custom_op` make autograd functions of them.
    """

    def forward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool
    ) -> list[Tensor]:
        """The sequences of all states; when training, after them, whatever `backward` needs in addition."""

    def backward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], results: Sequence[Tensor],
        gradients: Sequence[Tensor | None], needed: Sequence[bool],
    ) -> list[Tensor | None]:  # fmt: skip
        """Gradients of the inputs and of all tensors.

        `results` are those of `forward` when training, `gradients` those of the emitted sequences and of the final
        states (None: zero); what is not `needed` (of the inputs and each tensor) may be None.
        """
