"""Findings: sentences from the records, and what becomes of the literature's claims."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from rnnbench.config.cards import TaskCard
from rnnbench.config.grid import Track
from rnnbench.config.registry import catalogue
from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.board import OTHER_RUNS
from rnnbench.leaderboard.findings import (
    Difference,
    Statement,
    Verdict,
    difference,
    findings,
    read_statements,
    verdict,
    write_findings,
)
from rnnbench.leaderboard.scores import scores_of
from rnnbench.leaderboard.table import Table, make_table
from rnnbench.records.status import Cell
from tests.fixtures.made_up_board import ARCHITECTURES, made, made_up_cells, specs
from tests.fixtures.records import lost

BETTER = Statement(claim="a", source="b", better="lstm", than="gru")
ALIKE = Statement(claim="a", source="b", alike=["lstm", "gru"])
NO_WORSE = Statement(claim="a", source="b", no_worse=["lstm", "gru"])


@pytest.fixture(scope="module")
def table() -> Table:
    return make_table(made_up_cells())


@pytest.mark.parametrize(
    ("statement", "bounds", "expected"),
    [
        (BETTER, (0.01, 0.2), "agrees"),
        (BETTER, (-0.2, -0.01), "disagrees"),
        (BETTER, (-0.1, 0.1), "not settled"),
        (BETTER, (None, None), "not settled"),
        (ALIKE, (-0.04, 0.03), "agrees"),
        (ALIKE, (0.01, 0.04), "agrees"),
        (ALIKE, (0.01, 0.2), "disagrees"),
        (ALIKE, (-0.1, 0.01), "not settled"),
        (NO_WORSE, (-0.04, 0.3), "agrees"),
        (NO_WORSE, (-0.06, 0.3), "not settled"),
        (NO_WORSE, (-0.2, -0.01), "disagrees"),
    ],
)
def test_verdicts(statement: Statement, bounds: tuple[float | None, float | None], expected: Verdict) -> None:
    assert verdict(statement, Difference(0.0, *bounds, better=0.5, tasks=3, runs=9)) == expected


def test_a_claim_about_what_was_not_run(table: Table) -> None:
    assert difference(scores_of(table), "lstm", "mgu") is None
    assert verdict(BETTER, None) == "not on this board"


def test_a_difference_is_paired_and_signed() -> None:
    runs = specs(["gru", "lstm"], ["adding", "parity", "mnist1d"], 3)
    records = [made(spec) for spec in runs]
    table = make_table([Cell(record.spec, "done", "", record) for record in records])
    scores = scores_of(table)
    found, back = difference(scores, "lstm", "gru"), difference(scores, "gru", "lstm")
    assert found is not None
    assert back is not None
    assert found.low is not None
    assert back.high is not None
    assert (found.tasks, found.runs) == (3, 9)
    assert found.mean == pytest.approx(float((scores.values[1] - scores.values[0]).mean()))
    assert found.low < found.mean
    assert found.low == pytest.approx(-back.high, abs=0.02)
    assert found.better == pytest.approx(1 - back.better)


def test_every_sentence_has_a_number(table: Table) -> None:
    text = findings([table], read_statements())
    sentences = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(sentences) > 8
    assert [line for line in sentences if not re.search(r"n = \d|p (=|&lt;|≥) ?\d|\d %", line)] == []
    assert "### Memory" in text
    assert "### What the literature says" in text
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| claim")]
    assert 3 < len(rows) < len(read_statements())
    assert all("n = " in row for row in rows)
    assert f"{len(read_statements()) - len(rows)} not on this board" in text


def test_the_claims_of_the_literature_name_architectures_groups_and_tasks() -> None:
    """A group that nobody has would leave its claim without a verdict on every board."""
    statements = read_statements()
    known = catalogue("architecture").keys() | {"mingru-2", "lru-2"}
    assert {name for one in statements for name in one.pair} <= known
    cards = [TaskCard.load(name) for name in catalogue("task")]
    tracks = [one for name in catalogue("track") if isinstance(one := Track.load(name), Track)]
    groups = {card.group for card in cards} | {name for track in tracks for name in track.groups}
    assert {name for one in statements for name in one.groups} <= groups
    assert {name for one in statements for name in one.tasks} <= {card.name for card in cards}


def test_each_track_has_a_part_and_other_runs_have_none(table: Table) -> None:
    tracks = [
        replace(table, name=name, title=title) for name, title in (("a", "One"), ("b", "Two"), (OTHER_RUNS, "Rest"))
    ]
    text = findings(tracks, read_statements())
    assert re.findall("^## (.*)$", text, re.MULTILINE) == ["One", "Two"]
    assert text.count("### What the literature says") == 2
    assert "## Rest" in findings(tracks[2:], [])


def test_who_lacks_scores_is_named_with_what_is_lacking() -> None:
    runs = specs(["elman", "gru", "lstm"], ["adding", "mnist1d", "parity"], 3)
    none = {("adding", 0), ("adding", 1), ("adding", 2), ("parity", 1)}
    lacking = [spec for spec in runs if spec.architecture.name == "lstm" and (spec.task.name, spec.seed) in none]
    cells = [Cell(spec, "infeasible", "", lost(spec, "infeasible")) if spec in lacking
             else Cell(spec, "done", "", made(spec)) for spec in runs]  # fmt: skip
    text = findings([make_table(cells)], [BETTER])
    assert "- Not ranked, 1 of 3, as they lack scores: lstm, n = 5 (none of 3 on adding; 2 of 3 on parity)." in text
    assert "2 tasks, n = 5; not on adding, where lstm has no score" in text


def test_a_claim_is_judged_on_the_tasks_that_it_is_about() -> None:
    runs = specs(["gru", "lstm"], ["adding", "parity"], 2)
    table = make_table([Cell(spec, "done", "", made(spec)) for spec in runs])
    text = findings(
        [table], [Statement(claim="a", source="b", better="lstm", than="gru", tasks=["parity", "copy-memory"])]
    )
    assert "| a (on parity) |" in text
    assert "1 task, n = 2 |" in text


def test_a_claim_that_says_two_things(tmp_path: Path) -> None:
    path = tmp_path / "literature.yaml"
    path.write_text("- {claim: a, source: b, better: lstm, alike: [gru, lstm]}", encoding="utf-8")
    with pytest.raises(RnnbenchError, match=r"claim 1: .*give better and than, or alike, or no_worse"):
        read_statements(path)


def test_it_is_written_beside_the_board(table: Table, tmp_path: Path) -> None:
    path = write_findings(tmp_path, [table])
    assert path.name == "FINDINGS.md"
    assert path.read_text(encoding="utf-8") == findings([table], read_statements())
    assert ARCHITECTURES[-1] in path.read_text(encoding="utf-8")
