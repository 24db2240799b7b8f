"""LightningModules: built from facts, trained, clipped, saved and opened again."""

import inspect
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from rnnbench import architectures
from rnnbench.architectures import GRU, LSTM, Elman
from rnnbench.architectures.optim import make_optimizer, make_schedule
from rnnbench.config.cards import ArchitectureCard, ClassSpec
from rnnbench.data import Adding, CopyMemory, MovieSentiment, WeatherNYC
from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.harness.instantiate import construct, constructor_arguments
from tests.fixtures.quiet_trainer import trainer

SMALL: list[Any] = [
    lambda: Adding(6, 64, 16),
    lambda: CopyMemory(3, 64, 16),
    lambda: WeatherNYC(12, 4, 40, 16),
    lambda: MovieSentiment(40, 16, 16),
]


def module(name: str, **more: Any) -> Any:
    _, card = ArchitectureCard.load(name)
    arguments = {**card.init_args, "hidden_size": 6, **more}
    return construct(ClassSpec(class_path=card.class_path, init_args=arguments), LightningModule, name, set())


@pytest.mark.usefixtures("module_stand_ins")
def test_a_stack_that_reads_backwards_is_infeasible_for_a_causal_task() -> None:
    with pytest.raises(Infeasible, match="causal"):
        module("bigru", **WeatherNYC(12, 4, 40, 16).model_kwargs())


# `test_named` does the same with every architecture on one task, and smoke trains each on every kind of task.
@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize(("name", "make"), [*(("lstm-2", make) for make in SMALL), ("bigru-3", SMALL[3])])
def test_all_parameters_of_a_stack_are_trained_on_every_kind_of_task(name: str, make: Any, tmp_path: Path) -> None:
    data = make()
    model = module(name, **data.model_kwargs())
    before = [parameter.detach().clone() for parameter in model.parameters()]
    run = trainer(tmp_path)
    run.fit(model, data)
    assert "train/loss" in run.callback_metrics
    scores = run.test(model, data, verbose=False)[0]
    assert {"test/loss", f"test/{model.objective.loss_name}"} <= set(scores)
    moved = [not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True)]
    assert all(moved)


def test_sizes_come_from_the_trainers_data_when_none_are_given(tmp_path: Path) -> None:
    model = LSTM(hidden_size=4)
    trainer(tmp_path).fit(model, Adding(6, 64, 16))
    assert [model.hparams[name] for name in ("input_size", "output_size", "objective")] == [2, 1, "regression"]


def test_without_data_or_sizes_training_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    loader: Any = torch.utils.data.DataLoader([0])  # type: ignore[arg-type]
    with pytest.raises(RnnbenchError, match="from_data"):
        trainer(tmp_path).fit(LSTM(hidden_size=4), loader, loader)


@pytest.mark.parametrize("deferred", [False, True])
@pytest.mark.parametrize("cls", [Elman, LSTM, GRU])
def test_a_checkpoint_reopens_under_safe_loading_and_predicts_the_same(
    cls: Any, deferred: bool, tmp_path: Path
) -> None:
    data = Adding(6, 64, 16)
    settings = {
        "hidden_size": 5,
        "num_layers": 2,
        "bidirectional": True,
        "dropout": 0.1,
        "layer_options": {"bias": True},
    }
    model = cls(**settings) if deferred else cls.from_data(data, **settings)
    run = trainer(tmp_path)
    run.fit(model, data)
    run.save_checkpoint(tmp_path / "model.ckpt")
    again = cls.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True).eval()
    inputs = torch.randn(3, 6, 2)
    assert torch.equal(again(inputs), model.eval()(inputs))


@pytest.mark.parametrize("cls", [Elman, LSTM, GRU])
@pytest.mark.parametrize("both", [False, True])
def test_padding_never_changes_a_prediction(cls: Any, both: bool) -> None:
    torch.manual_seed(0)
    model = cls(9, 5, "classification", "tokens", hidden_size=6, num_layers=2, bidirectional=both).double().eval()
    tokens = torch.randint(1, 9, (1, 4))
    alone = model(tokens, torch.tensor([4]))
    longer = torch.cat([tokens, torch.full((1, 7), 8)], dim=1)
    beside = model(torch.cat([longer, torch.randint(1, 9, (1, 11))]), torch.tensor([4, 11]))
    assert torch.allclose(beside[:1], alone, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_loss_is_the_mean_over_all_terms_however_they_are_batched(tmp_path: Path) -> None:
    model, inputs, targets = Elman(1, 1, "regression", hidden_size=4), torch.rand(9, 3, 1), torch.rand(9, 1)
    batches: Any = [(inputs[rows], targets[rows], None) for rows in (slice(0, 6), slice(6, 8), slice(8, 9))]
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path)
    found = trainer.test(model, DataLoader(batches, batch_size=None), verbose=False)[0]["test/loss"]
    assert found == pytest.approx((model.eval()(inputs) - targets).square().mean().item())


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_batch_whose_loss_is_no_number_is_not_left_out_of_the_score(tmp_path: Path) -> None:
    model = Elman(1, 1, "regression", hidden_size=4)
    inputs = torch.rand(4, 3, 1)
    inputs[2] = float("nan")
    batches: Any = [(row.unsqueeze(0), torch.zeros(1, 1), None) for row in inputs]
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, default_root_dir=tmp_path)
    assert math.isnan(trainer.test(model, DataLoader(batches, batch_size=None), verbose=False)[0]["test/loss"])


def test_a_bidirectional_prediction_uses_both_ends() -> None:
    model = GRU(2, 1, "regression", hidden_size=4, bidirectional=True).eval()
    inputs = torch.randn(1, 30, 2)
    for step in (0, -1):
        changed = inputs.clone()
        changed[:, step] += 10
        assert not torch.allclose(model(changed), model(inputs), atol=1e-3)


class Gradients(Callback):
    """Keeps norm and largest component of the clipped gradient."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def on_before_optimizer_step(self, trainer: Any, pl_module: LightningModule, optimizer: Any) -> None:
        self.before = torch.cat([p.grad.flatten() for p in pl_module.parameters() if p.grad is not None]).norm().item()

    def on_train_batch_end(
        self, trainer: Any, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        flat = torch.cat([p.grad.flatten() for p in pl_module.parameters() if p.grad is not None])
        self.seen.append((flat.norm().item(), flat.abs().max().item()))


@pytest.mark.parametrize(("setting", "which"), [("clip_norm", 0), ("clip_value", 1)])
def test_gradients_are_clipped_by_norm_or_by_value(setting: str, which: int, tmp_path: Path) -> None:
    free, clipped, seen = Gradients(), Gradients(), 1e-3
    data = Adding(6, 64, 16)
    trainer(tmp_path, callbacks=[free]).fit(GRU.from_data(data, hidden_size=4), data)
    trainer(tmp_path, callbacks=[clipped]).fit(GRU.from_data(data, hidden_size=4, **{setting: seen}), data)
    assert min(one[which] for one in free.seen) > 10 * seen
    assert max(one[which] for one in clipped.seen) <= seen * 1.001


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_descends(name: Any) -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = make_optimizer(name, [weight], 0.01)
    for _ in range(20):
        optimizer.zero_grad()
        weight.square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert weight.item() < 0.9
    assert bool(optimizer.defaults.get("fused")) == (name != "rmsprop")


@pytest.mark.parametrize(
    ("name", "warmup", "expected"),
    [
        ("constant", 2, [0.5, 1.0, 1.0, 1.0, 1.0]),
        ("linear", 0, [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("cosine", 0, [1.0, 0.8535534, 0.5, 0.1464466, 0.0]),
        ("linear", 2, [0.5, 1.0, 1.0, 0.5, 0.0]),
    ],
)
def test_a_schedule_follows_its_curve(name: Any, warmup: int, expected: list[float]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make_schedule(optimizer, name, warmup, 4)
    rates = []
    for _ in expected:
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx(expected, abs=1e-6)


def test_a_schedule_without_an_end_is_refused() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    with pytest.raises(ValueError, match="known number of steps"):
        make_schedule(optimizer, "cosine", 0, float("inf"))


def test_a_trained_schedule_ends_at_nothing(tmp_path: Path) -> None:
    data = Adding(6, 64, 16)
    model = GRU.from_data(data, hidden_size=4, schedule="cosine", warmup_steps=1)
    run = trainer(tmp_path, max_steps=8)
    run.fit(model, data)
    assert run.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        ({"num_layers": 0}, "num_layers"),
        ({"dropout": 1.0}, "dropout"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"input_size": 3}, "together"),
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        LSTM(**arguments)


def test_an_unknown_layer_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(RnnbenchError, match="did you mean 'forget_bias'"):
        LSTM(layer_options={"forgetbias": 1.0})


def test_no_public_constructor_hides_its_arguments() -> None:
    own = set(inspect.signature(architectures.SequenceModule).parameters)
    for cls in (getattr(architectures, name) for name in architectures.__all__):
        kinds = {parameter.kind for parameter in inspect.signature(cls).parameters.values()}
        if cls is architectures.CellModule:  # hands all but `cell` on; whoever checks arguments has to see these
            assert {"cell", *own} == set(constructor_arguments(cls))
        else:
            assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_a_projected_lstm_feeds_its_head_the_projection() -> None:
    model = LSTM(2, 1, "regression", hidden_size=6, layer_options={"proj_size": 3}, bidirectional=True)
    assert model.objective.head.in_features == 6
    assert model(torch.randn(2, 4, 2)).shape == (2, 1)
