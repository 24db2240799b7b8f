"""Options of the C compiler on each system and processor.

Clang and gcc are used everywhere: the generated C has vectors as GNU C has them, which MSVC's `cl` does not know.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

COMMON = ["-O3", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-w", "-std=gnu11"]
"""On every system."""
MSVC = ("cl", "clang-cl", "icl", "icx-cl")
"""Compilers with the command line of MSVC, whose options are others."""
X86 = ("x86_64", "amd64", "i386", "i686", "x86")


class Attempt(NamedTuple):
    """One way to call the compiler: options before and behind the names of the source and the library."""

    before: list[str]
    after: list[str]


def attempts(system: str, machine: str, openmp: Path | None) -> list[Attempt]:
    """All ways to try, the one that makes the fastest code first.

    Args:
        system: as `sys.platform` names it.
        machine: as `platform.machine` names it.
        openmp: torch's own OpenMP library on macOS, if it is there. A second OpenMP in a process would bring threads
            of its own, or end the process.
    """
    x86 = machine.lower() in X86
    native = ["-march=native", "-mprefer-vector-width=512"] if x86 else ["-mcpu=native"]
    if system == "win32":
        # Windows aligns the stack to 16 bytes only, which gcc for Windows does not respect where it moves wide vectors:
        # csrc/kernels.h refuses to be compiled by it unless the assembler makes all such moves unaligned.
        shared = ["-shared", "-static"]  # -static: gcc's runtime is in no folder where Windows looks
        unaligned = ["-Wa,-muse-unaligned-vector-move", "-DUNALIGNED_MOVES"]
        wide = [Attempt([*native, *unaligned, *shared], [])] if x86 else []
        return [*wide, Attempt([*native, *shared], []), Attempt(shared, [])]
    shared = ["-fPIC", "-shared"]
    if system == "darwin":
        plain = [Attempt([*native, *shared], []), Attempt(shared, [])]
        if openmp is None:
            return plain
        parallel, link = ["-Xclang", "-fopenmp"], [str(openmp), f"-Wl,-rpath,{openmp.parent}"]
        return [Attempt([*native, *parallel, *shared], link), plain[0], Attempt([*parallel, *shared], link), plain[1]]
    parallel, link = ["-fopenmp", "-nostdlib"], ["-lm", "-lc"]  # torch has an OpenMP runtime loaded already
    return [
        Attempt([*native, *parallel, *shared], link),
        Attempt([*native, *shared], ["-lm"]),
        Attempt([*parallel, *shared], link),
        Attempt(shared, ["-lm"]),
    ]
