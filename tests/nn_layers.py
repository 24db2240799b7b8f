"""Every layer with the settings it is tested in, its weights drawn so that each of them matters."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from rnnbench import nn
from rnnbench.nn import Recurrent
from rnnbench.nn.engine.build import FLAGS_VARIABLE
from rnnbench.nn.engine.native import Kernel
from rnnbench.nn.engine.run import kernel_of

ENGINES = ("native", "function", "reference")
CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "elman": (nn.Elman, {}),
    "elman-relu": (nn.Elman, {"nonlinearity": "relu"}),
    "irnn": (nn.IRNN, {}),
    "lstm": (nn.LSTM, {}),
    "lstm-proj": (nn.LSTM, {"proj_size": 3}),
    "peephole": (nn.PeepholeLSTM, {}),
    "peephole-previous": (nn.PeepholeLSTM, {"output_peek": "previous"}),
    "peephole-full": (nn.PeepholeLSTM, {"peephole": "full"}),
    "peephole-full-previous": (nn.PeepholeLSTM, {"peephole": "full", "output_peek": "previous"}),
    "peephole-proj": (nn.PeepholeLSTM, {"proj_size": 2}),
    "coupled": (nn.CoupledLSTM, {}),
    "no-input-gate": (nn.PeepholeLSTM, {"ablations": ("NIG",)}),
    "no-forget-gate": (nn.PeepholeLSTM, {"ablations": ("NFG",)}),
    "no-output-gate": (nn.PeepholeLSTM, {"ablations": ("NOG",)}),
    "no-input-activation": (nn.PeepholeLSTM, {"ablations": ("NIAF",)}),
    "no-output-activation": (nn.PeepholeLSTM, {"ablations": ("NOAF",)}),
    "coupled-peephole": (nn.PeepholeLSTM, {"ablations": ("CIFG",)}),
    "no-peepholes": (nn.PeepholeLSTM, {"ablations": ("NP",)}),
    "full-gate-recurrence": (nn.PeepholeLSTM, {"ablations": ("FGR",)}),
    "no-input-gate-no-output-activation": (nn.PeepholeLSTM, {"ablations": ("NIG", "NOAF")}),
    "no-forget-no-output-gate": (nn.PeepholeLSTM, {"ablations": ("NFG", "NOG")}),
    "full-gate-recurrence-coupled": (nn.PeepholeLSTM, {"ablations": ("FGR", "CIFG", "NP")}),
    "layer-norm": (nn.LayerNormLSTM, {}),
    "gru": (nn.GRU, {}),
    "gru-before": (nn.GRU, {"reset_gate": "before"}),
    "mgu": (nn.MGU, {}),
    "janet": (nn.JANET, {"beta": 0.7}),
    "ugrnn": (nn.UGRNN, {}),
    "mut1": (nn.MUT, {"variant": 1}),
    "mut2": (nn.MUT, {"variant": 2}),
    "mut3": (nn.MUT, {"variant": 3}),
    "multiplicative": (nn.MultiplicativeLSTM, {}),
    "slstm": (nn.SLSTM, {}),
    "mingru": (nn.MinGRU, {}),
    "mingru-positive": (nn.MinGRU, {"positive": True}),
    "minlstm": (nn.MinLSTM, {}),
    "lru": (nn.LRU, {}),
    "sru": (nn.SRU, {}),
    "qrnn": (nn.QRNN, {}),
}
SINGLE = ("elman", "elman-relu", "lstm", "lstm-proj", "peephole", "layer-norm", "gru", "gru-before", "slstm", "lru")


def make(case: str, *sizes: int, dtype: torch.dtype = torch.float64, seed: int = 0, **options: Any) -> Recurrent:
    """The layer of a case, all its parameters from U(−0.6, 0.6)."""
    cls, settings = CASES[case]
    layer: Recurrent = cls(*sizes, dtype=dtype, **{**settings, **options})
    return scrambled(layer, seed)


def scrambled(layer: Recurrent, seed: int = 0) -> Recurrent:
    """The layer with all parameters from U(−0.6, 0.6)."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.rand(parameter.shape, generator=random, dtype=torch.float64) * 1.2 - 0.6)
    return layer


def draw(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 1) -> Tensor:
    """Normal values of their own generator."""
    values = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return values.to(dtype)


def draw_states(layer: Recurrent, batch: int, seed: int = 2) -> tuple[Tensor, ...]:
    """Initial states; what divides is positive."""
    count, dtype = layer.num_layers * layer.directions, layer.parameters_of(0, "_l0")["weight_ih"].dtype
    found = []
    for k, (name, width) in enumerate(zip(layer.cell.states, layer.cell.state_sizes(layer.hidden_size), strict=True)):
        state = draw(count, batch, width, dtype=dtype, seed=seed + k)
        found.append(state.abs() + 0.5 if name == "n" else state)
    return tuple(found)


def as_hx(states: tuple[Tensor, ...]) -> Any:
    """States as a call takes them."""
    return states if len(states) > 1 else states[0]


def as_tuple(states: Any) -> tuple[Tensor, ...]:
    """States as a call gives them, always as a tuple."""
    return tuple(states) if isinstance(states, (tuple, list)) else (states,)


def flat(result: Any) -> list[Tensor]:
    """Output and states of a call."""
    output, states = result
    return [output.data if isinstance(output, PackedSequence) else output, *as_tuple(states)]


def gradients(layer: torch.nn.Module, result: Any, *inputs: Tensor, seed: int = 3) -> list[Tensor]:
    """Gradients of a weighted sum of all that a call gave, for `inputs` and all parameters."""
    total = sum((one * draw(*one.shape, dtype=one.dtype, seed=seed + k)).sum() for k, one in enumerate(flat(result)))
    leaves = [*inputs, *layer.parameters()]
    found = torch.autograd.grad([torch.as_tensor(total)], leaves, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(leaf) if one is None else one for one, leaf in zip(found, leaves, strict=True)]


def close(got: Any, want: Any, dtype: torch.dtype = torch.float64, scale: float = 1.0) -> None:
    """Equal up to rounding, relative to the greatest value of each tensor."""
    assert len(got) == len(want)
    for one, other in zip(got, want, strict=True):
        size = max(1.0, float(other.detach().abs().max())) if other.numel() else 1.0
        tolerance = (1e-10 if dtype == torch.float64 else 2e-5) * scale
        torch.testing.assert_close(one / size, other / size, rtol=0, atol=tolerance)


@cache
def prepare(single: bool = False) -> None:
    """Compile what is tested, on all processors; what differs in its equation alone with less optimisation."""
    dtype = torch.float32 if single else torch.float64

    def compiled(cases: Iterable[str]) -> bool:
        cells = [make(case, 3, 6, dtype=dtype).cell for case in cases]
        with ThreadPoolExecutor(2) as pool:
            return all(isinstance(one, Kernel) for one in pool.map(lambda cell: kernel_of(cell, dtype), cells))

    assert compiled(SINGLE)
    if not single:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(FLAGS_VARIABLE, "-O1")
            assert compiled(CASES)
