"""The same numbers as the layers of Keras and the cells of Flax."""

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnbench.nn import Recurrent
from tests.fixtures.nn_layers import draw, make

pytestmark = pytest.mark.filterwarnings("ignore")
STEPS, BATCH, FEATURES, UNITS = 5, 3, 4, 6


def blocks(layer: Recurrent) -> dict[str, dict[str, np.ndarray[Any, Any]]]:
    """For each gate `x`, `h`, `b` and `c`: both weights, transposed, and both biases."""
    own, gates = layer.parameters_of(0, "_l0"), layer.cell.gates
    split = {name: value.detach().numpy().reshape(len(gates), UNITS, -1) for name, value in own.items()}
    return {
        gate: {
            "x": split["weight_ih"][k].T, "h": split["weight_hh"][k].T,
            "b": split["bias_ih"][k, :, 0], "c": split["bias_hh"][k, :, 0],
        }
        for k, gate in enumerate(gates)
    }  # fmt: skip


def joined(found: dict[str, dict[str, np.ndarray[Any, Any]]], gates: str, kind: str) -> np.ndarray[Any, Any]:
    return np.concatenate([found[gate][kind] for gate in gates], -1)


KERAS: list[tuple[str, str, dict[str, Any], str]] = [
    ("elman", "SimpleRNN", {}, "n"),
    ("lstm", "LSTM", {}, "ifgo"),
    ("gru", "GRU", {"reset_after": True}, "zrn"),
    ("gru-before", "GRU", {"reset_after": False}, "zrn"),
]


@pytest.mark.parametrize(("case", "name", "options", "order"), KERAS)
def test_keras_computes_the_same(
    case: str, name: str, options: dict[str, Any], order: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "torch"))
    keras: Any = pytest.importorskip("keras")
    layer, inputs = make(case, FEATURES, UNITS, batch_first=True), draw(BATCH, STEPS, FEATURES)
    theirs = getattr(keras.layers, name)(UNITS, return_sequences=True, dtype="float64", **options)
    theirs.build(inputs.shape)
    found = blocks(layer)
    bias = joined(found, order, "b"), joined(found, order, "c")
    theirs.set_weights([
        joined(found, order, "x"),
        joined(found, order, "h"),
        np.stack(bias) if options.get("reset_after") else bias[0] + bias[1],
    ])  # fmt: skip
    want = keras.ops.convert_to_numpy(theirs(inputs.numpy()))
    np.testing.assert_allclose(layer(inputs)[0].detach().numpy(), want, rtol=0, atol=1e-6)  # it begins in float32


def flax_parameters(case: str, layer: Recurrent) -> dict[str, Any]:
    """Our weights by Flax's names: a dense layer from the input and one from the state for each gate."""
    found = blocks(layer)
    names = {"lstm": {"i": "i", "f": "f", "g": "g", "o": "o"}, "gru": {"r": "r", "z": "z", "n": "n"}}.get(case, {})
    both = {"gru": ("n",)}.get(case, ())
    made: dict[str, Any] = {}
    for gate, theirs in names.items():
        one, total = found[gate], found[gate]["b"] + found[gate]["c"]
        if case == "lstm":
            made[f"i{theirs}"], made[f"h{theirs}"] = {"kernel": one["x"]}, {"kernel": one["h"], "bias": total}
        elif gate in both:
            made[f"i{theirs}"] = {"kernel": one["x"], "bias": one["b"]}
            made[f"h{theirs}"] = {"kernel": one["h"], "bias": one["c"]}
        else:
            made[f"i{theirs}"], made[f"h{theirs}"] = {"kernel": one["x"], "bias": total}, {"kernel": one["h"]}
    return made


@pytest.mark.parametrize(("case", "name"), [("lstm", "OptimizedLSTMCell"), ("lstm", "LSTMCell"), ("gru", "GRUCell")])
def test_flax_computes_the_same(case: str, name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax: Any = pytest.importorskip("jax")
        linen: Any = pytest.importorskip("flax.linen")
    jax.config.update("jax_enable_x64", True)
    layer, inputs = make(case, FEATURES, UNITS), draw(STEPS, BATCH, FEATURES)
    cell: Any = getattr(linen, name)(UNITS, dtype=np.float64, param_dtype=np.float64)
    carry: Any = cell.initialize_carry(jax.random.key(0), (BATCH, FEATURES))
    outputs = []
    for x in inputs.numpy():
        carry, output = cell.apply({"params": flax_parameters(case, layer)}, carry, x)
        outputs.append(np.asarray(output))
    np.testing.assert_allclose(layer(inputs)[0].detach().numpy(), np.stack(outputs), rtol=0, atol=1e-12)


def test_flax_computes_the_same_minimal_gate() -> None:
    """Flax's f keeps what ours takes in, and multiplies after the product: the same where U_n is 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        jax: Any = pytest.importorskip("jax")
        linen: Any = pytest.importorskip("flax.linen")
    jax.config.update("jax_enable_x64", True)
    layer, inputs = make("mgu", FEATURES, UNITS), draw(STEPS, BATCH, FEATURES)
    with torch.no_grad():
        layer.parameters_of(0, "_l0")["weight_hh"][UNITS:] = 0.0
    f, n = blocks(layer)["f"], blocks(layer)["n"]
    parameters = {
        "if": {"kernel": -f["x"], "bias": -(f["b"] + f["c"])}, "hf": {"kernel": -f["h"]},
        "in": {"kernel": n["x"], "bias": n["b"] + n["c"]}, "hn": {"kernel": n["h"]},
    }  # fmt: skip
    cell: Any = linen.MGUCell(UNITS, dtype=np.float64, param_dtype=np.float64, reset_gate=False)
    carry: Any = cell.initialize_carry(jax.random.key(0), (BATCH, FEATURES))
    outputs = []
    for x in inputs.numpy():
        carry, output = cell.apply({"params": parameters}, carry, x)
        outputs.append(np.asarray(output))
    np.testing.assert_allclose(layer(inputs)[0].detach().numpy(), np.stack(outputs), rtol=0, atol=1e-12)
