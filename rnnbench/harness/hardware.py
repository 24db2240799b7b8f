"""The machine's devices, and what each run gets of them."""

import importlib
import os
import platform
import resource
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from rnnbench.config.executors import LocalSettings
from rnnbench.errors import RnnbenchError
from rnnbench.records.record import Environment

if TYPE_CHECKING:
    import torch

DEVICE_LISTS = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}
"""The variable by which a process sees only some devices of a kind."""
HEADROOM = 1.2
"""A run is given this much more memory than the last of its kind has used."""
AUTO_RUNS = 16
"""Most runs that `auto` puts on one device."""


class DevicesFound(NamedTuple):
    """Kind of a machine's accelerators (`cpu` if it has none), bytes of each, and bytes of the machine."""

    kind: str
    memories: tuple[int, ...]
    machine: int


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time.

    Args:
        name: for people, such as `cuda:0`, `cuda:0+1` or `cpu:1`.
        threads: of each process of the run.
        environment: variables of its processes, set before torch looks for devices.
        devices: indices of the devices it takes, one a process.
        memory: bytes it takes of each of them.
    """

    name: str
    threads: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[int, ...] = (0,)
    memory: int = 0


@dataclass
class Device:
    """One accelerator, or without accelerators one core: its name, the places that are free, whose memory it uses."""

    name: str
    visible: str
    places: int
    memory: int


class Pool:
    """The devices that runs are put on: one run a GPU, or without GPUs one a core, unless the settings say otherwise.

    A run on a processor has one thread: two runs of one thread each do more than one run of two, and the same run
    gives the same score beside any number of others.

    With `runs_per_device: auto`, the first run of a kind has its device for itself (without GPUs: runs alone of its
    kind) and is measured; then as many run at a time as memory holds.
    """

    def __init__(self, devices: DevicesFound, cores: int, settings: LocalSettings, environ: Mapping[str, str]) -> None:
        self.auto = settings.runs_per_device == "auto"
        count = len(devices.memories)
        self.variable = DEVICE_LISTS.get(devices.kind) if count else None
        listed = [part.strip() for part in environ.get(self.variable or "", "").split(",") if part.strip()]
        self.on_processor = count == 0
        per = settings.runs_per_device if isinstance(settings.runs_per_device, int) else 1
        if self.on_processor:
            total, self.threads = settings.workers or cores * per, 1
            self.devices = [Device(f"cpu:{index}", "", 1, 0) for index in range(total)]
            self.free = [devices.machine]
            return
        total = settings.workers or count * per
        self.threads = max(1, cores // (total * (4 if self.auto else 1)))
        self.free = list(devices.memories)
        self.devices = [
            Device(
                f"{devices.kind}:{index}",
                listed[index] if index < len(listed) else str(index),
                AUTO_RUNS if self.auto else (total + count - 1 - index) // count,
                index,
            )
            for index in range(count)
        ]

    def check(self, devices: int) -> None:
        """Check that a run on so many devices can ever start.

        Raises:
            RnnbenchError: there are fewer.
        """
        if devices > len(self.devices):
            what = "cores without a GPU" if self.on_processor else "accelerators"
            names = ", ".join(device.name for device in self.devices)
            raise RnnbenchError(f"devices: {devices} a run, but there are {len(self.devices)} {what} here: {names}")

    def idle(self) -> bool:
        """Whether any place is free."""
        return any(device.places > 0 for device in self.devices)

    def has(self, count: int, known: int | None) -> bool:
        """Whether there is place for a run on `count` devices, of `known` bytes on each (None: not measured yet)."""
        return len(self._fit(known)) >= count

    def acquire(self, count: int, known: int | None) -> Slot:
        """Occupy places for a run, see `has`."""
        fit = self._fit(known)
        fit.sort(key=lambda index: -self.devices[index].places)  # evenly; the sort keeps the order of equals
        devices = [self.devices[index] for index in sorted(fit[:count])]
        memory = self._share(devices[0], known)
        for device in devices:
            device.places -= 1
            self.free[device.memory] -= memory
        name = "+".join([devices[0].name, *(device.name.partition(":")[2] for device in devices[1:])])
        visible = {self.variable: ",".join(device.visible for device in devices)} if self.variable else {}
        return Slot(name, self.threads, visible, tuple(sorted(fit[:count])), memory)

    def release(self, slot: Slot) -> None:
        """Free the places of a run that has ended."""
        for index in slot.devices:
            self.devices[index].places += 1
            self.free[self.devices[index].memory] += slot.memory

    def _fit(self, known: int | None) -> list[int]:
        return [index for index, device in enumerate(self.devices) if device.places > 0 and self._holds(device, known)]

    def _holds(self, device: Device, known: int | None) -> bool:
        if not self.auto:
            return True
        if known is None:
            return self.on_processor or device.places == AUTO_RUNS
        return known * HEADROOM <= self.free[device.memory]

    def _share(self, device: Device, known: int | None) -> int:
        """Bytes that a run occupies: as measured, with headroom; else a whole GPU, or one core's part of all memory."""
        if not self.auto:
            return 0
        free = self.free[device.memory]
        unknown = free // max(1, sum(device.places for device in self.devices)) if self.on_processor else free
        return min(free, unknown if known is None else int(known * HEADROOM))


def find_devices() -> DevicesFound:
    """The devices that torch finds here."""
    import torch

    machine = int(psutil.virtual_memory().total)
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if kind is None:
        return DevicesFound("cpu", (), machine)
    count = torch.accelerator.device_count()
    if kind.type != "cuda":
        return DevicesFound(kind.type, (machine,) * count, machine)
    return DevicesFound(
        "cuda", tuple(torch.cuda.get_device_properties(index).total_memory for index in range(count)), machine
    )


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(device: "torch.device") -> Environment:
    """Versions, machine and device."""
    import torch

    on_cuda = device.type == "cuda"
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        lightning=version("lightning"),
        rnnbench=importlib.import_module("rnnbench").__version__,
        platform=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        device=torch.cuda.get_device_name(device) if on_cuda else device.type,
        threads=torch.get_num_threads(),
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def peak_memory(device: "torch.device") -> int:
    """Most memory used so far, in bytes: the device's for CUDA, else the process's."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
