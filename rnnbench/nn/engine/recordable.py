"""What can be recorded of a cell's step: nothing that torch would compute or derive by other rules than the graph."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch


class Untranslatable(Exception):
    """An equation uses something that the graph has no word for; only plain autograd can run it."""


def check_step(step: Callable[..., Any]) -> None:
    """Check that a step does not ask of what type its values are: they are no tensors while it is recorded.

    Raises:
        Untranslatable: it calls `isinstance`.
    """
    if "isinstance" in getattr(getattr(step, "__code__", None), "co_names", ()):
        raise Untranslatable("isinstance")


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
