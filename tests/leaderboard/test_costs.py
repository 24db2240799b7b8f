"""Costs: by hand, never over machines; how to run again what is shown."""

from pathlib import Path
from typing import Any

import pytest
import torch

from rnnbench.config.grid import GridSpec
from rnnbench.config.schema import read_yaml
from rnnbench.harness.fit_size import state_bytes
from rnnbench.leaderboard.costs import CostRow, cost_rows, mean_cost_rows
from rnnbench.leaderboard.html.runs import command_of, grid_of
from rnnbench.leaderboard.table import make_table
from rnnbench.records.record import Cost, Environment, Record
from rnnbench.records.status import cells_on_record
from tests.fixtures.cells import cells
from tests.fixtures.records import done, spec


def costing(name: str, score: float, seconds: float = 1.0, device: str = "cpu", **changes: Any) -> Record:
    cost = Cost(train_seconds=seconds, total_seconds=9.0, steps=100, epochs=2, peak_memory_bytes=5_000_000,
                steps_per_epoch=60, state_bytes=64, flops_per_step=1000)  # fmt: skip
    where = Environment(
        python="3", torch="2", lightning="2", rnnbench="0", platform="p", processor="c", device=device, threads=1
    )
    return done(spec(name, seed=changes.pop("seed", 0)), score, cost=cost, environment=where, **changes)


def rows(*records: Record) -> dict[tuple[str, str], CostRow]:
    return {(row.label, row.machine): row for row in cost_rows(make_table(cells(*records)))}


def test_costs_by_hand() -> None:
    row = rows(costing("lstm", 0.1, 1.0), costing("lstm", 0.3, 2.0, seed=1))["lstm", "c, 1 thread"]
    assert row.count == 2
    assert row.score == pytest.approx(0.2)
    wanted = {
        "parameters": 10, "state_bytes": 64, "flops": 1000, "step_ms": 15, "epoch_seconds": 0.9, "train_seconds": 1.5,
        "memory_mb": 5,
    }  # fmt: skip
    assert row.costs == pytest.approx(wanted)


def test_who_is_worse_for_more_is_not_on_the_front() -> None:
    found = rows(costing("lstm", 0.2, 2.0), costing("gru", 0.1, 3.0), costing("elman", 0.3, 2.5))
    fronts = {label: "train_seconds" in row.fronts for (label, _), row in found.items()}
    assert fronts == {"lstm": True, "gru": True, "elman": False}


def test_times_of_two_machines_or_backends_are_never_averaged_or_ranked_together() -> None:
    found = rows(costing("lstm", 0.2, 9.0), costing("lstm", 0.2, 1.0, device="Big", seed=1))
    assert {machine: row.costs["train_seconds"] for (_, machine), row in found.items()} == {
        "c, 1 thread": 9.0, "Big (c)": 1.0}  # fmt: skip
    assert all("train_seconds" in row.fronts for row in found.values())
    two = [costing("lstm", 0.2, 9.0, backend="native"), costing("lstm", 0.2, 1.0, backend="reference", seed=1)]
    assert [row.count for row in cost_rows(make_table(cells(*two)))] == [1, 1]


def test_mean_costs_are_of_those_who_ran_every_task_on_one_machine() -> None:
    def run(name: str, task: str, seconds: float, seed: int = 0, **changes: Any) -> Record:
        record = costing(name, 0.2, seconds, **changes)
        own = spec(name, task, seed)
        return record.model_copy(update={"spec": own, "id": own.id})

    records = [run("lstm", "adding", 1.0), run("lstm", "parity", 3.0), run("lstm", "parity", 5.0, 1),
               run("gru", "adding", 9.0), run("gru", "parity", 1.0, device="Big"),
               run("elman", "adding", 3.0), run("elman", "parity", 4.0),
               run("elman", "parity", 90.0, 1, backend="reference"), run("elman", "parity", 4.0, 2),
               run("mgu", "adding", 1.0), run("mgu", "parity", 1.0)]  # fmt: skip
    table = make_table(cells(*records))
    means = mean_cost_rows(cost_rows(table), table.columns, {"lstm": 0.5, "gru": 0.9, "elman": 0.4})
    assert [(row.label, row.column, row.machine, row.count, row.score) for row in means] == [
        ("elman", None, "c, 1 thread", 3, 0.4), ("lstm", None, "c, 1 thread", 3, 0.5)]  # fmt: skip
    assert [row.costs["train_seconds"] for row in means] == [3.5, 2.5]
    assert ["train_seconds" in row.fronts for row in means] == [False, True]


def test_a_cost_that_some_records_lack_is_not_shown() -> None:
    (row,) = rows(costing("lstm", 0.1), done(spec(seed=1), 0.1)).values()
    assert row.costs["state_bytes"] is None
    assert row.costs["parameters"] == 10


@pytest.mark.parametrize(("name", "by_hand"), [("LSTM", 2 * 2 * 8 * 4), ("GRU", 2 * 8 * 4), ("TCN", None)])
def test_state_bytes_by_hand(name: str, by_hand: int | None) -> None:
    import rnnbench.architectures as architectures

    sizes = {"input_size": 3, "output_size": 2, "objective": "regression", "hidden_size": 8, "num_layers": 2}
    model = getattr(architectures, name)(**sizes)
    assert state_bytes(model) == by_hand
    if by_hand is not None:  # what one step hands on to the next
        _, states = model.layer.step(torch.zeros(1, 3))
        assert sum(state.numel() * state.element_size() for state in states) == by_hand


def typed(command: str, folder: Path) -> Any:
    """What a shell writes into the file."""
    path = folder / "again.yaml"
    path.write_text(command.partition("'END-OF-GRID'\n")[2].partition("\nEND-OF-GRID\n")[0])
    return read_yaml(path)


@pytest.mark.parametrize(
    "changes",
    [{}, {"params": "5000 ± 20%"}, {"batch_size": 16, "devices": 2}, {"model": {"hidden_size": 8, "clip_norm": None}}],
)
def test_the_grid_to_run_again_expands_to_the_same_runs(changes: dict[str, Any], tmp_path: Path) -> None:
    base = {
        "name": "my",
        "architectures": ["lstm-peephole"],
        "tasks": ["adding"],
        "seeds": [3, 5],
        "budget": {"steps": 7},
    }
    specs = GridSpec.read({**base, **changes}, "test").expand()
    again = GridSpec.read(grid_of(specs), "test").expand()
    assert [one.id for one in again] == [one.id for one in specs]
    assert [one.id for one in GridSpec.read(typed(command_of(specs), tmp_path), "t").expand()] == [
        one.id for one in specs
    ]


def test_a_task_of_somebody_else_is_said_to_need_its_path(tmp_path: Path) -> None:
    run = spec()
    text = command_of([run.model_copy(update={"task": run.task.model_copy(update={"name": "mine"})})])
    assert "# task mine is no name here: unless its folder is beside this grid, give the path of its card" in text
    assert typed(text, tmp_path)["tasks"] == ["mine"]
    assert "#" not in command_of([run])


@pytest.mark.parametrize(
    "evil", ["x\nEND-OF-GRID\nrm -rf ~\n", "$(touch x)", "'; touch x; '", "\x1b[31m", "END-OF-GRID", "é 🎵 \x9b31m"]
)
def test_nothing_in_a_record_leaves_the_grid_that_is_typed_again(evil: str, tmp_path: Path) -> None:
    run = spec()
    model = run.architecture.model_copy(update={"init_args": {"hidden_size": 8, evil: evil}})
    text = command_of([run.model_copy(update={"architecture": model})])
    assert text.splitlines().count("END-OF-GRID") == 1
    assert "\x1b" not in text
    assert typed(text, tmp_path)["model"][evil] == evil


def test_time_of_one_core_leaves_out_waiting_for_others() -> None:
    record = done()
    assert record.cost
    assert record.environment
    waited = record.model_copy(
        update={"cost": record.cost.model_copy(update={"train_seconds": 9.0, "cpu_seconds": 3.0})}
    )
    for threads, device, seconds in ((1, "cpu", 3.0), (2, "cpu", 9.0), (1, "GPU", 9.0)):
        where = record.environment.model_copy(update={"threads": threads, "device": device})
        assert waited.model_copy(update={"environment": where}).training_seconds == seconds
    one_core = record.environment.model_copy(update={"threads": 1, "device": "cpu"})
    assert record.model_copy(update={"environment": one_core}).training_seconds == record.cost.train_seconds
    (row,) = make_table(cells_on_record({waited.id: waited.model_copy(update={"environment": one_core})})).rows
    assert row.seconds == "3"
