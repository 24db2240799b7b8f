"""What is measured on a GPU: without one it says so, and all of it that can be is run on the CPU."""

import json
import subprocess
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu, layer_device
from benchmarks.gpu import JSON, REPORT, Plan, main, read_results
from benchmarks.gpu_report import report, same
from benchmarks.layer_device import (
    COMPILED,
    CUDNN,
    GROUPS,
    LINEAR,
    Figure,
    Job,
    goal_lines,
    jobs,
    make_call,
    measure,
    most_wanted_first,
    ratios,
    rows,
)  # fmt: skip
from benchmarks.layers import main as layers_main
from rnnbench.config.grid import RunSpec
from rnnbench.harness.events import Finished, Started
from tests.fixtures.records import done

SHAPE = (256, 64, 128, 128)


@pytest.fixture
def without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("without_device")
def test_without_a_device_nothing_is_measured_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--json", str(tmp_path / "j"), "--report", str(tmp_path / "r")]) == 2
    assert "there is no CUDA device that torch can use here: nothing was measured" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr("sys.argv", ["layers", "--device", "cuda"])
    with pytest.raises(SystemExit) as ended:
        layers_main()
    assert ended.value.code == 2
    assert "--dry-run makes all calls on the CPU" in " ".join(capsys.readouterr().err.split())


def test_the_committed_page_is_that_of_the_committed_figures() -> None:
    content = json.loads(JSON.read_text()) if JSON.exists() else None
    assert REPORT.read_text() == report(content)


# --- layers


def test_every_row_is_made_of_calls_that_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the CPU with tiny shapes; what is not there says why, and never for a wrong name."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    for job in jobs("cpu", ["packed", "projected", "deep", "scan", "step"], tiny=True):
        with warnings.catch_warnings(action="ignore"):  # as in a worker: torch says that it has no fast projected LSTM
            figures = list(measure(job))
        for figure in figures:
            if figure.median is None:
                assert figure.entry.startswith("triton:")
                assert figure.missing.startswith(("not available: ", "ValueError", "RuntimeError"))
            else:
                assert figure.median > 0
                assert figure.first is not None


@pytest.mark.parametrize("engine", ["function", "reference"])
def test_engines_of_all_layers_can_be_called(engine: str) -> None:
    for row in rows():
        if row.group == "cells" and row.theirs == f"function:{row.ours.partition(':')[2]}":
            entry = f"{engine}:{row.ours.partition(':')[2]}"
            make_call(entry, Job("cells", (2, 2, 4, 8), "float32", (entry,), "cpu"))()


def test_rows_have_the_calls_of_torch_of_other_engines_and_of_others() -> None:
    pairs = {(row.group, row.ours, row.theirs) for row in rows()}
    assert {("gates", f"triton:{layer}", f"cudnn:{theirs}") for layer, theirs in CUDNN.items()} <= pairs
    assert {("compiled", f"triton:{layer}", f"compiled:{layer}") for layer in COMPILED} <= pairs
    assert {("linear", f"triton:{layer}", f"function:{layer}") for layer in LINEAR} <= pairs
    for theirs in ("function:SLSTM", "reference:SLSTM", "flashrnn:SLSTM"):
        assert ("cells", "triton:SLSTM", theirs) in pairs
    assert ("cells", "triton:MGU", "torchrecurrent:MGU") in pairs
    assert {row.group for row in rows()} == set(GROUPS)
    steps, batches, _, sizes = (sorted({shape[k] for shape in GROUPS["gates"].shapes}) for k in range(4))
    assert (steps[0], steps[-1], batches[0], batches[-1], sizes[0], sizes[-1]) == (32, 4096, 1, 512, 32, 1024)
    assert {job.precision for job in jobs("cuda", ["gates"])} == {"float32", "bfloat16", "float16"}


def test_a_call_that_raises_costs_no_other_its_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(entry: str, job: Job) -> Any:
        if entry == "triton:GRU":
            raise torch.OutOfMemoryError("CUDA out of memory")
        if entry == "triton:LSTM":
            raise RuntimeError("illegal access\nand more")
        return lambda: None

    monkeypatch.setattr(layer_device, "make_call", make)
    job = Job("gates", SHAPE, "float32", ("triton:LSTM", "triton:GRU", "cudnn:LSTM"), "cpu", rounds=3)
    found = {one.entry: one for one in measure(job)}
    assert found["triton:GRU"].missing == "out of memory"
    assert found["triton:LSTM"].missing == "RuntimeError: illegal access"
    assert found["cudnn:LSTM"].median is not None


def figure(entry: str, median: float | None, shape: tuple[int, ...] = SHAPE, **more: Any) -> Figure:
    return Figure("gates", shape, "float32", entry, median, median, median, 0.5, **more)


def test_ratios_and_goals_by_hand() -> None:
    large = (256, 64, 512, 512)
    figures = [
        figure("triton:LSTM", 1.1), figure("cudnn:LSTM", 1.0), figure("triton:LSTM", 3.0, large),
        figure("cudnn:LSTM", 1.0, large), figure("triton:GRU", None, missing="not available: no Triton"),
        figure("cudnn:GRU", 1.0),
    ]  # fmt: skip
    found = {(one.row.ours, one.shape): one for one in ratios(figures)}
    assert found["triton:LSTM", SHAPE].value == pytest.approx(1.1)
    assert not found["triton:LSTM", SHAPE].missed
    assert found["triton:LSTM", large].missed
    assert found["triton:GRU", SHAPE].missing == "triton: not available: no Triton"
    assert goal_lines(list(found.values())) == [
        ("gates: triton:LSTM ÷ cudnn:LSTM", "1.1 at 256×64×128×128 float32", "≤ 1.2 (H ≤ 256, B ≥ 32)", "reached"),
        ("gates: triton:LSTM ÷ cudnn:LSTM", "3 at 256×64×512×512 float32", "≤ 2 (H = 512, 1024)", "missed"),
    ]


def test_what_has_goals_is_measured_first() -> None:
    order = most_wanted_first(jobs("cuda"))
    first = [job.group for job in order[:12]]
    assert first[:6] == ["gates"] * 6
    assert {"cells", "packed", "scan"} <= set(first[6:])
    assert sorted(map(str, order)) == sorted(map(str, jobs("cuda")))


def test_a_process_that_dies_loses_its_own_job_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["done\n", '{"group": "gates", "shape": [1], "precision": "p", "entry": "e"}\ndone\n', "done\n"])

    class Ended:
        def __init__(self, *_: Any, **__: Any) -> None:
            self.stdout = next(lines)

    monkeypatch.setattr(subprocess, "run", Ended)
    three = [Job("gates", (k, 1, 1, 1), "float32", ()) for k in range(3)]
    measured = layer_device.in_processes([*three, Job("scan", (1, 1, 1), "float32", ())], say=lambda line: None)
    assert measured.failed == ["gates 1×1×1×1 float32"]
    assert [one.entry for one in measured.figures] == ["e"]


def test_what_no_time_was_left_for_is_not_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: Any, **__: Any) -> Any:
        raise subprocess.TimeoutExpired("python", 0.1, output=b"done\n")

    monkeypatch.setattr(subprocess, "run", late)
    three = [Job("gates", (k, 1, 1, 1), "float32", ()) for k in range(3)]
    measured = layer_device.in_processes(three, deadline=0.0, say=lambda line: None)
    assert (measured.failed, measured.late) == ([], ["gates 1×1×1×1 float32", "gates 2×1×1×1 float32"])


# --- the whole


class Runs:
    """In the place of an executor: records of made-up scores."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, Any]] = []

    def __call__(self, specs: list[RunSpec], settings: Any, deadline: float) -> gpu.Clock:
        clock = gpu.Clock()
        self.asked.append((len(specs), settings))
        for spec in specs:
            clock.on_event(Started(spec, "cuda:0"))
            clock.on_event(Finished(done(spec, 0.5 if settings.gpu_ids else 0.51, backend="native")))
        clock.ended = [one + 60 * len(specs) / (settings.runs_per_device or 1) for one in clock.started]
        return clock


def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The content of a whole measurement, of made-up runs and figures."""
    results = (
        '<testsuites><testsuite tests="3" failures="1" errors="0" skipped="1"><testcase classname="a" name="b">'
        "<failure/></testcase></testsuite></testsuites>"
    )
    figures = [asdict(figure("triton:LSTM", 1.1)), asdict(figure("cudnn:LSTM", 1.0))]
    monkeypatch.setattr(gpu, "run_specs", Runs())
    plan = Plan("cuda", 10)
    for name, step in {
        "tests": lambda *_: read_results(results),
        "layers": lambda *_: {"figures": figures, "failed": ["scan 1"], "late": ["deep 1", "deep 2"]},
    }.items():
        monkeypatch.setitem(gpu.STEPS, name, step)
    card = {
        "card": "Card",
        "capability": "9.0",
        "memory_gb": 80,
        "torch": "2",
        "cuda": "13",
        "triton": "3",
        "commit": "abc",
    }
    monkeypatch.setattr(gpu, "machine", lambda device: {**card, "clean": False})
    return gpu.measure(plan, lambda line: None)


def test_the_page_says_what_was_measured_on_which_card_and_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    content = json.loads(json.dumps(measured(monkeypatch)))
    assert [row["at_a_time"] for row in content["packing"]["rows"]] == [1, 2, 4, 8]
    assert len(content["grid"]["cells"]) == 16
    page = report(content)
    assert (
        "on Card (sm_90, 80 GB); torch 2, CUDA 13, Triton 3; commit abc, with changes that are not committed." in page
    )
    assert "| throughput of 8 runs on a card ÷ 1 run | 8.00 | ≥ 4 | reached |" in page
    assert "3 tests marked `gpu`: 1 failed, 1 skipped." in page
    assert "- failed: `a::b`" in page
    assert "| adding/elman/0 | mse | 0.5 | 0.51 | same | native, 1.00 s | native, 1.00 s |" in page
    assert "| triton:LSTM ÷ cudnn:LSTM | float32 | 1.1 |" in page
    assert "an error ended the process of scan 1" in page
    assert "No time was left for 2 parts of the table" in page
    assert "not been measured" not in page


def test_a_step_that_raises_is_said_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("no driver | today")

    measured(monkeypatch)
    monkeypatch.setitem(gpu.STEPS, "packing", fail)
    content = gpu.measure(Plan("cuda", 10), lambda line: None)
    assert content["packing"]["error"] == "RuntimeError: no driver | today"
    assert content["grid"]["cells"]
    assert "Not measured to its end: RuntimeError: no driver | today" in report(content)
    assert "| throughput of 8 runs on a card ÷ 1 run | not measured | ≥ 4 | open |" in report(content)


@pytest.mark.usefixtures("without_device")
def test_a_dry_run_prints_the_plan_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs()
    asked: list[Job] = []

    def layers(plan: Plan, *_: Any) -> dict[str, Any]:
        asked.extend(plan.layers)
        return {"figures": []}

    monkeypatch.setattr(gpu, "run_specs", runs)
    monkeypatch.setitem(gpu.STEPS, "tests", lambda *_: {"collected": 4})
    monkeypatch.setitem(gpu.STEPS, "layers", layers)
    assert main(["--dry-run", "--json", str(tmp_path / "j"), "--report", str(tmp_path / "r")]) == 0
    said = capsys.readouterr().err
    assert "plan: packing: 8 runs of lstm-peephole on one card, 1, 2, 4, 8 at a time" in said
    assert "plan: grid: 16 runs on the card, and the same on the CPU" in said
    assert "42 × gates" in said
    assert "dry run: nothing was written; every step runs" in said
    assert not list(tmp_path.iterdir())
    assert {settings.gpu_ids == [] for _, settings in runs.asked} == {True}
    assert {job.device for job in asked} == {"cpu"}


def test_the_card_is_named_by_its_place_and_the_cpu_by_none() -> None:
    plan = Plan("cuda", 10)
    assert (plan.settings(8).gpu_ids, plan.settings(8).runs_per_device) == ([0], 8)
    assert plan.settings(8, on_card=False).gpu_ids == []


@pytest.mark.parametrize(
    ("card", "cpu", "is_same"), [(0.5, 0.54, True), (0.5, 0.56, False), (100, 104, True), (9, 10, False)]
)
def test_scores_of_two_machines_are_the_same_within_what_machines_differ_by(
    card: float, cpu: float, is_same: bool
) -> None:
    assert same(card, cpu) == is_same


def test_goals_stand_on_the_page_that_has_no_figures() -> None:
    page = report(None)
    assert "**It has not been measured yet.**" in page
    for goal in ("≤ 1.2 (H ≤ 256, B ≥ 32)", "≤ 1.5 (H ≤ 256, B ≥ 32)", "≤ 2 (H = 512, 1024)", "≤ 0.9", "≤ 0.1", "≥ 4"):
        assert goal in page
