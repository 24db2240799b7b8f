"""The committed leaderboard: its records pass every check, and its pages are those that its records give."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from rnnbench.cli import main
from rnnbench.harness.job import FOLDERS
from rnnbench.leaderboard.board import read_board
from rnnbench.leaderboard.render import write_markdown
from rnnbench.records.certificates import Certificates
from rnnbench.records.store import RecordStore
from rnnbench.records.submissions.check import audit
from tests.fixtures.records import done

COMMITTED = Path(__file__).parents[2] / "leaderboard"
MEND = "run `rnnbench board` and commit what it writes"


@pytest.fixture(autouse=True)
def _version(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is of the version that the leaderboard was last certified for, or else made by: else every change of the
    code would make its pages others.
    """
    certified = [one.version for one in Certificates(COMMITTED).all.values()]
    made = [one.code_version or "" for one in RecordStore(COMMITTED).read()[0].values() if one.status == "done"]
    ((version, _),) = Counter(certified or made).most_common(1)
    monkeypatch.setattr("rnnbench.records.status.code_version", lambda spec: version)


def rebuilt(around: Path) -> dict[str, bytes]:
    """The pages that records give, written beside a copy of them, in a folder around which lies what they link to."""
    folder = around / "leaderboard"
    for name in ("README.md", "CITATION.cff", "docs/submitting.md"):
        (around / name).parent.mkdir(exist_ok=True)
        (around / name).touch()
    for part in ("records", "artefacts"):
        if (COMMITTED / part).is_dir():
            shutil.copytree(COMMITTED / part, folder / part, dirs_exist_ok=True)
    for name in ("conformance.json", "certificates.json"):
        if (COMMITTED / name).exists():
            shutil.copy(COMMITTED / name, folder)
    assert main(["board", "--leaderboard", str(folder)]) == 0
    tables, problems = read_board(folder)
    assert not problems
    write_markdown(folder, tables)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in {".md", ".html"}}


def test_the_committed_records_pass_every_check() -> None:
    assert not audit(COMMITTED).problems
    with_folders = [
        record.id for record in RecordStore(COMMITTED).read()[0].values() if FOLDERS.search(record.log_tail)
    ]
    assert not with_folders


def test_the_committed_pages_are_those_of_the_committed_records_and_others_with_one_more(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = rebuilt(tmp_path)
    assert "README.md" in pages
    for name, content in pages.items():
        assert (COMMITTED / name).read_bytes() == content, f"leaderboard/{name} is not what the records give: {MEND}"
    RecordStore(tmp_path / "leaderboard").write(done())
    after = rebuilt(tmp_path)
    assert {name for name in pages if pages[name] != after[name]} == {"README.md", "index.html"}
