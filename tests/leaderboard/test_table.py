"""The board: statistics by hand, six states, nothing a record can draw on it."""

import math
from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from scipy import stats

from rnnbench.config.cards import Chance, TaskCard
from rnnbench.config.grid import RunSpec
from rnnbench.leaderboard.html.overview import heads_of
from rnnbench.leaderboard.render import Terminal, markdown
from rnnbench.leaderboard.scores import scale_of
from rnnbench.leaderboard.statistics import half_width, welch
from rnnbench.leaderboard.table import Column, Table, make_table
from rnnbench.records.record import Record
from rnnbench.records.status import Cell, cells_of
from rnnbench.utils.text import amount, escape, number
from tests.fixtures.cells import cells, records
from tests.fixtures.records import done, lost, spec


def shown(cells: list[Cell], width: int = 200) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(Terminal(make_table(cells)))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_interval_is_students_by_hand() -> None:
    # mean 2, s = 1, n = 3, t(0.975, 2) = 4.302653: 4.302653 / sqrt(3)
    assert half_width([1.0, 2.0, 3.0]) == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert half_width([1.0]) is None


@pytest.mark.parametrize("b", [[1.0, 1.2, 0.9], [3.0, 3.3, 2.9], [2.0, 9.0]])
def test_welchs_test_is_that_of_scipy(b: list[float]) -> None:
    a = [1.0, 1.1, 1.3]
    assert welch(a, b) == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)


def test_welchs_test_of_one_value_and_of_equal_values() -> None:
    assert welch([1.0], [2.0, 2.1]) == 1
    assert welch([1.0, 1.0], [1.0, 1.0]) == 1
    assert welch([1.0, 1.0], [2.0, 2.0]) == 0


def standings(table: Table) -> dict[str, str | None]:
    return {row.label: entry.standing for row in table.rows for entry in row.entries.values()}


def test_the_best_is_bold_only_where_it_is_separable_from_the_second() -> None:
    clear = make_table(cells(*records("lstm", [0.1, 0.11, 0.1]), *records("gru", [0.5, 0.51, 0.5])))
    assert standings(clear) == {"lstm": "best", "gru": None}
    assert "| lstm | **0.103 ± 0.014** |" in markdown(clear)
    vague = make_table(cells(*records("lstm", [0.1, 0.6, 0.1]), *records("gru", [0.5, 0.51, 0.5])))
    assert standings(vague) == {"lstm": "tied", "gru": "tied"}
    assert "| gru | 0.503 ± 0.014 = ≈ chance |" in markdown(vague)


def test_a_higher_score_is_best_where_the_card_says_so() -> None:
    both = [
        done(spec(name, "sentiment-movies", seed), score)
        for name, scores in (("lstm", [0.1, 0.11]), ("gru", [0.5, 0.51]))
        for seed, score in enumerate(scores)
    ]
    assert standings(make_table(cells(*both))) == {"lstm": None, "gru": "best"}


def test_all_six_states_are_visible_in_words() -> None:
    runs = [spec(seed=seed) for seed in range(6)]
    stale = done(runs[5], schema_version=1, code_version=None, probe=None)
    kept = {record.id: record for record in (done(runs[0]), lost(runs[1]), lost(runs[2], "infeasible"), stale)}
    found = cells_of(runs, kept, running={runs[3].id})
    assert [cell.state for cell in found] == ["done", "failed", "infeasible", "running", "missing", "stale"]
    for text in (shown(found), markdown(make_table(found))):
        for word in ("0.500, 1 failed", "1 infeasible", "1 running", "1 missing", "1 stale"):
            assert word in text.replace("\\", "")
        assert "it has no probe" in text


def test_a_record_is_stale_when_its_card_or_data_have_changed() -> None:
    run = spec()
    old_card = run.model_copy(update={"task": run.task.model_copy(update={"fingerprint": "old"})})
    (cell,) = cells(done(old_card))
    assert (cell.state, cell.reason) == ("stale", "its card has changed")
    older = done(spec(seed=1), data_fingerprint="then", started="2025-01-01T00:00:00+00:00")
    states = {cell.spec.seed: (cell.state, cell.reason) for cell in cells(done(), older)}
    assert states == {0: ("done", ""), 1: ("stale", "its data has changed")}
    (missing,) = cells_of([run], {old_card.id: done(old_card)})
    assert missing.state == "stale"


def test_scores_under_another_budget_or_configuration_never_share_a_cell() -> None:
    table = make_table(cells(*records("lstm", [0.1]), *records("lstm", [0.9], steps=4)))
    assert [column.budget.steps for column in table.columns] == [3, 4]
    run = spec()
    wide = run.model_copy(
        update={"architecture": run.architecture.model_copy(update={"init_args": {"hidden_size": 7}})}
    )
    labels = [row.label for row in make_table(cells(done(run), done(wide))).rows]
    assert len(labels) == 2
    assert any("hidden_size=7" in label for label in labels)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_board_wider_than_the_terminal_is_cut_or_turned_and_nothing_is_lost(width: int) -> None:
    names = ["adding", "parity", "mnist1d", "copy-memory", "selective-copy", "japanese-vowels", "mnist-rows", "ptb"]
    found = cells(*(done(spec(name, task), 0.25) for name in ("lstm", "gru") for task in names))
    text = shown(found, width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("0.250") == 16
    assert all(name in text for name in names)


def test_chance_stands_beside_the_scores() -> None:
    assert "0.167 (always 1)" in shown(cells(done()))
    computed = done(baseline="always 1", baseline_scores={"mse": 0.25})
    assert make_table(cells(computed)).chance[Column.of(spec())].value == 0.25


def test_a_score_within_the_margin_of_chance_says_so() -> None:
    margin = TaskCard.load("adding").chance.margin
    assert margin > 0
    near, far = (cells(*records("lstm", [1 / 6 - share * margin])) for share in (0.9, 1.1))
    for shows in (shown, lambda some: markdown(make_table(some))):
        assert "≈ chance" in shows(near).replace("≈ chance:", "")
        assert "≈ chance" not in shows(far).replace("≈ chance:", "")


def test_parameters_and_training_seconds_are_shown() -> None:
    text = shown(cells(done(parameters=12_345)))
    assert "12.3k" in text
    assert "train s" in text


@pytest.mark.parametrize(
    "evil", ["a | b", "<script>x</script>", "[x](y)", "line\nbreak", "\x1b[31mred", "`code`", "**b**"]
)
def test_a_reason_cannot_draw_on_the_board(evil: str) -> None:
    found = cells(lost(reason=evil))
    page = markdown(make_table(found))
    assert "<script>" not in page
    assert "\x1b" not in page + shown(found)
    line = next(line for line in page.splitlines() if "failed: adding" in line)
    assert line == f"- {escape('failed: adding × lstm')}: {escape(evil)}"
    assert page.count("\n- ") == 1


def given_by_path(run: RunSpec, **scoring: Any) -> RunSpec:
    """The run of a task that this installation has no card of."""
    card = TaskCard.load("adding").scoring
    own = card.model_copy(update=scoring) if scoring else card
    return run.model_copy(update={"task": run.task.model_copy(update={"name": "mine", "scoring": own})})


def test_a_task_without_a_card_here_is_scored_as_its_records_say() -> None:
    """As one of a plug-in: the same marks, scale, group and kind."""
    scores = {"elman": [0.16, 0.17], "gru": [0.1, 0.09]}
    runs = [(spec(name, seed=seed), score) for name, own in scores.items() for seed, score in enumerate(own)]
    reference: dict[str, Any] = {"baseline": "zero", "baseline_scores": {"mse": 0.166}}
    known, by_path = (
        make_table(cells(*(done(make(run), score, **reference) for run, score in runs)))
        for make in (lambda run: run, given_by_path)
    )
    (ours,), (theirs,) = known.columns, by_path.columns
    assert theirs not in by_path.cards
    assert by_path.chance[theirs] == known.chance[ours]
    assert [row.entries[theirs].text() for row in by_path.rows] == [row.entries[ours].text() for row in known.rows]
    assert [by_path.text(row, theirs) for row in by_path.rows] == [known.text(row, ours) for row in known.rows]
    assert "≈ chance" in by_path.text(by_path.rows[0], theirs)  # 0.165 is better than 0.166, but not by the margin
    assert scale_of(by_path, theirs) == scale_of(known, ours)
    assert [(head.group, head.kind) for head in heads_of(by_path)] == [("memory", "synthetic")]


def test_of_records_that_differ_in_how_scores_are_read_the_latest_counts() -> None:
    wide = Chance(value=0.1, of="zero", margin=0.5)
    older = done(given_by_path(spec()), 0.1, baseline_scores={"mse": 0.166})
    newer = done(given_by_path(spec(seed=1), chance=wide), 0.1, started="2026-02-01T00:00:00+00:00",
                 baseline_scores={"mse": 0.166})  # fmt: skip
    run = given_by_path(spec(seed=2))
    old_format = done(run.model_copy(update={"task": run.task.model_copy(update={"scoring": None})}), 0.1)
    for some in ((older, newer, old_format), (old_format, newer, older)):
        table = make_table(cells(*some))
        assert table.scoring[table.columns[0]].chance == wide
    table = make_table(cells(old_format))
    assert table.scoring == {}
    assert Record.parse(old_format.model_dump_json(exclude_defaults=True).encode(), "old") == old_format


def test_markup_of_a_terminal_stays_text() -> None:
    assert "[bold]x[/bold]" in shown(cells(lost(reason="[bold]x[/bold]")))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0.000"), (0.5, "0.500"), (0.01234, "0.0123"), (123.4, "123"), (0.000321, "0.000321")]
)
def test_numbers_show_three_digits_that_matter(value: float, text: str) -> None:
    assert number(value) == text


def renamed(run: RunSpec, **changes: Any) -> RunSpec:
    return run.model_copy(update={"architecture": run.architecture.model_copy(update=changes)})


def test_two_classes_or_an_argument_given_as_nothing_are_rows_of_their_own() -> None:
    own = spec()
    others = [
        renamed(own, class_path="rnnbench.architectures.GRU"),
        renamed(own, init_args={**own.architecture.init_args, "clip_value": None}),
    ]
    rows = make_table(
        cells(*(done(run, score) for run, score in zip([own, *others], (0.1, 0.2, 0.3), strict=True)))
    ).rows
    assert sorted(entry.scores for row in rows for entry in row.entries.values()) == [[0.1], [0.2], [0.3]]
    assert len({row.label for row in rows}) == 3


def test_columns_stand_in_the_same_order_and_differ_in_their_headings() -> None:
    runs = []
    for batch_size in (16, 32, 8):
        part = spec().task
        data = part.data.model_copy(update={"init_args": {**part.data.init_args, "batch_size": batch_size}})
        runs.append(spec().model_copy(update={"task": part.model_copy(update={"data": data})}))
    tables = [make_table(cells(*map(done, some))) for some in (runs, runs[::-1])]
    assert markdown(tables[0]) == markdown(tables[1])
    assert len({tuple(lines) for lines in tables[0].headings.values()}) == 3


def test_a_cell_never_run_with_this_batch_size_or_class_is_missing_not_stale() -> None:
    kept = {done().id: done()}
    other = renamed(spec(), class_path="rnnbench.architectures.GRU")
    assert [cell.state for cell in cells_of([other], kept)] == ["missing"]


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.5, "0.5"), (999.4, "999"), (999.6, "1k"), (999_999, "1M"), (2.5e9, "2.5G"), (7e12, "7T"), (12_345, "12.3k")],
)
def test_amounts_are_short(value: float, text: str) -> None:
    assert amount(value) == text


def test_runs_on_other_devices_or_of_other_files_never_share_a_cell() -> None:
    run = spec()
    twice = run.model_copy(update={"devices": 2})
    other = run.model_copy(update={"architecture": run.architecture.model_copy(update={"files": {"table": "1" * 16}})})
    table = make_table([Cell(one, "done", "", done(one)) for one in (run, twice, other)])
    assert [[column in row.entries for column in table.columns] for row in table.rows] == [[True, True], [True, False]]
    assert [row.label for row in table.rows] == ["lstm", "lstm (content of table=11111111)"]
    assert all(len(entry.scores) == 1 for row in table.rows for entry in row.entries.values())
    assert any("on each of 2 devices" in line for lines in table.headings.values() for line in lines)
