"""Triton kernels compiled for GPUs that need not be there: what they use stays within what a GPU has."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.nn_layers import CASES, engines_of

pytest.importorskip("triton")
SPILLED = 64  # bytes of a thread
SHARED = 48 * 1024  # bytes of a program: less than any GPU has
REGISTERS = 168  # of a thread
MORE_REGISTERS = {"layer-norm": 255, "full-gate-recurrence": 255, "full-gate-recurrence-coupled": 255, "slstm": 210}
VARIANTS = (
    "no-",
    "irnn",
    "elman-relu",
    "indrnn-tanh",
    "mingru-",
    "coupled-",
    "peephole-previous",
    "peephole-full-",
    "peephole-proj",
)
EMITTED = [
    case for case in CASES if "native" in engines_of(CASES[case][0]) and not case.startswith(VARIANTS)
]  # a variant differs from its cell by an operation less


def compiled(capability: int, hidden_size: int, dtype: str, *cases: str, **constants: Any) -> list[dict[str, Any]]:
    """What each kernel uses, from a process in which Triton compiles."""
    command = [sys.executable, "-m", "tests.fixtures.triton_resources"]
    arguments = [str(capability), str(hidden_size), dtype, json.dumps(constants), *cases]
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run(
        [*command, *arguments], cwd=Path(__file__).parents[2], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["case"], one["kernel"]) for one in found if not one["kernel"].endswith("_summary")] == [
        (case, kernel) for case in cases for kernel in ("forward", "backward")
    ]
    return found


def check(found: list[dict[str, Any]]) -> None:
    """Nothing spills, and registers and shared memory are within their budgets."""
    over = [
        one
        for one in found
        if one["spilled"] > SPILLED
        or one["shared"] > SHARED
        or one["registers"] > MORE_REGISTERS.get(one["case"], REGISTERS)
    ]
    assert not over


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.kernels)])
def test_a_cell_written_by_a_reader_compiles_for_a_gpu(dtype: str) -> None:
    found = compiled(90, 128, dtype, "readme")
    check(found)
    assert all(one["tensor_cores"] for one in found)


@pytest.mark.kernels
@pytest.mark.parametrize("hidden_size", [64, 128, 256, 512])
@pytest.mark.parametrize("capability", [80, 90])
def test_every_cell_stays_within_its_budget(capability: int, hidden_size: int) -> None:
    check(compiled(capability, hidden_size, "float32", *EMITTED))


@pytest.mark.kernels
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_every_cell_in_half_precision(dtype: str) -> None:
    check(compiled(80, 256, dtype, *EMITTED))


@pytest.mark.kernels
@pytest.mark.parametrize("constants", [{"PACKED": True, "REVERSE": True}, {"PRECISION": "ieee"}])
def test_sizes_that_fill_no_tile_do_not_spill(constants: dict[str, Any]) -> None:
    found = compiled(90, 130, "float32", "lstm", "gru-before", "lstm-proj", **constants)
    assert all(one["spilled"] <= SPILLED and one["shared"] <= SHARED for one in found)


@pytest.mark.kernels
def test_programs_that_share_a_row_stay_within_the_budget() -> None:
    check(compiled(90, 512, "float32", "lstm", "gru-before", "peephole", "layer-norm", shared_from=256))
