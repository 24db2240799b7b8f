"""Records go to others with where they come from; those of others are previewed and run again."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.config.grid import GridSpec
from rnnbench.records.artefacts import Artefact, ArtefactStore
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import audit
from rnnbench.records.submissions.verify import compare
from tests.fixtures.grid_files import write
from tests.fixtures.records import done, lost, spec

LATER = "2026-02-01T00:00:00+00:00"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with a leaderboard of three records."""
    monkeypatch.chdir(tmp_path)
    store = RecordStore(tmp_path / "leaderboard")
    for seed, score in enumerate((0.5, 0.49)):
        store.write(done(spec(seed=seed), score, parameters=10 + seed))
    store.write(lost(spec("gru")))
    return tmp_path


def published(place: Path) -> dict[str, Record]:
    records, problems = RecordStore(place / "shared").read()
    assert not problems
    return records


@pytest.mark.parametrize(
    ("names", "count"),
    [
        (["*"], 3),
        (["adding/lstm"], 2),
        (["adding/lstm/1"], 1),
        (["*/gru", "*/lstm/0"], 2),
        ([spec().id[:6]], 1),
        ([spec().id, spec(seed=1).id[:8]], 2),
    ],
)
def test_chosen_records_are_copied_with_where_they_come_from(names: list[str], count: int, place: Path) -> None:
    assert main(["publish", *names, "--to", "shared", "--by", "Ada"]) == 0
    records = published(place)
    assert len(records) == count
    for record in records.values():
        assert record.provenance is not None
        assert (record.provenance.by, record.provenance.needs) == ("Ada", [])
        assert len(record.provenance.commit) in (0, 40)
        assert record.model_copy(update={"provenance": None}) == RecordStore(place / "leaderboard").read()[0][record.id]
    assert "Leaderboard" in (place / "shared" / "README.md").read_text()


def test_what_is_published_already_stays_as_it_is(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "*", "--to", "shared", "--by", "Ada"]) == 0
    before = published(place)
    assert main(["publish", "*", "--to", "shared", "--by", "Eve"]) == 0
    assert "0 published, 3 there already" in capsys.readouterr().out
    assert published(place) == before


def test_what_a_run_has_made_goes_with_its_record(place: Path) -> None:
    made = [Artefact(title="a sample", text="b")]
    ArtefactStore(place / "leaderboard").write(spec(), made)
    assert main(["publish", "*", "--to", "shared"]) == 0
    assert ArtefactStore(place / "shared").of(done()) == [one.model_dump() for one in made]
    assert not audit(place / "shared").problems


def test_a_failed_run_is_replaced_by_its_result(place: Path) -> None:
    assert main(["publish", "*", "--to", "shared"]) == 0
    RecordStore(place / "leaderboard").write(done(spec("gru"), 0.2))
    assert main(["publish", "*/gru", "--to", "shared"]) == 0
    assert published(place)[spec("gru").id].score == 0.2


REFUSED: list[tuple[Record, str]] = [
    (done(spec(seed=7), code_version=None, schema_version=1), "it is stale: it has no probe"),
    (done(spec(seed=7), code_version="0" * 12), "it was made by other code, and is not certified"),
    (done(spec(seed=7), -1.0), "better than the ceiling"),
    (done(spec(seed=7)), "are those of adding/lstm"),
    (done(spec(seed=0), 0.1), "is there already: altered after the fact"),
    (done(spec(seed=0), 0.1, started=LATER), "was run again"),
]


@pytest.mark.parametrize(("record", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_what_would_not_pass_the_check_is_refused_and_nothing_is_written(
    record: Record, why: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", "*/lstm/0", "--to", "shared"]) == 0
    before = published(place)
    RecordStore(place / "leaderboard").write(record)
    assert main(["publish", "*", "--to", "shared"]) == 2
    said = capsys.readouterr().err
    assert "nothing is published" in said
    assert why in said
    assert published(place) == before


def test_names_that_stand_for_nothing_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "zzz", "--to", "shared"]) == 2
    assert "unknown run 'zzz'" in capsys.readouterr().err
    assert main(["publish", "adding/mgu", "--to", "shared"]) == 2
    assert "no record of 3 is of 'adding/mgu'" in capsys.readouterr().err


def test_code_and_data_that_a_verifier_needs_are_told(place: Path) -> None:
    run = spec(seed=9)
    own = run.architecture.model_copy(update={"name": "mine", "class_path": "mine.Net", "files": {"embedding": "0f"}})
    record = done(run.model_copy(update={"architecture": own}), parameters=99)
    RecordStore(place / "leaderboard").write(record)
    assert main(["publish", record.id, "--to", "shared"]) == 0
    source = published(place)[record.id].provenance
    assert source is not None
    assert source.needs == ["the file of `embedding`", "the code of `mine.Net`"]
    roll = spec(task="piano-roll")
    RecordStore(place / "leaderboard").write(lost(roll))
    assert main(["publish", roll.id, "--to", "shared"]) == 0
    source = published(place)[roll.id].provenance
    assert source is not None
    assert source.needs == ["the data of piano-roll, by a path or from a hub"]


def git(place: Path, *arguments: str) -> None:
    command = ["git", "-C", str(place), "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def test_a_preview_says_what_a_branch_changes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["board", "--preview"]) == 2
    assert "no git repository" in capsys.readouterr().err
    git(place, "init", "-q", "-b", "main")
    git(place, "add", "leaderboard/records")
    git(place, "commit", "-q", "-m", "first")
    assert main(["board", "--preview"]) == 0
    said = capsys.readouterr().out
    assert "0 added, 0 changed, 0 removed" in said
    assert "the board stays as it is" in said
    git(place, "checkout", "-q", "-b", "more")
    store = RecordStore(place / "leaderboard")
    for seed, score in enumerate((0.1, 0.11)):
        store.write(done(spec("gru", seed=seed), score, parameters=20 + seed))
        store.write(done(spec("elman", seed=seed), score + 0.5, parameters=30 + seed))
    git(place, "add", "leaderboard/records")
    git(place, "commit", "-q", "-m", "more")
    assert main(["board", "--preview"]) == 0
    said = capsys.readouterr().out
    assert "3 added, 1 changed, 0 removed" in said
    row = next(line for line in said.splitlines() if " gru " in line and "mse" in line)
    assert all(word in row for word in ("failed", "0.105", "(n=2)", "now the best"))
    assert next(line for line in said.splitlines() if " elman " in line and "mse" in line).split()[6] == "–"
    assert not any(" lstm " in line for line in said.splitlines())
    (store.folder / done(spec(seed=1)).file).unlink()
    assert main(["board", "--preview"]) == 2
    said = capsys.readouterr().out
    assert "1 removed" in said
    assert "a score was removed that still counts" in said
    assert main(["board", "--preview", "--base", "nowhere"]) == 2
    assert main(["board", "quickstart", "--preview"]) == 2


VERDICTS: list[tuple[Record, Record, bool, str]] = [
    (done(), done(), True, "reproduced to the last digit"),
    (done(), done(score=0.504), True, "differs by 0.004 (allowed 0.005)"),
    (done(), done(score=0.49), False, "not reproduced: mse 0.500 recorded, now 0.490"),
    (done(), done(parameters=11), False, "10 parameters recorded, now 11"),
    (done(), done(data_fingerprint="e"), False, "not comparable"),
    (done(baseline_scores={"mse": 0.3}), done(baseline_scores={"mse": 0.2}), False, "chance 0.300 recorded, now 0.200"),
    (done(), lost(), False, "recorded as done, now failed: why"),
    (lost(), lost(), True, "failed again"),
    (lost(), lost(reason="other"), False, "failed again, but because: other"),
]


@pytest.mark.parametrize(("record", "again", "reproduced", "words"), VERDICTS)
def test_a_verdict_says_whether_a_record_is_reproduced(
    record: Record, again: Record, reproduced: bool, words: str
) -> None:
    verdict = compare(record, again, 0.01)
    assert verdict.reproduced == reproduced
    assert words in verdict.words


def test_a_verdict_notes_what_was_other() -> None:
    where = done().environment
    assert where is not None
    again = done(environment=where.model_copy(update={"device": "cuda"}), code_version="0" * 12, backend="b")
    assert compare(done(), again, 0).notes == (
        f"code: version {done().code_version} then, 000000000000 now",
        "device: cpu then, cuda now",
        "backend:  then, b now",
    )


def test_a_record_is_run_again_and_a_false_one_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["run", write(tmp_path, grid(architectures=["elman"]))]) == 0
    store = RecordStore(tmp_path / "leaderboard")
    ((run, record),) = store.read()[0].items()
    assert main(["verify", run[:6]]) == 0
    assert "reproduced to the last digit: mse" in capsys.readouterr().out
    assert record.score is not None
    path = store.write(record.model_copy(update={"score": record.score / 2, "scores": {"mse": record.score / 2}}))
    assert main(["verify", str(path)]) == 1
    assert "not reproduced" in capsys.readouterr().out
    assert main(["verify", run, "--tolerance", "7"]) == 2


def test_a_cell_or_an_objective_of_others_is_code_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = spec()
    changes = {"class_path": "rnnbench.architectures.CellModule", "init_args": {"cell": "strangers.Thing"}}
    cell = run.model_copy(update={"architecture": run.architecture.model_copy(update=changes)})
    objective = run.model_copy(update={"task": run.task.model_copy(update={"objective": "strangers.Thing"})})
    for strange in (cell, objective):
        record = done(strange)
        RecordStore(tmp_path / "leaderboard").write(record)
        assert main(["verify", record.id]) == 2
        assert "would run strangers.Thing, which is not code of rnnbench" in capsys.readouterr().err


def test_code_of_others_is_run_only_when_it_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strangers.py").write_text("import pathlib\npathlib.Path('ran').touch()")
    run = spec()
    own = run.architecture.model_copy(update={"name": "mine", "class_path": "strangers.Net"})
    record = done(run.model_copy(update={"architecture": own}))
    RecordStore(tmp_path / "leaderboard").write(record)
    assert main(["verify", record.id]) == 2
    assert "would run strangers.Net" in capsys.readouterr().err
    assert main(["check"]) == 0
    assert main(["publish", record.id, "--to", "shared"]) == 0
    assert not (tmp_path / "ran").exists()
    assert main(["verify", record.id, "--trust"]) == 2
    assert (tmp_path / "ran").exists()
