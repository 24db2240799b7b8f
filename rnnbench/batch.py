"""What a data module hands to a model: a plain tuple of tensors, so that either can be used without the other."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """A batch of sequences, padded at the end.

    `inputs` is `[B, T, C]` (features, float) or `[B, T]` (token ids, int64); `targets` is `[B]`, `[B, C]`, `[B, T]` or
    `[B, T, C]` as the objective asks; `lengths` is `[B]` (int64, true lengths) or None where nothing is padded.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None


class StreamBatch(NamedTuple):
    """Pieces of streams, one a row, all of one length: `inputs` and `targets` as in `Batch`, `lengths` is None.

    `continues` says whether each row goes on where the same row of the batch before ended, or begins.
    """

    inputs: Tensor
    targets: Tensor
    lengths: None
    continues: bool


AnyBatch = Batch | StreamBatch
