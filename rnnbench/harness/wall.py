"""The wall between trials and the test part of their data."""

from collections.abc import Callable
from typing import Any, NoReturn

from rnnbench.errors import RnnbenchError


class WalledOff(RnnbenchError):
    """Something in a trial asked for the test part of its data."""


def wall_off_test(data: Any) -> Any:
    """The data module, which from now on raises whenever its test part is asked for.

    Raises (then):
        WalledOff: by `test_dataloader`, `predict_dataloader`, `setup` of these stages, or `table("test")`.
    """

    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise WalledOff("the test part was asked for in a trial: trials are compared by validation scores alone")

    def guarded(given: Callable[..., Any]) -> Callable[..., Any]:
        def unless_test(*parts: Any, **more: Any) -> Any:
            return refuse() if {"test", "predict"} & {*parts, *more.values()} else given(*parts, **more)

        return unless_test

    data.test_dataloader = data.predict_dataloader = refuse
    for name in ("setup", "table", "_store"):
        if hasattr(data, name):
            setattr(data, name, guarded(getattr(data, name)))
    return data
