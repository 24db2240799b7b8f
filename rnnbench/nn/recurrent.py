"""A stack of recurrent layers around any cell, with the constructor, call and states of `torch.nn.LSTM`."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from rnnbench.errors import unknown
from rnnbench.nn import fused
from rnnbench.nn.autocast import autocasts, result_dtypes
from rnnbench.nn.cell import Cell, check_declaration
from rnnbench.nn.checks import (
    InputError,
    InputTypeError,
    check_dtype,
    check_inputs,
    check_settings,
    check_states,
    check_zoneout,
)
from rnnbench.nn.compiler.custom_op import register
from rnnbench.nn.compiler.dispatch import choose
from rnnbench.nn.compiler.loops import is_recorded
from rnnbench.nn.compiler.sequence import first_size
from rnnbench.nn.initialise import initialise, operand_shapes, shapes
from rnnbench.nn.stack import run_stack
from rnnbench.nn.step import Stepper, run_step
from rnnbench.nn.torch_like import TorchLike

States = Tensor | tuple[Tensor, ...]


class Recurrent(TorchLike):
    """A stack of recurrent layers around a cell.

    Constructor, call, shapes, states, `PackedSequence` and parameter names are those of `torch.nn.LSTM`: input
    `[T, B, I]` (`[B, T, I]` with `batch_first`, `[T, I]` without a batch), output `[T, B, D·H]` with D = 2 if
    bidirectional, else 1; states `[L·D, B, H]`, a tensor if the cell has one state, else a tuple in its order.

    Args:
        input_size: features of a step, I.
        hidden_size: units of each layer in each direction, H.
        num_layers: depth of the stack, L.
        bias: whether gates have biases.
        batch_first: inputs and outputs are `[B, T, …]`.
        dropout: probability, on the output of every layer but the last, while training.
        bidirectional: a second cell of its own reads each sequence from its end.
        device: of the parameters.
        dtype: of the parameters.
        cell: the cell, for a class that names none.
        connections: `plain`; `residual` (layers above the first add their input to their output); `skip` (they also
            read the input of the stack, Graves 2013).
        variational_dropout: probability for one mask a sequence on each layer's input and on h before every recurrent
            product (Gal & Ghahramani 2016).
        zoneout: probability that a unit's states stay as they were (Krueger et al. 2017); the expectation when not
            training. A number, or one for each state.
        weight_dropout: probability for single recurrent weights, drawn once a call (Merity, Keskar & Socher 2018).
        recurrent_init: `torch`, `orthogonal` or `identity`; of the recurrent weight, gate by gate.
        spectral_radius: largest |eigenvalue| of each gate's recurrent weight at the start, by scaling (Jaeger 2001).
        chrono: longest dependency expected, in steps, for biases drawn after Tallec & Ollivier 2018.
        engine: `native`, `function`, `reference` or `torch`; None chooses, see `backend`.
        checkpoint_steps: keep states only every so many steps and compute the rest again in the backward pass: memory
            for one more forward pass. Packed sequences are run whole.
        bptt: gradients of states end where a block of so many steps begins (truncated back-propagation through time,
            Williams & Peng 1990); values are as without. With `checkpoint_steps`, blocks of this length are kept.

    Keywords of the cell are taken as well.

    Raises:
        ValueError: a value out of range.
        TypeError: an unknown keyword.

    Warns:
        UserWarning: `dropout` with one layer, which has no effect.
    """

    cell_class: ClassVar[Callable[..., Cell] | None] = None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        cell: Cell | None = None,
        connections: Literal["plain", "residual", "skip"] = "plain",
        variational_dropout: float = 0.0,
        zoneout: float | tuple[float, ...] = 0.0,
        weight_dropout: float = 0.0,
        recurrent_init: Literal["torch", "orthogonal", "identity"] = "torch",
        spectral_radius: float | None = None,
        chrono: int | None = None,
        engine: Literal["native", "function", "reference", "torch"] | None = None,
        checkpoint_steps: int | None = None,
        bptt: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        check_dtype(dtype)
        self.cell, self._cell_options = self._make_cell(cell, options), options
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        self.connections, self.engine, self.checkpoint_steps, self.bptt = connections, engine, checkpoint_steps, bptt
        self.variational_dropout, self.weight_dropout = variational_dropout, weight_dropout
        self.zoneout = check_zoneout(zoneout, self.cell.states)
        self.recurrent_init, self.spectral_radius, self.chrono = recurrent_init, spectral_radius, chrono
        check_settings(self)
        self.dropout, self.variational_dropout, self.weight_dropout = map(
            float, (dropout, variational_dropout, weight_dropout)
        )
        if dropout and num_layers == 1:
            warnings.warn(f"dropout={dropout} has no effect: it is between layers, and num_layers is 1", stacklevel=2)
        self.proj_size = self.cell.state_sizes(hidden_size)[0] if self.cell.projected else 0
        self.cells = self._regularised_cells()
        self._chosen: dict[Any, str] = {}
        self.steppers: dict[Any, Stepper] = {}
        self.names = [tuple(shapes(self, layer)) for layer in range(num_layers)]
        self.operand_shapes = [operand_shapes(self, layer) for layer in range(num_layers)]
        for layer in range(num_layers):
            for suffix in self.suffixes(layer):
                for name, shape in shapes(self, layer).items():
                    setattr(self, name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    # --- making

    def _make_cell(self, cell: Cell | None, options: dict[str, Any]) -> Cell:
        make = type(self).cell_class
        if make is None:
            if cell is None:
                raise TypeError(f"{type(self).__name__} needs a cell: {type(self).__name__}(…, cell=MyCell())")
            if isinstance(cell, type):
                raise TypeError(f"cell must be a cell, got the class {cell.__name__}: write {cell.__name__}()")
            make = lambda: cell  # noqa: E731
        elif cell is not None:
            raise TypeError(f"{type(self).__name__} has a cell of its own: give yours to Recurrent(…, cell=…)")
        known = sorted(self.cell_options())
        for name in options:
            if name not in known:
                known_here = {*known, *_common()}
                raise InputTypeError(str(unknown(f"keyword of {type(self).__name__}", name, known_here)))
        made = make(**options)
        check_declaration(made)
        return made

    @classmethod
    def cell_options(cls) -> set[str]:
        """Keywords that go to the cell."""
        return set() if cls.cell_class is None else set(inspect.signature(cls.cell_class).parameters)

    @property
    def directions(self) -> int:
        """2 if bidirectional, else 1: D."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of an output step, D·H (or D·P, if projected)."""
        return self.directions * (self.proj_size or self.hidden_size)

    def suffixes(self, layer: int) -> list[str]:
        """What a layer's directions are called in the names of parameters."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def reset_parameters(self) -> None:
        """Draw all weights from U(−1/√H, 1/√H), as torch does; then what the cell and the options say."""
        bound = 1 / math.sqrt(self.hidden_size)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-bound, bound)
            for layer in range(self.num_layers):
                for suffix in self.suffixes(layer):
                    parameters = self.parameters_of(layer, suffix)
                    self.cell.reset(parameters, self.hidden_size)
                    initialise(self, parameters)

    def parameters_of(self, layer: int, suffix: str) -> dict[str, Tensor]:
        """Parameters of one layer and direction, by their names without the suffix."""
        return {name: getattr(self, name + suffix) for name in self.names[layer]}

    # --- which engine

    @property
    def backend(self) -> str:
        """The engine that runs this layer where its parameters are: `native`, `function`, `reference` or `torch`.

        On the CPU compiled C for float32 and float64; elsewhere, or without a compiler, torch's fused layers for the
        cells that torch has, and one autograd function for others; plain autograd for what only it can do.
        """
        weight = self.any_weight
        key = self.training, weight.device, weight.dtype, self.engine
        if key not in self._chosen:
            self._chosen[key] = self._choose(weight)
        return self._chosen[key]

    def _choose(self, weight: Tensor) -> str:
        if self.engine == "torch" or (self.engine is None and weight.device.type != "cpu"):
            if why := fused.why_not(self):
                if self.engine == "torch":
                    raise ValueError(f"engine 'torch' cannot run this {type(self).__name__}: {why}")
            else:
                return "torch"
        found = choose(self.cells[self.training][0], weight.device, weight.dtype, self.engine)
        if found != "native" and self.engine is None and weight.device.type == "cpu" and not fused.why_not(self):
            return "torch"
        return found

    def _regularised_cells(self) -> dict[bool, tuple[Cell, str]]:
        """The cell as it is when training, and otherwise, each with its name."""
        found = {}
        self.cell.made()
        for training in (True, False):
            zoneout, masked = self.zoneout if any(self.zoneout) else (), training and self.variational_dropout > 0
            cell = self.cell.regularised(zoneout, masked, training) if zoneout or masked else self.cell
            cell.made()  # from here on it cannot be changed
            found[training] = cell, register(cell)
        return found

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, without what is made of them: the engines' choice and, for a class that names its cell, the
        cell, so that a file of a whole layer names no class but the layer's own.
        """
        made = {"_chosen", "steppers", "cells", *(["cell"] if type(self).cell_class else [])}
        return {name: value for name, value in vars(self).items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        made: dict[str, Any] = {"_chosen": {}, "steppers": {}}  # another machine may choose other engines
        if "cell" not in state:
            made["cell"] = self._make_cell(None, state["_cell_options"])
        vars(self).update(made)
        self.cells = self._regularised_cells()

    # --- running

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Hidden states of the top layer after every step, and all states after the last one.

        `hx` are the states before the first step, zeros if None. Shapes and order as in `torch.nn.LSTM`. Under autocast
        output and states are of the types that torch's layer gives (see `result_dtypes`), and of autocast's for cells
        that torch does not have; what is between is computed in the type of the parameters, since errors of a state add
        up over steps (by engine `torch` as torch does). `torch.export` may leave the batch open, and the number of
        steps too if it is not `strict`; what `torch.jit.trace` makes takes any batch and number of steps, packed
        sequences too. The output may be changed in place before the backward pass, which then runs the forward pass
        once more.

        Raises:
            InputError: a shape that does not fit, or a `PackedSequence` under `torch.export`; a `ValueError`, and a
                `RuntimeError`, which torch raises.
            InputTypeError: a dtype or device that is not that of the parameters; a `TypeError` as well.
        """
        if isinstance(input, PackedSequence) and torch.compiler.is_exporting():
            raise InputError(
                "torch.export cannot record a PackedSequence, the number of whose rows depends on the lengths: "
                "export rnnbench.nn.run_padded(layer, inputs, lengths), which gives the same for a padded batch"
            )
        return self._run(input, hx, None)

    def _run(
        self, input: Tensor | PackedSequence, hx: States | None, lengths: Tensor | None
    ) -> tuple[Tensor | PackedSequence, States]:
        """As a call; under `torch.export` the steps of a padded batch beyond `lengths` `[B]` can be left out.

        Output is zero there, and the states are those after each sequence's true last step.
        """
        packed = input if isinstance(input, PackedSequence) else None
        data = input.data if isinstance(input, PackedSequence) else input
        check_inputs(self, data, packed)
        alone = packed is None and data.ndim == 2
        if alone:
            data = data.unsqueeze(1)
        elif packed is None and self.batch_first:
            data = data.transpose(0, 1)
        batch = first_size(packed.batch_sizes) if packed is not None else data.shape[1]
        states = check_states(self, hx, batch, alone, data)
        if packed is not None and packed.sorted_indices is not None and states is not None:
            states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        outside = None
        if lengths is not None:
            steps = torch.arange(data.shape[0], device=data.device).unsqueeze(1)
            outside = (steps >= lengths.to(data.device)).unsqueeze(-1)
        engine, casts = self._engine_now(), autocasts(data.device)
        if engine == "torch" and data.numel():
            output, final = fused.run(self, data, states, packed, batch)
        elif casts:
            dtypes, weight = result_dtypes(self, data, states, packed is not None), self.any_weight.dtype
            states = None if states is None else tuple(state.to(weight) for state in states)
            with torch.autocast(data.device.type, enabled=False):
                output, final = run_stack(self, engine, data.to(weight), states, packed, batch, outside)
            output = output.to(dtypes[0])
            final = tuple(state.to(dtype) for state, dtype in zip(final, dtypes, strict=True))
        else:
            output, final = run_stack(self, engine, data, states, packed, batch, outside)
        if outside is not None:
            output = output.masked_fill(outside, 0.0)
        if packed is not None:
            if packed.unsorted_indices is not None:
                final = tuple(state.index_select(1, packed.unsorted_indices) for state in final)
            return PackedSequence(output, *packed[1:]), final if len(final) > 1 else final[0]
        if alone:
            output, final = output.squeeze(1), tuple(state.squeeze(1) for state in final)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, final if len(final) > 1 else final[0]

    def step(self, input: Tensor, hx: States | None = None) -> tuple[Tensor, States]:
        """One step, as `torch.nn.LSTMCell` of a whole stack: input `[B, I]`, output `[B, H]`, states `[L, B, W]`.

        What generation and streaming call again and again; without a gradient all but the arithmetic is prepared.

        Raises:
            ValueError: the layer is bidirectional; a shape that does not fit.
        """
        return run_step(self, input, hx)

    def _engine_now(self) -> str:
        if is_recorded():
            return "reference"
        return "opaque" if torch.compiler.is_compiling() else self.backend


def _common() -> set[str]:
    return {
        name for name, p in inspect.signature(Recurrent.__init__).parameters.items()
        if name != "self" and p.kind is not p.VAR_KEYWORD
    }  # fmt: skip
