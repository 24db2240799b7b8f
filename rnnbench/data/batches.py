"""Sequences in memory as an ordinary Dataset, and the order in which batches of them are read."""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import BatchSampler, DataLoader, Dataset, DistributedSampler, Sampler, SequentialSampler

from rnnbench.objectives.batch import AnyBatch, Batch, StreamBatch

Indices = np.ndarray[tuple[int], np.dtype[np.int64]]
Sample = tuple[Tensor, Tensor]
"""One sequence: its inputs `[T, C]` or `[T]`, and its target or targets."""

BUCKET_BATCHES = 20
"""Batches of sequences of different lengths are cut from shuffled pools of this many batches, sorted by length."""


class SampleStore(Dataset[Sample]):
    """A Dataset whose `store[i]` is one sample, and which reads a whole batch in one go when `collate` asks for it.

    With any sampler, `Subset` or `random_split` it behaves like other map-style datasets.
    """

    @abstractmethod
    def __len__(self) -> int:
        """Number of samples."""

    @abstractmethod
    def __getitem__(self, index: int) -> Sample: ...

    @abstractmethod
    def batch(self, indices: Sequence[int]) -> AnyBatch:
        """The samples of these indices as one padded batch."""

    def __getitems__(self, indices: Sequence[int]) -> "SelectedSamples":
        return SelectedSamples(self, indices)


class SelectedSamples(Sequence[Sample]):
    """Some samples of a store: read one by one when iterated, in one go by `collate`."""

    def __init__(self, store: SampleStore, indices: Sequence[int]) -> None:
        self.store, self.indices = store, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: Any) -> Any:
        chosen = self.indices[place]
        return SelectedSamples(self.store, chosen) if isinstance(place, slice) else self.store[chosen]


def collate(samples: Any) -> AnyBatch:
    """A batch of `SelectedSamples`, padded at the end."""
    batch: AnyBatch = samples.store.batch(samples.indices)
    return batch


class SequenceStore(SampleStore):
    """Sequences one after the other in one tensor.

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

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} sequences")
        batch = self.batch([index % len(self)])
        return batch.inputs[0], batch.targets[0]

    def batch(self, indices: Sequence[int]) -> Batch:
        """The sequences of these indices; their `lengths` unless all sequences of the store have one length."""
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


class BatchOrder(DistributedSampler[int]):
    """The samples of this process in the order of its batches, and the batches themselves.

    (A `DistributedSampler`, so that Lightning does not put one of its own in its place; it repeats no sample.)
    """

    def __init__(self) -> None:
        self.epoch = 0

    @abstractmethod
    def batches(self) -> Iterator[list[int]]:
        """This process's share of each batch of the epoch."""

    @abstractmethod
    def number_of_batches(self) -> int:
        """Number of batches that `batches` yields."""

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self.batches())

    def __len__(self) -> int:
        return sum(map(len, self.batches()))


class GlobalBatches(BatchOrder):
    """Batches of indices that are the same on every number of processes: each process takes its share of each batch.

    So the batch size is that of one optimiser step, whatever the number of processes, and no sequence is read twice in
    a test.

    Args:
        lengths: `[n]`, of the sequences; if they differ, sequences of similar length are batched together.
        batch_size: sequences a batch, over all processes.
        shuffle: a new order each epoch, from `seed`; otherwise in order.
        seed: of the order.
        keep_short: read a last batch with fewer sequences than there are processes, as a test does; by default only
            where nothing is shuffled, since processes that train must keep step.
    """

    def __init__(
        self, lengths: Tensor, batch_size: int, shuffle: bool, seed: int = 0, keep_short: bool | None = None
    ) -> None:
        super().__init__()
        self.lengths, self.batch_size, self.shuffle, self.seed = lengths.numpy(), batch_size, shuffle, seed
        self.keep_short = not shuffle if keep_short is None else keep_short

    def batches(self) -> Iterator[list[int]]:  # noqa: D102
        rank, world = _process()
        for batch in self.all_batches():
            if len(batch) >= world or (self.keep_short and rank < len(batch)):
                yield batch[rank::world].tolist()

    def number_of_batches(self) -> int:  # noqa: D102
        rank, world = _process()
        whole, rest = divmod(len(self.lengths), self.batch_size)
        return whole + (rest >= world or (self.keep_short and rank < rest))

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


class StreamStore(SampleStore):
    """One long sequence cut into rows of equal length, which are read side by side a piece at a time.

    Sample `k · rows + r` is piece k of row r, so that batches of `rows` samples in order are the pieces in order.

    Args:
        stream: `[N]`, token ids.
        rows: B, over all processes; fewer if there are not two tokens for each.
        steps: T of a piece; the last may be shorter.
        unknown: target beyond the end of the stream.
    """

    def __init__(self, stream: Tensor, rows: int, steps: int, unknown: int) -> None:
        self.rows = rows = max(1, min(rows, len(stream) // 2))
        columns = -(-(len(stream) - 1) // rows)  # each token but the first is a target once
        padded = stream.new_full((rows * columns + 1,), unknown)
        padded[: len(stream)] = stream
        self.inputs = padded[:-1].reshape(rows, columns).clamp(min=0)
        self.targets = padded[1:].reshape(rows, columns)
        self.steps, self.unknown = steps, unknown
        self.pieces = -(-columns // steps)

    def __len__(self) -> int:
        return self.pieces * self.rows

    def __getitem__(self, index: int) -> Sample:
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} is out of range for {len(self)} pieces of rows")
        piece, row = divmod(index % len(self), self.rows)
        steps = slice(piece * self.steps, (piece + 1) * self.steps)
        return self.inputs[row, steps], self.targets[row, steps]

    def piece(self, piece: int, rows: slice = slice(None)) -> StreamBatch:
        """The k-th piece of all rows, or of some."""
        steps = slice(piece * self.steps, (piece + 1) * self.steps)
        return StreamBatch(self.inputs[rows, steps], self.targets[rows, steps], None, piece > 0)

    def batch(self, indices: Sequence[int]) -> StreamBatch:
        """One piece of several rows, evenly spaced; shuffled samples continue no earlier piece."""
        first, last = indices[0], indices[-1]
        piece, row = divmod(first, self.rows)
        stride = max(1, indices[1] - first) if len(indices) > 1 else 1
        if last < (piece + 1) * self.rows and indices == list(range(first, last + 1, stride)):  # a process's share
            return self.piece(piece, slice(row, last % self.rows + 1, stride))
        samples = [self[index] for index in indices]
        inputs = pad_sequence([inputs for inputs, _ in samples], batch_first=True)
        targets = pad_sequence([targets for _, targets in samples], batch_first=True, padding_value=self.unknown)
        return StreamBatch(inputs, targets, None, continues=False)


class StreamOrder(BatchOrder):
    """The pieces of a stream in order, all of them on every process, which takes its share of the rows."""

    def __init__(self, store: StreamStore) -> None:
        super().__init__()
        self.rows, self.pieces = store.rows, store.pieces

    def batches(self) -> Iterator[list[int]]:  # noqa: D102
        rank, world = _process()
        for piece in range(self.pieces):
            yield list(range(piece * self.rows, (piece + 1) * self.rows))[rank::world]

    def number_of_batches(self) -> int:  # noqa: D102
        return self.pieces


class OrderedBatchSampler(BatchSampler):
    """The batches of a `BatchOrder`.

    Torch's `SequentialSampler`, which Lightning puts there for `overfit_batches`, becomes such an order: batches are
    still shared among processes. With any other sampler, batches are those of torch's `BatchSampler`.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, drop_last: bool = False) -> None:
        if type(sampler) is SequentialSampler:
            sampler = GlobalBatches(torch.zeros(len(sampler)), batch_size, shuffle=False, keep_short=False)
        super().__init__(sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        return self.sampler.batches() if isinstance(self.sampler, BatchOrder) else super().__iter__()

    def __len__(self) -> int:
        return self.sampler.number_of_batches() if isinstance(self.sampler, BatchOrder) else super().__len__()


class ResumableLoader(DataLoader[Any]):
    """A loader that can go on in the middle of an epoch: Lightning keeps its state in a checkpoint.

    Takes what `DataLoader` takes.
    """

    read = 0
    """Batches of this epoch that were handed out."""
    _resumed: dict[str, Any] | None = None
    """Where a checkpoint was in its epoch, until the first batch is asked for."""

    @property
    def sampler(self) -> Any:
        """What gives the order of the samples, also where a batch sampler cuts it into batches.

        torch's own attribute is then a `SequentialSampler` that is never used, by which Lightning judges whether a
        loader shuffles and whether it is shared among processes.
        """
        return getattr(self.batch_sampler, "sampler", self._sampler)

    @sampler.setter
    def sampler(self, sampler: Any) -> None:
        self._sampler = sampler

    def __iter__(self) -> Iterator[AnyBatch]:  # type: ignore[override]
        return self._counted(super().__iter__())

    def _counted(self, batches: Iterator[AnyBatch]) -> Iterator[AnyBatch]:
        """The batches, without those that were read before the checkpoint, if that was in this epoch.

        Lightning may make iterators before it says which epoch it is, so this is found out with the first batch.
        """
        resumed, self._resumed = self._resumed, None
        self.read = resumed["read"] if resumed is not None and resumed["epoch"] == self._epoch else 0
        for batch in islice(batches, self.read, None):
            self.read += 1
            yield batch

    @property
    def _epoch(self) -> int | None:
        return getattr(self.sampler, "epoch", None)

    def state_dict(self) -> dict[str, Any]:
        """Where it is in which epoch."""
        return self._resumed or {"read": self.read, "epoch": self._epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there, if the next iteration is of that epoch."""
        self._resumed = {"read": int(state["read"]), "epoch": state.get("epoch")}


def make_loader(store: SampleStore, order: BatchOrder, batch_size: int) -> ResumableLoader:
    """A loader of the batches of an order, each read from the store in one go."""
    return ResumableLoader(store, batch_sampler=OrderedBatchSampler(order, batch_size), collate_fn=collate)


def _process() -> tuple[int, int]:
    """Rank of this process and number of processes."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
