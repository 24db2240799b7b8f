"""`rnnbench show`."""

from collections.abc import Iterator
from typing import Any

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rnnbench.cli.console import warn_set_aside
from rnnbench.cli.parser import RUN, Parser, add_folders
from rnnbench.config.schema import write_yaml
from rnnbench.harness.paths import Folders
from rnnbench.leaderboard.table import budget_text
from rnnbench.records.artefacts import ArtefactStore
from rnnbench.records.find import find_run
from rnnbench.records.record import Record
from rnnbench.records.store import RecordStore
from rnnbench.utils.text import amount, clean, number, sparkline

MAX_OTHER_SCORES = 8
"""Test scores beside the one that ranks that are printed without `--full`: a forecast has one for each hour."""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("run", type=str, help=RUN)
    parser.add_argument("--full", action="store_true", help="the whole record, with digests, and its learning curve")
    add_folders(parser)


def run(options: Namespace) -> None:
    """Print the score of a run, its settings, what it cost and its learning curve; or its whole record."""
    folders = Folders(options.leaderboard, options.runs)
    store = RecordStore(folders.leaderboard)
    records, problems = store.read()
    record = find_run(options.run, records)
    console = Console(highlight=False)
    if options.full:
        _print_record(record, console)
    else:
        _print_summary(record, console)
    if record.log_tail:
        console.print(Text("end of the log", style="bold"), Text(_clean_lines(record.log_tail)), sep="\n")
    for artefact in ArtefactStore(folders.leaderboard).of(record):
        console.print(Text(artefact["title"], style="bold"), Text(_clean_lines(artefact["text"])), sep="\n")
    console.print(f"record: {store.folder / record.file}", soft_wrap=True)
    for folder in sorted(folders.runs.glob(f"*/{record.id}")):
        console.print(f"checkpoint, log, curves: {folder}", soft_wrap=True)
    if not options.full:
        console.print("--full prints the whole record, with digests, versions and the learning curve")
    warn_set_aside(problems)


def _print_summary(record: Record, console: Console) -> None:
    """A few lines in the order of what one wants to know."""
    console.print(Text(clean(f"{record.spec.label} ({record.id}): {record.status}"), style="bold"), soft_wrap=True)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, text in _summary(record):
        table.add_row(name, Text(clean(text), style="bold" if name == "score" else ""))
    console.print(table)


def _summary(record: Record) -> Iterator[tuple[str, str]]:
    """Names and texts of what is printed, as far as the record has it."""
    task = record.spec.task
    if record.reason:
        yield "reason", record.reason
    if record.headline_score is not None:
        arrow = "↓" if task.direction == "minimise" else "↑"
        part = "validation" if record.spec.trial else "test"
        yield "score", f"{part} {task.metric} {arrow} {number(record.headline_score)}{_beside_score(record)}"
    others = {name: score for name, score in record.scores.items() if name != task.metric}
    if others:
        shown = ", ".join(f"{name} {number(score)}" for name, score in [*others.items()][:MAX_OTHER_SCORES])
        more = len(others) - MAX_OTHER_SCORES
        yield "other scores", shown + (f" and {more} more" if more > 0 else "")
    yield from _settings(record)
    yield from _cost(record)
    scores = [point.score for point in record.curve]
    if len(scores) > 1:
        first, last = record.curve[0], record.curve[-1]
        ends = f"{number(first.score)} at step {first.step} to {number(last.score)} at {last.step}"
        yield f"validation {task.metric}", f"{sparkline(scores)} {ends}"
        losses = [point.train_loss for point in record.curve if point.train_loss is not None]
        if len(losses) > 1:
            yield "train loss", f"{sparkline(losses)} {number(losses[0])} to {number(losses[-1])}"
    if record.length_curve:
        yield f"{task.metric} by length", _by_length(record)
    if record.attempts:
        yield "earlier attempts", "; ".join(record.attempts)


def _beside_score(record: Record) -> str:
    """The validation score of the tested checkpoint, and the simple reference."""
    task, texts = record.spec.task, []
    if not record.spec.trial and (validation := record.validation.get(task.metric)) is not None:
        texts.append(f"validation {number(validation)}")
    baseline = record.baseline_scores.get(task.metric)
    if baseline is not None:
        texts.append(f"chance {number(baseline)} ({record.baseline})")
    elif task.scoring is not None:
        texts.append(f"chance {number(task.scoring.chance.value)} ({task.scoring.chance.of})")
    return f" ({', '.join(texts)})" if texts else ""


def _settings(record: Record) -> Iterator[tuple[str, str]]:
    spec = record.spec
    yield "architecture", f"{spec.row}: {spec.architecture.class_path.rpartition('.')[2]}{_arguments(spec.arguments)}"
    data = spec.task.data
    yield "task", f"{spec.task.name}: {data.class_path.rpartition('.')[2]}{_arguments(data.init_args)}"
    every = f", validated every {spec.budget.validate_every} steps" if spec.budget.validate_every else ""
    devices = f", {spec.devices} devices" if spec.devices > 1 else ""
    best = "" if record.best_step is None else f", best at step {record.best_step}"
    yield "training", f"{budget_text(spec.budget)}{every}{best}, seed {spec.seed}{devices}"
    if spec.size is not None:
        fit = "" if record.size is None else f": {record.size.argument} {record.size.width} has {record.size.count:,}"
        yield "size", f"{spec.size}{fit}"


def _arguments(arguments: dict[str, Any]) -> str:
    return f"({', '.join(f'{name}={value!r}' for name, value in arguments.items())})"


def _cost(record: Record) -> Iterator[tuple[str, str]]:
    texts = [] if record.parameters is None else [f"{record.parameters:,} parameters"]
    if cost := record.cost:
        cpu = "" if cost.cpu_seconds is None else f", {amount(cost.cpu_seconds)} s of CPU time"
        texts += [
            f"{amount(cost.train_seconds)} s of training ({cost.steps} steps{cpu}), "
            f"{amount(cost.total_seconds)} s in all",
            f"{cost.peak_memory_bytes / 1e6:.0f} MB",
        ]
        texts += [f"{amount(cost.flops_per_step)} FLOPs a step"] if cost.flops_per_step else []
        texts += [f"{cost.micro_batches} micro-batches a batch"] if cost.micro_batches > 1 else []
    elif record.seconds is not None:
        texts.append(f"{amount(record.seconds)} s")
    if texts:
        yield "cost", ", ".join(texts)
    if where := record.environment:
        engine = f", engine {record.backend}" if record.backend else ""
        yield "where", f"{where.device if where.device != 'cpu' else where.processor}{engine}, torch {where.torch}"


def _by_length(record: Record) -> str:
    """Scores by length as a sparkline from 0, or the lowest score, to 1, or the highest."""
    points = record.length_curve
    scores = [point.score for point in points]
    first, last = points[0], points[-1]
    ends = f"{number(first.score)} at {first.length} to {number(last.score)} at {last.length}"
    return f"{sparkline(scores, min(0.0, *scores), max(1.0, *scores))} {ends}"


def _print_record(record: Record, console: Console) -> None:
    """The record as YAML, then its learning curve as a table."""
    content = record.model_dump(mode="json", exclude_defaults=True)
    for name in ("curve", "log_tail", "length_curve"):
        content.pop(name, None)
    console.print(Text(_clean_lines(write_yaml(content))))
    if record.length_curve:
        console.print(Text(f"{record.spec.task.metric} by length: {_by_length(record)}"), soft_wrap=True)
    if record.curve:
        heads = ("step", "train loss", f"validation {record.spec.task.metric}")
        table = Table(*heads, title="learning curve", box=box.SIMPLE)
        for point in record.curve:
            loss = "" if point.train_loss is None else number(point.train_loss)
            table.add_row(str(point.step), loss, number(point.score))
        console.print(table)


def _clean_lines(text: str) -> str:
    return "\n".join(map(clean, text.rstrip("\n").split("\n")))
