"""Running a pass: which engine, and what autograd and torch.compile see of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from rnnbench.nn.autocast import autocasts
from rnnbench.nn.cell import Cell
from rnnbench.nn.compiler import function, native, reference
from rnnbench.nn.compiler.autodiff import Program, record
from rnnbench.nn.compiler.build import NoCompiler
from rnnbench.nn.compiler.captured_state import reads
from rnnbench.nn.compiler.sequence import Pass
from rnnbench.nn.compiler.trace_checks import Untranslatable

Engine = Literal["native", "function", "reference"]
ENGINES: tuple[str, ...] = get_args(Engine)
Result = tuple[tuple[Tensor, ...], tuple[Tensor, ...]]


_same: dict[Any, Program] = {}


def program_of(cell: Cell) -> Program | str:
    """The cell's recorded step, or why it cannot be recorded."""
    made = cell.made()
    if "program" not in made:
        try:
            program = record(cell)
            if record(cell).signature() != program.signature():
                raise Untranslatable("something that is another one at every call")
            made["program"] = _same.setdefault(program.signature(), program)
            made["reads"] = reads(cell)
        except Untranslatable as error:
            made["program"] = f"{type(cell).__name__}.step uses {error}"
    check_unchanged(cell)
    return made["program"]  # type: ignore[no-any-return]


def check_unchanged(cell: Cell) -> None:
    """Check that what a recorded step has read is still the same.

    Raises:
        RuntimeError: the cell would go on with what it was.
    """
    for one in cell.made().get("reads", ()):
        if one.changed:
            raise RuntimeError(
                f"{one.name} of {type(cell).__name__} has changed since the cell was first used, "
                "and would not be seen: make another cell"
            )


def kernel_of(cell: Cell, dtype: torch.dtype) -> native.Kernel | str:
    """The cell's compiled form, made or found in the cache; or why there is none."""
    program = program_of(cell)
    if isinstance(program, str):
        return program
    if dtype not in program.made:
        try:
            program.made[dtype] = native.Kernel(program, dtype)
        except NoCompiler as error:
            program.made[dtype] = str(error)
    return program.made[dtype]  # type: ignore[no-any-return]


def _implementation(engine: str, cell: Cell, dtype: torch.dtype) -> Any:
    if engine == "native":
        return kernel_of(cell, dtype)
    program: Any = program_of(cell)
    if "interpreter" not in program.made:
        program.made["interpreter"] = function.Interpreter(program)
    return program.made["interpreter"]


def choose(cell: Cell, device: torch.device, dtype: torch.dtype, asked: str | None = None) -> str:
    """The engine for a cell, device and type: the one asked for, else the fastest that can run it.

    Raises:
        ValueError: the engine asked for cannot run it.
    """
    reasons: dict[str, str] = {}
    for engine in ENGINES if asked is None else (asked,):
        if engine == "reference":
            break
        if engine == "native" and device.type != "cpu":
            why: Any = f"it runs on the CPU, not on {device.type}"
        elif engine == "native" and dtype not in native.DTYPES:
            why = f"it computes in float32 and float64, not in {dtype}"
        else:
            why = kernel_of(cell, dtype) if engine == "native" else program_of(cell)
            if not isinstance(why, str):
                _warn(reasons)
                return engine
        if asked is not None:
            raise ValueError(f"engine {asked!r} cannot run {type(cell).__name__}: {why}")
        reasons[engine] = why
    _warn(reasons)
    return "reference"


_warned: set[str] = set()


def _warn(reasons: dict[str, str]) -> None:
    """Say once why a slower engine runs, where a faster one could have been expected."""
    for engine, why in reasons.items():
        if not why.startswith("it ") and why not in _warned:
            _warned.add(why)
            warnings.warn(f"no {engine} engine, a slower one computes the same numbers: {why}", stacklevel=4)


def run(engine: str, one: Pass, inputs: Tensor, tensors: Sequence[Tensor | None]) -> Result:
    """Sequences of the emitted states, and final states, of a pass."""
    if engine == "reference" or inputs.numel() == 0 or not plain(inputs, *tensors):
        return reference.run(one, inputs, tensors)
    implementation = _implementation(engine, one.cell, inputs.dtype)
    tensors = [None if tensor is None else tensor.contiguous().resolve_neg() for tensor in tensors]
    inputs = inputs.contiguous().resolve_neg()
    emitted = len(one.cell.emitted)
    if not torch.is_grad_enabled() or not any(t is not None and t.requires_grad for t in (inputs, *tensors)):
        after = implementation.run(one, inputs, tensors, False)[: len(one.widths)]
        return _outputs(one, after), tuple(map(one.final, after))
    found = _Sequence.apply(implementation, one, inputs, *tensors)  # type: ignore[no-untyped-call]
    return found[:emitted], found[emitted:]


def plain(*tensors: Tensor | None) -> bool:
    """Whether all are tensors with numbers in memory, and nobody but autograd, backwards, looks at what is done."""
    if torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0 or _watched() or _traced():
        return False
    return all(t is None or (type(t) in (Tensor, nn.Parameter) and not _is_many(t)) for t in tensors)


_watched = torch._C._len_torch_dispatch_stack
"""How many modes see every operation: what records, counts or replaces operations, such as `make_fx`."""

_traced = torch._C._is_tracing
"""Whether `torch.jit.trace` records the operations: it would not see those of a kernel."""

_is_many = torch._C._functorch.is_legacy_batchedtensor
"""Whether a tensor stands for many, as gradients do under `is_grads_batched`."""


def _outputs(one: Pass, after: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return tuple(after[one.cell.states.index(name)] for name in one.cell.emitted)


class _Sequence(torch.autograd.Function):
    """A pass with its derivative."""

    @staticmethod
    def forward(
        ctx: Any, implementation: Any, one: Pass, inputs: Tensor, *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        results = implementation.run(one, inputs, tensors, True)
        after = results[: len(one.widths)]
        outputs = _outputs(one, after)
        ctx.set_materialize_grads(False)
        # The derivative reads the outputs, which the caller may change in place. Saved as they are, they would end the
        # backward pass with an error then; copies would cost memory in every call. So the same memory is saved as
        # tensors that do not notice, and who changed it is asked of the counters.
        ctx.save_for_backward(inputs, *tensors, *(result.data for result in results))
        ctx.versions = [(counter := _version_counter(output), counter._version) for output in outputs]
        ctx.implementation, ctx.one, ctx.count = implementation, one, 1 + len(tensors)
        return (*outputs, *(one.final(state).clone() for state in after))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
        saved = ctx.saved_tensors  # once: checkpointing computes them again at each look
        inputs, *tensors = saved[: ctx.count]
        needed = ctx.needs_input_grad[2:]
        if torch.is_grad_enabled() or not plain(*gradients):  # a derivative of the derivative, or many at once
            with torch.enable_grad():
                found = _again(ctx.one, inputs, tensors, gradients, needed)
        else:
            gradients = tuple(None if g is None else g.resolve_neg() for g in gradients)
            results = saved[ctx.count :]
            if any(counter._version != version for counter, version in ctx.versions):
                with torch.autocast(inputs.device.type, enabled=False) if autocasts(inputs.device) else nullcontext():
                    results = ctx.implementation.run(ctx.one, inputs, tensors, True)
            found = ctx.implementation.back(ctx.one, inputs, tensors, results, gradients, needed)
        return None, None, *(g if need else None for g, need in zip(found, needed, strict=True))


def _version_counter(tensor: Tensor) -> Tensor:
    """An empty tensor with the version of `tensor`, which every change in place of it or of a view of it raises; it
    keeps none of its memory."""
    counter = tensor.detach()
    counter.data = tensor.new_empty(0)
    return counter


def _again(
    one: Pass,
    inputs: Tensor,
    tensors: Sequence[Tensor | None],
    gradients: Sequence[Tensor | None],
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """The gradients as something that can be derived again."""
    # views: what an input was itself computed from, by the same weights or not, is no part of this pass
    inputs, *tensors = (None if t is None else t.view_as(t) for t in (inputs, *tensors))  # type: ignore[assignment]
    sequences, final = reference.run(one, inputs, tensors)
    pairs = [(o, g) for o, g in zip((*sequences, *final), gradients, strict=True) if g is not None and o.requires_grad]
    wanted = [t for t, need in zip((inputs, *tensors), needed, strict=True) if need and t is not None]
    found = iter(
        torch.autograd.grad([o for o, _ in pairs], wanted, [g for _, g in pairs], create_graph=True, allow_unused=True)
    )
    return [next(found) if need else None for need in needed]


Runner = Callable[[Pass, Tensor, Sequence[Tensor | None]], Result]
