"""From the trials of a grid to its tuned runs: a pure function of validation scores."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

from rnnbench.config.cards import Direction, TaskCard
from rnnbench.config.grid import GridSpec, RunSpec
from rnnbench.config.search_space import Selected
from rnnbench.records.record import Record
from rnnbench.utils.fingerprint import digest


def best(scores: Mapping[int, float], direction: Direction) -> int | None:
    """The index with the best score, of equal ones the lowest; None if there is no score."""
    sign = 1 if direction == "minimise" else -1
    return min(scores, key=lambda index: (sign * scores[index], index), default=None)


def study_of(spec: RunSpec) -> str:
    """What trials have in common that are compared with each other, and with the run that is selected among them.

    Nothing for a run that is neither.
    """
    design = spec.trial or spec.selected
    return "" if design is None else digest([spec.setting, design.design])


def runs_of(grid: GridSpec, records: Mapping[str, Record]) -> list[RunSpec]:
    """All runs of a grid that are known so far: `expand()`, and the tuned runs of those whose trials have all ended.

    Raises:
        RnnbenchError: what `expand` refuses.
    """
    specs = grid.expand()
    return specs if grid.tune is None else [*specs, *_tuned(grid, specs, records)]


def awaited(grid: GridSpec, todo: Iterable[RunSpec]) -> int:
    """How many tuned runs may follow on the trials among the runs that are to do."""
    return len({study_of(spec) for spec in todo if spec.trial}) * len(grid.seed_list)


def _tuned(grid: GridSpec, specs: Iterable[RunSpec], records: Mapping[str, Record]) -> list[RunSpec]:
    runs_of_studies = [tuned_runs(grid, trials, records) for trials in _studies(specs).values()]
    return [run for of_a_seed in zip(*(runs for runs in runs_of_studies if runs), strict=True) for run in of_a_seed]


def tuned_runs(grid: GridSpec, trials: Sequence[RunSpec], records: Mapping[str, Record]) -> list[RunSpec]:
    """The runs of what the trials of one study have selected, one a seed; none as long as `select` gives nothing."""
    chosen = select(trials, records)
    return [] if chosen is None else _with_own_budget(grid, chosen)


def runs_without_score(
    grid: GridSpec, specs: Iterable[RunSpec], records: Mapping[str, Record]
) -> list[tuple[RunSpec, Record]]:
    """The runs that would have been selected in studies all of whose trials have ended, none with a score; and a record
    that says why. `specs` are those of the grid that are on record."""
    found = []
    for trials in _studies(specs).values():
        wanted = grid.tune.trials * len(grid.tune.seed_list) if grid.tune else 0
        if len(trials) == wanted and select(trials, records) is None:
            record = records[trials[0].id]
            if not any(records[spec.id].unprepared for spec in trials):
                found += [(run, record) for run in _with_own_budget(grid, _selected(trials, trials[0]))]
    return found


def _with_own_budget(grid: GridSpec, chosen: RunSpec) -> list[RunSpec]:
    """What the trials of a grid have selected, one run a seed."""
    assert chosen.selected is not None
    assert grid.tune is not None
    card = next(card for card in map(TaskCard.load, grid.tasks) if card.name == chosen.task.name)
    selected = chosen.selected.model_copy(update={"share": grid.tune.share})
    run = chosen.model_copy(update={"selected": selected, "budget": grid.budget_of(card)})
    return [run.model_copy(update={"seed": seed}) for seed in grid.seed_list]


def _studies(specs: Iterable[RunSpec]) -> dict[str, list[RunSpec]]:
    """The trials among some runs, by study."""
    studies: dict[str, list[RunSpec]] = defaultdict(list)
    for spec in specs:
        if spec.trial is not None:
            studies[study_of(spec)].append(spec)
    return studies


def select(trials: Sequence[RunSpec], records: Mapping[str, Record]) -> RunSpec | None:
    """The configuration with the best mean validation score over its seeds, frozen, with the budget of the trials; of
    equal ones the first.

    None as long as a trial has not ended. One that failed with a seed is never chosen; None if all did.
    """
    if not all(spec.id in records and not records[spec.id].unprepared for spec in trials):
        return None
    scores = scores_of((spec.trial.index, records[spec.id].headline_score) for spec in trials if spec.trial)
    index = best(scores, trials[0].task.direction)
    if index is None:
        return None
    return _selected(trials, next(spec for spec in trials if spec.trial is not None and spec.trial.index == index))


def _selected(trials: Sequence[RunSpec], one: RunSpec) -> RunSpec:
    """The run of one of the trials, as what was selected among them."""
    assert one.trial is not None
    number = len({spec.trial.index for spec in trials if spec.trial is not None})
    selected = Selected(**one.trial.model_dump(), trials=number, by=f"validation {one.task.metric}")
    return one.model_copy(update={"trial": None, "selected": selected})


def scores_of(trials: Iterable[tuple[int, float | None]]) -> dict[int, float]:
    """Mean validation score of each trial, by its index, that has one with every seed it was tried with."""
    by_index: dict[int, list[float | None]] = defaultdict(list)
    for index, score in trials:
        by_index[index].append(score)
    whole = {index: [one for one in some if one is not None] for index, some in sorted(by_index.items())}
    return {index: fmean(some) for index, some in whole.items() if len(some) == len(by_index[index])}
