"""Where the runs of a grid run, as its YAML says it: `executor: local`, or `executor: {ray: {address: auto}}`."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ByteSize, Field, TypeAdapter, ValidationError, model_validator

from rnnbench.config.schema import Arguments, StrictModel, short_repr
from rnnbench.errors import RnnbenchError, unknown

MAX_PARALLEL = 4096
"""Runs, or cores or GPUs of a run."""
MAX_MINUTES = 60 * 24 * 366
"""Minutes: a year."""
MAX_BYTES = 2**60


def _runs(value: Any) -> Any:
    """`runs_per_device`; pydantic itself would tell of each alternative by itself."""
    if value in (None, "auto") or (type(value) is int and 1 <= value <= MAX_PARALLEL):
        return value
    raise ValueError(f"give a whole number from 1 to {MAX_PARALLEL}, or auto, got {short_repr(value)}")


def _bytes(value: Any) -> Any:
    """`memory`; pydantic itself would not say what is allowed."""
    try:
        size = None if value is None else TypeAdapter(ByteSize).validate_python(value)
        if not isinstance(value, bool) and (size is None or 1 <= size <= MAX_BYTES):
            return size
    except ValidationError:
        pass
    raise ValueError(f"give a number of bytes, or one with a unit such as 4GB, got {short_repr(value)}")


def _gpu_ids(value: Any) -> Any:
    """`gpu_ids`; pydantic itself would tell of each alternative by itself."""
    if value is None:
        return None
    if not isinstance(value, list) or not all(map(_is_gpu, value)):
        raise ValueError(
            "give a list of GPUs, by their place among those that this process sees, [0, 2], or by UUID "
            f"(nvidia-smi -L); [] for none, got {short_repr(value)}"
        )
    if len(set(value)) < len(value):
        raise ValueError(f"names a GPU twice, got {short_repr(value)}")
    return value


def _is_gpu(value: Any) -> bool:
    is_place = type(value) is int and 0 <= value < MAX_PARALLEL
    return is_place or (isinstance(value, str) and value.startswith(("GPU-", "MIG-")))


Memory = Annotated[ByteSize | None, BeforeValidator(_bytes)]


class LocalSettings(StrictModel):
    """One process a run.

    Args:
        workers: runs at a time; by default one a GPU, or without GPUs one a core.
        gpu_ids: which GPUs are used: their places among those that the caller's `CUDA_VISIBLE_DEVICES` leaves, or UUIDs
            of GPUs or MIG slices; [] for none, then runs are on cores. By default all.
        runs_per_device: the same for each device; `auto`: the first run of a task and architecture is measured, then
            as many run at a time as memory holds.
        retries: how often a run whose process died, or was stopped by the system, goes on from its last checkpoint;
            and how often one that ran out of memory begins anew with its batches in twice as many parts.
        memory: most that a process of a run may use (`4GB`); then it is killed, and has run out of memory.
        timeout_minutes: longest that a run may take; then it is killed, and has failed.
    """

    workers: int | None = Field(None, ge=1, le=MAX_PARALLEL)
    gpu_ids: Annotated[list[int | str] | None, BeforeValidator(_gpu_ids)] = None
    runs_per_device: Annotated[Annotated[int, Field(ge=1)] | Literal["auto"] | None, BeforeValidator(_runs)] = None
    retries: int = Field(1, ge=0, le=100)
    memory: Memory = None
    timeout_minutes: float | None = Field(None, gt=0, le=MAX_MINUTES)

    @model_validator(mode="after")
    def _one_count(self) -> Self:
        if self.workers is not None and self.runs_per_device is not None:
            raise ValueError("give workers or runs_per_device, not both")
        return self


class RemoteSettings(StrictModel):
    """Runs on other machines.

    Args:
        cpus: cores of a run, for each of its devices.
        gpus: GPUs of each of its devices; a part (0.25) lets so many runs share one. 0 for none.
        retries: how often a run that was lost with its machine is handed in again; and how often one that ran out of
            memory begins anew with its batches in twice as many parts.
        memory: most that a process of a run may use (`4GB`); then it is killed, and has run out of memory.
        timeout_minutes: longest that a run may take; then it is killed, and has failed.
    """

    cpus: float = Field(1, gt=0, le=MAX_PARALLEL)
    gpus: float = Field(0, ge=0, le=MAX_PARALLEL)
    retries: int = Field(3, ge=0, le=100)
    memory: Memory = None
    timeout_minutes: float | None = Field(None, gt=0, le=MAX_MINUTES)


class RaySettings(RemoteSettings):
    """Runs on a Ray cluster. When a grid starts, one of its machines has to have all that a run needs.

    Args:
        address: of the cluster; `auto`: the one that this machine is part of; none: one of this machine alone.
    """

    address: str | None = None


class SlurmSettings(RemoteSettings):
    """Runs on a Slurm cluster, through submitit.

    Args:
        cluster: `slurm`; or `local`, processes of this machine that stand in for it.
        minutes: that Slurm gives a run before it stops it and puts it in the queue again.
        options: of sbatch, such as `{partition: gpu}`.
    """

    cluster: Literal["slurm", "local"] = "slurm"
    minutes: int = Field(60, ge=1, le=MAX_MINUTES)
    options: Arguments = {}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.cpus % 1 or self.gpus % 1:
            raise ValueError(
                f"give whole cores and GPUs, Slurm divides none, got cpus: {self.cpus:g}, gpus: {self.gpus:g}"
            )
        return self


EXECUTORS = ("inline", "local", "ray", "slurm")


class ExecutorSettings(StrictModel):
    """One of: `inline` (in this process, one after the other; for a debugger), `local`, `ray`, `slurm`."""

    inline: dict[str, Any] | None = Field(None, max_length=0)
    local: LocalSettings | None = None
    ray: RaySettings | None = None
    slurm: SlurmSettings | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len([name for name in EXECUTORS if getattr(self, name) is not None]) != 1:
            raise ValueError(f"choose one executor: {', '.join(EXECUTORS)}")
        return self


def _executor(value: Any) -> Any:
    """What `executor` may be, with an error about the alternative that was meant."""
    try:
        if isinstance(value, dict):
            return ExecutorSettings.read(value, "settings")
        if isinstance(value, str) and value not in EXECUTORS:
            raise unknown("executor", value, EXECUTORS)
        if not isinstance(value, str | ExecutorSettings):
            raise RnnbenchError(f"name one of {', '.join(EXECUTORS)}, or one with settings, got {short_repr(value)}")
    except RnnbenchError as error:
        raise ValueError(str(error)) from None
    return value


ExecutorField = Annotated[ExecutorSettings | Literal["inline", "local", "ray", "slurm"], BeforeValidator(_executor)]
"""A name, or one with settings."""
