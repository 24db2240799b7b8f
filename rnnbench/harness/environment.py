"""Where a run runs: machine and versions."""

import importlib
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from rnnbench.record import Environment


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


def peak_memory(device: torch.device) -> int:
    """Most memory used so far, in bytes: the device's for CUDA, else the process's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
