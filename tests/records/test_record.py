"""Records: written whole, read strictly, set aside when broken."""

import errno
import os
from pathlib import Path

import pytest

from rnnbench.errors import RnnbenchError
from rnnbench.leaderboard.board import read_board
from rnnbench.leaderboard.html.build import html
from rnnbench.records.find import find_run
from rnnbench.records.store import RecordStore
from rnnbench.utils.files import writable_folder, write_whole
from tests.fixtures.records import done, lost, spec, tampered


def test_a_record_reads_back_as_it_was_written(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    records = [done(), lost(spec(seed=1)), lost(spec(seed=2), "infeasible")]
    for record in records:
        path = store.write(record)
        assert path == tmp_path / "records" / "adding" / "lstm" / f"{record.id}.json"
    assert store.read() == ({record.id: record for record in records}, [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (tampered()[:100], "not valid JSON"),
        ("[]", "expected keys and values"),
        ("{}", "missing field 'schema_version'"),
        ("[" * 100_000, "not valid JSON"),
        (tampered(schema_version=3), "schema_version"),
        (tampered(spec__seed=5), "one of them was changed"),
        (tampered(score=0.1), "score is 0.1, but scores has 0.5"),
        (tampered(scores={"mae": 0.5}), "score is 0.5, but scores has None"),
        (tampered(score="0.5"), "score"),
        (tampered(status="excellent"), "status"),
        (tampered(status="failed"), "no score"),
        (tampered(extra=1), "unknown key 'extra'"),
        (tampered(probe=None), "has code_version and probe"),
        (tampered(probe={"losses": [1.0] * 4}), "probe.losses"),
        (tampered(code_version="../x"), "code_version"),
        (tampered().replace("0.5", "NaN"), "NaN is not a JSON number"),
    ],
)
def test_a_broken_or_foreign_record_is_named_and_the_rest_is_shown(text: str, told: str, tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    store.write(done(spec(seed=7)))
    path = store.folder / "adding" / "lstm" / f"{done().id}.json"
    path.write_text(text)
    records, problems = store.read()
    assert list(records) == [spec(seed=7).id]
    assert len(problems) == 1
    assert str(path) in problems[0]
    assert told in problems[0]


def test_a_record_in_the_wrong_place_is_named(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = store.write(done())
    path.rename(path.with_name("other.json"))
    assert "in the wrong place" in store.read()[1][0]


@pytest.mark.parametrize("name", [b"\xff.json", b"\xfe/x.json", b"a\nb.json"])
def test_a_file_whose_name_is_not_text_is_set_aside(name: bytes, tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = Path(os.fsdecode(os.fsencode(store.write(done()).parent) + b"/" + name))
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}")
    (table,), problems = read_board(tmp_path)
    assert "missing field 'spec'" in "".join(problems)
    assert "Files set aside" in html([table], problems).encode().decode()


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    store = RecordStore(tmp_path / "board")
    store.folder.mkdir(parents=True)
    RecordStore(tmp_path / "other").write(done())
    (store.folder / "adding").symlink_to(tmp_path / "other" / "records" / "adding")
    assert store.read() == ({}, [])


def test_a_broken_file_is_kept_when_its_run_is_recorded_again(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    path = store.write(done())
    path.write_text("broken")
    store.write(done())
    assert path.with_suffix(".json.broken").read_text() == "broken"
    assert store.read()[1] == []


def test_a_full_disk_leaves_the_old_content_and_no_part_of_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RnnbenchError, match="No space left on device"):
        write_whole(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RnnbenchError, match=r"cannot write to .*file.*, the leaderboard"):
        writable_folder(tmp_path / "file", "the leaderboard")


def test_a_run_is_found_by_whatever_a_person_calls_it(tmp_path: Path) -> None:
    store = RecordStore(tmp_path)
    first, second = (done(spec(seed=seed), validation={"mse": value}) for seed, value in ((0, 0.5), (1, 0.2)))
    failed = lost(spec("gru"))
    records = {record.id: record for record in (first, second, failed)}
    path = store.write(first)
    assert find_run(first.id[:8], records) == first
    assert find_run("adding/lstm", records) == second  # the best by validation
    assert find_run("adding/lstm/0", records) == first
    assert find_run("adding/gru", records) == failed  # of whatever state
    assert find_run(str(path), {}) == first
    assert find_run(f"runs/my/{second.id}/checkpoints/best.ckpt", records) == second
    told = {
        "zz": "unknown run 'zz'",
        "adding/lsmt": "did you mean 'adding/lstm'",
        "a.ckpt": "no record here is of the run",
    }
    for name, why in told.items():
        with pytest.raises(RnnbenchError, match=why):
            find_run(name, records)
    with pytest.raises(RnnbenchError, match="start of 2 runs"):
        find_run("a", {"abc": first, "abd": second})
