"""Every layer as a LightningModule: named points train, options are checked, a cell of one's own joins."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.nn.utils.rnn import pad_packed_sequence

from rnnbench import architectures, nn
from rnnbench.architectures import LSTM, MUT, CellModule, CoupledLSTM, PeepholeLSTM, SequenceModule
from rnnbench.architectures.module import _mean_over_processes, activation_penalties
from rnnbench.config.cards import ArchitectureCard, ClassSpec
from rnnbench.data import Adding
from rnnbench.errors import RnnbenchError
from rnnbench.harness.execute import backend_of
from rnnbench.harness.instantiate import construct, constructor_arguments
from rnnbench.nn import Cell, Recurrent, run_padded
from rnnbench.nn.feedforward import Feedforward
from tests.conftest import ARCHITECTURES
from tests.fixtures.interpreters import CLI, python
from tests.fixtures.quiet_trainer import trainer

COMPILED = {"lstm-peephole", "lstm-zoneout", "slstm", "mingru", "lru"}
"""Named points that this test compiles; the others run as one autograd function, which takes no compiler's time."""

GENERAL = ("SequenceModule", "AnyCell", "CellModule")
CLASSES = [getattr(architectures, name) for name in architectures.__all__ if name not in GENERAL]
RECURRENT = [cls for cls in CLASSES if issubclass(cls.layer_class, Recurrent)]


@dataclass(eq=False)
class Leaky(Cell):
    """A cell of one's own."""

    slope: float = 0.5

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return self.slope * s.h + torch.tanh(z.n)


class Plain(Cell):
    """One with a constructor of its own."""

    gates = ("n",)

    def __init__(self, scale: float) -> None:
        if scale < 0:
            raise ValueError("scale must be at least 0")
        self.scale = scale

    def step(self, z: Any, s: Any) -> Any:
        return self.scale * torch.tanh(z.n)


LEAKY, PLAIN = f"{__name__}.Leaky", f"{__name__}.Plain"


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_named_architecture_trains(name: str, tmp_path: Path) -> None:
    _, card = ArchitectureCard.load(name)
    options = dict(card.init_args.get("layer_options", {}))
    if "proj_size" in options:
        options["proj_size"] = 3
    recurrent = card.class_path in {f"rnnbench.architectures.{cls.__name__}" for cls in RECURRENT}
    if recurrent and name not in COMPILED:
        options["engine"] = "function"
    arguments = {**card.init_args, "hidden_size": 8, "layer_options": options}
    data = Adding(6, 32, 16)
    spec = ClassSpec(class_path=card.class_path, init_args=arguments)
    model = construct(spec, LightningModule, name, set(), **data.model_kwargs())
    before = [parameter.detach().clone() for parameter in model.parameters()]
    run = trainer(tmp_path, max_steps=2, limit_val_batches=1, num_sanity_val_steps=0)
    run.fit(model, data)
    assert torch.isfinite(run.callback_metrics["train/loss"])
    assert all(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    engines = {"native", "torch", "function"} if name in COMPILED else {"function"}
    assert backend_of(model) in (engines if recurrent else {"torch"})
    assert model(torch.randn(2, 6, 2)).shape == (2, 1)


def test_every_layer_has_its_architecture() -> None:
    layers = {
        thing
        for thing in vars(nn).values()
        if inspect.isclass(thing)
        and issubclass(thing, (Recurrent, Feedforward))
        and thing is not Recurrent
        and not issubclass(thing, nn.RecurrentCell)
    }
    assert {cls.layer_class for cls in CLASSES} == layers
    assert {cls.__name__ for cls in CLASSES} == {layer.__name__ for layer in layers}
    assert {ArchitectureCard.load(name)[1].class_path for name in ARCHITECTURES} == {
        f"rnnbench.architectures.{cls.__name__}" for cls in CLASSES
    }


@pytest.mark.parametrize("cls", RECURRENT)
def test_layer_options_are_all_that_the_layer_takes(cls: type[SequenceModule]) -> None:
    layer: Any = cls.layer_class
    model = cls(2, 1, "regression", hidden_size=4)
    common = {"bias", "connections", "variational_dropout", "zoneout", "weight_dropout", "recurrent_init", "chrono"}
    assert model.known_options() >= common | {"engine", "checkpoint_steps"} | layer.cell_options()
    assert not model.known_options() & {"self", "args", "options", "input_size", "hidden_size", "dropout", "cell"}
    told = (cls.__doc__ or "") + (SequenceModule.__doc__ or "")
    if cls is CoupledLSTM:
        told += "forget_bias"  # there is no forget gate of its own
    assert all(f"`{name}`" in told or name == "forget_bias" for name in model.known_options())


@pytest.mark.parametrize(
    ("cls", "options", "error", "told"),
    [
        (LSTM, {"peephol": "full"}, RnnbenchError, "did you mean 'peephole'"),
        (PeepholeLSTM, {"ablation": ["NP"]}, RnnbenchError, "did you mean 'ablations'"),
        (PeepholeLSTM, {"ablations": ["NPX"]}, ValueError, "did you mean 'NP'"),
        (MUT, {"variants": 2}, RnnbenchError, "did you mean 'variant'"),
        (MUT, {"variant": 4}, ValueError, "variant must be 1, 2 or 3"),
        (MUT, {"proj_size": 2}, RnnbenchError, "unknown layer option of MUT 'proj_size'"),
        (LSTM, {"cell": "x"}, RnnbenchError, "unknown layer option"),
        (LSTM, {"zoneout": [0.1, 0.2, 0.3]}, ValueError, "zoneout"),
        (LSTM, {"engine": "fast"}, ValueError, "engine must be one of"),
        (PeepholeLSTM, {"engine": "torch"}, ValueError, "engine 'torch' cannot run"),
    ],
)
def test_options_are_checked_before_there_is_data(cls: Any, options: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        cls(hidden_size=8, layer_options=options)


def test_a_list_stands_for_a_tuple() -> None:
    options: Any = {"zoneout": [0.1, 0.2], "ablations": ["NOG", "NIAF"], "bias": False}
    model = LSTM(2, 1, "regression", hidden_size=4, layer_options=options)
    assert model.layer.zoneout == (0.1, 0.2)
    assert model.layer.cell.ablations == ("NOG", "NIAF")
    assert not model.layer.bias


def test_a_layer_that_passes_no_keywords_on_has_only_its_own_options() -> None:
    class Closed(nn.LSTM):
        def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, *, bias: bool = True, **shape: Any):
            super().__init__(input_size, hidden_size, num_layers, bias, **shape)

    class Shut(nn.LSTM):
        def __init__(
            self, input_size: int, hidden_size: int, num_layers: int = 1, batch_first: bool = False,
            dropout: float = 0.0, bidirectional: bool = False, leak: float = 0.0,
        ) -> None:  # fmt: skip
            super().__init__(input_size, hidden_size, num_layers, True, batch_first, dropout, bidirectional)

    class Open(SequenceModule):
        layer_class = Closed

    class Narrow(SequenceModule):
        layer_class = Shut

    assert {"bias", "forget_bias", "zoneout"} <= Open().known_options()
    assert Narrow().known_options() == {"leak"}
    assert Narrow(2, 1, "regression", hidden_size=4, layer_options={"leak": 0.1}).layer.output_size == 4


def test_the_backend_is_told_before_there_is_a_layer_and_for_an_engine_that_cannot_run() -> None:
    assert LSTM(hidden_size=4).backend is None
    assert LSTM(2, 1, "regression", hidden_size=4, layer_options={"engine": "reference"}).backend == "reference"
    native = LSTM(2, 1, "regression", hidden_size=4, layer_options={"engine": "native"})
    assert native.bfloat16().backend is None
    assert backend_of(LSTM(hidden_size=4)) == "other"


# --- a cell of one's own


def test_a_cell_of_ones_own_trains_and_reopens(tmp_path: Path) -> None:
    data = Adding(6, 32, 16)
    options: Any = {"slope": 0.25, "engine": "function", "zoneout": 0.1}
    model = CellModule.from_data(data, cell=LEAKY, hidden_size=4, num_layers=2, layer_options=options)
    run = trainer(tmp_path)
    run.fit(model, data)
    assert (model.layer.cell.slope, model.layer.zoneout, model.backend) == (0.25, (0.1,), "function")
    run.save_checkpoint(tmp_path / "model.ckpt")
    again = CellModule.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    inputs = torch.randn(3, 6, 2)
    assert torch.equal(again(inputs), model.eval()(inputs))


def test_a_cells_own_constructor_gets_its_arguments() -> None:
    sizes: Any = {"input_size": 2, "output_size": 1, "objective": "regression"}
    model = CellModule(PLAIN, hidden_size=4, layer_options={"scale": 2.0, "engine": "reference"}, **sizes)
    assert model.layer.cell.scale == 2.0
    assert model.known_options() >= {"scale", "engine", "bias"}


@pytest.mark.parametrize(
    ("cell", "options", "told"),
    [
        ("Leaky", {}, "not an import path: write package.module.Class"),
        ("nowhere.at.All", {}, "cannot be imported: ModuleNotFoundError"),
        (f"{__name__}.Leeky", {}, "did you mean 'Leaky'"),
        (f"{__name__}.CLI", {}, "not a subclass of rnnbench.nn.Cell"),
        ("rnnbench.nn.Cell", {}, "not a subclass of rnnbench.nn.Cell"),
        (LEAKY, {"slop": 1.0}, "unknown layer option of CellModule 'slop'; did you mean 'slope'"),
        (PLAIN, {}, "cannot be made: .*scale"),
        (PLAIN, {"scale": -1.0}, "cannot be made: ValueError: scale must be at least 0 .in tests/architectures"),
    ],
)
def test_a_path_that_leads_to_no_cell_is_refused(cell: str, options: Any, told: str) -> None:
    with pytest.raises(RnnbenchError, match=told):
        CellModule(cell, layer_options=options)


def test_any_cell_takes_what_every_architecture_takes() -> None:
    assert constructor_arguments(CellModule) == {"cell": str, **constructor_arguments(SequenceModule)}
    with pytest.raises(TypeError, match="hiden_size"):
        CellModule(LEAKY, hiden_size=4)


def test_a_stock_lightning_cli_takes_lists_and_cells(tmp_path: Path) -> None:
    options = {"ablations": ["NIAF", "NOG"], "engine": "function", "forget_bias": None, "zoneout": [0.1, 0.2]}
    models = [
        {"class_path": "rnnbench.architectures.LSTM", "init_args": {"layer_options": options}},
        {"class_path": "rnnbench.architectures.AnyCell", "init_args": {"cell": "rnnbench.nn.cells.gru.MGUCell"}},
    ]
    code = (
        "import sys, torch\nfrom lightning.pytorch.cli import LightningCLI\n"
        "for name in ('0.yaml', '1.yaml'):\n"
        "    cli = LightningCLI(run=False, args=['--config', name])\n"
        "    print('MADE', type(cli.model).__name__, cli.model.hparams.layer_options)\n"
    )
    for number, model in enumerate(models):
        (tmp_path / f"{number}.yaml").write_text(yaml.safe_dump({**CLI, "model": model}))
    said = python(code, cwd=tmp_path)
    assert f"MADE LSTM {options}" in said
    assert "MADE CellModule None" in said


# --- penalties


def penalty(hidden: Tensor, dropped: Tensor, lengths: Tensor | None) -> Tensor:
    terms = activation_penalties(hidden, dropped, lengths, 2.0, 3.0)
    return sum(map(_mean_over_processes, terms), torch.zeros(()))


def test_penalties_are_means_over_true_steps() -> None:
    torch.manual_seed(0)
    hidden, dropped = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    lengths = torch.tensor([5, 1, 3])
    states = [hidden[row, :length] for row, length in enumerate(lengths)]
    alone = torch.cat([dropped[row, :length] for row, length in enumerate(lengths)])
    steps = torch.cat([one[1:] - one[:-1] for one in states])
    expected = 2 * alone.square().mean() + 3 * steps.square().mean()
    assert torch.allclose(penalty(hidden, dropped, lengths), expected)
    full = 2 * dropped.square().mean() + 3 * (hidden[:, 1:] - hidden[:, :-1]).square().mean()
    assert torch.allclose(penalty(hidden, dropped, None), full)
    single = penalty(hidden, dropped, torch.ones(3, dtype=torch.int64))
    assert torch.allclose(single, 2 * dropped[:, 0].square().mean())


def test_penalties_shrink_activations_and_stay_out_of_the_logged_loss(tmp_path: Path) -> None:
    data = Adding(6, 64, 16)
    sizes, losses = [], []
    for weight in (0.0, 50.0):
        torch.manual_seed(0)
        settings: Any = {"hidden_size": 6, "learning_rate": 1e-2, "layer_options": {"engine": "function"}}
        model = LSTM.from_data(data, activation_penalty=weight, temporal_penalty=weight, **settings)
        run = trainer(tmp_path, max_steps=40, limit_val_batches=0)
        run.fit(model, data)
        sizes.append(model.layer(torch.rand(4, 6, 2))[0].square().mean().item())
        losses.append(run.callback_metrics["train/loss"].item())
    assert sizes[1] < sizes[0] / 5
    assert losses[1] < 2
    with pytest.raises(ValueError, match="activation_penalty"):
        LSTM(activation_penalty=-1.0)


# --- padding


class Spy(torch.nn.Module):
    """Notes whether its inputs come packed."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer, self.bidirectional, self.packed = layer, layer.bidirectional, False
        self.checkpoint_steps = getattr(layer, "checkpoint_steps", None)

    def forward(self, inputs: Any, states: Any = None) -> Any:
        self.packed = not isinstance(inputs, torch.Tensor)
        return self.layer(inputs, states)


@pytest.mark.parametrize("both", [False, True])
def test_sequences_are_packed_only_if_their_lengths_differ(both: bool) -> None:
    layer = Spy(nn.LSTM(2, 3, batch_first=True, bidirectional=both, engine="function"))
    inputs = torch.randn(2, 4, 2)
    for lengths, packed in ((None, False), ([4, 4], False), ([4, 2], True), ([3, 3], True)):
        found = run_padded(layer, inputs, None if lengths is None else torch.tensor(lengths))
        assert layer.packed is packed
        assert found.shape == (2, 4, 6 if both else 3)
    ours = layer.layer(torch.nn.utils.rnn.pack_padded_sequence(inputs, [3, 3], batch_first=True))[0]
    assert torch.equal(found, pad_packed_sequence(ours, batch_first=True, total_length=4)[0])


@pytest.mark.parametrize("both", [False, True])
def test_checkpointed_steps_see_no_padding_either(both: bool) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(2, 3, batch_first=True, bidirectional=both, engine="reference", checkpoint_steps=2)
    spy, lengths = Spy(layer), torch.tensor([5, 2, 4])
    inputs = torch.randn(3, 5, 2)
    for row, length in enumerate(lengths):
        inputs[row, length:] = float("nan")
    found = run_padded(spy, inputs, lengths)
    assert spy.packed is both
    found.sum().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in layer.parameters())
    for row, length in enumerate(lengths):
        alone = layer(inputs[row : row + 1, :length])[0][0]
        assert torch.allclose(found[row, :length], alone, atol=1e-6)
        assert not found[row, length:].any()
