"""Types of numbers under autocast: those that torch's own layers give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from rnnbench.nn.layer import Recurrent

_ONEDNN = torch.backends.mkldnn.is_available()
"""Whether torch runs an LSTM on the CPU by oneDNN, whatever its states, in autocast's type."""


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for a device; torch knows no autocast for some."""
    return device.type in ("cpu", "cuda", "mps", "xpu") and torch.is_autocast_enabled(device.type)


def result_dtype(layer: Recurrent, inputs: Tensor, states: Sequence[Tensor] | None, packed: bool) -> torch.dtype:
    """The type of output and final states under autocast, from `inputs` and initial `states` as they were given.

    It is the one that torch's layer has: on the CPU a GRU and an LSTM give the wider of autocast's type and that of
    their state (of the input where no state is given), since a new state is a sum with the old one; an LSTM that
    oneDNN runs (inputs of float32 or bfloat16, neither packed nor projected), an Elman network, everything on a GPU,
    and cells that torch does not have give autocast's type. A float64 layer gives float64.
    """
    if layer.any_weight.dtype == torch.float64:
        return torch.float64
    lower = torch.get_autocast_dtype(inputs.device.type)
    mode = layer.cell.torch_mode
    if inputs.device.type != "cpu" or mode not in ("LSTM", "GRU"):
        return lower
    if mode == "LSTM" and _ONEDNN and not packed and not layer.proj_size and inputs.numel():
        if inputs.dtype in (torch.float32, torch.bfloat16):
            return lower
    return torch.promote_types(lower, inputs.dtype if states is None else states[-1].dtype)
