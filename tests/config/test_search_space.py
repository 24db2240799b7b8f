"""Equal tuning: the same points for every architecture, selection by validation scores alone, the wall around tests."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightning.pytorch import LightningDataModule

from rnnbench.architectures import Elman
from rnnbench.config.cards import Direction
from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import read_yaml
from rnnbench.config.search_space import Dimension, Sampler, Space, Tune, deep_merge, points, trials_of
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.inline import InlineExecutor
from rnnbench.harness.executors.loop import NULL_DRIVER, NullDriver, Queue, Report
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.instantiate import SplitAccessError, make_data
from rnnbench.harness.job import Ended, Job
from rnnbench.harness.paths import Folders
from rnnbench.harness.preflight import check
from rnnbench.leaderboard.table import make_table
from rnnbench.records.folded import FoldedTrial
from rnnbench.records.record import Record
from rnnbench.records.selection import awaited, best, runs_of, study_of
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import conflicting_selections, unconfirmed_selections
from rnnbench.records.submissions.verify import compare
from rnnbench.records.trials import expected_best, studies
from tests.conftest import Silent
from tests.fixtures.records import done, lost
from tests.fixtures.trials import SPACE, answered, trial


@pytest.fixture
def space(tmp_path: Path) -> Callable[..., str]:
    """Writes a space and gives its path."""

    def write(**changes: Any) -> str:
        path = tmp_path / "space.yaml"
        path.write_text(yaml.safe_dump({**SPACE, **changes}))
        return str(path)

    return write


@pytest.fixture
def tuned(grid: Callable[..., GridSpec], space: Callable[..., str]) -> Callable[..., GridSpec]:
    """A small grid that is tuned."""

    def make(trials: int = 3, **changes: Any) -> GridSpec:
        return grid(**{"tune": {"trials": trials, "space": space()}, "architectures": ["elman", "lstm"], **changes})

    return make


# --- points


@pytest.mark.parametrize("sampler", ["sobol", "halton"])
def test_a_point_is_the_same_however_many_there_are(sampler: Sampler) -> None:
    assert points(sampler, 5) == points(sampler, 33)[:5]
    assert len(points(sampler, 33)) == 33


def test_points_are_those_of_earlier_versions() -> None:
    assert [point[:2] for point in points("sobol", 2)] == [
        pytest.approx([0.409949589, 0.964120219]),
        pytest.approx([0.808923796, 0.024243572]),
    ]


@pytest.mark.parametrize("coordinate", range(64))
def test_every_sixteenth_of_every_dimension_has_one_of_sixteen_points(coordinate: int) -> None:
    assert sorted(int(16 * point[coordinate]) for point in points("sobol", 16)) == list(range(16))


def test_architectures_share_the_values_of_shared_dimensions_and_have_their_own_beside() -> None:
    space = Space.read(SPACE, "space")
    elman, lstm = (trials_of(Tune(trials=16, space="s"), space, name) for name in ("elman", "lstm"))
    for one, other in zip(elman, lstm, strict=True):
        assert one.arguments == {key: other.arguments[key] for key in ("dropout", "learning_rate")}
        assert 1e-4 <= one.arguments["learning_rate"] <= 1
    counts = [[one.arguments["layer_options.forget_bias"] for one in lstm].count(value) for value in (0.0, 1.0, 2.0)]
    assert sorted(counts) == [5, 5, 6]
    assert elman[0].design != lstm[0].design


@pytest.mark.parametrize(
    ("dimension", "share", "value"),
    [
        ({"uniform": [2, 4]}, 0.25, 2.5),
        ({"log_uniform": [1e-4, 1e-2]}, 0.5, 1e-3),
        ({"int_uniform": [1, 3]}, 0.0, 1),
        ({"int_uniform": [1, 3]}, 0.999, 3),
        ({"choice": ["a", None, True]}, 0.34, None),
    ],
)
def test_a_share_of_the_way_through_a_dimension(dimension: dict[str, Any], share: float, value: Any) -> None:
    assert Dimension.read(dimension, "d").at(share) == value


@pytest.mark.parametrize(
    ("shared", "sentence"),
    [
        ({}, "should have at least 1 item"),
        ({"x": {}}, "give one of uniform, log_uniform, int_uniform, choice, got none"),
        ({"x": {"uniform": [0, 1], "choice": [1, 2]}}, "got uniform, choice"),
        ({"x": {"uniform": [1, 1]}}, "uniform goes from the lowest to the highest value, got [1, 1]"),
        ({"x": {"log_uniform": [0, 1]}}, "log_uniform has no values at 0 or below, got [0, 1]"),
        ({"x": {"choice": [1, 1.0]}}, "choice has a value twice"),
        ({"x": {"log_unifrom": [1, 2]}}, "unknown key 'log_unifrom'; did you mean 'log_uniform'?"),
        ({"layer_options.forget_bias": {"uniform": [0, 1]}}, "'layer_options.forget_bias' is shared"),
        ({"x": {"uniform": [1]}}, "x.uniform: give two numbers, the lowest and the highest value, got [1]"),
        ({"x": {"int_uniform": [1, 10**32]}}, f"x.int_uniform: {10**32} is beyond 1e+30"),
        ({"x": {"uniform": [-1e308, 1e308]}}, "x.uniform: -1e+308 is beyond 1e+30"),
        ({"x": {"uniform": [0.1, 10**400]}}, "is beyond 1e+30"),
        ({"x": {"choice": [1, 10**400]}}, "is beyond 1e+30"),
        ({"x": {"choice": [[1], 2]}}, "x.choice: give finite numbers, words, true, false or null, got [1]"),
        ({"x": {"choice": [1, 2]}, "x.y": {"uniform": [0, 1]}}, "'x.y' would override a value of 'x': tune one"),
        ({"layer_options": {"choice": [1, 2]}}, "would override a value of 'layer_options'"),
    ],
)
def test_a_space_that_is_none_is_refused(shared: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RnnbenchError) as caught:
        Space.read({**SPACE, "shared": shared}, "space")
    assert sentence in str(caught.value)


def test_arguments_are_laid_over_others_at_any_depth() -> None:
    base = {"a": 1, "options": {"b": 2}}
    assert deep_merge(base, {"a": 3, "options.c": 4, "new.d": 5}) == {
        "a": 3,
        "options": {"b": 2, "c": 4},
        "new": {"d": 5},
    }
    assert base == {"a": 1, "options": {"b": 2}}


# --- selection


@pytest.mark.parametrize(
    ("scores", "direction", "index"),
    [
        ({0: 3.0, 1: 1.0, 2: 2.0}, "minimise", 1),
        ({0: 3.0, 1: 1.0, 2: 2.0}, "maximise", 0),
        ({4: 1.0, 2: 1.0, 3: 5.0}, "minimise", 2),
        ({4: 1.0, 2: 1.0}, "maximise", 2),
        ({}, "minimise", None),
    ],
)
def test_the_best_score_is_selected_and_of_equal_ones_the_first(
    scores: dict[int, float], direction: Direction, index: int | None
) -> None:
    assert best(scores, direction) == index


def test_what_is_selected_is_run_once_a_seed_and_says_among_how_many_it_was(tuned: Callable[..., GridSpec]) -> None:
    grid = tuned(seeds=2)
    assert awaited(grid, grid.expand()) == 4
    records = answered(grid, [0.3, 0.1, 0.2])
    selected = [run for run in runs_of(grid, records) if run.selected]
    assert [(run.row, run.seed) for run in selected] == [
        ("elman tuned(3)", 0), ("lstm tuned(3)", 0), ("elman tuned(3)", 1), ("lstm tuned(3)", 1),
    ]  # fmt: skip
    trials = [run.trial for run in grid.expand() if run.trial and run.trial.index == 1]
    for run, chosen in zip(selected[:2], trials, strict=True):
        assert run.selected is not None
        assert (run.selected.index, run.selected.by) == (1, "validation mse")
        assert run.arguments["learning_rate"] == chosen.arguments["learning_rate"]
    assert awaited(grid, selected) == 0


def test_nothing_is_selected_before_every_trial_has_ended_nor_among_none_that_gave_a_score(
    tuned: Callable[..., GridSpec],
) -> None:
    grid = tuned(architectures=["elman"])
    records = answered(grid, [0.3, 0.1, 0.2])
    for missing in records:
        assert not [run for run in runs_of(grid, {k: v for k, v in records.items() if k != missing}) if run.selected]
    assert not [run for run in runs_of(grid, answered(grid, [None] * 3)) if run.selected]
    (left,) = [run.selected for run in runs_of(grid, answered(grid, [None, 0.2, 0.3])) if run.selected]
    assert left.index == 1


def test_the_mean_over_the_seeds_of_a_trial_counts(tuned: Callable[..., GridSpec], space: Callable[..., str]) -> None:
    grid = tuned(architectures=["elman"], tune={"trials": 2, "space": space(), "seeds": 2})
    runs = [run for run in grid.expand() if run.trial]
    scores = {(0, 0): 0.0, (0, 1): 1.0, (1, 0): 0.3, (1, 1): 0.4}
    records = {run.id: trial(run, scores[run.trial.index, run.seed]) for run in runs if run.trial}
    assert [run.selected.index for run in runs_of(grid, records) if run.selected] == [1]
    failed = {**records, runs[3].id: lost(runs[3])}
    assert [run.selected.index for run in runs_of(grid, failed) if run.selected] == [0]


def test_more_trials_are_more_runs_and_the_same_selection_is_the_same_run(tuned: Callable[..., GridSpec]) -> None:
    few, many = tuned(trials=3), tuned(trials=5)
    assert {run.id for run in few.expand()} < {run.id for run in many.expand()}
    assert len(many.expand()) - len(few.expand()) == 2 * 2
    before, same, other = (
        {run.id: run.selected for run in runs_of(grid, answered(grid, scores)) if run.selected}
        for grid, scores in ((few, [3, 1, 2]), (many, [3, 1, 2, 5, 4]), (many, [3, 1, 2, 0, 4]))
    )
    assert set(before) == set(same)
    assert {one.trials for one in same.values()} == {5}
    assert not set(before) & set(other)


def test_another_space_is_another_study(tuned: Callable[..., GridSpec], tmp_path: Path) -> None:
    first = {study_of(run) for run in tuned().expand() if run.trial}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump({**SPACE, "shared": {"dropout": {"uniform": [0, 0.4]}}}))
    second = {study_of(run) for run in tuned(tune={"trials": 3, "space": str(other)}).expand() if run.trial}
    assert (len(first), len(second), len(first | second)) == (2, 2, 4)


# --- the board


@pytest.mark.parametrize("direction", ["minimise", "maximise"])
def test_the_expected_best_is_that_of_drawing_with_replacement(direction: Direction) -> None:
    scores = [3, 1, 4, 1, 5]
    for k, expected in enumerate(expected_best([float(one) for one in scores], direction), 1):
        pick = min if direction == "minimise" else max
        drawn = [pick(some) for some in product(scores, repeat=k)]
        assert expected == pytest.approx(float(Fraction(sum(drawn), len(drawn))))


def test_default_and_tuned_are_rows_with_trials_and_what_they_took(tuned: Callable[..., GridSpec]) -> None:
    grid = tuned(seeds=2)
    records = answered(grid, [0.3, None, 0.2])
    records |= {run.id: done(run, 0.5) for run in runs_of(grid, records) if run.trial is None}
    table = make_table(cells_on_record(records))
    assert [row.name for row in table.rows] == ["elman", "elman tuned(3)", "lstm", "lstm tuned(3)"]
    assert [(row.trials, row.tuning_seconds) for row in table.rows] == [("", ""), ("3", "4")] * 2
    where, why = table.reasons[0]
    assert (where, why) == ("trials: short × elman", "1 of 3 trials gave no score: diverged: x")
    (study, _) = studies(records.values()).values()
    assert study.curve == pytest.approx([(0.2 + 0.3 + 0.3) / 3, (5 * 0.2 + 4 * 0.3) / 9, (19 * 0.2 + 8 * 0.3) / 27])


def test_what_is_still_the_best_of_more_trials_is_shown_as_selected_among_all(tuned: Callable[..., GridSpec]) -> None:
    few, many = (tuned(trials=count, architectures=["elman"]) for count in (3, 5))
    tested = {run.id: done(run) for run in runs_of(few, answered(few, [3, 1, 2])) if run.selected}
    for scores, label, cost in (
        ([3, 1, 2, 5, 4], "elman tuned(5)", ("5", "10")),
        ([3, 1, 2, 0, 4], "elman tuned(3)", ("3", "6")),  # later trials, which chose another, are not its cost
    ):
        table = make_table(cells_on_record({**answered(many, scores), **tested}))
        assert [row.name for row in table.rows] == [label]
        assert [(row.trials, row.tuning_seconds) for row in table.rows] == [cost]


# --- a grid that is run


def run_all(asked: GridSpec, folders: Folders) -> tuple[list[Record], Silent]:
    watcher = Silent()
    _, todo = plan(asked, RecordStore(folders.leaderboard).read()[0])
    run_grid(asked, todo, folders, watcher)
    return list(RecordStore(folders.leaderboard).read()[0].values()), watcher


def test_a_grid_runs_trials_then_tests_what_they_select_and_can_be_extended(
    tuned: Callable[..., GridSpec], folders: Folders
) -> None:
    small = tuned(architectures=["elman"], params={"target": 100, "tolerance": 0.1})
    records, watcher = run_all(small, folders)
    trials = sorted((one for one in records if one.spec.trial), key=lambda one: one.spec.trial.index)  # type: ignore[union-attr]
    (default,) = [one for one in records if not one.spec.trial and not one.spec.selected]
    (tested,) = [one for one in records if one.spec.selected]
    assert (len(trials), len(records), watcher.count("started")) == (3, 5, 5)
    for one in trials:
        assert (one.score, one.scores, one.baseline_scores, one.baseline) == (None, {}, {}, "")
        assert isinstance(one, FoldedTrial)
    selected = min(trials, key=lambda one: one.validation["mse"]).spec.trial
    assert tested.spec.selected is not None
    assert selected is not None
    assert tested.spec.selected.model_dump(exclude={"trials", "by", "share"}) == selected.model_dump()
    assert tested.score is not None
    assert default.size == tested.size
    assert tested.validation["mse"] == trials[selected.index].validation["mse"]  # the same seed: the same training
    assert tested.validation["mse"] == min(point.score for point in tested.curve)
    _, again = run_all(small, folders)
    assert again.events == []
    more, extended = run_all(
        tuned(trials=5, architectures=["elman"], params={"target": 100, "tolerance": 0.1}), folders
    )
    changed = len([one for one in more if one.spec.selected]) - 1
    assert extended.count("started") == 2 + changed


def test_trials_get_a_share_of_the_budget_and_what_they_select_all_of_it(
    tuned: Callable[..., GridSpec], space: Callable[..., str]
) -> None:
    def of(share: float) -> GridSpec:
        budgets = {"short": {"steps": 40, "validate_every": 20, "patience": 3}}
        return tuned(budget=None, budgets=budgets, tune={"trials": 3, "space": space(), "share": share})

    grid, whole = of(0.25), of(1)
    records = answered(grid, [0.3, 0.1, 0.2])
    runs = runs_of(grid, records)
    budgets = {(run.trial is None, run.budget.steps, run.budget.validate_every, run.budget.patience) for run in runs}
    assert budgets == {(False, 10, 5, 3), (True, 40, 20, 3)}
    selected = [run for run in runs if run.selected]
    assert {run.selected.index for run in selected if run.selected} == {1}
    assert {study_of(run) for run in selected} == {study_of(run) for run in runs if run.trial}
    table = make_table(cells_on_record(records | {run.id: done(run) for run in selected}))
    assert [row.trials for row in table.rows] == ["3", "3"]
    others = {run.id for run in runs_of(whole, answered(whole, [0.3, 0.1, 0.2])) if run.trial or run.selected}
    assert not others & {run.id for run in runs}


class MadeUp(InlineExecutor):
    """Gives each job a made-up record at once, and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[str] = []

    def prepare(self, job: Job) -> Ended:
        return Ended(None)

    def start(self, job: Job, report: Report) -> Ended:
        self.ran.append(job.spec.row)
        return Ended(trial(job.spec, job.spec.trial.index) if job.spec.trial else done(job.spec))


def test_what_trials_select_is_run_as_soon_as_those_of_its_architecture_and_task_have_ended(
    tuned: Callable[..., GridSpec], folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, executor = tuned(trials=2, seeds=2), MadeUp()
    monkeypatch.setattr("rnnbench.harness.grid.make_executor", lambda grid: executor)
    run_all(asked, folders)
    assert executor.ran == [
        *("elman trial 0", "lstm trial 0", "elman trial 1", "elman tuned(2)", "elman tuned(2)"),
        *("lstm trial 1", "lstm tuned(2)", "lstm tuned(2)", "elman", "lstm", "elman", "lstm"),
    ]  # fmt: skip
    records, _ = RecordStore(folders.leaderboard).read()
    assert {one.spec.selected.index for one in records.values() if one.spec.selected} == {0}
    assert not plan(asked, records)[1]


def test_jobs_that_come_up_go_before_those_that_wait(tuned: Callable[..., GridSpec], tmp_path: Path) -> None:
    first, second, *_ = (Job(run, "g", tmp_path) for run in tuned().expand())

    class Later(NullDriver):
        def poll_jobs(self) -> Sequence[Job]:
            return [second]

    queue = Queue([first], Later())
    assert queue.refill()
    assert list(queue.jobs.values()) == [second, first]
    assert not Queue([], NULL_DRIVER).refill()


def test_a_changed_space_is_named_before_a_grid_goes_on(
    tuned: Callable[..., GridSpec], space: Callable[..., str], folders: Folders
) -> None:
    asked = tuned()
    folders.note(asked)
    assert folders.changes(asked) == []
    wider = {**SPACE["shared"], "dropout": {"uniform": [0, 0.7]}, "weight_decay": {"uniform": [0, 1]}}
    space(shared=wider, architectures={})
    keys = "space.shared.dropout.uniform, space.shared.weight_decay, space.architectures.lstm"
    assert folders.changes(asked) == [f"changed since the last run: {keys}"]


def test_time_that_went_into_trials_that_failed_was_spent_too(tuned: Callable[..., GridSpec]) -> None:
    records = answered(tuned(architectures=["elman"]), [0.1, None, 0.2])
    failed = [one.model_copy(update={"seconds": 5.5}) if one.status == "failed" else one for one in records.values()]
    (study,) = studies(failed).values()
    assert study.seconds == 2 + 5.5 + 2
    with pytest.raises(RnnbenchError, match="seconds are of a record that is not done"):
        Record.read({**done().model_dump(), "seconds": 1.0}, "r")


def test_a_trial_that_failed_for_a_while_is_run_again_before_anything_is_selected_anew(
    tuned: Callable[..., GridSpec],
) -> None:
    grid = tuned(architectures=["elman"])
    records = answered(grid, [0.3, None, 0.2])
    records |= {run.id: done(run) for run in runs_of(grid, records) if run.trial is None}
    assert not plan(grid, records)[1]
    (again,) = plan(grid, records, retry=["failed"])[1]
    assert again.spec.trial is not None
    _, todo = plan(grid, records, retry=["done", "failed"])
    assert not [cell for cell in todo if cell.spec.selected]


class Peeks(Elman):
    """Asks for the test part while it is trained."""

    def on_train_start(self) -> None:
        super().on_train_start()
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        data.setup("test")
        print(len(data.test_dataloader()))


def test_a_trial_that_asks_for_the_test_part_fails(
    tuned: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders
) -> None:
    path = architecture("peeks", "tests.config.test_search_space.Peeks")
    records, _ = run_all(tuned(trials=1, architectures=[path]), folders)
    (peeked,) = [one for one in records if one.spec.trial]
    assert "the test part was asked for in a trial" in peeked.reason
    (default,) = [one for one in records if not one.spec.trial]
    assert default.status == "done"  # the same in a run that is no trial is nobody's business


@pytest.mark.parametrize(
    "ask",
    [
        lambda data: data.test_dataloader(),
        lambda data: data.predict_dataloader(),
        lambda data: data.setup("test"),
        lambda data: data.setup(stage="predict"),
        lambda data: data.setup(),
        lambda data: data.table("test"),
    ],
    ids=["test", "predict", "setup test", "setup predict", "setup all", "table"],
)
def test_the_data_of_a_trial_has_no_test_part(tuned: Callable[..., GridSpec], ask: Callable[[Any], Any]) -> None:
    trial, *_, default = tuned().expand()
    data = make_data(trial)
    data.prepare_data()
    data.setup("fit")
    assert len(list(data.val_dataloader())) > 0
    with pytest.raises(SplitAccessError):
        ask(data)
    open_data = make_data(default)
    open_data.setup()
    ask(open_data)


def test_a_record_of_a_trial_with_test_scores_is_refused(tuned: Callable[..., GridSpec]) -> None:
    run = tuned().expand()[0]
    with pytest.raises(RnnbenchError, match="a trial never sees the test part, but this one has test scores"):
        Record.read({**trial(run, 0.1).model_dump(), "score": 0.1, "scores": {"mse": 0.1}}, "r")
    with pytest.raises(RnnbenchError, match="a trial has a validation score by 'mse'"):
        Record.read({**trial(run, 0.1).model_dump(), "validation": {}}, "r")


def test_two_that_are_both_said_to_be_the_best_of_the_same_trials_are_told(tuned: Callable[..., GridSpec]) -> None:
    grid = tuned(architectures=["elman"])
    one, other = (
        [done(run) for run in runs_of(grid, answered(grid, scores)) if run.selected]
        for scores in ([0.3, 0.1, 0.2], [0.3, 0.1, 0.0])
    )
    assert conflicting_selections(one) == conflicting_selections(other) == []
    told = "\n".join(conflicting_selections([*one, *other]))
    assert "trial 2 is said to be the best of 3, and by" in told
    assert told.count("\n") + 1 == len(other)


def test_a_selection_that_the_trials_on_record_contradict_is_noted(tuned: Callable[..., GridSpec]) -> None:
    grid = tuned(architectures=["elman"])
    records = answered(grid, [0.3, 0.1, 0.2])
    tested = [done(run) for run in runs_of(grid, records) if run.selected]
    assert unconfirmed_selections([*records.values(), *tested]) == []
    assert unconfirmed_selections(tested) == ["tuned runs whose trials are not on record: 1"]
    (note,) = unconfirmed_selections([*answered(grid, [0.3, 0.1, 0.0]).values(), *tested])
    assert note.endswith("trial 1 is said to be the best of 3, but by the trials on record trial 2 is")


def test_a_trial_is_verified_by_its_validation_score(tuned: Callable[..., GridSpec]) -> None:
    run = tuned().expand()[0]
    assert compare(trial(run, 0.1), trial(run, 0.1), 0.01).reproduced
    other = compare(trial(run, 0.1), trial(run, 0.2), 0.01)
    assert not other.reproduced
    assert other.words.startswith("not reproduced: mse 0.100 recorded, now 0.200")


# --- what is refused before anything starts


class Unvalidated(LightningDataModule):
    """Has no validation part."""

    objective = "regression"

    def __init__(self, shuffle_seed: int = 0) -> None:
        super().__init__()

    def model_kwargs(self) -> None:
        """Unknown."""

    def metadata(self) -> None:
        """Unknown."""


@pytest.mark.parametrize(
    ("shared", "sentence"),
    [
        (
            {"learning_rte": {"uniform": [0, 1]}},
            "trial 0: architecture 'elman': unknown argument of Elman 'learning_rte'; did you mean 'learning_rate'?",
        ),
        (
            {"layer_options.zonout": {"uniform": [0, 1]}},
            "unknown layer option of Elman 'zonout'; did you mean 'zoneout'?",
        ),
        ({"input_size": {"int_uniform": [1, 3]}}, "unknown argument of Elman 'input_size'"),
        ({"dropout": {"uniform": [2, 3]}}, "dropout must be at least 0 and less than 1, got 2."),
        (
            {"hidden_size": {"int_uniform": [2, 9]}},
            "hidden_size is chosen so that a network has 100 ± 2 % non-embedding parameters; it cannot be tuned",
        ),
    ],
)
def test_a_space_that_does_not_fit_is_refused(
    tuned: Callable[..., GridSpec], space: Callable[..., str], shared: dict[str, Any], sentence: str
) -> None:
    grid = tuned(params=100)
    space(shared=shared)
    with pytest.raises(RnnbenchError) as caught:
        check(grid.expand())
    assert sentence in str(caught.value)


def test_an_architecture_that_a_space_does_not_know_is_refused(
    tuned: Callable[..., GridSpec], space: Callable[..., str]
) -> None:
    grid = tuned()
    space(architectures={"lstn": {"momentum": {"uniform": [0, 1]}}})
    with pytest.raises(RnnbenchError, match="unknown architecture 'lstn'; did you mean 'lstm'"):
        grid.expand()


def test_data_without_a_validation_part_cannot_be_tuned_by(
    grid: Callable[..., GridSpec], task: Callable[..., str], space: Callable[..., str]
) -> None:
    path = task("unvalidated", "tests.config.test_search_space.Unvalidated")
    content = read_yaml(Path(path, "task.yaml"))
    content["data"]["init_args"] = {}
    Path(path, "task.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(RnnbenchError, match="Unvalidated has no validation part"):
        check(grid(tasks=[path], tune={"trials": 1, "space": space()}).expand())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"tune": {"trials": 0, "space": "core"}}, "tune.trials: input should be greater than or equal to 1, got 0"),
        ({"tune": {"trials": 4}}, "missing field 'tune.space'"),
        (
            {"tune": {"trials": 4, "space": "core", "sampler": "sobel"}},
            "tune.sampler: input should be 'sobol' or 'halton'",
        ),
        ({"tune": {"trials": 4, "space": "core", "seed": 1}}, "unknown key 'seed'; did you mean 'seeds'?"),
        ({"budget": {"steps": 0}}, "budget.steps: input should be greater than or equal to 1, got 0"),
        ({"budget": {"minutes": 0}}, "budget.minutes: input should be greater than 0, got 0"),
    ],
)
def test_a_tuning_that_is_none_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RnnbenchError) as caught:
        GridSpec.read({"name": "g", "architectures": ["lstm"], "tasks": ["adding"], **change}, "g")
    assert sentence in str(caught.value)


def test_there_is_no_such_space() -> None:
    content = {"name": "g", "architectures": ["lstm"], "tasks": ["adding"], "tune": {"trials": 1, "space": "cor"}}
    with pytest.raises(RnnbenchError, match="grid 'g': unknown space 'cor'; did you mean 'core'"):
        GridSpec.read(content, "g").expand()
