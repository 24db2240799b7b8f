"""One step as a module: drop-in for `torch.nn.RNNCell`, `LSTMCell` and `GRUCell`, and the cell of any layer.

The classes of these names in `rnnbench.nn.cells` are something else, the equations: subclasses of `Cell`.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from rnnbench.nn import fused
from rnnbench.nn.cell import Cell
from rnnbench.nn.cells import elman, gru, lstm
from rnnbench.nn.checks import InputError, InputTypeError, check_dense, check_features, check_like, check_whole
from rnnbench.nn.compiler.torch_mode import is_autocast, is_eager, is_transformed
from rnnbench.nn.one_step import FUNCTIONS
from rnnbench.nn.recurrent import Recurrent, States

Device = torch.device | str | None
DType = torch.dtype | None
TORCH_CLASSES: dict[str, type[nn.RNNCellBase]] = {
    "LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "RNN_TANH": nn.RNNCell, "RNN_RELU": nn.RNNCell,
}  # fmt: skip


class RecurrentCell(Recurrent):
    """One step of any cell: constructor, call, states and names of parameters are those of `torch.nn.LSTMCell`.

    Input is `[B, I]` or, without a batch, `[I]`; states are `[B, H]` or `[H]`, a tensor if the cell has one, else a
    tuple in its order; zeros if None. The call gives the states after the step. Parameters are called as those of a
    layer without `_l0`: `weight_ih`, `weight_hh`, `bias_ih`, `bias_hh`, and the cell's own.

    It is a `Recurrent` of one layer that reads forwards. What belongs to a stack or to a whole sequence it does not
    have.

    Args:
        input_size: features of a step, I.
        hidden_size: units, H.
        bias: whether gates have biases.
        device: of the parameters.
        dtype: of the parameters.
        cell: the cell, for a class that names none.
        zoneout: as in `Recurrent`.
        recurrent_init: as in `Recurrent`.
        spectral_radius: as in `Recurrent`.
        chrono: as in `Recurrent`.
        engine: as in `Recurrent`.

    Keywords of the cell are taken as well.

    Raises:
        ValueError: a value out of range.
        TypeError: an unknown keyword.
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Device = None, dtype: DType = None, *,
        cell: Cell | None = None, zoneout: float | tuple[float, ...] = 0.0,
        recurrent_init: Literal["torch", "orthogonal", "identity"] = "torch", spectral_radius: float | None = None,
        chrono: int | None = None, engine: Literal["native", "triton", "function", "reference", "torch"] | None = None,
        **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(
            input_size, hidden_size, 1, bias, False, 0.0, False, device, dtype, cell=cell, zoneout=zoneout,
            recurrent_init=recurrent_init, spectral_radius=spectral_radius, chrono=chrono, engine=engine, **options,
        )  # fmt: skip
        reason = self.proj_size or fused.unsupported_reason(self.cell, vars(self))
        self._torch_mode = None if reason else self.cell.torch_mode
        is_elman = self._torch_mode in ("RNN_TANH", "RNN_RELU")
        self._rows_for_torch = 512 // hidden_size if is_elman else 0  # so few that torch's cell takes less to call

    def suffixes(self, layer: int) -> list[str]:
        """Nothing follows the names of parameters."""
        return [""]

    def forward(self, input: Tensor, hx: States | None = None) -> States:  # type: ignore[override]
        """The states after one step, from an input `[B, I]` (or `[I]`) and the states before it, zeros if None.

        Raises:
            InputError: a shape that does not fit; a `ValueError`, and a `RuntimeError`.
            InputTypeError: a dtype or device that is not that of the parameters; a `TypeError` as well.
        """
        if type(input) is Tensor and input.ndim == 2:
            by_torch = self.engine is None and input.shape[0] <= self._rows_for_torch
            after = None if by_torch or torch.is_grad_enabled() else self._prepared_step(input, hx)
            if after is None and self._torch_mode and self.engine in (None, "torch") and not is_transformed():
                try:
                    return self._torch_step(input, hx)
                except (RuntimeError, TypeError):
                    self._check_states(input, hx)  # says more clearly what is wrong
                    raise
            if after is not None:
                return after if len(after) > 1 else after[0]
        if not isinstance(input, Tensor):
            raise InputTypeError(f"input of a {type(self).__name__} must be a tensor, got {type(input).__name__}")
        if input.ndim not in (1, 2):
            raise InputError(
                f"input of a {type(self).__name__} must be [B, I] or, without a batch, [I]; got {list(input.shape)}"
            )
        unbatched = input.ndim == 1
        states = self._check_states(input, hx)
        if unbatched:
            input = input.unsqueeze(0)
            states = None if states is None else tuple(state.unsqueeze(0) for state in states)
        if self._torch_mode and self.engine in (None, "torch") and not is_transformed():
            result: Any = self._torch_step(input, None if states is None else states if len(states) > 1 else states[0])
            after = (result,) if isinstance(result, Tensor) else result
        else:
            stacked = None if states is None else tuple(state.unsqueeze(0) for state in states)
            _, final = self._forward_padded(input.unsqueeze(0), stacked, None)
            after = tuple(state.squeeze(0) for state in ((final,) if isinstance(final, Tensor) else final))
        if unbatched:
            after = tuple(state.squeeze(0) for state in after)
        return after if len(after) > 1 else after[0]

    def readout(self, input: Tensor, states: States) -> Tensor:
        """What a layer of this cell puts out for a step, `[B, H]`, from its input and the states after it.

        That is the first state, but for cells that compute their output from states, such as an LRU.
        """
        by_name = dict(zip(self.cell.states, (states,) if isinstance(states, Tensor) else states, strict=True))
        return self.cell.readout(tuple(by_name[name] for name in self.cell.emitted), input, self.parameters_of(0, ""))

    def step(self, input: Tensor, hx: States | None = None) -> tuple[Tensor, States]:
        """`readout`, and the states that a call gives."""
        states: States = self(input, hx)
        return self.readout(input, states), states

    def _prepared_step(self, input: Tensor, hx: Any) -> tuple[Tensor, ...] | None:
        """A step without a gradient by the compiled cell; None if it cannot be made so."""
        if torch.compiler.is_compiling() or not is_eager(input) or is_autocast(input.device):
            return None
        stepper = self._stepper(input.shape[0])
        if stepper is None:
            return None
        states = (hx,) if type(hx) is Tensor else hx
        if states is None:
            states = [torch.zeros(shape, dtype=stepper.dtype, device="cpu") for shape in stepper.shapes]
        return stepper.run(input, states) if stepper.fits(input, states) else None

    def _torch_step(self, input: Tensor, hx: Any) -> States:
        """A step `[B, I]` by torch's cell, which torch must have."""
        weights = [getattr(self, name) for name in self.names[0]]
        if hx is None:
            hx = torch.zeros(input.shape[0], self.hidden_size, dtype=input.dtype, device=input.device)
            hx = (hx, hx) if self._torch_mode == "LSTM" else hx
        return FUNCTIONS[self._torch_mode](input, hx, *weights)  # type: ignore[no-any-return,index]

    def _check_states(self, input: Tensor, hx: Any) -> tuple[Tensor, ...] | None:
        """The states as a tuple, None if there are none; input and states checked."""
        weight, names = self.any_weight, self.cell.states
        check_dense(input, "input")
        check_features(input, self.input_size)
        check_like(input, weight, "input")
        if hx is None:
            return None
        expected = f"hx must be {len(names)} state{'s' * (len(names) > 1)} ({', '.join(names)})"
        if not isinstance(hx, (Tensor, tuple, list)):
            raise InputTypeError(f"{expected}, got {type(hx).__name__}")
        states = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        if len(states) != len(names):
            raise InputError(f"{expected}, got {len(states)}")
        for name, state, width in zip(names, states, self.cell.state_sizes(self.hidden_size), strict=True):
            if not isinstance(state, Tensor):
                raise InputTypeError(f"state {name} must be a tensor, got {type(state).__name__}")
            check_dense(state, f"state {name}")
            if state.shape != (*input.shape[:-1], width):
                shape = [*input.shape[:-1], width]
                raise InputError(f"state {name} must have shape {shape}, got {list(state.shape)}")
            check_like(state, weight, f"state {name}")
        return states

    def to_torch(self) -> nn.RNNCellBase:  # type: ignore[override]
        """The cell of `torch.nn` with the same weights.

        Raises:
            ValueError: torch has no such cell.
        """
        reason = "torch's cells have no projection" if self.proj_size else None
        if reason := reason or fused.unsupported_reason(self.cell, vars(self)):
            raise ValueError(f"there is no torch.nn cell that computes this: {reason}")
        weight = self.any_weight
        options = {"nonlinearity": self.mode[4:].lower()} if self.mode.startswith("RNN") else {}
        make: Any = TORCH_CLASSES[self.mode]
        cell: nn.RNNCellBase = make(
            self.input_size, self.hidden_size, self.bias, device=weight.device, dtype=weight.dtype, **options
        )
        cell.load_state_dict(self.state_dict())
        return cell.train(self.training)

    @classmethod
    def from_torch(cls, layer: nn.RNNCellBase, **options: Any) -> Self:  # type: ignore[override]
        """This cell with the weights of one of `torch.nn`.

        Raises:
            ValueError: `layer` is of another kind.
        """
        kind: Any = {nn.LSTMCell: LSTMCell, nn.GRUCell: GRUCell, nn.RNNCell: RNNCell}.get(type(layer))
        if kind is None or not issubclass(cls, kind):
            raise ValueError(f"{cls.__name__} cannot take the weights of a torch.nn.{type(layer).__name__}")
        if kind is RNNCell:
            options = {"nonlinearity": layer.nonlinearity} | options
        weight = layer.weight_ih
        cell = cls(layer.input_size, layer.hidden_size, layer.bias, device=weight.device, dtype=weight.dtype, **options)
        cell.load_state_dict(layer.state_dict())
        return cell.train(layer.training)


class RNNCell(RecurrentCell):
    """One step of an Elman network, drop-in for `torch.nn.RNNCell`; see `RecurrentCell` and `Elman`."""

    cell_class = elman.ElmanCell

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: Literal["tanh", "relu"] = "tanh",
        device: Device = None, dtype: DType = None, **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, device, dtype, nonlinearity=nonlinearity, **options)

    @property
    def nonlinearity(self) -> str:
        """`tanh` or `relu`."""
        return str(self.cell.nonlinearity)


class LSTMCell(RecurrentCell):
    """One step of an LSTM, drop-in for `torch.nn.LSTMCell`; see `RecurrentCell`, options in `LSTM`."""

    cell_class = lstm.LSTMCell


class GRUCell(RecurrentCell):
    """One step of a GRU, drop-in for `torch.nn.GRUCell`; see `RecurrentCell`, options in `GRU`."""

    cell_class = gru.GRUCell


SEQUENCE_OPTIONS = ("variational_dropout", "weight_dropout")
"""Options of a layer that draw something for a whole sequence."""


def cell_module(layer: Recurrent, number: int = 0, reverse: bool = False) -> RecurrentCell:
    """One step of layer `number` of a stack as a module, with the parameters of the layer themselves, not copies.

    `reverse` is the direction that reads from the end. Dropout between layers, connections, `bptt` and
    `checkpoint_steps` belong to the stack: the cell does not have them.

    Raises:
        TypeError: `layer` is not a recurrent layer.
        ValueError: there is no such layer or direction; the layer has an option that draws masks for a whole sequence;
            or a weight is computed from others.
    """
    if not isinstance(layer, Recurrent) or isinstance(layer, RecurrentCell):
        raise InputTypeError(f"layer must be a recurrent layer of rnnbench.nn, got {type(layer).__name__}")
    check_whole("number", number, least=0)
    if number >= layer.num_layers:
        raise ValueError(f"number must be less than num_layers {layer.num_layers}, got {number}")
    if reverse and not layer.bidirectional:
        raise ValueError("the layer is not bidirectional: it has no cell that reads from the end")
    for name in SEQUENCE_OPTIONS:
        if getattr(layer, name):
            raise ValueError(f"{name} draws one mask for a whole sequence, which a cell does not see: set it to 0")
    suffix = layer.suffixes(number)[int(reverse)]
    own = {name: layer._parameters.get(name + suffix) for name in layer.names[number]}
    for name, parameter in own.items():
        if parameter is None:
            raise ValueError(f"{name}{suffix} is computed from other parameters: make it a parameter first")
    features = layer.weight_shapes[number]["weight_ih"][1]
    cell = RecurrentCell(
        features, layer.hidden_size, layer.bias, "meta", cell=layer.cell, zoneout=layer.zoneout, engine=layer.engine,
    )  # fmt: skip
    for name, parameter in own.items():
        setattr(cell, name, parameter)
    return cell.train(layer.training)
