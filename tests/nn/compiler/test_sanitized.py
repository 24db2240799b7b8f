"""Compiled layers touch no memory that is not theirs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.nn.compiler.build import COMPILER_VARIABLE, FLAGS_VARIABLE
from rnnbench.utils.files import CACHE_VARIABLE


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the layers in a process that has the sanitizers' runtime."""
    compiler = shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs gcc on Linux")
    asked = [f"-print-file-name={name}" for name in ("libasan.so", "libubsan.so")]
    found = [
        subprocess.run([compiler, one], capture_output=True, text=True, check=True).stdout.strip() for one in asked
    ]
    if not all(Path(one).is_absolute() for one in found):
        pytest.skip("gcc has no sanitizers here")
    environment = {
        **os.environ,
        COMPILER_VARIABLE: f"env -u LD_PRELOAD {compiler}",  # the compiler itself runs without
        CACHE_VARIABLE: str(folder),
        FLAGS_VARIABLE: "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all",
        "LD_PRELOAD": " ".join(found),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    return subprocess.run(
        [sys.executable, "-m", "tests.fixtures.nn_sanitized", *arguments],
        cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


def test_no_kernel_reaches_beyond_its_memory(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip().endswith("clean")


def test_the_sanitizers_are_at_work(tmp_path: Path) -> None:
    done = run(tmp_path, "broken")
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
