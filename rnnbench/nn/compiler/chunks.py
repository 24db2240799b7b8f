"""Chunks: a cell whose gates see the input alone, many steps at once by products of matrices, under autograd."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler.sequence import Result, SequenceCall


def runs_in_chunks(cell: Cell) -> bool:
    """Whether a cell has such a form; zoneout, which draws anew at each step, has none."""
    return cell.chunk is not None and not cell.zoneout


def run(call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None]) -> Result:
    """The sequence of h and the final states of a call, chunk after chunk by the cell's `chunk`."""
    by_kind = call.split(tensors)
    projected = F.linear(inputs, by_kind.matrices[0], by_kind.biases[0])  # type: ignore[arg-type]
    states = [
        inputs.new_zeros(call.batch, width) if state is None else state
        for state, width in zip(by_kind.states, call.widths, strict=True)
    ]
    pieces = []
    chunks = _chunks(call, projected)
    for rows, present in reversed(chunks) if call.reverse else chunks:
        sequence, states = _run_chunk(call, rows, states, present)
        pieces.append(sequence)
    return (torch.cat(pieces[::-1] if call.reverse else pieces),), tuple(states)


def _chunks(call: SequenceCall, projected: Tensor) -> list[tuple[Tensor, Tensor | None]]:
    """The gates of each chunk, `[L, n, W]` for the n sequences that have its first step; if packed, which of its steps
    are present, `[L, n]`.
    """
    if call.batch_sizes is None:
        return [(rows, None) for rows in torch.split(projected, call.cell.chunk_steps)]
    sizes = torch.split(call.batch_sizes, call.cell.chunk_steps)
    chunks: list[tuple[Tensor, Tensor | None]] = []
    parts = torch.split(projected, [int(counts.sum()) for counts in sizes])
    for rows, counts in zip(parts, sizes, strict=True):
        present = (torch.arange(int(counts[0])) < counts.unsqueeze(1)).to(rows.device)
        padded = rows.new_zeros(*present.shape, rows.shape[-1])
        chunks.append((padded.masked_scatter(present.unsqueeze(-1), rows), present))
    return chunks


def _run_chunk(
    call: SequenceCall, rows: Tensor, states: Sequence[Tensor], present: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """h after each step of a chunk, in the order of `rows`, `[L, n, H]` or packed as they were, and the states then.

    Rows of the states beyond n stay as they are: their sequences have ended, or do not begin before the next chunk.
    """
    cell, n = call.cell, rows.shape[1]
    missing = None if present is None else ~present
    if call.reverse:
        rows, missing = rows.flip(0), None if missing is None else missing.flip(0)
    z = cell.pack("gates", torch.split(rows, list(cell.gate_sizes(call.hidden_size)), -1))
    assert cell.chunk is not None
    sequence, after = cell.chunk(z, cell.pack("states", [state[:n] for state in states]), missing)
    if present is None or call.reverse:  # every sequence has the chunk's first step, where a reverse direction ends
        last = sequence[-1]
    else:
        last = sequence[present.sum(0) - 1, torch.arange(n, device=rows.device)]
    states = [
        torch.cat([new, old[n:]]) if n < call.batch else new for new, old in zip((last, *after), states, strict=True)
    ]
    sequence = sequence.flip(0) if call.reverse else sequence
    return sequence if present is None else sequence[present], states
