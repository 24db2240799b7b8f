"""The machine's devices, and what each run gets of them."""

import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, NamedTuple

import psutil

from rnnbench.config.executors import LocalSettings
from rnnbench.errors import RnnbenchError
from rnnbench.records.record import Environment
from rnnbench.utils.processor import processor_name

if TYPE_CHECKING:
    import torch

DEVICE_LISTS = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}
"""The variable by which a process sees only some devices of a kind."""
HIP_LIST = "HIP_VISIBLE_DEVICES"
"""The same of AMD's GPUs, which torch calls `cuda`; where it is not set, that of CUDA counts."""
MIG = "MIG-"
"""How the UUID of a slice of a GPU (multi-instance GPU) begins. A process sees one slice at most."""
HEADROOM = 1.2
"""A run is given this much more memory than the last of its kind has used."""
AUTO_RUNS = 16
"""Most runs that `auto` puts on one device."""


class DevicesFound(NamedTuple):
    """The devices that a process sees.

    Args:
        kind: of the accelerators; `cpu` if there are none.
        memories: bytes of each.
        machine: bytes of the machine.
        uuids: of each, where they are known.
        variable: by which a process sees only some of them; by default that of `DEVICE_LISTS`.
    """

    kind: str
    memories: tuple[int, ...]
    machine: int
    uuids: tuple[str, ...] = ()
    variable: str | None = None


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
        chosen = choose_devices(devices, settings.gpu_ids)
        count = len(chosen)
        self.variable = (devices.variable or DEVICE_LISTS.get(devices.kind)) if count else None
        names = _visible_names(devices, environ)
        self.on_processor = count == 0
        per = settings.runs_per_device if isinstance(settings.runs_per_device, int) else 1
        if self.on_processor:
            total, self.threads = settings.workers or cores * per, 1
            self.devices = [Device(f"cpu:{index}", "", 1, 0) for index in range(total)]
            self.free = [devices.machine]
            return
        total = settings.workers or count * per
        self.threads = max(1, cores // (total * (4 if self.auto else 1)))
        self.free = [devices.memories[place] for place in chosen]
        self.devices = [
            Device(
                f"{devices.kind}:{place}",
                names[place],
                AUTO_RUNS if self.auto else (total + count - 1 - index) // count,
                index,
            )
            for index, place in enumerate(chosen)
        ]

    def check(self, devices: int) -> None:
        """Check that a run on so many devices can ever start.

        Raises:
            RnnbenchError: there are fewer, or they are slices of GPUs.
        """
        if devices > 1 and any(device.visible.startswith(MIG) for device in self.devices):
            raise RnnbenchError(f"devices: {devices} a run, but the devices here are slices of GPUs (MIG), of which a "
                                "process sees one: they cannot train together")  # fmt: skip
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


def choose_devices(devices: DevicesFound, gpu_ids: Sequence[int | str] | None) -> list[int]:
    """The places of the devices that the settings name; all of them if they name none.

    Raises:
        RnnbenchError: there is no such device.
    """
    if gpu_ids is None:
        return list(range(len(devices.memories)))
    known = {uuid: place for place, uuid in enumerate(devices.uuids)}
    places = [known.get(one, -1) if isinstance(one, str) else one for one in gpu_ids]
    for one, place in zip(gpu_ids, places, strict=True):
        if not 0 <= place < len(devices.memories):
            count = len(devices.memories)
            uuids = f" ({', '.join(devices.uuids)})" if isinstance(one, str) and devices.uuids else ""
            there = f"those from 0 to {count - 1}{uuids}" if count else "none"
            raise RnnbenchError(f"executor.local.gpu_ids: there is no GPU {one!r} for this process, it sees {there}")
    if len(set(places)) < len(places):
        raise RnnbenchError(f"executor.local.gpu_ids: {list(gpu_ids)} names a GPU twice, by place and by UUID")
    return places


def _visible_names(devices: DevicesFound, environ: Mapping[str, str]) -> list[str]:
    """What the variable of devices calls each of them: as the caller's own does; slices by their UUIDs."""
    if any(uuid.startswith(MIG) for uuid in devices.uuids):
        return list(devices.uuids)
    listed = listed_devices(environ, devices.variable or DEVICE_LISTS.get(devices.kind, ""))
    return [listed[place] if place < len(listed) else str(place) for place in range(len(devices.memories))]


def listed_devices(environ: Mapping[str, str], variable: str) -> list[str]:
    """The devices that the caller's environment leaves, as it calls them; none if it does not say."""
    text = environ.get(variable) or (environ.get(DEVICE_LISTS["cuda"], "") if variable == HIP_LIST else "")
    return [part.strip() for part in text.split(",") if part.strip()]


def without_gpus() -> dict[str, str]:
    """Variables of a process that is to see no GPU."""
    return dict.fromkeys((DEVICE_LISTS["cuda"], HIP_LIST), "-1")


def find_devices() -> DevicesFound:
    """The devices that torch finds here; of GPUs divided into slices (MIG) all slices, of which torch finds one."""
    import torch

    machine = int(psutil.virtual_memory().total)
    kind = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if kind is None:
        return DevicesFound("cpu", (), machine)
    count = torch.accelerator.device_count()
    if kind.type != "cuda":
        return DevicesFound(kind.type, (machine,) * count, machine)
    found = [torch.cuda.get_device_properties(index) for index in range(count)]
    memories = tuple(one.total_memory for one in found)
    if torch.version.hip:
        return DevicesFound("cuda", memories, machine, variable=HIP_LIST)
    if slices := mig_slices(listed_devices(os.environ, DEVICE_LISTS["cuda"]), nvidia_listing(), memories[0]):
        return DevicesFound("cuda", tuple(slices.values()), machine, tuple(slices))
    uuids = tuple(str(getattr(one, "uuid", "")) for one in found)
    return DevicesFound("cuda", memories, machine, tuple(one if one[:4] == "GPU-" else f"GPU-{one}" for one in uuids))


def nvidia_listing() -> str:
    """What `nvidia-smi -L` prints: GPUs, and under each its slices; nothing where there is no such program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=True).stdout
    return ""


def mig_slices(listed: Sequence[str], listing: str, seen: int) -> dict[str, int]:
    """Bytes of the slices that a process may use, by UUID; none if no GPU of it is divided.

    Args:
        listed: GPUs and slices that the caller's environment leaves; all if there are none.
        listing: what `nvidia-smi -L` prints.
        seen: bytes of the slice that torch sees, for slices of which the listing says nothing.
    """
    slices: dict[str, int] = {}
    of_gpu: dict[str, list[str]] = {}
    own: list[str] = []
    for line in listing.splitlines():
        uuid = re.search(r"UUID: ([^)\s]+)", line)
        if uuid and (gpu := re.match(r"GPU (\d+):", line)):
            of_gpu[gpu[1]] = of_gpu[uuid[1]] = own = []
        elif uuid and uuid[1].startswith(MIG):
            size = re.search(r"\.(\d+)gb", line)  # of its profile, 3g.20gb
            slices[uuid[1]] = int(size[1]) * 10**9 if size else seen
            own.append(uuid[1])
    if not listed:
        return slices
    chosen = [one for name in listed for one in ([name] if name.startswith(MIG) else of_gpu.get(name, []))]
    return {one: slices.get(one, seen) for one in chosen}


def usable_cores() -> int:
    """Cores this process may run on; on macOS, where no process is bound to any, all there are."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    if hasattr(psutil.Process, "cpu_affinity"):  # Windows
        return len(psutil.Process().cpu_affinity() or ()) or os.cpu_count() or 1
    return os.cpu_count() or 1


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
        processor=processor_name(),
        instructions=torch.backends.cpu.get_cpu_capability(),
        device=torch.cuda.get_device_name(device) if on_cuda else device.type,
        threads=torch.get_num_threads(),
    )


def peak_memory(device: "torch.device") -> int:
    """Most memory used so far, in bytes: the device's for CUDA, else the process's."""
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    if sys.platform == "win32":  # it has no getrusage
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
