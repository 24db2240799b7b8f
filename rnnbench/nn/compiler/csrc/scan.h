// h_t = a_t h_{t-1} + b_t over [T, N] elements, forwards and backwards; follows kernels.h
typedef struct {
  long T, N, threads;
  const real *a, *b, *h0, *g; // h0 may be absent
  real *h, *da, *db, *dh0;
} args;
#ifdef _OPENMP
#define PARALLEL _Pragma("omp parallel num_threads(A->threads) if (A->threads > 1)")
#define SHARE long id = omp_get_thread_num(), nt = omp_get_num_threads();
#else
#define PARALLEL
#define SHARE long id = 0, nt = 1;
#endif
// a block of elements small enough that the state stays in the first cache
enum { BLOCK = 1024 };

EXPORT void forward(const args *A) {
  PARALLEL {
    SHARE long blocks = CEIL(A->N, BLOCK), N = A->N;
    for (long k = blocks * id / nt; k < blocks * (id + 1) / nt; k++) {
      long from = k * BLOCK, to = from + BLOCK < N ? from + BLOCK : N;
      for (long t = 0; t < A->T; t++) {
        const real *a = A->a + t * N, *b = A->b + t * N, *before = t ? A->h + (t - 1) * N : A->h0;
        real *h = A->h + t * N;
        for (long j = from; j < to; j += VL) {
          long n = to - j < VL ? to - j : VL;
          vec old = before ? loadn(before + j, n) : fill(0);
          storen(h + j, loadn(a + j, n) * old + loadn(b + j, n), n);
        }
      }
    }
  }
}
EXPORT void backward(const args *A) { // db_t = g_t + a_{t+1} db_{t+1}, da_t = db_t h_{t-1}
  PARALLEL {
    SHARE long blocks = CEIL(A->N, BLOCK), N = A->N;
    for (long k = blocks * id / nt; k < blocks * (id + 1) / nt; k++) {
      long from = k * BLOCK, to = from + BLOCK < N ? from + BLOCK : N;
      for (long t = A->T - 1; t >= 0; t--) {
        const real *g = A->g + t * N, *before = t ? A->h + (t - 1) * N : A->h0;
        const real *a = t < A->T - 1 ? A->a + (t + 1) * N : 0, *later = A->db + (t + 1) * N;
        real *da = A->da + t * N, *db = A->db + t * N;
        for (long j = from; j < to; j += VL) {
          long n = to - j < VL ? to - j : VL;
          vec d = loadn(g + j, n);
          if (a) d += loadn(a + j, n) * loadn(later + j, n);
          storen(db + j, d, n);
          storen(da + j, before ? d * loadn(before + j, n) : fill(0), n);
        }
      }
      if (A->dh0)
        for (long j = from; j < to; j++) A->dh0[j] = A->a[j] * A->db[j];
    }
  }
}
