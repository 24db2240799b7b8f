"""The processor's arithmetic peak, measured: multiply-adds on registers alone."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch

from benchmarks.layer_timing import Timed

ROUNDS = 3_000_000  # of all accumulators: long enough for two threads to find a core each
SOURCE = r"""
#define TWELVE(F, a) F(a##0) F(a##1) F(a##2) F(a##3) F(a##4) F(a##5) F(a##6) F(a##7) F(a##8) F(a##9) F(a##10) F(a##11)
#if defined(__AVX512F__)
enum { BYTES = 64, COUNT = 24 };
#define ALL(F) TWELVE(F, a) TWELVE(F, b)
#elif defined(__aarch64__)
enum { BYTES = 16, COUNT = 24 };
#define ALL(F) TWELVE(F, a) TWELVE(F, b)
#else
#if defined(__AVX__)
enum { BYTES = 32, COUNT = 12 };
#else
enum { BYTES = 16, COUNT = 12 };
#endif
#define ALL(F) TWELVE(F, a)
#endif
#if defined(__aarch64__)
#define STAYS(v) __asm__ volatile("" : "+w"(v));
#else
#define STAYS(v) __asm__ volatile("" : "+v"(v));
#endif
typedef float vector __attribute__((vector_size(BYTES)));
enum { LANES = BYTES / sizeof(float) };

/* a = a x + y converges to y / (1 - x): no infinities, no subnormal numbers; each accumulator stays in its register */
float run(long rounds)
{
    volatile float start = 0.5f;
    vector x, y, sum;
    for (int k = 0; k < LANES; k++) x[k] = y[k] = start;
#define DECLARE(v) vector v = y; STAYS(v)
    ALL(DECLARE)
    for (long r = 0; r < rounds; r++) {
#define STEP(v) v = v * x + y;
        ALL(STEP)
        ALL(STAYS)
    }
    sum = y;
#define ADD(v) sum += v;
    ALL(ADD)
    return sum[0];
}
double flops(long rounds) { return 2.0 * rounds * COUNT * LANES; }
"""


@cache
def _library() -> ctypes.CDLL | None:
    words = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(words[0]) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder, "peak.c"), Path(folder, "peak.so")
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-ffp-contract=fast", "-fPIC", "-shared"]
        for attempt in (flags, [flag for flag in flags if "width" not in flag]):
            command = [*words, *attempt, str(source), "-o", str(made)]
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                library = ctypes.CDLL(str(made))
                library.run.argtypes = library.flops.argtypes = [ctypes.c_long]
                library.run.restype, library.flops.restype = ctypes.c_float, ctypes.c_double
                return library
    return None


@cache
def _helpers(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count)


def peak() -> Timed | None:
    """The loop, in as many threads as torch uses; None without a C compiler."""
    library = _library()
    if library is None:
        return None

    def call() -> None:
        others = torch.get_num_threads() - 1
        waiting = [_helpers(others).submit(library.run, ROUNDS) for _ in range(others)]
        library.run(ROUNDS)
        for one in waiting:
            one.result()

    return Timed("peak", call, library.flops(ROUNDS), parallel=True)
