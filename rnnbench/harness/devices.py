"""Slots: what one run gets of the machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

DEVICE_LISTS = {"cuda": "CUDA_VISIBLE_DEVICES", "xpu": "ZE_AFFINITY_MASK"}
"""The variable by which a process sees only some devices of a kind."""


@dataclass(frozen=True)
class Slot:
    """A place for one run at a time.

    Args:
        name: for people, such as `cuda:0` or `cpu:1`.
        threads: of the run.
        environment: variables of its process, set before torch looks for devices.
    """

    name: str
    threads: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)


def make_slots(kind: str, count: int, cores: int, workers: int | None, environ: Mapping[str, str]) -> list[Slot]:
    """One slot a device, or without devices one a core; more `workers` than devices share these in turn.

    A run on a processor has one thread: two runs of one thread each do more than one run of two, and the same run
    gives the same score beside any number of others.
    """
    if kind == "cpu" or count == 0:
        return [Slot(f"cpu:{index}") for index in range(workers or cores)]
    total = workers or count
    variable = DEVICE_LISTS.get(kind)
    listed = [part.strip() for part in environ.get(variable or "", "").split(",") if part.strip()]
    visible = listed[:count] if listed else [str(index) for index in range(count)]
    return [
        Slot(
            f"{kind}:{index % count}",
            threads=max(1, cores // total),
            environment={variable: visible[index % count]} if variable else {},
        )
        for index in range(total)
    ]


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
