"""Runs on the machines of a Ray cluster, or, if there is none, on one of its own on this machine."""

import os
import re
import socket
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

from rnnbench.config.executors import RaySettings
from rnnbench.config.grid import RunSpec
from rnnbench.errors import RnnbenchError
from rnnbench.harness.executors.remote import POLL, Message, RemoteExecutor, do, surroundings, take_over
from rnnbench.harness.hardware import usable_cores
from rnnbench.harness.job import Job
from rnnbench.records.record import Record


class RayExecutor(RemoteExecutor):
    """Hands jobs to Ray, each with the cores and the (parts of) GPUs that it needs; Ray places them."""

    settings: RaySettings

    def start(self) -> None:
        """Connect to the cluster that the settings name; without an address, to one of this machine alone."""
        ray = _ray()
        if ray.is_initialized():
            return
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        address = self.settings.address
        # Ray itself would hide the GPUs of a task that asks for none; and it need not send every line of every run.
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        try:
            if address is None:
                ray.init(num_cpus=usable_cores(), **options)
            else:
                _knock(address)
                options.pop("include_dashboard")
                ray.init(address=address, **options)
        except (OSError, OverflowError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            if isinstance(error, ConnectionError) and address == "auto":
                reason = (
                    "this machine is part of none (ray start); without an address there is one of this machine alone"
                )
            raise RnnbenchError(f"executor ray: no cluster at address {address!r}: {reason}") from None
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        self.ears = ray.remote(num_cpus=0, scheduling_strategy=here)(Ears).remote()

    def check(self, specs: Sequence[RunSpec]) -> None:
        """Check all runs before any is started, and that a machine of the cluster has place for each."""
        super().check(specs)
        self.check_place(max((spec.devices for spec in specs), default=1))

    def check_place(self, devices: int) -> None:
        """Check that a run on so many devices can ever start: Ray itself would let it wait, and say nothing.

        Raises:
            RnnbenchError: no machine has what it needs.
        """
        cores, gpus = self.settings.cpus * devices, self.settings.gpus * devices
        alive = [one["Resources"] for one in _ray().nodes() if one["Alive"]]
        machines = Counter((one.get("CPU", 0), one.get("GPU", 0)) for one in alive)
        if any(has[0] >= cores and has[1] >= gpus for has in machines):
            return
        found = ", ".join(
            f"{count} machine{'s' * (count > 1)} with {_resources(*has)}" for has, count in machines.most_common(5)
        )
        raise RnnbenchError(
            f"executor ray: a run needs {_resources(cores, gpus)} of one machine (devices: {devices}), "
            f"but the cluster has {found or 'no machine'}"
        )

    def places(self) -> int:
        """How many runs the cluster has place for at a time."""
        self.start()
        has = _ray().cluster_resources()
        by_cores = has.get("CPU", 0) / self.settings.cpus
        return max(1, int(min(by_cores, has.get("GPU", 0) / self.settings.gpus) if self.settings.gpus else by_cores))

    def most(self) -> int:
        """A few for each place: others may come into the cluster."""
        return max(64, 4 * self.places())

    def submit(self, job: Job) -> Any:
        """Hand in a job; Ray itself does not try again, since an attempt is to be noted."""
        count = job.spec.devices
        resources = {"num_cpus": self.settings.cpus * count, "num_gpus": self.settings.gpus * count}
        task = _ray().remote(max_retries=0, **resources)(_work)
        return task.remote(job, self.settings, self.ears, surroundings())

    def ended(self, flying: Sequence[Any]) -> list[Any]:
        """Those that have ended."""
        return _ray().wait(list(flying), num_returns=len(flying), timeout=POLL)[0] if flying else []

    def result(self, one: Any) -> Record | str:
        """The record of a task, or how it was lost."""
        ray = _ray()
        try:
            return ray.get(one)  # type: ignore[no-any-return]
        except ray.exceptions.RayError as error:
            return f"lost by Ray: {type(error).__name__}: {' '.join(str(error).split())[:200]}"

    def messages(self) -> Iterable[Message]:
        """What runs have told since the last look."""
        return _ray().get(self.ears.drain.remote())  # type: ignore[no-any-return]

    def close(self, flying: Sequence[Any]) -> None:
        """Cancel what still flies; leave the cluster, or end it if it is our own."""
        ray = _ray()
        for one in flying:
            ray.cancel(one, force=True)
        ray.shutdown()


def _resources(cores: float, gpus: float) -> str:
    return f"{cores:g} cores and {gpus:g} GPUs"


class Ears:
    """An actor that hears what runs tell, until the driver asks for it."""

    def __init__(self) -> None:
        self.heard: deque[Message] = deque(maxlen=10_000)

    def tell(self, message: Message) -> None:
        """Hear something."""
        self.heard.append(message)

    def drain(self) -> list[Message]:
        """All that was heard."""
        heard = list(self.heard)
        self.heard.clear()
        return heard


def _work(job: Job, settings: RaySettings, ears: Any, environ: dict[str, str]) -> Record:
    import ray

    take_over(environ)
    return do(job, settings, lambda message: ears.tell.remote(message), ray.util.get_node_ip_address())


def _knock(address: str) -> None:
    """Raise an OSError if nobody listens there; Ray itself would try for minutes. Other forms are left to Ray."""
    if found := re.fullmatch(r"(?:ray://)?(.+):(\d{1,5})", address):
        socket.create_connection((found[1], int(found[2])), timeout=10).close()


def _ray() -> Any:
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    import ray

    return ray
