"""Trained modules as files for other programs: what a file computes, streamed and padded; cards; what is refused."""

import json
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer, models

from rnnbench import architectures as ours
from rnnbench import nn
from rnnbench.architectures.export import ExportedModel, export_model
from rnnbench.cli import main
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.utils import extras
from tests.fixtures.trained import train

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
SIZES: dict[str, Any] = {"input_size": 3, "output_size": 2, "hidden_size": 4}


def test_an_onnx_file_is_streamed_and_says_what_it_takes(tmp_path: Path) -> None:
    words = Tokenizer(models.WordLevel({f"w{k}": k for k in range(7)}, "w1")).to_str()
    model = ours.LSTM(7, 7, "language_model", "tokens", hidden_size=4, embedding_size=3, num_layers=2, tokenizer=words)
    path = export_model(model, "onnx", tmp_path / "out", "a title")
    session = onnxruntime.InferenceSession(path)
    assert [one.name for one in session.get_inputs()] == ["inputs", "lengths", "h", "c"]
    tokens, lengths = torch.randint(1, 7, (3, 9)), torch.tensor([9, 9, 9])
    zeros = torch.zeros(2, 3, 4)
    whole, h, c = session.run(None, _arrays(inputs=tokens, lengths=lengths, h=zeros, c=zeros))
    assert torch.allclose(torch.from_numpy(whole), model.eval()(tokens), atol=1e-5)
    parts, states = [], {"h": zeros.numpy(), "c": zeros.numpy()}
    for part in torch.split(tokens, [4, 1, 4], 1):
        given = _arrays(inputs=part, lengths=torch.full((3,), part.shape[1])) | states
        predictions, states["h"], states["c"] = session.run(None, given)
        parts.append(torch.from_numpy(predictions))
    assert torch.allclose(torch.cat(parts, 1), torch.from_numpy(whole), atol=1e-5)
    assert torch.allclose(torch.from_numpy(states["h"]), torch.from_numpy(h), atol=1e-5)
    assert torch.allclose(torch.from_numpy(states["c"]), torch.from_numpy(c), atol=1e-5)
    card = (tmp_path / "out" / "README.md").read_text()
    for line in ("# a title", "- opset: 20", "| `inputs` | `[batch, steps]` | int64 |", "| `h_out` | `[2, batch, 4]` |",
                 "| `predictions` | `[batch, steps, 7]` |"):  # fmt: skip
        assert line in card
    assert Tokenizer.from_str((tmp_path / "out" / "tokenizer.json").read_text()).get_vocab_size() == 7


def _arrays(**tensors: torch.Tensor) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


HORIZON = {"horizon": 3, "season": 2, "scales": [1.0, 1.0], "known_inputs": 1}


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (ours.MinGRU, {"objective": "horizon_forecast", "objective_options": HORIZON}),
        (ours.GRU, {"objective": "classification", "bidirectional": True}),
        (ours.CNN, {"objective": "classification"}),
    ],
)
def test_a_program_of_torch_export_takes_any_size(cls: Any, settings: dict[str, Any], tmp_path: Path) -> None:
    model = cls(**SIZES, **settings)
    assert model.training
    program = torch.export.load(model.inference.export("torch-export", tmp_path)).module()
    assert model.training  # as it was
    exported = ExportedModel(model.eval())
    for batch, steps in ((4, 11), (1, 1)):
        arguments = exported.example(batch, steps)
        arguments[1][0] = 1
        assert torch.allclose(program(*arguments)[0], exported(*arguments)[0], atol=1e-5)


def test_a_forecast_of_a_horizon_is_that_of_the_objective() -> None:
    model: Any = ours.GRU(**SIZES, objective="horizon_forecast", objective_options=HORIZON).eval()
    inputs = torch.randn(2, 9, 3)
    found = ExportedModel(model)(inputs[:, :7], torch.tensor([7, 7]), inputs[:, 7:, 2:])[0]
    assert torch.allclose(found, model(inputs).free, atol=1e-6)


class Undecided(nn.Cell):
    """A cell whose step looks at values."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n) if float(z.n.sum()) > 0 else s.h


def test_what_cannot_be_exported_is_named_with_its_options(tmp_path: Path) -> None:
    cell = f"{__name__}.Undecided"
    model = ours.CellModule(cell, **SIZES, objective="tagging", layer_options={"connections": "residual"})
    with pytest.raises(RnnbenchError, match=r"Recurrent\(3, 4, cell=Undecided.*connections='residual'.*torch-export: "):
        export_model(model, "torch-export", tmp_path)


def test_a_missing_package_and_an_unknown_format_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = ours.GRU(**SIZES, objective="tagging")
    with pytest.raises(RnnbenchError, match=r"'onx'.*onnx"):
        export_model(model, "onx", tmp_path)  # type: ignore[arg-type]
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(RnnbenchError, match=r"format onnx needs onnxruntime: pip install 'rnnbench\[export\]'"):
        export_model(model, "onnx", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(RnnbenchError, match=r"weights are torch.float64.*model.float\(\)"):
        export_model(ours.GRU(**SIZES, objective="tagging").double(), "torch-export", tmp_path / "out")
    with pytest.raises(RnnbenchError, match="GRU has no layers yet"):
        export_model(ours.GRU(), "torch-export", tmp_path)


def test_the_verb_writes_model_and_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = Folders(tmp_path / "leaderboard", tmp_path / "runs")
    train(folders, "adding")
    where = ["--leaderboard", str(folders.leaderboard), "--runs", str(folders.runs), "--out", str(tmp_path / "out")]
    assert main(["export-model", "adding/elman", "--format", "torch-export", *where]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "model.pt2")
    assert "# adding/elman/0 (" in (tmp_path / "out" / "README.md").read_text()
    assert main(["export-model", "adding/lstm", "--format", "onnx", *where]) == 2
    assert "adding" in capsys.readouterr().err


def test_weights_alone_make_the_module_again(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.torch")
    model = ours.PeepholeLSTM(**SIZES, objective="classification", layer_options={"output_peek": "previous"})
    path = export_model(model, "safetensors", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    again = getattr(ours, config["class_path"].rpartition(".")[2])(**config["init_args"])
    again.load_state_dict(safetensors.load_file(path))
    inputs = torch.randn(2, 5, 3)
    assert torch.equal(again.eval()(inputs), model.eval()(inputs))
