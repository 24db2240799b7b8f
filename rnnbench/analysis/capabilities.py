"""What a trained model can be asked, by its objective."""

from typing import Any

from rnnbench.errors import RnnbenchError
from rnnbench.nn import Recurrent
from rnnbench.objectives import (
    Captioning,
    Classification,
    Ctc,
    Forecast,
    LanguageModel,
    MultiLabelFrames,
    Objective,
    Regression,
    SequenceToSequence,
    Tagging,
)

KINDS: list[tuple[type[Objective], str, tuple[str, ...]]] = [
    (LanguageModel, "a language model", ("generate", "score")),
    (MultiLabelFrames, "a model of polyphonic music", ("generate",)),
    (Tagging, "a tagger", ("classify",)),
    (Classification, "a classifier", ("classify",)),
    (Captioning, "a model of captions", ("caption",)),
    (SequenceToSequence, "a translator", ("translate",)),
    (Ctc, "a transcriber", ("transcribe",)),
    (Forecast, "a forecaster", ("forecast",)),
    (Regression, "a model of values", ()),
]
"""Objectives, those that derive from another before it; what a model of each is; the verbs that ask it."""


def abilities(model: Any) -> tuple[str, tuple[str, ...]]:
    """What a model is, and the verbs that it answers: those that ask it, and `gates` if it has any."""
    objective = getattr(model, "objective", None)
    for cls, what, verbs in KINDS:
        if isinstance(objective, cls) and hasattr(model, "inference"):
            return what, (*verbs, "gates") if isinstance(model.layer, Recurrent) else verbs
    return f"a {type(model).__name__} of objective {type(objective).__name__}", ()


def check_able(model: Any, verb: str, *others: str) -> None:
    """Refuse a verb that a model has no answer to; it has one to `others` too.

    Raises:
        RnnbenchError: it is of another objective.
    """
    what, own = abilities(model)
    verbs = (*own, *others)
    if verb not in verbs:
        raise RnnbenchError(f"this run is {what}; it can: {', '.join(verbs) or 'be shown (rnnbench show)'}")
