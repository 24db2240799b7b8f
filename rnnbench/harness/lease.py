"""Leases: which driver runs which cell, so that any number of them can work on one grid, on one machine or several.

A lease is a small file beside the records. It is made by `link`, which fails where there is one, also on a network file
system. Its owner writes a new heartbeat every few seconds; a driver takes over a lease whose heartbeat has not changed
for long, by its own clock. No two clocks are ever compared.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

import psutil

from rnnbench.config.schema import StrictModel
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import discard, write_whole, writing

HEARTBEAT_INTERVAL = 2.0
"""Seconds between two heartbeats."""
STALE = 60.0
"""Seconds without a new heartbeat after which an owner counts as dead."""
SWEEP_EVERY = 15
"""Heartbeats between two removals of what dead drivers have left."""
DRIVER = "driver-"
"""How the names of leases begin that are of no cell but of a driver itself."""
WHAT = "the leases of a leaderboard (--leaderboard)"


class Lease(StrictModel):
    """The content of a lease's file.

    Args:
        owner: of all leases of one driver.
        host: of the driver.
        pid: of the driver on its host.
        start_time: of that process, see `_start_time`.
        heartbeat: a counter that grows every few seconds while the driver lives.
        label: of the run.
        machine: of the driver, see `machine_here`.
        slot: where it runs.
        progress: how far it is, as `rnnbench.harness.job.Progress`.
    """

    owner: str
    host: str
    pid: int
    start_time: float | None
    heartbeat: int
    label: str
    machine: str = ""
    slot: str = ""
    progress: tuple[str, int, float, float | None, float | None] = ("start", 0, 0.0, None, None)


class LivenessTracker:
    """Knows which owners are dead: on this machine at once, on others when their heartbeat has not changed for long."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}
        """Of each lease of another machine its last heartbeat, and since when."""

    def is_dead(self, name: str, lease: Lease) -> bool:
        """Whether the owner of a lease is dead, as far as is known by now."""
        if (lease.host, lease.machine) == (socket.gethostname(), machine_here()):
            return _start_time(lease.pid) != lease.start_time
        heartbeat, now = f"{lease.owner} {lease.heartbeat}", time.monotonic()
        last, since = self._seen.get(name, ("", now))
        if last != heartbeat:
            self._seen[name] = (heartbeat, now)
            return False
        return now - since > STALE


class Leases:
    """The leases of one driver. Renews them in a thread of its own until closed; removes what dead drivers have left.

    Args:
        folder: where all drivers keep theirs.
        on_lost: called with the id of a cell whose lease another driver has taken over, as after a long sleep.
    """

    def __init__(self, folder: Path, on_lost: Callable[[str], None] = lambda cell: None) -> None:
        self.folder, self._on_lost = folder, on_lost
        self.owner = uuid4().hex
        self._held: dict[str, Lease] = {}
        self._tracker = LivenessTracker()
        self._lock, self._closed = Lock(), Event()
        with writing(folder, WHAT):
            folder.mkdir(parents=True, exist_ok=True)
        self.sweep()
        self._thread = Thread(target=self._renew_all, name="leases", daemon=True)
        self._thread.start()

    def acquire(self, cell: str, label: str) -> bool:
        """Lease a cell, unless a living driver has it.

        Raises:
            RnnbenchError: the folder cannot be written.
        """
        if cell in self._held:
            return True
        lease = self._new_lease(label)
        if not (self._create(cell, lease) or self._take_over(cell, lease)):
            return False
        with self._lock:
            self._held[cell] = lease
        return True

    def read(self, cell: str) -> Lease | None:
        """The lease of a cell, whoever has it."""
        return read_lease(self._path(cell))

    def update(self, cell: str, **changes: Any) -> None:
        """Change fields of a lease that is held; written with the next heartbeat."""
        with self._lock:
            if cell in self._held:
                self._held[cell] = self._held[cell].model_copy(update=changes)

    def release(self, cell: str) -> None:
        """Give a cell back."""
        with self._lock:
            held = self._held.pop(cell, None) is not None
            if held and (lease := self.read(cell)) and lease.owner == self.owner:
                discard(self._path(cell))

    def sweep(self) -> None:
        """Remove leases of dead drivers, whose cells may be done, and files that they were writing when they died."""
        with suppress(OSError, RnnbenchError):  # the same errors are raised when a cell is leased
            for path in self.folder.glob("*.json"):
                if path.stem not in self._held and self._take_over(path.stem, self._new_lease("")):
                    discard(path)
            clock = self.folder / f".{self.owner}"
            clock.touch()
            now = clock.stat().st_mtime  # by the clock of the file system, as the times of the others
            clock.unlink()
            for path in self.folder.glob(".*"):
                if now - path.stat().st_mtime > STALE:
                    discard(path)

    def close(self) -> None:
        """Give all back, and remove those of drivers that have died meanwhile: perhaps no other follows."""
        self._closed.set()
        self._thread.join()
        for cell in list(self._held):
            self.release(cell)
        self.sweep()

    def __enter__(self) -> "Leases":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, cell: str) -> Path:
        return self.folder / f"{cell}.json"

    def _new_lease(self, label: str) -> Lease:
        pid = os.getpid()
        return Lease(
            owner=self.owner,
            host=socket.gethostname(),
            pid=pid,
            start_time=_start_time(pid),
            heartbeat=0,
            label=label,
            machine=machine_here(),
        )

    def _create(self, cell: str, lease: Lease) -> bool:
        path = self._path(cell)
        temporary = path.with_name(f".{path.name}.{self.owner}")
        try:
            temporary.write_text(lease.model_dump_json(), "utf-8")
            with suppress(FileExistsError):
                os.link(temporary, path)
            return temporary.stat().st_nlink == 2  # a network file system may say no after it has done it
        except OSError as error:
            raise self._cannot_write(error) from error
        finally:
            discard(temporary)

    def _cannot_write(self, error: OSError) -> RnnbenchError:
        return RnnbenchError(f"cannot write to {self.folder}, {WHAT}: {error.strerror or error}")

    def _take_over(self, cell: str, lease: Lease) -> bool:
        """Take a lease whose owner is dead. Of several who see that, one makes the mark of that very lease first."""
        path = self._path(cell)
        dead = _read_or_placeholder(path)
        if dead is None or not self._tracker.is_dead(cell, dead):
            return False
        mark = path.with_name(f".{path.name}.{dead.owner}.{dead.heartbeat}.dead")
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            present = _read_or_placeholder(path)
            if present is None or (present.owner, present.heartbeat) != (dead.owner, dead.heartbeat):
                return False
            write_whole(path, lease.model_dump_json())
            return True
        finally:
            discard(mark)

    def _renew_all(self) -> None:
        for heartbeat in count(1):
            if self._closed.wait(HEARTBEAT_INTERVAL):
                return
            for cell in list(self._held):
                if not self._renew(cell):
                    self._on_lost(cell)
            if heartbeat % SWEEP_EVERY == 0:
                self.sweep()

    def _renew(self, cell: str) -> bool:
        """Write a lease with a new heartbeat; False if it is another driver's by now."""
        with self._lock:
            lease = self._held.get(cell)
            if lease is None:  # given back a moment ago
                return True
            present = self.read(cell)
            if present is not None and present.owner != self.owner:
                del self._held[cell]
                return False
            self._held[cell] = lease = lease.model_copy(update={"heartbeat": lease.heartbeat + 1})
            with suppress(RnnbenchError):  # a full disk: writing the record raises the error
                write_whole(self._path(cell), lease.model_dump_json())
            return True


def read_lease(path: Path) -> Lease | None:
    """The lease in a file; None if there is none, or it is broken."""
    try:
        return Lease.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def leased(folder: Path, cells: Iterable[str]) -> dict[str, Lease]:
    """The leases of those of some cells that a driver holds. One on this machine that has died holds none."""
    leases = _living(folder, LivenessTracker())
    return {cell: leases[cell] for cell in cells if cell in leases}


def drivers(folder: Path, grid: str, tracker: LivenessTracker | None = None) -> list[Lease]:
    """The leases by which the drivers of a grid say that they are there, between two cells as well.

    Called again and again with the same `tracker`, it leaves out drivers of other machines that have died.
    """
    living = _living(folder, tracker or LivenessTracker())
    return [lease for name, lease in living.items() if name.startswith(DRIVER) and lease.label == grid]


def _living(folder: Path, tracker: LivenessTracker) -> dict[str, Lease]:
    leases = {path.stem: read_lease(path) for path in sorted(folder.glob("*.json"))}
    return {name: lease for name, lease in leases.items() if lease and not tracker.is_dead(name, lease)}


def _read_or_placeholder(path: Path) -> Lease | None:
    """The lease in a file, or None if there is no file; for a broken one a lease whose heartbeat is the file's time."""
    with suppress(FileNotFoundError):
        changed = path.stat().st_mtime_ns
        broken = Lease(owner="broken", host="", pid=0, start_time=None, heartbeat=changed, label="")
        return read_lease(path) or broken
    return None


@cache
def machine_here() -> str:
    """Identifies the processes among which a pid is unique: clones of a machine, and containers that share its network,
    have the same host name. On Linux, the boot and the namespace of processes; elsewhere empty.
    """
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _start_time(pid: int) -> float | None:
    """When a process of this machine began, or None if there is none: pids are used again.

    On Linux in ticks since the machine started, which do not change when its clock is set.
    """
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self").exists():
        try:
            state, *fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if state in "ZX" else float(fields[18])
    try:
        return round(psutil.Process(pid).create_time(), 1)
    except psutil.Error:
        return None
