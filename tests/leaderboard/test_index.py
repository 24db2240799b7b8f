"""The index: the same board as from the records themselves, whatever has happened to them or to it."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import yaml

from rnnbench.config.grid import GridSpec
from rnnbench.leaderboard import index
from rnnbench.leaderboard.html.build import html
from rnnbench.leaderboard.index import Index
from rnnbench.leaderboard.page import quick_board, whole_board, write_page
from rnnbench.leaderboard.table import Table
from rnnbench.records.certificates import Certificates
from rnnbench.records.record import Point, Record, RecordStore
from rnnbench.records.selection import runs_of
from rnnbench.utils.files import CACHE_VARIABLE
from tests.fixtures.records import certificate, done, lost, spec
from tests.fixtures.trials import SPACE, answered


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RecordStore:
    """Records of every kind, and a cache of this test."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    store = RecordStore(tmp_path / "board")
    for seed in range(3):
        store.write(done(spec(seed=seed), 0.1 + seed / 10, parameters=seed, baseline="b", baseline_scores={"mse": 0.3}))
        store.write(done(spec("gru", seed=seed), 0.2, curve=[Point(step=1, train_loss=None, score=1.0)]))
    store.write(done(spec("gru", seed=7), 0.2, code_version="0" * 12))
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


def page_of(board: Path, made: Callable[[Path], tuple[Table, list[str]]]) -> tuple[bytes, list[str]]:
    """The page as it is written, and what is wrong with files."""
    table, problems = made(board)
    return write_page(board, table).read_bytes(), sorted(problems)


def same(store: RecordStore) -> tuple[bytes, list[str]]:
    """By the index, twice, to the byte as without it."""
    board = store.folder.parent
    whole = page_of(board, whole_board)
    for _ in range(2):
        assert page_of(board, quick_board) == whole
    return whole


def test_the_board_is_the_same(store: RecordStore) -> None:
    page, problems = same(store)
    assert b"tuned(2)" in page
    assert b"| gru |" in page
    assert len(problems) == 1


@pytest.mark.parametrize("name", [b"\xff.json", b"\xfe/x.json", b"a\nb.json"])
def test_a_file_whose_name_is_no_text_is_set_aside(name: bytes, store: RecordStore) -> None:
    path = Path(os.fsdecode(os.fsencode(store.folder / "adding" / "gru") + b"/" + name))
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text("{}")
    _, problems = same(store)
    assert "missing field 'spec'" in "".join(problems)
    table, problems = whole_board(store.folder.parent)
    assert "Files set aside" in html(table, problems).encode().decode()


def test_a_board_of_the_index_has_no_runs_and_says_so(store: RecordStore) -> None:
    table, _ = quick_board(store.folder.parent)
    entry = next(iter(table.rows[0].entries.values()))
    with pytest.raises(LookupError, match="has no runs"):
        _ = entry.done


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
    before = same(store)
    change(store)
    assert same(store) != before


def changed(record: Record, what: str, value: float) -> Record:
    metric = record.spec.task.metric
    if what == "baseline" or record.spec.trial:
        return record.model_copy(
            update={"baseline": f"of {value}", "baseline_scores": {} if record.spec.trial else {metric: value}}
        )
    return record.model_copy(update={"score": value, "scores": {metric: value}})


def hurt(page: Path, random: Random) -> None:
    """Cut a file of the index, or change a byte of it."""
    content = bytearray(page.read_bytes())
    if random.random() < 0.5:
        del content[random.randrange(len(content)) :]
    else:
        content[0] ^= 1
    page.write_bytes(content)


@pytest.fixture
def settled(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> RecordStore:
    """Records that are not of just now."""
    monkeypatch.setattr(index, "JUST_NOW", 0)
    return store


def test_after_any_row_of_changes_the_page_is_that_of_the_records(settled: RecordStore) -> None:
    random = Random(0)  # no secret
    same(settled)
    for step in range(25):
        files = sorted(settled.folder.rglob("*.json"))
        kind = random.choice(["add", "add", "score", "baseline", "remove", "cut", "index"])
        file = random.choice(files)
        if kind == "add":
            seed, name = random.randrange(100), random.choice(["gru", "lstm", "mgu"])
            settled.write(done(spec(name, seed=seed), random.random(), started=f"2026-{step:02}"))
        elif kind in {"score", "baseline"} and (record := settled.present(file)) and record.status == "done":
            settled.write(changed(record, kind, random.random()))
        elif kind == "remove":
            file.unlink()
        elif kind == "cut":
            file.write_bytes(file.read_bytes()[:50])
        else:
            hurt(random.choice(sorted(Index(settled.folder.parent).pages.iterdir())), random)
        same(settled)


def read_now(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that are read for the board."""
    read: list[Path] = []
    own = RecordStore.read_one

    def noted(self: RecordStore, path: Path) -> Record:
        read.append(path)
        return own(self, path)

    with monkeypatch.context() as patch:
        patch.setattr(RecordStore, "read_one", noted)
        quick_board(store.folder.parent)
    return read


def test_only_the_folder_that_changed_is_read_again(settled: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_now(settled, monkeypatch)
    assert not read_now(settled, monkeypatch)
    path = settled.folder / "parity" / "gru" / "new.json"
    path.write_text("{}")
    assert {one.parent for one in read_now(settled, monkeypatch)} == {path.parent}


def test_what_is_of_just_now_is_not_kept_as_it_may_change_within_one_tick_of_the_clock(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "JUST_NOW", 10**12)
    assert len(read_now(store, monkeypatch)) == len(read_now(store, monkeypatch)) > 0


@pytest.mark.parametrize("text", ["", "{", "[]", '{"meaning": 1}', "\0"])
def test_a_broken_index_is_made_anew(text: str, settled: RecordStore) -> None:
    same(settled)
    pages = list(Index(settled.folder.parent).pages.parent.rglob("*.json"))
    assert len(pages) == 4
    for page in pages:
        page.write_text(text)
    same(settled)


def test_an_index_of_another_version_is_made_anew(settled: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    same(settled)
    monkeypatch.setattr(index, "source_digest", lambda package: f"other {package}")
    for page in Index(settled.folder.parent).pages.iterdir():
        page.write_text(page.read_text().replace("0.2", "0.6"))
    same(settled)


def test_certificates_count_on_a_board_by_the_index(settled: RecordStore) -> None:
    older = done(spec("mgu"), 0.2, code_version="0" * 12)
    settled.write(older)
    page, _ = same(settled)
    assert "| mgu | 0.200 (n=1) °" in page.decode()
    certificates = Certificates(settled.folder.parent)
    certificates.add([certificate(older)])
    page, _ = same(settled)
    assert "| mgu | 0.200 (n=1) = |" in page.decode()
    certificates.add([certificate(older, why="the loss of step 1 was 1, is now 2")])
    page, _ = same(settled)
    assert "stale: adding × mgu: the loss of step 1 was 1, is now 2" in page.decode()


def test_without_a_cache_the_records_are_read(store: RecordStore, monkeypatch: pytest.MonkeyPatch) -> None:
    (store.folder.parent / "file").write_text("")
    monkeypatch.setenv(CACHE_VARIABLE, str(store.folder.parent / "file" / "below"))
    same(store)
