"""Single modules in other Lightning projects: a stock LightningCLI, two processes, the README."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.fixtures.interpreters import CLI, ROOT, python
from tests.fixtures.score_path import score_path

FIT_AND_TEST = """
import os, sys
from pathlib import Path
import torch
from lightning.pytorch.cli import LightningCLI
for folder in map(Path, sys.argv[1:]):
    os.chdir(folder)
    print("FIT", folder.name)
    LightningCLI(args=["fit", "--config", "train.yaml"])
    where = ["--trainer.default_root_dir", "tested", "--ckpt_path", str(next(Path().rglob("*.ckpt")))]
    print("TEST", folder.name)
    LightningCLI(args=["test", "--config", "train.yaml", *where])
from rnnbench.architectures import LSTM
print(LSTM.load_from_checkpoint(where[-1], weights_only=True)(torch.zeros(1, 6, 2)).shape)
"""
FOREIGN = {
    "Parity": ({"length": 8, "train_size": 64}, {"answer": "steps", "tokens": 3}),
    "NumberWords": ({"size": 100}, {"answer": "words", "tokens": 60, "classes": 60}),
    "SpeechDigits": ({"voices": 8}, {"answer": "sequence", "channels": 40, "classes": 10}),
}
"""Arguments of data modules, and of a module that is not ours and trains on their data."""


def test_a_stock_lightning_cli_trains_others_modules_on_our_data_and_ours_with_sizes_from_the_data(
    tmp_path: Path,
) -> None:
    """All in one interpreter: starting one takes longer than these trainings."""
    contents = {"ours": CLI}
    for data, (arguments, model) in FOREIGN.items():
        contents[data] = {
            "trainer": CLI["trainer"],
            "model": {"class_path": "tests.fixtures.foreign.Foreign", "init_args": model},
            "data": {"class_path": f"rnnbench.data.{data}", "init_args": {**arguments, "batch_size": 16}},
        }
    for name, content in contents.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.yaml").write_text(yaml.safe_dump(content))
    said = python(FIT_AND_TEST, *(str(tmp_path / name) for name in (*FOREIGN, "ours")), cwd=tmp_path)
    for name in FOREIGN:
        assert "test_loss" in said.partition(f"TEST {name}\n")[2].partition("FIT ")[0]
    ours = said.partition("TEST ours\n")[2]
    assert "test/mse" in ours
    assert "torch.Size([1, 1])" in ours
    (checkpoint,) = (tmp_path / "ours").rglob("*.ckpt")
    assert torch.load(checkpoint, weights_only=True)["hyper_parameters"]["input_size"] == 2


LIGHTNING = [sys.executable, "-W", "ignore", "-m", "rnnbench.cli.lightning"]


def lightning(*arguments: str, cwd: Path) -> str:
    """What `rnnbench-lightning` prints."""
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*LIGHTNING, *arguments], cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_command_line_starts_two_processes_with_an_optimiser_of_its_own_and_sizes_from_the_data(
    tmp_path: Path,
) -> None:
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(CLI))
    pair = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--optimizer", "SGD", "--optimizer.lr", "0.5"]
    said = lightning("fit", "--config", "train.yaml", *pair, cwd=tmp_path)
    assert "MEMBER: 2/2" in said
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    content = torch.load(checkpoint, weights_only=True)
    assert content["optimizer_states"][0]["param_groups"][0]["lr"] == 0.5
    assert content["hyper_parameters"]["input_size"] == 2


def test_the_command_line_knows_classes_by_name_and_predicts(tmp_path: Path) -> None:
    small = ["--model", "LSTM", "--model.hidden_size", "4", "--data", "Adding", "--data.train_size", "64"]
    quiet = ["--trainer.accelerator", "cpu", "--trainer.logger", "false", "--trainer.limit_predict_batches", "2"]
    assert "Predicting" in lightning("predict", *small, *quiet, cwd=tmp_path)


SPAWN = """
import sys, torch
from lightning.pytorch import Trainer
from rnnbench.architectures import LSTM
from rnnbench.data import Adding
if __name__ == "__main__":
    quiet = dict(logger=False, enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False)
    scores = []
    for devices, strategy in ((1, "auto"), (2, "ddp_spawn")):
        torch.manual_seed(0)
        data, model = Adding(length=6, train_size=64, batch_size=16), LSTM(hidden_size=8, learning_rate=0.05)
        trainer = Trainer(max_epochs=4, accelerator="cpu", devices=devices, strategy=strategy, **quiet)
        trainer.fit(model, data)
        alone = Trainer(accelerator="cpu", devices=1, **quiet)
        scores.append(alone.test(model, data, verbose=False)[0]["test/loss"])
    print("RESULT", scores, model.hparams.input_size)
"""


def test_what_spawned_processes_trained_is_what_is_tested(tmp_path: Path) -> None:
    (tmp_path / "spawn.py").write_text(SPAWN)
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "spawn.py"]
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    one, two, size = re.findall(r"RESULT \[(\S+), (\S+)\] (\d)", done.stdout)[0]
    assert float(two) == pytest.approx(float(one), rel=1e-3)
    assert size == "2"


def test_weights_bring_their_sizes_to_a_module_without_any() -> None:
    from rnnbench.architectures import LSTM
    from rnnbench.errors import RnnbenchError

    whole = LSTM(2, 3, "classification", hidden_size=4)
    copy = LSTM(hidden_size=4)
    copy.load_state_dict(whole.state_dict())
    x = torch.randn(2, 5, 2)
    assert torch.equal(whole.eval()(x), copy.eval()(x))
    assert copy.hparams["output_size"] == 3
    with pytest.raises(RnnbenchError, match="LSTM does not know its sizes"):
        LSTM(hidden_size=4).load_state_dict(dict(whole.state_dict()))


def test_two_processes_give_the_score_path_of_one() -> None:
    names = ["Adding", "CopyMemory"]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.fixtures.score_path", "2", *names],
        cwd=ROOT, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    results = re.findall(r"^RESULT (.*)$", done.stdout, re.M)
    for name, result in zip(names, results, strict=True):
        (alone, alone_test), (pair, pair_test) = score_path(1, name), yaml.safe_load(result)
        assert len(alone) == len(pair) == 6
        for one, two in zip([*alone, alone_test], [*pair, pair_test], strict=True):
            one.pop("train/loss", None)  # the mean of two means
            two.pop("train/loss", None)
            assert two == pytest.approx(one, rel=2e-4)
        assert alone[0]["val/loss"] != alone[-1]["val/loss"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / "guides" / "lightning.md").read_text(), re.S)


@pytest.mark.archive
@pytest.mark.usefixtures("users_cache")
def test_the_python_of_the_guide_runs(tmp_path: Path) -> None:
    (code, *_) = [block for block in blocks("python") if "Trainer" in block]
    assert "max_epochs=5" in code
    python(code.replace("max_epochs=5", "max_steps=3, logger=False, enable_checkpointing=False"), cwd=tmp_path)


@pytest.mark.archive
@pytest.mark.usefixtures("users_cache")
def test_the_lightning_cli_file_of_the_guide_runs(tmp_path: Path) -> None:
    (text,) = [block for block in blocks("yaml") if "init_args" in block and "trainer" in block]
    config = yaml.safe_load(text)
    config["trainer"] = {**config["trainer"], "max_steps": 3, "logger": False, "enable_checkpointing": False}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    lightning("fit", "--config", "train.yaml", cwd=tmp_path)


def test_the_grid_of_the_readme_is_a_grid(tmp_path: Path) -> None:
    from rnnbench.config.grid import GridSpec

    (text,) = re.findall(r"```yaml\n(# my\.yaml\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    (tmp_path / "my.yaml").write_text(text)
    assert len(GridSpec.load(str(tmp_path / "my.yaml")).expand()) == 24


def test_links_of_the_readme_lead_somewhere() -> None:
    for path in [ROOT / "README.md", *ROOT.glob("tasks/*/README.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_layout_and_the_readme_name_every_room_and_verb() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    for name in (
        "rnnbench/nn",
        "objectives",
        "architectures",
        "data",
        "harness",
        "board",
        "tasks/",
        "configs/",
        "benchmarks/",
    ):
        assert name in text
    readme, guide = (ROOT / "README.md").read_text(), (ROOT / "docs" / "guides" / "grids.md").read_text()
    for verb in ("list", "run", "status", "board", "check", "data"):
        assert f"rnnbench {verb}" in readme
    for verb in ("list", "run", "status", "board", "show", "check", "data"):
        assert f"rnnbench {verb}" in guide
