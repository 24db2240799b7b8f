"""The native engine: a pass as one call of compiled C, forwards and backwards."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from rnnbench.nn.compiler.autodiff import Program
from rnnbench.nn.compiler.build import load
from rnnbench.nn.compiler.codegen import FIELDS, emit
from rnnbench.nn.compiler.layout import Layout
from rnnbench.nn.compiler.sequence import Pass

DTYPES = (torch.float32, torch.float64)
CHUNK = 2**20  # bytes of gate gradients that wait for their product, so that they are still in the cache
FEW = 4  # rows for which packing the weights costs more than it gains

_local = threading.local()


def _scratch(units: int, dtype: torch.dtype) -> Tensor:
    """Working memory of this thread, kept from call to call."""
    kept: dict[torch.dtype, Tensor] = _local.__dict__.setdefault("kept", {})
    if dtype not in kept or kept[dtype].numel() < units:
        kept[dtype] = torch.empty(units, dtype=dtype, device="cpu")  # whatever the default device
    return kept[dtype]


@dataclass(eq=False)
class Kernel:
    """The compiled form of a program for one type of number."""

    program: Program
    dtype: torch.dtype
    layout: Layout = field(init=False)

    def __post_init__(self) -> None:
        self.layout = Layout(self.program)
        library = load(emit(self.layout, self.dtype == torch.float64))
        self.forward, self.backward = library.forward, library.backward
        self.scratch = library.scratch_forward, library.scratch_backward
        for function in (self.forward, self.backward, *self.scratch):
            function.argtypes = [ctypes.c_void_p]
            function.restype = None
        for function in self.scratch:
            function.restype = ctypes.c_long
        self.arguments = self._structure()

    def _structure(self) -> type[ctypes.Structure]:
        counts = {
            "2": 2,
            "MATRICES": len(self.layout.matrices),
            "STATES": len(self.program.states),
            "EMITTED": len(self.program.emitted),
            "VECTORS": len(self.program.cell.vectors),
            "RAWS": len(self.program.cell.raws),
        }

        def kind(name: str, count: str | None) -> Any:
            one = ctypes.c_long if name == "long" else ctypes.c_void_p
            return one * (counts[count] or 1) if count else one

        fields = [(name, kind(type_, count)) for name, type_, count in FIELDS]
        return type("Arguments", (ctypes.Structure,), {"_fields_": fields})

    @cached_property
    def kept_widths(self) -> tuple[int, int]:
        """How many planes of each width the forward pass keeps."""
        widths = self.layout.kept_widths
        return widths.count("H"), widths.count("P")

    def chunk(self, one: Pass) -> int:
        """How many rows of gate gradients wait for their product."""
        row = sum(one.hidden_size if width == "H" else one.widths[0] for width in self.program.slots)
        return max(256, min(512, CHUNK // (row * self.dtype.itemsize)))

    def call(self, one: Pass, inputs: Tensor, given: Any, **more: Any) -> Any:
        """The arguments of a call, but for scratch memory."""
        steps, raws = one.steps, one.raws
        made = self.arguments(
            T=len(steps.rows), B=one.batch, I=inputs.shape[-1], H=one.hidden_size, P=one.widths[0],
            reverse=one.reverse, packed=one.is_packed, chunk=self.chunk(one),
            threads=max(1, min(torch.get_num_threads(), one.batch // 4)),
            plain=steps.total <= FEW, offset=steps.offset.ctypes.data, count=steps.rows.ctypes.data,
            x=inputs.data_ptr(),
        )  # fmt: skip
        made.w[:] = _pointers(given.matrices)
        made.b[:] = _pointers(given.biases)
        if given.vectors:
            made.vec[:] = _pointers(given.vectors)
        made.init[:] = _pointers(given.states)
        for k, raw in enumerate(raws):
            made.raw[k], made.raw_width[k] = raw.data_ptr(), raw.shape[-1]
            made.raw_steps[k] = raw.shape[:-1] == inputs.shape[:-1]
        for name, value in more.items():
            if isinstance(value, (list, tuple)):
                if value:
                    getattr(made, name)[:] = _pointers(value)
            elif value is not None:
                setattr(made, name, value.data_ptr() if isinstance(value, Tensor) else value)
        return made

    def go(self, made: Any, back: bool, dtype: torch.dtype) -> None:
        """Run a call."""
        made.scratch = _scratch(self.units(made, back), dtype).data_ptr()
        (self.backward if back else self.forward)(self.address(made))

    def address(self, made: Any) -> int:
        """Where the arguments of a call lie."""
        return ctypes.addressof(made)

    def units(self, made: Any, back: bool) -> int:
        """How many numbers of working memory a call needs."""
        return int(self.scratch[back](ctypes.addressof(made)))

    def run(self, one: Pass, inputs: Tensor, tensors: Sequence[Tensor | None], training: bool) -> list[Tensor]:
        """All states after all steps; when training also what the derivative needs: planes, means, earlier states."""
        shape, rows = inputs.shape[:-1], one.steps.total
        after = [inputs.new_empty(*shape, width) for width in one.widths]
        saved = inputs.new_empty(0)
        means, before = saved, list[Tensor]()
        if training:
            h, p = self.kept_widths
            saved = inputs.new_empty(rows, h * one.hidden_size + p * one.widths[0])
            means = inputs.new_empty(rows, len(self.program.adjoint.means))
        if one.is_packed:
            before = [inputs.new_empty(rows, width) for width in one.widths]
        given = one.split(tensors)
        made = self.call(one, inputs, given, training=training, saved=saved, means=means, next=after, prev=before)
        self.go(made, False, inputs.dtype)
        return [*after, saved, means, *before]

    def back(
        self,
        one: Pass,
        inputs: Tensor,
        tensors: Sequence[Tensor | None],
        results: Sequence[Tensor],
        gradients: Sequence[Tensor | None],
        needed: Sequence[bool],
    ) -> list[Tensor | None]:
        """Gradients of the inputs and of all tensors, from those of the emitted sequences and the final states."""
        states, emitted = len(one.widths), len(self.program.emitted)
        given, after, before = one.split(tensors), results[:states], results[states + 2 :]
        sequences = [None if g is None else g.contiguous() for g in gradients[:emitted]]
        ds = [
            inputs.new_zeros(one.batch, width) if g is None else g.clone(memory_format=torch.contiguous_format)
            for g, width in zip(gradients[emitted:], one.widths, strict=True)
        ]
        wanted = one.split(needed[1:])  # type: ignore[arg-type]
        dx = torch.empty_like(inputs) if needed[0] else None
        dw = [
            torch.zeros_like(w) if w is not None and need else None
            for w, need in zip(given.matrices, wanted.matrices, strict=True)
        ]
        slots = sum(one.hidden_size if width == "H" else one.widths[0] for width in self.program.slots)
        db = inputs.new_empty(slots)
        dvec = [torch.empty_like(vector) for vector in given.vectors]
        made = self.call(
            one, inputs, given, dx=dx, dw=dw, db=db, dvec=dvec, ds=ds, gy=sequences,
            saved=results[states], means=results[states + 1], next=after, prev=before,
        )  # fmt: skip
        self.go(made, True, inputs.dtype)
        parts = torch.split(db, [one.hidden_size if width == "H" else one.widths[0] for width in self.program.slots])
        biases = [
            None if bias is None else self.program.bias_gradient(matrix, parts, bias)
            for matrix, bias in zip(self.layout.matrices, given.biases, strict=False)
        ]
        return [dx, *ds, *dw, *biases, *dvec]


def _pointers(tensors: Sequence[Tensor | None]) -> list[int | None]:
    return [None if tensor is None else tensor.data_ptr() for tensor in tensors]
