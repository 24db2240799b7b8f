"""What this machine's processor is called and can do, on each system."""

import platform
import subprocess
import sys
from functools import cache
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@cache
def processor_name() -> str:
    """The processor's name, as `AMD EPYC 9B14` or `Apple M2`; its architecture where the system gives no name."""
    return _cpuinfo("model name") or _macos_name() or platform.processor() or platform.machine()


@cache
def instruction_sets() -> str:
    """A text that differs between processors with different instructions: code for one may not run on another."""
    return _cpuinfo("flags") or _cpuinfo("Features") or f"{platform.machine()} {processor_name()}"


def _cpuinfo(key: str) -> str:
    """A value of Linux's list of processors; empty on other systems."""
    try:
        lines = CPUINFO.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == key), "")


def _macos_name() -> str:
    if sys.platform != "darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
