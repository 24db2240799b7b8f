"""What torch does with the operations that run now: whether it records, autocasts or transforms them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad


def is_traced() -> bool:
    """Whether `torch.jit.trace` makes a program of what is run."""
    return torch.jit.is_tracing()  # type: ignore[attr-defined,no-any-return,no-untyped-call]


def is_recorded() -> bool:
    """Whether `torch.export` or `torch.jit.trace` makes a program of what is run, to be called with other sizes."""
    return torch.compiler.is_exporting() or is_traced()


def is_autocast(device: torch.device) -> bool:
    """Whether autocast is on for a device; torch knows no autocast for some."""
    return device.type in ("cpu", "cuda", "mps", "xpu") and torch.is_autocast_enabled(device.type)


def is_transformed() -> bool:
    """Whether a transform of `torch.func` is at work: torch has no rule of `vmap` for its own LSTM cell."""
    return bool(torch._C._are_functorch_transforms_active())


def is_eager(*tensors: Tensor | None) -> bool:
    """Whether all are tensors with numbers in memory, and only autograd, backwards, follows what is done with them."""
    if (
        torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or has_dispatch_modes()  # they see every operation: `make_fx` records, others count or replace them
        or is_tracing()  # `torch.jit.trace` would not see the operations of a kernel
    ):
        return False
    return all(t is None or (type(t) in (Tensor, nn.Parameter) and not is_legacy_batched(t)) for t in tensors)


has_dispatch_modes = torch._C._len_torch_dispatch_stack
is_tracing = torch._C._is_tracing
is_legacy_batched = torch._C._functorch.is_legacy_batchedtensor
"""Whether a tensor stands for many, as gradients do under `is_grads_batched`."""
