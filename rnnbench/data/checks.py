"""What prepared data must be, whoever made it: said before any training, with the row."""

from typing import TYPE_CHECKING, Any

import datasets
import numpy as np

from rnnbench.errors import RnnbenchError

if TYPE_CHECKING:
    from rnnbench.data.module import SequenceDataModule, Splits

Values = np.ndarray[Any, Any]


def column(table: datasets.Dataset, name: str) -> tuple[Values, ...]:
    """The values of a column, all rows in one array, and if its rows are lists, the offset of each."""
    values = table.data.column(name).combine_chunks()
    if not hasattr(values, "offsets"):
        return (values.to_numpy(zero_copy_only=False),)
    return values.flatten().to_numpy(zero_copy_only=False), values.offsets.to_numpy()


def check_splits(module: "SequenceDataModule", splits: "Splits") -> None:
    """Check the three splits that a data module has made.

    Raises:
        RnnbenchError: a split without sequences, a sequence without steps or with more or fewer targets than steps, an
            input that is no number, a token or a class out of range, a class of validation or test that training has
            not, or one class for all.
    """
    seen: set[int] = set()
    for split in ("train", "validation", "test"):
        table, where = splits.tables[split], f"{type(module).__name__}, split {split!r}"
        if missing := {"inputs", "targets"} - {*table.column_names}:
            raise RnnbenchError(f"{where} has no column {min(missing)!r}; it has {', '.join(table.column_names)}")
        if not len(table):
            raise RnnbenchError(f"{where} has no sequences: give more data")
        values, starts = column(table, "inputs")
        _check_inputs(module, splits, where, values, starts)
        targets, *offsets = column(table, "targets")
        if offsets and module.per_step:
            width = splits.output_size if np.issubdtype(targets.dtype, np.floating) else 1
            _check_steps(where, np.diff(starts) / _width(module, splits), np.diff(offsets[0]) / width)
        if np.issubdtype(targets.dtype, np.floating):
            _check_values(module, where, targets)
            continue
        _check_classes(module, splits, where, targets, offsets)
        if module.per_step or offsets:
            continue
        classes = set(np.unique(targets).tolist())
        if split == "train":
            seen = classes
            if len(seen) < 2:
                raise RnnbenchError(f"{where} has one class alone, {sorted(seen)}: there is nothing to learn")
        elif classes - seen:
            raise RnnbenchError(f"{where} has class {min(classes - seen)}, which no training sequence has")


def _check_inputs(module: "SequenceDataModule", splits: "Splits", where: str, values: Values, offsets: Values) -> None:
    if len(short := np.flatnonzero(np.diff(offsets) == 0)):
        raise RnnbenchError(f"{where}, row {short[0]} has no steps")
    if module.input_kind == "tokens":
        wrong = (values < 0) | (values >= splits.input_size)
        what = f"a token out of 0 to {splits.input_size - 1}"
    else:
        wrong, what = ~np.isfinite(values), "an input that is no finite number"
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        row = int(np.searchsorted(offsets, place, side="right")) - 1
        step = (place - int(offsets[row])) // _width(module, splits)
        raise RnnbenchError(f"{where}, row {row}, step {step} has {what}: {values[place]}")


def _width(module: "SequenceDataModule", splits: "Splits") -> int:
    """Numbers of a step."""
    return 1 if module.input_kind == "tokens" else splits.input_size


def _check_steps(where: str, steps: Values, answers: Values) -> None:
    if len(rows := np.flatnonzero(steps != answers)):
        row = rows[0]
        raise RnnbenchError(f"{where}, row {row} has {steps[row]:g} steps, but targets of {answers[row]:g}")


def _check_values(module: "SequenceDataModule", where: str, targets: Values) -> None:
    wrong = np.isinf(targets) if np.isnan(module.unknown) else ~np.isfinite(targets)
    if wrong.any():
        raise RnnbenchError(f"{where} has a target that is no finite number: {targets[np.flatnonzero(wrong)[0]]}")


def _check_classes(
    module: "SequenceDataModule", splits: "Splits", where: str, targets: Values, offsets: list[Values]
) -> None:
    known = targets[targets != module.unknown] if offsets else targets  # no class of a whole sequence is unknown
    if len(known) and not 0 <= known.min() <= known.max() < splits.output_size:
        raise RnnbenchError(
            f"{where} has classes from {known.min()} to {known.max()}, out of 0 to {splits.output_size - 1}"
        )
