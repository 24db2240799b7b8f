"""Tracks: which records belong to one, and that the names of rows depend on nobody else's records."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import main
from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import GridSpec, RunSpec, Track, read_grid, tracks
from rnnbench.config.model_size import Fit
from rnnbench.config.schema import read_yaml
from rnnbench.errors import RnnbenchError, Unprepared
from rnnbench.leaderboard.board import make_board, read_board, table_of
from rnnbench.leaderboard.export import rows_of
from rnnbench.leaderboard.html.overview import grouped, heads_of
from rnnbench.leaderboard.preview import preview
from rnnbench.leaderboard.render import markdown
from rnnbench.leaderboard.table import Table, make_table
from rnnbench.records.record import Record
from rnnbench.records.selection import runs_of
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from rnnbench.records.tracks import runs_by_track, tracks_of
from tests.fixtures.cells import cells
from tests.fixtures.records import done, lost, spec
from tests.fixtures.trials import SPACE, answered


def commit_all(folder: Path, message: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], [*who, "commit", "-q", "-m", message]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


def with_arguments(run: RunSpec, **arguments: Any) -> RunSpec:
    own = {**run.architecture.init_args, **arguments}
    return run.model_copy(update={"architecture": run.architecture.model_copy(update={"init_args": own})})


# --- names of rows


def test_records_with_another_setting_rename_no_row_and_are_the_only_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pull request brings a GRU with `hidden_size: 32` beside the one that is there with 64."""
    board = tmp_path / "leaderboard"
    store = RecordStore(board)
    there = [("gru", "adding"), ("gru", "parity"), ("lstm", "adding"), ("lstm", "parity")]
    for place, (name, task) in enumerate(there, 1):
        store.write(done(with_arguments(spec(name, task), hidden_size=64), 0.1 * place))
    store.write(done(spec("elman"), 0.3))
    commit_all(tmp_path, "the board")
    (before,), _ = read_board(board)
    run = with_arguments(spec("gru"), hidden_size=32)
    store.write(done(run, 0.2))
    (after,), _ = read_board(board)
    rows = [(row.name, row.settings) for row in before.rows]
    assert rows == [("elman", ""), ("gru", "hidden_size=64"), ("lstm", "hidden_size=64")]
    assert [row.label for row in after.rows if row.settings != "hidden_size=32"] == [row.label for row in before.rows]
    changes = preview(board, "HEAD")
    assert [record.id for record in changes.added] == [run.id]
    assert [(one.row, one.column.task, one.before) for one in changes.differences] == [
        ("gru (hidden_size=32)", "adding", "")]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["board", "--preview"]) == 0
    assert capsys.readouterr().out.count("hidden_size=") == 1


def test_settings_are_a_column_of_the_board_and_of_exports_and_a_filter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    records = [done(spec("gru"), 0.1), done(with_arguments(spec("gru"), hidden_size=32), 0.2)]
    table = make_table(cells(*records))
    head, _, *lines = markdown(table).splitlines()
    assert head.startswith("| architecture | settings |")
    assert lines[0].startswith("| gru |  |")
    assert lines[1].startswith("| gru | hidden\\_size=32 |")
    rows = rows_of(cells(*records))
    assert {(row["architecture"], row["settings"], row["tracks"]) for row in rows} == {
        ("gru", None, None), ("gru", "hidden_size=32", None)}  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("rnnbench.cli.board.can_build", lambda: False)
    for record in records:
        RecordStore(Path("leaderboard")).write(record)
    for asked, score, other in (("hidden_size", "0.200", "0.100"), ("card", "0.100", "0.200")):
        assert main(["board", "--settings", asked]) == 0
        said = capsys.readouterr().out
        assert score in said
        assert other not in said
    assert main(["board", "--settings", "depth"]) == 2
    assert "no row has settings with 'depth', of 2 rows" in capsys.readouterr().err


def test_rows_that_differ_in_anything_have_different_labels() -> None:
    """Whatever a record has as its arguments: no two configurations share a label, by which rankings know them."""
    base = spec("gru")
    odd: list[dict[str, Any]] = [
        {"a": 1}, {"a": "1"}, {"a": 1.5}, {"a": True}, {"a": "true"}, {"a": None}, {"a": "null"}, {"a": "default"},
        {"a": [1]}, {"a": "[1]"}, {"a": "x, b=y"}, {"a": "x", "b": "y"}, {"a=x, b": "y"}, {"a": ""}, {},
    ]  # fmt: skip
    runs = [with_arguments(base, **one) for one in odd]
    less = {k: v for k, v in base.architecture.init_args.items() if k != "hidden_size"}
    runs.append(base.model_copy(update={"architecture": base.architecture.model_copy(update={"init_args": less})}))
    runs.append(base.model_copy(update={"architecture": base.architecture.model_copy(update={"class_path": "a.B"})}))
    labels = [row.label for row in make_table(cells(*map(done, runs))).rows]
    assert len(set(labels)) == len(runs)
    assert {"gru", "gru (a=1)", 'gru (a="1")', "gru (hidden_size=default)", "gru (class=a.B)"} < set(labels)


def test_what_a_grid_gives_to_all_is_no_setting_of_its_own_table() -> None:
    grid = GridSpec.read({"name": "g", "architectures": ["gru"], "tasks": ["adding"], "model": {"hidden_size": 7},
                          "params": 1000}, "g")  # fmt: skip
    own = [done(run, size=Fit(argument="hidden_size", width=7, count=1000)) for run in grid.expand()]
    assert [row.label for row in make_table(cells(*own), grid).rows] == ["gru"]
    (label,) = [row.label for row in make_table(cells(*own)).rows]
    assert label == "gru (hidden_size=7, size=1,000 ± 2 % non-embedding parameters)"


def test_an_architecture_without_a_card_here_is_named_with_all_its_arguments() -> None:
    run = spec("gru")
    other = run.model_copy(update={"architecture": run.architecture.model_copy(update={"name": "mine"})})
    (row,) = make_table(cells(done(other))).rows
    assert row.name == "mine"
    assert row.settings.startswith("class=rnnbench.architectures.GRU, clip_norm=1, hidden_size=128")


# --- membership


@pytest.fixture
def track(task: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Track:
    """A track with three trials of one architecture, and no run as its card has it; the only one that there is."""
    space = tmp_path / "space.yaml"
    space.write_text(yaml.safe_dump(SPACE))
    content = {
        "name": "core", "title": "Core", "summary": "All the same.", "version": 2, "architectures": ["elman"],
        "groups": {"my memory": [task()]}, "seeds": 2, "budget": {"steps": 6},
        "tune": {"trials": 3, "space": str(space), "defaults": False},
    }  # fmt: skip
    grid = read_grid(content, "core.yaml")
    assert isinstance(grid, Track)
    monkeypatch.setattr("rnnbench.records.tracks.tracks", lambda: [grid])
    return grid


def selected_runs(grid: GridSpec, records: dict[str, Record]) -> dict[str, Record]:
    return {run.id: done(run, 0.1) for run in runs_of(grid, records) if run.selected}


def more_trials(track: Track, count: int) -> GridSpec:
    assert track.tune is not None
    content = {**track.model_dump(exclude_unset=True), "tune": {**track.tune.model_dump(), "trials": count}}
    return read_grid(content, "more")


def shown(tables: list[Table]) -> list[tuple[str, list[str]]]:
    return [(table.name, [row.label for row in table.rows]) for table in tables]


def test_runs_of_a_track_are_in_its_table_and_all_others_in_another(track: Track) -> None:
    trials = answered(track, [0.3, 0.1, 0.2])
    mine = {run.id: run for run in map(done, [spec("gru"), spec("elman")])}
    records = {**trials, **selected_runs(track, trials), **mine}
    tables = make_board(records)
    assert shown(tables) == [("core", ["elman"]), ("other-runs", ["elman", "gru"])]
    assert (tables[0].title, tables[0].summary, tables[0].version) == ("Core", "All the same.", 2)
    assert [group.name for group in grouped(heads_of(tables[0]))] == ["my memory"]
    assert (tables[0].trials, tables[1].trials) == (3, 0)
    assert tables[0].rows[0].trials == "3"
    assert markdown(tables[0]).startswith("## Core (track core, version 2)\n\nAll the same.\n\n|")
    assert table_of(tables, "other-runs") is tables[1]
    with pytest.raises(RnnbenchError, match="unknown track with runs on the board 'coer'; did you mean 'core'"):
        table_of(tables, "coer")
    by_track = tracks_of(records)
    assert {row["tracks"] for row in rows_of(cells_on_record(records), by_track) if row["tuned"]} == {"core"}
    assert set(by_track) == {*records} - {*mine}
    (alone,) = make_board(mine)
    assert (alone.name, alone.title) == ("", "")  # nothing to be told from


@pytest.mark.parametrize("change", [
    {"budget": {"steps": 7}}, {"seeds": [2, 3]}, {"data_seed": 1}, {"batch_size": 7}, {"devices": 2},
    {"params": 1000}, {"model": {"clip_norm": 2.0}}, {"architectures": ["gru"]},
])  # fmt: skip
def test_a_run_under_any_other_rule_is_in_no_track(track: Track, change: dict[str, Any]) -> None:
    own = track.model_dump(exclude_unset=True, exclude={"title", "version", "groups"})
    other = GridSpec.read({**own, **change}, "other")
    without_size = other.model_copy(update={"params": None})
    trials = {
        run.id: made.model_copy(update={"spec": run, "id": run.id})
        for run, made in zip(other.expand(), answered(without_size, [0.3, 0.1, 0.2]).values(), strict=True)
    }
    fit = {"size": Fit(argument="hidden_size", width=3, count=1000)} if "params" in change else {}
    selected = {run.id: done(run, **fit) for run in runs_of(other, trials) if run.selected}  # type: ignore[arg-type]
    assert selected
    found = runs_by_track({**trials, **selected}, [track])
    assert not selected.keys() & {run for _, runs in found for run in runs}


def test_a_tuned_run_is_one_of_a_track_only_if_its_own_trials_have_selected_it(track: Track) -> None:
    trials = answered(track, [0.3, 0.1, 0.2])
    right = selected_runs(track, trials)
    wrong = selected_runs(track, answered(track, [0.3, 0.1, 0.0]))  # says that trial 2 is the best of 3
    assert shown(make_board({**trials, **right, **wrong})) == [
        ("core", ["elman"]), ("other-runs", [f"elman tuned(3) (space={space_of(wrong)})"])]  # fmt: skip
    for gone in trials:  # without one of the trials nobody can tell
        some = {run: one for run, one in trials.items() if run != gone}
        assert [name for name, _ in shown(make_board({**some, **right}))] == [""]
    assert [name for name, _ in shown(make_board(right))] == [""]


def space_of(records: dict[str, Record]) -> str:
    selected = next(iter(records.values())).spec.selected
    assert selected is not None
    assert "/" in selected.space  # a path stands between quotation marks or not, as it is
    return f"{selected.space} {selected.design}"


def test_what_no_trial_could_be_run_of_is_infeasible_not_missing(
    task: Callable[..., str], track: Track, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = task("other", length=8)
    more = track.model_copy(update={"tasks": [*track.tasks, other], "groups": {**track.groups, "more": [other]}})
    monkeypatch.setattr("rnnbench.records.tracks.tracks", lambda: [more])
    trials = answered(more, [0.3, 0.1, 0.2])
    for run, record in trials.items():
        if record.spec.task.name == "other":
            trials[run] = lost(record.spec, "infeasible", "it would read the answer")
    (table,) = make_board({**trials, **selected_runs(more, trials)})
    (row,) = table.rows
    states = {column.task: [cell.state for cell in entry.cells] for column, entry in row.entries.items()}
    assert states["other"] == ["infeasible"] * 2
    assert [where for where, _ in table.reasons] == ["infeasible: other × elman"]
    assert "it would read the answer" in markdown(table)
    unprepared = {
        run: record.model_copy(update={"reason": f"{Unprepared.PREFIX}no archive"}) if record.reason else record
        for run, record in trials.items()
    }
    (table,) = make_board({**unprepared, **selected_runs(more, unprepared)})
    assert [column.task for column in table.rows[0].entries] == [name for name in states if name != "other"]


def test_who_has_run_more_trials_is_in_a_track_as_far_as_its_own_trials_go(track: Track) -> None:
    many = more_trials(track, 5)
    same, later = answered(many, [0.3, 0.1, 0.2, 0.5, 0.4]), answered(many, [0.3, 0.1, 0.2, 0.0, 0.4])
    (table,) = make_board({**same, **selected_runs(many, same)})
    assert (table.name, [row.label for row in table.rows], table.rows[0].trials) == ("core", ["elman"], "3")
    assert [name for name, _ in shown(make_board({**later, **selected_runs(many, later)}))] == [""]


# --- cards given by path


def test_a_task_given_by_a_path_keeps_metric_chance_and_margin_where_its_card_is_not(
    task: Callable[..., str], tmp_path: Path
) -> None:
    folder = Path(task("mine"))
    content = read_yaml(folder / "task.yaml")
    content |= {"chance": {"value": 0.4, "of": "always 2", "margin": 0.25}, "ceiling": 0.01, "group": "puzzles"}
    (folder / "task.yaml").write_text(yaml.safe_dump(content))
    card = TaskCard.load(str(folder))
    grid = GridSpec.read({"name": "g", "architectures": ["gru", "elman"], "tasks": [str(folder)]}, "g")
    for run, score in zip(grid.expand(), (0.1, 0.2), strict=True):
        RecordStore(tmp_path).write(done(run, score, baseline="always 2", baseline_scores={"mse": 0.4}))
    shutil.rmtree(folder)
    (table,), problems = read_board(tmp_path)
    (column,) = table.columns
    assert (problems, column.metric, column.direction) == ([], "mse", "minimise")
    assert table.scoring[column] == card.scoring
    assert table.chance[column] == card.chance
    assert [table.is_chance(row, column) for row in table.rows] == [True, False]  # 0.2 is not better by the margin
    text = markdown(table)
    assert "0.400 (always 2)" in text.replace("\\", "")
    assert "≈ chance" in text.splitlines()[2]


# --- the files


def test_tracks_are_found_by_name_as_grids_are(capsys: pytest.CaptureFixture[str]) -> None:
    found = tracks()
    assert found[0].name == "core"
    assert len({one.name for one in found}) == len(found)
    core = found[0]
    assert len(core.architectures) >= 20
    assert len(core.tasks) >= 16
    assert len(core.groups) == 5
    assert core.group_of()["adding"] == "memory"
    assert main(["list", "tracks"]) == 0
    assert "core" in capsys.readouterr().out
    assert main(["list", "grids"]) == 0
    assert "core" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 0}, "version: input should be greater than or equal to 1, got 0"),
        ({"title": None}, "missing field 'title'"),
        ({"groups": {"a": ["adding"]}, "tasks": ["parity"]}, "groups and tasks differ"),
        ({"groups": None}, "missing field 'tasks'"),
        ({"summery": "x"}, "unknown key 'summery'; did you mean 'summary'"),
        ({"name": "other"}, "the track is named 'other', but its file 'mine.yaml'"),
    ],
)
def test_a_track_that_is_none_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    content = {"name": "mine", "title": "Mine", "summary": "All the same.", "version": 1, "architectures": ["gru"],
               "groups": {"memory": ["adding"]}}  # fmt: skip
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    assert isinstance(GridSpec.load(str(path)), Track)
    path.write_text(yaml.safe_dump({k: v for k, v in (content | change).items() if v is not None}))
    with pytest.raises(RnnbenchError, match=sentence):
        GridSpec.load(str(path))


# --- parts of a grid


def test_some_cells_of_a_grid_are_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for run in GridSpec.load("quickstart").expand():
        if run.task.name == "adding" and run.architecture.name in ("lstm", "gru"):
            RecordStore(Path("leaderboard")).write(done(run))
    assert main(["run", "quickstart", "--architectures", "lstm,gru", "--tasks", "adding"]) == 0
    said = capsys.readouterr().out
    assert "grid quickstart: 4 cells, 4 settled, 0 to run" in said
    assert "weather" not in said
    assert main(["run", "quickstart", "--architectures", "lstn"]) == 2
    assert "grid 'quickstart': unknown architecture 'lstn'; did you mean 'lstm'?" in capsys.readouterr().err
