"""Batches that pass from data modules to models: plain tuples of tensors, so that either works without the other."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnbench.errors import RnnbenchError


class Batch(NamedTuple):
    """A batch of sequences, padded at the end.

    `inputs` is `[B, T, C]` (features, float) or `[B, T]` (token ids, int64); `targets` is `[B]`, `[B, C]`, `[B, T]` or
    `[B, T, C]` as the objective requires; `lengths` is `[B]` (int64, true lengths) or None where nothing is padded.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None


class StreamBatch(NamedTuple):
    """Segments of long streams, one stream a row, all of the same length; `inputs` and `targets` as in `Batch`.

    `lengths` is None. `continues` says whether each row continues the same row of the previous batch, or starts anew.
    """

    inputs: Tensor
    targets: Tensor
    lengths: None
    continues: bool


AnyBatch = Batch | StreamBatch

FORMS = (
    "a batch is (inputs, targets), (inputs, targets, lengths), or a mapping with the keys 'inputs', 'targets' and, "
    "if sequences are padded, 'lengths'; to predict, inputs alone will do"
)


def as_batch(batch: Any, needs_targets: bool = True) -> AnyBatch:
    """Convert a batch of any loader to a `Batch` or `StreamBatch`.

    Args:
        batch: a `Batch` or `StreamBatch`; a tuple or list `(inputs, targets)`, `(inputs, targets, lengths)` or
            `(inputs, targets, None, continues)`; a mapping with these names as keys; or, without targets, a tensor of
            inputs, or a tuple or list with nothing else.
        needs_targets: whether a batch without targets is an error; otherwise its `targets` are None.

    Raises:
        RnnbenchError: a batch of any other form.
    """
    if isinstance(batch, Batch | StreamBatch):
        return batch
    if isinstance(batch, PackedSequence):
        raise RnnbenchError(f"{FORMS}; got a PackedSequence")
    if isinstance(batch, Tensor):
        parts: dict[str, Any] = {"inputs": batch}
    elif isinstance(batch, Mapping):
        parts = dict(batch)
    elif isinstance(batch, tuple | list) and len(batch) <= len(StreamBatch._fields):
        parts = dict(zip(StreamBatch._fields, batch, strict=False))
    else:
        raise RnnbenchError(f"{FORMS}; got {_types_in(batch)}")
    kinds = {"inputs": Tensor, "targets": Tensor | None, "lengths": Tensor | None, "continues": bool | None}
    if parts.keys() - kinds.keys() or not all(isinstance(parts.get(name), kind) for name, kind in kinds.items()):
        raise RnnbenchError(f"{FORMS}; got {_types_in(batch)}")
    if needs_targets and parts.get("targets") is None:
        raise RnnbenchError(f"{FORMS}; got no targets")
    inputs, targets, lengths = parts["inputs"], parts.get("targets"), parts.get("lengths")
    if lengths is not None:
        _check_lengths(lengths, inputs)
        if parts.get("continues"):
            raise RnnbenchError("a batch whose rows continue those of the batch before has no lengths, got both")
    if parts.get("continues") is None or lengths is not None:
        return Batch(inputs, targets, lengths)  # type: ignore[arg-type]
    return StreamBatch(inputs, targets, None, parts["continues"])  # type: ignore[arg-type]


def _check_lengths(lengths: Tensor, inputs: Tensor) -> None:
    batch, steps = inputs.shape[:2] if inputs.dim() > 1 else (len(inputs), 1)
    if lengths.is_floating_point() or lengths.shape != (batch,):
        raise RnnbenchError(
            f"lengths must be whole numbers [{batch}], one for each sequence, got {lengths.dtype} {[*lengths.shape]}"
        )
    if not bool(((lengths >= 1) & (lengths <= steps)).all()):
        raise RnnbenchError(f"lengths must be 1 to {steps}, the steps of the inputs, got {lengths.tolist()}")


def _types_in(batch: Any) -> str:
    """The types in a batch, for an error message."""
    name = type(batch).__name__
    if isinstance(batch, Mapping):
        return f"a {name} of {{{', '.join(f'{key!r}: {type(part).__name__}' for key, part in batch.items())}}}"
    if isinstance(batch, tuple | list):
        return f"a {name} of ({', '.join(type(part).__name__ for part in batch)})"
    return f"a {name}"
