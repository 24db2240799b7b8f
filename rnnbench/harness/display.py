"""What a person sees while a grid runs: a live display on a terminal, a line an event elsewhere."""

import os
import time
from collections import Counter
from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from rnnbench.config.grid import RunSpec
from rnnbench.harness.events import Event, Finished, HeldElsewhere, Noted, Preparing, Progressed, Retried, Started
from rnnbench.harness.job import Progress
from rnnbench.records.record import Record
from rnnbench.records.status import STATES, Cell
from rnnbench.utils.text import number


class Display:
    """Counts cells and keeps who runs where; a line an event."""

    def __init__(self, cells: Sequence[Cell], todo: Sequence[Cell], console: Console) -> None:
        self.console = console
        self.states = {cell.spec.id: str(cell.state) for cell in cells}
        self.states |= {cell.spec.id: "missing" for cell in todo}
        self.total, self.begin = len(todo), time.monotonic()
        self.running: dict[str, tuple[RunSpec, str, float, Progress]] = {}
        self.seconds: list[float] = []
        self.unprepared: list[Record] = []
        """Records of runs that never began, since their data could not be prepared."""
        self.doing = "starting"

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def on_event(self, event: Event) -> None:
        """Count it, and say it in a line unless it is progress."""
        match event:
            case Noted(text):
                self.console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)
            case Preparing(task):
                self.doing = f"preparing data of {task}"
                self.say(self.doing)
            case Started(spec, slot):
                self.doing = ""
                self.states[spec.id] = "running"
                self.running[spec.id] = (spec, slot, time.monotonic(), Progress("start"))
                self.say(f"start {spec.label} ({spec.id}) on {slot}")
            case Progressed(spec, progress):
                _, slot, begun, _ = self.running[spec.id]
                self.running[spec.id] = (spec, slot, begun, progress)
            case HeldElsewhere(spec, owner):
                self.states[spec.id] = "running"
                self.doing = f"waiting for {owner}"
                self.say(f"elsewhere {spec.label} ({spec.id}): {owner} runs it")
            case Retried(spec, reason):
                self.running.pop(spec.id, None)
                self.states[spec.id] = "missing"
                self.say(f"again {spec.label} ({spec.id}): {reason}")
            case Finished(record):
                self._finish(record)

    def _finish(self, record: Record) -> None:
        run = self.running.pop(record.id, None)
        if run is not None:
            self.seconds.append(time.monotonic() - run[2])
        if record.unprepared:
            self.unprepared.append(record)
            self.states[record.id] = "missing"
            self.say(f"not run {record.spec.label} ({record.id}): {record.reason}")
            return
        self.states[record.id] = record.status
        self.say(f"{record.status} {record.spec.label} ({record.id}){_outcome(record)}")

    def say(self, line: str) -> None:
        """One plain line."""
        self.console.print(Text(f"[{time.monotonic() - self.begin:7.1f} s] {line}"), soft_wrap=True)

    def counts(self) -> str:
        """How many cells are in which state."""
        counts = Counter(self.states.values())
        return " · ".join(f"{counts[state]} {state}" for state in STATES)

    def left(self) -> float | None:
        """Estimated seconds until the grid is done, from the mean time of the runs so far."""
        waiting = sum(state == "missing" for state in self.states.values()) - len(self.unprepared)
        ahead = [_left(begun, progress) for _, _, begun, progress in list(self.running.values())]
        estimates = [seconds for seconds in ahead if seconds is not None]
        if not self.seconds:
            return None
        mean, slots = sum(self.seconds) / len(self.seconds), max(1, len(self.running))
        return (waiting * mean + sum(estimates)) / slots


class LiveDisplay(Display):
    """The same as a table that is drawn anew a few times a second."""

    def __enter__(self) -> "LiveDisplay":
        self.live = Live(get_renderable=self.render, console=self.console, refresh_per_second=4, transient=True)
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def say(self, line: str) -> None:
        """Only what failed stays on the screen; the rest is in the table."""
        if line.startswith(("failed", "not run", "infeasible", "again")):
            self.console.print(Text(line, style="red" if line.startswith(("failed", "not run")) else "yellow"))

    def render(self) -> RenderableType:
        """Running cells, counts, and how long it may take."""
        table = Table(box=box.SIMPLE, pad_edge=False)
        for name in ("run", "on", "", "step", "loss", "score", "left"):
            table.add_column(name, justify="right" if name in {"step", "loss", "score", "left"} else "left")
        for spec, slot, begun, progress in list(self.running.values()):
            loss, score = ("" if value is None else number(value) for value in (progress.loss, progress.score))
            bar = ProgressBar(total=1.0, completed=progress.fraction, width=24)
            step = str(progress.step) if progress.step else progress.phase
            table.add_row(spec.label, slot, bar, step, loss, score, _clock(_left(begun, progress)))
        line = Text(self.counts(), style="bold")
        spent = f"{_clock(time.monotonic() - self.begin)} spent, {_clock(self.left()) or 'unknown'} left"
        return Group(table, line, Text(f"{spent}{'; ' + self.doing if self.doing else ''}", style="dim"))


def make_display(cells: Sequence[Cell], todo: Sequence[Cell], console: Console) -> Display:
    """Live on a terminal, plain elsewhere."""
    live = console.is_terminal and os.environ.get("TERM") != "dumb"
    return (LiveDisplay if live else Display)(cells, todo, console)


def _outcome(record: Record) -> str:
    if record.status != "done":
        return f": {record.reason}"
    assert record.cost is not None  # a done record has it
    assert record.headline_score is not None
    part = "validation " if record.spec.trial else ""
    return f": {part}{record.spec.task.metric} {number(record.headline_score)}, {record.cost.total_seconds:.1f} s"


def _left(begun: float, progress: Progress) -> float | None:
    spent = time.monotonic() - begun
    return spent / progress.fraction - spent if progress.fraction > 0 else None


def _clock(seconds: float | None) -> str:
    return "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
