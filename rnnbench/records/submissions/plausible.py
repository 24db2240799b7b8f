"""Values that no run can have, and text with characters that are not text."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

from rnnbench.config.cards import ArchitectureCard, TaskCard
from rnnbench.config.grid import TaskPart
from rnnbench.config.registry import catalogue
from rnnbench.records.probe import STEPS
from rnnbench.records.record import Record
from rnnbench.utils.fingerprint import digest
from rnnbench.utils.text import clean

MAX_TEXT, MAX_LOG = 1000, 10_000
"""Letters of a text field, and of the end of a log."""
RANGES: dict[str, tuple[float, float]] = {
    r"(.*_)?(accuracy|f1|exact_match|jaccard|recall|precision)(_.*)?": (0, 1),
    r"(.*_)?kappa": (-1, 1),
    r"(.*_)?(bleu|chrf)": (0, 100),
    r"(.*_)?perplexity": (1, float("inf")),
    r"(.*_)?(mse|mae|rmse|cross_entropy|bits_per_\w+|cer|wer|per)(_.*)?": (0, float("inf")),
}
"""Scores by the names of metrics; names that match none may be anything."""
ROUNDING = 1e-6
"""Scores are computed in single precision."""


class InstalledCards:
    """The cards of tasks and architectures of this installation, each read once."""

    def __init__(self) -> None:
        self._tasks, self._architectures = catalogue("task"), catalogue("architecture")

    @cache  # noqa: B019  # lives as long as a check
    def task(self, name: str) -> TaskCard | None:
        """The card of a task; None if there is none of that name."""
        return TaskCard.load(name) if name in self._tasks else None

    @cache  # noqa: B019
    def class_path(self, name: str) -> str:
        """The class of a named architecture; empty if there is none of that name."""
        return ArchitectureCard.load(name)[1].class_path if name in self._architectures else ""


def implausible(record: Record, cards: InstalledCards, now: datetime | None = None) -> list[str]:
    """A sentence for each value of a record that is impossible."""
    card = cards.task(record.spec.task.name)
    problems = [
        *_task(record.spec.task, card),
        *_architecture(record, cards),
        *_scores(record, card),
        *_cost(record),
        *_times(record, now or datetime.now(UTC)),
        *_texts(record.model_dump(mode="json", exclude={"log_tail"})),
    ]
    if len(record.log_tail) > MAX_LOG:
        problems.append(f"log_tail: {len(record.log_tail)} letters are more than {MAX_LOG}")
    return problems


def _task(task: TaskPart, card: TaskCard | None) -> Iterator[str]:
    """The fingerprint is that of what was run; the card's version is not older than the record's."""
    data = {name: value for name, value in task.data.init_args.items() if name != "batch_size"}
    fingerprint = digest([task.version, task.objective, task.data.class_path, data, task.metric, task.direction])
    if fingerprint != task.fingerprint:
        yield f"task fingerprint is {task.fingerprint!r}, but its content has {fingerprint!r}: one of them was changed"
    if card is None:
        return
    if task.version > card.version:
        yield f"version {task.version} of task {task.name!r} does not exist: the card has version {card.version}"
    if task.version == card.version and task.fingerprint != card.fingerprint:
        yield (f"task {task.name!r} in version {task.version} has fingerprint {card.fingerprint!r}, "
               f"not {task.fingerprint!r}: it was another task under this name")  # fmt: skip


def _architecture(record: Record, cards: InstalledCards) -> Iterator[str]:
    """A named architecture is of the class that its card names."""
    part = record.spec.architecture
    if (class_path := cards.class_path(part.name)) not in ("", part.class_path):
        yield f"architecture {part.name!r} is a {class_path}, not a {part.class_path}"


def _scores(record: Record, card: TaskCard | None) -> Iterator[str]:
    task = record.spec.task
    for where in ("scores", "validation", "baseline_scores"):
        for name, value in getattr(record, where).items():
            low, high = next((limits for form, limits in RANGES.items() if re.fullmatch(form, name)), (-1e100, 1e100))
            if not low - ROUNDING <= value <= high + ROUNDING:
                yield f"{where}: {name} is {value}, which lies outside [{low}, {high}]"
    scoring = task.scoring if card is None else card.scoring if card.fingerprint == task.fingerprint else None
    if scoring is None or scoring.ceiling is None:
        return
    for name, value in (("score", record.score), ("chance", record.baseline_scores.get(task.metric))):
        if value is not None and (value - scoring.ceiling) * (1 if task.direction == "maximise" else -1) > ROUNDING:
            yield f"{name} {value} is better than the ceiling {scoring.ceiling} of task {task.name!r}"


def _cost(record: Record) -> Iterator[str]:
    cost, budget = record.cost, record.spec.budget
    if cost is None:
        return
    if cost.train_seconds > 1.01 * cost.total_seconds + 1:
        yield f"training took {cost.train_seconds} s of {cost.total_seconds} s in total"
    for name, spent, allowed in (("steps", cost.steps, budget.steps), ("epochs", cost.epochs, budget.epochs)):
        if allowed is not None and spent > allowed:
            yield f"{spent} {name} are more than the budget of {allowed}"
    steps = [point.step for point in record.curve]
    if any(later <= earlier for earlier, later in pairwise(steps)):
        yield "the steps of the learning curve do not rise"
    if record.probe and len(record.probe.losses) != min(STEPS, cost.steps):
        yield f"the probe has {len(record.probe.losses)} losses of the first {min(STEPS, cost.steps)} steps"
    if record.probe and not record.probe.scores and not any(record.probe.losses):
        yield "the probe has no number: it would come out the same whatever the code does"
    if max([*steps, record.best_step or 0]) > cost.steps:
        yield f"the learning curve goes to step {max([*steps, record.best_step or 0])} of {cost.steps}"
    at_best = {point.step: point.score for point in record.curve}.get(record.best_step or -1)
    if at_best is not None and at_best != record.validation.get(record.spec.task.metric, at_best):
        yield f"the learning curve has {at_best} at step {record.best_step}, the tested checkpoint has another score"


def _times(record: Record, now: datetime) -> Iterator[str]:
    if not record.started and record.status != "done":
        return
    try:
        started = datetime.fromisoformat(record.started)
    except ValueError:
        yield f"started is no time: {clean(record.started)!r}"
        return
    if started.tzinfo is None:
        yield f"started has no time zone: {record.started}"
    elif started.utcoffset() or started.isoformat(timespec="seconds") != record.started:
        yield f"started is not UTC as in 2026-01-31T12:00:00+00:00: {clean(record.started)}"
    elif started > now + timedelta(days=1):
        yield f"started in the future: {record.started}"


def _texts(content: Any, where: str = "") -> Iterator[str]:
    """Words too long, or with characters that are not seen but draw: controls, changes of direction."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _texts(str(key), f"a key of {where or 'the record'}")
            yield from _texts(value, f"{where}.{clean(str(key))}".removeprefix("."))
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value, where)
    elif isinstance(content, str):
        if len(content) > MAX_TEXT:
            yield f"{where}: {len(content)} letters are more than {MAX_TEXT}"
        if clean(content) != content:
            yield f"{where}: has characters that are not text: {clean(content)[:80]!r}"
