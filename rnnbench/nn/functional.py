"""Functions of recurrent layers and of what they return: padded batches, means over steps, penalties."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnbench.nn.compiler.torch_mode import is_recorded
from rnnbench.nn.recurrent import Recurrent


def run_padded(layer: nn.Module, inputs: Tensor, lengths: Tensor | None) -> Tensor:
    """Hidden states of the top layer, `[B, T, D·H]`, zero beyond each sequence's length.

    `inputs` is `[B, T, I]`, `lengths` `[B]` (each at least 1) or None where nothing is padded; `layer` is a `Recurrent`
    or one of torch's, `batch_first`. What stands in the padding has no influence on the result.

    Sequences of different lengths run packed, so that no step is spent on padding. Only a layer that keeps its states
    every so many steps (`checkpoint_steps`, which a `PackedSequence` has not) runs over the padded tensor, if it reads
    forwards alone and thus sees the padding after a sequence has ended.

    Raises:
        ValueError: the layer is not `batch_first`, or lengths do not fit.
    """
    recurrent: Any = layer
    if lengths is None or is_recorded() or not getattr(layer, "checkpoint_steps", None) or recurrent.bidirectional:
        return run_padded_to_states(layer, inputs, lengths)[0]
    _check_padded(layer, inputs, lengths)
    beyond = (torch.arange(inputs.shape[1], device=inputs.device) >= lengths.unsqueeze(1)).unsqueeze(-1)
    # Zeroed on the way in as well: NaN in the padding would come back through the weights' gradient.
    return recurrent(inputs.masked_fill(beyond, 0.0))[0].masked_fill(beyond, 0.0)  # type: ignore[no-any-return]


def run_padded_to_states(
    layer: nn.Module, inputs: Tensor, lengths: Tensor | None, states: Any = None
) -> tuple[Tensor, Any]:
    """As `run_padded`, and the layer's states after the true last step of each sequence, as the layer gives them.

    Sequences begin in `states`, which a layer that reads forwards may go on from; zeros if None.

    Raises:
        ValueError: the layer is not `batch_first`, or lengths do not fit.
    """
    _check_padded(layer, inputs, lengths)
    if lengths is not None and torch.compiler.is_exporting() and isinstance(layer, Recurrent):
        return layer._forward_padded(inputs, states, lengths)  # type: ignore[return-value]
    length = inputs.shape[1]
    on_cpu = None if lengths is None else lengths.cpu()
    if on_cpu is None or (not is_recorded() and bool((on_cpu == length).all())):
        return layer(inputs, states)  # type: ignore[no-any-return]
    packed = pack_padded_sequence(inputs, on_cpu, batch_first=True, enforce_sorted=False)
    hidden, final = layer(packed, states)
    return pad_packed_sequence(hidden, batch_first=True, total_length=length)[0], final


def _check_padded(layer: nn.Module, inputs: Tensor, lengths: Tensor | None) -> None:
    if not getattr(layer, "batch_first", True):
        raise ValueError(
            f"padded inputs are [B, T, I], which this {type(layer).__name__} takes for [T, B, I]: "
            "make it with batch_first=True"
        )
    if lengths is None or is_recorded() or torch.compiler.is_compiling():
        return
    if lengths.shape != inputs.shape[:1]:
        raise ValueError(f"lengths must be one for each of {inputs.shape[0]} sequences, got {list(lengths.shape)}")
    if lengths.numel() and not (int(lengths.min()) >= 1 and int(lengths.max()) <= inputs.shape[1]):
        raise ValueError(
            f"lengths must be from 1 to {inputs.shape[1]}, the steps of the inputs, got {lengths.tolist()}"
        )


def mean_over_steps(hidden: Tensor, lengths: Tensor | None) -> Tensor:
    """The mean over the true steps of each sequence, `[B, H]`, of `hidden` `[B, T, H]`.

    `lengths` is `[B]` (each 1 to T), or None where nothing is padded. What stands in the padding has no influence.
    """
    if lengths is None:
        return hidden.mean(1)
    counts = lengths.to(hidden.device).unsqueeze(1)
    beyond = torch.arange(hidden.shape[1], device=hidden.device) >= counts
    return hidden.masked_fill(beyond.unsqueeze(-1), 0.0).sum(1) / counts


def activation_regularisation(
    output: Tensor, alpha: float = 2.0, beta: float = 1.0, batch_first: bool = False
) -> Tensor:
    """`α mean(h_t²) + β mean((h_{t+1} − h_t)²)`: activation and temporal activation regularisation.

    (Merity, McCann & Socher 2017, eq. 2 and 3, with means in the place of norms.) `output` is `[T, B, H]`, or
    `[B, T, H]` with `batch_first`; the result is a scalar to add to a loss.
    """
    steps = output.transpose(0, 1) if batch_first else output
    penalty = alpha * output.square().mean()
    return penalty + beta * (steps[1:] - steps[:-1]).square().mean() if len(steps) > 1 else penalty
