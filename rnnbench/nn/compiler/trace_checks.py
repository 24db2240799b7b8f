"""What can be recorded of a cell's step: nothing that torch would compute or derive by other rules than the graph."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import torch

from rnnbench.nn.compiler.captured_state import functions, names


class Untranslatable(Exception):
    """An equation uses something that the graph has no word for; only plain autograd can run it."""


class Misfit(ValueError):
    """A step does not fit what its cell declares, whatever it runs on."""


_ASK = {"isinstance", "issubclass", "is_tensor", "type"}


def check_step(cell: Any) -> None:
    """Check that a step does not ask of what type its values are: they are no tensors while it is recorded.

    Raises:
        Untranslatable: it, or a function that it calls, does.
    """
    if asked := {name for function in functions(cell) for name in names(function)} & _ASK:
        raise Untranslatable(min(asked))


def check_derived() -> None:
    """Check that torch would derive by its own rules what the running step computes.

    Raises:
        Untranslatable: gradients are off, or an `autograd.Function` brings a derivative of its own.
    """
    frame: FrameType | None = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__") != "rnnbench.nn.cell":  # what called the step
        if frame.f_code.co_name == "apply" and frame.f_code.co_filename == torch.autograd.function.__file__:
            raise Untranslatable("a torch.autograd.Function")
        frame = frame.f_back
    if not torch.is_grad_enabled():
        raise Untranslatable("torch.no_grad")
