"""Sequences in memory, and the order in which batches of them are read."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from rnnbench.batch import AnyBatch, Batch, StreamBatch

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]

BUCKET_BATCHES = 20
"""Batches of sequences of different lengths are cut from shuffled pools of this many batches, sorted by length."""


class SequenceStore(Dataset[Batch]):
    """Sequences one after the other in one tensor, read a batch at a time: `store[[3, 1, 4]]` is a `Batch`.

    Args:
        inputs: `[N, C]` or `[N]`, all steps of all sequences.
        offsets: `[n + 1]`, where each sequence starts, and the end.
        targets: `[n, …]`, one a sequence, or `[N, …]`, one a step, as `per_step` says.
        per_step: whether there is a target for each step.
        unknown: target of a padded step.
        target_starts: `[n + 1]`, where each sequence's targets start, and the end, if they are sequences of lengths of
            their own: they are padded with `unknown`.
    """

    def __init__(
        self,
        inputs: Tensor,
        offsets: Tensor,
        targets: Tensor,
        per_step: bool,
        unknown: float,
        target_starts: Tensor | None = None,
    ) -> None:
        self.inputs, self.offsets, self.targets = inputs, offsets, targets
        self.per_step, self.unknown, self.target_starts = per_step, unknown, target_starts
        self.lengths = offsets.diff()
        self.even = len(self) > 0 and bool((self.lengths == self.lengths[0]).all())
        if self.even:
            self.inputs = inputs.reshape(len(self), -1, *inputs.shape[1:])
            self.targets = targets.reshape(len(self), -1, *targets.shape[1:]) if per_step else targets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, indices: Sequence[int]) -> Batch:
        rows = torch.as_tensor(indices)
        targets = self._targets(rows)
        if self.even:
            return Batch(self.inputs[rows], targets)
        return Batch(_padded(self.inputs, self.offsets, rows, 0), targets, self.lengths[rows])

    def _targets(self, rows: Tensor) -> Tensor:
        if self.target_starts is not None:
            return _padded(self.targets, self.target_starts, rows, self.unknown)
        if self.per_step and not self.even:
            return _padded(self.targets, self.offsets, rows, self.unknown)
        return self.targets[rows]


def _padded(values: Tensor, starts: Tensor, rows: Tensor, padding: float) -> Tensor:
    """Sequences `rows` of all those that lie one after the other in `values`, `[B, T, …]`, padded at the end."""
    first, end = starts[rows].unsqueeze(1), starts[rows + 1].unsqueeze(1)
    places = first + torch.arange(int((end - first).max()))
    taken = values[places.clamp(max=len(values) - 1)]
    return taken.masked_fill((places >= end).reshape(*places.shape, *[1] * (taken.dim() - 2)), padding)


class GlobalBatches(DistributedSampler[list[int]]):
    """Batches of indices that are the same on every number of processes: each process takes its share of each batch.

    So the batch size is that of one optimiser step, whatever the number of processes, and no sequence is read twice in
    a test. (A `DistributedSampler` in name, so that Lightning leaves it alone; it pads nothing.)

    Args:
        lengths: `[n]`, of the sequences; if they differ, sequences of similar length are batched together.
        batch_size: sequences a batch, over all processes.
        shuffle: a new order each epoch, from `seed`; otherwise in order.
        seed: of the order.
    """

    def __init__(self, lengths: Tensor, batch_size: int, shuffle: bool, seed: int = 0) -> None:
        self.lengths, self.batch_size, self.shuffle, self.seed = lengths.numpy(), batch_size, shuffle, seed
        self.epoch = 0

    def __iter__(self) -> Iterator[list[int]]:
        rank, world = _process()
        for batch in self.all_batches():
            # A last batch too small to share: dropped in training, where processes must keep step; read in a test.
            if len(batch) >= world or (not self.shuffle and rank < len(batch)):
                yield batch[rank::world].tolist()

    def __len__(self) -> int:
        rank, world = _process()
        whole, rest = divmod(len(self.lengths), self.batch_size)
        return whole + (rest >= world or (not self.shuffle and rank < rest))

    def all_batches(self) -> list[Indices]:
        """The batches of this epoch, over all processes."""
        order = np.arange(len(self.lengths))
        if not self.shuffle:
            return self._cut(order)
        random = np.random.default_rng((self.seed, self.epoch))
        random.shuffle(order)
        if (self.lengths == self.lengths[:1]).all():
            return self._cut(order)
        pool = self.batch_size * BUCKET_BATCHES
        pools = [order[start : start + pool] for start in range(0, len(order), pool)]
        batches = [batch for some in pools for batch in self._cut(some[np.argsort(self.lengths[some], kind="stable")])]
        random.shuffle(batches)
        return batches

    def _cut(self, order: Indices) -> list[Indices]:
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]


class StreamStore(Dataset[StreamBatch]):
    """One long sequence cut into rows of equal length that are read side by side: `store[k]` is the k-th piece of each.

    Args:
        stream: `[N]`, token ids.
        rows: B, over all processes; fewer if there are not two tokens for each.
        steps: T of a piece; the last may be shorter.
        unknown: target beyond the end of the stream.
    """

    def __init__(self, stream: Tensor, rows: int, steps: int, unknown: int) -> None:
        rows = max(1, min(rows, len(stream) // 2))
        columns = -(-(len(stream) - 1) // rows)  # each token but the first is a target once
        padded = stream.new_full((rows * columns + 1,), unknown)
        padded[: len(stream)] = stream
        self.inputs = padded[:-1].reshape(rows, columns).clamp(min=0)
        self.targets = padded[1:].reshape(rows, columns)
        self.steps = steps

    def __len__(self) -> int:
        return -(-self.inputs.shape[1] // self.steps)

    def __getitem__(self, piece: int) -> StreamBatch:
        rank, world = _process()
        steps = slice(piece * self.steps, (piece + 1) * self.steps)
        return StreamBatch(self.inputs[rank::world, steps], self.targets[rank::world, steps], None, piece > 0)


class StreamPieces(DistributedSampler[int]):
    """The pieces of a stream in order, all of them on every process, which takes its share of the rows.

    (A `DistributedSampler` in name, so that Lightning leaves it alone.)
    """

    def __init__(self, store: StreamStore) -> None:
        self.pieces = len(store)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.pieces))

    def __len__(self) -> int:
        return self.pieces

    def set_epoch(self, epoch: int) -> None:
        """A stream has one order."""


class ResumableLoader(DataLoader[AnyBatch]):
    """A loader that can go on in the middle of an epoch: Lightning keeps its state in a checkpoint."""

    read = 0
    """Batches of this epoch that were handed out."""
    skip = 0
    """Batches of the next epoch that were handed out before."""

    def __iter__(self) -> Iterator[AnyBatch]:  # type: ignore[override]
        skip, self.skip, self.read = self.skip, 0, self.skip
        return self._counted(islice(super().__iter__(), skip, None))

    def _counted(self, batches: Iterator[AnyBatch]) -> Iterator[AnyBatch]:
        for batch in batches:
            self.read += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Where it is in the epoch."""
        return {"read": self.read}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there at the next iteration."""
        self.skip = self.read = int(state["read"])


def _process() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
