"""Objectives: what a task asks of a sequence model. Head, loss and metrics for one kind of question."""

from rnnbench.objectives.base import Objective, find_objective
from rnnbench.objectives.classification import Classification, Tagging
from rnnbench.objectives.regression import Forecast, Regression

__all__ = ["Classification", "Forecast", "Objective", "Regression", "Tagging", "find_objective"]
