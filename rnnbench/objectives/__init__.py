"""Objectives: what a task asks of a sequence model. Head, loss and metrics for one kind of question."""

from rnnbench.objectives.base import Objective, find_objective
from rnnbench.objectives.classification import (
    CharacterModel,
    Classification,
    LanguageModel,
    MultiLabelFrames,
    OrdinalClassification,
    Tagging,
)
from rnnbench.objectives.ctc import Ctc
from rnnbench.objectives.next_symbols import NextSymbols
from rnnbench.objectives.probabilistic import (
    GaussianForecast,
    GaussianHorizonForecast,
    QuantileForecast,
    QuantileHorizonForecast,
)
from rnnbench.objectives.regression import Forecast, HorizonForecast, Regression
from rnnbench.objectives.sequence_to_sequence import Captioning, Pronunciation, SequenceToSequence

__all__ = [
    "Captioning",
    "CharacterModel",
    "Classification",
    "Ctc",
    "Forecast",
    "GaussianForecast",
    "GaussianHorizonForecast",
    "HorizonForecast",
    "LanguageModel",
    "MultiLabelFrames",
    "NextSymbols",
    "Objective",
    "OrdinalClassification",
    "Pronunciation",
    "QuantileForecast",
    "QuantileHorizonForecast",
    "Regression",
    "SequenceToSequence",
    "Tagging",
    "find_objective",
]
