"""The first of a test part, as a model reads it and as a person does."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Examples(NamedTuple):
    """Sequences of a test part.

    `shown` is what a person sees of each; `inputs` are as the model reads them, `[T]` or `[T, C]`; `references` are
    true answers, empty if the data has none in words.
    """

    shown: list[str]
    inputs: list[Tensor]
    references: list[str]


def examples(model: Any, data: Any, count: int) -> Examples:
    """The first `count` of the test part, or all if there are fewer."""
    table, size = data.table("test"), model.hparams["input_size"]
    rows = table.select(range(min(count, len(table))))
    inputs = [torch.tensor(one) for one in rows["inputs"][:]]
    if model.hparams["input_kind"] == "features":
        inputs = [one.float().reshape(-1, size) for one in inputs]
    numbers = [f"test {number}" for number in range(len(rows))]
    if "classification" in model.hparams["objective"]:
        names = class_names(model, data)
        return Examples(_column(rows, ("text",), numbers), inputs, [names[int(one)] for one in rows["targets"][:]])
    return Examples(_column(rows, ("source", "name"), numbers), inputs, _column(rows, ("target", "text"), []))


def _column(rows: Any, names: tuple[str, ...], default: list[str]) -> list[str]:
    """The first of some columns that a table has."""
    return next((list(rows[name][:]) for name in names if name in rows.column_names), default)


def class_names(model: Any, data: Any) -> list[str]:
    """Names of the classes; numbers, if the data has none."""
    count = int(model.hparams["output_size"])
    names = list(getattr(data, "classes", ()))
    return [str(name) for name in names] if len(names) == count else [str(number) for number in range(count)]
