"""Records for other programs, two rows against each other, the board at W&B."""

import csv
import json
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from rnnbench.cli import main
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.compare import Versus, versus
from rnnbench.leaderboard.export import LATEX_PACKAGES, escape_latex, rows_of, to_csv, to_json, to_latex, to_parquet
from rnnbench.leaderboard.statistics import paired, pairs_to_separate
from rnnbench.leaderboard.table import make_table
from rnnbench.records.record import Record
from rnnbench.records.status import cells_on_record
from rnnbench.records.store import RecordStore
from tests.fixtures.cells import cells, records
from tests.fixtures.records import done, lost, spec

FEW = [done(spec(seed=1), 0.25), done(spec(seed=0), 0.5), lost(spec("gru"), reason="=HYPERLINK(1)")]


def test_rows_are_sorted_and_have_everything_that_a_record_says() -> None:
    rows = rows_of(cells(*FEW))
    assert [(row["architecture"], row["seed"], row["state"]) for row in rows] == [
        ("gru", 0, "failed"),
        ("lstm", 0, "done"),
        ("lstm", 1, "done"),
    ]
    lstm = rows[1]
    assert (lstm["score"], lstm["scores"], lstm["parameters"], lstm["device"]) == (0.5, {"mse": 0.5}, 10, "cpu")
    assert rows[0]["score"] is rows[0]["parameters"] is rows[0]["torch"] is None


def test_every_format_reads_back_as_it_was_written(tmp_path: Path) -> None:
    rows = rows_of(cells(*FEW))
    assert json.loads(to_json(rows)) == rows
    read = list(csv.DictReader(StringIO(to_csv(rows))))
    assert [row["score"] for row in read] == ["", "0.5", "0.25"]
    assert json.loads(read[1]["arguments"]) == rows[1]["arguments"]
    to_parquet(rows, tmp_path / "x.parquet")
    frame = pd.read_parquet(tmp_path / "x.parquet")
    assert list(frame.columns) == list(rows[0])
    assert list(frame.score.dropna()) == [0.5, 0.25]
    numbers = ["parameters", "state_bytes", "flops_per_step", "data_seed", "trial", "tuned", "width"]
    assert {str(frame[name].dtype) for name in numbers} == {"Int64"}
    assert frame.score.isna().tolist() == [True, False, False]


@pytest.mark.parametrize("evil", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "=1\n=2"])
def test_no_text_becomes_a_formula_of_a_spreadsheet(evil: str) -> None:
    (row,) = csv.DictReader(StringIO(to_csv(rows_of(cells(lost(reason=evil))))))
    assert not row["reason"].lstrip().startswith(("=", "+", "-", "@"))
    assert "\n" not in row["reason"]


def test_the_table_for_a_paper_is_the_board() -> None:
    text = to_latex(make_table(cells(*records("lstm", [0.1, 0.11, 0.1]), *records("gru", [0.5, 0.51, 0.5]))))
    behind = r", table-space-text-post={$^{\approx}$}"  # as wide as what stands behind a number
    assert rf"\begin{{tabular}}{{lS[table-format=1.3(2){behind}]S[table-format=2]S[table-format=1]}}" in text
    assert r"lstm & \bfseries 0.103 +- 0.014 & 10 & 1 \\" in text
    assert r"gru & 0.503 +- 0.014 {$^{\approx}$} & 10 & 1 \\" in text
    assert r"chance & 0.167 &" in text
    assert "% chance: adding: always 1" in text
    assert f"% {LATEX_PACKAGES}\n" in text
    assert text.count("{") == text.count("}")
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}")


def test_latex_prints_text_as_it_is() -> None:
    assert escape_latex(r"\input{x} 5% a_b $x$ #&~^") == (
        r"\textbackslash{}input\{x\} 5\% a\_b \$x\$ \#\&\textasciitilde{}\textasciicircum{}"
    )


@pytest.mark.parametrize("differences", [[0.1, 0.2, 0.4], [1.0, -1.0, 0.5, 0.2], [3.0, 3.1]])
def test_the_paired_test_is_that_of_scipy(differences: list[float]) -> None:
    width, p = paired(differences)
    found = stats.ttest_1samp(differences, 0)
    low, high = found.confidence_interval(0.95)
    assert p == pytest.approx(found.pvalue)
    assert width == pytest.approx((high - low) / 2)


def test_the_paired_test_without_spread_or_with_one_pair() -> None:
    assert paired([0.3]) == (None, 1.0)
    assert paired([0.25, 0.25]) == (0.0, 0.0)
    assert paired([0.0, 0.0]) == (0.0, 1.0)
    assert (pairs_to_separate([0.3]), pairs_to_separate([1.0, -1.0]), pairs_to_separate([1.0, 1.0])) == (None, None, 2)


def test_the_number_of_pairs_is_that_of_the_tables_of_power() -> None:
    # Cohen 1988: effect 0.5 at a two-sided 0.05 and power 0.8 takes 34 pairs; 0.8 takes 15
    for effect, pairs in ((0.5, 34), (0.8, 15)):
        scale = 1 / stats.tstd([-1.0, 0.0, 1.0])
        assert pairs_to_separate([effect - scale, effect, effect + scale]) == pairs


def test_a_board_of_many_tasks_is_set_with_tasks_as_rows() -> None:
    some = [done(spec(name, steps=steps), 0.1) for name in ("lstm", "gru") for steps in range(1, 9)]
    lines = to_latex(make_table(cells(*some))).splitlines()
    lines = lines[lines.index(r"\toprule") - 1 :]
    assert lines[0] == rf"\begin{{tabular}}{{l{'S[table-format=2.3]' * 2}S[table-format=1.3]}}"  # two and chance
    assert lines[2].startswith("task &")
    assert lines.count(r"\midrule") == 1


def duel(*some: Record, task: str | None = None) -> Versus:
    return versus(make_table(cells(*some)), "lstm", "gru", task)


def test_two_rows_meet_on_shared_seeds_and_the_rest_is_counted() -> None:
    found = duel(*records("lstm", [0.1, 0.2, 0.3]), *records("gru", [0.3, 0.42]), *records("gru", [0.1], steps=9))
    (one,) = found.duels
    # differences, better is lower: 0.2 and 0.22; mean 0.21, s = 0.0141421, t(0.975, 1) = 12.7062 -> 12.7062 * 0.01
    assert one.seeds == 2
    assert [one.difference, one.a, one.b] == pytest.approx([0.21, 0.15, 0.36])
    assert one.half_width == pytest.approx(0.127062, rel=1e-4)
    assert one.verdict("lstm", "gru") == "lstm is better"
    assert found.summary() == (
        "of 1 shared column: lstm is better on 1, gru on 0, 0 undecided (Holm over all, p < 0.05); "
        "1 runs of lstm and 1 of gru have no partner and do not count"
    )


def test_columns_are_judged_together() -> None:
    both = [(steps, name, scores) for steps in (3, 4)
            for name, scores in (("lstm", [0.1, 0.2, 0.3]), ("gru", [0.3, 0.42, 0.58]))]  # fmt: skip
    alone = duel(*(one for steps, name, scores in both[:2] for one in records(name, scores, steps=steps)))
    together = duel(*(one for steps, name, scores in both for one in records(name, scores, steps=steps)))
    assert [one.p for one in together.duels] == [pytest.approx(2 * alone.duels[0].p)] * 2


def test_a_difference_that_is_not_shown_says_how_many_seeds_would_tell() -> None:
    (one,) = duel(*records("lstm", [0.1, 0.5, 0.3]), *records("gru", [0.3, 0.42, 0.58])).duels
    assert one.verdict("lstm", "gru").startswith("no difference shown; about ")
    (one,) = duel(*records("lstm", [0.1]), *records("gru", [0.3])).duels
    assert one.verdict("lstm", "gru") == "one shared seed: nothing can be said"
    (one,) = duel(*records("lstm", [0.1, 0.2]), *records("gru", [0.1, 0.2])).duels
    assert one.verdict("lstm", "gru") == "the same"


def test_a_higher_score_is_better_where_the_card_says_so() -> None:
    some = [done(spec(name, "sentiment-movies", seed), score) for name, scores in
            (("lstm", [0.1, 0.11]), ("gru", [0.5, 0.52])) for seed, score in enumerate(scores)]  # fmt: skip
    (one,) = duel(*some).duels
    assert one.verdict("lstm", "gru") == "gru is better"


def test_what_cannot_be_compared_is_told() -> None:
    with pytest.raises(RnnbenchError, match="share no task and seed"):
        duel(*records("lstm", [0.1]), done(spec("gru", seed=4)))
    table = make_table(cells_on_record({one.id: one for one in records("lstm", [0.1])}))
    with pytest.raises(RnnbenchError, match="did you mean 'lstm'"):
        versus(table, "lstmm", "lstm")
    with pytest.raises(RnnbenchError, match="with itself"):
        versus(table, "lstm", "lstm")
    stale = done(spec("gru"), code_version=None, schema_version=1)
    with pytest.raises(RnnbenchError, match=r"\(stale are 1 of gru; `--refresh` of a grid's `run` makes them anew\)"):
        duel(*records("lstm", [0.1]), stale)
    with pytest.raises(RnnbenchError, match="unknown task on the board 'parity'"):
        duel(*records("lstm", [0.1]), *records("gru", [0.1]), task="parity")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a leaderboard."""
    monkeypatch.chdir(tmp_path)
    store = RecordStore(tmp_path / "leaderboard")
    for record in (*records("lstm", [0.1, 0.2]), *records("gru", [0.3, 0.42])):
        store.write(record)
    return tmp_path


def test_the_verbs_write_where_they_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("csv", "json", "latex", "parquet"):
        assert main(["export", "--format", form, "--out", f"x.{form}"]) == 0
        assert (place / f"x.{form}").stat().st_size > 200
    capsys.readouterr()
    assert main(["export", "--format", "csv"]) == 0
    assert capsys.readouterr().out == (place / "x.csv").read_text()
    assert main(["export", "quickstart", "--format", "csv"]) == 0
    assert capsys.readouterr().out.count(",missing,") > 10
    assert main(["compare", "lstm", "gru", "--task", "adding"]) == 0
    said = capsys.readouterr().out
    assert "lstm is better" in said
    assert "of 1 shared column" in said


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["export", "--format", "parquet"], "say where it goes with --out FILE"),
        (["export", "--format", "csv", "--out", "."], "--out must be a file"),
        (["export", "--format", "csv", "--leaderboard", "none"], "no records in none"),
        (["compare", "lstm", "grru"], "did you mean 'gru'"),
        (["upload", "--leaderboard", "none"], "no records in none"),
    ],
)
def test_what_cannot_be_written_is_told(
    arguments: list[str], told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def test_the_board_goes_to_wandb_offline_and_never_asks_for_a_login(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["upload", "--project", "boards"]) == 0
    assert "4 records: kept offline; send it with: wandb sync wandb/offline-run-" in capsys.readouterr().out
    tables = [json.loads(path.read_text()) for path in place.glob("wandb/offline-run-*/files/media/table/*.json")]
    assert sorted(len(table["data"]) for table in tables) == [3, 4]
    assert "0.4 [0.0, 3.0] (n=2)" in str(tables)
    (page,) = place.glob("wandb/offline-run-*/files/media/html/*.html")
    assert page.read_bytes() == (place / "leaderboard" / "index.html").read_bytes()
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr("wandb.login", lambda **_: False)
    assert main(["upload"]) == 2
    assert "W&B is not logged in" in capsys.readouterr().err
