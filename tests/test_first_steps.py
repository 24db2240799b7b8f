"""What a newcomer types first: the README's commands, in order, in a fresh clone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rnnbench.records.store import RecordStore
from tests.conftest import REAL_ARCHIVES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BOARD = Path("runs/quickstart/leaderboard")


def first_commands() -> list[str]:
    """The commands of the README before its second heading but `make test`, which would run this test again."""
    lines = README.partition("\n## A grid of your own\n")[0].splitlines()
    commands = [line for line in lines if re.match(r"make |\.venv/bin/", line)]
    return [line for line in commands if not line.startswith("make test")]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def clone(tmp_path: Path, stand_ins: None) -> Path:
    """What `git clone` would give, had the work tree been committed, but for three things that make it fast and keep it
    off the network: the environment is the one of this test, runs are short, and archives are stand-ins.
    """
    folder = tmp_path / "clone"
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")[:-1]:
        if (ROOT / name).is_file():  # or deleted, and not yet committed
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    grid = folder / "configs" / "grids" / "quickstart.yaml"
    short = {"seeds": 1, "budget": {"steps": 6}, "model": {"hidden_size": 4}}
    grid.write_text(yaml.safe_dump({**yaml.safe_load(grid.read_text()), **short}))
    hashes = {
        real.sha256: stand_in.sha256
        for cls, sources in REAL_ARCHIVES.items()
        for real, stand_in in zip(sources, cls.sources, strict=True)
    }
    for path in folder.glob("rnnbench/**/*.py"):
        text = path.read_text()
        path.write_text(re.sub(r"\b[0-9a-f]{64}\b", lambda found: hashes.get(found[0], found[0]), text))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent, target_is_directory=True)
    (folder / ".venv" / "installed").touch()
    return folder


def test_the_first_commands_of_the_readme_work_in_order_in_a_fresh_clone(clone: Path) -> None:
    def run(command: str) -> str:
        outer = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # of the make that has started the tests
        environment = {name: value for name, value in os.environ.items() if name not in outer}
        environment["PYTHONPATH"] = str(clone)
        done = subprocess.run(["bash", "-c", command], cwd=clone, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    quickstart, *questions = first_commands()
    assert [line.split()[1] for line in (quickstart, *questions)] == ["quickstart", "show", "classify", "gates"]
    said = run(quickstart)
    assert "then trains" in said.splitlines()[0]
    records, _ = RecordStore(clone / BOARD).read()
    assert sorted(one.status for one in records.values()) == ["done"] * 11 + ["infeasible"]
    assert "chance" in said
    assert [line.strip() for line in said.splitlines() if line.startswith("  .venv/")] == questions
    show, classify, gates = map(run, questions)
    assert "validation mse" in show
    assert "very positive" in classify
    assert "sigmoid" in gates
    again = run(quickstart)
    assert "kept" in again.splitlines()[0]
    assert "12 cells, 12 settled, 0 to run" in again
    assert git(clone, "status", "--porcelain") == ""
