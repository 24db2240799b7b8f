"""A batch that goes through the network in parts is the same training; runs for which memory ran out use it."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MetricCollection

from rnnbench.architectures import GRU, LSTM, Elman
from rnnbench.architectures.micro_batches import micro_batches
from rnnbench.architectures.module import MeanLoss
from rnnbench.config.grid import GridSpec
from rnnbench.data.batches import StreamStore
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.loop import Executor, Report, run_jobs
from rnnbench.harness.grid import plan, run_grid
from rnnbench.harness.job import Ended, Job, failure_record
from rnnbench.harness.paths import Folders
from rnnbench.harness.take_probe import set_micro_batches
from rnnbench.objectives.batch import Batch, StreamBatch
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from tests.conftest import Silent
from tests.fixtures.foreign import Foreign


def test_parts_are_neighbouring_rows_and_keep_their_kind() -> None:
    rows = torch.arange(7).unsqueeze(1)
    parts = micro_batches(Batch(rows, rows.squeeze(1), torch.ones(7)), 3)
    assert [part.inputs.flatten().tolist() for part in parts] == [[0, 1, 2], [3, 4], [5, 6]]
    assert [len(part.lengths) for part in parts if part.lengths is not None] == [3, 2, 2]
    stream = micro_batches(StreamBatch(rows, rows, None, True), 2)
    assert all(isinstance(part, StreamBatch) and part.continues and part.lengths is None for part in stream)
    triple: Any = (rows, rows, None)
    assert [type(part) for part in micro_batches(triple, 2)] == [tuple, tuple]
    assert len(micro_batches(Batch(rows, rows), 100)) == 7
    assert micro_batches(triple, 1) == [triple]


def gradients(model: Any, batch: Any, parts: int) -> tuple[Tensor, list[Tensor | None]]:
    """What is returned and what is logged, and all gradients."""
    model.zero_grad()
    model.micro_batches = parts
    model.on_fit_start()
    loss = model.training_step(batch, 0)
    (3 * loss).backward()  # whoever scales a loss scales its gradients
    said = torch.stack([loss.detach().float(), model.train_loss[0] / model.train_loss[1]])
    return said, [None if one.grad is None else one.grad.clone() for one in model.parameters()]


def check_same(model: Any, other: Any, batch: Any, parts: int, precision: float = 1e-9) -> None:
    """One goes through the first in one go, through the second in parts."""
    said, whole = gradients(model, batch, 1)
    its_said, summed = gradients(other, batch, parts)
    assert torch.allclose(said, its_said)
    for one, its in zip(whole, summed, strict=True):
        assert (one is None) == (its is None)
        assert one is None or (its is not None and torch.allclose(one, its, rtol=precision, atol=precision / 100))
    assert any(one is not None and one.any() for one in whole)


NAN = float("nan")
FEATURES, LENGTHS = torch.randn(5, 6, 2, generator=torch.Generator().manual_seed(0)).double(), [6, 1, 4, 5, 2]
IDS = torch.tensor([[3, 4, 2, 0, 0, 0], [5, 0, 0, 0, 0, 0], [4, 4, 3, 2, 0, 0], [5, 3, 4, 3, 2, 0], [3, 2, 0, 0, 0, 0]])
TEXTS = torch.tensor([[3, 2, -100], [4, 3, 2], [2, -100, -100], [3, 3, 2], [4, 2, -100]])
VALUES = torch.where(FEATURES > 1, NAN, FEATURES)
OBJECTIVES: dict[str, tuple[dict[str, Any], tuple[Tensor, Tensor]]] = {
    "classification": ({"output_size": 3}, (FEATURES, torch.tensor([0, 1, 2, 1, 0]))),
    "tagging": ({"output_size": 6, "input_kind": "tokens", "input_size": 6}, (IDS, IDS.where(IDS > 0, -100))),
    "language_model": ({"output_size": 6, "input_kind": "tokens", "input_size": 6}, (IDS, IDS.where(IDS > 0, -100))),
    "regression": ({"output_size": 1}, (FEATURES, FEATURES[:, 0, :1])),
    "forecast": ({"output_size": 2}, (FEATURES, VALUES)),
    "horizon_forecast": (
        {"output_size": 2, "objective_options": {"horizon": 2, "season": 2, "scales": [1.0, 1.0]}},
        (FEATURES, VALUES),
    ),
    "multi_label_frames": ({"output_size": 2}, (FEATURES, (FEATURES > 0).double())),
    "next_symbols": ({"output_size": 2}, (FEATURES, (FEATURES > 0).double())),
    "ctc": (
        {"output_size": 3, "objective_options": {"alphabet": "ab"}},
        (FEATURES, (TEXTS - 2).where((TEXTS > 2) & (TEXTS < 5), -100)),
    ),
    "sequence_to_sequence": (
        {"output_size": 6, "input_kind": "tokens", "input_size": 6, "attention": "luong",
         "objective_options": {"tokenizer": "", "max_length": 4}},
        (IDS, TEXTS),
    ),
}  # fmt: skip


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_gradients_of_the_parts_are_those_of_the_batch(objective: str, parts: int) -> None:
    facts, (inputs, targets) = OBJECTIVES[objective]
    precision = 1e-4 if objective == "ctc" else 1e-9  # its probabilities are of single precision
    same_length = objective in ("horizon_forecast", "ctc")
    torch.manual_seed(0)
    model = GRU(**{"input_size": 2, "hidden_size": 3, "objective": objective, **facts}).double()
    check_same(model, model, Batch(inputs, targets, None if same_length else torch.tensor(LENGTHS)), parts, precision)


@pytest.mark.parametrize("which", ["activation_penalty", "temporal_penalty", "both"])
def test_penalties_are_means_over_the_whole_batch(which: str) -> None:
    torch.manual_seed(0)
    names = ["activation_penalty", "temporal_penalty"] if which == "both" else [which]
    model = LSTM(2, 3, "classification", hidden_size=3, **dict.fromkeys(names, 0.5)).double()  # type: ignore[arg-type]
    check_same(model, model, Batch(FEATURES, torch.tensor([0, 1, 2, 1, 0]), torch.tensor(LENGTHS)), 4)


def test_what_is_never_used_has_no_gradient_in_parts_either() -> None:
    model = GRU(2, 3, "classification", hidden_size=3).double()
    model.register_parameter("idle", nn.Parameter(torch.ones(2).double()))
    check_same(model, model, Batch(FEATURES, torch.tensor([0, 1, 2, 1, 0])), 2)
    assert model.idle.grad is None


def test_each_part_of_a_stream_carries_its_own_state_through_training_and_a_restart() -> None:
    torch.manual_seed(0)
    store = StreamStore(torch.randint(1, 9, (61,)), rows=3, steps=5, unknown=-100)
    whole = LSTM(9, 9, "character_model", "tokens", hidden_size=4, num_layers=2, embedding_size=3).double()
    divided, restarted = deepcopy(whole), deepcopy(whole)
    check_same(whole, divided, store.piece(0), 2)
    check_same(whole, divided, store.piece(1), 2)
    restarted.on_fit_start()
    restarted.set_running_state(divided.running_state())
    check_same(whole, restarted, store.piece(2), 2)


def test_validation_scores_of_the_parts_are_those_of_the_batch() -> None:
    torch.manual_seed(0)
    model = GRU(2, 3, "classification", hidden_size=3).double().eval()
    said = []
    for parts in 1, 3:
        model.micro_batches = parts
        model.validation_step(Batch(FEATURES, torch.tensor([0, 1, 2, 1, 0]), torch.tensor(LENGTHS)), 0)
        loss, metrics = cast(MeanLoss, model.losses["val"]), cast(MetricCollection, model.metrics["val"])
        said.append([loss.compute(), *metrics.compute().values()])
        loss.reset()
        metrics.reset()
    assert torch.allclose(torch.stack(said[0]), torch.stack(said[1]))


# --- runs


def run(grid: GridSpec, folders: Folders) -> Record:
    run_grid(grid, plan(grid, {})[1], folders, Silent())
    (record,) = RecordStore(folders.leaderboard).read()[0].values()
    return record


@pytest.mark.parametrize(("devices", "retries"), [(1, 2), (2, 2)])
def test_a_run_for_which_memory_ran_out_ends_in_parts_with_the_scores_of_one_that_had_enough(
    devices: int, retries: int, grid: Callable[..., GridSpec], architecture: Callable[..., str], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {
        "budget": {"steps": 6, "validate_every": 3}, "devices": devices,
        "executor": {"local": {"workers": 2, "retries": retries}},
    }  # fmt: skip
    hungry = grid(architectures=[architecture("hungry", "tests.fixtures.strange.Hungry")], **changes)
    record = run(hungry, Folders(tmp_path / "leaderboard", tmp_path / "runs"))
    assert record.status == "done", record.reason + record.log_tail
    assert record.cost
    assert record.cost.micro_batches == 4
    assert record.cost.steps == 6
    assert [one.split("; ")[-1] for one in record.attempts] == [
        "tried again with 2 micro-batches",
        "tried again with 4 micro-batches",
    ]
    assert all(one.startswith("out of memory: ") for one in record.attempts)
    enough = run(grid(architectures=["elman"], **changes), Folders(tmp_path / "enough", tmp_path / "runs-2"))
    assert enough.cost
    assert enough.cost.micro_batches == 1
    assert record.scores == pytest.approx(enough.scores, rel=1e-4)
    assert [one.score for one in record.curve] == pytest.approx([one.score for one in enough.curve], rel=1e-4)


def test_a_run_that_still_wants_more_has_failed_and_says_how_often_it_was_tried(
    grid: Callable[..., GridSpec], architecture: Callable[..., str], folders: Folders
) -> None:
    hungry = architecture("hungry", "tests.fixtures.strange.Hungry")
    record = run(grid(architectures=[hungry], executor={"local": {"workers": 1, "retries": 1}}), folders)
    assert record.status == "failed"
    assert record.reason.startswith("out of memory: ")
    assert len(record.attempts) == 1


class Scheduler(Executor):
    """Machines on which eight rows have place, and one that is lost at first."""

    prepares_data = False

    def __init__(self, retries: int) -> None:
        self.retries = retries
        self.given: list[Job] = []

    def open(self) -> None: ...

    def start(self, job: Job, report: Report) -> int:
        self.given.append(job)
        return len(self.given) - 1

    def wait(self, running: Sequence[int], seconds: float) -> Sequence[int]:
        return running

    def result(self, handle: int) -> Ended:
        job = self.given[handle]
        if not job.attempts:
            return Ended(failure_record(job, "failed", "lost with its machine"), cut_off=True)
        why = "out of memory: too much" if job.micro_batches < 4 else "something else"
        return Ended(failure_record(job, "failed", why))

    def close(self, running: Sequence[int]) -> None:
        assert not running


@pytest.mark.parametrize(
    ("retries", "given", "reason"),
    [
        (5, [(1, 0), (1, 1), (2, 2), (4, 3)], "something else"),
        (2, [(1, 0), (1, 1), (2, 2)], "out of memory: too much"),
    ],
)
def test_a_scheduler_is_handed_a_run_again_in_parts(
    retries: int, given: list[tuple[int, int]], reason: str, grid: Callable[..., GridSpec], tmp_path: Path
) -> None:
    (spec,) = grid(architectures=["elman"]).expand()
    executor, watcher = Scheduler(retries), Silent()
    (record,) = run_jobs(executor, [Job(spec, "small", tmp_path)], watcher)
    assert [(job.micro_batches, len(job.attempts)) for job in executor.given] == given
    assert record.reason == reason
    assert record.attempts[:2] == ["lost with its machine", "out of memory: too much; tried again with 2 micro-batches"]
    assert [what for kind, what in watcher.events if kind == "retried"] == record.attempts


def over_the_batch() -> GRU:
    model = GRU(2, 2, "classification")
    model.norm = nn.BatchNorm1d(2)
    return model


@pytest.mark.parametrize(
    ("model", "parts", "why"),
    [
        (over_the_batch(), 2, "norm normalises over the batch"),
        (Foreign("sequence"), 2, "Foreign is no SequenceModule"),
        (Elman(2, 2, "classification"), 64, "they have gone through row by row"),
    ],
    ids=["batch-norm", "foreign", "rows"],
)
def test_what_cannot_go_in_parts_is_told(model: Any, parts: int, why: str) -> None:
    with pytest.raises(RnnbenchError, match=why):
        set_micro_batches(model, parts, 32)
    assert getattr(model, "micro_batches", 1) == 1
