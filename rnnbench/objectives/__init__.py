"""Objectives: what a task asks of a sequence model. Head, loss and metrics for one kind of question."""

from rnnbench.objectives.base import Objective, find_objective
from rnnbench.objectives.classification import Classification, OrdinalClassification, Tagging
from rnnbench.objectives.ctc import Ctc
from rnnbench.objectives.frames import MultiLabelFrames
from rnnbench.objectives.horizon import HorizonForecast
from rnnbench.objectives.language import CharacterModel, LanguageModel
from rnnbench.objectives.regression import Forecast, Regression
from rnnbench.objectives.sequences import Captioning, SequenceToSequence

__all__ = [
    "Captioning",
    "CharacterModel",
    "Classification",
    "Ctc",
    "Forecast",
    "HorizonForecast",
    "LanguageModel",
    "MultiLabelFrames",
    "Objective",
    "OrdinalClassification",
    "Regression",
    "SequenceToSequence",
    "Tagging",
    "find_objective",
]
