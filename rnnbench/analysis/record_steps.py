"""Every step of a recurrent stack, looked at from the inside."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from torch import Tensor

from rnnbench.nn import Cell, Recurrent

States = tuple[Tensor, ...]
Step = Callable[[Sequence[Tensor], Sequence[Tensor]], States]
V = TypeVar("V")
Around = Callable[[Cell, Step, Sequence[Tensor], Sequence[Tensor]], tuple[States, V]]
"""Runs a cell's step on its gates' pre-activations and states `[B, W]`: gives the states after it, and any value."""


@contextmanager
def watching(layer: Recurrent, around: Around[V]) -> Iterator[list[list[V]]]:
    """While it lasts, `layer` runs by plain autograd, and `around` stands around each step of its cells.

    Gives a list for each layer and direction (in the order of `torch.nn.LSTM`'s states), which fills with the values
    of `around` in the order in which steps are computed: backwards in time for a direction that reads backwards, and
    call after call. Weights, and results unless `around` changes them, are those of the layer.
    """
    places = layer.num_layers * layer.directions
    found: list[list[V]] = [[] for _ in range(places)]
    called: list[V] = []

    def note(cell: Cell, step: Step, z: Sequence[Tensor], s: Sequence[Tensor]) -> States:
        states, value = around(cell, step, z, s)
        called.append(value)
        return states

    def sort(*_: Any) -> None:
        steps = len(called) // places
        for place, values in enumerate(found):
            values += called[place * steps : (place + 1) * steps]
        called.clear()

    before = layer.engine, layer.cells, layer.checkpoint_steps
    layer.engine, layer.checkpoint_steps = "reference", None  # what is computed twice would be seen twice
    layer.cells = {training: (_watched(cell, note), name) for training, (cell, name) in layer.cells.items()}
    hook = layer.register_forward_hook(sort)
    try:
        yield found
    finally:
        hook.remove()
        layer.engine, layer.cells, layer.checkpoint_steps = before


def _watched(cell: Cell, note: Callable[..., States]) -> Cell:
    """A cell of the same equation that asks `note` to run its steps."""

    def checked_step(self: Cell, z: Sequence[Tensor], s: Sequence[Tensor]) -> States:
        return note(self, super(cls, self).checked_step, z, s)

    kind = type(cell)
    make: Any = type(kind)
    cls: Any = make(kind.__name__, (kind,), {"checked_step": checked_step, "__module__": kind.__module__})
    one = copy.copy(cell)
    object.__setattr__(one, "__class__", cls)
    return one
