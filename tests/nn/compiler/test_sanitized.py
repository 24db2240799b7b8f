"""Compiled layers touch no memory that is not theirs."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rnnbench.nn.compiler.build import COMPILER_VARIABLE, FLAGS_VARIABLE
from rnnbench.utils.files import CACHE_VARIABLE


def test_no_kernel_reaches_beyond_its_memory(tmp_path: Path) -> None:
    """The layers run in a process that has the sanitizers' runtime; then broken code shows that these are at work."""
    compiler = shutil.which("gcc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs gcc on Linux")
    libraries = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libubsan.so")
    ]
    if not all(Path(library).is_absolute() for library in libraries):
        pytest.skip("gcc has no sanitizers here")
    environment = {
        **os.environ,
        COMPILER_VARIABLE: f"env -u LD_PRELOAD {compiler}",  # the compiler itself runs without
        CACHE_VARIABLE: str(tmp_path),
        FLAGS_VARIABLE: "-O1 -fsanitize=address,undefined -fno-sanitize-recover=all",
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.fixtures.nn_sanitized"],
        cwd=Path(__file__).parents[3], env=environment, capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip
    assert done.stdout.strip().endswith("clean"), done.stderr[-3000:]
    assert done.returncode != 0
    assert "heap-buffer-overflow" in done.stderr
