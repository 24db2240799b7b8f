"""Running a stack: layer by layer, direction by direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.utils.checkpoint import checkpoint

from rnnbench.nn.checks import check_weights
from rnnbench.nn.compiler.custom_op import run_opaque
from rnnbench.nn.compiler.dispatch import Result, run
from rnnbench.nn.compiler.loops import is_recorded
from rnnbench.nn.compiler.sequence import Pass, first_size

if TYPE_CHECKING:
    from rnnbench.nn.recurrent import Recurrent

States = tuple[Tensor, ...]


def run_stack(
    layer: Recurrent, engine: str, data: Tensor, states: States | None, packed: PackedSequence | None, batch: int,
    outside: Tensor | None = None,
) -> tuple[Tensor, States]:  # fmt: skip
    """Output of the top layer and final states `[L·D, B, W]`; `data` is `[T, B, I]`, or `[rows, I]` if packed.

    `outside` `[T, B, 1]` says what is padding, where `torch.export` records the layer.
    """
    first, final = data, []
    for k in range(layer.num_layers):
        if k and layer.connections == "skip":
            data = torch.cat([data, first], -1)
        data = _masked(layer, data, batch, packed)
        outputs = []
        for direction, suffix in enumerate(layer.suffixes(k)):
            place = k * layer.directions + direction
            begin = None if states is None else tuple(state[place] for state in states)
            output, end = _direction(layer, engine, k, suffix, data, begin, packed, batch, outside)
            outputs.append(output)
            final.append(end)
        result = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
        data = result + data if k and layer.connections == "residual" else result
        if layer.dropout and k < layer.num_layers - 1:
            data = F.dropout(data, layer.dropout, layer.training)
    return data, tuple(torch.stack(parts) for parts in zip(*final, strict=True))


def _direction(
    layer: Recurrent, engine: str, k: int, suffix: str, data: Tensor, states: States | None,
    packed: PackedSequence | None, batch: int, outside: Tensor | None,
) -> tuple[Tensor, States]:  # fmt: skip
    cell, name = layer.cells[layer.training]
    parameters = layer.parameters_of(k, suffix)
    if layer.weight_dropout and layer.training and "weight_hh" in parameters:
        parameters["weight_hh"] = F.dropout(parameters["weight_hh"], layer.weight_dropout)
    given = cell.operands(parameters)
    names = ("weight_ih", "weight_hh", *cell.matrices, "bias_ih", "bias_hh", *cell.vectors)
    used = {one: given.get(one) for one in names}
    check_weights(layer, k, used, data)
    weights = list(used.values())
    reverse, sizes = suffix.endswith("reverse"), None if packed is None else packed.batch_sizes
    raws = cell.draw(data, batch, layer.hidden_size, (layer.zoneout, layer.variational_dropout))

    def part(inputs: Tensor, before: tuple[Tensor | None, ...], raws: States, sizes: Tensor | None) -> Result:
        rows = batch if sizes is None else first_size(sizes)
        one = Pass(cell, layer.hidden_size, rows, inputs.shape[0], sizes, reverse, raws, outside)
        if engine == "opaque":
            return run_opaque(name, one, inputs, [*before, *weights])
        return run(engine, one, inputs, [*before, *weights])

    before: tuple[Tensor | None, ...] = states or (None,) * len(cell.states)
    every = layer.bptt or (None if packed else layer.checkpoint_steps)
    if is_recorded():
        every = None  # what is exported need not be trained, and its number of steps stays open
    if every is None or len(data if sizes is None else sizes) <= every:
        sequences, final = part(data, before, raws, sizes)
    else:
        if packed is not None:  # rows come and go: there have to be states of all
            widths = cell.state_sizes(layer.hidden_size)
            before = states or tuple(data.new_zeros(batch, width) for width in widths)
        sequences, final = _in_blocks(layer, part, every, data, before, raws, sizes, reverse)
    return cell.readout(sequences, data, parameters), final


def _in_blocks(
    layer: Recurrent, part: Callable[..., Result], every: int, data: Tensor, states: tuple[Tensor | None, ...],
    raws: States, sizes: Tensor | None, reverse: bool,
) -> Result:  # fmt: skip
    """A pass in blocks of steps, whose gradients end where they begin (`bptt`), or that are computed again
    (`checkpoint_steps`)."""
    steps = len(data) if sizes is None else len(sizes)
    offset = range(steps + 1) if sizes is None else [0, *sizes.cumsum(0).tolist()]
    pieces: list[States] = []
    starts = range(0, steps, every)
    for start in reversed(starts) if reverse else starts:
        stop = min(start + every, steps)
        rows, count = slice(offset[start], offset[stop]), None if sizes is None else int(sizes[start])
        cut = tuple(raw[rows] if len(raw) == len(data) and raw.ndim == data.ndim else raw[:count] for raw in raws)
        begin = tuple(None if state is None else state[:count] for state in states)
        if layer.bptt and pieces:
            begin = tuple(state.detach() for state in begin if state is not None)
        arguments = (data[rows], begin, cut, None if sizes is None else sizes[start:stop])
        piece, end = checkpoint(part, *arguments, use_reentrant=False) if layer.checkpoint_steps else part(*arguments)
        states = tuple(
            new if count is None or old is None else torch.cat([new, old[count:]])
            for new, old in zip(end, states, strict=True)
        )
        pieces.append(piece)
    ordered = pieces[::-1] if reverse else pieces
    return tuple(torch.cat(column) for column in zip(*ordered, strict=True)), states  # type: ignore[return-value]


def _masked(layer: Recurrent, data: Tensor, batch: int, packed: PackedSequence | None) -> Tensor:
    """Variational dropout of a layer's input: one mask a sequence."""
    if not (layer.training and layer.variational_dropout):
        return data
    mask = F.dropout(data.new_ones(batch, data.shape[-1]), layer.variational_dropout)
    if packed is None:
        return data * mask
    sizes = packed.batch_sizes
    begins = torch.repeat_interleave(sizes.cumsum(0) - sizes, sizes)  # of each row, the first row of its step
    rows = torch.arange(data.shape[0]) - begins
    return data * mask[rows.to(data.device)]
