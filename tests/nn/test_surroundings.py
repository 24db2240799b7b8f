"""What stands around a layer: modes, wrappers, threads, files. It never crashes, and is never silently wrong."""

import copy
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.rnn import PackedSequence

from rnnbench.nn import GRU, LSTM, Cell, Recurrent, linear_recurrence

ROOT = Path(__file__).parents[2]


def run_python(code: str, **variables: str) -> str:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        (torch.tensor([3, 3]), "add up to 6, but data has 5 rows"),
        (torch.tensor([2, 3]), "never grow"),
        (torch.tensor([5, 0]), "at least 1"),
        (torch.tensor([], dtype=torch.int64), "at least 1"),
        (torch.tensor([[3, 2]]), "must be \\[T\\]"),
        (torch.tensor([3, 2], dtype=torch.int32), "int64"),
    ],
)
def test_a_packed_sequence_that_is_none_is_refused(sizes: Tensor, told: str) -> None:
    packed = PackedSequence(torch.randn(5, 3), sizes)
    with pytest.raises(ValueError, match=told):
        LSTM(3, 4)(packed)


THREADS = """
import torch
from rnnbench.nn import LSTM, linear_recurrence
torch.manual_seed(0)
torch.set_num_threads(3)
one, other = LSTM(8, 16), LSTM(8, 16, engine="reference")
other.load_state_dict(one.state_dict())
x = torch.randn(5, 32, 8, requires_grad=True)
for layer in (one, other):
    layer(x)[0].square().sum().backward()
assert one.backend == "native"
assert torch.allclose(one(x)[0], other(x)[0], atol=1e-5)
for p, q in zip(one.parameters(), other.parameters()):
    assert torch.allclose(p.grad, q.grad, atol=1e-4), (p.grad - q.grad).abs().max()
a, b = torch.rand(7, 4, 3000), torch.randn(7, 4, 3000)
h, seen = torch.zeros(4, 3000), linear_recurrence(a, b)
for t in range(7):
    h = a[t] * h + b[t]
    assert torch.allclose(seen[t], h, atol=1e-5)
"""


@pytest.mark.parametrize("limit", ["2", "64"])
def test_fewer_threads_than_asked_for_compute_all_the_same(limit: str) -> None:
    run_python(THREADS, OMP_THREAD_LIMIT=limit)


def test_a_fake_tensor_has_a_shape_and_no_memory() -> None:
    with FakeTensorMode(), torch.no_grad():
        layer = LSTM(4, 6)
        assert layer(torch.randn(3, 2, 4))[0].shape == (3, 2, 6)
        assert layer.step(torch.randn(2, 4))[0].shape == (2, 6)
    assert LSTM(4, 6, device="meta")(torch.randn(3, 2, 4, device="meta"))[0].shape == (3, 2, 6)


def test_a_step_under_autocast_is_that_of_a_sequence() -> None:
    layer, x = LSTM(8, 16), torch.randn(3, 8).bfloat16()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer.step(x)[0], layer(x[None])[0][0])


def pruned(layer: Any, name: str) -> None:
    prune.l1_unstructured(layer, name, 0.5)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("name", ["weight_ih_l0", "weight_hh_l0", "bias_hh_l0"])
@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, pruned])
def test_a_step_sees_weights_that_are_made_of_others(name: str, wrap: Any) -> None:
    layer, x, states = LSTM(8, 16), torch.randn(3, 8), (torch.randn(1, 3, 16), torch.randn(1, 3, 16))
    with torch.no_grad():
        layer.step(x, states)
        wrap(layer, name)
        for _ in range(2):
            assert torch.allclose(layer.step(x, states)[0], layer(x[None], states)[0][0])
            for parameter in layer.parameters():
                parameter.mul_(1.5)


class Straight(torch.autograd.Function):
    """A derivative of its own."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x.tanh()

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient


class Own(Cell):
    states, gates = ("h",), ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return Straight.apply(z.n)  # type: ignore[no-untyped-call]


class Stopped(Cell):
    states, gates = ("h",), ("n", "k")

    def step(self, z: Any, s: Any) -> Any:
        with torch.no_grad():
            k = torch.sigmoid(z.k)
        return torch.tanh(z.n) * k + s.h * 0.5


class Warm(Cell):
    states, gates = ("h",), ("n",)

    def __init__(self) -> None:
        self.temperature = torch.tensor(1.0)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n * self.temperature)


class InPlace(Cell):
    states, gates = ("h",), ("n",)

    def step(self, z: Any, s: Any) -> Any:
        n = z.n * 1.0
        return nn.functional.relu(n, inplace=True) + n + 0.1 * s.h


class Chance(Cell):
    states, gates = ("h",), ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(z.n) * random.random()


class Truths(Cell):
    states, gates = ("h",), ("n", "k")

    def step(self, z: Any, s: Any) -> Any:
        return z.n * ((z.n > 0) * (z.k > 0) + (z.n > 1))


class Mapped(Cell):
    states, gates = ("h",), ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.vmap(torch.tanh)(z.n)


class Copied(Cell):
    states, gates = ("h",), ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(copy.copy(z.n))


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (Own, "autograd.Function"), (Stopped, "no_grad"), (Warm, "a tensor that is"), (InPlace, "relu in place"),
        (Chance, "differs from call to call"), (Truths, "two comparisons"), (Mapped, "only tensors"),
        (Copied, "isinstance"),
    ],
)  # fmt: skip
def test_what_a_recording_would_freeze_or_derive_otherwise_is_left_to_autograd(cell: type[Cell], why: str) -> None:
    layer = Recurrent(4, 6, cell=cell())
    with pytest.warns(UserWarning, match=why):
        assert layer.backend == "reference"


class Method(Cell):
    states, gates = ("h",), ("n", "k")

    def step(self, z: Any, s: Any) -> Any:
        return z.n.where(z.k > 0, torch.tanh(z.k)) + 0.1 * s.h


def test_where_may_be_a_method() -> None:
    x = torch.randn(3, 2, 4)
    layer = Recurrent(4, 6, cell=Method())
    assert layer.backend == "native"
    found = layer(x)[0]
    layer.engine = "reference"
    assert torch.allclose(found, layer(x)[0], atol=1e-5)


def test_a_class_of_cells_in_use_holds_no_mark_that_a_copy_of_it_would_have() -> None:
    class Fresh(Method):
        pass

    before = dict(vars(Fresh))
    Recurrent(4, 6, cell=Fresh())
    assert dict(vars(Fresh)) == before


def test_a_recording_made_without_gradients_is_the_same() -> None:
    class Plain(Cell):
        states, gates = ("h",), ("n",)

        def step(self, z: Any, s: Any) -> Any:
            return torch.tanh(z.n) * 0.75

    with torch.no_grad():
        assert Recurrent(4, 6, cell=Plain()).backend == "native"


@pytest.mark.filterwarnings("ignore:.*torch.jit.script. is deprecated")
def test_tangents_go_through_frozen_layers() -> None:
    ad: Any = forward_ad
    layer = LSTM(4, 6).double().requires_grad_(False)
    x, v = torch.randn(2, 3, 2, 4, dtype=torch.float64)
    with ad.dual_level():
        tangent = ad.unpack_dual(layer(ad.make_dual(x, v))[0]).tangent
    assert tangent is not None
    assert torch.allclose(tangent, (layer(x + 1e-6 * v)[0] - layer(x - 1e-6 * v)[0]) / 2e-6, atol=1e-7)


def test_negated_views_are_negative() -> None:
    layer, x = GRU(4, 6), torch.randn(3, 2, 4)
    assert torch.equal(layer(torch._neg_view(x))[0], layer(-x)[0])


def test_negated_gradients_are_negative() -> None:
    layer, x, g = GRU(4, 6), torch.randn(3, 2, 4, requires_grad=True), torch.randn(3, 2, 6)
    want = torch.autograd.grad(layer(x)[0], x, -g)
    assert torch.equal(torch.autograd.grad(layer(x)[0], x, torch._neg_view(g))[0], want[0])


def double(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def test_a_linear_recurrence_is_seen_by_all_who_look() -> None:
    ad: Any = forward_ad
    a, b, v, g = (double(4, 2, 3) for _ in range(4))
    assert torch.equal(linear_recurrence(torch._neg_view(a), b), linear_recurrence(-a, b))
    with ad.dual_level():
        tangent = ad.unpack_dual(linear_recurrence(ad.make_dual(a, v), b)).tangent
    assert torch.allclose(tangent, torch.func.jvp(lambda one: linear_recurrence(one, b), (a,), (v,))[1])
    with FakeTensorMode() as mode:
        assert linear_recurrence(mode.from_tensor(a), mode.from_tensor(b)).shape == a.shape
    y = linear_recurrence(a, b)
    (found,) = torch.autograd.grad(y, a, torch.stack([g, -v]), is_grads_batched=True, retain_graph=True)
    assert torch.allclose(found[1], torch.autograd.grad(y, a, torch._neg_view(v))[0])
    (first,) = torch.autograd.grad(linear_recurrence(a, b.detach()).sum(), a, create_graph=True)
    assert torch.autograd.grad(first.sum(), a)[0].shape == a.shape


@pytest.mark.parametrize("grad", [True, False])
def test_a_call_that_is_recorded_is_recorded_as_a_whole(grad: bool) -> None:
    layer, (x, y) = LSTM(4, 6), torch.randn(2, 3, 2, 4)
    with torch.set_grad_enabled(grad):
        graph = make_fx(lambda one: layer(one)[0])(x)
        step = make_fx(lambda one: layer.step(one)[0])(x[0])
        assert torch.allclose(graph(y), layer(y)[0], atol=1e-6)
        assert torch.allclose(step(y[0]), layer.step(y[0])[0], atol=1e-6)


DEVICE = """
import torch
from rnnbench.nn import LSTM
layer, x = LSTM(4, 64), torch.randn(3, 2, 4)
torch.set_default_device("meta")
layer(x)[0].sum().backward()
with torch.no_grad():
    print(layer.step(x[0])[0].device, LSTM(4, 6, chrono=5, device="cpu")(x)[0].device)
"""


def test_memory_is_the_processors_whatever_the_default_device() -> None:
    assert run_python(DEVICE).split() == ["cpu", "cpu"]


class Counted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, weight: Tensor) -> Tensor:
        self.calls += 1
        return weight * 2


def test_a_weight_that_is_made_of_others_is_made_once_a_call() -> None:
    layer, made = LSTM(3, 4), Counted()
    parametrize.register_parametrization(layer, "weight_ih_l0", made)
    made.calls = 0
    layer(torch.randn(2, 1, 3))
    assert made.calls == 1


def test_weights_that_are_made_of_others_go_to_torch_as_they_are() -> None:
    layer, x = LSTM(3, 4, bidirectional=True), torch.randn(2, 1, 3)
    parametrizations.weight_norm(layer, "weight_hh_l0_reverse")
    prune.l1_unstructured(layer, "weight_ih_l0", 0.5)  # type: ignore[no-untyped-call]
    other = layer.to_torch()
    parametrizations.weight_norm(other, "weight_hh_l0")
    for one in (layer.to_torch(), LSTM.from_torch(other)):
        assert torch.allclose(one(x)[0], layer(x)[0], atol=1e-6)


def test_many_gradients_at_once_are_each_by_itself() -> None:
    layer, x = LSTM(4, 6).double(), double(3, 2, 4)
    y = layer(x)[0]
    many = torch.randn(5, *y.shape, dtype=torch.float64)
    (found,) = torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)
    for one, gradient in zip(found, many, strict=True):
        assert torch.allclose(one, torch.autograd.grad(y, x, gradient, retain_graph=True)[0])


def test_a_step_may_be_mapped() -> None:
    layer, x = LSTM(4, 6), torch.randn(5, 2, 4)
    with torch.no_grad():
        found = torch.func.vmap(lambda one: layer.step(one)[0])(x)
        assert torch.allclose(found, torch.stack([layer.step(one)[0] for one in x]), atol=1e-6)


class Soft(Cell):
    states, gates = ("h",), ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.softmax(z.n, -1)


@pytest.mark.filterwarnings("ignore:no .* engine")
@pytest.mark.parametrize("make", [lambda: Recurrent(4, 6, cell=Soft()), lambda: LSTM(4, 6, dtype=torch.bfloat16)])
def test_what_is_not_native_trains_compiled(make: Any) -> None:
    layer: Any = make()
    x = torch.randn(3, 2, 4, dtype=layer.weight_ih_l0.dtype, requires_grad=True)
    found = []
    for call in (torch.compile(layer, backend="aot_eager"), layer):
        call(x)[0].float().square().sum().backward()
        found.append([x.grad, *(parameter.grad for parameter in layer.parameters())])
        x.grad = None
        layer.zero_grad()
    for compiled, eager in zip(*found, strict=True):
        assert torch.allclose(compiled, eager, atol=0.05 if x.dtype is torch.bfloat16 else 1e-6)


USE = """
import torch
from rnnbench.nn import GRU
layer = GRU(3, 5)
layer(torch.randn(4, 2, 3))
print(layer.backend)
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with one kernel."""
    folder = tmp_path_factory.mktemp("compiled")
    assert run_python(USE, RNNBENCH_CACHE=str(folder)).strip() == "native"
    return folder


@pytest.mark.parametrize("left", [0, 4096])
def test_a_kernel_that_is_only_half_there_is_made_again(left: int, compiled: Path, tmp_path: Path) -> None:
    shutil.copytree(compiled, tmp_path / "cache")
    (kernel,) = (tmp_path / "cache" / "kernels").glob("*.so")
    kernel.write_bytes(kernel.read_bytes()[:left])
    assert run_python(USE, RNNBENCH_CACHE=str(tmp_path / "cache")).strip() == "native"
    assert len(kernel.read_bytes()) > left


def test_weights_of_a_frozen_layer_need_no_gradient() -> None:
    layer = nn.Sequential(LSTM(3, 4)).requires_grad_(False)
    x = torch.randn(2, 1, 3, requires_grad=True)
    layer(x)[0].sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in layer.parameters())
