"""Gates and states over a sequence, against the equations."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench import nn as layers
from rnnbench.analysis.gates import GateTrace, most_varied, trace_gates
from rnnbench.nn import GRU, JANET, LSTM, MLSTM, SLSTM, Cell, LayerNormLSTM, MinLSTM, Recurrent

T, B, H = 4, 2, 3
LAYERS = sorted(
    name for name, thing in vars(layers).items()
    if isinstance(thing, type) and issubclass(thing, Recurrent) and thing is not Recurrent
    and not issubclass(thing, layers.RecurrentCell)
)  # fmt: skip


def traced(layer: Recurrent) -> tuple[list[GateTrace], Tensor, tuple[Tensor, ...]]:
    """Traces, output and final states of noise."""
    torch.manual_seed(0)
    layer = layer.double()
    x, kept = torch.randn(T, B, layer.input_size, dtype=torch.float64), []
    found = trace_gates(layer, lambda: kept.append(layer(x)))
    output, final = kept[0]
    torch.testing.assert_close(output, layer(x)[0])
    return found, output, final if isinstance(final, tuple) else (final,)


@pytest.mark.parametrize("name", LAYERS)
def test_every_gate_of_every_layer_is_seen_and_states_are_those_of_the_layer(name: str) -> None:
    layer = getattr(layers, name)(2, H)
    (one,), _, final = traced(layer)
    assert [gate for name in one.gates for gate in name.split(", ")] == list(layer.cell.gates)
    sizes = dict(zip(layer.cell.gates, layer.cell.gate_sizes(H), strict=True))
    assert all(values.shape == (T, B, sizes[name.split(", ")[0]]) for name, values in one.gates.items())
    for name, function in one.functions.items():
        low, high = {"sigmoid": (0, 1), "tanh": (-1, 1), "exp": (0, 1), "relu": (0, 1e9)}.get(function, (-1e9, 1e9))
        assert bool(((one.gates[name] >= low) & (one.gates[name] <= high)).all())
    for values, last in zip(one.states.values(), final, strict=True):
        torch.testing.assert_close(values[-1], last[0])


@pytest.mark.parametrize("options", [{}, {"peephole": "diagonal"}, {"peephole": "full"}, {"forget_bias": 2.0}])
def test_the_gates_of_a_lstm_make_its_states(options: dict[str, Any]) -> None:
    (one,), output, _ = traced(LSTM(2, H, **options))
    g, c = one.gates, one.states["c"]
    before = torch.cat([torch.zeros_like(c[:1]), c[:-1]])
    torch.testing.assert_close(c, g["f"] * before + g["i"] * g["g"])
    torch.testing.assert_close(output, g["o"] * torch.tanh(c))


def test_the_gates_of_a_normalised_lstm_make_its_cell_state() -> None:
    (one,), _, _ = traced(LayerNormLSTM(2, H))
    g, c = one.gates, one.states["c"]
    torch.testing.assert_close(c[1:], g["f"][1:] * c[:-1] + g["i"][1:] * g["g"][1:])


@pytest.mark.parametrize("reset_gate", ["after", "before"])
def test_the_gates_of_a_gru_make_its_state(reset_gate: str) -> None:
    (one,), output, _ = traced(GRU(2, H, reset_gate=reset_gate))
    g, before = one.gates, torch.cat([torch.zeros_like(output[:1]), output[:-1]])
    torch.testing.assert_close(output, (1 - g["z"]) * g["n"] + g["z"] * before)


def test_exponential_gates_are_those_that_act_on_the_states() -> None:
    (one,), _, _ = traced(SLSTM(2, H))
    g, c, n = one.gates, one.states["c"], one.states["n"]
    assert one.functions == {"i": "exp", "f": "exp", "g": "tanh", "o": "sigmoid"}
    torch.testing.assert_close(c[1:], g["f"][1:] * c[:-1] + g["i"][1:] * g["g"][1:])
    torch.testing.assert_close(n[1:], g["f"][1:] * n[:-1] + g["i"][1:])


def test_the_gates_of_each_head_make_its_matrix() -> None:
    (one,), _, _ = traced(MLSTM(2, 6, heads=2))
    g, n = one.gates, torch.unflatten(one.states["n"], -1, (2, 3))
    c = torch.unflatten(one.states["c"], -1, (2, 3, 3))
    assert one.functions == {"q": "linear", "k": "linear", "v": "linear", "o": "sigmoid", "i": "exp", "f": "exp"}
    i, f = g["i"].unsqueeze(-1), g["f"].unsqueeze(-1)
    k, v = (torch.unflatten(g[name], -1, (2, 3)) for name in "kv")
    outer = (i * v).unsqueeze(-1) * k.unsqueeze(-2)
    torch.testing.assert_close(c[1:], f.unsqueeze(-1)[1:] * c[:-1] + outer[1:])
    torch.testing.assert_close(n[1:], f[1:] * n[:-1] + (i * k)[1:])


def test_of_two_uses_of_a_gate_the_last_counts_and_what_mixes_gates_has_all_their_names() -> None:
    layer = JANET(2, H)
    (one,), output, _ = traced(layer)
    before = output[:-1]
    inverse = torch.log(one.gates["f"] / (1 - one.gates["f"]))  # the pre-activation
    take = torch.sigmoid(layer.cell.beta - inverse)
    torch.testing.assert_close(output[1:], one.gates["f"][1:] * before + take[1:] * one.gates["n"][1:])
    (one,), output, _ = traced(MinLSTM(2, H))
    assert list(one.gates) == ["f, i", "n"]
    torch.testing.assert_close(output[1:], output[:-1] + one.gates["f, i"][1:] * (one.gates["n"][1:] - output[:-1]))


class Own(Cell):
    """A cell of one's own: a gate that looks at the memory, and one without any function."""

    states = ("h", "c")
    gates = ("k", "n")
    vectors = ("decay",)

    def step(self, z: Any, s: Any) -> Any:
        c = torch.sigmoid(z.k - self.decay * s.c.abs()) * s.c + z.n
        return torch.tanh(c), c


def test_a_cell_of_ones_own_is_seen_too() -> None:
    (one,), output, _ = traced(Recurrent(2, H, cell=Own()))
    assert one.functions == {"k": "sigmoid", "n": "linear"}
    c = one.states["c"]
    torch.testing.assert_close(c[1:], one.gates["k"][1:] * c[:-1] + one.gates["n"][1:])
    torch.testing.assert_close(output, torch.tanh(c))


def test_layers_and_directions_are_told_apart_and_stand_as_they_are_in_time() -> None:
    found, output, final = traced(GRU(2, H, num_layers=2, bidirectional=True))
    assert [(one.layer, one.reverse) for one in found] == [(0, False), (0, True), (1, False), (1, True)]
    torch.testing.assert_close(found[2].states["h"], output[..., :H])
    torch.testing.assert_close(found[3].states["h"], output[..., H:])
    torch.testing.assert_close(found[3].states["h"][0], final[0][3])


def test_the_units_that_vary_most_are_named_in_order() -> None:
    values = torch.tensor([[0.0, 1.0, 5.0, 0.0], [0.0, 2.0, 5.0, 9.0]])
    assert most_varied(values, 2) == [1, 3]
    assert most_varied(values, 9) == [0, 1, 2, 3]
