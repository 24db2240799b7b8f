"""The page of a checkpoint in a repository of a hub, `README.md`: metadata in YAML, then Markdown, all text escaped."""

import re
from typing import Any

from lightning.pytorch import LightningDataModule

from rnnbench.config.schema import write_yaml
from rnnbench.harness.instantiate import import_class
from rnnbench.harness.load_run import TrainedRun
from rnnbench.leaderboard.html.runs import grid_of
from rnnbench.records.record import Record
from rnnbench.utils.text import amount, clean, escape, number

DIRECTIONS = {"minimise": "lower is better", "maximise": "higher is better"}
VERBS = {
    "generate": "rnnbench generate {run} --prompt 'TEXT'",
    "score": "rnnbench score {run} 'TEXT' 'TEXT'",
    "classify": "rnnbench classify {run} 'TEXT OR FILE'",
    "translate": "rnnbench translate {run} 'TEXT'",
    "transcribe": "rnnbench transcribe {run} FILE",
    "caption": "rnnbench caption {run} FILE",
    "forecast": "rnnbench forecast {run}",
    "gates": "rnnbench gates {run}",
}
"""Commands that ask a trained network, as far as a card shows them."""


def model_card(run: TrainedRun, record: Record, address: str, licence: str) -> str:
    """The page of a run.

    Args:
        run: with its model.
        record: as it is pushed.
        address: where to.
        licence: of the weights, as the hub abbreviates it; empty if none was named.
    """
    spec = record.spec
    name = escape(f"{spec.row} on {spec.task.name}")
    parts = [
        f"---\n{write_yaml(metadata(record, licence))}---",
        f"# {name}",
        f"One run of rnnbench, a benchmark of recurrent networks: architecture {_code(spec.row)}, task "
        f"{_code(spec.task.name)} (version {spec.task.version}), seed {spec.seed}, run {_code(record.id)}.",
        "## Scores\n\n" + _scores(record),
        "Test scores are of the checkpoint with the best validation score; the test part was read once. They are what "
        f"the publisher's record says: `rnnbench verify {record.id}` trains it again and compares.",
        "## How to load it\n\n" + _loading(run, record, address),
        "## How it was trained\n\n" + _training(record),
        "## Data\n\n" + _data(record),
        "## Licence\n\n" + _licence(licence),
    ]
    return "\n\n".join(parts) + "\n"


def metadata(record: Record, licence: str) -> dict[str, Any]:
    """What a hub reads of the card: library, tags, licence, and test scores as a `model-index`."""
    task = record.spec.task
    metrics = [{"type": name, "name": f"test {name}", "value": value} for name, value in record.scores.items()]
    result = {
        "task": {"type": task.objective, "name": task.name},
        "dataset": {"type": task.name, "name": task.name, "split": "test"},
        "metrics": metrics,
    }
    content: dict[str, Any] = {"library_name": "rnnbench"}
    if licence:
        content["license"] = licence
    content["tags"] = ["rnnbench", "recurrent-neural-network", record.spec.architecture.name, task.name]
    content["model-index"] = [{"name": f"{record.spec.architecture.name} on {task.name}", "results": [result]}]
    return content


def _scores(record: Record) -> str:
    task = record.spec.task
    chance = f"chance ({record.baseline})" if record.baseline else "chance"
    lines = [f"| metric | test | validation | {escape(chance)} |", "| --- | ---: | ---: | ---: |"]
    for name in sorted(record.scores, key=lambda name: (name != task.metric, name)):
        values = (record.scores[name], record.validation.get(name), record.baseline_scores.get(name))
        shown = ("" if value is None else escape(number(value)) for value in values)
        meaning = f" ({DIRECTIONS[task.direction]})" if name == task.metric else ""
        lines.append(f"| {escape(name)}{meaning} | {' | '.join(shown)} |")
    return "\n".join(lines)


def _loading(run: TrainedRun, record: Record, address: str) -> str:
    verbs = run.model.inference.verbs if hasattr(run.model, "inference") else ()
    if getattr(run.model, "tokenizer", None) is None:  # a classifier of series is asked in Python
        verbs = [verb for verb in verbs if "TEXT" not in VERBS.get(verb, "")]
    commands = ["pip install rnnbench", f"rnnbench pull {address}", f"rnnbench show {record.id}"]
    commands += [VERBS[verb].format(run=record.id) for verb in verbs if verb in VERBS]
    python = [
        "from pathlib import Path",
        "from rnnbench.harness.load_run import load_run",
        "",
        f'run = load_run("{record.id}", Path("leaderboard"), Path("runs"))',
        "run.model  # a LightningModule in evaluation mode; run.data is its LightningDataModule",
    ]
    code = sorted(record.provenance.needs) if record.provenance else []
    needed = [f"It needs {escape(', '.join(code))}."] if code else []
    fences = [_fence("\n".join(commands)), _fence("\n".join(python), "python")]
    return "\n\n".join(
        [*fences, *needed, "Weights are read with `weights_only=True`: tensors and plain values, no code."]
    )


def _training(record: Record) -> str:
    cost, where = record.cost, record.environment
    assert cost is not None
    assert where is not None
    rows = {
        "parameters": f"{record.parameters:,}",
        "optimiser steps": f"{cost.steps:,}",
        "training": f"{amount(cost.train_seconds)} s",
        "device": f"{where.device}, {where.processor}",
        "versions": f"rnnbench {where.rnnbench}, torch {where.torch}, Lightning {where.lightning}",
        "engine": record.backend,
        "started": record.started,
    }
    if record.provenance and record.provenance.by:
        rows["published by"] = record.provenance.by
    table = ["| | |", "| --- | --- |", *(f"| {name} | {escape(text)} |" for name, text in rows.items() if text)]
    grid = write_yaml(grid_of([record.spec]), plain=True)
    return f"By this grid:\n\n{_fence(grid, 'yaml')}\n\n" + "\n".join(table)


def _data(record: Record) -> str:
    task = record.spec.task
    cls = import_class(task.data.class_path, LightningDataModule, f"task {task.name!r}")
    sources = getattr(cls, "sources", ())
    lines = [f"Made by {_code(task.data.class_path)}; digest of its content: {_code(record.data_fingerprint)}.\n"]
    lines += [f"- {escape(f'{source.package} {source.version} ({source.file})')}, licence: {escape(source.licence)}"
              for source in sources]  # fmt: skip
    return "\n".join(lines if sources else [*lines, "It is generated, or given by its user."])


def _licence(licence: str) -> str:
    if licence:
        return f"Weights: {_code(licence)}. The data has its own licence, see above; rnnbench is Apache-2.0."
    return "The publisher has named none for the weights. The data has its own, see above; rnnbench is Apache-2.0."


def _code(text: str) -> str:
    """Text in the typeface of code, whatever it has in it."""
    return f"<code>{escape(text)}</code>"


def _fence(text: str, language: str = "") -> str:
    """A block of code, whose fence is longer than any row of backquotes in it."""
    lines = [clean(line) for line in text.strip("\n").split("\n")]
    longest = max((len(row) for line in lines for row in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])
