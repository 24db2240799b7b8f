"""Leases: which driver runs which cell, so that any number of them can work on one grid, on one machine or several.

A lease is a small file beside the records. It is made by `link`, which fails where there is one, also on a network file
system. Its owner writes a new `beat` every few seconds; who finds one whose beat has not changed for long, by his own
clock, takes it over. No two clocks are ever compared.
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

BEAT = 2.0
"""Seconds between two beats."""
STALE = 60.0
"""Seconds without a new beat after which an owner counts as dead."""
SWEEP = 15
"""Beats between two looks at what the dead have left."""
DRIVER = "driver-"
"""How the names of leases begin that are of no cell but of a driver itself."""
WHAT = "the leases of a leaderboard (--leaderboard)"


class Lease(StrictModel):
    """What the file of a lease says.

    Args:
        owner: of all leases of one driver.
        host: of the driver.
        pid: of the driver on its host.
        born: when that process began, see `_born`.
        beat: a number that is another one every few seconds while the driver lives.
        label: of the run.
        machine: of the driver, see `machine_here`.
        slot: where it runs.
        progress: how far it is, as `rnnbench.harness.job.Progress`.
    """

    owner: str
    host: str
    pid: int
    born: float | None
    beat: int
    label: str
    machine: str = ""
    slot: str = ""
    progress: tuple[str, int, float, float | None, float | None] = ("start", 0, 0.0, None, None)


class LivenessTracker:
    """Knows the dead: on this machine at once, on others when their beat has not changed for long."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[str, float]] = {}  # of each lease of another machine, its last beat and since when

    def stopped(self, name: str, found: Lease) -> bool:
        """Whether the owner of a lease is dead, as far as is known by now."""
        if (found.host, found.machine) == (socket.gethostname(), machine_here()):
            return _born(found.pid) != found.born
        beat, now = f"{found.owner} {found.beat}", time.monotonic()
        last, since = self._seen.get(name, ("", now))
        if last != beat:
            self._seen[name] = (beat, now)
            return False
        return now - since > STALE


class Leases:
    """The leases of one driver. Beats in a thread of its own until closed; removes what the dead have left.

    Args:
        folder: where all drivers keep theirs.
        lost: called with the id of a cell whose lease another driver has taken over, as from one that slept too long.
    """

    def __init__(self, folder: Path, lost: Callable[[str], None] = lambda one: None) -> None:
        self.folder, self._lost = folder, lost
        self.owner = uuid4().hex
        self._held: dict[str, Lease] = {}
        self._pulse = LivenessTracker()
        self._lock, self._closed = Lock(), Event()
        with writing(folder, WHAT):
            folder.mkdir(parents=True, exist_ok=True)
        self.sweep()
        self._thread = Thread(target=self._beat, name="leases", daemon=True)
        self._thread.start()

    def take(self, cell: str, label: str) -> bool:
        """Take a cell, unless a living driver has it.

        Raises:
            RnnbenchError: the folder cannot be written.
        """
        if cell in self._held:
            return True
        lease = self._lease(label)
        if not (self._make(cell, lease) or self._take_over(cell, lease)):
            return False
        with self._lock:
            self._held[cell] = lease
        return True

    def read(self, cell: str) -> Lease | None:
        """What the lease of a cell says, whoever has it."""
        return read_lease(self._path(cell))

    def tell(self, cell: str, **changes: Any) -> None:
        """Change what a lease that is held says to whoever looks; written with the next beat."""
        with self._lock:
            if cell in self._held:
                self._held[cell] = self._held[cell].model_copy(update=changes)

    def drop(self, cell: str) -> None:
        """Give a cell back."""
        with self._lock:
            held = self._held.pop(cell, None) is not None
            if held and (found := read_lease(self._path(cell))) and found.owner == self.owner:
                discard(self._path(cell))

    def sweep(self) -> None:
        """Remove the leases of the dead, whose cells may be done, and files that they were writing when they died."""
        with suppress(OSError, RnnbenchError):  # who takes a cell is told
            for path in self.folder.glob("*.json"):
                if path.stem not in self._held and self._take_over(path.stem, self._lease("")):
                    discard(path)
            probe = self.folder / f".{self.owner}"
            probe.touch()
            now = probe.stat().st_mtime  # by the clock of the file system, as the times of the others
            probe.unlink()
            for path in self.folder.glob(".*"):
                if now - path.stat().st_mtime > STALE:
                    discard(path)

    def close(self) -> None:
        """Give all back, and remove those of drivers that have died meanwhile: perhaps no other follows."""
        self._closed.set()
        self._thread.join()
        for cell in list(self._held):
            self.drop(cell)
        self.sweep()

    def __enter__(self) -> "Leases":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, cell: str) -> Path:
        return self.folder / f"{cell}.json"

    def _lease(self, label: str) -> Lease:
        pid = os.getpid()
        host, machine = socket.gethostname(), machine_here()
        return Lease(owner=self.owner, host=host, pid=pid, born=_born(pid), beat=0, label=label, machine=machine)

    def _make(self, cell: str, lease: Lease) -> bool:
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
        found = _read_any(path)
        if found is None or not self._pulse.stopped(cell, found):
            return False
        mark = path.with_name(f".{path.name}.{found.owner}.{found.beat}.dead")
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        except FileExistsError:
            return False
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            again = _read_any(path)
            if again is None or (again.owner, again.beat) != (found.owner, found.beat):
                return False
            write_whole(path, lease.model_dump_json())
            return True
        finally:
            discard(mark)

    def _beat(self) -> None:
        for beat in count(1):
            if self._closed.wait(BEAT):
                return
            for cell in list(self._held):
                if not self._renew(cell):
                    self._lost(cell)
            if beat % SWEEP == 0:
                self.sweep()

    def _renew(self, cell: str) -> bool:
        """Write a lease with a new beat; False if it is another driver's by now."""
        with self._lock:
            lease = self._held.get(cell)
            if lease is None:  # given back a moment ago
                return True
            found = read_lease(self._path(cell))
            if found is not None and found.owner != self.owner:
                del self._held[cell]
                return False
            self._held[cell] = lease = lease.model_copy(update={"beat": lease.beat + 1})
            with suppress(RnnbenchError):  # a full disk: whoever writes the record will say so
                write_whole(self._path(cell), lease.model_dump_json())
            return True


def read_lease(path: Path) -> Lease | None:
    """What a lease says, if there is one and it is whole."""
    try:
        return Lease.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None


def leased(folder: Path, cells: Iterable[str]) -> dict[str, Lease]:
    """The leases of those of some cells that a driver holds. One on this machine that has died holds none."""
    here = _living(folder, LivenessTracker())
    return {cell: here[cell] for cell in cells if cell in here}


def drivers(folder: Path, grid: str, pulse: LivenessTracker | None = None) -> list[Lease]:
    """The leases by which the drivers of a grid say that they are there, between two cells as well.

    Whoever asks again and again with the same `pulse` is no longer told of those of other machines that have died.
    """
    living = _living(folder, pulse or LivenessTracker())
    return [one for name, one in living.items() if name.startswith(DRIVER) and one.label == grid]


def _living(folder: Path, pulse: LivenessTracker) -> dict[str, Lease]:
    found = {path.stem: read_lease(path) for path in sorted(folder.glob("*.json"))}
    return {name: one for name, one in found.items() if one and not pulse.stopped(name, one)}


def _read_any(path: Path) -> Lease | None:
    """What a lease says; of one that is broken, that it is as old as its file and beats no more."""
    with suppress(FileNotFoundError):
        age = path.stat().st_mtime_ns
        return read_lease(path) or Lease(owner="broken", host="", pid=0, born=None, beat=age, label="")
    return None


@cache
def machine_here() -> str:
    """Among whose processes a number means what it means here: clones of a machine, and containers that share its
    network, have the same name of host. On Linux, its start and the namespace of processes; elsewhere nothing.
    """
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    return ""


def _born(pid: int) -> float | None:
    """When a process of this machine began, or None if there is none: numbers of processes are used again.

    On Linux in ticks since the machine started, which do not change when its clock is set.
    """
    stat = Path(f"/proc/{pid}/stat")
    if stat.parent.parent.joinpath("self").exists():
        try:
            state, *fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if state in "ZX" else float(fields[18])
    try:
        return round(psutil.Process(pid).create_time(), 1)
    except psutil.Error:
        return None
