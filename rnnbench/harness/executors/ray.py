"""Runs on the machines of a Ray cluster, or, if there is none, on one of its own on this machine."""

import os
import re
import socket
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from rnnbench.config.executors import RaySettings
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.loop import Executor, Report
from rnnbench.harness.executors.remote import Message, check_here, preflight_here, run_locally, shared_environment
from rnnbench.harness.hardware import usable_cores
from rnnbench.harness.job import Ended, Job, failure_record
from rnnbench.harness.measure import Facts
from rnnbench.records.record import Record


class RayExecutor(Executor):
    """Hands jobs to Ray, each with the cores and the (parts of) GPUs that it needs; Ray places them."""

    prepares_data = False

    def __init__(self, settings: RaySettings) -> None:
        self.settings, self.retries = settings, settings.retries
        self.progress_actor: Any = None
        self.connected = False
        self.jobs: dict[Any, Job] = {}
        self.reports: dict[str, Report] = {}

    def open(self) -> None:
        """Connect to the cluster that the settings name; without an address, to one of this machine alone.

        Where this process is connected already, that is the cluster.
        """
        ray = _ray()
        if not ray.is_initialized():
            self._connect()
            self.connected = True
        if self.progress_actor is None:
            from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            self.progress_actor = ray.remote(num_cpus=0, scheduling_strategy=here)(ProgressActor).remote()

    def _connect(self) -> None:
        ray, address = _ray(), self.settings.address
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        try:
            if address is None:
                ray.init(num_cpus=usable_cores(), include_dashboard=False, **options)
            else:
                check_reachable(address)
                ray.init(address=address, **options)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            if isinstance(error, ConnectionError) and address == "auto":
                reason = (
                    "this machine is part of none (ray start); without an address there is one of this machine alone"
                )
            raise RnnbenchError(f"executor ray: no cluster at address {address!r}: {reason}") from None

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started, and that a machine of the cluster has place for each."""
        check_here(specs)
        self.open()
        self.check_place(max((spec.devices for spec in specs), default=1))

    def preflight(self, specs: Sequence[RunSpec]) -> dict[str, Facts]:
        """What is known of runs before they are started, see `Executor`."""
        return preflight_here(specs)

    def check_place(self, devices: int) -> None:
        """Check that a run on so many devices can ever start: Ray itself would let it wait, and say nothing.

        Raises:
            RnnbenchError: no machine has what it needs.
        """
        cores, gpus = self.settings.cpus * devices, self.settings.gpus * devices
        alive = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
        machines = Counter((resources.get("CPU", 0), resources.get("GPU", 0)) for resources in alive)
        if any(machine[0] >= cores and machine[1] >= gpus for machine in machines):
            return
        listed = ", ".join(
            f"{count} machine{'s' * (count > 1)} with {_resources(*size)}" for size, count in machines.most_common(5)
        )
        raise RnnbenchError(
            f"executor ray: a run needs {_resources(cores, gpus)} of one machine (devices: {devices}), "
            f"but the cluster has {listed or 'no machine'}"
        )

    def capacity(self) -> int:
        """How many runs the cluster has place for at a time."""
        self.open()
        total = _ray().cluster_resources()
        by_cores = total.get("CPU", 0) / self.settings.cpus
        by_gpus = total.get("GPU", 0) / self.settings.gpus if self.settings.gpus else by_cores
        return max(1, int(min(by_cores, by_gpus)))

    def has_room(self, running: int) -> bool:
        """Whether another job can be handed in: a few for each place, as others may come into the cluster."""
        return running < max(64, 4 * self.capacity())

    def start(self, job: Job, report: Report) -> Any:
        """Hand in a job; Ray itself does not try again, since an attempt is to be noted."""
        count = job.spec.devices
        resources = {"num_cpus": self.settings.cpus * count, "num_gpus": self.settings.gpus * count}
        task = _ray().remote(max_retries=0, **resources)(_run_task)
        handle = task.remote(job, self.settings, self.progress_actor, shared_environment())
        self.jobs[handle], self.reports[job.spec.id] = job, report
        return handle

    def wait(self, running: Sequence[Any], seconds: float) -> Sequence[Any]:
        """Wait a moment, and report what runs have sent meanwhile; return the tasks that have ended."""
        ray = _ray()
        ended = ray.wait(list(running), num_returns=len(running), timeout=seconds)[0]
        for run, message in ray.get(self.progress_actor.drain.remote()):
            if run in self.reports:
                self.reports[run](message)
        return ended  # type: ignore[no-any-return]

    def result(self, handle: Any) -> Ended:
        """The record of a task, or that it was lost with its machine."""
        ray, job = _ray(), self.jobs.pop(handle)
        del self.reports[job.spec.id]
        try:
            return Ended(ray.get(handle))
        except ray.exceptions.RayError as error:
            reason = f"lost by Ray: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            return Ended(failure_record(job, "failed", reason), cut_off=True)

    def close(self, running: Sequence[Any]) -> None:
        """Cancel what still runs; leave the cluster, or end it if it is our own."""
        ray = _ray()
        for handle in running:
            ray.cancel(handle, force=True)
        self.progress_actor = None
        if self.connected:
            ray.shutdown()
            self.connected = False


def _resources(cores: float, gpus: float) -> str:
    return f"{cores:g} cores and {gpus:g} GPUs"


class ProgressActor:
    """Keeps what runs send, until the driver asks for it."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque(maxlen=10_000)

    def put(self, message: Message) -> None:
        """Keep a message."""
        self.messages.append(message)

    def drain(self) -> list[Message]:
        """All messages since the last call."""
        messages = list(self.messages)
        self.messages.clear()
        return messages


def _run_task(job: Job, settings: RaySettings, progress_actor: Any, environ: dict[str, str]) -> Record:
    import ray

    return run_locally(job, settings, environ, progress_actor.put.remote, ray.util.get_node_ip_address())


def check_reachable(address: str) -> None:
    """Raise an OSError if nobody listens there; Ray itself would try for minutes. Other forms are left to Ray."""
    if match := re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", address):
        socket.create_connection((match[1], int(match[2])), timeout=10).close()


def _ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a task without GPUs does not see them
    import ray

    return ray
