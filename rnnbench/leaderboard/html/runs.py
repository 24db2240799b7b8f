"""What a field opens: its runs, as plain data for the page."""

import json
import re
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from rnnbench.config.grid import RunSpec
from rnnbench.config.registry import catalogue
from rnnbench.leaderboard.scores import Scale, scale_of
from rnnbench.leaderboard.statistics import seeds_to_separate
from rnnbench.leaderboard.table import Column, Entry, Row, Table
from rnnbench.records.record import Environment, Record
from rnnbench.records.selection import study_of
from rnnbench.records.status import Cell
from rnnbench.utils.text import clean

MAX_POINTS = 60
MAX_LOG = 4000
Artefacts = Callable[[Record], list[dict[str, str]]]
"""What a run has made: `title` and `text` each."""


def no_artefacts(record: Record) -> list[dict[str, str]]:
    """Of a leaderboard without artefacts."""
    return []


def runs_data(table: Table, artefacts: Artefacts = no_artefacts) -> dict[str, Any]:
    """All fields that have runs, by key, and the environments they refer to."""
    environments: dict[Environment, int] = {}
    best = {column: _best(table, column) for column in table.columns}
    scales = {column: _scale(scale_of(table, column)) for column in table.columns}
    fields = {
        f"{a},{t}": _field(row, row.entries[column], environments, artefacts)
        | _against(row, column, best[column])
        | scales[column]
        for a, row in enumerate(table.rows)
        for t, column in enumerate(table.columns)
        if column in row.entries
    }
    machines = [environment.model_dump() for environment in environments]
    return {"fields": fields, "environments": machines}


def _scale(scale: Scale | str) -> dict[str, Any]:
    """What 0 and 1 of normalised scores are on a task, if there is a scale."""
    if isinstance(scale, str):
        return {}
    return {"scale": {"chance": short(scale.chance), "one": short(scale.one), "is_ceiling": scale.is_ceiling}}


def _best(table: Table, column: Column) -> Row | None:
    """The row with the best mean of a column."""
    sign = 1 if column.direction == "maximise" else -1
    rows = [row for row in table.rows if column in row.entries and row.entries[column].scores]
    return max(rows, key=lambda row: sign * fmean(row.entries[column].scores), default=None)


def _against(row: Row, column: Column, best: Row | None) -> dict[str, str]:
    """How a field stands to the best of its column, and what would tell them apart."""
    own = row.entries[column]
    if best is None or own.standing is None:
        return {}
    if row is best:
        return {"standing": "the best here" + (", alone" if own.standing == "best" else "; others are the same")}
    values, others = own.scores, best.entries[column].scores
    needed = seeds_to_separate(values, others)
    more = "nobody could afford the seeds to tell them apart" if needed is None else (
        f"about {max(1, needed - min(len(values), len(others)))} more seeds of each would tell them apart")  # fmt: skip
    return {"standing": clean(f"the same as the best, {best.label}, as far as the seeds tell; {more}")}


def _field(row: Row, entry: Entry, environments: dict[Environment, int], artefacts: Artefacts) -> dict[str, Any]:
    spec = entry.cells[0].spec
    cells = sorted(entry.cells, key=lambda cell: (cell.spec.seed, _id(cell)))
    settings = {"class": spec.architecture.class_path, **spec.arguments}
    settings |= {"size": str(spec.size)} if spec.size else {}
    settings |= spec.training.settings if spec.training else {}
    return {
        "title": clean(f"{row.label} on {spec.task.name}"),
        "label": clean(row.label),
        "metric": spec.task.metric,
        "better": "lower" if spec.task.direction == "minimise" else "higher",
        "baseline": short(entry.baseline.value) if entry.baseline else None,
        "trained_to": _trained_to(spec),
        "settings": {clean(str(name)): _plain(value) for name, value in settings.items()},
        "budget": spec.budget.model_dump(exclude_none=True),
        "data": {clean(str(name)): _plain(value) for name, value in spec.task.data.init_args.items()},
        "again": command_of([cell.spec for cell in cells]),
        "runs": [_run(cell, environments, artefacts) for cell in cells],
    } | _tuning(row, spec)


def _trained_to(spec: RunSpec) -> int | None:
    """The longest sequences of training, where the test part has longer ones."""
    arguments = spec.task.data.init_args
    length = arguments.get("length")
    return length if arguments.get("test_lengths") and isinstance(length, int) else None


def _tuning(row: Row, spec: RunSpec) -> dict[str, Any]:
    """The best of k trials, of a row that is tuned."""
    study = next((one for one in row.studies if spec.selected and study_of(one.spec) == study_of(spec)), None)
    if study is None or spec.selected is None:
        return {}
    share = f" after {spec.selected.share:.0%} of the budget" if spec.selected.share < 1 else ""
    chosen = f"trial {spec.selected.index} of {study.trials}, by {spec.selected.by}{share}"
    if not study.scores:
        chosen = f"none of {study.trials} trials has a score"
    chosen += f"; {study.seconds:.0f} s spent on trials"
    return {"tuning": {"chosen": clean(chosen), "curve": [short(score) for score in study.curve]}}


def _run(cell: Cell, environments: dict[Environment, int], artefacts: Artefacts) -> dict[str, Any]:
    record = cell.record
    run: dict[str, Any] = {"id": _id(cell), "seed": cell.spec.seed, "state": cell.state}
    if cell.reason:
        run["reason"] = clean(cell.reason)
    if not cell.certified:
        run["uncertified"] = True
    if record is None:
        return run
    run["started"] = clean(record.started)
    if record.log_tail:
        run["log"] = _lines(record.log_tail[-MAX_LOG:])
    if record.attempts:
        run["attempts"] = [clean(one) for one in record.attempts]
    if record.status == "done":
        run |= _outcome(record)
    if record.environment:
        run["environment"] = environments.setdefault(record.environment, len(environments))
    if made := artefacts(record):
        run["artefacts"] = [{"title": clean(one["title"]), "text": _lines(one["text"])} for one in made]
    return run


def _lines(text: str) -> str:
    return "\n".join(map(clean, text.splitlines()))


def _id(cell: Cell) -> str:
    return cell.record.id if cell.record else cell.spec.id


def _outcome(record: Record) -> dict[str, Any]:
    step = max(1, -(-len(record.curve) // MAX_POINTS))
    last = record.curve[-1:] if (len(record.curve) - 1) % step else []
    return {
        "score": short(record.score),
        "scores": {clean(name): short(value) for name, value in record.scores.items()},
        "validation": {clean(name): short(value) for name, value in record.validation.items()},
        "best_step": record.best_step,
        "lengths": [[point.length, short(point.score)] for point in record.length_curve],
        "curve": [[point.step, short(point.train_loss), short(point.score)] for point in record.curve[::step] + last],
        "parameters": record.parameters,
        "training_seconds": short(record.training_seconds),
        "backend": clean(record.backend),
        "cost": {name: short(value) for name, value in record.cost or ()},
    }


def short(value: float | None) -> float | None:
    """A number with five digits that matter."""
    return None if value is None else float(f"{value:.5g}")


def _plain(value: Any) -> str:
    return clean(str(value))


def grid_of(specs: Sequence[RunSpec]) -> dict[str, Any]:
    """The grid that expands to `specs`, runs of one configuration on one task that differ in their seed.

    Of a tuned configuration it has the configuration that was selected, as runs of their own.
    """
    spec = specs[0]
    grid: dict[str, Any] = {
        "name": "again",
        "architectures": [spec.architecture.name],
        "tasks": [spec.task.name],
        "seeds": sorted(one.seed for one in specs),
        "budget": spec.budget.model_dump(exclude_none=True),
        "model": spec.arguments,
    }
    if "batch_size" in spec.task.data.init_args:
        grid["batch_size"] = spec.task.data.init_args["batch_size"]
    if "test_lengths" in spec.task.data.init_args:
        grid["lengths"] = ":".join(map(str, spec.task.data.init_args["test_lengths"]))
    if spec.data_seed is not None:
        grid["data_seed"] = spec.data_seed
    if spec.selected:
        grid["summary"] = f"what was selected among {spec.selected.trials} trials by {spec.selected.by}"
    if spec.devices > 1:
        grid["devices"] = spec.devices
    if spec.training:
        grid |= spec.training.content
    if spec.size:
        rule = spec.size.model_dump(exclude_none=True)
        grid["params" if rule.pop("quantity") == "parameters" else "flops"] = rule
    return grid


def command_of(specs: Sequence[RunSpec]) -> str:
    """What to type into a shell to run `specs` again. Quoting by the here-document: nothing in it is a command."""
    lines = [f"{name}: {_flow(value)}" for name, value in grid_of(specs).items()]
    parts = {"task": specs[0].task.name, "architecture": specs[0].architecture.name}
    lines += [f"# {kind} {name} is no name here: unless its folder is beside this grid, give the path of its card"
              for kind, name in parts.items() if name not in catalogue(kind)]  # fmt: skip
    return "\n".join(["cat > again.yaml <<'END-OF-GRID'", *lines, "END-OF-GRID", "rnnbench run again.yaml"])


def _flow(value: Any) -> str:
    """A value in one line of YAML, which is JSON but for the escapes of what is not ASCII."""
    text = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[^ -~]", lambda found: f"\\U{ord(found[0]):08x}", text)
