"""Any `Cell` as a LightningModule, by its import path."""

import inspect
from importlib import import_module
from typing import Any

from rnnbench.architectures.module import SequenceModule
from rnnbench.architectures.options import as_arguments, keyword_arguments, layer_options
from rnnbench.errors import RnnbenchError, told, unknown
from rnnbench.nn import Cell, Recurrent


class CellModule(SequenceModule):
    """A `rnnbench.nn.Cell` of any package on any objective.

    `layer_options`: arguments of the cell's constructor, and those of every layer (`rnnbench.nn.Recurrent`), which take
    precedence where both have an option of the same name.

    Args:
        cell: import path of the cell's class, `package.module.Class`.
        options: all arguments of `SequenceModule`, by name.

    Raises:
        RnnbenchError: the path is not that of a `Cell`, or the cell cannot be constructed.
    """

    layer_class = Recurrent

    def __init__(self, cell: str, **options: Any) -> None:
        super().__init__(**options)

    def known_options(self) -> set[str]:
        """Options of every layer, and arguments of the cell."""
        return layer_options(Recurrent) | _arguments(find_cell(self.hparams["cell"]))

    def make_layer(self, input_size: int, **arguments: Any) -> Recurrent:
        """A layer around the cell."""
        cls, options = find_cell(self.hparams["cell"]), as_arguments(self.hparams["layer_options"])
        own = {name: options.pop(name) for name in _arguments(cls) - layer_options(Recurrent) if name in options}
        try:
            cell = cls(**own)
        except Exception as error:  # a third party's constructor may raise anything
            raise RnnbenchError(
                f"cell {self.hparams['cell']!r} cannot be made: {told(error, cls.__module__)}"
            ) from error
        return Recurrent(input_size, self.hparams["hidden_size"], cell=cell, **arguments, **options)


AnyCell = CellModule
"""Its name in grids, records and checkpoints that were written before it was renamed."""


def find_cell(path: str) -> type[Cell]:
    """The class of a cell by its import path.

    Raises:
        RnnbenchError: there is no such class.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise RnnbenchError(f"cell {path!r} is not an import path: write package.module.Class")
    try:
        home = import_module(module)
    except Exception as error:  # a third party's module may raise anything
        raise RnnbenchError(f"cell {path!r} cannot be imported: {told(error, module)}") from error
    cells: dict[str, type[Cell]] = {key: thing for key, thing in vars(home).items() if _is_cell(thing)}
    if name in cells:
        return cells[name]
    if hasattr(home, name):
        raise RnnbenchError(f"cell {path!r} is not a subclass of rnnbench.nn.Cell")
    raise unknown(f"cell in {module}", name, cells)


def _is_cell(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Cell) and thing is not Cell


def _arguments(cell: type[Cell]) -> set[str]:
    """Names of the arguments of a cell's constructor."""
    if cell.__init__ is object.__init__:
        return set()
    return {name for name, kind in keyword_arguments(cell).items() if kind != inspect.Parameter.VAR_KEYWORD}
