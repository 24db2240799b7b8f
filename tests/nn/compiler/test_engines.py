"""Which engine runs what, and what happens where the compiler, the type or the operation is missing."""

import errno
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent
from rnnbench.nn.compiler import build
from rnnbench.nn.compiler import dispatch as running
from rnnbench.nn.compiler.layout import Layout
from rnnbench.nn.compiler.trace import Graph
from rnnbench.utils.files import CACHE_VARIABLE
from tests.fixtures.nn_layers import ENGINES, close, draw, flat, gradients, make, scrambled


class Leaky(Cell):
    """A gate between the old state and the new one, and a second state that counts."""

    states = ("h", "count")
    outputs = ("h",)
    gates = ("k", "n")
    split_gates = ("n",)
    vectors = ("gain",)
    matrices = {"weight_m": ("H", "H")}

    def step(self, z: Any, s: Any) -> Any:
        k = torch.sigmoid(z.k)
        new = torch.tanh(z.n + torch.nn.functional.silu(z.n_h) * self.gain + self.weight_m(s.h * k))
        new = torch.where(s.count > 2, new, new.clamp(-0.8, 0.8))
        return torch.lerp(new, s.h, k), s.count + (new**2).sqrt()


class Summing(Cell):
    """Uses an operation that is not elementwise."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(torch.cumsum(z.n, -1))


class Bending(Cell):
    """Uses an elementwise operation that has no translation."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.erf(z.n) + s.h * 0.5


class Deciding(Cell):
    """Lets values decide what is computed."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n) if s.h.sum() > 0 else torch.sigmoid(z.n)


def custom(cell: Cell, **options: Any) -> Recurrent:
    return scrambled(Recurrent(3, 6, cell=cell, dtype=torch.float64, **options))


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Nothing was chosen, compiled or warned of before; the cache is empty."""
    monkeypatch.setattr(running, "_programs", {})
    monkeypatch.setattr(running, "_warned", set())
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    build._compiler.cache_clear()
    return tmp_path


@pytest.mark.parametrize("lengths", [None, [4, 2, 1]])
def test_a_cell_of_ones_own_runs_everywhere(lengths: list[int] | None) -> None:
    layer = custom(Leaky(), num_layers=2, bidirectional=True)
    assert layer.backend == "native"
    assert {name for name, _ in layer.named_parameters() if name.endswith("_l0")} == {
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "gain_l0", "weight_m_l0",
    }  # fmt: skip
    inputs, results = draw(4, 3, 3).requires_grad_(), []
    for engine in ENGINES:
        layer.engine = engine  # type: ignore[assignment]
        assert layer.backend == engine
        result = layer(inputs if lengths is None else pack_padded_sequence(inputs, torch.tensor(lengths)))
        results.append([*flat(result), *gradients(layer, result, inputs)])
    close(results[0], results[2])
    close(results[1], results[2])


@pytest.mark.parametrize(("cell", "word"), [(Summing, "cumsum"), (Bending, "erf"), (Deciding, "sum")])
def test_what_cannot_be_translated_runs_slowly_and_says_so_once(cell: Any, word: str, forgetful: Path) -> None:
    layer, inputs = custom(cell()), draw(4, 2, 3).requires_grad_()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert layer.backend == "reference"
        result = layer(inputs)
        custom(cell())(inputs)
    assert len(heard) == 1
    assert f"{cell.__name__}.step uses {word}" in str(heard[0].message)
    want = flat(custom(cell(), engine="reference")(inputs))
    close(flat(result), want)
    result[0].sum().backward()
    with pytest.raises(ValueError, match=f"engine 'native' cannot run {cell.__name__}: .*{word}"):
        custom(cell(), engine="native")(inputs)
    with pytest.raises(ValueError, match=f"engine 'function' cannot run {cell.__name__}: .*{word}"):
        custom(cell(), engine="function")(inputs)


@pytest.mark.parametrize(("case", "left"), [("lstm", "torch"), ("mgu", "function")])
def test_without_a_compiler_the_next_engine_computes_the_same(
    case: str, left: str, forgetful: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build.COMPILER_VARIABLE, "/nonexistent/cc")
    layer, inputs = make(case, 3, 6), draw(4, 2, 3)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        assert layer.backend == left
        got = flat(layer(inputs))
        assert make(case, 4, 6).backend == left
    assert len(heard) == 1
    assert "there is no C compiler (/nonexistent/cc)" in str(heard[0].message)
    close(got, flat(make(case, 3, 6, engine="reference")(inputs)))
    with pytest.raises(ValueError, match=r"engine 'native' cannot run .*no C compiler"):
        make(case, 3, 6, engine="native")(inputs)
    build._compiler.cache_clear()


@pytest.mark.parametrize(("command", "reason"), [("false", "false failed"), ("'gcc", r"CC=\"'gcc\" cannot be read")])
def test_a_compiler_that_fails_or_cannot_be_read_is_no_compiler(
    command: str, reason: str, forgetful: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(build.COMPILER_VARIABLE, command)
    with pytest.warns(UserWarning, match=reason):
        assert make("ugrnn", 3, 6).backend == "function"
    build._compiler.cache_clear()


def test_a_disk_that_is_full_is_no_compiler(forgetful: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(build, "_compile", full)
    with pytest.warns(UserWarning, match="a kernel cannot be built in .*No space left on device"):
        assert make("ugrnn", 3, 6).backend == "function"


def test_a_file_that_others_may_write_is_not_run(forgetful: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make("elman", 3, 6).backend == "native"
    (made,) = (forgetful / "kernels").glob("*.so")
    assert made.stat().st_mode & 0o077 == 0
    assert made.parent.stat().st_mode & 0o077 == 0
    made.chmod(0o660)
    monkeypatch.setattr(running, "_programs", {})
    with pytest.warns(UserWarning, match="belongs to another user, or others may write to it"):
        assert make("elman", 3, 6).backend == "torch"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("case", ["lstm", "gru-before"])
def test_half_precision_runs_without_the_compiler(case: str, dtype: torch.dtype) -> None:
    layer, inputs = make(case, 3, 6, dtype=dtype, engine="function"), draw(4, 2, 3, dtype=dtype)
    want = flat(make(case, 3, 6)(inputs.double()))
    for engine in ("function", "reference"):
        layer.engine = engine
        output = layer(inputs)[0]
        assert output.dtype == dtype
        torch.testing.assert_close(output.double(), want[0], rtol=0, atol=0.03)
        output.float().sum().backward()
    chosen = make(case, 3, 6, dtype=dtype)
    assert chosen.backend == ("torch" if case == "lstm" else "function")
    torch.testing.assert_close(chosen(inputs)[0].double(), want[0], rtol=0, atol=0.03)


def test_autocast_keeps_the_layers_precision() -> None:
    layer, linear = make("lstm", 3, 6, dtype=torch.float32), torch.nn.Linear(3, 3)
    inputs = draw(4, 2, 3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        data: Tensor = linear(inputs)
        assert data.dtype == torch.bfloat16
        output, _ = layer(data, tuple(torch.zeros(1, 2, 6, dtype=torch.bfloat16) for _ in range(2)))
        torch.autograd.backward([output.sum()])
    assert torch.equal(output, layer(data.float())[0].bfloat16())
    assert linear.weight.grad is not None


ONE_OF_MANY = """
import torch
from tests.fixtures.nn_layers import draw, make
layer = make("elman", 3, 6)
assert layer.backend == "native"
print(float(layer(draw(4, 2, 3))[0].detach().sum()))
"""


def test_processes_that_start_at_once_share_one_kernel(tmp_path: Path) -> None:
    environment = {**os.environ, CACHE_VARIABLE: str(tmp_path), "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[3]
    started = [
        subprocess.Popen([sys.executable, "-c", ONE_OF_MANY], env=environment, cwd=root, stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    want = float(make("elman", 3, 6, engine="reference")(draw(4, 2, 3))[0].detach().sum())
    for process in started:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        assert float(out) == pytest.approx(want, abs=1e-12)
    left = sorted(one.suffix for one in (tmp_path / "kernels").iterdir())
    assert left in ([".lock", ".sha256", ".so"], [".sha256", ".so"])


def test_threads_may_share_a_layer() -> None:
    layer = nn.LSTM(3, 20, num_layers=2, dtype=torch.float64)
    inputs = [draw(30, 4, 3, seed=seed) for seed in range(16)]
    want = [layer(one)[0] for one in inputs]
    with ThreadPoolExecutor(8) as pool:
        close(list(pool.map(lambda one: layer(one)[0], inputs)), want)


MANY_STEPS = """
from concurrent.futures import ThreadPoolExecutor
import torch
from rnnbench import nn
from tests.fixtures.nn_layers import close, draw
layer = nn.LSTM(3, 20, num_layers=2, dtype=torch.float64)
inputs = [draw(30, 4, 3, seed=seed) for seed in range(16)]
def steps(data):
    with torch.no_grad():
        states, found = None, []
        for one in data:
            output, states = layer.step(one, states)
            found.append(output)
        return torch.stack(found)
want = [layer(one)[0] for one in inputs]
with ThreadPoolExecutor(8) as pool:
    close(list(pool.map(steps, inputs)), want)
"""


def test_threads_may_take_steps_of_one_layer() -> None:
    """In a process of its own, which memory that is shared by mistake may end."""
    done = subprocess.run(
        [sys.executable, "-c", MANY_STEPS], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_hooks_of_a_layer_run_at_each_step_with_and_without_a_gradient() -> None:
    layer, seen = nn.GRU(3, 4), []
    layer.register_forward_hook(lambda _, __, result: seen.append(result))
    with torch.no_grad():
        output, state = layer.step(draw(2, 3, dtype=torch.float32))
    layer.step(draw(2, 3, dtype=torch.float32))
    assert len(seen) == 2
    close(seen[0][0][0], output)
    close(seen[0][1], state)


def test_means_of_one_row_are_summed_together_and_once() -> None:
    layout = Layout(running.program_of(nn.LayerNormLSTM(4, 4).cells[True][0]))  # type: ignore[arg-type]
    # forwards: mean and variance of two rows of gates, then of the cell state
    assert [len(one.means) for one in layout.forward.loops] == [2, 2, 1, 1, 0]
    assert len(layout.backward.loops) == 3
    assert all(not node.uniform for node in layout.program.adjoint.saved)  # no plane for what a number says


def test_a_mean_of_a_sum_takes_out_what_is_the_same_in_all_of_a_row() -> None:
    graph = Graph()
    x, y = (graph.leaf("slot", k, "H") for k in range(2))
    mean = graph.row_mean(x)
    assert graph.row_mean(mean) is mean
    assert graph.row_mean(x * 2.0) is 2.0 * mean
    assert graph.row_mean(-x) is -mean
    assert graph.row_mean(x / y) is not graph.row_mean(y / x)
    assert graph.row_mean(x - mean) is mean - mean
    assert graph.row_mean(x * y - mean * y) is graph.row_mean(x * y) - mean * graph.row_mean(y)
    assert mean + graph.row_mean(y) is graph.row_mean(x + y)


class Branching(Cell):
    """Takes another branch for what is no tensor."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n) if isinstance(z.n, Tensor) else z.n


def test_a_step_that_asks_what_its_values_are_runs_on_tensors() -> None:
    layer = Recurrent(3, 4, cell=Branching())
    with pytest.warns(UserWarning, match="Branching.step uses isinstance"):
        assert layer.backend == "reference"
    assert layer(10 * torch.randn(5, 2, 3))[0].abs().max() <= 1
