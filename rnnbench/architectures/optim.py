"""Optimisers and learning-rate schedules by name."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import LambdaLR

OptimizerName = Literal["adam", "adamw", "sgd", "rmsprop"]
ScheduleName = Literal["constant", "cosine", "linear"]

FUSED_DEVICES = {"cpu", "cuda", "mps", "xpu"}


def make_optimizer(
    name: OptimizerName,
    parameters: Iterable[Parameter],
    learning_rate: float,
    weight_decay: float = 0.0,
    momentum: float = 0.0,
    fused: bool = True,
) -> Optimizer:
    """The optimiser of that name, with torch's fused kernel where it exists (RMSprop has none)."""
    parameters = list(parameters)
    fused = fused and all(p.device.type in FUSED_DEVICES and p.is_floating_point() for p in parameters)
    makers: dict[str, Callable[..., Optimizer]] = {
        "adam": partial(Adam, fused=fused),
        "adamw": partial(AdamW, fused=fused),
        "sgd": partial(SGD, momentum=momentum, fused=fused),
        "rmsprop": partial(RMSprop, momentum=momentum),
    }
    return makers[name](parameters, lr=learning_rate, weight_decay=weight_decay)


def make_schedule(optimizer: Optimizer, name: ScheduleName, warmup_steps: int, total_steps: float) -> LambdaLR:
    """Linear warm-up over `warmup_steps`, then constant, or down to 0 at `total_steps` by a cosine or linearly.

    Raises:
        ValueError: a schedule that ends, with an unbounded number of steps or one within the warm-up.
    """
    if name != "constant" and not warmup_steps < total_steps < math.inf:
        raise ValueError(f"schedule {name!r} needs a run with a known number of steps, more than warmup_steps="
                         f"{warmup_steps}; this run has {total_steps}")  # fmt: skip

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if name == "constant":
            return 1.0
        done = min(1.0, (step - warmup_steps) / (total_steps - warmup_steps))
        return (1 + math.cos(math.pi * done)) / 2 if name == "cosine" else 1.0 - done

    return LambdaLR(optimizer, factor)
