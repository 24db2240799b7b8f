"""What shaped a run: machine, versions, code."""

import importlib
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from lightning.pytorch import LightningDataModule, LightningModule

from rnnbench.fingerprint import code_digest
from rnnbench.record import Environment
from rnnbench.spec import RunSpec

TRAINING_CODE = (
    "rnnbench.architectures.optimisation",
    "rnnbench.data.batches",
    "rnnbench.data.parts",
    "rnnbench.data.tokens",
    "rnnbench.harness.cell",
    "rnnbench.harness.reporter",
    "rnnbench.harness.trainer",
    "rnnbench.nn.engine.*",
    "rnnbench.nn.fused",
    "rnnbench.nn.initialise",
    "rnnbench.nn.padded",
    "rnnbench.nn.stack",
)
"""Modules that shape every result of ours without defining a class of the run."""


def environment(device: torch.device) -> Environment:
    """Versions, machine and device."""
    on_cuda = device.type == "cuda"
    return Environment(
        python=platform.python_version(),
        torch=torch.__version__,
        lightning=version("lightning"),
        rnnbench=importlib.import_module("rnnbench").__version__,
        platform=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
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


def peak_memory(device: torch.device) -> int:
    """Most memory used so far, in bytes: the device's for CUDA, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def code_of(spec: RunSpec, model: LightningModule, data: LightningDataModule) -> dict[str, str]:
    """Digest of the source of each module that shaped a run: of all classes in the model, of the data and its readers.

    Code of torch, Lightning and other installed libraries counts by version, not by content.
    """
    cells = [module.cell for module in model.modules() if hasattr(module, "cell")]  # equations are no modules
    paths = [spec.architecture.class_path, spec.task.data.class_path, *(type(cell).__module__ for cell in cells)]
    tops = {"rnnbench", *(path.partition(".")[0] for path in paths)}
    readers = {*getattr(data, "readers", ()), *getattr(data, "scored_by", ()), *TRAINING_CODE}
    readers |= {"rnnbench.harness.size"} if spec.size else set()
    classes = [base for thing in (*model.modules(), *cells, data) for base in type(thing).__mro__]
    modules = {base.__module__ for base in classes if base.__module__.partition(".")[0] in tops}
    return {module: code_digest(module) for module in sorted(modules | readers)}
