"""Networks that are not recurrent: their equations, where they look, padding, training, checkpoints."""

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench import architectures, nn
from rnnbench.architectures import CNN, TCN, SequenceModule, WindowMLP
from rnnbench.data import Adding
from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.nn import mean_over_steps
from rnnbench.nn.feedforward import Feedforward
from tests.fixtures.nn_layers import draw
from tests.fixtures.quiet_trainer import trainer

LAYERS: dict[str, tuple[Any, dict[str, Any]]] = {
    "window-mlp": (nn.WindowMLP, {"num_layers": 2, "window": 3}),
    "window-mlp-residual": (nn.WindowMLP, {"num_layers": 3, "window": 3, "residual": True}),
    "window-mlp-long": (nn.WindowMLP, {"num_layers": 1, "window": 9}),
    "window-linear": (nn.WindowMLP, {"num_layers": 0, "window": 3}),
    "cnn": (nn.CNN, {"num_layers": 3, "kernel_size": 3}),
    "cnn-wide": (nn.CNN, {"num_layers": 1, "kernel_size": 9}),
    "tcn": (nn.TCN, {"num_layers": 3, "kernel_size": 2}),
    "tcn-wide": (nn.TCN, {"num_layers": 2, "kernel_size": 3}),
}
MODULES: dict[str, tuple[Any, dict[str, Any]]] = {
    "WindowMLP": (WindowMLP, {"num_layers": 2, "layer_options": {"window": 8}}),
    "CNN": (CNN, {"num_layers": 2, "layer_options": {"kernel_size": 3}}),
    "TCN": (TCN, {"num_layers": 2, "layer_options": {"kernel_size": 3}}),
}
CAUSAL = [case for case in LAYERS if not case.startswith("cnn")]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """On a busy machine two threads wait for each other far longer than so small a convolution takes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def make(case: str, inputs: int = 3, hidden: int = 4) -> Any:
    torch.manual_seed(0)
    cls, options = LAYERS[case]
    return cls(inputs, hidden, dtype=torch.float64, **options)


def module(name: str, *facts: Any, **more: Any) -> Any:
    torch.manual_seed(0)
    cls, options = MODULES[name]
    return cls(*facts, **{"hidden_size": 12, **options, **more})


# --- equations, one step, one tap and one channel after the other


def at(signal: list[Tensor], step: int) -> Tensor:
    return signal[step] if 0 <= step < len(signal) else torch.zeros_like(signal[0])


def window_mlp(layer: Any, sequence: list[Tensor]) -> list[Tensor]:
    found = []
    for t in range(len(sequence)):
        hidden = torch.cat([at(sequence, t - layer.window + 1 + j) for j in range(layer.window)])
        for number, convolution in enumerate(layer.layers):
            weight = convolution.weight.transpose(1, 2).flatten(1)  # columns in the order of the window
            inner = (weight @ hidden + convolution.bias).clamp(min=0)
            hidden = hidden + inner if layer.residual and number else inner
        found.append(hidden)
    return found


def cnn(layer: Any, sequence: list[Tensor]) -> list[Tensor]:
    for convolution in layer.layers:
        taps = convolution.weight.shape[2]
        sequence = [
            sum((convolution.weight[:, :, j] @ at(sequence, t + j - taps // 2) for j in range(taps)), convolution.bias)
            .clamp(min=0)
            for t in range(len(sequence))
        ]  # fmt: skip
    return sequence


def normalised(convolution: Any, sequence: list[Tensor]) -> list[Tensor]:
    v, g, taps = convolution.weight_v, convolution.weight_g, convolution.weight_v.shape[2]
    weight = torch.stack([g[o, 0, 0] * v[o] / v[o].square().sum().sqrt() for o in range(len(v))])
    return [
        sum(
            (weight[:, :, taps - 1 - j] @ at(sequence, t - convolution.dilation * j) for j in range(taps)),
            convolution.bias,
        ).clamp(min=0)
        for t in range(len(sequence))
    ]


def tcn(layer: Any, sequence: list[Tensor]) -> list[Tensor]:
    for number, block in enumerate(layer.blocks):
        assert block.first.dilation == block.second.dilation == 2**number
        inner = normalised(block.second, normalised(block.first, sequence))
        if len(sequence[0]) != len(inner[0]):
            sequence = [block.residual.weight[:, :, 0] @ one + block.residual.bias for one in sequence]
        sequence = [(one + other).clamp(min=0) for one, other in zip(sequence, inner, strict=True)]
    return sequence


REFERENCES: dict[str, Any] = {"window": window_mlp, "cnn": cnn, "tcn": tcn}


@pytest.mark.parametrize("inputs", [3, 4])
@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_is_its_equation(case: str, inputs: int) -> None:
    layer, x = make(case, inputs), draw(2, 7, inputs)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(draw(*parameter.shape))  # the gain too: at the start it is the norm
        reference = REFERENCES[case.split("-")[0]]
        expected = torch.stack([torch.stack(reference(layer, list(sequence))) for sequence in x])
        found = layer(x)
    assert found.shape == (2, 7, layer.output_size)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_without_hidden_layers_the_output_is_the_window() -> None:
    x = draw(1, 4, 2)
    found = make("window-linear", 2)(x)
    zero = torch.zeros(2, dtype=torch.float64)
    assert torch.equal(found[0, 0], torch.cat([zero, zero, x[0, 0]]))
    assert torch.equal(found[0, 3], x[0, 1:].flatten())
    model = WindowMLP(2, 3, "classification", num_layers=0, layer_options={"window": 4})
    assert [tuple(parameter.shape) for parameter in model.parameters()] == [(3, 8), (3,)]


def test_weights_start_with_the_norm_as_gain() -> None:
    layer, plain = make("tcn").blocks[0].first, torch.nn.Conv1d(3, 4, 2, dtype=torch.float64)
    plain.load_state_dict({"weight": layer.weight_v, "bias": layer.bias})
    x = draw(1, 3, 5)
    torch.testing.assert_close(layer(x)[:, :, 1:], plain(x))


def test_dropout_of_a_tcn_drops_whole_channels() -> None:
    torch.manual_seed(0)
    layer = nn.TCN(3, 64, dropout=0.5)
    x = torch.randn(1, 9, 3)
    block: Any = layer.blocks[0]
    residual = block.residual(x.transpose(1, 2))[0].relu()
    dropped = layer(x)[0].T.isclose(residual).all(1)
    kept = layer.eval()(x)[0].T.isclose(residual).all(1)
    assert 0.3 < dropped.float().mean() < 0.8
    assert kept.float().mean() < 0.2
    model = module("TCN", 2, 1, "regression", dropout=0.5)
    assert isinstance(model.dropout, torch.nn.Identity)
    assert model.layer.blocks[0].dropout.p == 0.5


# --- where a layer looks


@pytest.mark.parametrize("case", CAUSAL)
def test_a_causal_layer_has_no_later_input_in_an_output(case: str) -> None:
    layer, x = make(case), draw(2, 8, 3)
    assert layer.causal
    for step in range(8):
        changed = x.clone()
        changed[:, step] += 5
        assert torch.equal(layer(changed)[:, :step], layer(x)[:, :step])
        assert not torch.equal(layer(changed)[:, step], layer(x)[:, step])


def test_a_cnn_looks_ahead() -> None:
    layer, x = make("cnn"), draw(2, 8, 3)
    changed = x.clone()
    changed[:, 5] += 5
    assert not layer.causal
    assert not torch.equal(layer(changed)[:, 4], layer(x)[:, 4])


@pytest.mark.parametrize("case", LAYERS)
def test_an_output_sees_exactly_its_receptive_field(case: str) -> None:
    layer = make(case)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.abs_()  # every ReLU is open, nothing cancels
    x = torch.ones(1, 41, 3, dtype=torch.float64, requires_grad=True)
    step = 40 if layer.causal else 20
    (gradient,) = torch.autograd.grad(layer(x)[0, step].sum(), x)
    seen = gradient[0].abs().sum(-1).nonzero().flatten()
    assert len(seen) == layer.receptive_field
    assert int(seen[-1] - seen[0]) + 1 == layer.receptive_field
    assert int(seen[-1]) == (step if layer.causal else step + layer.receptive_field // 2)


@pytest.mark.parametrize(("blocks", "taps", "steps"), [(1, 2, 3), (3, 2, 15), (2, 3, 13), (8, 3, 1021), (4, 1, 1)])
def test_the_receptive_field_of_a_tcn_is_the_formula(blocks: int, taps: int, steps: int) -> None:
    assert nn.TCN(1, 1, blocks, kernel_size=taps).receptive_field == 1 + 2 * (taps - 1) * (2**blocks - 1) == steps


# --- padding


@pytest.mark.parametrize("case", LAYERS)
def test_a_padded_batch_gives_what_each_sequence_gives_alone(case: str) -> None:
    layer, x, lengths = make(case), draw(4, 7, 3), [7, 2, 5, 1]
    for row, length in enumerate(lengths):
        x[row, length:] = float("nan")
    x.requires_grad_()
    leaves, weights = [x, *layer.parameters()], draw(4, 7, layer.output_size, seed=2)
    found = layer(x, torch.tensor(lengths))
    gradients = torch.autograd.grad((found * weights).sum(), leaves)
    expected = [torch.zeros_like(leaf) for leaf in leaves]
    for row, length in enumerate(lengths):
        alone = layer(x[row : row + 1, :length])
        torch.testing.assert_close(found[row, :length], alone[0], rtol=0, atol=1e-12)
        assert not found[row, length:].any()
        for total, one in zip(
            expected, torch.autograd.grad((alone[0] * weights[row, :length]).sum(), leaves), strict=True
        ):
            total += one
    for one, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("objective", ["classification", "tagging"])
def test_padding_never_changes_a_prediction(name: str, objective: str) -> None:
    model = module(name, 9, 5, objective, "tokens").double().eval()
    tokens = torch.randint(1, 9, (2, 11))
    tokens[0, 4:] = 8
    alone = model(tokens[:1, :4], torch.tensor([4]))
    beside = model(tokens, torch.tensor([4, 11]))[:1]
    torch.testing.assert_close(beside if objective == "classification" else beside[:, :4], alone, rtol=0, atol=1e-12)


def test_a_mean_over_steps_is_over_true_ones() -> None:
    hidden = draw(2, 4, 3)
    hidden[0, 3:] = float("nan")
    found = mean_over_steps(hidden, torch.tensor([3, 4]))
    torch.testing.assert_close(found, torch.stack([hidden[0, :3].mean(0), hidden[1].mean(0)]))
    assert torch.equal(mean_over_steps(hidden[1:], None), hidden[1:].mean(1))


def test_one_output_of_a_cnn_is_read_from_the_mean_and_of_the_others_from_the_last_step() -> None:
    x, lengths = torch.randn(2, 9, 3), torch.tensor([9, 5])
    for name in MODULES:
        model = module(name, 3, 2, "classification").eval()
        hidden = model.layer(x, lengths)
        state = mean_over_steps(hidden, lengths) if name == "CNN" else hidden[torch.arange(2), lengths - 1]
        assert torch.equal(model(x, lengths), model.objective.head(state))


# --- as LightningModules


@pytest.mark.parametrize("objective", ["forecast", "language_model", "character_model"])
def test_a_cnn_on_a_causal_objective_is_infeasible(objective: str) -> None:
    with pytest.raises(Infeasible, match=f"objective '{objective}' is causal: a CNN would read the answer"):
        CNN(4, 4, objective)
    for name in ("WindowMLP", "TCN"):
        model = module(name, 4, 4, objective, "features" if objective == "forecast" else "tokens")
        inputs = torch.randn(2, 5, 4) if objective == "forecast" else torch.randint(1, 4, (2, 5))
        assert model(inputs, torch.tensor([5, 2])).shape == (2, 5, 4)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("objective", ["classification", "tagging"])
def test_eight_sequences_are_learnt_by_heart(name: str, objective: str) -> None:
    model = module(name, 12, 4, objective, "tokens", hidden_size=32)
    inputs, lengths = torch.randint(1, 12, (8, 8)), torch.arange(1, 9)
    inputs[:, 0] = lengths  # no two begin alike, or a causal network could not tell their first steps apart
    targets = torch.randint(0, 4, (8,) if objective == "classification" else (8, 8))
    targets = model.objective.known_targets(targets, lengths)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        summed, count = model.objective.loss(model(inputs, lengths), targets)
        optimizer.zero_grad()
        (summed / count).backward()
        optimizer.step()
    logits, known = model(inputs, lengths), targets != model.objective.unknown
    assert (summed / count) < 0.1
    assert bool((logits.argmax(-1) == targets)[known].all())


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("name", MODULES)
def test_a_checkpoint_reopens_under_safe_loading_and_predicts_the_same(
    name: str, deferred: bool, tmp_path: Path
) -> None:
    data = Adding(6, 64, 16)
    facts = {} if deferred else data.model_kwargs()
    model = module(name, **facts, dropout=0.1, activation_penalty=0.1, temporal_penalty=0.1)
    run = trainer(tmp_path)
    run.fit(model, data)
    assert model.backend == "torch"
    run.save_checkpoint(tmp_path / "model.ckpt")
    again = type(model).load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    inputs = torch.randn(3, 6, 2)
    assert torch.equal(again(inputs), model.eval()(inputs))


@pytest.mark.parametrize("case", LAYERS)
def test_a_layer_can_be_pickled(case: str) -> None:
    layer, x = make(case), draw(1, 4, 3)
    again: Any = pickle.loads(pickle.dumps(layer))
    assert torch.equal(again(x), layer(x))


@pytest.mark.parametrize("name", MODULES)
def test_options_and_docstring_of_a_module_are_those_of_its_layer(name: str) -> None:
    cls: type[SequenceModule] = getattr(architectures, name)
    model = cls(2, 1, "regression")
    assert issubclass(cls.layer_class, Feedforward)
    assert model.known_options() == ({"window", "residual"} if name == "WindowMLP" else {"kernel_size"})
    assert all(f"`{option}`" in (cls.__doc__ or "") for option in model.known_options())
    assert model.backend == "torch"


# --- what is refused


@pytest.mark.parametrize("name", MODULES)
def test_both_directions_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"bidirectional must be False for {name}, which is not recurrent, got True"):
        module(name, bidirectional=True)


@pytest.mark.parametrize(
    ("cls", "arguments", "error", "told"),
    [
        (CNN, {"layer_options": {"kernel_size": 4}}, ValueError, "kernel_size must be odd.*got 4"),
        (CNN, {"layer_options": {"kernel": 3}}, RnnbenchError, "did you mean 'kernel_size'"),
        (TCN, {"layer_options": {"kernel_size": 0}}, ValueError, "kernel_size must be at least 1, got 0"),
        (TCN, {"layer_options": {"zoneout": 0.1}}, RnnbenchError, "unknown layer option of TCN 'zoneout'"),
        (WindowMLP, {"layer_options": {"window": 2.5}}, TypeError, "window must be a whole number, got 2.5"),
        (WindowMLP, {"layer_options": {"residual": 1}}, TypeError, "residual must be True or False, got 1"),
        (WindowMLP, {"num_layers": -1}, ValueError, "num_layers must be at least 0, got -1"),
        (CNN, {"num_layers": 0}, ValueError, "num_layers must be at least 1, got 0"),
        (nn.TCN, {"input_size": 1, "hidden_size": 1, "dropout": 1.0}, ValueError, "dropout must be .* got 1.0"),
        (nn.CNN, {"input_size": 1, "hidden_size": 1, "dropout": "a"}, TypeError, "dropout must be a number, got 'a'"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(cls: Any, arguments: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        cls(**arguments)


@pytest.mark.parametrize(
    ("shape", "lengths", "told"),
    [
        ((2, 3), None, r"input must be \[B, T, I\], got shape \[2, 3\]"),
        ((2, 4, 5), None, r"input must have 3 features \(input_size\), got shape \[2, 4, 5\]"),
        ((2, 0, 3), None, "input must have at least one step"),
        ((2, 4, 3), [4], r"lengths must have shape \[2\], one for each sequence, got \[1\]"),
        ((2, 4, 3), [4, 0], r"lengths must be 1 to 4, the steps of the input, got \[4, 0\]"),
        ((2, 4, 3), [5, 1], "lengths must be 1 to 4"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(shape: Any, lengths: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        nn.CNN(3, 4)(torch.zeros(shape), None if lengths is None else torch.tensor(lengths))
    with pytest.raises(TypeError, match="input must be a tensor, got list"):
        nn.CNN(3, 4)([0.0])
