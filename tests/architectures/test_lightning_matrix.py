"""Every flag, callback and loop of Lightning's Trainer with modules and data of each kind, for a step each."""

import inspect
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import LightningModule, Trainer, callbacks, loggers
from lightning.pytorch.tuner.tuning import Tuner
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_sequence
from torch.utils.data import DataLoader, TensorDataset

from rnnbench.architectures import CNN, LSTM, Elman
from rnnbench.cli.lightning import LightningCLI
from rnnbench.data import Adding
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.batch import Batch, as_batch
from tests.fixtures.kinds import KINDS, QUIET, Seen, make_data, make_model, through_all_loops, trainer

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.usefixtures("module_stand_ins"),
    pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class KeepPredictions(callbacks.BasePredictionWriter):
    def __init__(self) -> None:
        super().__init__(write_interval="batch_and_epoch")
        self.indices: list[int] = []

    def write_on_batch_end(self, trainer: Any, module: Any, prediction: Any, indices: Any, *_: Any) -> None:
        self.indices += indices

    def write_on_epoch_end(self, trainer: Any, module: Any, predictions: Any, indices: Any) -> None:
        assert [place for batch in indices[0] for place in batch] == self.indices


FLAGS: dict[str, dict[str, Any]] = {
    "fast_dev_run": {"fast_dev_run": True},
    "overfit_batches": {"overfit_batches": 2},
    "limits": {"limit_train_batches": 0.5, "limit_val_batches": 1, "limit_test_batches": 1.0},
    "accumulate_grad_batches": {"accumulate_grad_batches": 2},
    "clip by norm": {"gradient_clip_val": 0.1},
    "clip by value": {"gradient_clip_val": 0.1, "gradient_clip_algorithm": "value"},
    "bf16-mixed": {"precision": "bf16-mixed"},
    "bf16-true": {"precision": "bf16-true"},
    "64-true": {"precision": "64-true"},
    "detect_anomaly": {"detect_anomaly": True},
    "inference_mode": {"inference_mode": False},
    "reload_dataloaders": {"reload_dataloaders_every_n_epochs": 1},
    "val_check_interval": {"val_check_interval": 1},
    "check_val_every_n_epoch": {"check_val_every_n_epoch": 2},
    "max_time": {"max_time": "00:00:10:00"},
    "sanity": {"num_sanity_val_steps": 1},
    "simple profiler": {"profiler": "simple"},
    "barebones": {
        "barebones": True,
        "limit_train_batches": 1.0,
        "limit_val_batches": 1.0,
        "limit_test_batches": 1.0,
        "limit_predict_batches": 1.0,
        "logger": None,
        "enable_checkpointing": None,
        "enable_progress_bar": None,
        "enable_model_summary": None,
        "num_sanity_val_steps": None,
    },
    "deterministic": {"deterministic": True},
    "distributed sampler left alone": {"use_distributed_sampler": False},
    "sync_batchnorm": {"sync_batchnorm": True},
    "model summary": {"enable_model_summary": True},
    "checkpoints": {"enable_checkpointing": True},
    "log_every_n_steps": {"log_every_n_steps": 1, "logger": True},
}
CALLBACKS: dict[str, Callable[[], callbacks.Callback]] = {
    "EarlyStopping": lambda: callbacks.EarlyStopping("val/loss"),
    "ModelCheckpoint": lambda: callbacks.ModelCheckpoint(".", monitor="val/loss", every_n_train_steps=1),
    "StochasticWeightAveraging": lambda: callbacks.StochasticWeightAveraging(1e-2, swa_epoch_start=1),
    "EMAWeightAveraging": lambda: callbacks.EMAWeightAveraging(decay=0.5),
    "LearningRateFinder": lambda: callbacks.LearningRateFinder(num_training_steps=2),
    "BatchSizeFinder": lambda: callbacks.BatchSizeFinder(max_trials=2, steps_per_trial=1),
    "RichProgressBar": callbacks.RichProgressBar,
    "TQDMProgressBar": callbacks.TQDMProgressBar,
    "ModelSummary": lambda: callbacks.ModelSummary(max_depth=-1),
    "RichModelSummary": callbacks.RichModelSummary,
    "LearningRateMonitor": callbacks.LearningRateMonitor,
    "Timer": lambda: callbacks.Timer("00:00:10:00"),
    "BackboneFinetuning": lambda: callbacks.BackboneFinetuning(unfreeze_backbone_at_epoch=1),
    "GradientAccumulationScheduler": lambda: callbacks.GradientAccumulationScheduler({0: 2}),
    "DeviceStatsMonitor": callbacks.DeviceStatsMonitor,
    "ModelPruning": lambda: callbacks.ModelPruning("l1_unstructured", amount=0.5),
    "OnExceptionCheckpoint": lambda: callbacks.OnExceptionCheckpoint("."),
    "BasePredictionWriter": KeepPredictions,
}
NEED_A_LOGGER = {"LearningRateMonitor", "DeviceStatsMonitor"}
TWO_EPOCHS = {"StochasticWeightAveraging", "BackboneFinetuning"}
WITH_EVERY_KIND = {
    "fast_dev_run", "overfit_batches", "limits", "accumulate_grad_batches", "bf16-mixed", "bf16-true", "64-true",
    "StochasticWeightAveraging", "BatchSizeFinder", "ModelPruning", "BasePredictionWriter",
}  # fmt: skip
"""What changes batches, numbers or parameters, and so may depend on the kind; all else is tried with two kinds."""


def covering(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of a name and a kind: every name with each kind or with two, in turn, so that every kind meets as many."""
    return [
        (name, kind)
        for number, name in enumerate(names)
        for place, kind in enumerate(KINDS)
        if name in WITH_EVERY_KIND or (place - number) % len(KINDS) in (0, 2)
    ]


@pytest.mark.parametrize(("name", "kind"), covering(FLAGS))
def test_every_flag_of_a_trainer(name: str, kind: str) -> None:
    through_all_loops(trainer(**FLAGS[name]), make_model(kind), make_data(kind))


@pytest.mark.parametrize(("name", "kind"), covering(CALLBACKS))
def test_every_callback(name: str, kind: str) -> None:
    changes: dict[str, Any] = {"callbacks": [CALLBACKS[name]()], "max_epochs": 2 if name in TWO_EPOCHS else 1}
    if name in NEED_A_LOGGER:
        changes |= {"logger": loggers.CSVLogger("."), "log_every_n_steps": 1}
    if "Checkpoint" in name:
        changes["enable_checkpointing"] = True
    if "Bar" in name:
        changes["enable_progress_bar"] = True
    if "Summary" in name:
        changes["enable_model_summary"] = True
    fitting, model, data = trainer(**changes), make_model(kind), make_data(kind)
    if name == "BatchSizeFinder":  # it also looks for a batch size before each of the other loops
        fitting.fit(model, data)
        assert data.batch_size == data.hparams.batch_size == 4
    else:
        through_all_loops(fitting, model, data)


@pytest.mark.parametrize("kind", KINDS)
def test_every_subcommand(kind: str, tmp_path: Path) -> None:
    model, data = make_model(kind), make_data(kind)
    arguments = {name: data.hparams[name] for name in inspect.signature(type(data)).parameters}
    content = {
        "trainer": {**QUIET, "max_steps": 1, "logger": False},
        "model": {"class_path": type(model).__name__, "init_args": {"hidden_size": 4, "embedding_size": 3}},
        "data": {"class_path": type(data).__name__, "init_args": arguments},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content))
    for subcommand in ("fit", "validate", "test", "predict"):
        optimizer = ["--optimizer", "SGD", "--optimizer.lr", "0.1"] if subcommand == "fit" else []
        done = LightningCLI(save_config_callback=None, args=[subcommand, "--config", "config.yaml", *optimizer])
        assert done.trainer.state.finished
        assert done.model.hparams.input_size == data.model_kwargs()["input_size"]
        assert [type(one).__name__ for one in done.trainer.optimizers] == (["SGD"] if optimizer else [])


def test_two_processes_train_validate_test_and_predict_every_kind() -> None:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.fixtures.lightning_pair"]
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^DONE (\w+) (\d)$", done.stdout, re.M) == [(kind, "2") for kind in KINDS]


# --- what these flags and callbacks are to do


@pytest.mark.parametrize("kind", KINDS)
def test_overfitting_reads_the_same_batches_in_every_epoch(kind: str) -> None:
    seen = Seen()
    trainer(overfit_batches=2, max_epochs=2, callbacks=[seen]).fit(make_model(kind), make_data(kind))
    assert len(seen.batches) == 4
    for first, second in zip(seen.batches[:2], seen.batches[2:], strict=True):
        assert first.inputs.shape[0] == 4
        assert torch.equal(first.inputs, second.inputs)
        assert torch.equal(first.targets, second.targets)
    if kind == "stream":
        assert [batch.continues for batch in seen.batches] == [False, True, False, True]


@pytest.mark.parametrize("name", ["StochasticWeightAveraging", "BackboneFinetuning"])
def test_a_module_that_takes_its_sizes_from_the_data_is_averaged_and_frozen_like_others(name: str) -> None:
    """Some callbacks copy or freeze a module before Lightning has it build its layers."""
    data, weights = make_data("features"), []
    for deferred in True, False:
        torch.manual_seed(0)  # layers are drawn in the next line or in `fit`
        model = LSTM(hidden_size=4) if deferred else LSTM.from_data(data, hidden_size=4)
        trainer(callbacks=[CALLBACKS[name]()], max_epochs=2).fit(model, data)
        weights.append(model.state_dict())
    plain = LSTM.from_data(data, hidden_size=4)
    trainer(max_epochs=2).fit(plain, data)
    for key, value in weights[0].items():
        assert torch.equal(value, weights[1][key])
        assert not torch.equal(value, plain.state_dict()[key])


def test_callbacks_find_the_layers_of_a_module_that_takes_its_sizes_from_the_data() -> None:
    class Looks(callbacks.Callback):
        def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
            self.parameters = len(list(pl_module.parameters()))

    looks = Looks()
    trainer(callbacks=[looks]).fit(make_model("features"), make_data("features"))
    assert looks.parameters == 6


# --- predictions


def predictions_of(model: Any, data: Any) -> list[dict[str, Any]]:
    model.build_from(data)
    return trainer(limit_predict_batches=None).predict(model, data)  # type: ignore[return-value]


def test_a_classifier_predicts_classes_with_probabilities() -> None:
    inputs, lengths = torch.randn(5, 7, 2), torch.tensor([7, 3, 1, 5, 7])
    model = Elman(2, 3, "classification", hidden_size=4).eval()
    found = model.predict_step((inputs, None, lengths), 0)
    assert torch.allclose(found["probabilities"].sum(-1), torch.ones(5))
    assert torch.equal(found["lengths"], lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = model(inputs[row : row + 1, :length])
        assert torch.allclose(found["probabilities"][row], alone.softmax(-1)[0])
        assert found["classes"][row] == alone.argmax()


def test_predictions_of_steps_end_where_sequences_end() -> None:
    inputs, lengths = torch.randn(2, 4, 3), torch.tensor([4, 2])
    batch = Batch(inputs, torch.zeros(2, 4), lengths)
    tags = Elman(3, 2, "tagging", hidden_size=4).eval().predict_step(batch, 0)
    assert tags["tags"].shape == (2, 4)
    assert tags["tags"][1, 2:].tolist() == [-100, -100]
    assert (tags["tags"][0] >= 0).all()
    values = Elman(3, 3, "forecast", hidden_size=4).eval().predict_step(batch, 0)["values"]
    assert values[1, 2:].isnan().all()
    assert values[0].isfinite().all()
    frames = Elman(3, 3, "multi_label_frames", hidden_size=4).eval().predict_step(batch, 0)
    assert frames["probabilities"][1, 2:].isnan().all()
    assert not frames["keys"][1, 2:].any()
    legal = Elman(3, 3, "next_symbols", hidden_size=4).eval().predict_step(batch, 0)
    assert torch.equal(legal["symbols"][0], legal["probabilities"][0] > 0.5)
    assert legal["probabilities"][1, 2:].isnan().all()
    assert not legal["symbols"][1, 2:].any()


def test_predictions_of_a_stream_are_those_of_reading_it_in_one_go() -> None:
    model, data = make_model("stream"), make_data("stream")
    tokens = torch.cat([batch["tokens"] for batch in predictions_of(model, data)], 1)
    store = data.predict_dataloader().dataset
    assert torch.equal(tokens, model.eval()(store.inputs).argmax(-1))
    assert torch.equal(tokens, torch.cat([batch["tokens"] for batch in predictions_of(model, data)], 1))


def test_translations_and_transcripts_are_predicted_as_text() -> None:
    for kind, count in ("seq2seq", 60), ("ctc", None):
        model, data = make_model(kind), make_data(kind)
        texts = [text for batch in predictions_of(model, data) for text in batch["texts"]]
        assert all(isinstance(text, str) for text in texts)
        assert len(texts) == len(data.stores["test"])
        assert count is None or len(texts) < count


def test_a_forecast_over_a_horizon_is_predicted_without_its_answer() -> None:
    options = {"horizon": 3, "season": 2, "scales": [1.0]}
    model = LSTM(1, 1, "horizon_forecast", hidden_size=4, objective_options=options).eval()
    inputs = torch.randn(2, 8, 1)
    changed = inputs.clone()
    changed[:, -2:] = 100.0  # measured within the horizon
    first, second = (model.predict_step(one, 0) for one in (inputs, changed))
    assert first["autoregressive"].shape == (2, 3, 1)
    assert torch.equal(first["autoregressive"], second["autoregressive"])
    assert not torch.equal(first["continuous"], second["continuous"])


# --- batches of others


def test_batches_of_other_loaders(tmp_path: Path) -> None:
    inputs, targets, lengths = torch.randn(12, 5, 2), torch.randint(0, 3, (12,)), torch.full((12,), 3)
    pairs = DataLoader(TensorDataset(inputs, targets), 4)
    triples = DataLoader(TensorDataset(inputs, targets, lengths), 4)
    mappings: Any = [{"inputs": x, "targets": y} for x, y in zip(inputs, targets, strict=True)]
    named = DataLoader(mappings, 4)
    bare = DataLoader(TensorDataset(inputs), 4)
    scores = []
    for loader in pairs, named, triples:
        torch.manual_seed(0)
        model = LSTM(2, 3, "classification", hidden_size=4)
        one = trainer(max_steps=3)
        one.fit(model, loader, loader)
        scores.append(one.validate(model, loader, verbose=False)[0]["val/loss"])
        assert len(one.predict(model, bare)) == 2  # type: ignore[arg-type]
    assert scores[0] == scores[1]
    assert scores[0] != scores[2]


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        (None, "got a NoneType"),
        ("words", "got a str"),
        ({"input_ids": torch.zeros(1, 2), "labels": torch.zeros(1)}, "'input_ids': Tensor, 'labels': Tensor"),
        ((torch.zeros(1, 2), [0]), r"got a tuple of \(Tensor, list\)"),
        ((torch.zeros(1, 2), torch.zeros(1), torch.ones(1), torch.ones(1), torch.ones(1)), "got a tuple of"),
        ((torch.zeros(1, 2),), "got no targets"),
        (torch.zeros(1, 2), "got no targets"),
        ({}, "got a dict of"),
        (pack_sequence([torch.zeros(2, 2), torch.zeros(1, 2)]), "got a PackedSequence"),
    ],
)
def test_what_is_no_batch_is_told_in_one_sentence(batch: Any, said: str) -> None:
    with pytest.raises(RnnbenchError, match=rf"^a batch is \(inputs, targets\).*{said}"):
        LSTM(2, 3, "classification", hidden_size=4).training_step(batch, 0)
    if "no targets" in said:
        assert as_batch(batch, needs_targets=False).targets is None


X, Y, LENGTHS = torch.randn(4, 5, 2), torch.tensor([0, 2, 1, 0]), torch.tensor([5, 2, 1, 5])


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ((X, Y, LENGTHS - 1), "lengths must be 1 to 5"),
        ((X, Y, LENGTHS + 1), "lengths must be 1 to 5"),
        ((X, Y, LENGTHS.float()), r"lengths must be whole numbers \[4\]"),
        ((X, Y, LENGTHS.unsqueeze(1)), r"lengths must be whole numbers \[4\]"),
        ((X, Y, LENGTHS, True), "has no lengths"),
        ((X, Y.float()), "targets must be classes"),
        ((X, Y[:3]), r"targets must have shape \[4\], as the predictions, got \[3\]"),
    ],
)
def test_lengths_and_targets_that_do_not_fit_are_refused(batch: Any, said: str) -> None:
    with pytest.raises(RnnbenchError, match=said):
        LSTM(2, 3, "classification", hidden_size=4).training_step(batch, 0)


def test_lengths_count_beside_a_batch_that_continues_nothing() -> None:
    model = LSTM(2, 3, "classification", hidden_size=4)
    losses = [float(model.training_step(batch, 0)) for batch in ((X, Y, LENGTHS), (X, Y, LENGTHS, False), (X, Y.int()))]
    assert losses[0] == losses[1] != losses[2]


def test_targets_of_values_are_never_broadcast() -> None:
    """`[B]` against `[B, 1]` would train on the mean over all pairs."""
    for objective, targets in ("regression", torch.randn(4)), ("forecast", torch.randn(4, 5)):
        model = LSTM(2, 1, objective, hidden_size=4)
        bare, whole = (float(model.training_step((X, y), 0)) for y in (targets, targets.unsqueeze(-1)))
        assert bare == whole
        model.validation_step((X, targets), 0)
        with pytest.raises(RnnbenchError, match="targets must have shape"):
            LSTM(2, 3, objective, hidden_size=4).training_step((X, targets.unsqueeze(-1)), 0)
    with pytest.raises(RnnbenchError, match="targets must have shape"):
        LSTM(2, 3, "multi_label_frames", hidden_size=4).training_step((X, torch.zeros(4, 5, 1)), 0)


def test_a_module_without_sizes_says_so_wherever_it_is_used() -> None:
    model = LSTM(hidden_size=4)
    for use in (lambda: model.training_step((X, Y), 0), lambda: model(X), lambda: model.predict_step((X,), 0)):
        with pytest.raises(AttributeError, match="LSTM does not know its sizes"):
            use()
    with pytest.raises(RnnbenchError, match="LSTM does not know its sizes"):
        model.configure_optimizers()
    with pytest.raises(RnnbenchError, match="schedule 'cosine' needs a Trainer"):
        LSTM(2, 3, "classification", schedule="cosine").configure_optimizers()
    assert len(make_data("tokens").train_dataloader()) == 16  # without setup


def test_metrics_of_a_test_can_be_updated_outside_of_inference_mode() -> None:
    model, data = make_model("features"), make_data("features")
    trainer().fit(model, data)
    trainer().validate(model, data, verbose=False)
    trainer(inference_mode=False).validate(model, data, verbose=False)


class Counts(LightningModule):
    """Knows nothing of this project; notes the shapes that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.shapes: list[tuple[int, ...]] = []

    def training_step(self, batch: Any, number: int) -> Tensor:
        inputs, targets, *_ = batch
        self.shapes.append((*inputs.shape, *targets.shape))
        return torch.mul(self.weight, inputs.float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.mark.parametrize("flags", [{}, {"overfit_batches": 2}, {"accumulate_grad_batches": 2}, {"fast_dev_run": 2}])
def test_a_foreign_module_is_given_whole_batches_under_every_flag(flags: dict[str, Any]) -> None:
    model, data = Counts(), Adding(length=6, train_size=64, batch_size=16)
    trainer(limit_val_batches=0, **flags).fit(model, data)
    assert set(model.shapes) == {(16, 6, 2, 16, 1)}


def test_stores_are_ordinary_datasets() -> None:
    data = make_data("features")
    data.setup("fit")
    store: Any = data.stores["train"]
    batches = list(DataLoader(store, batch_size=16, shuffle=True))
    assert [tuple(part.shape) for part in batches[0]] == [(16, 6, 2), (16, 1)]
    some, rest = torch.utils.data.random_split(store, [10, len(store) - 10])
    assert [len(x) for x, _ in DataLoader(some, batch_size=4)] == [4, 4, 2]
    assert len(rest) == 54
    assert torch.equal(store[-1][0], store[63][0])
    with pytest.raises(IndexError, match="64 sequences"):
        store[64]
    stream: Any = make_data("stream")
    stream.setup("fit")
    loader = stream.train_dataloader()
    inputs, targets = loader.dataset[5]  # the second piece of the second row
    assert torch.equal(inputs, loader.dataset.piece(1).inputs[1])
    assert torch.equal(targets, loader.dataset.piece(1).targets[1])
    mixed = loader.dataset.batch([0, 5, len(loader.dataset) - 1])
    assert mixed.inputs.shape == (3, 10)
    assert not mixed.continues


# --- without a Trainer, resumed, looked into


def test_a_step_needs_no_trainer() -> None:
    data = make_data("tokens")
    model = make_model("tokens")
    model.build_from(data)
    data.setup("fit")
    optimizer, batch = model.configure_optimizers(), next(iter(data.train_dataloader()))
    losses = []
    for _ in range(20):
        loss = model.training_step(batch, 0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[-1] < losses[0]
    model.validation_step(batch, 0)


RESUMED = [
    *((cut, {flag: 3}, kind) for cut in (1, 2, 3, 4) for flag in ("limit_train_batches", "overfit_batches")
      for kind in ("features", "stream")),
    *((cut, {"limit_train_batches": None}, "stream") for cut in (1, 3)),
    *((cut, {"limit_train_batches": None}, "features") for cut in (3, 16)),  # which have 16 batches an epoch
]  # fmt: skip


@pytest.mark.parametrize(("cut", "flags", "kind"), RESUMED)
def test_training_resumed_by_a_plain_trainer_ends_where_an_undisturbed_one_does(
    cut: int, flags: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    """Also from a checkpoint of an epoch's last batch."""

    def fit(steps: int, start: str | None = None) -> Any:
        model = make_model(kind)
        keeps = callbacks.ModelCheckpoint(tmp_path, filename=f"{steps}", every_n_train_steps=steps, save_top_k=-1)
        more = {**flags, "max_steps": steps, "enable_checkpointing": True, "max_epochs": -1}
        trainer(**more, callbacks=[keeps]).fit(model, make_data(kind), ckpt_path=start, weights_only=True)
        return model

    whole = fit(cut + 2)
    fit(cut)
    resumed = fit(cut + 2, str(tmp_path / f"{cut}.ckpt"))
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_module_does_not_have_is_an_attribute_error(kind: str) -> None:
    model, data = make_model(kind), make_data(kind)
    model.trainer = Trainer(**QUIET)
    things: list[Any] = [model, data]  # once without layers and once with
    inspect.getmembers(model)
    model.build_from(data)
    things += [model.layer, model.objective, model.embedding]
    for thing in things:
        for name in dir(thing):
            hasattr(thing, name)
    assert not hasattr(model, "no_such_thing")


@pytest.mark.parametrize("with_lengths", [False, True])
def test_example_inputs_serve_the_summary_the_graph_and_a_trace(with_lengths: bool) -> None:
    data, lengths = make_data("features"), torch.tensor([6, 2, 3, 6])
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    for example in (batch._replace(lengths=lengths) if with_lengths else batch, batch.inputs):
        model = LSTM.from_data(data, hidden_size=4)
        model.example_input_array = example
        graph = loggers.TensorBoardLogger(".", log_graph=True)
        trainer(max_steps=1, enable_model_summary=True, logger=graph).fit(model, data)
        traced: Any = model.to_torchscript(method="trace")
        other = torch.randn(4, 6, 2)
        inputs = (other, lengths) if with_lengths and isinstance(example, Batch) else (other,)
        assert torch.allclose(traced(*inputs), model.eval()(*inputs))


def test_a_baseline_without_states_goes_through_all_loops() -> None:
    through_all_loops(trainer(), CNN(hidden_size=4), make_data("features"))


def test_a_tuner_finds_a_learning_rate_and_a_batch_size() -> None:
    model, data, one = (
        make_model("features"),
        Adding(length=6, train_size=256, batch_size=2),
        trainer(limit_train_batches=64),
    )
    tuner = Tuner(one)
    tuner.scale_batch_size(model, datamodule=data, max_trials=2, steps_per_trial=1)
    assert data.batch_size == 4
    found = tuner.lr_find(model, datamodule=data, num_training=30, early_stop_threshold=None)
    assert found is not None
    assert model.hparams.learning_rate == found.suggestion()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
