"""Layers in the programs that `torch.export`, ONNX and `torch.jit.trace` make, called with other sizes."""

from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor
from torch.export import Dim
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from rnnbench import architectures, nn
from tests.fixtures.nn_layers import Model, as_hx, close, draw, draw_states, flat, gradients, make

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning", "ignore::torch.jit.TracerWarning"
)
SINGLE = torch.float32


class Packed(torch.nn.Module):
    """A layer that runs packed over a padded batch."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor, lengths: Tensor) -> list[Tensor]:
        output, states = self.layer(pack_padded_sequence(inputs, lengths, enforce_sorted=False))
        return flat((pad_packed_sequence(output)[0], states))


class Padded(torch.nn.Module):
    """A layer that leaves the padding of a batch out by itself."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor, lengths: Tensor) -> list[Tensor]:
        return flat(nn.run_padded_to_states(self.layer, inputs, lengths))


def to_onnx(model: torch.nn.Module, example: tuple[Tensor, ...], sizes: Any, path: Path) -> Any:
    """The model in ONNX Runtime: a function of tensors."""
    torch.onnx.export(model, example, path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    session = onnxruntime.InferenceSession(path)
    names = [one.name for one in session.get_inputs()]

    def run(*inputs: Tensor) -> list[Tensor]:
        given = {name: one.numpy() for name, one in zip(names, inputs, strict=True)}
        return [torch.from_numpy(one) for one in session.run(None, given)]

    return run


def test_onnx_models_of_one_process_each_have_the_sizes_that_they_leave_open(tmp_path: Path) -> None:
    layer = make("elman", 3, 4, bidirectional=True, batch_first=True, dtype=SINGLE).eval()
    example = (draw(2, 3, 3, dtype=SINGLE),)
    open_sizes: list[dict[int, str]] = [{1: "steps"}, {0: "batch", 1: "steps"}]
    for sizes, shapes in zip(open_sizes, ([(2, 7, 3)], [(5, 7, 3), (1, 1, 3), (2, 9, 3)]), strict=True):
        run = to_onnx(layer, example, (sizes,), tmp_path / "model.onnx")
        for shape in shapes:
            inputs = draw(*shape, dtype=SINGLE)
            close(run(inputs), flat(layer(inputs)), SINGLE)


def test_an_onnx_model_leaves_the_padding_out(tmp_path: Path) -> None:
    model = Padded(make("mingru", 3, 4, 2, bidirectional=True, batch_first=True, dtype=SINGLE)).eval()
    example = draw(2, 3, 3, dtype=SINGLE), torch.tensor([3, 3])
    run = to_onnx(model, example, ({0: "batch", 1: "steps"}, {0: "batch"}), tmp_path / "model.onnx")
    inputs, lengths = draw(4, 6, 3, dtype=SINGLE), torch.tensor([2, 6, 1, 5])
    inputs[0, 2:] = torch.nan
    close(run(inputs, lengths), model(inputs, lengths), SINGLE)


class Several(torch.nn.Module):
    """Layers side by side, with lengths and states."""

    def __init__(self, layers: list[Any]) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)

    def forward(self, inputs: Tensor, lengths: Tensor, states: list[tuple[Tensor, ...]]) -> list[Tensor]:
        results = [
            nn.run_padded_to_states(layer, inputs, lengths, as_hx(begin))
            for layer, begin in zip(self.layers, states, strict=True)
        ]
        return [value for result in results for value in flat(result)]


OPERATORS = {
    "lstm": "LSTM", "coupled-peephole": "LSTM", "gru": "GRU", "gru-before": "GRU", "elman-relu": "RNN",
    "peephole-previous": "Scan",
}  # fmt: skip


def test_onnx_runs_the_cells_that_it_has_by_its_own_operators(tmp_path: Path) -> None:
    both = ("lstm", "gru-before")
    layers = [make(case, 3, 5, bidirectional=case in both, batch_first=True, dtype=SINGLE) for case in OPERATORS]
    model = Several(layers).eval()
    states = [draw_states(layer, 2) for layer in layers]
    sizes = ({0: "batch", 1: "steps"}, {0: "batch"}, [tuple({1: "batch"} for _ in begin) for begin in states])
    example = draw(2, 3, 3, dtype=SINGLE), torch.tensor([3, 3]), states
    path = tmp_path / "model.onnx"
    torch.onnx.export(model, example, path, dynamo=True, dynamic_shapes=sizes, verbose=False)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    for kind in set(OPERATORS.values()):
        assert kinds.count(kind) == sum(1 + (case in both) for case, own in OPERATORS.items() if own == kind)
    session = onnxruntime.InferenceSession(path)
    names = [one.name for one in session.get_inputs()]
    for batch, known in ((3, [7, 2, 5]), (1, [1])):
        inputs, lengths = draw(batch, max(known), 3, dtype=SINGLE), torch.tensor(known)
        states = [draw_states(layer, batch, seed=9) for layer in layers]
        tensors = [inputs, lengths, *(state for begin in states for state in begin)]
        found = session.run(None, {name: one.numpy() for name, one in zip(names, tensors, strict=True)})
        for one, other in zip(found, model(inputs, lengths, states), strict=True):
            assert torch.allclose(torch.from_numpy(one), other, rtol=0, atol=1e-5)


def test_an_onnx_model_that_was_traced_takes_other_sizes(tmp_path: Path) -> None:
    layer = make("peephole", 3, 4, 2, bidirectional=True, dtype=SINGLE).eval()
    names: Any = {
        "input_names": ["x"],
        "output_names": ["y", "h", "c"],
        "dynamic_axes": {"x": {0: "steps", 1: "batch"}},
    }
    torch.onnx.export(layer, (draw(4, 2, 3, dtype=SINGLE),), tmp_path / "model.onnx", dynamo=False, **names)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    for shape in ((4, 2, 3), (7, 3, 3)):
        inputs = draw(*shape, dtype=SINGLE)
        found = [torch.from_numpy(one) for one in session.run(None, {"x": inputs.numpy()})]
        close(found, flat(layer(inputs)), SINGLE)


class Normalised(nn.Cell):
    """A cell that looks at all units of a row, whose derivative needs the number of rows."""

    gates = ("n",)

    def step(self, z: Any, s: Any) -> Any:
        return torch.tanh(*nn.layer_norm(z.n))


def test_an_architecture_in_onnx_takes_other_sizes(tmp_path: Path) -> None:
    sizes: Any = {"input_size": 3, "output_size": 2, "objective": "classification"}
    model = architectures.CellModule(f"{__name__}.Normalised", hidden_size=4, **sizes).eval()
    run = to_onnx(model, (draw(2, 3, 3, dtype=SINGLE),), ({0: "batch", 1: "steps"},), tmp_path / "model.onnx")
    inputs = draw(4, 20, 3, dtype=SINGLE)
    close(run(inputs), [model(inputs)], SINGLE)


def test_an_exported_model_is_the_model() -> None:
    model, inputs = Model("lstm", num_layers=2, bidirectional=True).eval(), draw(2, 5, 3)
    exported = torch.export.export(model, (inputs,))
    close(exported.module()(inputs), model(inputs))


def test_a_model_that_is_scripted_by_tracing_is_the_model() -> None:
    model, inputs = Model("gru").eval(), draw(2, 5, 3)
    traced = torch.jit.trace(model, (inputs,), check_trace=False)  # type: ignore[no-untyped-call]
    close(traced(inputs), model(inputs))


@pytest.mark.parametrize("cls", [nn.PeepholeLSTM, nn.MinGRU])
def test_an_export_leaves_the_batch_open(cls: Any) -> None:
    layer = cls(3, 4, batch_first=True, num_layers=2, bidirectional=True).eval()
    batch = Dim("batch", min=2, max=64)
    program = torch.export.export(layer, (torch.randn(5, 7, 3),), dynamic_shapes={"input": {0: batch}})
    inputs = torch.randn(9, 7, 3)
    assert torch.allclose(program.module()(inputs)[0], layer(inputs)[0], atol=1e-5)


@pytest.mark.parametrize(
    ("case", "layers"),
    [
        ("lstm-proj", 2),
        ("layer-norm", 1),
        ("lru", 1),
        ("mlstm-heads", 1),
    ],
)
def test_an_export_leaves_batch_and_steps_open(case: str, layers: int) -> None:
    layer = make(case, 3, 6, layers, bidirectional=True, zoneout=0.1, checkpoint_steps=2).eval().requires_grad_(False)
    sizes = {"input": {0: Dim("steps"), 1: Dim("batch")}}
    program = torch.export.export(layer, (draw(4, 5, 3),), dynamic_shapes=sizes, strict=False).module()
    for shape in ((9, 2, 3), (1, 1, 3)):
        inputs = draw(*shape)
        close(flat(program(inputs)), flat(layer(inputs)))


def test_an_exported_loop_has_the_derivative() -> None:
    layer = make("lstm", 3, 4)
    sizes = {"input": {0: Dim("steps"), 1: Dim("batch")}}
    exported = torch.export.export(layer, (draw(3, 2, 3),), dynamic_shapes=sizes)
    inputs, program = draw(5, 4, 3), exported.module()
    names = [name for name, _ in layer.named_parameters()]
    found = dict(zip([n for n, _ in program.named_parameters()], gradients(program, program(inputs)), strict=True))
    close([found[name] for name in names], gradients(layer, layer(inputs)))
    close(flat(exported.run_decompositions().module()(inputs)), flat(layer(inputs)))


def test_an_export_of_a_fixed_size_leaves_the_padding_out() -> None:
    model = Padded(make("lstm", 3, 4, 2, batch_first=True, connections="residual", checkpoint_steps=2)).eval()
    inputs, lengths = draw(3, 5, 3), torch.tensor([2, 5, 1])
    exported = torch.export.export(model, (draw(3, 5, 3), torch.tensor([5, 5, 5]))).module()
    close(exported(inputs, lengths), model(inputs, lengths))


def test_an_export_of_a_packed_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot record a PackedSequence.*run_padded"):
        torch.export.export(Packed(make("lstm", 3, 4)), (draw(5, 3, 3), torch.tensor([5, 2, 4])))


@pytest.mark.parametrize("case", ["lstm", "gru-before", "mingru", "lru"])
def test_a_trace_takes_other_sizes(case: str) -> None:
    layer = make(case, 3, 4, 2, bidirectional=True, zoneout=0.1, checkpoint_steps=2).eval()
    traced: Any = torch.jit.trace(layer, (draw(4, 2, 3),), check_trace=False)  # type: ignore[no-untyped-call]
    for shape in ((4, 2, 3), (7, 3, 3), (1, 1, 3)):
        close(flat(traced(draw(*shape))), flat(layer(draw(*shape))))
    close(gradients(layer, traced(draw(7, 3, 3))), gradients(layer, layer(draw(7, 3, 3))))


@pytest.mark.parametrize(("kind", "case"), [(Packed, "lstm"), (Packed, "lru"), (Padded, "mingru")])
def test_a_trace_takes_other_lengths(kind: Any, case: str, tmp_path: Path) -> None:
    model = kind(make(case, 3, 4, 2, bidirectional=True, batch_first=kind is Padded)).eval()
    lengths = torch.tensor([4, 2, 3]) if kind is Packed else torch.tensor([4, 4, 4])
    example = draw(3, 4, 3) if kind is Padded else draw(4, 3, 3)
    traced: Any = torch.jit.trace(model, (example, lengths), check_trace=False)  # type: ignore[no-untyped-call]
    torch.jit.save(traced, tmp_path / "model.pt")
    traced = torch.jit.load(tmp_path / "model.pt")  # type: ignore[no-untyped-call]
    for known in ([3, 2, 4], [1, 4, 4], [2, 6, 5, 1], [1]):  # as many rows as in the example, and others
        batch, steps = len(known), max(known)
        inputs = draw(*((batch, steps, 3) if kind is Padded else (steps, batch, 3)))
        close(traced(inputs, torch.tensor(known)), model(inputs, torch.tensor(known)))


def test_a_trace_takes_sequences_without_a_batch_and_initial_states() -> None:
    layer = make("lstm", 3, 4)
    traced: Any = torch.jit.trace(layer, (draw(4, 3),), check_trace=False)  # type: ignore[no-untyped-call]
    close(flat(traced(draw(7, 3))), flat(layer(draw(7, 3))))
    example = draw(4, 2, 3), draw_states(layer, 2)
    traced = torch.jit.trace(layer, example, check_trace=False)  # type: ignore[no-untyped-call]
    states = draw_states(layer, 3)
    close(flat(traced(draw(6, 3, 3), states)), flat(layer(draw(6, 3, 3), states)))


def test_a_trace_draws_its_masks_for_other_lengths() -> None:
    layer = make("lstm", 3, 4, zoneout=0.5, variational_dropout=0.5)
    example = draw(4, 3, 3), torch.tensor([4, 2, 3])
    traced: Any = torch.jit.trace(Packed(layer), example, check_trace=False)  # type: ignore[no-untyped-call]
    inputs, lengths = draw(6, 2, 3), torch.tensor([6, 1])
    torch.manual_seed(1)
    found = traced(inputs, lengths)
    assert not torch.equal(found[0], traced(inputs, lengths)[0])
    torch.manual_seed(1)
    close(found, Packed(layer)(inputs, lengths))


def test_a_trace_holds_steps_of_a_stack_that_are_called_one_by_one() -> None:
    layer = make("lstm", 3, 4, 2).requires_grad_(False)
    with torch.no_grad():
        layer.step(draw(2, 3))  # prepared: what a trace would not see
        run: Any = torch.jit.trace(
            lambda x, h, c: flat(layer.step(x, (h, c))),
            (draw(2, 3), *draw_states(layer, 2)),
            check_trace=False,
            strict=False,
        )  # type: ignore[no-untyped-call]
        states = draw_states(layer, 5, seed=7)
        close(run(draw(5, 3), *states), flat(layer.step(draw(5, 3), states)))


def test_a_linear_recurrence_is_recorded_for_any_number_of_steps() -> None:
    class Recurrence(torch.nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return nn.linear_recurrence(a, b)

    model, example, given = Recurrence(), (draw(4, 2, 3), draw(4, 2, 3)), (draw(7, 5, 3), draw(7, 5, 3, seed=2))
    sizes = {0: Dim("steps"), 1: Dim("batch")}
    exported = torch.export.export(model, example, dynamic_shapes=(sizes, sizes)).module()
    traced: Any = torch.jit.trace(model, example, check_trace=False)  # type: ignore[no-untyped-call]
    close([exported(*given), traced(*given)], [model(*given)] * 2)


@pytest.mark.parametrize("make_layer", [nn.WindowMLP, nn.CNN, nn.TCN])
def test_a_recorded_layer_without_recurrence_takes_longer_sequences(make_layer: Any) -> None:
    layer, example, inputs = make_layer(3, 4, 2, dtype=torch.float64), draw(2, 5, 3), draw(3, 30, 3)
    traced: Any = torch.jit.trace(layer, (example,), check_trace=False)  # type: ignore[no-untyped-call]
    sizes = {"input": {0: Dim("batch"), 1: Dim("steps")}}
    exported = torch.export.export(layer, (example,), dynamic_shapes=sizes).module()
    close([traced(inputs), exported(inputs)], [layer(inputs)] * 2)


@pytest.mark.parametrize("attention", ["bahdanau", "luong"])
def test_a_trace_decodes_to_the_end(attention: Any) -> None:
    torch.manual_seed(0)
    decoder = nn.Decoder(lambda size: nn.GRU(size, 4, batch_first=True), 5, 3, 4, attention).requires_grad_(False)
    decoder.head.weight.mul_(9)

    def say(memory: Tensor, final: Tensor) -> Tensor:
        return decoder.greedy(nn.Encoded(memory, None, final), 1, 2, 6)

    random = [draw(4, 3, 4, dtype=SINGLE, seed=seed) for seed in range(4)]
    traced: Any = torch.jit.trace(  # type: ignore[no-untyped-call]
        say, (random[0][:1], random[1][:1, :1].transpose(0, 1)), check_trace=False
    )
    final = random[2][:, :1].transpose(0, 1)
    want = say(random[3], final)
    found = traced(random[3], final)
    assert found.shape == (4, 6)
    assert torch.equal(found[:, : want.shape[1]], want)
    assert bool((found[:, want.shape[1] :] == 2).all())
