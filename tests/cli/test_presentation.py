"""What the terminal shows: digits, intervals and n of a board, its legend, one run, hints, files that were written."""

import ast
import io
import math
import re
from pathlib import Path

import pytest
from rich.console import Console

from rnnbench.cli import main
from rnnbench.leaderboard.intervals import METRIC_BOUNDS, bounded_interval, mean_text, plus_minus
from rnnbench.leaderboard.ranking import rank
from rnnbench.leaderboard.render import DEFINITIONS, Terminal, legend, markdown
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.table import make_table
from rnnbench.records.record import Point, Record
from rnnbench.records.store import RecordStore
from tests.fixtures.cells import cells, records
from tests.fixtures.records import done, lost, spec

PACKAGE = Path(__file__).parents[2] / "rnnbench"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shown(renderable: object, width: int = 160) -> str:
    out = io.StringIO()
    Console(width=width, file=out).print(renderable)
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "width", "text"),
    [
        (0.54012, 0.09187, "0.540 ± 0.092"),
        (0.16212, 0.00075334, "0.16212 ± 0.00075"),
        (117.31, 5.21, "117.3 ± 5.2"),
        (1523.7, 123.4, "1524 ± 123"),
        (0.5, 3.2, "0.5 ± 3.2"),
        (0.5, 0.0, "0.500 ± 0"),
        (1.234e-9, 2e-11, "1.234e-09 ± 2.0e-11"),
    ],
)
def test_digits_follow_the_uncertainty(value: float, width: float, text: str) -> None:
    assert plus_minus(value, width) == text


@pytest.mark.parametrize("metric", METRIC_BOUNDS)
def test_no_interval_leaves_the_range_of_its_metric(metric: str) -> None:
    least, largest = METRIC_BOUNDS[metric]
    top = largest if math.isfinite(largest) else least + 50
    for scores in ([least + 0.01 * (top - least), top - 0.01], [top, top - 0.2], [least, least + 0.3], [least, least]):
        low, high = bounded_interval(scores, metric) or (-1.0, math.inf)
        assert least <= low <= sum(scores) / 2 <= high <= largest
    assert "±" in mean_text([least + 0.40 * (top - least), least + 0.41 * (top - least)], metric)
    assert re.fullmatch(r"[\d.]+ \[[\d.]+, [\d.]+\]", mean_text([top - 0.002, top - 0.4], "accuracy")) or top != 1


def test_n_is_said_once_and_where_it_differs() -> None:
    table = make_table(cells(*records("lstm", [0.1, 0.12]), *records("gru", [0.5, 0.52]), *records("elman", [0.3])))
    texts = {row.name: table.text(row, column, table.seeds) for row in table.rows for column in table.columns}
    assert [name for name, text in texts.items() if "(n=" in text] == ["elman"]
    assert "(n=1)" in texts["elman"]
    assert "else n = 2 seeds" in legend(table)
    for text in (shown(Terminal(table)), markdown(table)):
        assert text.count("n = 2 seeds") == 1
    assert "else" not in legend(make_table(cells(*records("lstm", [0.1, 0.12]))))


def test_the_legend_is_a_line_of_the_signs_that_occur_and_complete_when_asked_for() -> None:
    table = make_table(cells(*records("lstm", [0.1, 0.11, 0.1]), *records("gru", [0.5, 0.51, 0.5])))
    assert legend(table) == ("mean ± 95 % interval, n = 3 seeds; bold: best; ≈ chance: no better")
    short, full = shown(Terminal(table, rank(scores_of(table)))), shown(Terminal(table, full_legend=True))
    assert DEFINITIONS["best"][:60] not in short
    for name in ("score", "best", "tied", "chance"):
        assert DEFINITIONS[name][:60] in full


def test_show_says_score_settings_cost_and_curve_first_and_digests_only_in_full(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    curve = [Point(1, 0.9, 0.8), Point(2, 0.5, 0.4), Point(3, 0.3, 0.2)]
    first, second = (
        done(spec(seed=seed), score, curve=curve, validation={"mse": score}) for seed, score in ((0, 0.3), (1, 0.25))
    )
    for record in (first, second):
        RecordStore(place / "leaderboard").write(record)
    assert main(["show", "adding/lstm"]) == 0  # the one with the best validation score, as of every other verb
    said = capsys.readouterr().out
    heads = [f"adding/lstm/1 ({second.id}): done", "score", "architecture", "training", "cost", "validation mse"]
    assert [said.index(head) for head in heads] == sorted(said.index(head) for head in heads)
    assert "test mse ↓ 0.250 (validation 0.250, chance 0.167 (always 1))" in said
    assert "█▃▁ 0.800 at step 1 to 0.200 at 3" in said
    digest = second.spec.task.fingerprint
    assert digest not in said
    assert main(["show", "adding/lstm/0", "--full"]) == 0
    assert digest in capsys.readouterr().out


def test_show_of_a_failed_run_begins_with_the_reason(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordStore(place / "leaderboard").write(
        lost(reason="out of luck").model_copy(update={"log_tail": "line one\nline two"})
    )
    assert main(["show", "adding/lstm"]) == 0
    said = capsys.readouterr().out
    assert said.index("failed") < said.index("out of luck") < said.index("line two")


def test_hints_repeat_the_folders_that_were_given(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--leaderboard", "my board", "--runs", "elsewhere"]
    options = " --leaderboard 'my board' --runs elsewhere"
    for verb in (["board"], ["certify"], ["export", "--format", "csv"], ["compare", "lstm", "gru"], ["upload"]):
        main([*verb, *where])
        said = capsys.readouterr()
        assert f"rnnbench run quickstart{options}" in " ".join(f"{said.out}{said.err}".split()), verb


def test_every_picture_that_a_verb_writes_is_said() -> None:
    """`save_chart` says it: no verb writes a chart by itself."""
    for path in (PACKAGE / "cli").glob("*.py"):
        names = {
            alias.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module == "rnnbench.analysis.charts"
            for alias in node.names
        }
        assert "save" not in names or path.stem == "console", path


def test_a_comparison_has_the_digits_of_its_interval(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    some: list[Record] = [*records("lstm", [0.1012, 0.1034, 0.1051]), *records("gru", [0.2012, 0.2044, 0.2055])]
    for record in some:
        RecordStore(place / "leaderboard").write(record)
    assert main(["compare", "lstm", "gru"]) == 0
    assert re.search(r"0\.1032 +0\.2037 +3 +\+0\.1005 ± 0\.0013", capsys.readouterr().out)
