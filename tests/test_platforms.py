"""What macOS, Windows and MPS lack, tested on any system: attributes are taken away, scripts stand in for compilers."""

import ast
import multiprocessing
import os
import pickle
import re
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pydantic
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from rnnbench import nn
from rnnbench.architectures.module import MeanLoss
from rnnbench.cli import smoke
from rnnbench.config.cards import Name
from rnnbench.config.executors import LocalSettings
from rnnbench.errors import RnnbenchError
from rnnbench.harness import hardware
from rnnbench.harness.executors import local, worker
from rnnbench.nn.compiler import build, dispatch
from rnnbench.nn.compiler.compiler_options import attempts
from rnnbench.nn.compiler.function import Interpreter
from rnnbench.nn.compiler.sequence import SequenceCall
from rnnbench.objectives import double
from rnnbench.utils import files, processor
from tests.fixtures.nn_layers import CASES, close, draw, flat, make

SOURCES = {path: path.read_bytes() for path in sorted(Path(nn.__file__).parents[1].rglob("*.py"))}
POSIX_MODULES = {"fcntl", "grp", "pwd", "resource", "termios", "tty", "pty"}
POSIX_NAMES = {
    "os": {
        "fork", "getuid", "geteuid", "getpgid", "killpg", "mkfifo", "nice", "pread", "register_at_fork",
        "sched_getaffinity", "sched_setaffinity", "setsid", "sysconf", "uname", "wait", "waitpid", "getloadavg",
    },
    "signal": {"SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGQUIT", "SIGSTOP", "SIGUSR1", "SIGUSR2",
               "alarm", "pause", "pthread_kill", "setitimer"},
}  # fmt: skip
POSIX = re.compile(rb"(?m)^(import|from) (fcntl|grp|pwd|resource|termios|tty|pty)\b|\b(os|signal)\.\w")
GUARDED = {("build.py", "getuid"), ("hardware.py", "sched_getaffinity")}
"""Names used only where they are known to be there."""


# --- what the source may use


def test_nothing_that_windows_lacks_is_imported_or_named_without_a_guard() -> None:
    found = []
    for path, text in SOURCES.items():
        if not POSIX.search(text):
            continue
        tree = ast.parse(text)
        found += [(path.name, name) for node in tree.body for name in imported(node) & POSIX_MODULES]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                known = node.attr in POSIX_NAMES.get(node.value.id, ())
                found += [(path.name, node.attr)] if known and (path.name, node.attr) not in GUARDED else []
    assert not found


def imported(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name.partition(".")[0] for alias in node.names}
    return {(node.module or "").partition(".")[0]} if isinstance(node, ast.ImportFrom) else set()


def test_text_is_read_and_written_in_an_encoding_that_no_system_chooses() -> None:
    found = []
    for path, text in SOURCES.items():
        for node in ast.walk(ast.parse(text)) if re.search(rb"\.(read|write)_text", text) else ():
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            given = len(node.args) - (node.func.attr == "write_text")
            if node.func.attr in ("read_text", "write_text") and not given:
                found += [f"{path.name}:{node.lineno}"] * all(word.arg != "encoding" for word in node.keywords)
    assert not found


def test_float64_is_used_only_where_it_is_known_to_be_there() -> None:
    """`to_double` and `DoubleMetric` elsewhere: a network may lie on MPS."""
    allowed = {
        "codegen.py", "double.py", "native.py", "scan.py", "dispatch.py", "recurrent.py", "beam.py", "gradients.py",
        "regression.py", "probabilistic.py", "text_metrics.py", "module.py", "export.py",
    }  # fmt: skip
    names = re.compile(r"\.double\(\)|torch\.float64|torch\.complex128")
    found = {path.name for path in SOURCES if names.search(path.read_text("utf-8"))}
    assert found <= allowed
    for name in ("regression.py", "probabilistic.py", "text_metrics.py", "module.py"):
        (path,) = (one for one in SOURCES if one.name == name and one.parent.name in ("objectives", "architectures"))
        lines = [line for line in path.read_text("utf-8").splitlines() if names.search(line)]
        assert all("self.add_state(" in line for line in lines)
        for part in re.split(r"(?m)^class ", path.read_text("utf-8")):
            assert "torch.float64" not in part or "(Metric):" not in part


# --- compilers


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    monkeypatch.setattr(dispatch, "_programs", {})
    monkeypatch.setattr(dispatch, "_warned", set())
    monkeypatch.setenv(files.CACHE_VARIABLE, str(tmp_path / "cache"))
    build._compiler.cache_clear()
    yield tmp_path
    build._compiler.cache_clear()


def test_options_are_those_that_the_systems_compilers_know() -> None:
    for machine in ("AMD64", "ARM64"):
        for attempt in attempts("win32", machine, None):
            words = " ".join([*attempt.before, *attempt.after])
            assert not re.search(r"-fPIC|-lm|-lc|-fopenmp", words)
    for one in ("aarch64", "arm64"):
        ways = [way for system in ("linux", "darwin", "win32") for way in attempts(system, one, None)]
        every = [word for way in ways for word in way.before]
        assert "-mcpu=native" in every
        assert not any(word.startswith(("-march", "-mprefer", "-Wa")) for word in every)
    library = Path("/x/torch/lib/libomp.dylib")
    first, *others = attempts("darwin", "arm64", library)
    assert first.before[1:3] == ["-Xclang", "-fopenmp"]
    assert first.after == [str(library), f"-Wl,-rpath,{library.parent}"]
    assert any("-fopenmp" not in way.before for way in others)
    assert not any("-fopenmp" in way.before for way in attempts("darwin", "arm64", None))
    assert any(
        "-fopenmp" in way.before and not any(word.startswith("-m") for word in way.before)
        for way in attempts("linux", "aarch64", None)
    )


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_a_compiler_that_knows_less_makes_a_kernel(
    system: str, no_kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in refuses what Apple's clang or clang for Windows refuse, and compiles the rest."""
    refused = {"darwin": "-fopenmp|-nostdlib|-mcpu=*|-march=*", "win32": "-fPIC|-lm|-lc|-fopenmp|-Wa,*"}[system]
    compiler = no_kernels / "clang"
    gcc = shutil.which("cc")
    assert gcc is not None
    text = f'for word in "$@"; do case "$word" in {refused}) echo "unknown: $word" >&2; exit 1;; esac; done\n'
    compiler.write_text(f'#!/bin/sh\n{text}exec {gcc} -fPIC $(echo "$@" | sed "s/-static//") -lm\n')
    compiler.chmod(0o700)
    monkeypatch.setenv(build.COMPILER_VARIABLE, str(compiler))
    monkeypatch.setenv(build.FLAGS_VARIABLE, "-O0")  # compiled sooner
    monkeypatch.setattr(sys, "platform", system)
    layer, inputs = make("elman", 3, 6), draw(4, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert layer.backend == "native"
    monkeypatch.undo()
    close(flat(layer(inputs)), flat(make("elman", 3, 6, engine="reference")(inputs)))


@pytest.mark.parametrize("name", ["cl.exe", "clang-cl"])
def test_a_compiler_of_msvc_is_refused_once_with_what_to_install(
    name: str, no_kernels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiler = no_kernels / name
    compiler.write_text("#!/bin/sh\nexit 0\n")
    compiler.chmod(0o700)
    monkeypatch.setenv(build.COMPILER_VARIABLE, str(compiler))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert [make(case, 3, 6).backend for case in ("mgu", "ugrnn", "mgu")] == ["function"] * 3
    assert len(heard) == 1
    assert re.search(
        r"options of MSVC, and the kernels need GNU C: install clang or gcc.*ziglang", str(heard[0].message)
    )


def test_a_compiler_that_fails_says_so_once_for_all_kernels(no_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = no_kernels / "cc"
    text = 'for word in "$@"; do case "$word" in *.c) echo "$word: bad" >&2;; esac; done\nexit 1\n'
    compiler.write_text(f"#!/bin/sh\n{text}")
    compiler.chmod(0o700)
    monkeypatch.setenv(build.COMPILER_VARIABLE, str(compiler))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert [make(case, 3, 6).backend for case in ("mgu", "ugrnn")] == ["function"] * 2
    assert len(heard) == 1


def test_a_backslash_is_part_of_a_path_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    command = r'"C:\Program Files\LLVM\bin\clang.exe" -g'
    monkeypatch.setattr(sys, "platform", "win32")
    assert build._words("CC", command) == [r"C:\Program Files\LLVM\bin\clang.exe", "-g"]
    assert build._suffix() == ".dll"
    monkeypatch.setattr(sys, "platform", "linux")
    assert build._words("CC", r"a\ b 'c d' # e") == ["a b", "c d", "#", "e"]


def test_a_processor_without_a_list_of_linux_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "CPUINFO", Path("/nonexistent"))
    monkeypatch.setattr(sys, "platform", "darwin")  # and no sysctl
    assert processor.processor_name.__wrapped__()
    assert processor.instruction_sets.__wrapped__()


# --- processes and files


def test_a_machine_without_posix_is_counted_and_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = hardware.usable_cores()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert hardware.usable_cores() == cores
    monkeypatch.delattr(psutil.Process, "cpu_affinity", raising=False)
    assert hardware.usable_cores() == os.cpu_count()
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(psutil, "Process", lambda: SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=5)))
    assert hardware.peak_memory(torch.device("cpu")) == 5


def test_a_worker_may_be_spawned() -> None:
    executor = local.LocalExecutor(LocalSettings())
    executor.context = multiprocessing.get_context("spawn")
    assert executor._call(worker.call, "rnnbench.harness.hardware:usable_cores") == hardware.usable_cores()
    for target in (worker.work, worker.prepare, worker.probe):
        assert pickle.loads(pickle.dumps(target)) is target


def test_ends_of_processes_that_have_no_name_are_described() -> None:
    assert local.describe_exit(0xC0000005) == "the worker ended with exit code 3221225477 (0xC0000005) and no result"
    assert local.describe_exit(1) == "the worker ended with exit code 1 and no result"
    assert local.describe_exit(-40) == "killed by signal 40"
    assert local.describe_exit(-signal.SIGTERM) == "killed by signal 15 (SIGTERM)"


def test_windows_is_asked_again_for_a_file_that_somebody_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [PermissionError(13, "in use")] * 2
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if refusals:
            raise refusals.pop()
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(sys, "platform", "win32")
    files.write_whole(tmp_path / "a", "x\n")
    assert (tmp_path / "a").read_bytes() == b"x\n"
    refusals.append(PermissionError(13, "in use"))
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(RnnbenchError, match="in use"):
        files.write_whole(tmp_path / "a", "y")


def test_checksums_name_files_as_every_system_does(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"1")
    files.write_checksums(tmp_path)
    assert '"a/b"' in (tmp_path / files.SUMS).read_text("utf-8")


def test_smoke_does_without_links(no_kernels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(1314, "a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    with smoke._temporary_cache() as folder:
        assert os.environ[files.CACHE_VARIABLE] == str(folder)


@pytest.mark.parametrize("name", ["con", "aux", "nul", "com1", "lpt9.x", "a."])
def test_names_that_windows_reserves_are_refused(name: str) -> None:
    checked = pydantic.TypeAdapter(Name)
    with pytest.raises(pydantic.ValidationError, match="cannot be the name of a file on Windows"):
        checked.validate_python(name)
    assert [checked.validate_python(one) for one in ("console", "com10", "aux-2")] == ["console", "com10", "aux-2"]


# --- MPS


class WithoutDouble(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Refuses every operation that gives float64 or complex128, as MPS does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for one in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(one, Tensor) and one.dtype in (torch.float64, torch.complex128):
                raise TypeError(f"{func} gives {one.dtype}")
        return result


@pytest.mark.parametrize("case", CASES)
def test_the_function_engine_needs_no_float64(case: str) -> None:
    layer = make(case, 3, 6, dtype=torch.float32)
    cell = layer.cell
    program = dispatch.program_of(cell)
    if isinstance(program, str):
        pytest.skip(program)
    parameters = layer.parameters_of(0, "_l0")
    effective = cell.effective_weights(parameters)
    weights = [effective.get(name) for name in cell.weight_names()]
    tensors = [*(None for _ in cell.states), *(None if one is None else one.detach() for one in weights)]
    inputs = draw(4, 2, weights[0].shape[1], dtype=torch.float32)  # type: ignore[union-attr]
    call = SequenceCall(cell, 6, 2, 4, noise=cell.draw_noise(inputs, 2, 6, (layer.zoneout, 0.0)))
    engine = Interpreter(program)
    mode: Any = WithoutDouble
    with mode(), torch.no_grad():
        results = engine.forward(call, inputs, tensors, True)
        wanted: list[Tensor | None] = [torch.ones_like(one) for one in call.emitted(results)]
        wanted += [None] * len(cell.states)
        gradients = engine.backward(call, inputs, tensors, results, wanted, [True] * (1 + len(tensors)))
    assert gradients[0] is not None
    assert gradients[0].isfinite().all()


def test_on_mps_torchs_own_layers_are_not_chosen() -> None:
    layer = nn.LSTM(3, 4)
    weights = {kind: SimpleNamespace(device=torch.device(kind), dtype=torch.float32) for kind in ("mps", "cuda")}
    assert layer._choose(weights["mps"]) == "function"  # type: ignore[arg-type]
    assert layer._choose(weights["cuda"]) == "torch"  # type: ignore[arg-type]
    layer.engine = "torch"
    assert layer._choose(weights["mps"]) == "torch"  # type: ignore[arg-type]


def test_sums_in_float64_stay_where_there_is_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    def to_mps(tensor: Tensor) -> Tensor:
        if tensor.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return tensor.to("meta")

    metric = MeanLoss()
    assert metric._apply(to_mps).summed.device.type == "cpu"
    metric.update(torch.tensor(3.0), torch.tensor(2))
    assert float(metric.compute()) == 1.5
    assert metric._apply(lambda tensor: tensor.to("meta")).summed.device.type == "meta"
    monkeypatch.setattr(double, "WITHOUT_DOUBLE", {"meta"})
    with pytest.raises(NotImplementedError, match="meta"):  # a copy to the CPU, which meta has no numbers for
        double.to_double(torch.zeros(2, device="meta"))
    assert double.to_double(torch.zeros(2)).dtype == torch.float64
