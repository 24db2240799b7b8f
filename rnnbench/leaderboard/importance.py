"""Which hyper-parameters a score depends on: functional analysis of variance over the trials that there are."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.config.search_space import Dimension
from rnnbench.errors import RnnbenchError
from rnnbench.utils.extras import check_extra

MIN_TRIALS = 4
"""Fewer say nothing."""
SEED = 0
"""Of the random forest."""
INTERACTIONS = "(interactions)"


def importances(
    dimensions: Mapping[str, Dimension], points: Sequence[Mapping[str, Any]], scores: Sequence[float]
) -> dict[str, float]:
    """The share of the variance of `scores` that each hyper-parameter explains by itself, largest first.

    fANOVA (Hutter, Hoos & Leyton-Brown 2014): a random forest is fitted to the scores, and its variance over the whole
    space is split into main effects; what is left, that of hyper-parameters together, is the last entry.

    Raises:
        RnnbenchError: too few scores, or all the same; optuna or scikit-learn is not installed.
    """
    if len(scores) < MIN_TRIALS or len({*scores}) < 2:
        raise RnnbenchError(f"{MIN_TRIALS} trials with different scores are needed, there are {len({*scores})}")
    optuna = _optuna()
    distributions = {name: _distribution(one) for name, one in dimensions.items()}
    study = optuna.create_study()
    for point, score in zip(points, scores, strict=True):
        study.add_trial(optuna.trial.create_trial(params=dict(point), distributions=distributions, value=score))
    by_name = optuna.importance.FanovaImportanceEvaluator(seed=SEED).evaluate(study)
    shares = dict(sorted(((name, float(share)) for name, share in by_name.items()), key=lambda one: -one[1]))
    return {**shares, INTERACTIONS: max(0.0, 1 - sum(shares.values()))}


def _distribution(dimension: Dimension) -> Any:
    distributions = _optuna().distributions
    if dimension.choice is not None:
        return distributions.CategoricalDistribution(dimension.choice)
    if dimension.int_uniform is not None:
        return distributions.IntDistribution(*dimension.int_uniform)
    low, high = dimension.log_uniform or dimension.uniform or (0.0, 1.0)
    return distributions.FloatDistribution(float(low), float(high), log=dimension.log_uniform is not None)


def _optuna() -> Any:
    """The library.

    Raises:
        RnnbenchError: it is not installed.
    """
    check_extra("tune", "importance")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it imports
        import optuna
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
