"""The means for long sequences that docs/long-sequences.md describes, and the example of an ensemble."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from rnnbench.nn.compiler.native import Kernel
from tests.fixtures.kinds import QUIET
from tests.fixtures.nn_layers import close, draw, make

ROOT = Path(__file__).parents[2]


def test_the_recipe_trains_with_gradients_of_one_part_at_a_time() -> None:
    text = (ROOT / "docs" / "long-sequences.md").read_text()
    code = text.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"__name__": "recipe"}
    exec(code, names)
    torch.manual_seed(0)
    model = names["Truncated"](bptt=5)
    inputs = torch.randn(8, 23, 1)
    parts: list[tuple[int, bool]] = []

    def note(layer: Any, arguments: tuple[Any, ...]) -> None:
        states = arguments[1]
        parts.append((arguments[0].shape[1], states is None or not any(state.requires_grad for state in states)))

    model.layer.register_forward_pre_hook(note)
    trainer = Trainer(max_epochs=20, **{**QUIET, "limit_val_batches": 0})
    loader: Any = DataLoader(TensorDataset(inputs, inputs.roll(1, 1) * 0.5), batch_size=8)
    trainer.fit(model, loader)
    assert parts[:5] == [(5, True), (5, True), (5, True), (5, True), (3, True)]
    assert trainer.global_step == 20 * 5
    assert float(trainer.callback_metrics["train/loss"]) < 0.15  # 0.25 is the variance of the targets


class Kept:
    """Bytes of tensors that autograd keeps between the two passes, each piece of memory once."""

    def __init__(self) -> None:
        self.pieces: dict[int, int] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        self.pieces[storage.data_ptr()] = storage.nbytes()
        return tensor


@pytest.mark.parametrize("case", ["lstm", "peephole"])
def test_checkpoints_bound_what_is_kept_of_a_long_sequence(case: str) -> None:
    steps, size, dtype = 2000, 8, torch.float32
    inputs = draw(steps, 1, 2, dtype=dtype)
    found, kept_bytes = [], []
    for every in (None, 50):
        layer, kept = make(case, 2, size, dtype=dtype, checkpoint_steps=every), Kept()
        with torch.autograd.graph.saved_tensors_hooks(kept, lambda tensor: tensor):
            output, _ = layer(inputs)
        found.append(torch.autograd.grad(output[-1].sum(), [*layer.parameters()]))
        kept_bytes.append(sum(kept.pieces.values()))
    close(found[1], found[0], dtype)
    weights = sum(parameter.nbytes for parameter in layer.parameters())
    assert kept_bytes[1] <= inputs.nbytes + output.nbytes + 2 * weights + 2 * 4 * size * (steps // 50 + 1)
    assert kept_bytes[0] > 4 * output.nbytes


def test_the_ensemble_learns_by_the_compiled_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    original = Kernel.backward

    def counting(self: Kernel, *arguments: Any) -> Any:
        calls.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(Kernel, "backward", counting)
    example = runpy.run_path(str(ROOT / "examples" / "ensemble.py"))
    accuracies, ensemble = example["train"](members=2, steps=60)
    assert len(calls) == 2 * 60
    assert min(accuracies) > 0.7
    assert ensemble >= min(accuracies)


MEMORY = """
import re, torch
from pathlib import Path
from rnnbench.nn import LSTM
torch.set_num_threads(1)
def peak():
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1])
LSTM(8, 64, checkpoint_steps=20)(torch.randn(50, 4, 8))[0].sum().backward()  # imports and kernels
layer, inputs = LSTM(8, 64, checkpoint_steps=500), torch.randn(50_000, 4, 8, requires_grad=True)
before = peak()
layer(inputs)[0].sum().backward()
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells a process's peak of memory")
def test_memory_of_a_process_is_that_of_the_output_and_little_more() -> None:
    done = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True)
    output = 50_000 * 4 * 64 * 4 / 1024  # kB: without checkpoints the call takes eight times that
    assert output < int(done.stdout) < 1.8 * output
