"""Layers inside what torch transforms: compiled, mapped, distributed."""

import os
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pack_padded_sequence

from rnnbench import nn
from tests.fixtures.nn_layers import Model, close, draw, flat, gradients, make

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")


@pytest.mark.parametrize(
    ("case", "layers", "engine"),
    [("lstm", 2, None), ("gru-before", 1, None), ("layer-norm", 1, None), ("lru", 1, None), ("lstm", 1, "reference")],
)
def test_a_compiled_model_is_the_model(case: str, layers: int, engine: Any) -> None:
    torch.compiler.reset()
    model = Model(case, num_layers=layers, bidirectional=True, engine=engine)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    inputs = draw(2, 5, 3).requires_grad_()
    found = []
    for one in (compiled, model):
        result = one(inputs)
        found.append([*result, *gradients(model, result, inputs)])
    close(found[0], found[1])
    with torch.no_grad():
        close(compiled(inputs), model(inputs))


def test_a_compiled_model_draws_its_masks() -> None:
    torch.compiler.reset()
    model = Model("lstm", variational_dropout=0.3, zoneout=0.1)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    inputs = draw(2, 5, 3)
    result = compiled(inputs)
    assert not torch.equal(result[0], compiled(inputs)[0])
    result[0].sum().backward()
    close(torch.compile(model.eval(), fullgraph=True, backend="aot_eager")(inputs), model.eval()(inputs))


@pytest.mark.parametrize("engine", ["function", "torch"])
def test_a_compiled_model_keeps_to_its_engine(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.compiler.reset()
    model = Model("lstm", engine=engine)
    compiled, inputs = torch.compile(model, backend="aot_eager"), draw(2, 5, 3)
    close(compiled(inputs), model(inputs))


@pytest.mark.parametrize("case", ["lstm", "gru-before", "layer-norm"])
def test_transforms_of_functions_go_through(case: str) -> None:
    layer, inputs = make(case, 3, 4), draw(6, 5, 2, 3)
    close([torch.func.vmap(lambda one: layer(one)[0])(inputs)], [torch.stack([layer(one)[0] for one in inputs])])

    def loss(parameters: dict[str, Tensor], data: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(layer, parameters, (data,))[0]
        return output.square().sum()

    own = {name: value.detach() for name, value in layer.named_parameters()}
    got = torch.func.grad(loss)(own, inputs[0])
    want = torch.autograd.grad(layer(inputs[0])[0].square().sum(), list(layer.parameters()))
    close([got[name] for name in own], want)
    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(own, inputs)
    close([each[name][0] for name in own], want)
    tangent = draw(5, 2, 3, seed=9)
    forward: Tensor = torch.func.jvp(lambda one: layer(one)[0], (inputs[0],), (tangent,))[1]
    jacobian = torch.func.jacrev(lambda one: layer(one)[0])(inputs[0])
    close([forward], [torch.einsum("abcxyz,xyz->abc", jacobian, tangent)])


def test_packed_sequences_may_be_compiled_around() -> None:
    torch.compiler.reset()
    layer, inputs = make("lstm", 3, 6, bidirectional=True), draw(5, 3, 3).requires_grad_()

    def run(data: Tensor) -> Any:
        return layer(pack_padded_sequence(data, torch.tensor([5, 3, 2])))

    result, other = torch.compile(run, backend="aot_eager")(inputs), run(inputs)
    close(flat(result), flat(other))
    close(gradients(layer, result, inputs), gradients(layer, other, inputs))


def _worker(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = DistributedDataParallel(Model("lstm", num_layers=2, bidirectional=True))
        model(draw(4, 5, 3)[2 * rank : 2 * rank + 2])[0].square().mean().backward()
    torch.save([one.grad for one in model.parameters()], Path(folder, str(rank)))
    del model  # its threads end before those of the group
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    os._exit(0)  # threads of torch that are still there at an ordinary end may abort it


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    model = Model("lstm", num_layers=2, bidirectional=True)
    model(draw(4, 5, 3))[0].square().mean().backward()
    spawn(_worker, (str(tmp_path),), nprocs=2)  # type: ignore[no-untyped-call]
    want = [one.grad for one in model.parameters()]
    for rank in range(2):
        close(torch.load(tmp_path / str(rank)), want)


def test_a_layer_is_what_its_arguments_say() -> None:
    assert repr(nn.LSTM(3, 4, num_layers=2, bidirectional=True)) == "LSTM(3, 4, num_layers=2, bidirectional=True)"
