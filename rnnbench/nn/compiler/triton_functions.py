"""What every emitted Triton kernel calls: elementary functions, tiles in memory, and a product of tiles.

This file imports Triton, which `rnnbench.nn` does not need: only emitted kernels import it. Names of its arguments:

    row     [R, 1], places of a tile's rows; `live` [R, 1]: which of them there are
    cols    [1, C], places in a row; `ks` [K]: places in the row of a product's operand
    stride  distance of two rows in memory
"""

# mypy: ignore-errors
# ruff: noqa: D103

import triton
import triton.language as tl


@triton.jit
def tanh(x):
    # a quotient of exponentials loses the last digits of small values: a series has them
    size = tl.abs(x)
    e = tl.exp(-2.0 * size)
    large = (1.0 - e) / (1.0 + e)
    s = x * x
    small = size * (1.0 + s * (-0.33333333 + s * (0.13333333 + s * (-0.053968254 + s * 0.021869488))))
    result = tl.where(size < 0.3, small, large)
    return tl.where(x < 0.0, -result, result)


@triton.jit
def softplus(x):
    # log(1 + e) with the digits of a small e, which 1 + e loses
    e = tl.exp(-tl.abs(x))
    total = 1.0 + e
    log = tl.where(total == 1.0, e, tl.log(total) * (e / tl.where(total == 1.0, 1.0, total - 1.0)))
    return tl.where(x < 0.0, 0.0, x) + log


@triton.jit
def relu(x):
    return tl.where(x <= 0.0, 0.0, x)


@triton.jit
def greatest(a, b):
    return tl.where((a > b) | (a != a), a, b)


@triton.jit
def least(a, b):
    return tl.where((a < b) | (a != a), a, b)


@triton.jit
def is_greater(a, b):
    return tl.where(a > b, 1.0, 0.0)


@triton.jit
def is_at_least(a, b):
    return tl.where(a >= b, 1.0, 0.0)


@triton.jit
def choose(condition, a, b):
    return tl.where(condition != 0.0, a, b)


@triton.jit
def inside(live, cols, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    """Which places of a tile there are; its rows alone where blocks fill the row."""
    if WIDTH % BLOCK == 0:
        return live
    else:  # noqa: RET505  (Triton follows one of two branches, not one of two returns)
        return live & (cols < WIDTH)


@triton.jit
def load(at, row, cols, stride: tl.constexpr, mask):
    return tl.load(at + row * stride + cols, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_before(initial, sequence, fresh, row, before, cols, stride: tl.constexpr, mask):
    """A state before a step: the initial one of `fresh` rows, that after the step before of others."""
    at = tl.where(fresh, initial + row * stride, sequence + before * stride)
    return tl.load(at + cols, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def load_row(at, cols, WIDTH: tl.constexpr, BLOCK: tl.constexpr):
    if WIDTH % BLOCK == 0:
        return tl.load(at + cols).to(tl.float32)
    else:  # noqa: RET505
        return tl.load(at + cols, mask=cols < WIDTH, other=0.0).to(tl.float32)


@triton.jit
def store(at, row, cols, stride: tl.constexpr, mask, value):
    tl.store(at + row * stride + cols, value, mask=mask)


@triton.jit
def add(at, row, cols, stride: tl.constexpr, mask, value):
    place = at + row * stride + cols
    tl.store(place, tl.load(place, mask=mask, other=0.0) + value, mask=mask)


@triton.jit
def row_sum(value, cols, rows, WIDTH: tl.constexpr):
    """The sum of each row of a tile, [R, 1]."""
    return tl.sum(tl.where((cols < WIDTH) & (rows >= 0), value, 0.0), 1, keep_dims=True)


@triton.jit
def barrier(counter, arrived, PROGRAMS: tl.constexpr):
    """Wait for all programs that share the rows, each of which has counted `arrived` times."""
    tl.debug_barrier()
    tl.atomic_add(counter, 1, sem="release", scope="gpu")
    while tl.atomic_add(counter, 0, sem="acquire", scope="gpu") < arrived * PROGRAMS:
        pass
    tl.debug_barrier()


@triton.jit
def store_part(parts, rows, B, live, part):
    """One program's share of a sum over a row."""
    tl.store(parts + tl.program_id(1) * B + rows, part, mask=live)


@triton.jit
def load_parts(parts, rows, B, live, PROGRAMS: tl.constexpr, SHARES: tl.constexpr):
    """The sum over a row, [R, 1], from the shares of all programs; SHARES is a power of two, not less than PROGRAMS."""
    each = tl.arange(0, SHARES)[None, :]
    values = tl.load(parts + each * B + rows, mask=live & (each < PROGRAMS), other=0.0)
    return tl.sum(values, 1, keep_dims=True)


@triton.jit
def multiply(total, x, w, units, ks, UNITS: tl.constexpr, K: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip  # noqa: E501
    """`total + x Wᵀ`: rows `units` [1, N] and columns `ks` of the matrix at `w`, which is K wide and UNITS long."""
    at = w + units * K + ks[:, None]
    if UNITS % BN == 0 and K % BK == 0:
        part = tl.load(at)
    else:
        part = tl.load(at, mask=(units < UNITS) & (ks[:, None] < K), other=0.0)
    return tl.dot(x.to(part.dtype), part, total, input_precision=PRECISION)


@triton.jit
def multiply_back(total, x, w, ks, cols, LONG: tl.constexpr, WIDTH: tl.constexpr, BK: tl.constexpr, BN: tl.constexpr, PRECISION: tl.constexpr):  # fmt: skip  # noqa: E501
    """`total + x W`: rows `ks` and columns `cols` of the matrix at `w`, which is WIDTH wide and LONG long."""
    at = w + ks[:, None] * WIDTH + cols
    if LONG % BK == 0 and WIDTH % BN == 0:
        part = tl.load(at)
    else:
        part = tl.load(at, mask=(ks[:, None] < LONG) & (cols < WIDTH), other=0.0)
    return tl.dot(x.to(part.dtype), part, total, input_precision=PRECISION)


@triton.jit(do_not_specialize=["B", "chunks"])
def combine(states, local, matrix, B, chunks, H: tl.constexpr, K: tl.constexpr, BB: tl.constexpr, BN: tl.constexpr, BACK: tl.constexpr):  # fmt: skip  # noqa: E501
    """The K states before each chunk from those before the first, where a chunk maps x to `matrix x + local`; BACK:
    from those after the last chunk, in the other order."""
    rows = (tl.program_id(0) * BB + tl.arange(0, BB)[:, None]).to(tl.int64)
    cols = tl.program_id(1) * BN + tl.arange(0, BN)[None, :]
    mask = inside(rows < B, cols, H, BN)
    plane = (B * H).to(tl.int64)
    for k in range(0, chunks - 1):
        known = k
        new = k + 1
        if BACK:
            known = chunks - 1 - k
            new = known - 1
        for i in tl.static_range(K):
            total = load(local + (i * chunks + known) * plane, rows, cols, H, mask)
            for j in tl.static_range(K):
                factor = load(matrix + ((i * K + j) * chunks + known) * plane, rows, cols, H, mask)
                total += factor * load(states + (j * chunks + known) * plane, rows, cols, H, mask)
            store(states + (i * chunks + new) * plane, rows, cols, H, mask, total)
