"""What code written for the layers of `torch.nn` leans on, beside results: the same with ours in their place."""

import copy
import inspect
import io
import pickle
import warnings
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.utils import (
    parametrizations,
    parametrize,
    prune,
    remove_weight_norm,
    spectral_norm,
    stateless,
    weight_norm,
)
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent
from rnnbench.nn.compiler.native import Kernel
from tests.fixtures.nn_layers import CASES, ENGINES, as_tuple, close, flat, make

THEIRS: dict[Any, Any] = {nn.LSTM: torch.nn.LSTM, nn.GRU: torch.nn.GRU, nn.Elman: torch.nn.RNN}
PAIRS = [pytest.param(ours, theirs, id=ours.__name__) for ours, theirs in THEIRS.items()]
KINDS: list[tuple[Any, dict[str, Any]]] = [
    (nn.LSTM, {}),
    (nn.LSTM, {"proj_size": 2, "bidirectional": True, "num_layers": 2}),
    (nn.GRU, {"bias": False, "batch_first": True}),
    (nn.GRU, {"num_layers": 3, "dropout": 0.5}),
    (nn.Elman, {"bidirectional": True}),
    (nn.Elman, {"nonlinearity": "relu"}),
]
X = torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0))


def states(cls: Any, *shape: int, **options: Any) -> Any:
    state = torch.zeros(*shape, **options)
    return (state, state) if "LSTM" in cls.__name__ else state


def public(layer: Any) -> set[str]:
    return {name for name in {*dir(layer), *vars(layer)} - {*dir(torch.nn.Module)} if not name.startswith("_")}


@pytest.mark.parametrize(("cls", "options"), KINDS)
def test_every_public_attribute_is_there(cls: Any, options: dict[str, Any]) -> None:
    theirs, ours = THEIRS[cls](3, 4, **options), cls(3, 4, **options)
    assert {"mode", "all_weights", "check_forward_args", "flatten_parameters", "weight_hh_l0"} <= public(theirs)
    for name in public(theirs):
        want, got = getattr(theirs, name), getattr(ours, name)
        if callable(want):
            assert list(inspect.signature(got).parameters) == list(inspect.signature(want).parameters), name
        elif isinstance(want, Tensor):
            assert got.shape == want.shape
        elif name != "all_weights":
            assert got == want
            assert type(got) is type(want)
    assert [[one.shape for one in some] for some in ours.all_weights] == [
        [one.shape for one in some] for some in theirs.all_weights
    ]
    for name in ("_all_weights", "_flat_weights_names"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert all(
        one is getattr(ours, name) for one, name in zip(ours._flat_weights, ours._flat_weights_names, strict=True)
    )


def test_what_torch_does_not_have_has_no_mode() -> None:
    assert not hasattr(nn.MGU(3, 4), "mode")
    assert not hasattr(nn.GRU(3, 4), "nonlinearity")
    assert nn.IRNN(3, 4).mode == "RNN_RELU"


@pytest.mark.parametrize(("cls", "options"), KINDS)
def test_methods_about_shapes_are_torchs(cls: Any, options: dict[str, Any]) -> None:
    theirs, ours = THEIRS[cls](3, 4, **options), cls(3, 4, engine="reference", **options)
    packed, order = pack_padded_sequence(X, torch.tensor([5, 2])), torch.tensor([1, 0])
    for given in ((X, None), packed[:2]):
        assert ours.check_input(*given) is None
        for name in ("get_expected_hidden_size", "get_expected_cell_size"):
            assert hasattr(ours, name) == hasattr(theirs, name)
            if hasattr(theirs, name):
                assert getattr(ours, name)(*given) == getattr(theirs, name)(*given)
    final = ours(X)[1]
    assert ours.check_forward_args(X, final, None) is None
    assert ours.permute_hidden(final, None) is final
    for got, want in zip(*(as_tuple(one.permute_hidden(final, order)) for one in (ours, theirs)), strict=True):
        assert torch.equal(got, want)
    with pytest.raises(RuntimeError, match=r"expected \(1, 2, 3\), got \[5, 2, 3\]"):
        ours.check_hidden_size(X, (1, 2, 3), "expected {}, got {}")


CALLS: dict[str, Callable[[Any], Any]] = {
    "one dimension": lambda cls: cls(3, 4)(torch.randn(3)),
    "four dimensions": lambda cls: cls(3, 4)(torch.randn(2, 2, 2, 3)),
    "features": lambda cls: cls(3, 4)(torch.randn(5, 2, 7)),
    "features without a batch": lambda cls: cls(3, 4)(torch.randn(5, 7)),
    "packed features": lambda cls: cls(3, 4)(pack_sequence([torch.randn(3, 7), torch.randn(2, 7)])),
    "no step": lambda cls: cls(3, 4)(torch.randn(0, 2, 3)),
    "dtype": lambda cls: cls(3, 4)(X.double()),
    "packed dtype": lambda cls: cls(3, 4)(pack_sequence([X[:, 0].double()])),
    "whole numbers": lambda cls: cls(3, 4)(X.long()),
    "bfloat16 layer": lambda cls: cls(3, 4).to(torch.bfloat16)(X),
    "device": lambda cls: cls(3, 4)(X.to("meta")),
    "sparse": lambda cls: cls(3, 4)(X.to_sparse()),
    "batch of states": lambda cls: cls(3, 4)(X, states(cls, 1, 3, 4)),
    "batch of packed states": lambda cls: cls(3, 4)(pack_sequence([X[:, 0], X[:3, 1]]), states(cls, 1, 3, 4)),
    "states without a batch": lambda cls: cls(3, 4)(X, states(cls, 1, 4)),
    "states with a batch": lambda cls: cls(3, 4)(X[:, 0], states(cls, 1, 1, 4)),
    "layers of states": lambda cls: cls(3, 4)(X, states(cls, 2, 2, 4)),
    "width of states": lambda cls: cls(3, 4)(X, states(cls, 1, 2, 5)),
    "dtype of states": lambda cls: cls(3, 4)(X, states(cls, 1, 2, 4, dtype=torch.float64)),
    "device of states": lambda cls: cls(3, 4)(X, states(cls, 1, 2, 4, device="meta")),
    "too many states": lambda cls: nn_or_torch(cls, "LSTM")(3, 4)(X, (torch.zeros(1, 2, 4),) * 3),
    "weight of another size": lambda cls: with_weight(nn_or_torch(cls, "GRU")(3, 4), torch.randn(2, 2))(X),
    "weight of another dtype": lambda cls: with_weight(cls(3, 4), torch.randn(0).double())(X),
    "input check": lambda cls: cls(3, 4).check_input(X[0], None),
    "input check, packed": lambda cls: cls(3, 4).check_input(X, torch.tensor([1])),
    "input check, features": lambda cls: cls(3, 4).check_input(X[..., 1:], None),
    "input check, dtype": lambda cls: cls(3, 4).check_input(X.double(), None),
    "state check": lambda cls: cls(3, 4).check_forward_args(X, states(cls, 1, 3, 4), None),
    "keys missing": lambda cls: cls(3, 4).load_state_dict({}),
    "keys too many": lambda cls: cls(3, 4).load_state_dict(cls(3, 4, 2).state_dict()),
    "shapes of a file": lambda cls: cls(3, 4).load_state_dict(cls(3, 5).state_dict()),
    "hidden size": lambda cls: cls(3, 0),
    "input size": lambda cls: cls(0, 4),
    "layers": lambda cls: cls(3, 4, 0),
    "half a layer": lambda cls: cls(3, 4, 1.5),
    "half a unit": lambda cls: cls(3, 4.5),
    "text": lambda cls: cls("3", 4),
    "dropout": lambda cls: cls(3, 4, 2, dropout=1.5),
    "dropout as a flag": lambda cls: cls(3, 4, 2, dropout=True),
    "dropout as text": lambda cls: cls(3, 4, 2, dropout="a"),
    "bias": lambda cls: cls(3, 4, bias="a"),
    "batch_first": lambda cls: cls(3, 4, batch_first="a"),
    "projection": lambda cls: cls(3, 4, proj_size=4),
    "dtype of whole numbers": lambda cls: cls(3, 4, dtype=torch.int64),
    "nonlinearity": lambda cls: cls(3, 4, nonlinearity="sin"),
    "keyword": lambda cls: cls(3, 4, foo=1),
    "no size": lambda cls: cls(3),
}


def nn_or_torch(cls: Any, name: str) -> Any:
    return getattr(nn if cls in THEIRS else torch.nn, name)


def with_weight(layer: Any, weight: Tensor) -> Any:
    weight = weight if weight.numel() else layer.weight_hh_l0.detach().to(weight.dtype)
    layer.weight_hh_l0 = torch.nn.Parameter(weight)
    return layer


@pytest.mark.parametrize("what", CALLS)
def test_errors_are_of_torchs_type_too(what: str) -> None:
    for ours, theirs in THEIRS.items():
        with pytest.raises((RuntimeError, ValueError, TypeError)) as want:
            CALLS[what](theirs)
        with pytest.raises(want.type):
            CALLS[what](ours)


def test_errors_of_a_call_are_of_python_types_too() -> None:
    for inputs, kind in ((X[..., 1:], ValueError), (X.double(), TypeError)):
        with pytest.raises(kind) as error:
            nn.LSTM(3, 4)(inputs)
        assert isinstance(error.value, nn.InputError)


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_dropout_with_one_layer_is_warned_of_as_by_torch(ours: Any, theirs: Any) -> None:
    found = []
    for cls in (theirs, ours):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("default")
            for _ in range(3):
                layer = cls(3, 4, dropout=0.5)
            copy.deepcopy(layer).dropout = 0.2
            pickle.loads(pickle.dumps(layer))
            cls(3, 4, 2, dropout=0.5)
            cls(3, 4)
        found.append([(one.category, "num_layers" in str(one.message)) for one in seen])
    assert found[0] == found[1] == [(UserWarning, True)]


def test_a_probability_may_be_of_another_library() -> None:
    values: list[Any] = [1, np.float32(0.5), Fraction(1, 2)]
    for value in values:
        found = [cls(3, 4, 2, dropout=value).dropout for cls in (torch.nn.GRU, nn.GRU)]
        assert found[0] == found[1] == float(value)
        assert {type(one) for one in found} == {float}
    rates: dict[str, Any] = {"zoneout": np.float32(0.5), "variational_dropout": 0.5, "weight_dropout": Fraction(1, 2)}
    layer = nn.GRU(3, 4, 2, engine="function", **rates)
    assert layer(X)[0].shape == (5, 2, 4)


CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "twice": lambda y: y.mul_(2),
    "one step": lambda y: y[0].zero_(),
    "relu": torch.relu_,
    "dropout": lambda y: torch.nn.functional.dropout(y, 1.0, inplace=True),
    "unseen": lambda y: y.detach().fill_(3.0),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("engine", [None, *ENGINES])
@pytest.mark.parametrize("ours", THEIRS)
def test_an_output_may_be_changed_in_place(ours: Any, engine: Any, change: str) -> None:
    for options in ({}, {"batch_first": True, "num_layers": 2}, {"bidirectional": True}):
        layer = ours(3, 4, engine=engine, dtype=torch.float64, **options)
        other = layer.to_torch() if ours is not nn.LSTM else copy.deepcopy(layer)  # torch's LSTM refuses it
        found = []
        for one in (layer, other):
            x = X.double().requires_grad_()
            y = one(x)[0]
            y = y.clone() if one is other and ours is nn.LSTM and change != "unseen" else y
            CHANGES[change](y)
            (y * y.detach().cos()).sum().backward()
            found.append([x.grad, *(parameter.grad for parameter in one.parameters())])
        close(found[0], found[1])


def test_only_a_change_costs_another_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bool] = []
    forward = Kernel.forward

    def counted(*arguments: Any) -> list[Tensor]:
        calls.append(arguments[-1])
        return forward(*arguments)

    monkeypatch.setattr(Kernel, "forward", counted)
    layer = nn.GRU(3, 4)
    changes: list[tuple[Callable[[Any, Any], Any], int]] = [(lambda y, h: h.mul_(2), 1), (lambda y, h: y.mul_(2), 2)]
    for change, count in changes:
        calls.clear()
        y, h = layer(X)
        change(y, h)
        (y.sum() + h.sum()).backward()
        assert calls == [True] * count


def test_what_the_caller_gave_may_not_be_changed() -> None:
    layer, x = nn.GRU(3, 4), X.clone().requires_grad_()
    given = x * 1
    y = layer(given)[0]
    given.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_changed_output_is_no_matter_for_who_saves_tensors_elsewhere() -> None:
    layer = nn.GRU(3, 4, engine="function")
    weight = layer.get_parameter("weight_hh_l0")
    want = torch.autograd.grad(2 * layer(X)[0].sum(), weight)[0]

    def twice(x: Tensor) -> Tensor:
        return layer(x)[0].mul_(2)  # type: ignore[no-any-return]

    with torch.autograd.graph.save_on_cpu():
        saved = twice(X)
    again = torch.utils.checkpoint.checkpoint(twice, X, use_reentrant=False)
    for y in (saved, again, twice(X)):
        with torch.autocast("cpu", torch.bfloat16):
            (found,) = torch.autograd.grad(y.sum(), weight)
        torch.testing.assert_close(found, want, rtol=0, atol=0.05)


def outputs(layer: Any) -> list[Tensor]:
    return [one.detach() for one in flat(layer(X))]


def loaded(layer: Any, *allowed: Any) -> Any:
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    with torch.serialization.safe_globals(list(allowed)):
        return torch.load(file, weights_only=True)


@pytest.mark.parametrize("case", CASES)
def test_a_whole_layer_is_loaded_when_its_class_is_named_safe(case: str) -> None:
    layer = make(case, 3, 6, num_layers=2, zoneout=0.1, engine="reference").eval()
    again = loaded(loaded(layer, type(layer)), type(layer))  # what was loaded can be saved again
    assert repr(again) == repr(layer)
    for got, want in zip(flat(again(X.double())), flat(layer(X.double())), strict=True):
        assert torch.equal(got, want)


class Leaky(Cell):
    gates = ("k", "n")

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def step(self, z: Any, s: Any) -> Any:
        return s.h + self.rate * torch.sigmoid(z.k) * (torch.tanh(z.n) - s.h)


def test_a_layer_with_a_cell_of_ones_own_needs_that_named_too() -> None:
    model = torch.nn.Sequential(Recurrent(3, 4, cell=Leaky(0.5), engine="reference"))
    again = loaded(model, torch.nn.Sequential, Recurrent, Leaky)
    assert torch.equal(outputs(again)[0], outputs(model)[0])
    with pytest.raises(pickle.UnpicklingError, match="Leaky"):
        loaded(model, torch.nn.Sequential, Recurrent)


def by_old_spectral_norm(layer: Any) -> Any:
    return spectral_norm(layer, "weight_hh_l0")


def by_old_weight_norm(layer: Any) -> Any:
    weight_norm(layer, "weight_hh_l0")
    assert sum(isinstance(one, torch.nn.Parameter) for one in layer._flat_weights) == len(layer._flat_weights) - 1
    with torch.no_grad():
        layer.weight_hh_l0_g.mul_(0.5)
    return layer


def by_weight_norm_removed(layer: Any) -> Any:
    remove_weight_norm(by_old_weight_norm(layer), "weight_hh_l0")
    assert all(isinstance(one, torch.nn.Parameter) for one in layer._flat_weights)
    return layer


def by_parametrization(layer: Any) -> Any:
    parametrizations.weight_norm(layer, "weight_ih_l0")
    parametrizations.orthogonal(layer, "weight_hh_l0")
    return layer


def by_parametrization_removed(layer: Any) -> Any:
    parametrizations.spectral_norm(layer, "weight_hh_l0")
    layer(X)
    parametrize.remove_parametrizations(layer, "weight_hh_l0")
    return layer


def by_pruning(layer: Any) -> Any:
    prune.l1_unstructured(layer, "weight_ih_l1", 0.5)  # type: ignore[no-untyped-call]
    prune.global_unstructured([(layer, "weight_hh_l0"), (layer, "weight_hh_l1")], prune.L1Unstructured, amount=5)
    prune.remove(layer, "weight_hh_l1")  # type: ignore[no-untyped-call]
    return pickle.loads(pickle.dumps(layer))


def by_weight_drop(layer: Any) -> Any:
    """As AWD-LSTM's code does: the parameter by another name, a tensor made of it by its own."""
    weight = layer.weight_hh_l0
    del layer.weight_hh_l0
    layer.register_parameter("weight_hh_l0_raw", torch.nn.Parameter(weight.detach()))
    layer.weight_hh_l0 = layer.weight_hh_l0_raw * 0.5
    layer.flatten_parameters = lambda: None
    return layer


def by_tying(layer: Any) -> Any:
    layer.weight_hh_l1 = layer.weight_hh_l0
    return copy.deepcopy(layer)


def by_vector(layer: Any) -> Any:
    vector = torch.nn.utils.parameters_to_vector(layer.parameters())
    torch.nn.utils.vector_to_parameters(2 * vector.detach(), layer.parameters())
    return layer


def by_conversion(layer: Any) -> Any:
    layer.to(memory_format=torch.channels_last).to("meta").to_empty(device="cpu")
    layer.apply(lambda module: [torch.nn.init.constant_(one, 0.1) for one in module.parameters()])
    return layer.half().bfloat16().float().share_memory()


def by_compilation(layer: Any) -> Any:
    layer.compile(backend="eager")
    return layer


def by_state(layer: Any) -> Any:
    cls: Any = type(layer)
    other = cls.__new__(cls)
    other.__setstate__(layer.__getstate__())
    return other


TREATMENTS = [
    by_old_weight_norm, by_weight_norm_removed, by_old_spectral_norm, by_parametrization,
    by_parametrization_removed, by_pruning, by_weight_drop, by_tying, by_vector, by_conversion, by_compilation,
    by_state, copy.copy, copy.deepcopy,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*weight_norm. is deprecated:FutureWarning")
@pytest.mark.parametrize("treat", TREATMENTS)
def test_a_layer_is_treated_as_torchs(treat: Any) -> None:
    for ours in THEIRS:
        layer, found = ours(3, 4, 2), []
        for one in (layer.to_torch(), layer):
            torch.manual_seed(0)  # spectral_norm draws
            treated = treat(one)
            result = treated(X)
            torch.autograd.backward([part.square().sum() for part in flat(result)])
            gradients = {name: parameter.grad for name, parameter in treated.named_parameters()}
            assert all(one is not None for one in gradients.values())
            found.append((flat(result), gradients, treated.state_dict()))
        (want, want_gradients, want_state), (got, got_gradients, got_state) = found
        assert list(got_state) == list(want_state)
        assert list(got_gradients) == list(want_gradients)
        close(got, want, torch.float32)
        close(got_gradients.values(), want_gradients.values(), torch.float32, 4.0)


@pytest.mark.filterwarnings("ignore:.*stateless.functional_call. is deprecated:FutureWarning")
def test_weights_may_be_given_for_one_call() -> None:
    for ours in THEIRS:
        layer = ours(3, 4, 2)
        weights = {name: 2 * value for name, value in layer.state_dict().items()}
        other = ours(3, 4, 2)
        other.load_state_dict(weights)
        before = outputs(layer)
        for call in (torch.func.functional_call, stateless.functional_call):
            close(flat(call(layer, weights, (X,))), outputs(other), torch.float32)
        close(outputs(layer), before, torch.float32)
        some = {"weight_hh_l0": layer.weight_hh_l1}
        got, want = (flat(torch.func.functional_call(one, some, (X,))) for one in (layer, layer.to_torch()))
        close(got, want, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_types_are_torchs(dtype: torch.dtype) -> None:
    for ours in THEIRS:
        layer = ours(3, 4, 2).to(dtype)
        close(flat(layer(X.to(dtype))), flat(layer.to_torch()(X.to(dtype))), torch.float32)
