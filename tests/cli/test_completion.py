"""`rnnbench completion`: the script of each shell knows verbs and options; bash is asked for names, too."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.cli import VERBS, main
from rnnbench.cli.completion import SHELLS, completion_script
from rnnbench.config.registry import catalogue
from rnnbench.records.store import RecordStore
from tests.fixtures.records import done

HOME = Path(__file__).parents[2]
ASK = """
rnnbench() { "$PYTHON" -m rnnbench "$@"; }
source ./script
ask() { COMP_WORDS=(rnnbench "$@"); COMP_CWORD=$#; COMPREPLY=(); _shtab_rnnbench; echo "${COMPREPLY[*]}"; }
"""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_has_every_verb_and_its_options(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert not [verb for verb in VERBS if verb not in script]
    for option in ("leaderboard", "dry-run", "executor", "inline", "list grids --names", "list tasks --names"):
        assert option in script
    assert "]:task:($(" not in script  # zsh would run that whenever a shell starts
    if path := shutil.which(shell):
        subprocess.run([path, "-n", "/dev/stdin"], input=script, text=True, check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_verbs_options_and_names(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(completion_script("bash"))
    (tmp_path / "mine.yaml").touch()
    RecordStore(tmp_path / "leaderboard").write(done())
    asked = {
        "sho": ["show"],
        "show add": ["adding/lstm"],
        "run mi": ["mine.yaml"],
        "run quick": ["quickstart"],
        "run x --exec": ["--executor"],
        "run x --executor sl": ["slurm"],
        "run x --tasks weather-nyc-": [name for name in catalogue("task") if name.startswith("weather-nyc-")],
    }
    script = ASK + "\n".join(f"ask {words}" for words in asked)
    environ = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(HOME)}
    said = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
    assert [line.split() for line in said.stdout.splitlines()] == list(asked.values())


def test_names_alone_are_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "tasks", "--names"]) == 0
    assert capsys.readouterr().out.splitlines() == list(catalogue("task"))
