"""Looking at gradients while a module is trained: what is logged is true, and training is as without."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from rnnbench.analysis.callbacks import GradientWatch
from rnnbench.analysis.gradients import distance_below, loss_norms, unpadded
from rnnbench.architectures import CNN, GRU, LSTM, SequenceModule
from rnnbench.data import Adding
from rnnbench.objectives import Regression


class Keep(Trainer):
    """A trainer of a few steps without any output."""

    def __init__(self, folder: Path, *watches: Any, **options: Any) -> None:
        super().__init__(
            default_root_dir=folder, callbacks=list(watches), logger=False, enable_checkpointing=False,
            accelerator="cpu", enable_progress_bar=False, enable_model_summary=False, max_steps=6, val_check_interval=3,
            check_val_every_n_epoch=None, num_sanity_val_steps=1, **options,
        )  # fmt: skip


def train(cls: type[SequenceModule], folder: Path, *watches: Any, trainer: Any = None, **settings: Any) -> Any:
    torch.manual_seed(0)
    data = Adding(length=8, train_size=128, batch_size=16)
    module = cls.from_data(data, hidden_size=4, **settings)
    keeper = Keep(folder, *watches, **(trainer or {}))
    keeper.fit(module, data)
    return module, data, {name: float(value) for name, value in keeper.logged_metrics.items()}


def weights(module: Any) -> list[Tensor]:
    return [parameter.detach() for parameter in module.parameters()]


def test_training_is_the_same_to_the_bit_and_what_is_logged_is_that_of_its_end(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "num_layers": 2,
        "dropout": 0.3,
        "layer_options": {"zoneout": 0.1, "variational_dropout": 0.2},
    }
    plain, _, before = train(GRU, tmp_path, **options)
    watched, data, logged = train(GRU, tmp_path, GradientWatch(sequences=3), **options)
    assert all(torch.equal(a, b) for a, b in zip(weights(plain), weights(watched), strict=True))
    assert before == {name: value for name, value in logged.items() if name in before}
    norms = loss_norms(watched.eval(), unpadded(next(iter(data.val_dataloader())), 3, Regression))
    assert len(norms) == 2
    for place, one in enumerate(norms, 1):
        distance = distance_below(one)
        assert logged[f"gradients/layer{place}/distance"] == (8 if distance is None else distance)
        assert logged[f"gradients/layer{place}/first"] == pytest.approx(float(one[0]), rel=1e-4)
        assert logged[f"gradients/layer{place}/last"] == pytest.approx(float(one[-1] / one[0]), rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "trainer", "expected"),
    [
        ({}, {}, {}),
        ({"clip_norm": 1e-6}, {}, {"by_norm": 1.0}),
        ({"clip_norm": 1e6}, {}, {"by_norm": 0.0}),
        ({"clip_value": 1e-6}, {}, {"by_value": 1.0}),
        ({"clip_value": 1e-9, "clip_norm": 1e-3}, {}, {"by_value": 1.0, "by_norm": 0.0}),  # by value first
        ({}, {"gradient_clip_val": 1e-6}, {"by_norm": 1.0}),
        ({"clip_norm": 1e6}, {"gradient_clip_val": 1e-6, "gradient_clip_algorithm": "value"},
         {"by_norm": 0.0, "by_value": 1.0}),
    ],
)  # fmt: skip
def test_how_often_clipping_acted_is_counted(
    settings: dict[str, Any], trainer: dict[str, Any], expected: dict[str, float], tmp_path: Path
) -> None:
    _, _, logged = train(GRU, tmp_path, GradientWatch(1), trainer=trainer, **settings)
    assert logged.pop("clipping/norm") > 1e-3
    assert {name.removeprefix("clipping/"): value for name, value in logged.items() if "clipping" in name} == expected


def test_clipping_on_some_steps_is_a_share_of_them(tmp_path: Path) -> None:
    norms: list[float] = []

    class Norms(GradientWatch):
        def on_before_optimizer_step(self, trainer: Trainer, pl_module: Any, optimizer: Any) -> None:
            norms.append(float(torch.cat([p.grad.flatten() for p in pl_module.parameters()]).norm()))
            super().on_before_optimizer_step(trainer, pl_module, optimizer)

    still = {"learning_rate": 1e-30}  # so that clipping changes no later gradient
    train(GRU, tmp_path, Norms(1), clip_norm=1e9, **still)
    between = (sorted(norms[3:])[1] + sorted(norms[3:])[2]) / 2  # of the three steps since the last validation
    _, _, logged = train(GRU, tmp_path, GradientWatch(1), clip_norm=between, **still)
    assert logged["clipping/by_norm"] == pytest.approx(1 / 3)
    assert logged["clipping/norm"] == pytest.approx(sum(norms[3:]) / 3, rel=1e-5)


def test_both_directions_are_told_apart_and_a_module_without_states_has_clipping_alone(tmp_path: Path) -> None:
    _, _, logged = train(LSTM, tmp_path, GradientWatch(1), bidirectional=True)
    assert {"gradients/layer1/distance", "gradients/layer1_reverse/distance"} <= set(logged)
    _, _, logged = train(CNN, tmp_path, GradientWatch(1), clip_norm=1.0)
    assert {name for name in logged if not name.startswith(("val/", "train/"))} == {"clipping/norm", "clipping/by_norm"}


def test_a_direction_whose_end_the_last_loss_does_not_see_is_left_out() -> None:
    module = LSTM(input_size=2, output_size=3, objective="tagging", hidden_size=4, bidirectional=True)
    batch = (torch.randn(2, 5, 2), torch.randint(0, 3, (2, 5)), None)
    logged = GradientWatch()._through_time(module, batch)
    assert set(logged) == {f"gradients/layer1/{name}" for name in ("distance", "first", "last")}
    assert all(math.isfinite(value) for value in logged.values())


def test_no_sequence_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="sequences must be at least 1, got 0"):
        GradientWatch(0)
