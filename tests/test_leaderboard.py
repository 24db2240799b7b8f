"""The committed leaderboard: its records pass every check, and its pages are those that its records give."""

import shutil
from pathlib import Path

import pytest

from rnnbench.board.page import whole_board, write_page
from rnnbench.cli import main
from rnnbench.record import RecordStore
from rnnbench.submissions.audit import audit
from tests.test_record import done

COMMITTED = Path(__file__).parents[1] / "leaderboard"
MEND = "run `rnnbench board` and commit what it writes"


def rebuilt(folder: Path) -> dict[str, bytes]:
    """The pages that records give, written beside a copy of them."""
    for part in ("records", "artefacts"):
        if (COMMITTED / part).is_dir():
            shutil.copytree(COMMITTED / part, folder / part, dirs_exist_ok=True)
    shutil.copy(COMMITTED / "conformance.json", folder)
    assert main(["board", "--leaderboard", str(folder)]) == 0
    table, problems = whole_board(folder)
    assert not problems
    write_page(folder, table)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".md", ".html"}}


def test_the_committed_records_pass_every_check() -> None:
    assert not audit(COMMITTED).problems


def test_the_committed_pages_are_those_of_the_committed_records(tmp_path: Path) -> None:
    pages = rebuilt(tmp_path)
    assert "README.md" in pages
    for name, content in pages.items():
        assert (COMMITTED / name).read_bytes() == content, f"leaderboard/{name} is not what the records give: {MEND}"


def test_one_record_more_makes_the_pages_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = rebuilt(tmp_path)
    RecordStore(tmp_path).write(done())
    after = rebuilt(tmp_path)
    assert all(before[name] != after[name] for name in before)
