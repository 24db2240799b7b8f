"""Types of numbers under autocast: those that torch's own layers give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from rnnbench.nn.recurrent import Recurrent

_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
"""Whether torch runs an LSTM on the CPU by oneDNN, whatever its states, in autocast's type."""


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for a device; torch knows no autocast for some."""
    return device.type in ("cpu", "cuda", "mps", "xpu") and torch.is_autocast_enabled(device.type)


def result_dtypes(
    layer: Recurrent, inputs: Tensor, states: Sequence[Tensor] | None, packed: bool
) -> tuple[torch.dtype, ...]:
    """The type of each final state under autocast, from `inputs` and initial `states` as they were given; the output
    is of the first.

    Types are those of torch's layer: a product of matrices gives autocast's type, a sum with the old state the wider of
    autocast's type and the state's (the input's where no state is given). So on the CPU an Elman network gives
    autocast's type; a GRU and an LSTM (but h of a projected one) give the wider one. An LSTM that oneDNN runs (inputs
    of float32 or bfloat16, neither packed nor projected), everything on a GPU, and cells that torch does not have give
    autocast's type. A float64 layer gives float64.
    """
    count, lower = len(layer.cell.states), torch.get_autocast_dtype(inputs.device.type)
    if layer.any_weight.dtype == torch.float64:
        return (torch.float64,) * count
    mode = layer.cell.torch_mode if inputs.device.type == "cpu" else None
    wider = torch.promote_types(lower, inputs.dtype if states is None else states[-1].dtype)
    if mode == "GRU":
        return (wider,)
    if mode == "LSTM" and layer.proj_size:
        return lower, wider
    by_onednn = _ONEDNN and not packed and inputs.numel() > 0 and inputs.dtype in (torch.float32, torch.bfloat16)
    return (wider if mode == "LSTM" and not by_onednn else lower,) * count
