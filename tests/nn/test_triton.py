"""The triton engine, on a GPU or by Triton's interpreter, held against the reference engine."""

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from rnnbench import nn
from rnnbench.nn import Cell, Recurrent
from rnnbench.nn.compiler import dispatch, scan, triton_codegen, triton_engine, triton_scan
from rnnbench.nn.compiler.trace import OPERATIONS
from tests.fixtures.nn_layers import CASES, as_hx, close, draw, draw_states, engines_of, flat, gradients, make

pytest.importorskip("triton")
EMITTED = [case for case in CASES if "native" in engines_of(CASES[case][0])]
VARIANTS = (
    "no-",
    "irnn",
    "mingru-",
    "coupled-",
    "peephole-",
    "full-gate-recurrence-",
    "antisymmetric-",
    "elman-",
    "mut2",
)
SINGLE = torch.float32
pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")  # NumPy, of lanes that are not kept


def slow(case: str) -> Any:
    """A case that runs with the other slow tests of kernels."""
    return pytest.param(case, marks=pytest.mark.kernels)


DEVICE = pytest.param("cuda", marks=pytest.mark.gpu) if torch.cuda.is_available() else "cpu"


@pytest.fixture(params=[DEVICE])
def device(request: pytest.FixtureRequest) -> str:
    """A GPU if there is one, else the CPU, where kernels are interpreted: Triton decides that once for a process."""
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def _full_precision() -> Iterator[None]:
    """Products of float32 are no TF32, so that engines agree on a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.backends.cudnn, "allow_tf32", False)
        yield


def compared(
    layer: Recurrent, inputs: Tensor, device: str, lengths: list[int] | None = None, states: bool = True,
    tolerance: float = 1.0,
) -> None:  # fmt: skip
    """Outputs, states and all gradients are those of the reference engine; random masks are the same in both."""
    layer, found = layer.to(device), []
    hx = [s.to(device).requires_grad_() for s in draw_states(layer, inputs.shape[1])] if states else []
    x = inputs.to(device).requires_grad_()
    for engine in ("triton", "reference"):
        layer.engine = engine
        assert layer.backend == engine
        torch.manual_seed(0)  # the same random masks
        data: Tensor | PackedSequence = x
        if lengths is not None:
            data = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        result = layer(data, as_hx(tuple(hx)) if states else None)
        found.append([*flat(result), *gradients(layer, result, x, *hx)])
    close(found[0], found[1], dtype=SINGLE, scale=tolerance)


@pytest.mark.parametrize("case", [slow(case) if case.startswith(VARIANTS) else case for case in EMITTED])
def test_every_cell_in_both_directions_of_packed_sequences(case: str, device: str) -> None:
    compared(make(case, 3, 6, dtype=SINGLE, bidirectional=True), draw(3, 4, 3, dtype=SINGLE), device, [1, 3, 2, 3])


@pytest.mark.parametrize("case", ["elman", "lstm-proj", "gru-before", "mingru", slow("layer-norm"), slow("slstm")])
def test_two_layers_that_begin_with_zeros(case: str, device: str) -> None:
    layer = make(case, 3, 17, dtype=SINGLE, num_layers=2, bias=False)
    compared(layer, draw(3, 17, 3, dtype=SINGLE), device, states=False)


@pytest.mark.parametrize("case", ["lstm-proj", "gru-before", slow("layer-norm")])
@pytest.mark.parametrize("lengths", [None, [2, 3, 3]])
def test_masks_and_zoneout(case: str, lengths: list[int] | None, device: str) -> None:
    layer = make(case, 3, 6, dtype=SINGLE, zoneout=0.3, variational_dropout=0.4)
    compared(layer, draw(3, 3, 3, dtype=SINGLE), device, lengths)
    compared(layer.eval(), draw(3, 3, 3, dtype=SINGLE), device, lengths)


@pytest.mark.parametrize("options", [{"bptt": 2}, {"checkpoint_steps": 2}, {"bptt": 2, "checkpoint_steps": 2}])
def test_blocks_of_steps(options: dict[str, int], device: str) -> None:
    compared(make("gru", 3, 6, dtype=SINGLE, **options), draw(5, 3, 3, dtype=SINGLE), device)


@pytest.mark.kernels
@settings(max_examples=12, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(["lstm", "gru-before", "peephole-proj"]), st.sampled_from([1, 5, 17, 33]),
    st.sampled_from([24, 50, 130]), st.integers(1, 2), st.booleans(), st.booleans(), st.randoms(use_true_random=False),
)  # fmt: skip
def test_sizes_that_fill_no_tile(
    case: str, batch: int, hidden: int, steps: int, bidirectional: bool, packed: bool, random: Any
) -> None:
    layer = make(case, 3, hidden, dtype=SINGLE, bidirectional=bidirectional)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(hidden**-0.5)
    lengths = [steps, *(random.randint(1, steps) for _ in range(batch - 1))] if packed else None
    compared(layer, draw(steps, batch, 3, dtype=SINGLE), "cuda" if torch.cuda.is_available() else "cpu", lengths)


@pytest.mark.parametrize("case", ["lstm", "gru-before", slow("lstm-proj"), slow("layer-norm"), slow("minimalrnn")])
@pytest.mark.parametrize("lengths", [None, [2, 1, 2]])
def test_programs_that_share_the_units_of_a_row(
    case: str, lengths: list[int] | None, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_engine, "SHARED_FROM", 32)
    assert triton_engine.tiling(40, 3, 132).programs == 2
    layer = make(case, 3, 40, dtype=SINGLE, bidirectional=lengths is not None)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.mul_(0.3)
    compared(layer, draw(2, 3, 3, dtype=SINGLE), device, lengths)


@pytest.mark.parametrize("case", ["lru", "qrnn", "indrnn", slow("mingru"), slow("minlstm"), slow("sru"), slow("rglru")])
@pytest.mark.parametrize("lengths", [None, [7, 1, 4, 5, 2]])
def test_chunks_of_steps(case: str, lengths: list[int] | None, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_engine, "LEAST_CHUNK", 2)
    monkeypatch.setattr(triton_engine, "LEAST_CHUNKS", 3)
    layer = make(case, 3, 6, dtype=SINGLE, bidirectional=True, zoneout=0.2 if case == "mingru" else 0.0)
    program = dispatch.program_of(layer.cells[True][0])
    assert not isinstance(program, str)
    assert ("forward_summary" in triton_scan.emit(program).kernels) == (case not in ("indrnn", "sru"))
    assert triton_engine.chunks_of(7, 2, 132) == 3
    compared(layer, draw(7, 5, 3, dtype=SINGLE), device, lengths)


class Latest(Cell):
    """A state that a gate replaces, whatever it was."""

    gates = ("a", "b")
    recurrent = ()

    def step(self, z: Any, s: Any) -> Any:
        return torch.where(z.a > 0, z.b, s.h)


def test_chunks_that_are_not_finite_are_no_more_than_their_steps(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_engine, "LEAST_CHUNK", 4)
    a, b = torch.full((24, 1, 2), 1e10, device=device), torch.zeros(24, 1, 2, device=device)
    b[22:] = 1  # zeros before: the product of a chunk's factors is inf
    found = []
    functions: list[Any] = [scan._TritonScan.apply, scan.loop]
    for function in functions:
        one, two = a.clone().requires_grad_(), b.clone().requires_grad_()
        states = function(one, two, None)
        found.append([states, *torch.autograd.grad(states[:3].sum(), (one, two))])
    assert all(torch.isfinite(value).all() for value in found[0])
    close(found[0], found[1], dtype=SINGLE)
    layer = Recurrent(2, 1, cell=Latest(), bias=False, engine="triton").to(device)
    x = torch.full((20, 1, 2), -1.0, device=device)
    x[3] = torch.tensor([1.0, 5.0])
    with torch.no_grad():
        layer.get_parameter("weight_ih_l0").copy_(torch.eye(2))
        output, _ = layer(x, torch.full((1, 1, 1), -torch.inf, device=device))
    assert output.flatten().tolist() == [-torch.inf] * 3 + [5.0] * 17


class Swaps(Cell):
    """Each state goes into the other one, one of them as it is."""

    states = ("h", "c")
    outputs = ("h", "c")
    gates = ("a",)
    recurrent = ()

    def step(self, z: Any, s: Any) -> Any:
        return 0.5 * s.c + z.a, s.h


def test_states_that_are_exchanged(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for least in (2, 32):  # in chunks, and not
        monkeypatch.setattr(triton_engine, "LEAST_CHUNK", least)
        layer = Recurrent(3, 6, cell=Swaps(), bidirectional=True)
        compared(layer, draw(8, 3, 3, dtype=SINGLE), device, [8, 3, 5])


@pytest.mark.parametrize("begins", [False, True])
def test_the_linear_recurrence_by_itself(begins: bool, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_engine, "LEAST_CHUNK", 2)
    a, b, h0 = (draw(9, 2, 5, dtype=SINGLE).to(device), draw(9, 2, 5, dtype=SINGLE).to(device), draw(2, 5).to(device))
    tensors = [t.requires_grad_() for t in (a, b, h0.to(SINGLE))][: 2 + begins]
    found = []
    for function in (scan._TritonScan.apply, scan.loop):
        states = function(*tensors, *[None] * (function is not scan.loop and not begins))
        found.append([states, *torch.autograd.grad(states, tensors, torch._neg_view(2 * a.detach() - 1))])
    close(found[0], found[1], dtype=SINGLE)
    assert [node.op for node in scan._triton_kernel().program.adjoint.saved] == ["slot"]


def test_steps_that_are_not_affine_are_known() -> None:
    def forms(step: Any) -> tuple[bool, bool]:
        class Own(Cell):
            gates = ("a", "b")
            recurrent = ()

        Own.step = step  # type: ignore[method-assign]
        program = dispatch.program_of(Own())
        assert not isinstance(program, str)
        kernels = triton_scan.emit(program).kernels
        return "forward_summary" in kernels, "backward_summary" in kernels

    assert forms(lambda self, z, s: torch.where(z.a > 0, s.h, -s.h * 2) / torch.exp(z.b) - (z.a - s.h)) == (True, True)
    assert forms(lambda self, z, s: s.h * s.h + z.a) == (False, True)
    assert forms(lambda self, z, s: z.a / (s.h + 3)) == (False, True)
    assert forms(lambda self, z, s: torch.where(s.h > 0, s.h, z.a)) == (False, True)
    assert forms(lambda self, z, s: s.h.detach() + z.a * s.h) == (False, True)


def test_more_sequences_than_one_program_has_end_at_different_steps(device: str) -> None:
    lengths = [1 + k % 5 for k in range(40)]
    compared(make("ugrnn", 3, 6, dtype=SINGLE, bidirectional=True), draw(5, 40, 3, dtype=SINGLE), device, lengths)


def test_only_gradients_that_are_asked_for_are_computed(device: str) -> None:
    layer = make("gru-before", 3, 6, dtype=SINGLE, engine="triton").to(device)
    inputs = draw(3, 2, 3, dtype=SINGLE).to(device)
    for name, parameter in layer.named_parameters():
        parameter.requires_grad_(name == "bias_hh_l0")
    want = make("gru-before", 3, 6, dtype=SINGLE, engine="reference").to(device)
    layer(inputs)[0].sum().backward()
    want(inputs)[0].sum().backward()
    assert [name for name, one in layer.named_parameters() if one.grad is not None] == ["bias_hh_l0"]
    close([layer.bias_hh_l0.grad], [want.bias_hh_l0.grad], dtype=SINGLE)
    with torch.no_grad():
        close(flat(layer(inputs)), flat(want(inputs)), dtype=SINGLE)


def test_an_output_changed_in_place_and_a_second_derivative(device: str) -> None:
    layer = make("lstm", 3, 6, dtype=SINGLE, engine="triton").to(device)
    inputs = draw(3, 2, 3, dtype=SINGLE).to(device).requires_grad_()
    output, _ = layer(inputs)
    (want,) = torch.autograd.grad(output.sum(), inputs, create_graph=True)
    assert torch.autograd.grad(want.square().sum(), inputs)[0].abs().sum() > 0
    output, _ = layer(inputs)
    changed = output.mul_(1.0)
    close(torch.autograd.grad(changed.sum(), inputs), [want], dtype=SINGLE)


class Mine(Cell):
    """All elementwise operations, two of them on values of one row, and on vectors alone."""

    states = ("h", "c")
    outputs = ("h", "c")
    gates = ("a", "b")
    vectors = ("v",)
    matrices = {"weight_m": ("H", "H")}

    def step(self, z: Any, s: Any) -> Any:
        mean = nn.row_mean(s.c * z.a)
        a = torch.where(z.a > 0.1, torch.exp(-z.a.abs()), torch.sqrt(s.c**2 + 1.0))
        b = torch.maximum(torch.minimum(z.b, s.h), torch.relu(s.c)) / (1.0 + torch.sigmoid(self.v))
        c = torch.log(1.0 + a * a) + torch.nn.functional.softplus(b) - mean * torch.tanh(self.v)
        h = torch.tanh(self.weight_m(c.clamp(-2, 2))) + (c >= 0.5) * b.detach() - nn.row_mean(c)
        return h, c


def test_a_cell_of_ones_own_with_every_operation(device: str) -> None:
    layer = Recurrent(3, 20, cell=Mine(), bidirectional=True)
    nodes = dispatch.program_of(layer.cells[True][0]).graph.nodes.values()  # type: ignore[union-attr]
    assert {node.op for node in nodes} >= OPERATIONS.keys()
    assert triton_codegen.EXPRESSIONS.keys() == OPERATIONS.keys()
    compared(layer, draw(3, 5, 3, dtype=SINGLE), device, [3, 1, 2, 3, 3], tolerance=2.0)


@pytest.mark.parametrize("function", ["tanh", "softplus"])
def test_functions_of_very_small_and_very_large_values(function: str, device: str) -> None:
    class Only(Cell):
        gates = ("n",)
        recurrent = ()

        def step(self, z: Any, s: Any) -> Any:
            return getattr(torch.nn.functional, function)(z.n) + 0.0 * s.h

    layer = Recurrent(1, 1, cell=Only(), bias=False, engine="triton").to(device)
    with torch.no_grad():
        next(layer.parameters()).fill_(1.0)
        sizes = torch.logspace(-30, 2, 200)
        x = torch.cat([sizes, -sizes, torch.tensor([0.0, 0.3, -0.3, 1e4, -1e4])]).to(device)
        got = layer(x[None, :, None])[0].flatten()
    want = getattr(torch.nn.functional, function)(x.double())
    seen = want.abs() > 1e-30
    assert (got.double() / want - 1)[seen].abs().max() < 1e-6
    assert got[~seen].abs().max() < 1e-30


@pytest.mark.parametrize("case", ["peephole", "lru", "gru-before"])
def test_autocast_multiplies_in_half_precision(case: str, device: str) -> None:
    layer = make(case, 3, 6, dtype=SINGLE, engine="triton").to(device)
    x = draw(3, 2, 3, dtype=SINGLE).to(device).requires_grad_()
    hx = as_hx(tuple(s.to(device).requires_grad_() for s in draw_states(layer, 2)))
    want = [*flat(result := layer(x, hx)), *gradients(layer, result, x, *(hx if isinstance(hx, tuple) else (hx,)))]
    with torch.autocast(device, torch.float16):
        result = layer(x, hx)
    assert {one.dtype for one in flat(result)} == {torch.float16}
    got = [*flat(result), *gradients(layer, result, x, *(hx if isinstance(hx, tuple) else (hx,)))]
    assert {one.dtype for one in got[len(flat(result)) :]} == {SINGLE}
    close([one.float() for one in got], want, dtype=SINGLE, scale=300)
    if case != "lru":  # which is linear
        (first,) = torch.autograd.grad(result[0].float().sum(), x, create_graph=True)  # by the reference engine
        assert torch.autograd.grad(first.square().sum(), x)[0].abs().sum() > 0


@pytest.mark.parametrize("case", ["lstm", "gru-before"])
def test_half_precision_has_states_and_sums_of_single(case: str, device: str) -> None:
    layer = make(case, 3, 24, dtype=torch.float16, bidirectional=True)
    inputs = draw(6, 5, 3, dtype=torch.float16)
    want_layer = make(case, 3, 24, dtype=SINGLE, bidirectional=True, engine="reference")
    want_layer.load_state_dict(layer.state_dict())
    layer = layer.to(device)
    layer.engine = "triton"
    x, y = inputs.to(device).requires_grad_(), inputs.float().requires_grad_()
    got, want = layer(x), want_layer(y)
    assert {one.dtype for one in flat(got)} == {torch.float16}
    pairs = [*zip(flat(got), flat(want), strict=True)]
    (dx,) = torch.autograd.grad(got[0].float().sum(), x)
    (dy,) = torch.autograd.grad(want[0].sum(), y)
    for one, other in (*pairs, (dx, dy)):
        close([one.detach().float().cpu()], [other.detach()], dtype=SINGLE, scale=200)


def test_a_compiled_model_has_one_operation_of_it(device: str) -> None:
    torch.compiler.reset()
    layer = make("gru-before", 3, 6, dtype=SINGLE, engine="triton", bidirectional=True).to(device)
    inputs, found = draw(3, 2, 3, dtype=SINGLE).to(device).requires_grad_(), []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in (torch.compile(layer, fullgraph=True, backend="aot_eager"), layer):
            result = one(inputs)
            found.append([*flat(result), *gradients(layer, result, inputs)])
    close(found[0], found[1], dtype=SINGLE)


# --- which engine


def test_a_cpu_is_refused_unless_kernels_are_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make("elman", 3, 6, dtype=SINGLE).backend == "native"  # never by itself
    monkeypatch.delenv(triton_engine.INTERPRETER_VARIABLE, raising=False)
    with pytest.raises(ValueError, match="engine 'triton' cannot run ElmanCell: it runs on a GPU, not on cpu"):
        _ = make("elman", 3, 6, dtype=SINGLE, engine="triton").backend


@pytest.mark.parametrize(
    ("case", "dtype", "reason"),
    [("lstm", torch.float64, "not in torch.float64"), ("mlstm", SINGLE, "a form for many steps at once")],
)
def test_what_it_does_not_run_is_said(case: str, dtype: torch.dtype, reason: str, device: str) -> None:
    with pytest.raises(ValueError, match=f"engine 'triton' cannot run .*{reason}"):
        _ = make(case, 3, 6, dtype=dtype, engine="triton").to(device).backend


def test_an_operation_without_an_expression_is_named(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(dispatch, "_programs", {})
    monkeypatch.delitem(triton_codegen.EXPRESSIONS, "softplus")
    layer = make("slstm", 3, 6, dtype=SINGLE, engine="triton").to(device)
    with pytest.raises(ValueError, match=r"engine 'triton' cannot run .*: ScalarLSTMCell.step uses softplus"):
        _ = layer.backend


@pytest.mark.parametrize("launch", ["forward", "backward"])
def test_a_kernel_that_cannot_be_started_leaves_the_next_engine(
    launch: str, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(dispatch, "_programs", {})
    monkeypatch.setattr(dispatch, "_warned", set())
    layer = make("ugrnn", 3, 6, dtype=SINGLE, engine="triton").to(device)
    kernel = dispatch.triton_kernel_of(layer.cells[True][0])
    assert isinstance(kernel, triton_engine.TritonKernel)

    class Failing:
        def __getitem__(self, _: Any) -> Any:
            raise RuntimeError("Triton Error [CUDA]: device kernel image is invalid")

    monkeypatch.setitem(kernel.module, launch, Failing())
    inputs = draw(3, 2, 3, dtype=SINGLE).to(device).requires_grad_()
    want = make("ugrnn", 3, 6, dtype=SINGLE, engine="reference").to(device)
    with pytest.warns(UserWarning, match="no triton engine, a slower one .*: .*kernel image is invalid"):
        got = [*flat(result := layer(inputs)), *gradients(layer, result, inputs)]
    close(got, [*flat(result := want(inputs)), *gradients(want, result, inputs)], dtype=SINGLE)
    close(flat(layer(inputs)), flat(result), dtype=SINGLE)  # without a second warning


@pytest.mark.parametrize("launch", ["forward", "backward"])
def test_a_compiled_model_goes_on_where_a_kernel_cannot_be_started(
    launch: str, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    torch.compiler.reset()
    monkeypatch.setattr(dispatch, "_programs", {})
    layer = make("mgu", 3, 6, dtype=SINGLE, engine="triton").to(device)
    kernel = dispatch.triton_kernel_of(layer.cells[True][0])
    assert isinstance(kernel, triton_engine.TritonKernel)
    inputs = draw(3, 2, 3, dtype=SINGLE).to(device).requires_grad_()
    want = make("mgu", 3, 6, dtype=SINGLE, engine="reference").to(device)
    want.load_state_dict(layer.state_dict())
    model = torch.compile(layer, fullgraph=True, backend="aot_eager")
    expected = [*flat(result := want(inputs)), *gradients(want, result, inputs)]
    monkeypatch.setitem(kernel.module, launch, None)
    monkeypatch.setattr(triton_engine, "_launch_errors", lambda: (TypeError,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(2):  # the second call knows before
            close([*flat(result := model(inputs)), *gradients(layer, result, inputs)], expected, dtype=SINGLE)
    assert kernel.failed
    assert layer.backend == layer.eval().backend == "function"
    other = make("mgu", 3, 6, dtype=SINGLE, engine="triton").to(device)
    close(flat(other(inputs)), flat(want(inputs)), dtype=SINGLE)


@pytest.mark.parametrize("case", ["lstm", "minlstm", "qrnn"])
def test_a_compiled_model_takes_an_empty_batch(case: str, device: str) -> None:
    torch.compiler.reset()
    layer = make(case, 3, 6, dtype=SINGLE, engine="triton").to(device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = torch.compile(layer, backend="aot_eager")
        output = model(torch.zeros(5, 0, 3, device=device))[0]
    assert output.shape == (5, 0, 6)


def test_a_triton_that_cannot_be_imported_leaves_the_next_engine(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setattr(dispatch, "_programs", {})

    def fails(_: str) -> Any:
        raise ImportError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(triton_engine, "load_source", fails)
    for case in ("mgu", "mingru"):
        layer = make(case, 3, 6, dtype=SINGLE, engine="triton").to(device)
        with pytest.raises(ValueError, match=r"engine 'triton' cannot run .*: Triton cannot be imported: libcuda"):
            _ = layer.backend
        kernel = dispatch.triton_kernel_of(layer.cells[True][0])
        assert isinstance(kernel, str)


@pytest.mark.parametrize(("allowed", "name"), [(True, "tf32"), (False, "ieee")])
def test_products_are_as_precise_as_torch_is_told(allowed: bool, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", allowed)
    assert triton_engine.precision() == name


def test_the_precision_of_recurrent_layers_alone_is_followed() -> None:
    cudnn: Any = torch.backends.cudnn
    if not hasattr(cudnn, "rnn"):
        pytest.skip("torch before 2.9 has one switch for all of cuDNN")
    before = cudnn.rnn.fp32_precision
    try:
        for precision in ("ieee", "tf32"):
            cudnn.rnn.fp32_precision = precision
            assert triton_engine.precision() == precision
    finally:
        cudnn.rnn.fp32_precision = before


@pytest.mark.gpu
@pytest.mark.parametrize(("case", "engine"), [("lstm", "torch"), ("peephole", "triton"), ("mlstm", "function")])
def test_a_gpu_runs_each_cell_by_its_fastest_engine(case: str, engine: str) -> None:
    assert make(case, 3, 6, dtype=SINGLE).to("cuda").backend == engine
    assert make(case, 3, 6).to("cuda").backend == ("torch" if engine == "torch" else "function")
