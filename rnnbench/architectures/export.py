"""A trained module as a file for other programs: ONNX, `torch.export`, or weights alone."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.export import Dim

from rnnbench.errors import RnnbenchError, unknown
from rnnbench.nn import QuantisedLayer, Recurrent
from rnnbench.nn.compiler.loops import scan_calls
from rnnbench.objectives.probabilistic import QuantileHorizonForecast
from rnnbench.objectives.regression import HorizonForecast
from rnnbench.objectives.sequence_to_sequence import SequenceToSequence
from rnnbench.objectives.special_tokens import END_ID
from rnnbench.utils.extras import check_extra
from rnnbench.utils.files import write_whole

Format = Literal["onnx", "torch-export", "safetensors"]
FORMATS: tuple[str, ...] = get_args(Format)
FILES = {"onnx": "model.onnx", "torch-export": "model.pt2", "safetensors": "model.safetensors"}
"""The file of each format."""
MODULES: dict[str, tuple[str, ...]] = {
    "onnx": ("onnx", "onnxscript", "onnxruntime"), "torch-export": (), "safetensors": ("safetensors",),
}  # fmt: skip
"""Packages that a format needs."""
TOLERANCE = 1e-4
"""Largest difference between a model and its file, relative to the largest value (or to 1, if that is smaller)."""


@dataclass(frozen=True)
class Port:
    """An input or output of an exported model: its name, shape in words, type and meaning."""

    name: str
    shape: str
    dtype: str
    meaning: str


class ExportedModel(nn.Module):
    """What of a module is exported: predictions from inputs, true lengths and, if it can be streamed, states.

    A recurrent stack that reads forwards, on an objective that gives predictions for what was read, takes the states
    before the first step and gives those after the last: a long sequence can be read in parts. Any other module takes
    inputs and lengths alone. A forecast of a horizon reads itself and gives the horizon (one that draws from
    distributions gives these, step by step); a decoder gives token ids.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        runs_itself = model.objective.unrolls and not isinstance(model.objective, QuantileHorizonForecast)
        self.streams = isinstance(model.layer, Recurrent) and not model.layer.bidirectional and not runs_itself

    def forward(self, inputs: Tensor, lengths: Tensor, more: Any = None) -> tuple[Tensor, ...]:
        """Predictions, and the states after each sequence's last step if the model is streamed.

        `more` are the states before the first step, or the inputs of a horizon that are known ahead.
        """
        model = self.model
        if self.streams:
            hidden, after = model.read(inputs, lengths, more if len(more) > 1 else more[0])
            return model.objective(hidden, lengths), *((after,) if isinstance(after, Tensor) else after)
        if self.forecasts_itself:
            return (self._forecast(inputs, lengths, more),)
        if isinstance(model.objective, SequenceToSequence):
            tokens = model.objective.decode_greedily(model.objective.encode(model.read, inputs, lengths))
            return (F.pad(tokens, (0, model.objective.max_length - tokens.shape[1]), value=END_ID),)
        return (model(inputs, lengths),)

    def _forecast(self, inputs: Tensor, lengths: Tensor, known_ahead: Tensor | None) -> Tensor:
        """The horizon `[B, h, O]` after the true last step, each step read from the forecast of the one before."""
        model, objective = self.model, self.model.objective
        hidden, state = model.read(inputs, lengths)
        first = objective.head(objective.last_state(hidden, lengths)).unsqueeze(1)
        one_step = NextForecast(model)
        if torch.compiler.is_exporting() and model.stateful and objective.horizon > 1:
            return torch.cat([first, _scan_horizon(one_step, first, state, known_ahead, objective.horizon - 1)], 1)
        values = [first]
        for ahead in range(objective.horizon - 1):
            known = None if known_ahead is None else known_ahead[:, ahead : ahead + 1]
            value, state = one_step(values[-1], known, state)
            values.append(value)
        return torch.cat(values, 1)

    @property
    def forecasts_itself(self) -> bool:
        """Whether the forecast of a horizon is what the file gives."""
        return isinstance(self.model.objective, HorizonForecast) and not self.streams

    @property
    def known_ahead(self) -> int:
        """How many channels of a horizon's inputs are read ahead, if it has any."""
        objective = self.model.objective
        return objective.known_inputs if self.forecasts_itself and objective.horizon > 1 else 0

    @property
    def allows_padding(self) -> bool:
        """Whether sequences may be shorter than the batch: not where a layer without states reads a forecast again."""
        return self.model.stateful or not self.forecasts_itself

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, if the model is streamed."""
        return self.model.layer.cell.states if self.streams else ()

    def example(self, batch: int, steps: int) -> tuple[Any, ...]:
        """Arguments of a call, without padding."""
        p: Any = self.model.hparams
        random = torch.Generator().manual_seed(batch + steps)
        if p.input_kind == "tokens":
            inputs = torch.randint(1, p.input_size, (batch, steps), generator=random)
        else:
            inputs = torch.randn(batch, steps, p.input_size, generator=random)
        lengths = torch.full((batch,), steps)
        if self.known_ahead:
            shape = batch, self.model.objective.horizon - 1, self.known_ahead
            return inputs, lengths, torch.randn(shape, generator=random)
        if not self.streams:
            return inputs, lengths
        layer: Recurrent = self.model.layer
        widths = layer.cell.state_sizes(layer.hidden_size)
        return inputs, lengths, tuple(torch.zeros(layer.num_layers, batch, width) for width in widths)

    def open_sizes(self, batch: Any, steps: Any) -> tuple[Any, ...]:
        """`dynamic_shapes` of an export."""
        sizes = ({0: batch, 1: steps}, {0: batch})
        if self.known_ahead:
            return (*sizes, {0: batch})
        return (*sizes, tuple({1: batch} for _ in self.state_names)) if self.streams else sizes

    def ports(self) -> tuple[list[Port], list[Port]]:
        """Inputs and outputs."""
        p: Any = self.model.hparams
        tokens = p.input_kind == "tokens"
        length = "steps of each sequence, 1 to steps; what is beyond has no influence"
        length = length if self.allows_padding else "steps, for every sequence"
        inputs = [
            Port("inputs", "[batch, steps]" if tokens else f"[batch, steps, {p.input_size}]",
                 "int64" if tokens else "float32", "ids of tokens, 0 is padding" if tokens else "features"),
            Port("lengths", "[batch]", "int64", length),
        ]  # fmt: skip
        if self.known_ahead:
            shape = f"[batch, {self.model.objective.horizon - 1}, {self.known_ahead}]"
            inputs.append(Port("known_inputs", shape, "float32", "channels of the next steps that are known ahead"))
        outputs = [self._predictions()]
        if self.streams:
            layer: Recurrent = self.model.layer
            widths = layer.cell.state_sizes(layer.hidden_size)
            for name, width in zip(self.state_names, widths, strict=True):
                shape = f"[{layer.num_layers}, batch, {width}]"
                inputs.append(Port(name, shape, "float32", "state before the first step; zeros at a beginning"))
                outputs.append(Port(f"{name}_out", shape, "float32", "state after the last step, for the next call"))
        return inputs, outputs

    def _predictions(self) -> Port:
        objective, size = self.model.objective, self.model.hparams["output_size"]
        if isinstance(objective, SequenceToSequence):
            return Port(
                "tokens",
                f"[batch, {objective.max_length}]",
                "int64",
                "ids of what was decoded greedily, `</s>` from its end on",
            )
        if self.forecasts_itself:
            meaning = f"the {objective.horizon} steps after the inputs, each from the forecast of the one before"
            return Port("forecast", f"[batch, {objective.horizon}, {size}]", "float32", meaning)
        steps = "steps, " if objective.per_step else ""
        width = getattr(objective.head, "out_features", size)
        meaning = f"what the head of objective {self.model.hparams['objective']!r} gives"
        return Port("predictions", f"[batch, {steps}{width}]", "float32", meaning)


class NextForecast(nn.Module):
    """The forecast `[B, 1, O]` of the step after one, from that step and the state before it; and the state after."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, value: Tensor, known: Tensor | None, state: Any) -> tuple[Tensor, Any]:
        """`value` is the forecast of the step, `known` its inputs `[B, 1, K]` that are known ahead, if it has any."""
        step = value if known is None else torch.cat([value, known], -1)
        hidden, state = self.model.read(step, None, state)
        return self.model.objective.head(hidden), state


def _scan_horizon(one_step: NextForecast, first: Tensor, state: Any, known_ahead: Tensor | None, steps: int) -> Tensor:
    """The forecasts `[B, h − 1, O]` that follow the first, as a loop of the exported program."""
    single = isinstance(state, Tensor)

    def step(call: Any, rows: Sequence[Tensor], before: Sequence[Tensor], fixed: Any) -> list[Tensor]:
        value, *states = before
        known = None if known_ahead is None else rows[0].unsqueeze(1)
        value, after = call(value, known, states[0] if single else tuple(states))
        return [value, *((after,) if single else after)]

    rows = first.new_zeros(steps, 1) if known_ahead is None else known_ahead.transpose(0, 1)
    values = scan_calls(one_step, step, [rows], [first, *((state,) if single else state)], [])
    return values.squeeze(2).transpose(0, 1)


def check_format(format: str) -> None:
    """Check that a format is known and what it needs is installed.

    Raises:
        RnnbenchError: it is not.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    if MODULES[format]:
        check_extra("export", f"format {format}", *MODULES[format])


def export_model(model: Any, format: Format, folder: Path, title: str = "") -> Path:
    """Write a trained module into a folder: the model, `tokenizer.json` if it has one, and a card, `README.md`.

    `safetensors` has weights alone, with `config.json`: the class and its arguments. The other formats take any batch
    and number of steps, and are run at other sizes and compared with the module before this returns.

    Args:
        model: a `SequenceModule`; exported in evaluation mode, in float32 on the CPU.
        format: `onnx`, `torch-export` or `safetensors`.
        folder: made if it is not there; files of the same names are replaced.
        title: of the card; the class of the module if it is empty.

    Returns:
        The model's file.

    Raises:
        RnnbenchError: an unknown format, a package that is missing, or a module that cannot be exported.
    """
    check_format(format)
    if not getattr(model, "built", False):
        raise RnnbenchError(
            f"{type(model).__name__} has no layers yet: train it, or give it its sizes, before an export"
        )
    if any(isinstance(part, QuantisedLayer) for part in model.modules()):
        raise RnnbenchError("int8 weights cannot be exported: export the float32 module, and quantise the file")
    other = {parameter.dtype for parameter in model.parameters()} - {torch.float32}
    if other and format != "safetensors":
        raise RnnbenchError(
            f"weights are {', '.join(map(str, other))}: an export computes in float32, call model.float()"
        )
    training, device = [part for part in model.modules() if part.training], model.device
    exported = ExportedModel(model.eval().cpu())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILES[format]
    try:
        with torch.no_grad():
            facts = {"onnx": _to_onnx, "torch-export": _to_torch_export, "safetensors": _to_safetensors}[format](
                exported, path
            )
    finally:
        for part in training:
            part.training = True
        model.to(device)
    if model.tokenizer is not None:
        write_whole(folder / "tokenizer.json", model.hparams["tokenizer"])
    if isinstance(model.objective, SequenceToSequence):
        write_whole(folder / "target_tokenizer.json", model.objective.tokenizer_json)
    write_whole(folder / "README.md", _card(exported, format, title or type(model).__name__, facts))
    return path


def _to_onnx(exported: ExportedModel, path: Path) -> dict[str, str]:
    import onnx
    import onnxruntime

    inputs, outputs = exported.ports()

    def write() -> None:
        program = torch.onnx.export(
            exported, exported.example(3, 5), dynamo=True, dynamic_shapes=exported.open_sizes("batch", "steps"),
            input_names=[port.name for port in inputs], output_names=[port.name for port in outputs], verbose=False,
        )  # fmt: skip
        assert program is not None
        program.save(path)

    _export(exported, "onnx", write)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]  # what has no influence is left out

    def run(*arguments: Any) -> list[Tensor]:
        more = arguments[2] if len(arguments) > 2 else ()
        tensors = [*arguments[:2], *((more,) if isinstance(more, Tensor) else more)]
        by_name = {port.name: tensor.numpy() for port, tensor in zip(inputs, tensors, strict=True)}
        return [torch.from_numpy(array) for array in session.run(None, {name: by_name[name] for name in names})]

    difference = _check(exported, run, "onnx")
    opset = next(entry.version for entry in onnx.load(path).opset_import if entry.domain in ("", "ai.onnx"))
    return {"opset": str(opset), "greatest difference to the trained model": f"{difference:.1e}"}


def _to_torch_export(exported: ExportedModel, path: Path) -> dict[str, str]:
    def write() -> None:
        sizes = exported.open_sizes(Dim.DYNAMIC, Dim.DYNAMIC)
        program = torch.export.export(exported, exported.example(3, 5), dynamic_shapes=sizes, strict=False)
        torch.export.save(program, path)

    _export(exported, "torch-export", write)
    difference = _check(exported, torch.export.load(path).module(), "torch-export")
    return {"torch": torch.__version__, "greatest difference to the trained model": f"{difference:.1e}"}


def _to_safetensors(exported: ExportedModel, path: Path) -> dict[str, str]:
    from safetensors.torch import save_file

    model = exported.model
    class_path = f"{type(model).__module__}.{type(model).__qualname__}"
    weights = {name: tensor.detach().clone().contiguous() for name, tensor in model.state_dict().items()}
    save_file(weights, path, {"format": "pt", "class_path": class_path})
    arguments = {name: value for name, value in model.hparams.items() if name != "tokenizer"}
    write_whole(path.parent / "config.json", json.dumps({"class_path": class_path, "init_args": arguments}, indent=1))
    return {"class": class_path}


def _export(exported: ExportedModel, format: str, write: Callable[[], None]) -> None:
    """Call torch's exporter.

    Raises:
        RnnbenchError: it fails, with the layer and its options.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            write()
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # what torch.onnx wraps in advice
            cause = cause.__cause__
        reason = next(iter(str(cause).strip().splitlines()), type(cause).__name__)[:300]
        raise RnnbenchError(
            f"{exported.model.layer!r} on objective {exported.model.hparams['objective']!r} cannot be exported as "
            f"{format}: {reason}"
        ) from error


def _check(exported: ExportedModel, run: Callable[..., Sequence[Tensor]], format: str) -> float:
    """The greatest difference between a file and the module, at sizes other than those of the export.

    Raises:
        RnnbenchError: it is larger than rounding explains.
    """
    worst = 0.0
    for batch, steps in ((2, 9), (1, 1)):
        arguments = exported.example(batch, steps)
        if exported.allows_padding:
            arguments[1][0] -= steps // 2
        for got, want in zip(run(*arguments), exported(*arguments), strict=True):
            size = max(1.0, float(want.abs().max()))
            worst = max(worst, float((got.double() - want.double()).abs().max()) / size)
    if not worst <= TOLERANCE:
        raise RnnbenchError(
            f"{exported.model.layer!r}: what the file of format {format} computes differs from the model by {worst:.1e}"
        )
    return worst


def _card(exported: ExportedModel, format: str, title: str, facts: dict[str, str]) -> str:
    """The card: what the file takes and gives, and how to call it."""
    model, (inputs, outputs) = exported.model, exported.ports()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    lines = [
        f"# {title}", "",
        f"`{FILES[format]}`, format {format}: {type(model).__name__} on objective `{model.hparams['objective']}`, "
        f"layer `{' '.join(repr(model.layer).split())}`, {parameters} parameters.", "",
        *(f"- {name}: {value}" for name, value in facts.items()), "",
    ]  # fmt: skip
    for name, ports in (("input", inputs), ("output", outputs)):
        lines += [f"| {name} | shape | type | |", "|---|---|---|---|"]
        lines += [f"| `{port.name}` | `{port.shape}` | {port.dtype} | {port.meaning} |" for port in ports] + [""]
    lines += ["`batch` and `steps` are any numbers from 1 on.", ""]
    if model.tokenizer is not None:
        lines += ["`tokenizer.json` (Hugging Face tokenizers) turns texts into the ids of the inputs.", ""]
    if isinstance(model.objective, SequenceToSequence):
        lines += ["`target_tokenizer.json` has the tokens of the output.", ""]
    lines += ["```python", *_usage(exported, format), "```", ""]
    return "\n".join(lines)


def _usage(exported: ExportedModel, format: str) -> list[str]:
    inputs, _ = exported.ports()
    names = [port.name for port in inputs]
    if format == "onnx":
        feed = ", ".join(f'"{name}": {name}' for name in names)
        return [
            "import onnxruntime", 'session = onnxruntime.InferenceSession("model.onnx")',
            f"outputs = session.run(None, {{{feed}}})",
        ]  # fmt: skip
    if format == "torch-export":
        more = f", ({', '.join(exported.state_names)},)" if exported.streams else ""
        more = ", known_inputs" if exported.known_ahead else more
        return [
            "import torch", 'model = torch.export.load("model.pt2").module()',
            f"outputs = model(inputs, lengths{more})",
        ]  # fmt: skip
    name = type(exported.model).__name__
    return [
        "import json", "from safetensors.torch import load_file",
        f"from {type(exported.model).__module__} import {name}",
        f'model = {name}(**json.load(open("config.json"))["init_args"])',
        'model.load_state_dict(load_file("model.safetensors"))',
    ]  # fmt: skip
