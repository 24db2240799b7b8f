"""Data modules written for the release before this still work, and say what to change."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnbench.architectures import LSTM
from rnnbench.data import Adding, SequenceDataModule
from rnnbench.data.module import Splits


def former_module() -> Callable[..., Any]:
    class Former(Adding):
        given = "path"
        given_is = "a file"

        def make(self, folder: Path) -> Splits:
            splits: Splits = super().make(folder)  # type: ignore[misc]
            return splits

        def facts(self) -> dict[str, Any]:
            return {**super().facts(), "input_kind": "features"}  # type: ignore[misc]

    return Former


def test_a_module_that_overrides_former_names_works_and_warns_of_each() -> None:
    with pytest.warns(DeprecationWarning, match="is now") as told:
        cls = former_module()
    assert [str(warning.message) for warning in told] == [
        "Former.make is now build_splits",
        "Former.facts is now model_kwargs",
        "Former.given is now user_path_arg",
        "Former.given_is is now user_path_help",
    ]
    assert (cls.user_path_arg, cls.user_path_help) == ("path", "a file")  # type: ignore[attr-defined]
    data = cls(7, 40, 16)
    with pytest.warns(DeprecationWarning, match=r"Former\.(make|facts)\(\) is now "):  # both call super()
        model = LSTM.from_data(data, hidden_size=3)
    assert model.hparams["input_size"] == 2
    assert data.metadata() == Adding(7, 40, 16).metadata()


def test_a_module_is_called_by_former_names_and_warns() -> None:
    data: Any = Adding(7, 40, 16)
    with pytest.warns(DeprecationWarning, match=r"Adding\.facts\(\) is now model_kwargs\(\)"):
        assert data.facts() == data.model_kwargs()
    with pytest.warns(DeprecationWarning, match=r"Adding\.about\(\) is now metadata\(\)"):
        assert data.about() == data.metadata()


def test_present_names_warn_of_nothing_and_one_without_splits_is_abstract() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")

        class Present(Adding):
            def build_splits(self, folder: Path) -> Splits:
                return super().build_splits(folder)

        class Unfinished(SequenceDataModule):
            objective = "regression"

        Present(7, 40, 16).model_kwargs()
    with pytest.raises(TypeError, match=r"abstract method '?build_splits"):
        Unfinished()  # type: ignore[abstract]
