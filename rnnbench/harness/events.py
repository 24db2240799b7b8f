"""What happens while jobs run. Whoever wants to know has one method, `on_event`."""

from dataclasses import dataclass
from typing import Protocol

from rnnbench.config.grid import RunSpec
from rnnbench.harness.job import Progress
from rnnbench.records.record import Record


@dataclass(frozen=True, slots=True)
class Preparing:
    """The data of a task is being prepared."""

    task: str


@dataclass(frozen=True, slots=True)
class Started:
    """A run has started on a device, such as `cuda:0`."""

    spec: RunSpec
    slot: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """A run that has started goes on."""

    spec: RunSpec
    progress: Progress


@dataclass(frozen=True, slots=True)
class HeldElsewhere:
    """Another process has a run; it is waited for."""

    spec: RunSpec
    owner: str


@dataclass(frozen=True, slots=True)
class Retried:
    """A run that was cut off will be started again."""

    spec: RunSpec
    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """A run has ended, whatever its outcome."""

    record: Record


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that somebody should know before the runs start, in a sentence."""

    text: str


Event = Noted | Preparing | Started | Progressed | HeldElsewhere | Retried | Finished


class Watcher(Protocol):
    """Whoever wants to know what happens."""

    def on_event(self, event: Event) -> None:
        """Take note of an event; an exception stops the grid."""
