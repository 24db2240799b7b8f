"""What is timed: calls by group and name, for a shape `T, B, I, H`."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._higher_order_ops.associative_scan import associative_scan
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

import rnnbench.nn
from benchmarks.layer_peak import peak
from benchmarks.layer_timing import Shape, Timed
from rnnbench import nn as ours

Call = Callable[[], object]
Make = Callable[[], Timed | Call | None]  # None: it cannot be had here

SHAPES: list[Shape] = [
    (50, 32, 64, 64), (128, 32, 128, 128), (256, 64, 128, 256), (784, 32, 1, 128), (100, 64, 512, 512),
    (100, 1, 64, 64), (100, 4, 64, 64), (100, 8, 128, 128), (60, 32, 64, 50), (60, 32, 300, 130),
]  # fmt: skip
FEW: list[Shape] = [(20, 8, 32, 32), (30, 4, 64, 128)]
MEAN_LENGTH, SHORTEST_LENGTH = 0.6, 0.25  # of packed sequences, as parts of T
CHECKPOINT_STEPS = 100
MANY = 50  # single steps that are timed together


@dataclass(frozen=True)
class Group:
    """Calls that are timed in turn, for each shape."""

    name: str
    shapes: list[Shape]
    few: list[Shape]
    least: int = 7  # rounds
    budget: float = 3.0  # seconds for each shape
    cap: float = 50.0  # seconds after which three rounds will do
    varied: bool = True  # with both allocators and every number of threads


def _sweeps(steps: list[int], batches: list[int], sizes: list[int]) -> list[Shape]:
    """Shapes that differ from (100, 8, 64, 64) in one number."""
    found = [(t, 8, 64, 64) for t in steps] + [(100, b, 64, 64) for b in batches] + [(100, 8, h, h) for h in sizes]
    return list(dict.fromkeys(found))


GROUPS = {
    group.name: group
    for group in (
        Group("gates", SHAPES, FEW),
        Group("projected", [s for s in SHAPES if s[-1] < 512], FEW),
        Group("packed", [s for s in SHAPES if s[-1] < 512 and s[1] > 1], FEW),
        Group("deep", [s for s in SHAPES if s[-1] < 512], FEW),
        Group("one step", [(1, 1, h, h) for h in (64, 128, 512)], [(1, 1, 64, 64)], least=21, budget=2.0),
        Group("calling cost", [(1, 1, 64, 64), (1, 8, 64, 64), (1, 32, 128, 128)], [(1, 1, 32, 32)], least=21),
        Group("scan", [(128, 32, 128), (784, 32, 128), (2048, 8, 128)], [(32, 8, 32)]),
        Group("cells", [(128, 32, 128, 128)], [(20, 8, 32, 32)], cap=30.0),
        Group("memory", SHAPES, FEW, varied=False),
        Group("first use", [()], [()], least=7, varied=False),
        Group("growth", _sweeps(
            [50, 100, 200, 500, 1000, 2000, 5000, 10000], [1, 2, 4, 8, 16, 32, 64, 128, 256],
            [16, 32, 64, 128, 256, 512]), _sweeps([50, 100], [1, 8], [16, 64]), least=3, budget=0.5, varied=False),
    )
}  # fmt: skip


def entries(group: str, shape: Shape, names: list[str]) -> list[Timed]:
    """Those of the group's calls that are wanted and can be had."""
    torch.manual_seed(0)
    makers = {"one step": one_step, "calling cost": calling_cost, "scan": scan}.get(group, layers)(group, shape)
    found = []
    for name in names:
        made = makers[name]() if name in makers else None
        made = replace(made, name=name) if isinstance(made, Timed) else made
        if callable(made):
            made = Timed(name, made, products(shape) if name == "LSTM" and group == "gates" else 0.0)
        if made is not None:
            found.append(made)
    return found


def products(shape: Shape) -> float:
    """Multiplications and additions in the products of an LSTM: once forwards, twice backwards."""
    steps, batch, inputs, hidden = shape
    return 3 * 2.0 * steps * batch * 4 * hidden * (inputs + hidden)


# --- layers, forwards and backwards


def layer_classes() -> list[str]:
    """The layers of the package, by name."""
    found = [(name, getattr(rnnbench.nn, name)) for name in rnnbench.nn.__all__]
    return [
        name for name, kind in found
        if isinstance(kind, type) and issubclass(kind, ours.Recurrent)
        and kind is not ours.Recurrent and not issubclass(kind, ours.RecurrentCell)
    ]  # fmt: skip


VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "MinGRU negative": ("MinGRU", {"negative_eigenvalues": True}),
    "BRC neuromodulated": ("BRC", {"neuromodulated": True}),
    "AntisymmetricRNN gated": ("AntisymmetricRNN", {"gated": True}),
    "MLSTM 4 heads": ("MLSTM", {"heads": 4}),
}
"""Layers with options that change the equation, by the names of their entries."""


def cells() -> dict[str, tuple[str, dict[str, Any]]]:
    """The layers of the package and their variants: class and options by the names of their entries."""
    return {name: (name, {}) for name in layer_classes()} | VARIANTS


COUNTERPARTS = {
    "MUT": "MUT1", "BRC": "BR", "BRC neuromodulated": "NBR", "AntisymmetricRNN gated": "GatedAntisymmetricRNN",
    **{name: name for name in (
        "MGU", "JANET", "UGRNN", "MultiplicativeLSTM", "PeepholeLSTM", "IndRNN", "FastGRNN", "CFN", "RAN", "LiGRU",
        "MinimalRNN", "SCRN", "AntisymmetricRNN", "UnICORNN", "LEM",
    )},
}  # fmt: skip
"""In torchrecurrent: our names and theirs."""


def module_makers(shape: Shape, group: str) -> dict[str, Callable[[], Any]]:
    """Modules by the names of their entries."""
    inputs, hidden = shape[2:]

    def sized(kind: Any, **more: Any) -> Callable[[], Any]:
        return partial(kind, inputs, hidden, **more)

    made = {
        "nn.LSTM": sized(nn.LSTM),
        "nn.GRU": sized(nn.GRU),
        "nn.RNN tanh": sized(nn.RNN),
        "nn.RNN relu": sized(nn.RNN, nonlinearity="relu"),
        "PeepholeLSTM NOAF": sized(ours.PeepholeLSTM, ablations=("NOAF",)),
        "PeepholeLSTM NIAF": sized(ours.PeepholeLSTM, ablations=("NIAF",)),
        "GRU before": sized(ours.GRU, reset_gate="before"),
        "Elman relu": sized(ours.Elman, nonlinearity="relu"),
        "nn.LSTM projected": sized(nn.LSTM, proj_size=hidden // 2),
        "LSTM projected": sized(ours.LSTM, proj_size=hidden // 2),
        "LSTM checkpoint": sized(ours.LSTM, checkpoint_steps=CHECKPOINT_STEPS),
    }
    if group == "deep":
        two = {"num_layers": 2, "bidirectional": True}
        return {"nn.LSTM": sized(nn.LSTM, **two), "LSTM": sized(ours.LSTM, **two)}
    for name, (layer, more) in cells().items():
        made[name] = sized(getattr(ours, layer), **more)
        made[f"{name} loop"] = sized(getattr(ours, layer), engine="reference", **more)
    for name, theirs in COUNTERPARTS.items():
        made[f"{name} torchrecurrent"] = partial(_torchrecurrent, theirs, inputs, hidden)
    return made


def _torchrecurrent(name: str, inputs: int, hidden: int) -> Any:
    try:
        package = importlib.import_module("torchrecurrent")
    except ImportError:
        return None
    return getattr(package, name)(inputs, hidden)


def layers(group: str, shape: Shape) -> dict[str, Make]:
    """Training steps of layers: output, and gradients of input and parameters."""
    data: Any = torch.randn(*shape[:3])
    if group == "packed":
        data = pack(data)
        inputs: Any = PackedSequence(data.data.requires_grad_(), *data[1:])
    else:
        inputs = data.requires_grad_()

    def maker(make: Callable[[], Any]) -> Make:
        def made() -> Call | None:
            module = make()
            return None if module is None else training(module, inputs)

        return made

    found: dict[str, Make] = {name: maker(make) for name, make in module_makers(shape, group).items()}
    return found | {"peak": peak}


def training(module: nn.Module, inputs: Any) -> Call:
    """A call that runs the module forwards and backwards, from gradients that are reset."""
    packed = isinstance(inputs, PackedSequence)
    leaves = [inputs.data if packed else inputs, *module.parameters()]

    def output() -> Tensor:
        result = module(inputs)[0]
        return result.data if packed else result  # type: ignore[no-any-return]

    gradient = torch.randn_like(output())

    def call() -> None:
        for leaf in leaves:
            leaf.grad = None
        output().backward(gradient)  # type: ignore[no-untyped-call]

    return call


def pack(data: Tensor) -> PackedSequence:
    """The batch with lengths drawn from U(T/4, T) and scaled to a mean of 0.6 T, the same ones every time."""
    steps, batch = data.shape[:2]
    drawn = SHORTEST_LENGTH + (1 - SHORTEST_LENGTH) * torch.rand(batch, generator=torch.Generator().manual_seed(0))
    lengths = (drawn * (MEAN_LENGTH / drawn.mean()) * steps).round().long().clamp(1, steps)
    return pack_padded_sequence(data, lengths, enforce_sorted=False)


# --- others


def one_step(group: str, shape: Shape) -> dict[str, Make]:
    """One step forwards without gradient: the layer called with one step, its `step` if it has one, torch's cell."""
    _, batch, inputs, hidden = shape
    x, h, c = torch.randn(batch, inputs), torch.randn(batch, hidden), torch.randn(batch, hidden)
    cell, layer = nn.LSTMCell(inputs, hidden), ours.LSTM(inputs, hidden)
    whole, states = x.unsqueeze(0), (h.unsqueeze(0), c.unsqueeze(0))
    step: Any = getattr(layer, "step", None)

    def quiet(name: str, call: Call) -> Make:
        def many() -> None:
            with torch.no_grad():
                for _ in range(MANY):
                    call()

        return lambda: Timed(name, many, calls=MANY)

    found = {
        "nn.LSTMCell": quiet("nn.LSTMCell", lambda: cell(x, (h, c))),
        "LSTM": quiet("LSTM", lambda: layer(whole, states)),
    }
    return found | ({"LSTM.step": quiet("LSTM.step", lambda: step(x, states))} if step is not None else {})


CALLED = {"LSTM": nn.LSTMCell, "GRU": nn.GRUCell, "Elman": nn.RNNCell}
"""Our layers, and torch's cells of the same equations."""


def calling_cost(group: str, shape: Shape) -> dict[str, Make]:
    """Calls with one step, as inference and as a training step: layer, our cell and torch's, and torch's layer."""
    _, batch, inputs, hidden = shape
    x, states = torch.randn(batch, inputs), (torch.zeros(batch, hidden), torch.zeros(batch, hidden))

    def many(step: Call, gradient: bool) -> Make:
        def call() -> None:
            with torch.set_grad_enabled(gradient):
                for _ in range(MANY):
                    result: Any = step()
                    while gradient and isinstance(result, tuple):
                        result = result[0]
                    if gradient:
                        result.sum().backward()

        return lambda: Timed("", call, calls=MANY)

    found: dict[str, Make] = {}
    for name, torch_cell in CALLED.items():
        short = "RNN" if name == "Elman" else name
        layers = {name: getattr(ours, name)(inputs, hidden), f"nn.{short}": getattr(nn, short)(inputs, hidden)}
        cells = {f"{short}Cell": getattr(ours, f"{short}Cell")(inputs, hidden)}
        cells[f"nn.{short}Cell"] = torch_cell(inputs, hidden)
        hx: Any = states if name == "LSTM" else states[0]
        stacked: Any = tuple(state.unsqueeze(0) for state in states) if name == "LSTM" else hx.unsqueeze(0)
        for entry, module in (layers | cells).items():
            arguments = (x.unsqueeze(0), stacked) if entry in layers else (x, hx)
            for mode, gradient in (("inference", False), ("training", True)):
                found[f"{entry} {mode}"] = many(partial(module, *arguments), gradient)
    return found


def scan(group: str, shape: Shape) -> dict[str, Make]:
    """`h_t = a_t ⊙ h_{t-1} + b_t` forwards and backwards, in three ways."""
    a, b, gradient = torch.rand(shape).requires_grad_(), torch.randn(shape).requires_grad_(), torch.randn(shape)

    def both(solve: Callable[[], Tensor]) -> Make:
        def call() -> None:
            a.grad = b.grad = None
            solve().backward(gradient)  # type: ignore[no-untyped-call]

        return lambda: call

    return {
        "linear_recurrence": both(lambda: ours.linear_recurrence(a, b)),
        "associative_scan": both(lambda: associative_scan(joined, (a, b), 0, combine_mode="generic")[1]),
        "Hillis–Steele": both(lambda: hillis_steele(a, b)),
    }


def joined(first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Two neighbouring steps `h = a ⊙ h + b` as one."""
    return first[0] * second[0], second[0] * first[1] + second[1]


def hillis_steele(a: Tensor, b: Tensor) -> Tensor:
    """The recurrence in log₂ T parallel steps (Hillis & Steele 1986)."""
    shift = 1
    while shift < len(a):
        b = torch.cat([b[:shift], b[shift:] + a[shift:] * b[:-shift]])
        a = torch.cat([a[:shift], a[shift:] * a[:-shift]])
        shift *= 2
    return b
