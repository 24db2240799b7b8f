"""`import rnnbench as rb`: lazy, thin over harness and leaderboard, the same records and errors as the command line."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import rnnbench as rb
from rnnbench.architectures import GRU
from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import write_yaml
from rnnbench.data import Adding
from rnnbench.records.store import RecordStore
from tests.fixtures.cells import records

HOME = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def small(task: Callable[..., str]) -> dict[str, Any]:
    return {
        "name": "small", "architectures": ["gru", "elman"], "tasks": [task()], "budget": {"steps": 2},
        "model": {"hidden_size": 3}, "executor": "inline",
    }  # fmt: skip


def run_script(place: Path, text: str) -> str:
    (place / "script.py").write_text(text)
    environ = {**os.environ, "PYTHONPATH": str(HOME)}
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=place, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_and_looking_load_no_torch(place: Path) -> None:
    store = RecordStore(place / "leaderboard")
    for record in (*records("lstm", [0.1, 0.2]), *records("gru", [0.3, 0.42])):
        store.write(record)
    said = run_script(
        place,
        "import sys\nimport rnnbench as rb\n"
        "heavy = {'torch', 'lightning', 'pandas', 'rich', 'pydantic', 'jsonargparse'}\n"
        "assert not heavy & {*sys.modules}\n"
        "assert {'run', 'load_records', 'load_run', 'compare', 'nn'} <= {*dir(rb)}\n"
        "print(rb.load_records().shape, rb.compare('lstm', 'gru'))\n"
        "assert not {'torch', 'lightning', 'datasets'} & {*sys.modules}\n",
    )
    assert "(4, " in said
    assert "lstm" in said
    with pytest.raises(AttributeError, match="has no attribute 'no_such'"):
        _ = rb.no_such


def test_a_grid_runs_from_a_dict_and_the_second_call_starts_nothing(
    place: Path, small: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    result = rb.run(small, seeds=2)
    assert "start short/gru/0" in capsys.readouterr().out
    assert repr(result).startswith("grid small: 4 runs, 4 done\n")
    assert "n = 2 seeds" in repr(result.board())
    page = result._repr_html_()
    assert page.count("<table>") == 1
    assert "<th>gru</th>" in page
    frame = result.to_pandas()
    assert list(frame.architecture) == ["elman", "elman", "gru", "gru"]
    assert frame.score.notna().all()
    assert str(frame.seed.dtype) == "Int64"
    assert rb.run(small, seeds=2, verbose=False).to_pandas().equals(frame)
    assert capsys.readouterr().out == ""
    assert rb.load_records().drop(columns="tracks").equals(frame.drop(columns="tracks"))
    (path := place / "small.yaml").write_text(write_yaml(small))
    assert len(rb.run(path, seeds=1, verbose=False).cells) == 2
    assert len(rb.run(GridSpec.read(small, "test"), verbose=False).cells) == 2
    versus = rb.compare("gru", "elman")
    assert list(versus.to_pandas().columns[:4]) == ["task", "metric", "gru (hidden_size=3)", "elman (hidden_size=3)"]
    assert versus.versus.summary() in repr(versus)
    assert "<th>short, mse ↓, 2 steps</th>" in versus._repr_html_()
    trained = rb.load_run("short/gru")
    assert isinstance(trained.model, GRU)
    assert trained.tokenizer is None
    assert isinstance(trained.data, Adding)
    assert repr(trained).startswith("TrainedRun('short/gru/")
    with torch.no_grad():
        assert trained.model(torch.zeros(2, 6, 2)).shape == (2, 1)


SCRIPT = """
import rnnbench as rb
from rnnbench.architectures import Elman

print("once")
grid = {grid!r}
print(rb.run(grid, verbose=False).cells[0].state)

class Mine(Elman):
    pass

try:
    rb.run(grid, architectures=["mine.yaml"], verbose=False)
except rb.RnnbenchError as error:
    print(error)
print(rb.run(grid, architectures=["mine.yaml"], executor="inline", verbose=False).cells[0].state)
"""


def test_a_script_without_a_main_guard_runs_in_processes(place: Path, small: dict[str, Any]) -> None:
    (place / "mine.yaml").write_text("{summary: mine, class_path: __main__.Mine}")
    grid = {**small, "executor": {"local": {"workers": 1}}, "architectures": ["elman"]}
    once, state, why, inline = run_script(place, SCRIPT.format(grid=grid)).splitlines()
    assert (once, state, inline) == ("once", "done", "done")
    assert "class_path '__main__.Mine' is of a script or notebook" in why
    assert "executor: inline" in why


def test_a_running_event_loop_as_a_notebook_has_is_no_hindrance(place: Path, small: dict[str, Any]) -> None:
    async def cell() -> rb.GridResult:
        return rb.run({**small, "architectures": ["elman"]}, verbose=False)

    assert [one.state for one in asyncio.run(cell()).cells] == ["done"]


def test_failures_are_told_and_shown_not_raised(
    place: Path, small: dict[str, Any], architecture: Callable[..., str]
) -> None:
    name = architecture("raises", "tests.fixtures.strange.Raises")
    result = rb.run({**small, "architectures": [name, "gru"], "model": {}}, verbose=False)
    assert "failed: 1 of 2 cells (short/raises/0): KeyError" in repr(result)
    assert "failed: 1 of 2 cells" in result._repr_html_()
    assert list(result.to_pandas().state) == ["done", "failed"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda grid: rb.run(grid, seed=3), "'seed'"),
        (lambda grid: rb.run(grid, architectures=["lstn"]), "did you mean 'lstm'"),
        (lambda grid: rb.run(grid, retry=["missing"]), "unknown state for retry 'missing'"),
        (lambda grid: rb.run(3),  # type: ignore[arg-type]
         "grid must be a name, a path or a dict, got int"),
        (lambda grid: rb.run("quikstart"), "did you mean 'quickstart'"),
        (lambda grid: rb.load_records("nowhere"), "no records in nowhere; make some with: rnnbench run quickstart "
                                                  "--leaderboard nowhere"),
        (lambda grid: rb.compare("lstm", "gru"), "no records in leaderboard"),
        (lambda grid: rb.load_run("adding/gru"), "unknown task/architecture 'adding/gru'"),
        (lambda grid: rb.load_records("s3://bucket"), "only files of this machine"),
    ],
)  # fmt: skip
def test_errors_are_those_of_the_command_line(
    call: Callable[[Any], Any], message: str, place: Path, small: dict[str, Any]
) -> None:
    with pytest.raises(rb.RnnbenchError, match=re.escape(message)):
        call(small)
    assert not (place / "runs").exists()


def test_a_plot_has_a_dot_for_each_seed_and_names_no_run_that_is_not_done(place: Path, small: dict[str, Any]) -> None:
    result = rb.run(small, seeds=2, verbose=False)
    (panel,) = result.plot().to_dict()["concat"]
    dots = [row for layer in panel["layer"] for row in layer.get("data", {}).get("values", []) if "score" in row]
    assert sorted({row["architecture"] for row in dots}) == ["elman", "gru"]
    assert len(dots) == 4
    none = rb.GridResult(result.grid, [], result.folders)
    with pytest.raises(rb.RnnbenchError, match="no run is done"):
        none.plot()


def test_text_of_records_cannot_become_html() -> None:
    from rnnbench.leaderboard.render import html_board
    from rnnbench.leaderboard.table import make_table
    from tests.fixtures.cells import cells
    from tests.fixtures.records import lost

    page = html_board(make_table(cells(lost(reason="<script>alert(1)</script>"))), ["<b>"])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;b&gt;" in page


def test_modules_and_data_say_their_sizes() -> None:
    data = Adding(length=7, train_size=64, batch_size=8)
    assert repr(data).startswith("Adding(batch_size=8")
    assert repr(data).endswith(": regression, not prepared yet")
    data.prepare_data()
    assert "64 / 1,000 / 1,000 sequences to train / validate / test, inputs [B, T, 2], 1 outputs" in repr(data)
    data.setup()
    assert "Train dataloader: size=64" in str(data)  # Lightning's own
    model = GRU.from_data(data, hidden_size=4)
    count = sum(weight.numel() for weight in model.parameters())
    assert f"regression: inputs [B, T, 2], 1 outputs, {count:,} trainable parameters" in repr(model)
    assert "(layer): GRU(" in repr(model)
    assert "sizes come from the data" in repr(GRU(hidden_size=4))
