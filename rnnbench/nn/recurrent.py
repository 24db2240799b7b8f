"""A stack of recurrent layers around any cell, with the constructor, call and states of `torch.nn.LSTM`."""

from __future__ import annotations

import inspect
import math
import threading
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from rnnbench.errors import unknown
from rnnbench.nn import fused, one_step
from rnnbench.nn.blocks import run_blocks
from rnnbench.nn.cell import Cell, check_declaration
from rnnbench.nn.checks import (
    InputError,
    InputTypeError,
    check_dtype,
    check_features,
    check_inputs,
    check_like,
    check_settings,
    check_states,
    check_weights,
    check_zoneout,
)
from rnnbench.nn.compiler.custom_op import call_custom_op, register
from rnnbench.nn.compiler.dispatch import BFLOAT16, check_unchanged, choose, kernel_of, multiplies_bfloat16, run
from rnnbench.nn.compiler.native import Kernel, Stepper
from rnnbench.nn.compiler.sequence import Result, SequenceCall, first_size
from rnnbench.nn.compiler.torch_mode import is_autocast, is_eager, is_recorded, is_transformed
from rnnbench.nn.initialise import initialise, parameter_shapes, weight_shapes

States = Tensor | tuple[Tensor, ...]
Tensors = tuple[Tensor, ...]

FIXED = {
    "bias", "bidirectional", "cell", "connections", "hidden_size", "input_size", "mode", "nonlinearity", "num_layers",
    "proj_size", "variational_dropout", "zoneout",
}  # fmt: skip
"""Arguments that shape the parameters or the equation: set by the constructor, and constant."""

FREE = {"batch_first", "checkpoint_steps", "chrono", "dropout", "engine", "recurrent_init", "weight_dropout"}
"""Arguments that may be changed; those for the initial values count when parameters are reset."""


BFLOAT16_FROM = 128
"""The least hidden size at which products of bfloat16 are used under autocast."""


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
        spectral_radius: largest |eigenvalue| of each gate's recurrent weight at the start, by scaling (Jaeger 2001).
        chrono: longest dependency expected, in steps, for biases drawn after Tallec & Ollivier 2018.
        engine: `native`, `triton`, `function`, `reference` or `torch`; None chooses, see `backend`.
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
        engine: Literal["native", "triton", "function", "reference", "torch"] | None = None,
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
        check_settings(vars(self))
        self.dropout, self.variational_dropout, self.weight_dropout = map(
            float, (dropout, variational_dropout, weight_dropout)
        )
        if dropout and num_layers == 1:
            warnings.warn(f"dropout={dropout} has no effect: it is between layers, and num_layers is 1", stacklevel=2)
        self.proj_size = self.cell.state_sizes(hidden_size)[0] if self.cell.projected else 0
        self.cells = self._regularised_cells()
        self._chosen: dict[Any, str] = {}
        self.steppers: dict[Any, Stepper] = {}
        self.weight_shapes = [
            weight_shapes(self.cell, self._features_of(layer), hidden_size) for layer in range(num_layers)
        ]
        shapes = [parameter_shapes(self.cell, weights, hidden_size, bias) for weights in self.weight_shapes]
        self.names = [tuple(shape) for shape in shapes]
        for layer in range(num_layers):
            for suffix in self.suffixes(layer):
                for name, shape in shapes[layer].items():
                    setattr(self, name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    # --- making the cell and the parameters

    def _make_cell(self, cell: Cell | None, options: dict[str, Any]) -> Cell:
        cell_class = type(self).cell_class
        if cell_class is not None and cell is not None:
            raise TypeError(f"{type(self).__name__} has a cell of its own: pass yours to Recurrent(…, cell=…)")
        if cell_class is None and cell is None:
            raise TypeError(f"{type(self).__name__} needs a cell: {type(self).__name__}(…, cell=MyCell())")
        if isinstance(cell, type):
            raise TypeError(f"cell must be a cell, got the class {cell.__name__}: write {cell.__name__}()")
        cell_options = self.cell_options()
        for name in options:
            if name not in cell_options:
                own_options = {
                    name for name, parameter in inspect.signature(Recurrent.__init__).parameters.items()
                    if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
                }  # fmt: skip
                raise InputTypeError(
                    str(unknown(f"keyword of {type(self).__name__}", name, cell_options | own_options))
                )
        if cell_class is not None:
            cell = cell_class(**options)
        assert cell is not None
        check_declaration(cell)
        return cell

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

    def _features_of(self, layer: int) -> int:
        """Features of the input of one layer of the stack."""
        if layer == 0:
            return self.input_size
        return self.output_size + (self.input_size if self.connections == "skip" else 0)

    def suffixes(self, layer: int) -> list[str]:
        """What a layer's directions are called in the names of parameters."""
        return [f"_l{layer}", f"_l{layer}_reverse"][: self.directions]

    def reset_parameters(self) -> None:
        """Draw all weights from U(−1/√H, 1/√H), as torch does; then apply the cell's and the options' own values."""
        bound = 1 / math.sqrt(self.hidden_size)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-bound, bound)
            for layer in range(self.num_layers):
                for suffix in self.suffixes(layer):
                    parameters = self.parameters_of(layer, suffix)
                    self.cell.reset(parameters, self.hidden_size)
                    initialise(
                        self.cell, parameters, self.hidden_size, self.recurrent_init, self.spectral_radius, self.chrono
                    )

    def parameters_of(self, layer: int, suffix: str) -> dict[str, Tensor]:
        """Parameters of one layer and direction, by their names without the suffix."""
        return {name: getattr(self, name + suffix) for name in self.names[layer]}

    @property
    def any_weight(self) -> Tensor:
        """One of the parameters, for their type and device: not one that is computed from others, if possible."""
        for parameter in self._parameters.values():
            if parameter is not None:
                return parameter
        return self.parameters_of(0, self.suffixes(0)[0])["weight_ih"]

    def _regularised_cells(self) -> dict[bool, tuple[Cell, str]]:
        """The cell in training mode (True) and in evaluation mode (False), each with its name for `custom_op`."""
        cells = {}
        self.cell.compile_cache()
        for training in (True, False):
            zoneout, masked = self.zoneout if any(self.zoneout) else (), training and self.variational_dropout > 0
            cell = self.cell.regularised(zoneout, masked, training) if zoneout or masked else self.cell
            cell.compile_cache()  # from here on it cannot be changed
            cells[training] = cell, register(cell)
        return cells

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; one that the layer was made from cannot be changed, others hold from the next call on.

        Raises:
            AttributeError: the attribute would no longer describe the layer.
            ValueError: a value that the constructor does not take.
            TypeError: the same.
        """
        constructed = "cells" in self.__dict__
        if name in FIXED and constructed:
            raise AttributeError(f"{name} is fixed when a {type(self).__name__} is made: make another one")
        before: Any = self.__dict__.get(name)
        super().__setattr__(name, value)
        if name in FREE and constructed:
            try:
                check_settings(vars(self))
            except (TypeError, ValueError):
                super().__setattr__(name, before)
                raise

    def __getstate__(self) -> dict[str, Any]:
        """The attributes, without what is derived from them: the engines' choice and, for a class that names its cell,
        the cell, so that a file of a whole layer names no class but the layer's own.
        """
        derived = {"_chosen", "steppers", "cells", *(["cell"] if type(self).cell_class else [])}
        return {name: value for name, value in vars(self).items() if name not in derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        derived: dict[str, Any] = {"_chosen": {}, "steppers": {}}  # another machine may choose other engines
        if "cell" not in state:
            derived["cell"] = self._make_cell(None, state["_cell_options"])
        vars(self).update(derived)
        self.cells = self._regularised_cells()

    # --- which engine

    @property
    def backend(self) -> str:
        """The engine that runs this layer where its parameters are: one of those that `engine` can be.

        On the CPU compiled C for float32 and float64; elsewhere, or without a compiler, torch's fused layers for the
        cells that torch has; for others Triton kernels on a GPU, and one autograd function where there are none; plain
        autograd for what only it can do. Without a choice of `engine`, a call with a single step and a gradient is
        torch's cell where torch has it: nothing costs less to call on a CPU.
        """
        weight = self.any_weight
        key = self.training, weight.device, weight.dtype, self.engine
        if key not in self._chosen or self._chosen[key] == "triton":  # which may have failed since
            self._chosen[key] = self._choose(weight)
        return self._chosen[key]

    def _choose(self, weight: Tensor) -> str:
        reason = fused.unsupported_reason(self.cell, vars(self))
        if self.engine == "torch" and reason:
            raise ValueError(f"engine 'torch' cannot run this {type(self).__name__}: {reason}")
        # never on MPS by itself: several versions of torch have an LSTM there whose gradients are silently wrong
        fast = weight.device.type not in ("cpu", "mps")
        if self.engine == "torch" or (self.engine is None and fast and not reason):
            return "torch"
        engine = choose(self.cells[self.training][0], weight.device, weight.dtype, self.engine)
        if engine != "native" and self.engine is None and weight.device.type == "cpu" and not reason:
            return "torch"
        return engine

    def _engine_now(self) -> str:
        if is_recorded():
            return "reference"
        return "custom_op" if torch.compiler.is_compiling() else self.backend

    # --- running a sequence

    def forward(
        self, input: Tensor | PackedSequence, hx: States | None = None
    ) -> tuple[Tensor | PackedSequence, States]:
        """Hidden states of the top layer after every step, and all states after the last one.

        `hx` are the states before the first step, zeros if None. Shapes and order as in `torch.nn.LSTM`. Under autocast
        output and states are of the types that torch's layer gives, and of autocast's for cells that torch does not
        have; what is between is computed in the type of the parameters, since errors of a state add up over steps (by
        engine `torch` as torch does, by `triton` products in autocast's type and states in float32). By `native`
        operands of products are rounded to bfloat16 if that is autocast's type, H is at least 128 and the processor
        multiplies such numbers (AVX-512 BF16). `torch.export` may leave the batch open, and the number of steps too if
        it is not `strict`; what `torch.jit.trace` makes takes any batch and number of steps, packed sequences too. The
        output may be changed in place before the backward pass, which then runs the forward pass once more.

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
        if type(input) is Tensor and not torch.compiler.is_compiling():
            result = one_step.forward(self, input, hx)
            if result is not None:
                return result
        return self._forward_padded(input, hx, None)

    def _forward_padded(
        self, input: Tensor | PackedSequence, hx: States | None, lengths: Tensor | None
    ) -> tuple[Tensor | PackedSequence, States]:
        """As a call; under `torch.export` the steps of a padded batch beyond `lengths` `[B]` can be left out.

        Output is zero there, and the states are those after each sequence's true last step.
        """
        packed = input if isinstance(input, PackedSequence) else None
        data = input.data if isinstance(input, PackedSequence) else input
        weight = self.any_weight
        check_inputs(data, packed, self.input_size, self.batch_first, weight)
        unbatched = packed is None and data.ndim == 2
        if unbatched:
            data = data.unsqueeze(1)
        elif packed is None and self.batch_first:
            data = data.transpose(0, 1)
        batch = first_size(packed.batch_sizes) if packed is not None else data.shape[1]
        states = None
        if hx is not None:
            states = check_states(hx, self.cell.states, self._state_shapes(batch), unbatched, weight)
        if packed is not None and packed.sorted_indices is not None and states is not None:
            states = tuple(state.index_select(1, packed.sorted_indices) for state in states)
        padding = None
        if lengths is not None:
            steps = torch.arange(data.shape[0], device=data.device).unsqueeze(1)
            padding = (steps >= lengths.to(data.device)).unsqueeze(-1)
        engine, autocast = self._engine_now(), is_autocast(data.device)
        if engine == "torch" and data.numel():
            output, final = self._run_fused(data, states, packed, batch)
        elif autocast:
            dtypes, dtype = self._autocast_dtypes(data, states, packed is not None), weight.dtype
            states = None if states is None else tuple(state.to(dtype) for state in states)
            if engine == "triton" and dtype == torch.float32:  # its states are float32 whatever its inputs are
                dtype = torch.get_autocast_dtype(data.device.type)
            if engine == "native" and self._multiplies_bfloat16(data):
                engine = BFLOAT16
            with torch.autocast(data.device.type, enabled=False):
                output, final = self._run_stack(engine, data.to(dtype), states, packed, batch, padding)
            output = output.to(dtypes[0])
            final = tuple(state.to(dtype) for state, dtype in zip(final, dtypes, strict=True))
        else:
            output, final = self._run_stack(engine, data, states, packed, batch, padding)
        if padding is not None:
            output = output.masked_fill(padding, 0.0)
        if packed is not None:
            if packed.unsorted_indices is not None:
                final = tuple(state.index_select(1, packed.unsorted_indices) for state in final)
            return PackedSequence(output, *packed[1:]), final if len(final) > 1 else final[0]
        if unbatched:
            output, final = output.squeeze(1), tuple(state.squeeze(1) for state in final)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, final if len(final) > 1 else final[0]

    def _run_fused(
        self, data: Tensor, states: Tensors | None, packed: PackedSequence | None, batch: int
    ) -> tuple[Tensor, Tensors]:
        """Output and final states of the whole stack by torch's fused layer."""
        for layer in range(self.num_layers):
            for suffix in self.suffixes(layer):
                weights = self.parameters_of(layer, suffix)
                check_weights(weights, self.weight_shapes[layer], layer, self.any_weight)
        if states is None:
            states = tuple(data.new_zeros(shape) for shape in self._state_shapes(batch))
        return fused.run(self, data, states, None if packed is None else packed.batch_sizes)

    def _multiplies_bfloat16(self, data: Tensor) -> bool:
        """Whether products under autocast are of bfloat16: if that is its type, the processor has such products, and
        the layer is so large that they cost more than rounding their operands."""
        lower = torch.get_autocast_dtype(data.device.type)
        return (
            lower == torch.bfloat16
            and self.any_weight.dtype == torch.float32
            and self.hidden_size >= BFLOAT16_FROM
            and multiplies_bfloat16(self.cells[self.training][0])
        )

    def _autocast_dtypes(self, inputs: Tensor, states: Tensors | None, packed: bool) -> tuple[torch.dtype, ...]:
        """The type of each final state under autocast, from `inputs` and initial `states` as the caller passed them;
        the output is of the first.

        Types are those of torch's layer: a product of matrices gives autocast's type, a sum with the old state the
        wider of autocast's type and the state's (the input's without a state). So on the CPU an Elman network gives
        autocast's type; a GRU and an LSTM (but h of a projected one) give the wider one. An LSTM that oneDNN runs
        (inputs of float32 or bfloat16, neither packed nor projected), everything on a GPU, and cells that torch does
        not have give autocast's type. A float64 layer gives float64.
        """
        count, lower = len(self.cell.states), torch.get_autocast_dtype(inputs.device.type)
        if self.any_weight.dtype == torch.float64:
            return (torch.float64,) * count
        mode = self.cell.torch_mode if inputs.device.type == "cpu" else None
        wider = torch.promote_types(lower, inputs.dtype if states is None else states[-1].dtype)
        if mode == "GRU":
            return (wider,)
        if mode == "LSTM" and self.proj_size:
            return lower, wider
        by_onednn = fused.ONEDNN and not packed and inputs.numel() > 0
        by_onednn = by_onednn and inputs.dtype in (torch.float32, torch.bfloat16)
        return (wider if mode == "LSTM" and not by_onednn else lower,) * count

    # --- running the stack, layer by layer and direction by direction

    def _run_stack(
        self, engine: str, data: Tensor, states: Tensors | None, packed: PackedSequence | None, batch: int,
        padding: Tensor | None,
    ) -> tuple[Tensor, Tensors]:  # fmt: skip
        """Output of the top layer and final states `[L·D, B, W]`; `data` is `[T, B, I]`, or `[rows, I]` if packed.

        `padding` `[T, B, 1]` marks steps of padding, where `torch.export` records the layer.
        """
        first, final = data, []
        for layer in range(self.num_layers):
            if layer and self.connections == "skip":
                data = torch.cat([data, first], -1)
            data = self._drop_features(data, batch, packed)
            outputs = []
            for direction, suffix in enumerate(self.suffixes(layer)):
                place = layer * self.directions + direction
                begin = None if states is None else tuple(state[place] for state in states)
                output, end = self._run_direction(engine, layer, suffix, data, begin, packed, batch, padding)
                outputs.append(output)
                final.append(end)
            result = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            data = result + data if layer and self.connections == "residual" else result
            if self.dropout and layer < self.num_layers - 1:
                data = F.dropout(data, self.dropout, self.training)
        return data, tuple(torch.stack(parts) for parts in zip(*final, strict=True))

    def _drop_features(self, data: Tensor, batch: int, packed: PackedSequence | None) -> Tensor:
        """Variational dropout of a layer's input: one mask a sequence."""
        if not (self.training and self.variational_dropout):
            return data
        mask = F.dropout(data.new_ones(batch, data.shape[-1]), self.variational_dropout)
        if packed is None:
            return data * mask
        sizes = packed.batch_sizes
        begins = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)  # of each row, the first row of its step
        rows = torch.arange(data.shape[0]) - begins
        return data * mask[rows.to(data.device)]

    def _run_direction(
        self, engine: str, layer: int, suffix: str, data: Tensor, states: Tensors | None,
        packed: PackedSequence | None, batch: int, padding: Tensor | None,
    ) -> tuple[Tensor, Tensors]:  # fmt: skip
        cell, name = self.cells[self.training]
        parameters = self.parameters_of(layer, suffix)
        if self.weight_dropout and self.training and "weight_hh" in parameters:
            parameters["weight_hh"] = F.dropout(parameters["weight_hh"], self.weight_dropout)
        effective = cell.effective_weights(parameters)
        by_name = {weight: effective.get(weight) for weight in cell.weight_names()}
        lower = engine == "triton" and data.dtype != self.any_weight.dtype  # under autocast
        check_weights(by_name, self.weight_shapes[layer], layer, self.any_weight if lower else data)
        if lower:
            by_name |= {
                name: None if weight is None else weight.to(data.dtype)
                for name, weight in by_name.items()
                if name not in cell.vectors
            }
        weights = list(by_name.values())
        reverse, sizes = suffix.endswith("reverse"), None if packed is None else packed.batch_sizes
        noise = cell.draw_noise(data, batch, self.hidden_size, (self.zoneout, self.variational_dropout))

        def run_block(
            inputs: Tensor, before: tuple[Tensor | None, ...], noise: Tensors, sizes: Tensor | None
        ) -> Result:
            rows = batch if sizes is None else first_size(sizes)
            call = SequenceCall(cell, self.hidden_size, rows, inputs.shape[0], sizes, reverse, noise, padding)
            if engine == "custom_op":
                return call_custom_op(name, self.engine, call, inputs, [*before, *weights])
            return run(engine, call, inputs, [*before, *weights])

        before: tuple[Tensor | None, ...] = states or (None,) * len(cell.states)
        again = None if is_transformed() else self.checkpoint_steps  # torch.func has no way to compute a part again
        block = self.bptt or (None if packed else again)
        if is_recorded():
            block = None  # what is exported need not be trained, and its number of steps stays open
        if block is None or len(data if sizes is None else sizes) <= block:
            sequences, final = run_block(data, before, noise, sizes)
        else:
            if packed is not None:  # rows come and go: all states have to be tensors
                widths = cell.state_sizes(self.hidden_size)
                before = states or tuple(data.new_zeros(batch, width) for width in widths)
            sequences, final = run_blocks(
                run_block, block, data, before, noise, sizes, reverse,
                gradients_end=self.bptt is not None, computed_again=again is not None,
            )  # fmt: skip
        if lower and cell.reworks:
            dtype = self.any_weight.dtype
            output = cell.readout(tuple(one.to(dtype) for one in sequences), data.to(dtype), parameters)
            return output.to(data.dtype), final
        return cell.readout(sequences, data, parameters), final

    # --- running one step

    def step(self, input: Tensor, hx: States | None = None) -> tuple[Tensor, States]:
        """One step, as `torch.nn.LSTMCell` of a whole stack: input `[B, I]`, output `[B, H]`, states `[L, B, W]`.

        Generation and streaming call it again and again; without a gradient all but the arithmetic is prepared.

        Raises:
            ValueError: the layer is bidirectional; a shape that does not fit.
        """
        if self.bidirectional:
            raise ValueError("a bidirectional layer has no step: it needs the whole sequence")
        if not isinstance(input, Tensor):
            raise InputTypeError(f"input of a step must be a tensor, got {type(input).__name__}")
        if input.ndim != 2:
            raise InputError(f"input of a step must be [B, I], got shape {list(input.shape)}")
        batch, autocast = input.shape[0], is_autocast(input.device)
        hooked = self._forward_pre_hooks or self._forward_hooks  # they belong to a call of the layer
        stepper = None if hooked or torch.is_grad_enabled() or not is_eager(input) else self._stepper(batch)
        if stepper is None:
            output, final = self(input.unsqueeze(1 if self.batch_first else 0), hx)
            return output.squeeze(1 if self.batch_first else 0), final
        before: Any = (hx,) if isinstance(hx, Tensor) else hx
        dtypes: tuple[torch.dtype, ...] = ()
        if autocast or not stepper.fits(input, before):
            check_inputs(input, None, self.input_size, self.batch_first, self.any_weight)
            before = None
            if hx is not None:
                before = check_states(hx, self.cell.states, self._state_shapes(batch), False, self.any_weight)
            if autocast:
                dtypes = self._autocast_dtypes(input, before, packed=False)
                input = input.to(stepper.dtype)
                before = None if before is None else tuple(state.to(stepper.dtype) for state in before)
            if before is None:
                before = tuple(input.new_zeros(shape) for shape in stepper.shapes)
            input, before = input.resolve_neg(), tuple(state.resolve_neg() for state in before)
        output, after = stepper(input, before)
        if dtypes:
            output = output.to(dtypes[0])
            after = tuple(state.to(dtype) for state, dtype in zip(after, dtypes, strict=True))
        return output, after if len(after) > 1 else after[0]

    def _stepper(self, batch: int) -> Stepper | None:
        """The prepared step for a batch size; None if it cannot be prepared."""
        key = batch, self.training, self.engine, threading.get_ident()  # a call's arguments belong to one thread
        stepper = self.steppers.get(key)
        cell = self.cells[self.training][0]
        if stepper is None or not stepper.is_valid(self._parameters):
            layers = [self.parameters_of(layer, self.suffixes(layer)[0]) for layer in range(self.num_layers)]
            if not batch or not self._can_prepare(layers):
                return None
            kernel = kernel_of(cell, self.any_weight.dtype)
            assert isinstance(kernel, Kernel)
            weights = [{name: layer.get(name) for name in cell.weight_names()} for layer in layers]
            for layer in range(self.num_layers):
                check_weights(weights[layer], self.weight_shapes[layer], layer, self.any_weight)
            tensors = [list(by_name.values()) for by_name in weights]
            stacked = self.suffixes(0) != [""]
            stepper = Stepper(kernel, cell, self.hidden_size, batch, tensors, self._parameters, stacked)
            self.steppers[key] = stepper
        check_unchanged(cell)
        return stepper

    def _can_prepare(self, layers: list[dict[str, Tensor]]) -> bool:
        """Whether a step can be prepared: a compiled cell, with nothing around it but the stack, and weights that are
        parameters, not computed from others (pruned, normalised, low rank)."""
        cell = self.cells[self.training][0]
        return (
            self.backend == "native"
            and self.connections == "plain"
            and not (self.training and (self.dropout or self.weight_dropout))
            and not cell.noise_inputs
            and not cell.reworks
            and all(
                isinstance(weight, nn.Parameter) and weight.is_contiguous()
                for layer in layers
                for weight in layer.values()
            )
        )

    # --- the rest of torch's interface

    @property
    def mode(self) -> str:
        """What torch calls the cell: `LSTM`, `GRU`, `RNN_TANH` or `RNN_RELU`.

        Raises:
            AttributeError: torch does not have it.
        """
        mode = self.cell.torch_mode
        if mode is None:
            raise AttributeError(f"a {type(self).__name__} has no mode: torch does not have its cell")
        return mode

    @property
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters of each layer and direction, as torch lists them."""
        return [
            list(self.parameters_of(layer, suffix).values())
            for layer in range(self.num_layers)
            for suffix in self.suffixes(layer)
        ]

    def flatten_parameters(self) -> None:
        """Do nothing: no engine needs the parameters in one piece of memory; torch's own layers get copies that are."""

    @property
    def _flat_weights(self) -> list[Tensor]:
        """All parameters in one list, which code written for torch's layers reads."""
        return [weight for weights in self.all_weights for weight in weights]

    @property
    def _flat_weights_names(self) -> list[str]:
        """The names of `_flat_weights`."""
        return [name for names in self._all_weights for name in names]

    @property
    def _all_weights(self) -> list[list[str]]:
        """The names of `all_weights`."""
        return [
            [name + suffix for name in self.names[layer]]
            for layer in range(self.num_layers)
            for suffix in self.suffixes(layer)
        ]

    def check_input(self, input: Tensor, batch_sizes: Tensor | None) -> None:
        """Check an input `[T, B, I]`, or `[rows, I]` with the `batch_sizes` of a `PackedSequence`.

        Raises:
            InputError: its rank or its number of features.
            InputTypeError: its dtype or device.
        """
        ndim = 3 if batch_sizes is None else 2
        if input.ndim != ndim:
            raise InputError(f"input must have {ndim} dimensions, got shape {list(input.shape)}")
        check_features(input, self.input_size)
        check_like(input, self.any_weight, "input")

    def _state_shapes(self, batch: int) -> list[tuple[int, int, int]]:
        """The shape of each state, `[L·D, B, W]`."""
        count = self.num_layers * self.directions
        return [(count, batch, width) for width in self.cell.state_sizes(self.hidden_size)]

    def _expected_state_shapes(self, input: Tensor, batch_sizes: Tensor | None) -> list[tuple[int, int, int]]:
        """The shape of each state for an input."""
        batch = input.shape[0 if self.batch_first else 1] if batch_sizes is None else int(batch_sizes[0])
        return self._state_shapes(batch)

    def get_expected_hidden_size(self, input: Tensor, batch_sizes: Tensor | None) -> tuple[int, int, int]:
        """The shape of the hidden state h for an input: `[L·D, B, H]`, or `[L·D, B, P]` if projected."""
        return self._expected_state_shapes(input, batch_sizes)[0]

    def check_hidden_size(
        self, hx: Tensor, expected_hidden_size: tuple[int, int, int], msg: str = "state must have shape {}, got {}"
    ) -> None:
        """Check the shape of a state; `msg` has places for the expected shape and that received.

        Raises:
            InputError: the shapes differ.
        """
        if tuple(hx.shape) != tuple(expected_hidden_size):
            raise InputError(msg.format(expected_hidden_size, list(hx.shape)))

    def check_forward_args(self, input: Tensor, hidden: States, batch_sizes: Tensor | None) -> None:
        """Check an input, as `check_input` does, and the initial states.

        Raises:
            InputError: a shape that does not fit.
            InputTypeError: a dtype or device that does not fit.
        """
        self.check_input(input, batch_sizes)
        states = (hidden,) if isinstance(hidden, Tensor) else hidden
        names = self.cell.states
        if len(states) != len(names):
            raise InputError(f"there must be {len(names)} states ({', '.join(names)}), got {len(states)}")
        for name, state, shape in zip(names, states, self._expected_state_shapes(input, batch_sizes), strict=True):
            self.check_hidden_size(state, shape, f"state {name} must have shape {{}}, got {{}}")

    def permute_hidden(self, hx: States, permutation: Tensor | None) -> States:
        """States with their sequences in another order, as `PackedSequence` sorts them."""
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(state.index_select(1, permutation) for state in hx)

    def to_torch(self) -> nn.RNNBase:
        """The layer of `torch.nn` with the same weights.

        Raises:
            ValueError: torch has no such layer.
        """
        if reason := fused.unsupported_reason(self.cell, vars(self)):
            raise ValueError(f"there is no torch.nn layer that computes this: {reason}")
        return fused.torch_layer(self)

    @classmethod
    def from_torch(cls, layer: nn.RNNBase, **options: Any) -> Self:
        """This layer with the weights of one of `torch.nn`.

        Raises:
            ValueError: `layer` is of another kind.
        """
        try:
            result = cls(**fused.common_arguments(layer), **(options | fused.special_arguments(layer)))
        except TypeError:
            result = None
        if result is None or result.cell.torch_mode != layer.mode:
            name = f"torch.nn.{type(layer).__name__}"
            raise ValueError(f"{cls.__name__} cannot take the weights of a {name} ({layer.mode})")
        result.load_state_dict({name: getattr(layer, name) for name in fused.weight_names(layer)})
        return result.train(layer.training)

    def extra_repr(self) -> str:
        """The arguments that differ from their defaults, those of the cell among them."""
        defaults = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False,
            "connections": "plain", "variational_dropout": 0.0, "zoneout": (0.0,) * len(self.cell.states),
            "weight_dropout": 0.0, "recurrent_init": "torch", "chrono": None, "engine": None, "checkpoint_steps": None,
            "bptt": None,
        }  # fmt: skip
        changed = {name: getattr(self, name) for name, default in defaults.items() if getattr(self, name) != default}
        for name in sorted(self.cell_options()):
            if (value := getattr(self.cell, name, None)) != getattr(type(self.cell), name, None):
                changed[name] = value
        cell = [f"cell={type(self.cell).__name__}"] if self.cell_class is None else []
        arguments = [f"{name}={value!r}" for name, value in changed.items()]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *cell, *arguments])
