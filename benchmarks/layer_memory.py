"""Memory of a training step, growth with T, B and H, and how long the first layer of a kind takes to be ready."""

import importlib
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile

from benchmarks.layer_cases import CHECKPOINT_STEPS, module_makers, training
from benchmarks.layer_timing import Record, Shape

MEMORY = ["nn.LSTM", "nn.GRU", "nn.RNN tanh", "LSTM", "PeepholeLSTM", "CoupledLSTM", "GRU", "Elman"]
GROWTH = ["nn.LSTM", "nn.GRU", "LSTM", "PeepholeLSTM", "GRU", "LSTM checkpoint"]
FIRST = ["LSTM", "GRU", "PeepholeLSTM", "LayerNormLSTM"]
FIRST_ROUNDS = 3
BASE: Shape = (100, 8, 64, 64)
READY = """
import sys, time
import torch
import rnnbench.nn
begin = time.perf_counter()
layer = getattr(rnnbench.nn, sys.argv[1])(64, 64)
backend = layer.backend
print(time.perf_counter() - begin)
assert backend == "native", backend
"""


def saved_bytes(module: nn.Module, inputs: Tensor) -> int:
    """Bytes that autograd keeps for the backward pass, each storage once, without parameters and input."""
    known = {one.untyped_storage().data_ptr() for one in (inputs, *module.parameters())}
    found: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no storage takes the place of another one

    def keep(one: Tensor) -> Tensor:
        storage = one.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage.nbytes()
            alive.append(one.detach())
        return one

    with saved_tensors_hooks(keep, lambda one: one):
        _ = module(inputs)
    return sum(found.values())


def peak_bytes(module: nn.Module, inputs: Tensor) -> int:
    """The most bytes that tensors made in a training step hold at one time, gradients among them."""
    call = training(module, inputs)
    call()
    for leaf in (inputs, *module.parameters()):
        leaf.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    events: Any = record.profiler.kineto_results.events()
    held = most = 0
    for _, size in sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"):
        held += size
        most = max(most, held)
    return most


def memory(group: str, shape: Shape, allocator: str, names: Sequence[str]) -> Iterator[Record]:
    """Saved and peak bytes of some layers, as groups of their own."""
    makers = module_makers(shape, group)
    for name in names:
        module, inputs = makers[name](), torch.randn(*shape[:3]).requires_grad_()
        if "checkpoint" not in name:  # there hooks see nothing
            yield Record.exact(f"{group}: saved bytes", shape, allocator, name, saved_bytes(module, inputs))
        yield Record.exact(f"{group}: peak bytes", shape, allocator, name, peak_bytes(module, inputs))


def first_use(allocator: str, names: Sequence[str], rounds: int) -> Iterator[Record]:
    """Seconds from making a layer to its kernel, each in a new process: with an empty cache, then with that cache."""
    samples: dict[str, list[float]] = {f"{name} {cache}": [] for name in names for cache in ("empty", "full")}
    for _ in range(rounds):
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                for cache in ("empty", "full"):
                    done = subprocess.run(
                        [sys.executable, "-c", READY, name], env=os.environ | {"RNNBENCH_CACHE": folder},
                        capture_output=True, text=True, check=False,
                    )  # fmt: skip
                    if done.returncode:
                        raise RuntimeError(f"{name} with an {cache} cache: {done.stderr.strip()[-500:]}")
                    samples[f"{name} {cache}"].append(float(done.stdout.split()[-1]))
    for name, values in samples.items():
        yield Record.of("first use", (), allocator, 1, name, values)


# --- growth


def growth_names(shape: Shape) -> list[str]:
    """What is timed at a shape: with checkpoints only where T alone differs from the base and they matter."""
    return [
        name for name in GROWTH if "checkpoint" not in name or (shape[1:] == BASE[1:] and shape[0] > CHECKPOINT_STEPS)
    ]


def series(records: Sequence[Record], group: str, entry: str, axis: int) -> list[tuple[int, float]]:
    """An entry's figures along T (axis 0), B (1) or H (2)."""
    found = {}
    for one in records:
        others = [k for k in range(3) if k != axis]
        if one.group == group and one.entry == entry and all(one.shape[k] == BASE[k] for k in others if k < 2):
            if axis != 2 and one.shape[3] != BASE[3]:
                continue
            found[one.shape[3] if axis == 2 else one.shape[axis]] = one.median
    return sorted(found.items())


PANELS = [
    ("growth", "s", 1.0),
    ("growth: saved bytes", "MiB saved", 2.0**-20),
    ("growth: peak bytes", "MiB at most", 2.0**-20),
]


def growth_table(records: Sequence[Record]) -> Table:
    """The largest figure along each axis, and the exponent that the last two figures make."""
    table = Table("along", "layer", title="growth: figure at the largest size, and its exponent there")
    for _, unit, _ in PANELS:
        table.add_column(unit, justify="right")
    for axis, letter in enumerate("TBH"):
        for entry in GROWTH:
            found = [series(records, group, entry, axis) for group, _, _ in PANELS]
            largest = max((points[-1][0] for points in found if points), default=None)
            if largest is not None:
                cells = [_cell(points, largest, scale) for points, (_, _, scale) in zip(found, PANELS, strict=True)]
                table.add_row(f"{letter} = {largest}", entry, *cells)
    return table


def _cell(points: list[tuple[int, float]], largest: int, scale: float) -> str:
    if len(points) < 2 or points[-1][0] != largest:
        return "–"
    (a, u), (b, v) = points[-2:]
    return f"{v * scale:.4g} (^{math.log(v / u) / math.log(b / a):.2f})"


def plot(records: Sequence[Record], path: Path) -> None:
    """Time and memory against T, B and H."""
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")
    pyplot: Any = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(len(PANELS), 3, figsize=(13, 10), sharex="col", layout="constrained")
    fixed = ["B = 8, I = H = 64", "T = 100, I = H = 64", "T = 100, B = 8, I = H"]
    for row, (group, unit, scale) in enumerate(PANELS):
        for axis, letter in enumerate("TBH"):
            panel = axes[row][axis]
            for k, entry in enumerate(GROWTH):
                points = series(records, group, entry, axis)
                if points:
                    style = "--" if entry.startswith("nn.") else "-"
                    sizes, values = zip(*points, strict=True)
                    panel.plot(sizes, [v * scale for v in values], style, marker=".", color=f"C{k}", label=entry)
            panel.set(xscale="log", yscale="log", ylabel=unit if axis == 0 else None)
            panel.grid(alpha=0.3)
            if row == 0:
                panel.set_title(fixed[axis])
            if row == len(PANELS) - 1:
                panel.set_xlabel(letter)
    axes[0][0].legend()
    figure.savefig(path, dpi=150)
