"""The innermost loops in C: products on tiles of C that live in registers.

They are spelled out, each accumulator a variable of its own, since compilers keep arrays of them in memory.
"""

from __future__ import annotations

from functools import cache

SHAPES = {"__AVX512F__": (8, 3), "__AVX2__": (4, 3), "": (8, 2)}  # rows and vectors of the largest tile


@cache
def tiles() -> str:
    """All tiles, for each kind of processor."""
    parts: list[str] = []
    for condition, (rows, vectors) in SHAPES.items():
        word = "#if defined" if not parts else "#elif defined"
        parts.append(f"{word}({condition})" if condition else "#else")
        parts += [_tile(r, v) for r in range(1, rows + 1) for v in range(1, vectors + 1)]
        table = ", ".join(
            "{" + ", ".join(f"tile_{r}_{v}" for v in range(1, vectors + 1)) + "}" for r in range(1, rows + 1)
        )
        parts.append(f"static const tile_function tile[MR][NR] = {{{table}}};")
    return "\n".join([*parts, "#endif"])


def _tile(rows: int, vectors: int) -> str:
    each = [(r, v) for r in range(rows) for v in range(vectors)]
    names = ", ".join(f"c{r}{v}" for r, v in each)

    def load(place: str, v: int) -> str:
        return f"loadn({place}, tail)" if v == vectors - 1 else f"load({place})"

    def store(r: int, v: int) -> str:
        place = f"c + {r} * ldc + {v} * VL"
        return f"storen({place}, c{r}{v}, tail);" if v == vectors - 1 else f"store({place}, c{r}{v});"

    zero = " ".join(f"c{r}{v} = fill(0);" for r, v in each)
    bias = " ".join(f"vec b{v} = {load(f'bias + {v} * VL', v)};" for v in range(vectors))
    copies = " ".join(f"c{r}{v} = b{v};" for r, v in each)
    keep = " ".join(f"c{r}{v} = {load(f'c + {r} * ldc + {v} * VL', v)};" for r, v in each)
    weights = " ".join(f"vec w{v} = {load(f'b + {v} * VL', v)};" for v in range(vectors))
    # byte offsets that an address can hold: once, twice, four and eight times a row, and of three, five, seven rows
    offsets = ["0", "row", "2 * row", "row3", "4 * row", "row5", "2 * row3", "row7"]
    prefetch = " ".join(f"__builtin_prefetch(b + AHEAD * ldb + {v} * VL);" for v in range(vectors))
    products = " ".join(
        f"x = fill(*(const real *)(a + {offsets[r]})); " + " ".join(f"c{r}{v} += x * w{v};" for v in range(vectors))
        for r in range(rows)
    )
    return f"""
NOINLINE void tile_{rows}_{vectors}(const source *s, long sources, long at, long panel, real *c, long ldc,
                          const real *bias, int start, long tail) {{
  vec {names};
  if (start == ZERO) {{ {zero} }}
  else if (start == BIAS) {{ {bias} {copies} }}
  else {{ {keep} }}
  for (; sources--; s++) {{
    const char *a = (const char *)(s->a + at * s->row);
    long row = s->row * sizeof(real), step = s->step * sizeof(real), row3 = 3 * row, row5 = 5 * row, row7 = 7 * row;
    long ldb = s->ldb ? s->ldb : {vectors} * VL;
    const real *b = s->b + (s->ldb ? panel * VL : panel * VL * s->whole);
    (void)row3, (void)row5, (void)row7;
    for (long k = s->depth; k--; a += step, b += ldb) {{
      {prefetch}
      vec x; {weights}
      {products}
    }}
  }}
  {" ".join(store(r, v) for r, v in each)}
}}"""
