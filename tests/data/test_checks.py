"""Data that cannot be trained on is refused when it is prepared, with the row."""

from pathlib import Path
from typing import Any

import datasets
import pytest

from rnnbench.data import SequenceDataModule, Splits
from rnnbench.errors import RnnbenchError


class Given(SequenceDataModule):
    """Whatever a test gives."""

    objective = "classification"
    classes = 2

    def __init__(self, content: dict[str, Any], kind: Any = "features", per_step: bool = False, unknown: float = -100):
        super().__init__()
        self.content = content
        self.input_kind, self.per_step, self.unknown = kind, per_step, unknown  # type: ignore[misc]

    def identity(self) -> dict[str, Any]:
        return {"content": repr(self.content)}

    def build_splits(self, folder: Path) -> Splits:
        good = {"inputs": [[0.0, 1.0], [1.0, 2.0, 3.0]], "targets": [0, 1]}
        if self.input_kind == "tokens":
            good = {"inputs": [[0, 1], [1, 2, 3]], "targets": [0, 1]}
        if self.per_step:
            good["targets"] = [[0, 1], [1, 1, 0]]
        tables = {split: datasets.Dataset.from_dict({**good, **self.content.get(split, {})})
                  for split in ("train", "validation", "test")}  # fmt: skip
        size = 4 if self.input_kind == "tokens" else 1
        return Splits(tables, size, self.classes, "nothing")  # type: ignore[arg-type]


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("content", "more", "words"),
    [
        ({"test": {"inputs": [], "targets": []}}, {}, "Given, split 'test' has no sequences: provide more data"),
        ({"train": {"inputs": [[0.0], []]}}, {}, "split 'train', row 1 has no steps"),
        (
            {"train": {"inputs": [[0.0], [1.0, NAN]]}},
            {},
            "split 'train', row 1, step 1 has an input that is not a finite number: nan",
        ),
        (
            {"test": {"inputs": [[INFINITE], [1.0]]}},
            {},
            "split 'test', row 0, step 0 has an input that is not a finite number: inf",
        ),
        ({"test": {"inputs": [[1], [4]]}}, {"kind": "tokens"}, "row 1, step 0 has a token out of 0 to 3: 4"),
        ({"train": {"targets": [1, 1]}}, {}, r"split 'train' has only one class, \[1\]: there is nothing to learn"),
        ({"train": {"targets": [0, 2]}}, {}, "split 'train' has classes from 0 to 2, out of 0 to 1"),
        ({"test": {"targets": [[0, 1], [1, 5, 0]]}}, {"per_step": True}, "classes from 0 to 5, out of 0 to 1"),
        ({"test": {"targets": [[0, 1], [1, 1]]}}, {"per_step": True}, "row 1 has 3 steps, but targets of 2"),
        ({"train": {"targets": [0.5, INFINITE]}}, {"unknown": NAN}, "has a target that is not a finite number: inf"),
        ({"train": {"targets": [0.5, NAN]}}, {"unknown": -1.0}, "has a target that is not a finite number: nan"),
    ],
)
def test_data_that_cannot_be_trained_on(content: dict[str, Any], more: dict[str, Any], words: str) -> None:
    with pytest.raises(RnnbenchError, match=words):
        Given(content, **more).prepare_data()


def test_a_class_that_training_has_not() -> None:
    data = Given({"test": {"targets": [1, 2]}})
    data.classes = 3
    with pytest.raises(RnnbenchError, match="split 'test' has class 2, which is not in the training split"):
        data.prepare_data()


@pytest.mark.parametrize("more", [{}, {"kind": "tokens"}, {"per_step": True}])
def test_good_data_passes(more: dict[str, Any]) -> None:
    Given({}, **more).prepare_data()
    Given({"train": {"targets": [0.5, NAN]}, "test": {"targets": [0.5, 0.5]}, "validation": {"targets": [0.5, NAN]}},
          unknown=NAN).prepare_data()  # fmt: skip
