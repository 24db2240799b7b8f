"""Bad input is refused with a sentence: what was received, what is allowed."""

import pickle
from typing import Any

import cloudpickle
import pytest
import torch

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent

DOUBLE = torch.float64
CALLS: list[tuple[Any, type[Exception], str]] = [
    (lambda one: one(torch.randn(2, 3, 4)), ValueError, r"5 features \(input_size\), got shape \[2, 3, 4\]"),
    (lambda one: one(torch.randn(5)), ValueError, r"\[T, B, I\] or, without a batch, \[T, I\]; got shape \[5\]"),
    (lambda one: one(torch.randn(2, 3, 4, 5)), ValueError, r"got shape \[2, 3, 4, 5\]"),
    (lambda one: one([[1.0]]), TypeError, "a tensor or a PackedSequence, got list"),
    (lambda one: one(torch.randn(2, 3, 5, dtype=DOUBLE)), TypeError, "input is torch.float64, the layer torch.float32"),
    (lambda one: one(torch.ones(2, 3, 5, dtype=torch.long)), TypeError, "input is torch.int64"),
    (lambda one: one(torch.randn(0, 3, 5)), ValueError, r"at least one step, got shape \[0, 3, 5\]"),
    (lambda one: one(torch.randn(0, 5)), ValueError, r"at least one step, got shape \[0, 5\]"),
    (lambda one: one(torch.randn(2, 3, 5), torch.zeros(2, 3, 6)), ValueError, r"hx must be 2 states \(h, c\), got 1"),
    (lambda one: one(torch.randn(2, 3, 5), (torch.zeros(2, 3, 6),) * 3), ValueError, r"\(h, c\), got 3"),
    (lambda one: one(torch.randn(2, 3, 5), (torch.zeros(2, 3, 6), torch.zeros(2, 4, 6))), ValueError,
     r"state c must have shape \[2, 3, 6\], got \[2, 4, 6\]"),
    (lambda one: one(torch.randn(2, 3, 5), (torch.zeros(3, 6), torch.zeros(3, 6))), ValueError,
     r"state h must have shape \[2, 3, 6\], got \[3, 6\]"),
    (lambda one: one(torch.randn(2, 5), (torch.zeros(2, 1, 6), torch.zeros(2, 1, 6))), ValueError,
     r"state h must have shape \[2, 6\], got \[2, 1, 6\]"),
    (lambda one: one(torch.randn(2, 3, 5), (torch.zeros(2, 3, 6), torch.zeros(2, 3, 6, dtype=DOUBLE))), TypeError,
     "state c is torch.float64, the layer torch.float32"),
    (lambda one: one(torch.randn(2, 3, 5).to("meta")), TypeError, "input is on meta, the layer on cpu"),
    (lambda one: one(torch.randn(2, 3, 5).to_sparse()), TypeError, "input must be a dense tensor, got .*sparse_coo"),
    (lambda one: one(torch.nested.nested_tensor([torch.randn(2, 5)], layout=torch.jagged)), TypeError, "jagged"),
    (lambda one: one(torch.randn(2, 3, 5), (torch.zeros(2, 3, 6).to_sparse(),) * 2), TypeError, "state h must be a d"),
    (lambda one: one.step(torch.randn(2, 3, 5)), ValueError, r"input of a step must be \[B, I\], got .*\[2, 3, 5\]"),
    (lambda one: one.step([1.0]), TypeError, "input of a step must be a tensor, got list"),
    (lambda one: one.step(torch.randn(3, 5), 3), TypeError, r"hx must be 2 states \(h, c\), got int"),
    (lambda one: one.step(torch.randn(3, 5), (torch.zeros(2, 3, 6), None)), TypeError, "state c must be a tensor"),
    (lambda one: one.step(torch.randn(3, 4)), ValueError, r"5 features \(input_size\)"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "words"), CALLS)
@pytest.mark.parametrize("gradient", [True, False])
def test_a_call_that_does_not_fit(call: Any, error: type[Exception], words: str, gradient: bool) -> None:
    layer = nn.LSTM(5, 6, num_layers=2)
    with pytest.raises(error, match=words), torch.set_grad_enabled(gradient):
        call(layer)


def test_a_single_state_may_not_be_of_another_size() -> None:
    layer = nn.GRU(5, 6, batch_first=True)
    with pytest.raises(ValueError, match=r"state h must have shape \[1, 2, 6\], got \[1, 3, 6\]"):
        layer(torch.randn(2, 3, 5), torch.zeros(1, 3, 6))
    with pytest.raises(ValueError, match=r"hx must be 1 state \(h\), got 2"):
        layer(torch.randn(2, 3, 5), (torch.zeros(1, 2, 6),) * 2)
    with pytest.raises(ValueError, match=r"\[B, T, I\]"):
        layer(torch.randn(5))
    with pytest.raises(ValueError, match="at least one step"):
        layer(torch.randn(2, 0, 5))


@pytest.mark.parametrize("engine", ["native", "function", "reference", "torch"])
@pytest.mark.parametrize(
    ("weight", "told"),
    [
        (torch.randn(1, 1), r"weight_hh of layer 1 must have shape \[24, 6\], got \[1, 1\]"),
        (torch.randn(24, 6, dtype=DOUBLE), "weight_hh of layer 1 is torch.float64 on cpu, its input torch.float32"),
        (torch.randn(24, 6, device="meta"), "weight_hh of layer 1 is torch.float32 on meta, its input"),
    ],
)
def test_a_weight_of_another_size_or_type_is_not_read(weight: torch.Tensor, told: str, engine: Any) -> None:
    layer, inputs = nn.LSTM(5, 6, 2, engine=engine), torch.randn(2, 3, 5)
    with torch.no_grad():
        layer.step(inputs[0])
        layer.weight_hh_l1 = torch.nn.Parameter(weight)
        for call in (lambda: layer(inputs), lambda: layer.step(inputs[0])):
            with pytest.raises((ValueError, TypeError), match=told):
                call()


def test_a_bidirectional_layer_has_no_step() -> None:
    with pytest.raises(ValueError, match="a bidirectional layer has no step"):
        nn.GRU(3, 4, bidirectional=True).step(torch.randn(2, 3))


SETTINGS: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
    (nn.LSTM, {"dropout": 1.5}, ValueError, r"dropout must be a probability \(0 to 1\), got 1.5"),
    (nn.LSTM, {"dropout": -0.1}, ValueError, "dropout must be .*got -0.1"),
    (nn.LSTM, {"variational_dropout": 1.0}, ValueError, "variational_dropout must be .*got 1.0"),
    (nn.LSTM, {"weight_dropout": 2}, ValueError, "weight_dropout must be .*got 2"),
    (nn.LSTM, {"zoneout": 1.0}, ValueError, "zoneout must be a probability less than 1.*h, c.*got"),
    (nn.LSTM, {"zoneout": (0.1,)}, ValueError, "one for each of the states h, c"),
    (nn.GRU, {"hidden_size": 0}, ValueError, "hidden_size must be at least 1, got 0"),
    (nn.GRU, {"input_size": -1}, ValueError, "input_size must be at least 1, got -1"),
    (nn.GRU, {"num_layers": 0}, ValueError, "num_layers must be at least 1, got 0"),
    (nn.GRU, {"hidden_size": 2.5}, TypeError, "hidden_size must be a whole number, got 2.5"),
    (nn.GRU, {"num_layers": True}, TypeError, "num_layers must be a whole number, got True"),
    (nn.GRU, {"chrono": 1}, ValueError, "chrono must be at least 2, got 1"),
    (nn.GRU, {"checkpoint_steps": 0}, ValueError, "checkpoint_steps must be at least 1, got 0"),
    (nn.GRU, {"connections": "dense"}, ValueError, "connections must be one of plain, residual, skip, got 'dense'"),
    (nn.GRU, {"recurrent_init": "ones"}, ValueError, "recurrent_init must be one of .*got 'ones'"),
    (nn.GRU, {"engine": "cuda"}, ValueError, "engine must be one of .*native.*got 'cuda'"),
    (nn.GRU, {"reset_gates": "before"}, TypeError, "unknown keyword of GRU 'reset_gates'; did you mean 'reset_gate'"),
    (nn.LSTM, {"droput": 0.1}, TypeError, "unknown keyword of LSTM 'droput'; did you mean 'dropout'"),
    (nn.PeepholeLSTM, {"peephole": "round"}, ValueError, "peephole must be diagonal, full or None, got 'round'"),
    (nn.PeepholeLSTM, {"output_peek": "old"}, ValueError, "output_peek must be new or previous, got 'old'"),
    (nn.LSTM, {"ablations": ("CIFG", "NFG")}, ValueError, "ablations CIFG and NFG contradict each other"),
    (nn.CoupledLSTM, {"ablations": ("NIG",)}, ValueError, "ablations CIFG and NIG contradict each other"),
    (nn.LSTM, {"ablations": ("NOGG",)}, ValueError, "unknown ablation 'NOGG'; did you mean 'NOG'"),
    (nn.LSTM, {"proj_size": 6}, ValueError, "proj_size must be smaller than hidden_size 6, got 6"),
    (nn.LSTM, {"proj_size": -1}, ValueError, "proj_size must be at least 0, got -1"),
    (nn.LSTM, {"forget_bias": 1.0, "ablations": ("NFG",)}, ValueError, "there is no forget gate"),
    (nn.LSTM, {"forget_bias": 1.0, "bias": False}, ValueError, "the layer has no bias"),
    (nn.Elman, {"nonlinearity": "sin"}, ValueError, "nonlinearity must be tanh or relu, got 'sin'"),
    (nn.Elman, {"chrono": 100}, ValueError, "chrono needs a gate that keeps the state; ElmanCell has none"),
    (nn.GRU, {"chrono": 100, "bias": False}, ValueError, "chrono sets biases, but the layer has none"),
    (nn.GRU, {"reset_gate": "during"}, ValueError, "reset_gate must be after or before, got 'during'"),
    (nn.MUT, {"variant": 4}, ValueError, "variant must be 1, 2 or 3, got 4"),
    (nn.LSTM, {"proj_size": 2.5}, TypeError, "proj_size must be a whole number, got 2.5"),
    (nn.LSTM, {"proj_size": "3"}, TypeError, "proj_size must be a whole number, got '3'"),
    (nn.LSTM, {"num_layers": "2"}, TypeError, "num_layers must be a whole number, got '2'"),
    (nn.LSTM, {"dropout": "a"}, ValueError, "dropout must be a probability .*got 'a'"),
    (nn.LSTM, {"dropout": float("nan")}, ValueError, "dropout must be a probability .*got nan"),
    (nn.LSTM, {"zoneout": "a"}, ValueError, "zoneout must be a probability less than 1.*got"),
    (nn.LSTM, {"zoneout": float("nan")}, ValueError, "zoneout must be a probability less than 1.*got"),
    (nn.LSTM, {"bidirectional": 2}, TypeError, "bidirectional must be True or False, got 2"),
    (nn.SLSTM, {"heads": 2.0}, TypeError, "heads must be a whole number, got 2.0"),
    (nn.SLSTM, {"heads": 4}, ValueError, "heads must divide hidden_size 6, got 4"),
    (nn.MLSTM, {"heads": 2.0}, TypeError, "heads must be a whole number, got 2.0"),
    (nn.MLSTM, {"heads": 0}, ValueError, "heads must be at least 1, got 0"),
    (nn.MLSTM, {"heads": 4}, ValueError, "heads must divide hidden_size 6, got 4"),
    (nn.LSTM, {"forget_bias": "a"}, TypeError, "forget_bias must be a number, got 'a'"),
    (nn.LayerNormLSTM, {"forget_bias": float("nan")}, ValueError, "forget_bias must be a finite number, got nan"),
    (nn.LSTM, {"ablations": 3}, TypeError, "ablations must be names .*NIG.*, got 3"),
    (nn.LSTM, {"ablations": (3,)}, TypeError, r"ablations must be names .*, got \(3,\)"),
    (nn.LSTM, {"zoneout": None}, ValueError, "zoneout must be .*got None"),
    (nn.LSTM, {"dtype": torch.int64}, TypeError, "dtype must be a floating-point type of torch, got torch.int64"),
    (nn.LSTM, {"dtype": "float32"}, TypeError, "dtype must be a floating-point type of torch, got 'float32'"),
    (nn.JANET, {"beta": None}, TypeError, "beta must be a number, got None"),
    (nn.MinGRU, {"positive": 2}, TypeError, "positive must be True or False, got 2"),
    (nn.MUT, {"variant": 1.0}, ValueError, "variant must be 1, 2 or 3, got 1.0"),
    (nn.LRU, {"r_min": "a"}, TypeError, "r_min must be a number, got 'a'"),
    (nn.LRU, {"max_phase": -1}, ValueError, "max_phase must be at least 0, got -1"),
    (Recurrent, {"cell": 3}, TypeError, "cell must be an instance of a subclass of Cell, got 3"),
    (Recurrent, {"cell": torch.nn.LSTMCell(1, 1)}, TypeError, r"cell must be an instance .*got LSTMCell\(1, 1\)"),
    (Recurrent, {"cell": Cell}, TypeError, r"cell must be a cell, got the class Cell: write Cell\(\)"),
    (nn.LRU, {"r_min": 0.9, "r_max": 0.5}, ValueError, "r_min and r_max must fulfil .*got 0.9 and 0.5"),
    (Recurrent, {}, TypeError, r"Recurrent needs a cell: Recurrent\(…, cell=MyCell\(\)\)"),
]


@pytest.mark.parametrize(("cls", "options", "error", "words"), SETTINGS)
def test_a_setting_that_is_not_allowed(cls: Any, options: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        cls(**{"input_size": 5, "hidden_size": 6, **options})


@pytest.mark.parametrize("engine", ["torch", "native", "function"])
def test_an_engine_that_cannot_run_a_layer_is_refused(engine: Any) -> None:
    layer = nn.MGU(3, 4, engine=engine).to(torch.bfloat16)
    if engine == "function":
        assert layer.backend == "function"
        return
    words = "torch has no fused MGUCell" if engine == "torch" else "it computes in float32 and float64, not in torch.b"
    with pytest.raises(ValueError, match=f"engine '{engine}' cannot run .*{words}"):
        layer(torch.randn(2, 3, 3, dtype=torch.bfloat16))


DECLARATIONS: list[tuple[dict[str, Any], str]] = [
    ({"gates": ("n",), "split_gates": ("m",)}, "split_gates names 'm'; it can name: n"),
    ({"gates": ("n",), "deferred_gates": ("m",)}, "deferred_gates names 'm'; it can name: n"),
    ({"gates": ("n", "k"), "recurrent": ("k",), "deferred_gates": ("n",)}, "deferred_gates names 'n'; it can name: k"),
    ({"gates": ("n",), "recurrent": ("m",)}, "recurrent names 'm'"),
    ({"gates": ("n",), "outputs": ("y",)}, "outputs names 'y'; its states are: h"),
    ({"gates": ("n", "n")}, "gate n is declared twice"),
    ({"gates": ("n",), "states": ("h", "h")}, "state h is declared twice"),
    ({"gates": ("n",), "vectors": ("p", "p")}, "parameter p is declared twice"),
    ({"gates": ("n",), "vectors": ("a b",)}, "'a b' is not a name"),
]


@pytest.mark.parametrize(("names", "words"), DECLARATIONS)
def test_names_of_a_cell_that_do_not_fit(names: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"Odd.*{words}"):
        type("Odd", (Cell,), {"step": lambda self, z, s: torch.tanh(z.n), **names})


class TooMany(Cell):
    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n), s.h


class Stepless(Cell):
    gates = ("n",)


class Greedy(Cell):
    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n + self.recur(s.h, "n"))


@pytest.mark.parametrize("engine", [None, "native", "function", "reference"])
def test_a_step_that_does_not_fit_its_cell(engine: Any) -> None:
    inputs = torch.randn(2, 3, 4)
    with pytest.raises(ValueError, match=r"TooMany.step returned 2 states, it has 1: h"):
        Recurrent(4, 5, cell=TooMany(), engine=engine)(inputs)
    with pytest.raises(TypeError, match="Stepless does not define a step"):
        Recurrent(4, 5, cell=Stepless(), engine=engine)(inputs)
    with pytest.raises(ValueError, match="recur names 'n'; Greedy defers: no gate"):
        Recurrent(4, 5, cell=Greedy(), engine=engine)(inputs)


def test_a_cell_in_use_cannot_be_changed() -> None:
    layer = nn.GRU(3, 4)
    with pytest.raises(AttributeError, match="cannot be changed"):
        layer.cell.reset_gate = "before"


def test_a_layer_does_not_run_on_when_the_class_of_its_cell_has_changed() -> None:
    class Scaled(Cell):
        gates = ("n",)
        scale = 2.0

        def step(self, z: Any, s: Any) -> Any:
            return torch.tanh(self.scale * z.n)

    class Finer(Scaled):
        pass

    inputs = 0.1 * torch.randn(2, 1, 3)
    layer, finer = Recurrent(3, 4, cell=Scaled()), Recurrent(3, 4, cell=Finer())
    Scaled.scale = 3.0  # before the first use
    with torch.no_grad():
        before = torch.atanh(layer(inputs)[0][0]) / 3.0
        finer(inputs)
        Scaled.scale, scale = 3.0, 4.0
        layer(inputs)  # the same value again
        Finer.scale = scale  # which hides that of Scaled
        with pytest.raises(RuntimeError, match="the list of class attributes of Finer has changed since"):
            finer(inputs)
        Scaled.scale = scale
        with pytest.raises(RuntimeError, match=r"class attribute scale of Scaled .* since .*make another cell"):
            layer(inputs)
        for cls in (Scaled, Finer):
            other = Recurrent(3, 4, cell=cls())
            other.load_state_dict(layer.state_dict())
            assert torch.allclose(torch.atanh(other(inputs)[0][0]) / scale, before, atol=1e-5)


def _pickled_by_value() -> type[Cell]:
    share = 0.25

    def squash(value: Any) -> Any:
        return torch.tanh(value + share)

    class Mine(Cell):
        gates = ("k", "n")
        table: dict[str, float] = {"scale": 2.0}

        @property
        def half(self) -> float:
            return 0.5

        @staticmethod
        def open(value: Any, least: float = 0.1) -> Any:
            return least + torch.sigmoid(value)

        def step(self, z: Any, s: Any) -> Any:
            return self.open(z.k) * s.h + self.half * squash(self.table["scale"] * z.n)

    return Mine


def test_a_class_that_workers_unpickle_again() -> None:
    """As joblib, Dask and Ray do for every task: cloudpickle finds the class, and sets all its attributes once more."""
    mine = _pickled_by_value()
    layer, inputs = Recurrent(3, 4, cell=mine()), torch.randn(2, 1, 3)
    before = layer(inputs)[0]
    for _ in range(2):
        again, alike = pickle.loads(cloudpickle.dumps((mine, layer)))
        assert again is mine
        assert torch.equal(layer(inputs)[0], before)
        assert torch.equal(alike(inputs)[0], before)
        assert alike.backend == layer.backend
    mine.open = staticmethod(lambda value, least=0.2: least + torch.sigmoid(value))  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="class attribute open of Mine has changed since"):
        layer(inputs)


MODULE_WITH_A_CELL = """
class Mine(Cell):
    gates = ("n",)

    def step(self, z, s):
        return torch.tanh({} * z.n)
"""


def test_a_class_that_a_notebook_reloads() -> None:
    """As IPython's autoreload does: the new module's attributes and code are put into the class that is there."""

    def load(scale: float, above: str) -> Any:
        known: dict[str, Any] = {"Cell": Cell, "torch": torch, "__name__": "made_up"}
        exec(above + MODULE_WITH_A_CELL.format(scale), known)
        return known["Mine"]

    mine, inputs = load(2.0, ""), 0.1 * torch.randn(2, 1, 3)
    layer = Recurrent(3, 4, cell=mine())
    before = layer(inputs)[0]

    def reload(scale: float, above: str) -> None:
        mine.gates, mine.step.__code__ = ("n",), load(scale, above).step.__code__

    reload(2.0, "# a line that was added above the class\n")
    assert torch.equal(layer(inputs)[0], before)
    reload(3.0, "")
    with pytest.raises(RuntimeError, match=r"class attribute step of Mine has changed since .*make another cell"):
        layer(inputs)
    other = Recurrent(3, 4, cell=mine())
    other.load_state_dict(layer.state_dict())
    assert torch.allclose(torch.atanh(other(inputs)[0][0]) / 3, torch.atanh(before[0]) / 2, atol=1e-5)


@pytest.mark.parametrize(("name", "value"), [("zoneout", 0.3), ("bidirectional", True), ("variational_dropout", 0.1)])
def test_what_a_layer_was_made_from_cannot_be_changed(name: str, value: Any) -> None:
    layer = nn.LSTM(3, 4)
    with pytest.raises(AttributeError, match=f"{name} is fixed when a LSTM is made: make another one"):
        setattr(layer, name, value)
    layer.dropout = 0.5  # read at each call


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("dropout", "a", "dropout must be a probability .*got 'a'"),
        ("weight_dropout", None, "weight_dropout must be a probability .*got None"),
        ("engine", "cuda", "engine must be one of .*got 'cuda'"),
        ("checkpoint_steps", 0, "checkpoint_steps must be at least 1, got 0"),
        ("batch_first", 1, "batch_first must be True or False, got 1"),
        ("recurrent_init", "ones", "recurrent_init must be one of .*got 'ones'"),
    ],
)
def test_what_may_be_changed_is_checked_and_holds_from_the_next_call_on(name: str, value: Any, words: str) -> None:
    layer = nn.LSTM(3, 4, num_layers=2)
    before = getattr(layer, name)
    with pytest.raises((TypeError, ValueError), match=words):
        setattr(layer, name, value)
    assert getattr(layer, name) == before
    inputs = torch.randn(5, 2, 3)
    layer.weight_dropout = 0.5
    assert not torch.equal(layer(inputs)[0], layer(inputs)[0])
    layer.weight_dropout, layer.dropout = 0.0, 0.5
    assert not torch.equal(layer(inputs)[0], layer(inputs)[0])
    layer.dropout, layer.batch_first = 0, True
    assert torch.equal(layer(inputs)[0], layer(inputs)[0])
    assert layer(inputs)[1][0].shape == (2, 5, 4)


@pytest.mark.parametrize(
    ("states", "error", "words"),
    [
        (3, TypeError, r"hx must be 2 states \(h, c\), got int"),
        ((torch.zeros(1, 2, 4), None), TypeError, "state c must be a tensor, got NoneType"),
        ((torch.zeros(1, 2, 4),), ValueError, r"hx must be 2 states \(h, c\), got 1"),
    ],
)
def test_initial_states_that_are_none(states: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        nn.LSTM(3, 4)(torch.zeros(5, 2, 3), states)


def test_sequences_of_a_linear_recurrence_have_one_shape() -> None:
    with pytest.raises(ValueError, match=r"one shape \[T, B, H\].*got \[2, 3, 4\], \[2, 3, 5\]"):
        nn.linear_recurrence(torch.zeros(2, 3, 4), torch.zeros(2, 3, 5))
    with pytest.raises(ValueError, match=r"h0 \[B, H\]; got .*\[4, 3\]"):
        nn.linear_recurrence(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), torch.zeros(4, 3))
    with pytest.raises(TypeError, match=r"float64.*float32|float32.*float64"):
        nn.linear_recurrence(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), torch.zeros(3, 4, dtype=DOUBLE))


def _asked(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


class Helped(Cell):
    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n) if _asked(z.n) else z.n


class Handed(Cell):
    gates = ("n",)

    def same(self, value: Any) -> Any:
        return value if type(value) is not torch.Tensor else torch.tanh(value)

    def step(self, z: Any, s: Any) -> Any:
        return self.same(z.n)


@pytest.mark.parametrize(("cls", "word"), [(Helped, "isinstance"), (Handed, "type")])
def test_a_function_that_asks_what_a_value_is_is_given_tensors(cls: type[Cell], word: str) -> None:
    layer = Recurrent(3, 4, cell=cls())
    with pytest.warns(UserWarning, match=f"{cls.__name__}.step uses {word}"):
        assert layer(10 * torch.randn(5, 2, 3))[0].abs().max() <= 1


SETTINGS_OF_A_MODULE = {"scale": 2.0}


class Mixin:
    shift = 0.5


class Reading(Cell, Mixin):
    gates = ("n",)
    table: dict[str, Any] = {"scale": [1.0, 2.0]}

    def __init__(self) -> None:
        self.own = {"scale": 3.0}

    def step(self, z: Any, s: Any) -> Any:
        scale = self.table["scale"][1] * self.own["scale"] * SETTINGS_OF_A_MODULE["scale"]
        return torch.tanh(scale * z.n + self.shift)


def _changes(cell: Any) -> dict[str, Any]:
    return {
        "class attribute table": lambda: cell.table["scale"].__setitem__(1, 9.0),
        "attribute own": lambda: cell.own.update(scale=9.0),
        "class attribute shift": lambda: setattr(Mixin, "shift", 9.0),
        "global SETTINGS_OF_A_MODULE": lambda: SETTINGS_OF_A_MODULE.update(scale=9.0),
    }


@pytest.mark.parametrize("name", _changes(None))
def test_what_a_step_has_read_may_not_change_unseen(name: str) -> None:
    torch.manual_seed(0)
    inputs, kept = (
        torch.randn(5, 2, 3, dtype=DOUBLE),
        ([*Reading.table["scale"]], Mixin.shift, {**SETTINGS_OF_A_MODULE}),
    )
    layer: Any = Recurrent(3, 4, cell=Reading(), dtype=DOUBLE)
    try:
        with torch.no_grad():
            layer(inputs)
            layer.step(inputs[0])
            _changes(layer.cell)[name]()
            with pytest.raises(RuntimeError, match=f"{name} of Reading has changed since .*make another cell"):
                layer(inputs)
            with pytest.raises(RuntimeError, match="has changed"):
                layer.step(inputs[0])
            other: Any = Recurrent(3, 4, cell=Reading(), dtype=DOUBLE)  # reads what is there now
            other.load_state_dict(layer.state_dict())
            other.cell.own.update(layer.cell.own)
            truth = Recurrent(3, 4, cell=other.cell, engine="reference", dtype=DOUBLE)
            truth.load_state_dict(layer.state_dict())
            assert torch.allclose(other(inputs)[0], truth(inputs)[0], atol=1e-5)
    finally:
        Reading.table["scale"], Mixin.shift = kept[0], kept[1]
        SETTINGS_OF_A_MODULE.update(kept[2])


class Counting(Cell):
    gates = ("n",)

    def __init__(self) -> None:
        self.count = 0

    def step(self, z: Any, s: Any) -> Any:
        self.count += 1
        return torch.tanh(z.n * self.count)


@pytest.mark.filterwarnings("ignore:no .* engine")
def test_a_step_keeps_nothing_but_its_states() -> None:
    with pytest.raises(AttributeError, match=r"Counting\.step sets count: what a step hands on .* are states"):
        Recurrent(3, 4, cell=Counting())(torch.randn(5, 2, 3))


def test_a_cell_in_use_loses_nothing() -> None:
    layer = nn.GRU(3, 4, zoneout=0.1, variational_dropout=0.1)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del layer.cell.split_gates
    with pytest.raises(AttributeError, match="cannot be changed"):
        layer.cell.reset_gate = "before"


def test_a_declaration_by_its_former_name_works_with_a_warning() -> None:
    def step(self: Any, z: Any, s: Any) -> Any:
        return torch.tanh(z.n + z.n_h)

    with pytest.warns(FutureWarning, match="Old.apart is called split_gates now"):
        old = type("Old", (Cell,), {"gates": ("n",), "apart": ("n",), "step": step})()
    assert old.split_gates == ("n",)
    with pytest.warns(FutureWarning, match="Old.keeps is called forget_gates now"):
        old.keeps = ("n",)
    assert old.forget_gates == ("n",)
    assert Recurrent(3, 4, cell=old, chrono=5)(torch.zeros(2, 1, 3))[0].shape == (2, 1, 4)


def test_padded_inputs_of_a_layer_that_takes_steps_first_are_refused() -> None:
    inputs, lengths = torch.randn(2, 4, 3), torch.tensor([4, 4])
    layers: list[torch.nn.Module] = [nn.GRU(3, 5, checkpoint_steps=2), torch.nn.LSTM(3, 5)]
    for layer in layers:
        for call in (nn.run_padded, nn.run_padded_to_states):
            with pytest.raises(ValueError, match=r"inputs are \[B, T, I\].*batch_first=True"):
                call(layer, inputs, lengths)


@pytest.mark.parametrize("options", [{}, {"checkpoint_steps": 2}])
def test_lengths_that_do_not_fit_are_refused(options: dict[str, int]) -> None:
    layer, inputs = nn.GRU(3, 5, batch_first=True, **options), torch.randn(3, 7, 3)  # type: ignore[arg-type]
    for lengths in ([7, 0, 2], [7, -1, 2], [9, 7, 1]):
        with pytest.raises(ValueError, match=r"lengths must be from 1 to 7, the steps of the inputs, got \["):
            nn.run_padded(layer, inputs, torch.tensor(lengths))
    with pytest.raises(ValueError, match=r"lengths must be one for each of 3 sequences, got \[2\]"):
        nn.run_padded(layer, inputs, torch.tensor([7, 7]))


def test_a_layer_says_how_its_sequences_are_divided() -> None:
    assert repr(nn.LSTM(3, 4, bptt=3, checkpoint_steps=2)) == "LSTM(3, 4, checkpoint_steps=2, bptt=3)"
