"""The recurrent layers on a GPU: triton beside cuDNN, the other engines, a compiled loop and packages of others.

`python -m benchmarks.layers --device cuda`. Every figure is a ratio of medians of training steps (or of what the group
says) that were timed in turn in one process, each sample between two synchronisations. A call that cannot be had says
why, and so does every row made of it.
"""

import gc
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import groupby
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch.nn.utils.rnn import PackedSequence

from benchmarks.layer_cases import COUNTERPARTS, cells, joined, module_makers, pack, training
from benchmarks.layer_timing import Shape, label
from rnnbench import nn as ours

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
SAMPLE = 2e-3  # seconds of a sample: calls that take less are repeated within it
CUDNN = {
    "LSTM": "LSTM", "PeepholeLSTM": "LSTM", "PeepholeLSTM NOAF": "LSTM", "PeepholeLSTM NIAF": "LSTM",
    "CoupledLSTM": "LSTM", "LayerNormLSTM": "LSTM", "GRU": "GRU", "GRU before": "GRU", "Elman": "RNN tanh",
    "Elman relu": "RNN relu",
}  # fmt: skip
"""Layers, and those of torch that they are compared with."""
FLASHRNN = {"LSTM": ("lstm", 4, 2), "GRU": ("gru", 3, 1), "Elman": ("elman", 1, 1), "SLSTM": ("slstm", 4, 4)}
"""Layers that flashrnn has: its name, gates and states."""
COMPILED = ("LSTM", "GRU", "SLSTM")
"""Layers whose loop is compiled: inductor unrolls it, which takes minutes for each."""
LINEAR = ("MinGRU", "MinLSTM", "LRU", "SRU", "QRNN")


@dataclass(frozen=True)
class Group:
    """Calls that are timed in turn, for each shape `T, B, I, H`."""

    name: str
    shapes: tuple[Shape, ...]
    tiny: tuple[Shape, ...] = ((4, 2, 8, 8),)
    precisions: tuple[str, ...] = tuple(PRECISIONS)


def _sweep() -> tuple[Shape, ...]:
    """Shapes that differ from (256, 64, 128, 128) in one number."""
    found = [(t, 64, 128, 128) for t in (32, 256, 1024, 4096)] + [(256, b, 128, 128) for b in (1, 8, 32, 128, 512)]
    return tuple(dict.fromkeys([*found, *((256, 64, h, h) for h in (32, 64, 256, 512, 1024))]))


GROUPS = {
    group.name: group
    for group in (
        Group("gates", _sweep()),
        Group("cells", ((256, 64, 128, 128), (256, 64, 512, 512)), precisions=("float32", "bfloat16")),
        Group("compiled", ((32, 64, 128, 128),), precisions=("float32",)),
        Group("packed", ((256, 64, 128, 128), (1024, 128, 256, 256))),
        Group("projected", ((256, 64, 128, 128),)),
        Group("deep", ((256, 64, 128, 128),)),
        Group("linear", ((1024, 64, 128, 128), (4096, 16, 128, 128)), precisions=("float32", "bfloat16")),
        Group("step", ((1, 1, 128, 128), (1, 64, 512, 512)), ((1, 2, 8, 8),)),
        Group("scan", ((1024, 64, 128), (4096, 16, 128)), ((4, 2, 8),), ("float32",)),
        Group("memory", ((256, 64, 128, 128), (1024, 64, 512, 512))),
    )
}


@dataclass(frozen=True)
class Goal:
    """The largest ratio at shapes of some kind."""

    bound: float
    where: Callable[[Shape], bool]
    says: str


def _small(shape: Shape) -> bool:
    return shape[-1] <= 256 and shape[1] >= 32


def _large(shape: Shape) -> bool:
    return shape[-1] in (512, 1024)


def _any(shape: Shape) -> bool:
    return True


@dataclass(frozen=True)
class Row:
    """One call of a group over another, or alone (`theirs` empty)."""

    group: str
    ours: str
    theirs: str
    goals: tuple[Goal, ...] = ()

    @property
    def title(self) -> str:
        """What is divided by what."""
        return f"{self.ours} ÷ {self.theirs}" if self.theirs else self.ours


def rows() -> list[Row]:
    """All rows; an entry is `engine:layer`."""
    found = []
    for layer, theirs in CUDNN.items():
        bound = 1.5 if layer == "LayerNormLSTM" else 1.2
        goals = (Goal(bound, _small, "H ≤ 256, B ≥ 32"), Goal(2.0, _large, "H = 512, 1024"))
        with_goals = layer in ("LSTM", "PeepholeLSTM", "CoupledLSTM", "LayerNormLSTM")
        found.append(Row("gates", f"triton:{layer}", f"cudnn:{theirs}", goals if with_goals else ()))
    for layer in cells():
        found.append(Row("cells", f"triton:{layer}", f"function:{layer}", (Goal(0.1, _any, "everywhere"),)))
        found.append(Row("cells", f"triton:{layer}", f"reference:{layer}"))
        if layer in COUNTERPARTS:
            found.append(Row("cells", f"triton:{layer}", f"torchrecurrent:{layer}"))
        if layer in FLASHRNN:
            found.append(Row("cells", f"triton:{layer}", f"flashrnn:{layer}"))
    found += [Row("compiled", f"triton:{layer}", f"compiled:{layer}") for layer in COMPILED]
    found += [
        Row("packed", "triton:LSTM", "cudnn:LSTM", (Goal(0.9, _any, "mean length 0.6 T"),)),
        Row("packed", "triton:GRU", "cudnn:GRU"),
        Row("projected", "triton:LSTM projected", "cudnn:LSTM projected"),
        Row("deep", "triton:LSTM", "cudnn:LSTM"),
        *(Row("linear", f"triton:{layer}", f"function:{layer}") for layer in LINEAR),
        Row("step", "LSTM.step", "nn.LSTMCell"),
        Row("scan", "linear_recurrence", "associative_scan", (Goal(0.5, _any, "under compile"),)),
        *(Row("memory", f"triton:{layer}", f"cudnn:{theirs}") for layer, theirs in CUDNN.items()),
    ]
    return found


# --- calls


class NotAvailable(Exception):
    """A call that cannot be had here."""


class FlashRNN(nn.Module):
    """A layer of flashrnn with one head and an input product of its own, `[T, B, I]` to `[T, B, H]`."""

    def __init__(self, function: str, gates: int, states: int, inputs: int, hidden: int) -> None:
        super().__init__()
        self.run = importlib.import_module("flashrnn").flashrnn
        self.function, self.gates, self.states, self.hidden = function, gates, states, hidden
        self.input = nn.Linear(inputs, gates * hidden, bias=False)
        self.recurrent = nn.Parameter(hidden**-0.5 * torch.randn(gates, 1, hidden, hidden))
        self.bias = nn.Parameter(torch.zeros(4 if function == "gru" else gates, 1, hidden))

    def forward(self, inputs: Tensor) -> tuple[Tensor]:
        """Outputs, in a tuple as other layers have them."""
        steps, batch = inputs.shape[:2]
        products = self.input(inputs).transpose(0, 1).reshape(batch, steps, self.gates, 1, self.hidden).contiguous()
        before = products.new_zeros(self.states, batch, 1, 1, self.hidden)
        kind = str(products.dtype).removeprefix("torch.")
        found = self.run(products, self.recurrent, self.bias, states=before, function=self.function, dtype=kind)
        return (found[0][0].squeeze(2).transpose(0, 1),)


def make_module(entry: str, shape: Shape, group: str, compile_backend: str) -> nn.Module:
    """The layer of an entry.

    Raises:
        NotAvailable: a package or an engine is not there.
    """
    engine, _, layer = entry.partition(":")
    makers: dict[str, Any] = module_makers(shape, "deep" if group == "deep" else group)
    try:
        if engine == "cudnn":
            made = makers[f"nn.{layer}"]()
        elif engine == "torchrecurrent":
            made = makers[f"{layer} torchrecurrent"]()
        elif engine == "flashrnn":
            made = FlashRNN(*FLASHRNN[layer], *shape[2:])
        elif engine == "compiled":
            made = torch.compile(makers[layer](engine="reference"), backend=compile_backend)
        else:
            made = makers[layer](engine=engine)
    except (ImportError, ValueError) as error:
        raise NotAvailable(str(error).partition("\n")[0]) from error
    if made is None:
        raise NotAvailable("torchrecurrent is not installed")
    return made  # type: ignore[no-any-return]


def make_call(entry: str, job: "Job") -> Callable[[], object]:
    """A training step of an entry: output, and gradients of input and parameters.

    Raises:
        NotAvailable: see `make_module`.
    """
    device, dtype = torch.device(job.device), PRECISIONS[job.precision]
    torch.manual_seed(0)
    if job.group == "scan":
        return _scan(entry, job.shape, device, job.compile_backend)
    if job.group == "step":
        return _step(entry, job.shape, device, dtype)
    module = make_module(entry, job.shape, job.group, job.compile_backend).to(device, dtype)
    data: Any = torch.randn(*job.shape[:3])
    if job.group == "packed":
        packed = pack(data)
        moved = packed.data.to(device, dtype).requires_grad_()
        indices = [None if one is None else one.to(device) for one in packed[2:]]
        data = PackedSequence(moved, packed.batch_sizes, *indices)
    else:
        data = data.to(device, dtype).requires_grad_()
    try:
        return training(module, data)
    except (ImportError, ValueError, NotImplementedError) as error:
        raise NotAvailable(str(error).partition("\n")[0]) from error


def _step(entry: str, shape: Shape, device: torch.device, dtype: torch.dtype) -> Callable[[], object]:
    """One step forwards without gradient, of the layer's `step` or of torch's cell."""
    _, batch, inputs, hidden = shape
    x, h, c = (torch.randn(batch, size).to(device, dtype) for size in (inputs, hidden, hidden))
    if entry == "nn.LSTMCell":
        return torch.no_grad()(partial(nn.LSTMCell(inputs, hidden).to(device, dtype), x, (h, c)))
    layer = ours.LSTM(inputs, hidden).to(device, dtype)
    return torch.no_grad()(partial(layer.step, x, (h[None], c[None])))


def _scan(entry: str, shape: Shape, device: torch.device, compile_backend: str) -> Callable[[], object]:
    """`h_t = a_t ⊙ h_{t-1} + b_t` forwards and backwards, by the package or by torch's scan under compile."""
    a, b = torch.rand(shape, device=device).requires_grad_(), torch.randn(shape, device=device).requires_grad_()
    gradient = torch.randn(shape, device=device)

    def by_torch(a: Tensor, b: Tensor) -> Tensor:
        return associative_scan(joined, (a, b), 0, combine_mode="generic")[1]

    solve = ours.linear_recurrence if entry == "linear_recurrence" else torch.compile(by_torch, backend=compile_backend)

    def call() -> None:
        a.grad = b.grad = None
        solve(a, b).backward(gradient)  # type: ignore[no-untyped-call]

    return call


# --- measuring


@dataclass(frozen=True)
class Job:
    """The calls of one group at one shape in one precision."""

    group: str
    shape: Shape
    precision: str
    entries: tuple[str, ...]
    device: str = "cuda"
    rounds: int = 11
    compile_backend: str = "inductor"


@dataclass(frozen=True)
class Figure:
    """What was measured of one call: seconds, or of the group `memory` bytes; or why nothing was.

    Args:
        group: of the call.
        shape: of it.
        precision: of parameters and input.
        entry: which call.
        median: of the samples.
        low: their lower quartile.
        high: their upper quartile.
        first: seconds of the first call, in which kernels are compiled.
        missing: why there is no figure.
    """

    group: str
    shape: Shape
    precision: str
    entry: str
    median: float | None = None
    low: float | None = None
    high: float | None = None
    first: float | None = None
    missing: str = ""

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Figure":
        """From JSON."""
        return cls(**{**content, "shape": tuple(content["shape"])})


def jobs(device: str, groups: Iterable[str] = GROUPS, tiny: bool = False, most_shapes: int | None = None) -> list[Job]:
    """What is to be run.

    Args:
        device: `cuda`; `cpu` only with `tiny`, to see that everything runs.
        groups: names of groups.
        tiny: small shapes, one round, loops that are captured but not compiled.
        most_shapes: of each group the first shapes alone.
    """
    found = []
    for name in groups:
        group = GROUPS[name]
        entries = [one for row in rows() if row.group == name for one in (row.ours, row.theirs) if one]
        for shape in (group.tiny if tiny else group.shapes)[:most_shapes]:
            for precision in group.precisions[:1] if tiny else group.precisions:
                job = Job(name, shape, precision, tuple(dict.fromkeys(entries)), device)
                found.append(Job(**{**asdict(job), "rounds": 1, "compile_backend": "eager"}) if tiny else job)
    return found


def most_wanted_first(some: Sequence[Job]) -> list[Job]:
    """Jobs in the order in which they are measured where time may run out: first those with goals, at one shape each,
    in float32 and bfloat16.
    """
    with_goals = {row.group for row in rows() if row.goals}
    wanted = {"gates": ((256, 64, 128, 128), (256, 64, 512, 512), (256, 64, 1024, 1024))}

    def rank(job: Job) -> int:
        first = wanted.get(job.group, GROUPS[job.group].shapes[:1])
        return 0 if job.group in with_goals and job.shape in first and job.precision != "float16" else 1

    return sorted(some, key=rank)


def measure(job: Job) -> Iterator[Figure]:
    """Figures of a job's calls. Calls that raise have none, and say why."""
    of = partial(Figure, job.group, job.shape, job.precision)
    calls: dict[str, Callable[[], object]] = {}
    first: dict[str, float] = {}
    for entry in job.entries:
        begin = time.perf_counter()
        try:
            calls[entry] = make_call(entry, job)
            calls[entry]()
            synchronise(job.device)
            first[entry] = time.perf_counter() - begin
            calls[entry]()
            synchronise(job.device)
        except NotAvailable as error:
            calls.pop(entry, None)
            yield of(entry, missing=f"not available: {error}")
        except torch.OutOfMemoryError:
            calls.pop(entry, None)
            yield of(entry, missing="out of memory")
        except Exception as error:  # noqa: BLE001  # one engine's fault must not end the table
            calls.pop(entry, None)
            yield of(entry, missing=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}")
    sampled = {entry: [_bytes(call, job.device)] for entry, call in calls.items()} if job.group == "memory" else (
        _seconds(calls, job))  # fmt: skip
    for entry, samples in sampled.items():
        if samples[0] is None:
            yield of(entry, missing="not available: bytes are counted on a GPU alone")
            continue
        low, median, high = statistics.quantiles([*samples, *samples[:1]], n=4, method="inclusive")
        yield of(entry, median, low, high, first[entry])


def _seconds(calls: dict[str, Callable[[], object]], job: Job) -> dict[str, list[float]]:
    """Seconds of each call, timed in turn."""
    repeats = {name: max(1, round(SAMPLE / max(1e-6, _time(call, 1, job.device)))) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    gc.collect()
    gc.disable()
    try:
        for _ in range(job.rounds):
            for name, call in calls.items():
                samples[name].append(_time(call, repeats[name], job.device))
    finally:
        gc.enable()
    return samples


def _time(call: Callable[[], object], repeats: int, device: str) -> float:
    synchronise(device)
    begin = time.perf_counter()
    for _ in range(repeats):
        call()
    synchronise(device)
    return (time.perf_counter() - begin) / repeats


def _bytes(call: Callable[[], object], device: str) -> Any:
    """The most bytes that a training step needs beside what was there before; None where they are not counted."""
    if device == "cpu":
        return None
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    synchronise(device)
    return torch.cuda.max_memory_allocated() - before


def synchronise(device: str) -> None:
    """Wait until a device has nothing left to do."""
    if device != "cpu":
        torch.accelerator.synchronize()


# --- processes


def work() -> None:
    """Run the jobs that come in on standard input, one a line, and put their figures out, one a line."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        content = json.loads(line)
        for name in ("shape", "entries"):
            content[name] = tuple(content[name])
        for figure in measure(Job(**content)):
            print(json.dumps(asdict(figure)), flush=True)
        if content["device"] != "cpu":
            torch.cuda.empty_cache()
        print("done", flush=True)


@dataclass
class Measured:
    """Figures of some jobs; jobs whose process ended with an error, and those for which no time was left."""

    figures: list[Figure] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)


def in_processes(some: Sequence[Job], deadline: float | None = None, say: Callable[[str], object] = print) -> Measured:
    """The figures of jobs, in their order; whenever the group changes in a new process, and after an error, since one
    of a device spoils the whole process.

    Args:
        some: the jobs.
        deadline: when to stop, by `time.monotonic`.
        say: takes a line after each job.
    """
    measured = Measured()
    for _, group in groupby(some, key=lambda job: job.group):
        left = list(group)
        while left:
            done = _in_process(left, measured, deadline, say)
            if deadline is not None and time.monotonic() > deadline:
                measured.late += map(_title, left[done:])
                break
            measured.failed += map(_title, left[done : done + 1])
            left = left[done + 1 :]
    return measured


def _in_process(some: Sequence[Job], measured: Measured, deadline: float | None, say: Callable[[str], object]) -> int:
    """How many of the jobs one new process has done until it ended, or until the deadline."""
    command = [sys.executable, "-m", "benchmarks.layers", "--device-worker"]
    lines = "".join(json.dumps(asdict(job)) + "\n" for job in some)
    left = None if deadline is None else max(0.1, deadline - time.monotonic())
    try:
        ended = subprocess.run(
            command, input=lines, stdout=subprocess.PIPE, text=True, timeout=left, env=dict(os.environ)
        )
        out = ended.stdout
    except subprocess.TimeoutExpired as error:
        out = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
    done = 0
    for line in out.splitlines():
        if line.startswith("{"):
            measured.figures.append(Figure.read(json.loads(line)))
        elif line == "done":
            say(_title(some[done]))
            done += 1
    return done


def _title(job: Job) -> str:
    return f"{job.group} {label(job.shape)} {job.precision}"


# --- tables


@dataclass(frozen=True)
class Ratio:
    """A row at one shape in one precision; `missing` says why there is no number."""

    row: Row
    shape: Shape
    precision: str
    value: float | None
    missing: str = ""

    @property
    def missed(self) -> bool:
        """Whether it is above a goal."""
        return any(self.value > goal.bound for goal in self.row.goals if self.value and goal.where(self.shape))


def ratios(figures: Iterable[Figure], wanted: Sequence[Row] | None = None) -> list[Ratio]:
    """What the figures say of each row."""
    by_key = {(one.group, one.shape, one.precision, one.entry): one for one in figures}
    found = []
    for row in rows() if wanted is None else wanted:
        for group, shape, precision, entry in by_key:
            if (group, entry) != (row.group, row.ours):
                continue
            mine, other = by_key[group, shape, precision, entry], by_key.get((group, shape, precision, row.theirs))
            if other is None:
                continue
            value = mine.median / other.median if mine.median is not None and other.median else None
            missing = "" if value is not None else "; ".join(
                f"{one.entry.partition(':')[0]}: {one.missing}" for one in (mine, other) if one.missing)  # fmt: skip
            found.append(Ratio(row, shape, precision, value, missing))
    return found


def goal_lines(found: Sequence[Ratio]) -> list[tuple[str, str, str, str]]:
    """Of each goal of each row: row, the worst figure and where, the goal, and whether it is reached."""
    lines = []
    for row in dict.fromkeys(one.row for one in found if one.row.goals):
        for goal in row.goals:
            some = [one for one in found if one.row == row and goal.where(one.shape)]
            known = [one for one in some if one.value is not None]
            if not known:
                why = next((one.missing for one in some if one.missing), "not measured")
                lines.append((f"{row.group}: {row.title}", why, f"≤ {goal.bound:g} ({goal.says})", "open"))
                continue
            worst = max(known, key=lambda one: one.value or 0.0)
            verdict = "reached" if (worst.value or 0.0) <= goal.bound else "missed"
            where = f"{worst.value:.3g} at {label(worst.shape)} {worst.precision}"
            lines.append((f"{row.group}: {row.title}", where, f"≤ {goal.bound:g} ({goal.says})", verdict))
    return lines


def tables(found: Sequence[Ratio]) -> Iterator[Table]:
    """One table a group, shapes across, for the terminal."""
    for group in dict.fromkeys(one.row.group for one in found):
        some = [one for one in found if one.row.group == group]
        shapes = list(dict.fromkeys(one.shape for one in some))
        table = Table("", "precision", title=f"{group}: ratios, ! misses the goal")
        for shape in shapes:
            table.add_column("\n".join(map(str, shape)), justify="right")
        for row, precision in dict.fromkeys((one.row, one.precision) for one in some):
            cells_of_row = {one.shape: one for one in some if (one.row, one.precision) == (row, precision)}
            table.add_row(row.title, precision, *(cell_text(cells_of_row.get(shape)) for shape in shapes))
        yield table


def cell_text(ratio: Ratio | None) -> str:
    """A ratio, `!` if it misses its goal, or in a word why there is none."""
    if ratio is None:
        return ""
    if ratio.value is not None:
        return f"{ratio.value:.3g}" + "!" * ratio.missed
    return "out of memory" if "out of memory" in ratio.missing else (
        "not available" if "not available" in ratio.missing else "failed")  # fmt: skip
