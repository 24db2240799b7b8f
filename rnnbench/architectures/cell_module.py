"""A cell of one's own as a LightningModule."""

import inspect
from importlib import import_module
from typing import Any, Literal

from rnnbench.architectures.module import SequenceModule
from rnnbench.architectures.optim import OptimizerName, ScheduleName
from rnnbench.architectures.options import Option, as_arguments, keywords, options_of
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.nn import Cell, Recurrent
from rnnbench.nn.attention import AttentionName


class AnyCell(SequenceModule):
    """A `rnnbench.nn.Cell` of one's own on any objective.

    `layer_options`: arguments of the cell's constructor, and those of every layer (`rnnbench.nn.Recurrent`), which come
    first where both have a name.

    Args:
        cell: import path of the cell's class, `package.module.Class`.
        input_size: this and all others as of `SequenceModule`.

    Raises:
        RnnbenchError: the path leads to no `Cell`, or the cell cannot be made.
    """

    layer_class = Recurrent

    def __init__(
        self,
        cell: str,
        input_size: int | None = None,
        output_size: int | None = None,
        objective: str | None = None,
        input_kind: Literal["features", "tokens"] = "features",
        hidden_size: int = 128,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        embedding_size: int = 64,
        layer_options: dict[str, Option] | None = None,
        optimizer: OptimizerName = "adam",
        learning_rate: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        schedule: ScheduleName = "constant",
        warmup_steps: int = 0,
        clip_norm: float | None = None,
        clip_value: float | None = None,
        activation_penalty: float = 0.0,
        temporal_penalty: float = 0.0,
        objective_options: dict[str, Any] | None = None,
        attention: AttentionName = "none",
        teacher_forcing: float | None = None,
        embedding: str = "learned",
        freeze_embedding: bool = False,
        tokenizer: str | None = None,
    ) -> None:
        super().__init__(
            input_size, output_size, objective, input_kind, hidden_size, num_layers, bidirectional, dropout,
            embedding_size, layer_options, optimizer, learning_rate, weight_decay, momentum, schedule, warmup_steps,
            clip_norm, clip_value, activation_penalty, temporal_penalty,
            objective_options, attention, teacher_forcing, embedding, freeze_embedding, tokenizer,
        )  # fmt: skip

    def known_options(self) -> set[str]:
        """Options of every layer, and arguments of the cell."""
        return options_of(Recurrent) | _arguments(find_cell(self.hparams["cell"]))

    def make_layer(self, input_size: int, **arguments: Any) -> Recurrent:
        """A layer around the cell."""
        cls, options = find_cell(self.hparams["cell"]), as_arguments(self.hparams["layer_options"])
        own = {name: options.pop(name) for name in _arguments(cls) - options_of(Recurrent) if name in options}
        try:
            cell = cls(**own)
        except Exception as error:  # a third party's constructor may raise anything
            raise RnnbenchError(f"cell {self.hparams['cell']!r} cannot be made: {error}") from error
        return Recurrent(input_size, self.hparams["hidden_size"], cell=cell, **arguments, **options)


def find_cell(path: str) -> type[Cell]:
    """The cell's class at an import path.

    Raises:
        RnnbenchError: there is none.
    """
    module, _, name = path.rpartition(".")
    if not module:
        raise RnnbenchError(f"cell {path!r} is no import path: write package.module.Class")
    try:
        home = import_module(module)
    except Exception as error:  # a third party's module may raise anything
        raise RnnbenchError(f"cell {path!r} cannot be imported: {type(error).__name__}: {error}") from error
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
    return {name for name, kind in keywords(cell).items() if kind != inspect.Parameter.VAR_KEYWORD}
