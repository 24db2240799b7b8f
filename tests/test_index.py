"""The index: the same board as from the records themselves, whatever has happened to them or to it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rnnbench.board import index
from rnnbench.board.index import LEFT_OUT, Index, read_quickly
from rnnbench.board.page import quick_board, whole_board, write_page
from rnnbench.board.render import markdown
from rnnbench.files import CACHE_VARIABLE
from rnnbench.record import Point, Record, RecordStore
from rnnbench.selection import runs_of
from rnnbench.spec import GridSpec
from tests.test_record import done, lost, spec
from tests.test_tuning import SPACE, answered


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordStore:
    """Records of every kind, and a cache of this test."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    store = RecordStore(tmp_path / "board")
    for seed in range(3):
        store.write(done(spec(seed=seed), 0.1 + seed / 10, parameters=seed, baseline="b", baseline_scores={"mse": 0.3}))
        store.write(done(spec("gru", seed=seed), 0.2, curve=[Point(step=1, train_loss=None, score=1.0)]))
    store.write(done(spec("gru", seed=7), 0.2, code={"rnnbench.errors": "other"}))
    store.write(done(spec("gru", "parity"), 0.9))
    store.write(lost(spec("elman")))
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(SPACE))
    tune = {"trials": 2, "space": str(tmp_path / "space.yaml")}
    grid = GridSpec.read({"name": "t", "architectures": ["lstm"], "tasks": ["adding"], "tune": tune}, "test")
    trials = answered(grid, [0.2, 0.3])
    for record in [*trials.values(), *(done(run, 0.4) for run in runs_of(grid, trials) if run.selected)]:
        store.write(record)
    store.write(lost(spec("elman", seed=1), "infeasible", "never"))
    (store.folder / "adding" / "elman" / "broken.json").write_text("{")
    return store


def same(store: RecordStore) -> None:
    """By the index, twice, as without it; and nothing is read the second time."""
    board = store.folder.parent
    whole, problems = whole_board(board)
    for _ in range(2):
        quick, told = quick_board(board)
        assert markdown(quick) == markdown(whole)
        assert sorted(told) == sorted(problems)


def brief(record: Record) -> Record:
    return record.model_copy(update={name: Record.model_fields[name].get_default() for name in LEFT_OUT})


def test_records_of_the_index_are_those_of_the_files_without_curve_and_log(store: RecordStore) -> None:
    for _ in range(2):
        records, problems = read_quickly(store.folder.parent)
        assert records == {run: brief(record) for run, record in store.read()[0].items()}
        assert [type(record) for record in records.values()] == [Record] * len(records)
        assert len(problems) == 1
    assert all(record.spec.id == run for run, record in records.items())


def test_the_board_is_the_same(store: RecordStore) -> None:
    same(store)
    quick, _ = quick_board(store.folder.parent)
    assert "tuned(2)" in markdown(quick)
    assert "| gru |" in write_page(store.folder.parent, quick).read_text()


def rewrite(path: Path) -> None:
    """Change one digit in place: size and time of change of the content stay."""
    before = path.stat()
    path.write_text(path.read_text().replace("0.2", "0.3"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES: dict[str, Callable[[RecordStore], object]] = {
    "added": lambda store: store.write(done(spec("mgu"))),
    "one more seed": lambda store: store.write(done(spec("gru", seed=9), 0.7)),
    "replaced": lambda store: store.write(done(spec("gru"), 0.7)),
    "in place": lambda store: rewrite(store.folder / done(spec("gru")).file),
    "removed": lambda store: (store.folder / done(spec("gru")).file).unlink(),
    "broken": lambda store: (store.folder / done(spec("gru")).file).write_text("[]"),
    "mended": lambda store: (store.folder / "adding" / "elman" / "broken.json").unlink(),
    "misplaced": lambda store: (store.folder / done(spec("gru")).file).rename(store.folder / "x.json"),
    "newer data": lambda store: store.write(
        done(spec(seed=8), 0.2, data_fingerprint="e", started="2027-01-01T00:00:00+00:00")
    ),
    "two names": lambda store: store.write(
        done(spec().model_copy(update={"architecture": spec().architecture.model_copy(update={"name": "other"})}))
    ),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_has_changed_is_seen(change: Callable[[RecordStore], object], store: RecordStore) -> None:
    same(store)
    before = markdown(quick_board(store.folder.parent)[0]), quick_board(store.folder.parent)[1]
    change(store)
    same(store)
    after = markdown(quick_board(store.folder.parent)[0]), quick_board(store.folder.parent)[1]
    assert before != after


def test_only_the_folder_that_changed_is_read_again(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    read_quickly(store.folder.parent)
    read: list[Path] = []
    own = RecordStore.read_one

    def noted(self: RecordStore, path: Path) -> Record:
        read.append(path)
        return own(self, path)

    monkeypatch.setattr(RecordStore, "read_one", noted)
    read_quickly(store.folder.parent)
    assert not read
    path = store.folder / "parity" / "gru" / "new.json"
    path.write_text("{}")
    read_quickly(store.folder.parent)
    assert {one.parent for one in read} == {path.parent}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"meaning": 1}', "\0"])
def test_a_broken_index_is_made_anew(text: str, store: RecordStore) -> None:
    same(store)
    for page in Index(store.folder.parent).pages.iterdir():
        page.write_text(text)
    same(store)


def test_an_index_of_another_version_is_made_anew(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    same(store)
    monkeypatch.setattr(index, "code_digest", lambda _: "another")
    for page in Index(store.folder.parent).pages.iterdir():
        page.write_text(page.read_text().replace("0.2", "0.6"))
    same(store)


def test_without_a_cache_the_records_are_read(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.folder.parent / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(store.folder.parent / "file" / "below"))
    same(store)
