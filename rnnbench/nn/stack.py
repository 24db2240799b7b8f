"""Running a stack: layer by layer, direction by direction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.utils.checkpoint import checkpoint

from rnnbench.nn.engine.opaque import run_opaque
from rnnbench.nn.engine.run import Result, run
from rnnbench.nn.engine.sequence import Pass

if TYPE_CHECKING:
    from rnnbench.nn.layer import Recurrent

States = tuple[Tensor, ...]


def run_stack(
    layer: Recurrent, engine: str, data: Tensor, states: States | None, packed: PackedSequence | None, batch: int
) -> tuple[Tensor, States]:
    """Output of the top layer and final states `[L·D, B, W]`; `data` is `[T, B, I]`, or `[rows, I]` if packed."""
    first, final = data, []
    for k in range(layer.num_layers):
        if k and layer.connections == "skip":
            data = torch.cat([data, first], -1)
        data = _masked(layer, data, batch, packed)
        outputs = []
        for direction, suffix in enumerate(layer.suffixes(k)):
            place = k * layer.directions + direction
            begin = None if states is None else tuple(state[place] for state in states)
            output, end = _direction(layer, engine, k, suffix, data, begin, packed, batch)
            outputs.append(output)
            final.append(end)
        result = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
        data = result + data if k and layer.connections == "residual" else result
        if layer.dropout and k < layer.num_layers - 1:
            data = F.dropout(data, layer.dropout, layer.training)
    return data, tuple(torch.stack(parts) for parts in zip(*final, strict=True))


def _direction(
    layer: Recurrent, engine: str, k: int, suffix: str, data: Tensor, states: States | None,
    packed: PackedSequence | None, batch: int,
) -> tuple[Tensor, States]:  # fmt: skip
    cell, name = layer.cells[layer.training]
    parameters = layer.parameters_of(k, suffix)
    if layer.weight_dropout and layer.training and "weight_hh" in parameters:
        parameters["weight_hh"] = F.dropout(parameters["weight_hh"], layer.weight_dropout)
    given = cell.operands(parameters)
    weights = [
        given.get(one) for one in ("weight_ih", "weight_hh", *cell.matrices, "bias_ih", "bias_hh", *cell.vectors)
    ]
    reverse, sizes = suffix.endswith("reverse"), None if packed is None else packed.batch_sizes
    raws = cell.draw(data, batch, layer.hidden_size, (layer.zoneout, layer.variational_dropout))

    def part(inputs: Tensor, before: tuple[Tensor | None, ...], raws: States) -> Result:
        one = Pass(cell, layer.hidden_size, batch, inputs.shape[0], sizes, reverse, raws=raws)
        if engine == "opaque":
            return run_opaque(name, one, inputs, [*before, *weights])
        return run(engine, one, inputs, [*before, *weights])

    before: tuple[Tensor | None, ...] = states or (None,) * len(cell.states)
    every = None if torch.compiler.is_exporting() else layer.checkpoint_steps  # what is exported need not be trained
    if every is None or packed is not None or len(data) <= every:
        sequences, final = part(data, before, raws)
        return cell.readout(sequences, data, parameters), final
    pieces = []
    starts = range(0, len(data), every)
    for start in reversed(starts) if reverse else starts:
        cut = tuple(raw[start : start + every] if raw.ndim == 3 else raw for raw in raws)
        piece, before = checkpoint(part, data[start : start + every], before, cut, use_reentrant=False)
        pieces.append(piece)
    ordered = pieces[::-1] if reverse else pieces
    sequences = tuple(torch.cat(column) for column in zip(*ordered, strict=True))
    return cell.readout(sequences, data, parameters), before  # type: ignore[return-value]


def _masked(layer: Recurrent, data: Tensor, batch: int, packed: PackedSequence | None) -> Tensor:
    """Variational dropout of a layer's input: one mask a sequence."""
    if not (layer.training and layer.variational_dropout):
        return data
    mask = F.dropout(data.new_ones(batch, data.shape[-1]), layer.variational_dropout)
    if packed is None:
        return data * mask
    rows = torch.cat([torch.arange(int(n), device=data.device) for n in packed.batch_sizes])
    return data * mask[rows]
