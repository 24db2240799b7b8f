"""Trained modules as files for other programs: what a file computes, streamed and padded; cards; what is refused."""

import json
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from tokenizers import Tokenizer, models
from torch.utils._pytree import tree_leaves

from rnnbench import architectures as ours
from rnnbench import nn, objectives
from rnnbench.architectures.export import ExportedModel, export_model
from rnnbench.cli import main
from rnnbench.errors import RnnbenchError
from rnnbench.harness.paths import Folders
from rnnbench.nn import quantise
from rnnbench.objectives import find_objective
from rnnbench.objectives.special_tokens import END_ID
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
    model.layer.eval()
    program = torch.export.load(model.inference.export("torch-export", tmp_path)).module()
    assert model.training  # both as they were
    assert not model.layer.training
    exported = ExportedModel(model.eval())
    for batch, steps in ((4, 11), (1, 1)):
        arguments = exported.example(batch, steps)
        arguments[1][0] = 1
        assert torch.allclose(program(*arguments)[0], exported(*arguments)[0], atol=1e-5)


WORDS = Tokenizer(models.WordLevel({"<pad>": 0, "<unk>": 1, "<s>": 2, "</s>": 3, "a": 4, "b": 5}, "<unk>")).to_str()
FORECAST = {"horizon": 3, "season": 2, "scales": [1.0, 1.0]}
DECODE = {"tokenizer": WORDS, "max_length": 9}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "classification": {}, "ordinal_classification": {}, "tagging": {}, "language_model": {}, "character_model": {},
    "multi_label_frames": {}, "next_symbols": {}, "regression": {}, "forecast": {}, "horizon_forecast": FORECAST,
    "gaussian_forecast": {}, "gaussian_horizon_forecast": FORECAST, "quantile_forecast": {},
    "quantile_horizon_forecast": FORECAST, "ctc": {"alphabet": "a"}, "sequence_to_sequence": DECODE,
    "captioning": DECODE, "pronunciation": DECODE,
}  # fmt: skip


DECODED = ("sequence_to_sequence", "captioning", "pronunciation")


def module_of(objective: str, cls: Any = ours.LSTM, **settings: Any) -> Any:
    """A module of an objective, with weights large enough that decoders end at different tokens."""
    torch.manual_seed(1)
    tokens = objective in ("language_model", "character_model", *DECODED)
    sizes = {"input_kind": "tokens", "input_size": 6, "embedding_size": 3} if tokens else {"input_size": 2}
    sizes |= {"hidden_size": 4, "output_size": 6 if tokens else 2, **settings}
    model = cls(objective=objective, objective_options=OBJECTIVES[objective], **sizes).eval()
    for parameter in model.parameters():
        parameter.data.mul_(3)
    return model


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_is_exported_and_has_int8_weights(objective: str, tmp_path: Path) -> None:
    assert {find_objective(name) for name in OBJECTIVES} == {
        getattr(objectives, name) for name in objectives.__all__ if name not in ("Objective", "find_objective")
    }
    model = module_of(objective)
    program = torch.export.load(model.inference.export("torch-export", tmp_path)).module()  # compared by the export
    exported = ExportedModel(model)
    arguments = exported.example(3, 8)
    inputs, lengths, *_ = arguments
    small = model.inference.in_precision("int8")
    with torch.no_grad():
        assert torch.allclose(program(*arguments)[0], exported(*arguments)[0], atol=1e-5)
        given = None if objective.endswith("horizon_forecast") else lengths
        wanted, rounded = (tree_leaves(one(inputs, given)) for one in (model, small))
    if objective not in DECODED:  # tested below: their tokens may be others from the first difference on
        wanted, rounded = wanted[0], rounded[0]
        assert 0 < float((rounded - wanted).norm()) < 0.1 * float(wanted.norm())
    with pytest.raises(RnnbenchError, match="int8 weights cannot be exported"):
        small.inference.export("torch-export", tmp_path)


@pytest.mark.parametrize(
    ("objective", "cls", "settings"),
    [
        ("sequence_to_sequence", ours.GRU, {"attention": "bahdanau", "num_layers": 2, "bidirectional": True}),
        ("captioning", ours.MinGRU, {"attention": "luong", "input_kind": "features", "input_size": 2}),
        ("horizon_forecast", ours.LRU, {"objective_options": {**FORECAST, "known_inputs": 1, "horizon": 40}}),
        ("ctc", ours.LSTM, {"bidirectional": True}),
    ],
)
def test_decoders_and_forecasts_in_onnx_are_a_loop(objective: str, cls: Any, settings: Any, tmp_path: Path) -> None:
    options = settings.pop("objective_options", None)
    if options is not None:
        settings = {"objective": objective, "objective_options": options, "input_size": 3, "output_size": 2}
        model = cls(hidden_size=4, **settings).eval()
    else:
        model = module_of(objective, cls, **settings)
    path = export_model(model, "onnx", tmp_path)  # compared with the module at two other sizes
    nodes = onnx.load(path).graph.node
    assert len(nodes) < 150
    assert any(node.op_type == "Scan" for node in nodes) == (objective != "ctc")


def test_a_decoder_that_ends_early_gives_the_end_up_to_its_greatest_length() -> None:
    model = module_of("sequence_to_sequence")
    model.objective.decoder.head.bias.data[END_ID] = 100.0
    arguments = ExportedModel(model).example(2, 3)
    with torch.no_grad():
        assert ExportedModel(model)(*arguments)[0].tolist() == [[END_ID] * 9] * 2


def test_a_decoder_of_int8_weights_has_nearly_the_logits() -> None:
    for attention in ("none", "bahdanau", "luong"):
        model = module_of("sequence_to_sequence", attention=attention)
        small: Any = quantise(model)
        inputs, targets = torch.randint(1, 6, (3, 7)), torch.randint(3, 6, (3, 5))
        with torch.no_grad():
            wanted, rounded = (
                one.objective.unroll(one.read, inputs, None, targets, 1.0).logits for one in (model, small)
            )
        assert 0 < float((rounded - wanted).norm()) < 0.1 * float(wanted.norm())
        assert isinstance(small.objective.decoder.layer, nn.QuantisedLayer)


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
