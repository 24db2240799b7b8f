"""Which engine runs a call, and its autograd function."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler import chunks, function, native, reference, triton_engine, vmapped
from rnnbench.nn.compiler.autodiff import Program, record
from rnnbench.nn.compiler.build import NoCompiler
from rnnbench.nn.compiler.captured_state import captured_values
from rnnbench.nn.compiler.sequence import Engine, Result, SequenceCall
from rnnbench.nn.compiler.torch_mode import is_autocast, is_eager
from rnnbench.nn.compiler.trace import UnsupportedOperation
from rnnbench.utils.processor import instruction_sets

EngineName = Literal["native", "triton", "function", "reference"]
ENGINES: tuple[str, ...] = get_args(EngineName)
BFLOAT16 = "native-bfloat16"
"""The native engine with products of bfloat16, for calls under autocast."""
BFLOAT16_INSTRUCTIONS = "avx512_bf16"


# --- from a cell to an engine

_programs: dict[Any, Program] = {}
"""By signature: cells of the same equation share a program, and thus its kernels."""


def program_of(cell: Cell) -> Program | str:
    """The cell's recorded step, or why it cannot be recorded."""
    if type(cell).gate_sizes is not Cell.gate_sizes:
        return "it has gates that are not as wide as its state"
    cache = cell.compile_cache()
    if "program" not in cache:
        try:
            program = record(cell)
            if record(cell).signature() != program.signature():
                raise UnsupportedOperation("something that differs from call to call")
            cache["program"] = _programs.setdefault(program.signature(), program)
            cache["captured"] = captured_values(cell)
        except UnsupportedOperation as error:
            cache["program"] = f"{type(cell).__name__}.step uses {error}"
    check_unchanged(cell)
    return cache["program"]  # type: ignore[no-any-return]


def check_unchanged(cell: Cell) -> None:
    """Check that what a recorded step has read is still the same.

    Raises:
        RuntimeError: the recording would go on with the old value.
    """
    for captured in cell.compile_cache().get("captured", ()):
        if captured.changed:
            raise RuntimeError(
                f"{captured.name} of {type(cell).__name__} has changed since the cell was first used, "
                "and would not be seen: make another cell"
            )


def kernel_of(cell: Cell, dtype: torch.dtype) -> native.Kernel | str:
    """The cell's compiled form, from the cache if it is there; or why there is none."""
    program = program_of(cell)
    if isinstance(program, str):
        return program
    if dtype not in program.compile_cache:
        try:
            program.compile_cache[dtype] = native.Kernel(program, dtype)
        except NoCompiler as error:
            program.compile_cache[dtype] = str(error)
    return program.compile_cache[dtype]  # type: ignore[no-any-return]


def triton_kernel_of(cell: Cell) -> triton_engine.TritonKernel | str:
    """The cell's Triton kernels; or why there are none."""
    program = program_of(cell)
    if isinstance(program, str):
        return program
    if "triton" not in program.compile_cache:
        try:
            program.compile_cache["triton"] = triton_engine.make_kernel(program)
        except UnsupportedOperation as error:
            program.compile_cache["triton"] = f"{type(cell).__name__}.step uses {error}"
        except triton_engine.NoTriton as error:
            program.compile_cache["triton"] = str(error)
    kernel: triton_engine.TritonKernel | str = program.compile_cache["triton"]
    return kernel.failed or kernel if isinstance(kernel, triton_engine.TritonKernel) else kernel


def failed_triton_kernel(cell: Cell) -> triton_engine.TritonKernel | None:
    """The cell's Triton kernels if one of them could not be started, else None."""
    program = program_of(cell)
    kernel = None if isinstance(program, str) else program.compile_cache.get("triton")
    return kernel if isinstance(kernel, triton_engine.TritonKernel) and kernel.failed else None


def engine_of(name: str, cell: Cell, dtype: torch.dtype) -> Engine:
    """The engine of a name that `choose` returned, for a cell and type."""
    if name == "reference":
        return reference.Reference()
    if name in ("native", BFLOAT16):
        return kernel_of(cell, dtype if name == "native" else torch.bfloat16)  # type: ignore[return-value]
    if name == "triton":
        return triton_kernel_of(cell)  # type: ignore[return-value]
    program: Any = program_of(cell)
    if "interpreter" not in program.compile_cache:
        program.compile_cache["interpreter"] = function.Interpreter(program)
    return program.compile_cache["interpreter"]  # type: ignore[no-any-return]


def multiplies_bfloat16(cell: Cell) -> bool:
    """Whether this processor has products of bfloat16, and the cell a kernel that uses them."""
    return BFLOAT16_INSTRUCTIONS in instruction_sets() and isinstance(kernel_of(cell, torch.bfloat16), native.Kernel)


def choose(cell: Cell, device: torch.device, dtype: torch.dtype, required: str | None = None) -> str:
    """The name of the engine for a cell, device and type: the required one, else the fastest that can run it.

    Raises:
        ValueError: the required engine cannot run it.
    """
    reasons: dict[str, str] = {}
    for engine in ENGINES if required is None else (required,):
        if engine == "reference":
            break
        if engine == "function" and chunks.runs_in_chunks(cell):
            _warn(reasons)
            return engine
        reason = _unsupported_reason(engine, cell, device, dtype, required is not None)
        if reason is None:
            _warn(reasons)
            return engine
        if required == "triton" and failed_triton_kernel(cell):  # a launch did, which nobody could know before
            return "function"
        if required is not None:
            raise ValueError(f"engine {required!r} cannot run {type(cell).__name__}: {reason}")
        reasons[engine] = reason
    _warn(reasons)
    return "reference"


def _unsupported_reason(
    engine: str, cell: Cell, device: torch.device, dtype: torch.dtype, required: bool
) -> str | None:
    """Why an engine cannot run a cell; None if it can. A reason that begins with "it " is no surprise."""
    compiled: Any
    if engine == "native":
        if device.type != "cpu":
            return f"it runs on the CPU, not on {device.type}"
        if dtype not in native.DTYPES:
            return f"it computes in float32 and float64, not in {dtype}"
        compiled = kernel_of(cell, dtype)
    elif engine == "triton":
        if device.type == "cpu" and not required:
            return "it runs on a GPU"  # an interpreter runs it on the CPU, where it is asked for
        if chunks.runs_in_chunks(cell):
            return "it takes one step after the other, and the cell has a form for many steps at once"
        if reason := triton_engine.unsupported_reason(device, dtype):
            return reason
        compiled = triton_kernel_of(cell)
    else:
        compiled = program_of(cell)
    return compiled if isinstance(compiled, str) else None


_warned: set[str] = set()


def _warn(reasons: dict[str, str]) -> None:
    """Say once why a slower engine runs, where a faster one could have been expected."""
    for engine, reason in reasons.items():
        if not reason.startswith("it ") and reason not in _warned:
            _warned.add(reason)
            warnings.warn(f"no {engine} engine, a slower one computes the same numbers: {reason}", stacklevel=4)


# --- running a call


def run(name: str, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None]) -> Result:
    """Sequences of the emitted states, and final states, of a call."""
    if name == "native" and inputs.numel() and vmapped.can_run(call, inputs, *tensors):
        return vmapped.run(engine_of(name, call.cell, inputs.dtype), call, inputs, tensors)
    if name == "reference" or inputs.numel() == 0 or not is_eager(inputs, *tensors):
        return reference.run(call, inputs, tensors)  # torch's own operations, which all modes see and can derive
    if name == "function" and chunks.runs_in_chunks(call.cell):
        return chunks.run(call, inputs, tensors)
    engine = engine_of(name, call.cell, inputs.dtype)
    if isinstance(engine, str):  # it failed in an earlier call
        engine = engine_of("function", call.cell, inputs.dtype)
        inputs, tensors = reference.of_one_dtype(inputs, tensors)
    tensors = [None if tensor is None else tensor.contiguous().resolve_neg() for tensor in tensors]
    inputs = inputs.contiguous().resolve_neg()
    try:
        return _run(engine, call, inputs, tensors)
    except triton_engine.NoTriton as error:
        inputs, tensors = reference.of_one_dtype(inputs, tensors)
        return _run(instead_of_triton(call.cell, error), call, inputs, tensors)


def _run(engine: Engine, call: SequenceCall, inputs: Tensor, tensors: Sequence[Tensor | None]) -> Result:
    if not torch.is_grad_enabled() or not any(t is not None and t.requires_grad for t in (inputs, *tensors)):
        states = engine.forward(call, inputs, tensors, False)[: len(call.widths)]
        return call.emitted(states), tuple(map(call.final, states))
    outputs = _SequenceFunction.apply(engine, call, inputs, *tensors)  # type: ignore[no-untyped-call]
    emitted = len(call.cell.emitted)
    return outputs[:emitted], outputs[emitted:]


def instead_of_triton(cell: Cell, error: triton_engine.NoTriton) -> Engine:
    """The function engine, from now on, for a cell whose Triton kernels could not be run."""
    if isinstance(kernel := triton_kernel_of(cell), triton_engine.TritonKernel):
        kernel.failed = str(error)
    _warn({"triton": str(error)})
    return engine_of("function", cell, torch.float32)


class _SequenceFunction(torch.autograd.Function):
    """A call with its derivative."""

    @staticmethod
    def forward(
        ctx: Any, engine: Engine, call: SequenceCall, inputs: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        results = engine.forward(call, inputs, tensors, True)
        states = results[: len(call.widths)]
        outputs = call.emitted(states)
        ctx.set_materialize_grads(False)
        # The derivative reads the outputs, which the caller may change in place. Saved as they are, they would end the
        # backward pass with an error then; copies would cost memory in every call. So the same memory is saved as
        # tensors that do not notice, and version counters tell whether it was changed.
        ctx.save_for_backward(inputs, *tensors, *(result.data for result in results))
        ctx.versions = [(counter := _version_counter(output), counter._version) for output in outputs]
        ctx.engine, ctx.call, ctx.count = engine, call, 1 + len(tensors)
        return (*outputs, *(call.final(state).clone() for state in states))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = ctx.saved_tensors  # once: checkpointing computes them again at each look
        inputs, *tensors = saved[: ctx.count]
        needed = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or not is_eager(*gradients):  # a derivative of the derivative, or many at once
            with torch.enable_grad():
                result = reference.differentiate(ctx.call, inputs, tensors, gradients, needed, create_graph=True)
        else:
            gradients = tuple(None if g is None else g.resolve_neg() for g in gradients)
            results = saved[ctx.count :]
            try:
                if any(counter._version != version for counter, version in ctx.versions):
                    autocast = is_autocast(inputs.device)
                    with torch.autocast(inputs.device.type, enabled=False) if autocast else nullcontext():
                        results = ctx.engine.forward(ctx.call, inputs, tensors, True)
                result = ctx.engine.backward(ctx.call, inputs, tensors, results, gradients, needed)
            except triton_engine.NoTriton as error:
                engine = instead_of_triton(ctx.call.cell, error)
                inputs, tensors = reference.of_one_dtype(inputs, tensors)
                gradients = tuple(None if g is None else g.to(inputs.dtype) for g in gradients)
                results = engine.forward(ctx.call, inputs, tensors, True)
                result = engine.backward(ctx.call, inputs, tensors, results, gradients, needed)
        return None, None, *(g if need else None for g, need in zip(result, needed, strict=True))


def _version_counter(tensor: Tensor) -> Tensor:
    """An empty tensor with the version of `tensor`, which every change in place of it or of a view of it raises; it
    keeps none of its memory."""
    counter = tensor.detach()
    counter.data = tensor.new_empty(0)
    return counter
