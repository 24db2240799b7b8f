"""The triton engine: a call as one launch of an emitted Triton kernel, forwards and backwards, on a GPU."""

from __future__ import annotations

import hashlib
import linecache
import os
import subprocess
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.nn.compiler import triton_scan
from rnnbench.nn.compiler.autodiff import Program
from rnnbench.nn.compiler.layout import Layout
from rnnbench.nn.compiler.sequence import CallTensors, SequenceCall
from rnnbench.nn.compiler.triton_codegen import emit
from rnnbench.nn.compiler.weights import slot_bias, weight_rows

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
INTERPRETER_VARIABLE = "TRITON_INTERPRET"
LEAST_CAPABILITY = (7, 5)


class NoTriton(Exception):
    """Triton cannot compile or start a kernel on this machine."""


def is_interpreted() -> bool:
    """Whether Triton runs kernels on the CPU, in Python: for tests, very slowly."""
    return os.environ.get(INTERPRETER_VARIABLE, "0").lower() in ("1", "true", "on", "yes", "y")


def unsupported_reason(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why the engine cannot run on a device with a type of number; None if it can."""
    if device.type != "cuda" and not (device.type == "cpu" and is_interpreted()):
        return f"it runs on a GPU, not on {device.type} (but for tests, where {INTERPRETER_VARIABLE}=1 is set)"
    if dtype not in DTYPES:
        return f"it computes in float32, float16 and bfloat16, not in {dtype}"
    if find_spec("triton") is None:
        return "Triton is not installed (it comes with torch's builds for CUDA on Linux)"
    if device.type == "cuda" and torch.version.hip is None:
        capability = torch.cuda.get_device_capability(device)
        if capability < LEAST_CAPABILITY:
            return f"Triton needs a GPU of capability 7.5 or more, this one has {capability[0]}.{capability[1]}"
    return None


class Tiling(NamedTuple):
    """Sizes of a launch: rows and units of a tile, places of a product's operand at once; programs that share the units
    of a row; warps of a program, and how many loads run ahead of the products."""

    rows: int
    units: int
    places: int
    programs: int
    warps: int
    stages: int


SHARED_FROM: int | None = None
"""The hidden size from which programs share the units of a row, each waiting for the others at every step. None: never,
until a GPU has confirmed that it is right and faster."""


def tiling(hidden_size: int, batch: int, processors: int) -> Tiling:
    """The sizes for a hidden size, a batch and a GPU with so many multiprocessors."""
    block = max(16, 1 << (hidden_size - 1).bit_length())  # the least power of two that holds a row
    if SHARED_FROM is not None and hidden_size >= SHARED_FROM and (tiles := -(-batch // 16)) <= processors // 2:
        programs = min(-(-hidden_size // 32), processors // tiles)
        return Tiling(16, 32, 32, programs, 8, 3)
    if hidden_size <= 128:
        return Tiling(16, min(block, 32), min(block, 32), 1, 4, 2)
    return Tiling(16, 64, 32, 1, 8, 2)


@cache
def load_source(text: str) -> dict[str, Any]:
    """The names that an emitted source defines.

    Triton reads the lines of a kernel again when it compiles it: `linecache` has them, there is no file.
    """
    name = f"<rnnbench kernel {hashlib.sha256(text.encode()).hexdigest()[:16]}>"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    module: dict[str, Any] = {"__name__": "rnnbench_triton_kernel"}
    exec(compile(text, name, "exec"), module)  # noqa: S102  (our own text, made from the cell's graph)
    return module


class TritonKernel:
    """The emitted form of a program: an `Engine`.

    States and sums are float32 whatever the type of the inputs; what is kept, and gradients of slots, are of the type
    of the inputs.

    Raises:
        UnsupportedOperation: one of the program's operations has no Triton expression.
    """

    def __init__(self, program: Program) -> None:
        self.program, self.layout = program, Layout(program)
        self.source = self.emit()
        try:
            self.module = load_source(self.source.text)
        except (ImportError, OSError) as error:
            raise NoTriton(f"Triton cannot be imported: {error}") from error
        self.failed = ""
        """Why a launch has failed; the cell is run by another engine then."""

    def emit(self) -> Any:
        """The source of the program's kernels."""
        return emit(self.layout)

    # --- launches

    def sizes(self, hidden_size: int, projected: int, batch: int, processors: int) -> dict[str, Any]:
        """The constants of a launch that depend on the sizes and the GPU."""
        rows, units, places, programs, warps, stages = tiling(hidden_size, batch, processors)

        def share(width: int) -> int:
            return -(-width // (units * programs)) * units

        return {
            "H": hidden_size, "P": projected, "BB": rows, "BN": units, "BK": places, "SPAN": share(hidden_size),
            "SPAN_P": share(projected), "PROGRAMS": programs, "SHARES": 1 << (programs - 1).bit_length(),
            "SEGMENT": -1, "num_warps": warps, "num_stages": stages,
        }  # fmt: skip

    def launch(self, name: str, call: SequenceCall, tensors: dict[str, Any], inputs: Tensor) -> None:
        """Run the kernel `forward` or `backward` with arguments by name; it writes to those that are results.

        Raises:
            NoTriton: Triton cannot compile or start it.
        """
        device = inputs.device
        constants = self.sizes(call.hidden_size, call.widths[0], call.batch, processors_of(device))
        tiles, programs = -(-call.batch // constants["BB"]), constants["PROGRAMS"]
        numbers = {"T": len(call.steps.rows), "B": call.batch, "first": 0}
        constants |= {"PACKED": call.is_packed, "REVERSE": call.reverse, "PRECISION": precision()}
        arguments: dict[str, Any] = dict.fromkeys(map(plain_name, self.source.arguments(name)))
        arguments |= tensors | numbers
        planes = max(1, self.source.planes[name])
        arguments["scratch"] = inputs.new_empty(planes, call.batch, call.hidden_size, dtype=torch.float32)
        waits = programs > 1 and self.source.waits[name]
        if programs > 1:
            arguments["counter"] = torch.zeros(tiles, dtype=torch.int32, device=device)
            arguments["parts"] = torch.empty(
                max(1, self.source.means[name]), programs, call.batch, dtype=torch.float32, device=device
            )
        launches = [(0, -1)]
        options: dict[str, Any] = {}
        if device.type == "cuda":
            options = {"launch_cooperative_grid": waits, "enable_fp_fusion": True}
        elif waits:  # one program runs after the other: none can wait for another
            steps, segments = range(numbers["T"]), range(self.source.segments[name])
            launches = [(step, segment) for step in steps for segment in segments]
        for step, segment in launches:
            arguments["first"], constants["SEGMENT"] = step, segment
            self.start(name, (tiles, programs), arguments | constants | options, device)

    def start(self, name: str, grid: tuple[int, ...], arguments: dict[str, Any], device: torch.device) -> None:
        """Start a kernel.

        Raises:
            NoTriton: Triton cannot compile or start it.
        """
        try:
            with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
                self.module[name][grid](**arguments)
        except _launch_errors() as error:
            lines = str(error).strip().splitlines() or [""]
            raise NoTriton(f"Triton could not run a kernel: {type(error).__name__}: {lines[-1][:300]}") from error

    def _common(self, call: SequenceCall, inputs: Tensor, by_kind: CallTensors) -> dict[str, Any]:
        """Arguments of both kernels that are there before."""
        program, arguments = self.program, dict[str, Any]()
        for k, (name, matrix) in enumerate(zip(self.layout.matrices, by_kind.matrices, strict=True)):
            if any(p.matrix == name and p.operand is not None for p in program.products):
                arguments[f"w_{k}"] = matrix
        arguments |= {f"vector_{k}": vector for k, vector in enumerate(by_kind.vectors)}
        for k, noise in enumerate(call.noise):
            arguments[f"noise_{k}"] = noise.contiguous()
            arguments[f"each_{k}"] = noise.shape[:-1] == inputs.shape[:-1]
        for k, (state, width) in enumerate(zip(by_kind.states, call.widths, strict=True)):
            like = inputs.new_zeros(call.batch, width, dtype=torch.float32) if state is None else state.float()
            arguments[f"initial_{k}"] = like
        if call.is_packed:
            arguments |= call.steps_on(inputs.device)
        return arguments

    # --- forwards

    def kept(self, call: SequenceCall, inputs: Tensor) -> list[Tensor]:
        """Empty memory for what the forward pass keeps beside the states: planes, means, and states in float32."""
        adjoint, rows = self.program.adjoint, inputs.shape[:-1].numel()
        kept = [inputs.new_empty(rows, call.width(width)) for width in self.layout.kept_widths]
        kept.append(inputs.new_empty(rows, len(adjoint.means), dtype=torch.float32))
        if inputs.dtype != torch.float32:
            kept += [inputs.new_empty(*inputs.shape[:-1], width, dtype=torch.float32) for width in call.widths]
        return kept

    def forward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool
    ) -> list[Tensor]:
        """All states after all steps; then what the derivative needs, see `kept`."""
        program, by_kind = self.program, call.split(tensors)
        first, shape = program.products[0], inputs.shape[:-1]
        weight = weight_rows(by_kind.matrices[0], first, call)
        bias = slot_bias(program, call, by_kind.biases, inputs)
        sequences = [inputs.new_empty(*shape, width, dtype=torch.float32) for width in call.widths]
        arguments = self._common(call, inputs, by_kind) | {
            "xz": torch.addmm(bias[: len(weight)], inputs.flatten(0, -2), weight.T),
            "bias": bias,
        }
        kept = self.kept(call, inputs) if training else []
        for k in range(len(program.states)):
            arguments[f"seq_{k}"] = sequences[k]
        if training:
            planes = len(program.adjoint.saved)
            arguments |= {f"saved_{k}": kept[k] for k in range(planes)} | {"means": kept[planes]}
        self.launch("forward", call, arguments, inputs)
        if inputs.dtype == torch.float32:
            return [*sequences, *kept]
        if training:
            kept[-len(sequences) :] = sequences
        return [*(sequence.to(inputs.dtype) for sequence in sequences), *kept]

    # --- backwards

    def backward(
        self, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None], results: Sequence[Tensor],
        gradients: Sequence[Tensor | None], needed: Sequence[bool],
    ) -> list[Tensor | None]:  # fmt: skip
        """Gradients of the inputs and of all tensors, from those of the emitted sequences and the final states."""
        program, by_kind, needed_by_kind = self.program, call.split(tensors), call.split(needed[1:])  # type: ignore[arg-type]
        states, emitted, planes = len(program.states), len(program.emitted), len(program.adjoint.saved)
        rows = inputs.shape[:-1].numel()
        saved, sequences = results[states:], results[:states]
        if inputs.dtype != torch.float32:
            sequences = results[-states:]
        widths = list(map(call.width, program.slots))
        d = inputs.new_empty(rows, sum(widths))
        ds = [
            inputs.new_zeros(call.batch, width, dtype=torch.float32)
            if g is None
            else g.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
            for g, width in zip(gradients[emitted:], call.widths, strict=True)
        ]
        arguments = self._common(call, inputs, by_kind) | {
            "d": d, "means": saved[planes],
        }  # fmt: skip
        arguments |= {f"ds_{k}": value for k, value in enumerate(ds)}
        arguments |= {f"seq_{k}": value for k, value in enumerate(sequences)}
        arguments |= {f"saved_{k}": value for k, value in enumerate(saved[:planes])}
        arguments |= {f"gy_{k}": None if g is None else g.contiguous() for k, g in enumerate(gradients[:emitted])}
        vectors = None
        if any(needed_by_kind.vectors):
            vectors = inputs.new_zeros(len(by_kind.vectors), call.batch, call.hidden_size, dtype=torch.float32)
            arguments["dvec"] = vectors
        wanted = dict(zip(self.layout.matrices, needed_by_kind.matrices, strict=True))
        operands: dict[int, Tensor] = {}
        for k in self.layout.recomputed:
            product = program.products[k]
            if wanted[product.matrix]:
                operands[k] = inputs.new_empty(rows, call.width(product.columns))
        arguments |= {f"operand_{k}": value for k, value in operands.items()}
        self.launch("backward", call, arguments, inputs)
        first = program.products[0]
        dx = None
        if needed[0]:
            weight = weight_rows(by_kind.matrices[0], first, call)
            dx = (d[:, : len(weight)] @ weight).view_as(inputs)
        dw = self._weight_gradients(call, inputs, by_kind, wanted, d, sequences, arguments, operands)
        sums = torch.split(d.sum(0), widths) if any(needed_by_kind.biases) else []
        biases = [
            None if bias is None or not need else program.bias_gradient(matrix, sums, bias)
            for matrix, bias, need in zip(self.layout.matrices[:2], by_kind.biases, needed_by_kind.biases, strict=True)
        ]
        dvec: list[Tensor | None] = [None] * len(by_kind.vectors)
        if vectors is not None:
            dvec = [total.to(vector.dtype) for total, vector in zip(vectors.sum(1), by_kind.vectors, strict=True)]
        before = [
            value if state is None else value.to(state.dtype) for value, state in zip(ds, by_kind.states, strict=True)
        ]
        return [dx, *before, *dw, *biases, *dvec]

    def _weight_gradients(
        self, call: SequenceCall, inputs: Tensor, by_kind: CallTensors, wanted: dict[str, Any], d: Tensor,
        sequences: Sequence[Tensor], arguments: dict[str, Any], operands: dict[int, Tensor],
    ) -> list[Tensor | None]:  # fmt: skip
        """Gradients of the matrices that are wanted, each one product over all steps for each operand."""
        program, totals = self.program, dict[str, Tensor]()
        weights = dict(zip(self.layout.matrices, by_kind.matrices, strict=True))
        widths = list(map(call.width, program.slots))
        for number, product in enumerate(program.products):
            weight, node = weights[product.matrix], product.operand
            if weight is None or not wanted[product.matrix]:
                continue
            if node is None:
                operand = inputs.flatten(0, -2)
            elif node.op == "state":
                k = node.args[0]
                operand = states_before(call, arguments[f"initial_{k}"], sequences[k])
            elif number in operands:
                operand = operands[number]
            else:
                operand = sequences[self.layout.after[node]].flatten(0, -2)
            start, size = sum(widths[: product.start]), widths[product.start]
            gradient = d[:, start : start + size * len(product.blocks)].T @ operand.to(d.dtype)
            if len(gradient) == len(weight) and product.blocks == tuple(range(len(product.blocks))):
                totals[product.matrix] = gradient
                continue
            total = totals.setdefault(product.matrix, torch.zeros_like(weight))
            for block, part in zip(product.blocks, torch.split(gradient, size), strict=True):
                total[block * size : (block + 1) * size] += part
        return [totals.get(name) for name in self.layout.matrices]


LEAST_CHUNK, LEAST_CHUNKS = 32, 4
"""Steps that a chunk has at least; chunks that there are at least, since they read everything once more."""
PROGRAMS_PER_PROCESSOR = 16
"""As many programs as chunks are to bring to a multiprocessor; each has two warps."""


def chunks_of(steps: int, programs: int, processors: int) -> int:
    """Into how many chunks to split the steps of so many programs."""
    chunks = min(steps // LEAST_CHUNK, -(-PROGRAMS_PER_PROCESSOR * processors // programs))
    return chunks if chunks >= LEAST_CHUNKS else 1


class ScanKernel(TritonKernel):
    """The emitted form of a program whose step has no product and no row mean, see `triton_scan`.

    Where a chunk's numbers are not all finite, steps are taken one after the other, as in the equation.

    Raises:
        UnsupportedOperation: one of the program's operations has no Triton expression.
        NoTriton: Triton cannot be imported.
    """

    def emit(self) -> Any:
        """The source of the program's kernels."""
        return triton_scan.emit(self.program)

    def sizes(self, hidden_size: int, projected: int, batch: int, processors: int) -> dict[str, Any]:
        """The constants of a launch that depend on the sizes."""
        units = min(64, max(16, 1 << (hidden_size - 1).bit_length()))
        return {"H": hidden_size, "BB": 4, "BN": units, "num_warps": 2, "num_stages": 1}

    def launch(self, name: str, call: SequenceCall, tensors: dict[str, Any], inputs: Tensor) -> None:
        """Run the kernel `forward` or `backward`, in chunks of steps where that is worth it.

        Raises:
            NoTriton: Triton cannot compile or start one.
        """
        device, back, states = inputs.device, name == "backward", len(self.program.states)
        processors, steps = processors_of(device), len(call.steps.rows)
        sizes = self.sizes(call.hidden_size, call.hidden_size, call.batch, processors)
        grid = -(-call.batch // sizes["BB"]), -(-call.hidden_size // sizes["BN"])
        summary = f"{name}_summary"
        chunks = chunks_of(steps, grid[0] * grid[1], processors) if summary in self.source.kernels else 1
        length = -(-steps // chunks)
        chunks = -(-steps // length)
        constants = sizes | {"PACKED": call.is_packed, "REVERSE": call.reverse}
        numbers = {"T": steps, "B": call.batch, "chunks": chunks, "length": length}

        def stacked(prefix: str) -> Tensor:
            return torch.stack([tensors[f"{prefix}_{k}"] for k in range(states)])

        def start(kernel: str) -> None:
            known = {plain: arguments.get(plain) for plain in map(plain_name, self.source.arguments(kernel))}
            self.start(kernel, (*grid, chunks), known | numbers | constants, device)

        initial = stacked("initial")
        carried = initial.new_empty(states, chunks, *initial.shape[1:])
        carried[:, -1 if back else 0] = stacked("ds") if back else initial
        arguments = tensors | ({"initial": initial, "ds": carried} if back else {"initial": carried})
        total = tensors.get("dvec")
        if total is not None:
            arguments["dvec"] = total.new_empty(len(total), chunks, *total.shape[1:])
        if chunks > 1:
            local, matrix = torch.empty_like(carried), carried.new_empty(states, *carried.shape)
            arguments |= {"local": local, "matrix": matrix}
            start(summary)
            known = stacked("ds") if back else initial
            finite = [one.isfinite().all() for one in (local, matrix, known)]
            arguments["finite"] = torch.stack(finite).all().to(torch.int32)
            combined = {"states": carried, "local": local, "matrix": matrix, "B": call.batch, "chunks": chunks}
            self.start("combine", grid, combined | sizes | {"K": states, "BACK": back}, device)
        start(name)
        if back:
            for k in range(states):
                tensors[f"ds_{k}"].copy_(carried[k, 0])
        if total is not None:
            total.copy_(arguments["dvec"].sum(1))


def make_kernel(program: Program) -> TritonKernel:
    """The kernels of a program.

    Raises:
        UnsupportedOperation: one of its operations has no Triton expression.
        NoTriton: Triton cannot be imported.
    """
    return ScanKernel(program) if triton_scan.is_elementwise(program) else TritonKernel(program)


def plain_name(argument: str) -> str:
    """The name of an argument of a source."""
    return argument.removesuffix(": tl.constexpr")


def states_before(call: SequenceCall, initial: Tensor, sequence: Tensor) -> Tensor:
    """A state before each step, `[rows, W]`, from the initial one and that after each step."""
    if not call.is_packed:
        shifted = [sequence[1:], initial[None]] if call.reverse else [initial[None], sequence[:-1]]
        return torch.cat(shifted).flatten(0, -2)
    rows = call.rows_before(sequence.device)
    return torch.cat([sequence, initial])[rows]


def processors_of(device: torch.device) -> int:
    """The multiprocessors of a GPU; those of an H100 where kernels are interpreted."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


def precision() -> str:
    """How products of float32 are computed: as torch's own recurrent layers do on a GPU."""
    cudnn: Any = torch.backends.cudnn
    if hasattr(cudnn, "rnn"):  # since torch 2.9; `allow_tf32` raises where single operations were set apart
        return "tf32" if cudnn.rnn.fp32_precision == "tf32" else "ieee"
    return "tf32" if cudnn.allow_tf32 else "ieee"


@cache
def _launch_errors() -> tuple[type[Exception], ...]:
    """What Triton raises where it cannot compile or start a kernel: no C compiler for its launcher, an old driver, too
    little shared memory."""
    from triton.errors import TritonError

    return TritonError, RuntimeError, ImportError, OSError, subprocess.SubprocessError
