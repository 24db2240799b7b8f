"""Values that the arguments of a `SequenceModule` may have, alone and together."""

from typing import Any

from rnnbench.architectures.embedding import check_embedding
from rnnbench.errors import Infeasible, unknown
from rnnbench.nn.decoder import ATTENTIONS
from rnnbench.objectives import Objective


def check_settings(p: Any, least_layers: int) -> None:
    """Refuse a value out of its range; `p` are the arguments by name, `least_layers` the smallest `num_layers`.

    Raises:
        ValueError: a value is out of its range.
        RnnbenchError: an unknown name.
    """
    for name, least in (("hidden_size", 1), ("num_layers", least_layers), ("embedding_size", 1)):
        if p[name] < least:
            raise ValueError(f"{name} must be at least {least}, got {p[name]}")
    for name in ("learning_rate", "clip_norm", "clip_value"):
        if p[name] is not None and not p[name] > 0:
            raise ValueError(f"{name} must be greater than 0, got {p[name]}")
    for name in ("weight_decay", "warmup_steps", "activation_penalty", "temporal_penalty"):
        if p[name] < 0:
            raise ValueError(f"{name} must be at least 0, got {p[name]}")
    if p.teacher_forcing is not None and not 0 <= p.teacher_forcing <= 1:
        raise ValueError(f"teacher_forcing must be at least 0 and at most 1, got {p.teacher_forcing}")
    check_embedding(p.embedding)
    if p.attention not in ATTENTIONS:
        raise unknown("attention", p.attention, ATTENTIONS)
    for name in ("dropout", "momentum"):
        if not 0 <= p[name] < 1:
            raise ValueError(f"{name} must be at least 0 and less than 1, got {p[name]}")


def check_decoding(objective: type[Objective], p: Any, name: str, stateful: bool) -> None:
    """Refuse an objective that runs the layers itself where that cannot be done.

    Raises:
        Infeasible: no states to decode from, or a penalty on states that are not seen.
    """
    if objective.decodes and not stateful:
        raise Infeasible(f"objective {p.objective!r} needs final states to decode from: {name} has none")
    if objective.unrolls and (p.activation_penalty or p.temporal_penalty):
        raise Infeasible(f"objective {p.objective!r} runs the layers itself: no penalty on their states can be added")
