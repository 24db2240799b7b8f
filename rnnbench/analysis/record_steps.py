"""Values from inside every step of a recurrent stack."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

from rnnbench.nn import Cell, Recurrent

States = tuple[Tensor, ...]
Step = Callable[[Sequence[Tensor], Sequence[Tensor]], States]
V = TypeVar("V")
StepHook = Callable[[Cell, Step, Sequence[Tensor], Sequence[Tensor]], tuple[States, V]]
"""Called with a cell, its step, pre-activations of its gates and states `[B, W]`; runs the step, and returns the states
after it and any value to record."""


@contextmanager
def record_steps(layer: Recurrent, hook: StepHook[V]) -> Iterator[list[list[V]]]:
    """Within this context `layer` runs by plain autograd, and `hook` runs each step of its cells.

    Yields a list for each layer and direction (in the order of `torch.nn.LSTM`'s states), to which the values of `hook`
    are appended in the order of computation: backwards in time for a direction that reads backwards, and call after
    call. Weights, and results unless `hook` changes them, are those of the layer.
    """
    places = layer.num_layers * layer.directions
    recorded: list[list[V]] = [[] for _ in range(places)]
    of_call: list[V] = []

    def run_step(cell: Cell, step: Step, z: Sequence[Tensor], s: Sequence[Tensor]) -> States:
        states, value = hook(cell, step, z, s)
        of_call.append(value)
        return states

    def distribute(*_: Any) -> None:
        steps = len(of_call) // places
        for place, values in enumerate(recorded):
            values += of_call[place * steps : (place + 1) * steps]
        of_call.clear()

    before = layer.engine, layer.cells, layer.checkpoint_steps
    layer.engine, layer.checkpoint_steps = "reference", None  # a step that is computed twice would be recorded twice
    layer.cells = {training: (_recording_cell(cell, run_step), name) for training, (cell, name) in layer.cells.items()}
    handle = layer.register_forward_hook(distribute)
    try:
        yield recorded
    finally:
        handle.remove()
        layer.engine, layer.cells, layer.checkpoint_steps = before


def _recording_cell(cell: Cell, run_step: Callable[..., States]) -> Cell:
    """A copy of a cell whose steps are run by `run_step`."""

    def checked_step(self: Cell, z: Sequence[Tensor], s: Sequence[Tensor]) -> States:
        return run_step(self, super(cls, self).checked_step, z, s)

    kind = type(cell)
    make: Any = type(kind)
    cls: Any = make(kind.__name__, (kind,), {"checked_step": checked_step, "__module__": kind.__module__})
    recording = copy.copy(cell)
    object.__setattr__(recording, "__class__", cls)
    return recording
