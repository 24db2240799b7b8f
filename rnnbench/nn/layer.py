"""A stack of recurrent layers around any cell, with the constructor, call and states of `torch.nn.LSTM`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.utils.checkpoint import checkpoint

from rnnbench.errors import unknown
from rnnbench.nn import fused
from rnnbench.nn.cell import Cell, check_declaration
from rnnbench.nn.checks import check_inputs, check_settings, check_states
from rnnbench.nn.engine.opaque import register, run_opaque
from rnnbench.nn.engine.run import choose, run
from rnnbench.nn.engine.sequence import Pass
from rnnbench.nn.initialise import initialise

States = Tensor | tuple[Tensor, ...]


class Recurrent(nn.Module):
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
        chrono: longest dependency expected, in steps, for biases drawn after Tallec & Ollivier 2018.
        engine: `native`, `function`, `reference` or `torch`; None chooses, see `backend`.
        checkpoint_steps: keep states only every so many steps and compute the rest again in the backward pass: memory
            for one more forward pass. Sequences that are not packed.

    Keywords of the cell are taken as well.

    Raises:
        ValueError: a value out of range.
        TypeError: an unknown keyword.
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
        chrono: int | None = None,
        engine: Literal["native", "function", "reference", "torch"] | None = None,
        checkpoint_steps: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        self.cell = self._make_cell(cell, options)
        check_declaration(self.cell)
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        self.connections, self.variational_dropout, self.weight_dropout = connections, variational_dropout, weight_dropout
        self.zoneout = zoneout if isinstance(zoneout, tuple) else (zoneout,) * len(self.cell.states)
        self.recurrent_init, self.chrono, self.checkpoint_steps = recurrent_init, chrono, checkpoint_steps
        self.engine = engine
        check_settings(self)
        self.proj_size = self.cell.state_sizes(hidden_size)[0] if self.cell.projected else 0
        self._cells = self._regularised_cells()
        for layer in range(num_layers):
            for suffix in self._suffixes(layer):
                self._add_parameters(layer, suffix, device, dtype)
        self.reset_parameters()

    # --- making

    def _make_cell(self, cell: Cell | None, options: dict[str, Any]) -> Cell:
        make = type(self).cell_class
        if make is None:
            if cell is None:
                raise TypeError(f"{type(self).__name__} needs a cell: {type(self).__name__}(…, cell=MyCell())")
            make = lambda: cell  # noqa: E731
        known = sorted(self.cell_options())
        for name in options:
            if name not in known:
                raise TypeError(str(unknown(f"keyword of {type(self).__name__}", name, {*known, *_common()})))
        return make(**options)

    @classmethod
    def cell_options(cls) -> set[str]:
        """Keywords that go to the cell."""
        fields = getattr(cls.cell_class, "__dataclass_fields__", {})
        return {name for name, field in fields.items() if field.init}

    @property
    def directions(self) -> int:
        """2 if bidirectional, else 1: D."""
        return 2 if self.bidirectional else 1

    @property
    def output_size(self) -> int:
        """Features of an output step, D·H (or D·P, if projected)."""
        return self.directions * (self.proj_size or self.hidden_size)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def _layer_input(self, layer: int) -> int:
        if layer == 0:
            return self.input_size
        return self.output_size + (self.input_size if self.connections == "skip" else 0)

    def _shapes(self, layer: int) -> dict[str, tuple[int, ...]]:
        cell, size = self.cell, self.hidden_size
        width, gates, hidden = cell.state_sizes(size)[0], len(cell.gates), len(cell.recurrent_gates())
        inputs = self._layer_input(layer)
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (gates * size, inputs)}
        if hidden:
            shapes["weight_hh"] = (hidden * size, width)
        if self.bias:
            shapes["bias_ih"] = (gates * size,)
            if hidden:
                shapes["bias_hh"] = (hidden * size,)
        widths = {"H": size, "P": width}
        shapes |= {name: (widths[rows], widths[columns]) for name, (rows, columns) in cell.matrices.items()}
        shapes |= {name: (size,) for name in cell.parameters()}
        return shapes | cell.extra_parameters(inputs, size)

    def _add_parameters(self, layer: int, suffix: str, device: Any, dtype: Any) -> None:
        for name, shape in self._shapes(layer).items():
            setattr(self, name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))

    def reset_parameters(self) -> None:
        """Draw all weights from U(−1/√H, 1/√H), as torch does; then what the cell and the options say."""
        bound = 1 / math.sqrt(self.hidden_size)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-bound, bound)
            for layer in range(self.num_layers):
                for suffix in self._suffixes(layer):
                    parameters = self._parameters_of(layer, suffix)
                    self.cell.reset(parameters, self.hidden_size)
                    initialise(self.cell, parameters, self.hidden_size, self.recurrent_init, self.chrono)

    def _parameters_of(self, layer: int, suffix: str) -> dict[str, Tensor]:
        return {name: getattr(self, name + suffix) for name in self._shapes(layer)}

    # --- which engine

    @property
    def backend(self) -> str:
        """The engine that runs this layer where its parameters are: `native`, `function`, `reference` or `torch`.

        On the CPU compiled C for float32 and float64; elsewhere, or without a compiler, torch's fused layers for the
        cells that torch has, and one autograd function for others; plain autograd for what only it can do.
        """
        weight = cast(Tensor, self.weight_ih_l0)
        if self.engine == "torch" or (self.engine is None and weight.device.type != "cpu"):
            if why := fused.why_not(self):
                if self.engine == "torch":
                    raise ValueError(f"engine 'torch' cannot run this {type(self).__name__}: {why}")
            else:
                return "torch"
        found = choose(self._cells[self.training][0], weight.device, weight.dtype, self.engine)
        if found != "native" and self.engine is None and weight.device.type == "cpu" and not fused.why_not(self):
            return "torch"
        return found

    def _regularised_cells(self) -> dict[bool, tuple[Cell, str]]:
        """The cell as it is when training, and otherwise, each with its name."""
        found = {}
        for training in (True, False):
            zoneout, masked = self.zoneout if any(self.zoneout) else (), training and self.variational_dropout > 0
            cell = self.cell.regularised(zoneout, masked, training) if zoneout or masked else self.cell
            found[training] = cell, register(cell)
        return found

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for cell, _ in self._cells.values():
            register(cell)

    # --- running

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Hidden states of the top layer after every step, and all states after the last one.

        `hx` are the states before the first step, zeros if None. Shapes and order as in `torch.nn.LSTM`.

        Raises:
            ValueError: a shape that does not fit.
            TypeError: a dtype or device that is not that of the parameters.
        """
        packed = input if isinstance(input, PackedSequence) else None
        data = input.data if isinstance(input, PackedSequence) else input
        check_inputs(self, data, packed)
        alone = packed is None and data.ndim == 2
        if alone:
            data = data.unsqueeze(1)
        elif packed is None and self.batch_first:
            data = data.transpose(0, 1)
        batch = int(packed.batch_sizes[0]) if packed is not None else data.shape[1]
        states = check_states(self, hx, batch, alone, data)
        if packed is not None and packed.sorted_indices is not None and states is not None:
            states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        if torch.is_autocast_enabled(data.device.type):
            data = data.to(cast(Tensor, self.weight_ih_l0).dtype)
        output, final = self._run(data, states, packed, batch)
        if packed is not None:
            if packed.unsorted_indices is not None:
                final = tuple(state.index_select(1, packed.unsorted_indices) for state in final)
            return PackedSequence(output, *packed[1:]), final if len(final) > 1 else final[0]
        if alone:
            output, final = output.squeeze(1), tuple(state.squeeze(1) for state in final)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, final if len(final) > 1 else final[0]

    def _run(
        self, data: Tensor, states: tuple[Tensor, ...] | None, packed: PackedSequence | None, batch: int
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        engine = "opaque" if torch.compiler.is_compiling() and not torch.compiler.is_exporting() else self.backend
        if torch.compiler.is_exporting() or torch.jit.is_tracing():
            engine = "reference"
        if engine == "torch" and data.numel():
            return fused.run(self, data, states, packed, batch)
        cell, first, final = self._cells[self.training][0], data, []
        for layer in range(self.num_layers):
            if layer and self.connections == "skip":
                data = torch.cat([data, first], -1)
            data = self._mask_inputs(data, batch, packed)
            outputs = []
            for direction, suffix in enumerate(self._suffixes(layer)):
                k = layer * self.directions + direction
                begin = None if states is None else tuple(state[k] for state in states)
                output, end = self._direction(engine, cell, layer, suffix, data, begin, packed, batch)
                outputs.append(output)
                final.append(end)
            result = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            data = result + data if layer and self.connections == "residual" else result
            if self.dropout and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        return data, tuple(torch.stack(parts) for parts in zip(*final, strict=True))

    def _direction(
        self, engine: str, cell: Cell, layer: int, suffix: str, data: Tensor, states: tuple[Tensor, ...] | None,
        packed: PackedSequence | None, batch: int,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:  # fmt: skip
        parameters = self._parameters_of(layer, suffix)
        if self.weight_dropout and self.training and "weight_hh" in parameters:
            parameters["weight_hh"] = F.dropout(parameters["weight_hh"], self.weight_dropout)
        given = cell.operands(parameters)
        names = ("weight_ih", "weight_hh", *cell.matrices, "bias_ih", "bias_hh", *cell.vectors)
        weights = [given.get(name) for name in names]
        reverse = suffix.endswith("reverse")
        raws = cell.draw(data, batch, self.hidden_size, (self.zoneout, self.variational_dropout))

        def part(
            inputs: Tensor, before: tuple[Tensor | None, ...], raws: tuple[Tensor, ...]
        ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
            one = Pass(
                cell, self.hidden_size, batch, len(inputs), None if packed is None else packed.batch_sizes, reverse,
                raws=raws,
            )  # fmt: skip
            if engine == "opaque":
                return run_opaque(self._cells[self.training][1], one, inputs, [*before, *weights])
            return run(engine, one, inputs, [*before, *weights])

        before: tuple[Tensor | None, ...] = states or (None,) * len(cell.states)
        every = self.checkpoint_steps
        if every is None or packed is not None or len(data) <= every:
            sequences, final = part(data, before, raws)
        else:
            pieces, final = [], before  # type: ignore[assignment]
            starts = range(0, len(data), every)
            for start in reversed(starts) if reverse else starts:
                cut = tuple(raw[start : start + every] if raw.ndim == 3 else raw for raw in raws)
                piece, final = checkpoint(part, data[start : start + every], final, cut, use_reentrant=False)
                pieces.append(piece)
            ordered = pieces[::-1] if reverse else pieces
            sequences = tuple(torch.cat(column) for column in zip(*ordered, strict=True))
        return cell.readout(sequences, data, parameters), final

    def _mask_inputs(self, data: Tensor, batch: int, packed: PackedSequence | None) -> Tensor:
        if not (self.training and self.variational_dropout):
            return data
        mask = F.dropout(data.new_ones(batch, data.shape[-1]), self.variational_dropout)
        if packed is None:
            return data * mask
        rows = torch.cat([torch.arange(int(n), device=data.device) for n in packed.batch_sizes])
        return data * mask[rows]

    # --- torch's own layers

    def to_torch(self) -> nn.RNNBase:
        """The layer of `torch.nn` with the same weights.

        Raises:
            ValueError: torch has no such layer.
        """
        return fused.to_torch(self)

    @classmethod
    def from_torch(cls, layer: nn.RNNBase, **options: Any) -> Recurrent:
        """This layer with the weights of one of `torch.nn`.

        Raises:
            ValueError: `layer` is of another kind.
        """
        return fused.from_torch(cls, layer, options)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults."""
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0.0),
                              ("bidirectional", False), ("connections", "plain")):  # fmt: skip
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


def _common() -> set[str]:
    import inspect

    return {
        name for name, p in inspect.signature(Recurrent.__init__).parameters.items()
        if name != "self" and p.kind is not p.VAR_KEYWORD
    }  # fmt: skip
