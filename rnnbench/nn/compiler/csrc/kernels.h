// Products on register tiles, elementary functions on vectors, and what all generated steps share.
// A generated file defines REAL_DOUBLE or BF16 or neither, includes this text first, then defines the steps, then the
// driver. With BF16 all is float32 but the operands of products, which are rounded to bfloat16; see "pairs".
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#ifdef _OPENMP // compilers of macOS have the pragmas, but no omp.h
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
#endif
#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif
#define long int64_t // as Python passes it: C's own has 32 bits on Windows; after all other text is included
#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT
#endif
#if defined(__AVX512F__)
#define BYTES 64
#define MR 8 /* rows of a register tile */
#define NR 3 /* vectors of a register tile */
#elif defined(__AVX2__)
#define BYTES 32
#define MR 4
#define NR 3
#else
#define BYTES 16
#define MR 8
#define NR 2
#endif
#if defined(__MINGW32__) && !defined(__clang__) && BYTES > 16 && !defined(UNALIGNED_MOVES)
#error "gcc for Windows keeps wide vectors on a stack that is not aligned for them"
#endif
#ifdef REAL_DOUBLE
typedef double real;
typedef int64_t whole;
#else
typedef float real;
typedef int32_t whole;
#endif
#define VL ((long)(BYTES / sizeof(real)))
#if defined(BF16) && !defined(__AVX512BF16__)
#error "this processor has no products of bfloat16"
#endif
typedef real vec __attribute__((vector_size(BYTES)));
typedef real vecu __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));
typedef whole veci __attribute__((vector_size(BYTES)));
#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

#define CEIL(a, b) (((a) + (b)-1) / (b))

// ---- loads and stores; the ...n forms touch the first n lanes only
INLINE vec load(const real *p) { return (vec) * (const vecu *)p; }
INLINE void store(real *p, vec v) { *(vecu *)p = (vecu)v; }
INLINE vec fill(real x) { return x - (vec){0}; }
INLINE vec loadn(const real *p, long n) {
#if defined(__AVX512F__) && !defined(REAL_DOUBLE)
  return (vec)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
#elif defined(__AVX512F__)
  return (vec)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#else
  vec v = {0};
  memcpy(&v, p, n * sizeof(real));
  return v;
#endif
}
INLINE void storen(real *p, vec v, long n) {
#if defined(__AVX512F__) && !defined(REAL_DOUBLE)
  _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
#elif defined(__AVX512F__)
  _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#else
  memcpy(p, &v, n * sizeof(real));
#endif
}
static const whole lane_numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
INLINE vec first_lanes(vec v, long n) { // and zeros
  veci lanes;
  memcpy(&lanes, lane_numbers, sizeof lanes);
  return (vec)((veci)v & (lanes < (whole)n));
}
INLINE real total(vec v) { // in pairs: the depth of the sum is log2(VL)
#if defined(__AVX512F__) && !defined(REAL_DOUBLE)
  return _mm512_reduce_add_ps((__m512)v);
#elif defined(__AVX512F__)
  return _mm512_reduce_add_pd((__m512d)v);
#else
  real t[VL];
  memcpy(t, &v, sizeof t);
  for (long k = VL / 2; k; k /= 2)
    for (long l = 0; l < k; l++) t[l] += t[l + k];
  return t[0];
#endif
}

// ---- elementary functions; a NaN stays one
INLINE vec pick(veci mask, vec a, vec b) { return (vec)(((veci)a & mask) | ((veci)b & ~mask)); }
INLINE vec vgt(vec a, vec b) { return pick(a > b, fill(1), fill(0)); }
INLINE vec vge(vec a, vec b) { return pick(a >= b, fill(1), fill(0)); }
INLINE vec vwhere(vec c, vec a, vec b) { return pick(c != fill(0), a, b); }
INLINE vec vmax(vec a, vec b) { return pick((a > b) | (a != a), a, b); }
INLINE vec vmin(vec a, vec b) { return pick((a < b) | (a != a), a, b); }
INLINE vec vrelu(vec x) { return pick(x < fill(0), fill(0), x); }
INLINE vec vabs(vec x) { return pick(x < fill(0), -x, x); }
#define LANES(f)             \
  real t[VL];                \
  memcpy(t, &x, sizeof t);   \
  for (long l = 0; l < VL; l++) t[l] = f(t[l]); \
  memcpy(&x, t, sizeof t);   \
  return x;
#if defined(__AVX512F__) && !defined(REAL_DOUBLE)
INLINE vec vsqrt(vec x) { return (vec)_mm512_sqrt_ps((__m512)x); }
#elif defined(__AVX512F__)
INLINE vec vsqrt(vec x) { return (vec)_mm512_sqrt_pd((__m512d)x); }
#elif defined(REAL_DOUBLE)
INLINE vec vsqrt(vec x) { LANES(sqrt) }
#else
INLINE vec vsqrt(vec x) { LANES(sqrtf) }
#endif
#ifdef REAL_DOUBLE
INLINE vec vexp(vec x) { LANES(exp) }
INLINE vec vlog(vec x) { LANES(log) }
INLINE vec vlog1p(vec x) { LANES(log1p) }
INLINE vec vtanh(vec x) { LANES(tanh) }
INLINE vec vsigmoid(vec x) { return 1 / (1 + vexp(-x)); }
#else
// e^x within the range where it is finite: 2^n times a polynomial on |x| <= log(2)/2 (coefficients: Cephes, Moshier 1989)
INLINE vec exp_clamped(vec x) {
  x = pick(x > fill(88.3762626647949f), fill(88.3762626647949f), x);
  x = pick(x < fill(-87.3365447504019f), fill(-87.3365447504019f), x);
  vec r = x * 1.44269504088896341f + 12582912.f, n = r - 12582912.f;
  vec y = x - n * 0.693359375f + n * 2.12194440e-4f, p = fill(1.9875691500E-4f);
  p = p * y + 1.3981999507E-3f;
  p = p * y + 8.3334519073E-3f;
  p = p * y + 4.1665795894E-2f;
  p = p * y + 1.6666665459E-1f;
  p = p * y + 5.0000001201E-1f;
  p = p * (y * y) + y + 1.f;
  return p * (vec)(((veci)r - 0x4b400000 + 127) << 23);
}
INLINE vec vexp(vec x) {
  vec y = exp_clamped(x);
  y = pick(x > fill(88.7228391116729f), fill(INFINITY), y);
  return pick(x < fill(-87.3365447504019f), fill(0), y);
}
INLINE vec vsigmoid(vec x) { return 1.f / (1.f + exp_clamped(-x)); }
// odd rational function of degree 13/6 on |x| < 7.9 (the minimax fit that Eigen uses)
INLINE vec vtanh(vec x) {
  x = pick(x > fill(7.90531110763549805f), fill(7.90531110763549805f), x);
  x = pick(x < fill(-7.90531110763549805f), fill(-7.90531110763549805f), x);
  vec s = x * x, p = fill(-2.76076847742355e-16f), q = fill(1.19825839466702e-06f);
  p = p * s + 2.00018790482477e-13f;
  p = p * s - 8.60467152213735e-11f;
  p = p * s + 5.12229709037114e-08f;
  p = p * s + 1.48572235717979e-05f;
  p = p * s + 6.37261928875436e-04f;
  p = p * s + 4.89352455891786e-03f;
  q = q * s + 1.18534705686654e-04f;
  q = q * s + 2.26843463243900e-03f;
  q = q * s + 4.89352518554385e-03f;
  return p * x / q;
}
INLINE vec vlog(vec x) { LANES(logf) }
// log(1 + x) for x from 0 to 1: log(1 + f) with f = x, or f = (x - 1) / 2 and log(2) (coefficients: Cephes, Moshier 1989)
INLINE vec vlog1p(vec x) {
  veci half = x > fill(0.41421356237f);
  vec f = pick(half, (x - 1.f) * 0.5f, x), z = f * f, p = fill(7.0376836292e-2f);
  p = p * f - 1.1514610310e-1f;
  p = p * f + 1.1676998740e-1f;
  p = p * f - 1.2420140846e-1f;
  p = p * f + 1.4249322787e-1f;
  p = p * f - 1.6668057665e-1f;
  p = p * f + 2.0000714765e-1f;
  p = p * f - 2.4999993993e-1f;
  p = p * f + 3.3333331174e-1f;
  return f + (p * f * z - 0.5f * z) + pick(half, fill(0.69314718056f), fill(0));
}
#endif
INLINE vec vsoftplus(vec x) { return vrelu(x) + vlog1p(vexp(-vabs(x))); }

// ---- pairs: with BF16 an operand of a product has, in the place of one real, two bfloat16: those of k and k + 1. The
// processor multiplies and adds both at once, in float32. So a product is half as deep, and else what it is without.
#ifdef BF16
#define PAIRED 1
#define PAIRS(n) CEIL(n, 2)
INLINE vec spread(const real *p) { // the pair at p, in all lanes
  int32_t bits;
  memcpy(&bits, p, sizeof bits);
  return (vec)_mm512_set1_epi32(bits);
}
INLINE vec madd(vec c, vec x, vec w) { return (vec)_mm512_dpbf16_ps((__m512)c, (__m512bh)x, (__m512bh)w); }
INLINE __m512i halves(vec v) { return _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh((__m512)v)); }
INLINE vec pair(vec first, vec second) {
  return (vec)_mm512_or_si512(halves(first), _mm512_slli_epi32(halves(second), 16));
}
// rows of A with the pairs of their neighbours
static void pair_rows(long m, long depth, const real *a, long row, real *out) {
  for (long r = 0; r < m; r++, a += row, out += PAIRS(depth))
    for (long k = 0; k < depth; k += VL) {
      long some = depth - k < VL ? depth - k : VL;
      __m256i bits = (__m256i)_mm512_cvtneps_pbh((__m512)loadn(a + k, some));
      _mm256_mask_storeu_epi32(out + k / 2, (__mmask8)((1u << PAIRS(some)) - 1), bits);
    }
}
// pairs of rows 2k and 2k + 1, from the k-th on to the last; beyond `depth` rows there are zeros
static void pair_columns(long n, long depth, const real *a, long row, real *out, long first, long last) {
  for (long k = first; k < last; k++)
    for (long j = 0; j < n; j += VL) {
      long some = n - j < VL ? n - j : VL;
      vec second = 2 * k + 1 < depth ? loadn(a + (2 * k + 1) * row + j, some) : fill(0);
      storen(out + k * row + j, pair(loadn(a + 2 * k * row + j, some), second), some);
    }
}
#else
#define PAIRED 0
#define PAIRS(n) (n)
INLINE vec spread(const real *p) { return fill(*p); }
INLINE vec madd(vec c, vec x, vec w) { return c + x * w; }
INLINE vec pair(vec first, vec second) { return (void)second, first; }
#endif

// ---- products: C[m, n] (+)= sum over sources of A[m, k] B[k, n]
typedef struct {
  const real *a;      // element (m, k) at a[m * row + k * step]
  long row, step;
  const real *b;      // row k at b + k * ldb; packed: panels one after the other, see pack
  long ldb;           // 0: packed
  long depth;         // number of k
  long whole;         // depth of the matrix B that this is a part of
} source;
#ifndef AHEAD
#define AHEAD 40 // rows of B that are fetched ahead
#endif
enum { ZERO, KEEP, BIAS };  // what C starts from: nothing, itself, a row


// What follows here is written by tiles.py: the register tiles, each accumulator a variable of its own.
//   tile_R_V(s, sources, at, panel, c, ldc, bias, start, tail): R rows of C from row `at` of A on, V vectors from
//   vector `panel` on, of which the last has `tail` lanes.
typedef void (*tile_function)(const source *, long, long, long, real *, long, const real *, int, long);
TILES
INLINE long panels(long n) { return CEIL(CEIL(n, VL), NR); }
INLINE long panel_start(long n, long p) { return CEIL(n, VL) * p / panels(n); } // in vectors
INLINE long packed_size(long depth, long n) { return depth * CEIL(n, VL) * VL; }

#ifndef DEEP
#define DEEP 768 // so deep that the rows of a tile of A still fit into the first cache
#endif
NOINLINE void multiply(long m, long n, const source *s, long sources, real *c, long ldc, const real *bias, int start) {
  long count = CEIL(m, MR);
  if (sources == 1 && !s->ldb && s->depth > DEEP) { // a part of the depth after the other
    long parts = CEIL(s->depth, DEEP);
    for (long i = 0; i < parts; i++) {
      long k0 = s->depth * i / parts, k1 = s->depth * (i + 1) / parts;
      source part = {s->a + k0 * s->step, s->row, s->step, 0, 0, k1 - k0, s->whole};
      for (long p = 0; p < panels(n); p++) {
        long from = panel_start(n, p), to = panel_start(n, p + 1), left = n - (to - 1) * VL;
        part.b = s->b + k0 * (to - from) * VL;
        for (long q = 0; q < count; q++) {
          long first = m * q / count, rows = m * (q + 1) / count - first;
          tile[rows - 1][to - from - 1](&part, 1, first, from, c + first * ldc + from * VL, ldc,
                                        bias ? bias + from * VL : 0, i ? KEEP : start, left < VL ? left : VL);
        }
      }
    }
    return;
  }
  for (long p = 0; p < panels(n); p++) {
    long from = panel_start(n, p), to = panel_start(n, p + 1), left = n - (to - 1) * VL, tail = left < VL ? left : VL;
    for (long q = 0; q < count; q++) {
      long first = m * q / count, rows = m * (q + 1) / count - first;
      tile[rows - 1][to - from - 1](s, sources, first, from, c + first * ldc + from * VL, ldc,
                                    bias ? bias + from * VL : 0, start, tail);
    }
  }
}

// ---- packing: panels [first, last) of a matrix whose column c, or row k, is row `of(block)` of W [rows, depth]
typedef struct { const real *w; long ld, width; const int *blocks; } weight;
INLINE const real *weight_row(const weight *w, long i) { return w->w + (w->blocks[i / w->width] * w->width + i % w->width) * w->ld; }
// B[k, c] = W[row(c), k]: for W v
static void pack_rows(const weight *w, long depth, long n, real *out, long first, long last) {
  for (long p = first; p < last; p++) {
    long from = panel_start(n, p), wide = (panel_start(n, p + 1) - from) * VL;
    real *to = out + from * VL * PAIRS(depth);
    for (long c = 0; c < wide; c++) {
      const real *row = from * VL + c < n ? weight_row(w, from * VL + c) : 0;
#ifdef BF16
      real pairs[VL / 2];
      for (long k = 0; k < depth; k += VL) {
        long some = depth - k < VL ? depth - k : VL;
        memset(pairs, 0, sizeof pairs);
        if (row) pair_rows(1, some, row + k, 0, pairs);
        for (long j = 0; j < PAIRS(some); j++) to[(k / 2 + j) * wide + c] = pairs[j];
      }
#else
      for (long k = 0; k < depth; k++) to[k * wide + c] = row ? row[k] : 0;
#endif
    }
  }
}
// B[k, c] = W[row(k), c]: for the transpose of W
static void pack_columns(const weight *w, long depth, long n, real *out, long first, long last) {
  for (long p = first; p < last; p++) {
    long from = panel_start(n, p), wide = (panel_start(n, p + 1) - from) * VL, left = n - from * VL;
    real *to = out + from * VL * PAIRS(depth);
    long some = left < wide ? left : wide;
    for (long k = 0; k < PAIRS(depth); k++) {
#ifdef BF16
      const real *row = weight_row(w, 2 * k) + from * VL;
      const real *below = 2 * k + 1 < depth ? weight_row(w, 2 * k + 1) + from * VL : 0;
      for (long c = 0; c < wide; c += VL) {
        long lanes = some - c < VL ? (some > c ? some - c : 0) : VL;
        store(to + k * wide + c, pair(loadn(row + c, lanes), below ? loadn(below + c, lanes) : fill(0)));
      }
#else
      memcpy(to + k * wide, weight_row(w, k) + from * VL, some * sizeof(real));
      for (long c = some; c < wide; c++) to[k * wide + c] = 0;
#endif
    }
  }
}
// a part of a matrix as products read it: packed, and room for their left operands
typedef struct { weight w; long depth, n; real *packed, *paired; } piece;
// rows of the left operand of a product with a piece, as that product reads it; `first` is the first row's number
INLINE source left_operand(const piece *p, long m, const real *a, long row, long first) {
#ifdef BF16
  real *paired = p->paired + first * PAIRS(p->depth);
  pair_rows(m, p->depth, a, row, paired);
  a = paired, row = PAIRS(p->depth);
#else
  (void)m, (void)first;
#endif
  return (source){a, row, 1, p->packed, 0, PAIRS(p->depth), PAIRS(p->depth)};
}
// the dot products of few rows with the rows of W, without packing
static void dots(long m, long n, const weight *w, const real *a, long row, long depth, real *c, long ldc) {
  for (long i = 0; i < n; i++) {
    const real *wr = weight_row(w, i);
    for (long r = 0; r < m; r++) {
      const real *ar = a + r * row;
      vec s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
      long k = 0;
      for (; k + 4 * VL <= depth; k += 4 * VL) {
        s0 += load(ar + k) * load(wr + k);
        s1 += load(ar + k + VL) * load(wr + k + VL);
        s2 += load(ar + k + 2 * VL) * load(wr + k + 2 * VL);
        s3 += load(ar + k + 3 * VL) * load(wr + k + 3 * VL);
      }
      for (; k < depth; k += VL) {
        long some = depth - k < VL ? depth - k : VL;
        s0 += loadn(ar + k, some) * loadn(wr + k, some);
      }
      c[r * ldc + i] += total((s0 + s1) + (s2 + s3));
    }
  }
}
