// A whole sequence, forwards and backwards. The names that this text uses (args A, frame F, piece, H, P, SLOTS_WIDTH, …)
// are defined by the generated part of a file, before it; the legend is at the top of codegen.py.
INLINE long smaller(long a, long b) { return a < b ? a : b; }
INLINE int thread_id(void) {
#ifdef _OPENMP
  return omp_get_thread_num();
#else
  return 0;
#endif
}
INLINE long team_size(void) {
#ifdef _OPENMP
  return omp_get_num_threads();
#else
  return 1;
#endif
}
#ifdef _OPENMP
#define PARALLEL _Pragma("omp parallel num_threads(A->threads) if (A->threads > 1)")
#define BARRIER _Pragma("omp barrier")
#else
#define PARALLEL
#define BARRIER
#endif
// in a parallel region: the arguments with the number of threads that were granted, which may be fewer than asked for
#define TEAM args team = *A; team.threads = team_size(); const args *A = &team;

// the first row of a thread: about the same number of row-steps for each
static long first_row(const args *A, long id) {
  if (id == 0 || id == A->threads) return id ? A->B : 0;
  if (!A->packed) return A->B * id / A->threads;
  long all = 0, low = 0, high = A->B;
  for (long t = 0; t < A->T; t++) all += A->count[t];
  while (low < high) {
    long middle = (low + high) / 2, some = 0;
    for (long t = 0; t < A->T; t++) some += smaller(A->count[t], middle);
    if (some * A->threads < all * id) low = middle + 1;
    else high = middle;
  }
  return low;
}
INLINE long step_at(const args *A, long i) { return A->reverse ? A->T - 1 - i : i; }

// rows of the gate gradients: not a power of two apart, or all would fall into the same few lines of the cache
INLINE long d_stride(const args *A) { return CEIL(slots_width(A), VL) * VL + VL; }
INLINE long take(long *used, long units) { // a part of the scratch memory, in units of real, aligned
  long start = *used;
  *used += CEIL(units, VL) * VL;
  return start;
}
typedef struct { long bias, zeros, tile, carried, means, pieces, chunk, paired, operands, db, dvec, small, turned[PRODUCTS], all; } layout;
// rows of operands that are paired at once
INLINE long paired_rows(const args *A, int backward) { return backward && A->chunk > A->B ? A->chunk : A->B; }
static layout lay_out(const args *A, const piece *pieces, long count, int backward) {
  long H = A->H, P = A->P, used = VL, wide = H > P ? H : P, nt = A->threads;
  (void)P, (void)wide;
  layout L;
  L.bias = take(&used, SLOTS_WIDTH + VL);
  L.zeros = take(&used, A->B * wide + VL);
  L.tile = take(&used, A->B * SLOTS_WIDTH + VL);
  L.carried = take(&used, A->B * CARRIED_WIDTH + VL);
  L.means = take(&used, A->B * (MEANS + 1));
  L.pieces = used;
  for (long k = 0; k < count; k++) {
    take(&used, packed_size(PAIRS(pieces[k].depth), pieces[k].n));
    if (PAIRED) take(&used, paired_rows(A, backward) * PAIRS(pieces[k].depth));
  }
  if (backward) {
    long rows = A->chunk > A->B ? A->chunk : A->B;
    L.chunk = take(&used, rows * d_stride(A) + VL);
    L.paired = PAIRED ? take(&used, PAIRS(rows) * d_stride(A) + VL) : 0;
    L.operands = take(&used, rows * OPERANDS_WIDTH + VL);
    L.db = take(&used, nt * SLOTS_WIDTH + VL);
    L.dvec = take(&used, nt * (VECTORS + 1) * H + VL);
    for (int p = 0; p < PRODUCTS; p++) L.turned[p] = take(&used, packed_size(PAIRS(rows), operand_width(A, p)));
    L.small = take(&used, 2 * (A->I + 1) * SLOTS_WIDTH + VL);
  }
  L.all = used;
  return L;
}
EXPORT long scratch_forward(const args *A) {
  piece pieces[PIECES_FORWARD + 1];
  describe_forward(A, pieces);
  return lay_out(A, pieces, A->plain ? 0 : PIECES_FORWARD, 0).all;
}
EXPORT long scratch_backward(const args *A) {
  piece pieces[PIECES_BACKWARD + 1];
  describe_backward(A, pieces);
  return lay_out(A, pieces, PIECES_BACKWARD, 1).all;
}
static void place(const args *A, const layout *L, piece *pieces, long count, real *scratch, int backward) {
  long used = L->pieces;
  for (long k = 0; k < count; k++) {
    pieces[k].packed = scratch + take(&used, packed_size(PAIRS(pieces[k].depth), pieces[k].n));
    if (PAIRED) pieces[k].paired = scratch + take(&used, paired_rows(A, backward) * PAIRS(pieces[k].depth));
  }
}
// the rows of a step before and after, for the thread that has rows from b0 on
static void states_at(const args *A, frame *F, long i, long b0, real *zeros) {
  long t = step_at(A, i), r = A->offset[t] + b0;
  for (int k = 0; k < STATES; k++) {
    long w = state_width(A, k);
    F->after[k] = A->next[k] + r * w;
    if (A->packed) F->before[k] = A->prev[k] + r * w;
    else if (i) F->before[k] = A->next[k] + (A->offset[step_at(A, i - 1)] + b0) * w;
    else F->before[k] = A->init[k] ? A->init[k] + b0 * w : zeros;
  }
  for (int k = 0; k < NOISE; k++) F->noise[k] = A->noise[k] + (A->noise_steps[k] ? r : b0) * A->noise_width[k];
}
static void gather(const args *A, frame *F, long i, long b0) { // packed: rows that go on, and rows that begin
  if (!A->packed) return;
  long before = i ? A->count[step_at(A, i - 1)] : 0, on = smaller(before - b0, F->n);
  if (on < 0) on = 0;
  for (int k = 0; k < STATES; k++) {
    long w = state_width(A, k);
    real *to = (real *)F->before[k];
    if (on) memcpy(to, A->next[k] + (A->offset[step_at(A, i - 1)] + b0) * w, on * w * sizeof(real));
    if (A->init[k]) memcpy(to + on * w, A->init[k] + (b0 + on) * w, (F->n - on) * w * sizeof(real));
    else memset(to + on * w, 0, (F->n - on) * w * sizeof(real));
  }
}

EXPORT void forward(const args *A) {
  piece pieces[PIECES_FORWARD + 1];
  describe_forward(A, pieces);
  long H = A->H, P = A->P, count = A->plain ? 0 : PIECES_FORWARD;
  (void)H, (void)P;
  layout L = lay_out(A, pieces, count, 0);
  real *scratch = A->scratch, *bias = scratch + L.bias;
  place(A, &L, pieces, count, scratch, 0);
  assemble_bias(A, bias);
  memset(scratch + L.zeros, 0, A->B * (H > P ? H : P) * sizeof(real));
  PARALLEL {
    TEAM
    long id = thread_id(), nt = A->threads;
    for (long k = 0; k < count; k++) {
      piece *p = pieces + k;
      pack_rows(&p->w, p->depth, p->n, p->packed, panels(p->n) * id / nt, panels(p->n) * (id + 1) / nt);
    }
    BARRIER
    long b0 = first_row(A, id), b1 = first_row(A, id + 1);
    frame F = {.first = b0, .H = H, .P = P, .bias = bias, .training = A->training, .plain = A->plain, .vec = A->vec};
    F.slots = scratch + L.tile + b0 * SLOTS_WIDTH;
    F.carried = scratch + L.carried + b0 * CARRIED_WIDTH;
    F.mean = scratch + L.means + b0;
    F.mean_stride = A->B;
    for (long i = 0; i < A->T; i++) {
      long t = step_at(A, i), r = A->offset[t] + b0;
      F.n = smaller(b1, A->count[t]) - b0;
      if (F.n <= 0) continue;
      states_at(A, &F, i, b0, scratch + L.zeros);
      gather(A, &F, i, b0);
      F.x = A->x + r * A->I;
      F.saved = A->saved + r * SAVED_WIDTH;
      F.saved_means = A->means + r * KEPT_MEANS;
      forward_step(A, &F, pieces);
    }
  }
}

// row r of the operand of product p in a chunk that begins at row `base`
INLINE const real *operand_row(const args *A, int p, long base, long r, const real *V, const real *zeros) {
  long g = base + r, w = operand_width(A, p), H = A->H, P = A->P;
  int k = operand_state[p];
  (void)H, (void)P;
  if (p == 0) return A->x + g * w;
  if (k < 0) return V + r * OPERANDS_WIDTH + operand_at(A, p);
  if (operand_after[p]) return A->next[k] + g * w;
  if (A->packed) return A->prev[k] + g * w;
  long first = A->reverse ? g - (A->T - 1) * A->B : g; // not negative, and below B: the step that came from init
  if (first >= 0 && first < A->B) return A->init[k] ? A->init[k] + first * w : zeros;
  return A->next[k] + (g + (A->reverse ? A->B : -A->B)) * w;
}
static void pack_operand(const args *A, int p, long base, long rows, const real *V, const real *zeros, real *out, long id) {
  long w = operand_width(A, p), count = panels(w);
  for (long q = count * id / A->threads; q < count * (id + 1) / A->threads; q++) {
    long from = panel_start(w, q) * VL, wide = panel_start(w, q + 1) * VL - from, some = smaller(w - from, wide);
    real *to = out + from * PAIRS(rows);
    for (long r = 0; r < rows; r += 1 + PAIRED, to += wide) {
      const real *row = operand_row(A, p, base, r, V, zeros) + from, *below = 0;
      if (PAIRED && r + 1 < rows) below = operand_row(A, p, base, r + 1, V, zeros) + from;
      long c = 0;
      for (; c + VL <= some; c += VL) store(to + c, pair(load(row + c), below ? load(below + c) : fill(0)));
      if (c < wide) store(to + c, pair(loadn(row + c, some - c), below ? loadn(below + c, some - c) : fill(0)));
    }
  }
}
// part of the gradient of a matrix: what `rows` rows of slots at d and of packed operands give; threads share its rows
static void weigh(const args *A, long id, int p, long rows, const real *d, const real *packed) {
  run u[MAX_RUNS];
  runs_of(A, p, u);
  long ld = d_stride(A), w = operand_width(A, p);
  for (const run *one = u; one->width; one++) {
    long tall = CEIL(one->width, MR), from = smaller(tall * id / A->threads * MR, one->width);
    long to = smaller(tall * (id + 1) / A->threads * MR, one->width);
    if (to <= from || !A->dw[one->matrix]) continue;
    source s = {d + one->at + from, 1, ld, packed, 0, PAIRS(rows), PAIRS(rows)};
    multiply(to - from, w, &s, 1, A->dw[one->matrix] + (one->row + from) * w, w, 0, KEEP);
  }
}

EXPORT void backward(const args *A) {
  piece pieces[PIECES_BACKWARD + 1];
  describe_backward(A, pieces);
  long H = A->H, P = A->P, I = A->I, nx = input_slots(A), nt = A->threads;
  (void)P;
  layout L = lay_out(A, pieces, PIECES_BACKWARD, 1);
  real *scratch = A->scratch, *D = scratch + L.chunk, *V = scratch + L.operands;
  real *small_w = scratch + L.small, *small_dw = small_w + CEIL((I + 1) * SLOTS_WIDTH, VL) * VL;
  int small = !PAIRED && I <= 4; // so few columns leave a vector empty: go along the slots instead
  place(A, &L, pieces, PIECES_BACKWARD, scratch, 1);
  memset(scratch + L.zeros, 0, A->B * (H > P ? H : P) * sizeof(real));
  memset(scratch + L.db, 0, nt * SLOTS_WIDTH * sizeof(real));
  memset(scratch + L.dvec, 0, nt * VECTORS * H * sizeof(real));
  if (small) {
    memset(small_dw, 0, I * nx * sizeof(real));
    for (long c = 0; c < nx; c++)
      for (long i = 0; i < I; i++) small_w[i * nx + c] = weight_row(&pieces[0].w, c)[i];
  }
  PARALLEL {
    TEAM
    long id = thread_id(), nt = A->threads, base, rows;
    for (long k = small; k < PIECES_BACKWARD; k++) {
      piece *p = pieces + k;
      pack_columns(&p->w, p->depth, p->n, p->packed, panels(p->n) * id / nt, panels(p->n) * (id + 1) / nt);
    }
    BARRIER
    long b0 = first_row(A, id), b1 = first_row(A, id + 1);
    real *db = scratch + L.db + id * SLOTS_WIDTH;
    frame F = {.first = b0, .H = H, .P = P, .training = 1, .dslots_stride = d_stride(A), .vec = A->vec};
    F.carried = scratch + L.carried + b0 * CARRIED_WIDTH;
    F.mean = scratch + L.means + b0;
    F.mean_stride = A->B;
    for (int k = 0; k < VECTORS; k++) F.dvec[k] = scratch + L.dvec + (id * VECTORS + k) * H;
    for (int k = 0; k < STATES; k++) F.ds[k] = A->ds[k] + b0 * state_width(A, k);
    for (long end = A->T, begin; end > 0; end = begin) {
      for (begin = end, rows = 0; begin > 0; begin--) {
        long more = A->count[step_at(A, begin - 1)];
        if (rows && rows + more > A->chunk) break;
        rows += more;
      }
      base = A->offset[A->reverse ? step_at(A, end - 1) : begin];
      for (long i = end - 1; i >= begin; i--) {
        long t = step_at(A, i), r = A->offset[t] + b0;
        F.n = smaller(b1, A->count[t]) - b0;
        if (F.n <= 0) continue;
        states_at(A, &F, i, b0, scratch + L.zeros);
        F.saved = A->saved + r * SAVED_WIDTH;
        F.saved_means = A->means + r * KEPT_MEANS;
        F.dslots = D + (r - base) * F.dslots_stride;
        F.operands = V + (r - base) * OPERANDS_WIDTH;
        for (int k = 0; k < EMITTED; k++) {
          long w = state_width(A, emitted[k]);
          F.gy[k] = A->gy[k] ? A->gy[k] + r * w : scratch + L.zeros;
          F.gy_stride[k] = A->gy[k] ? w : 0;
        }
        backward_step(A, &F, pieces);
        for (long j = 0; j < SLOTS_WIDTH; j += VL) {
          long some = smaller(SLOTS_WIDTH - j, VL);
          vec sum = loadn(db + j, some);
          for (long b = 0; b < F.n; b++) sum += loadn(F.dslots + b * F.dslots_stride + j, some);
          storen(db + j, sum, some);
        }
      }
      BARRIER
      long from = rows * id / nt, to = rows * (id + 1) / nt;
      const real *x = A->x + base * I;
      if (small) {
        weight w = {small_w, nx, I, zero_block};
        if (A->dx) {
          memset(A->dx + (base + from) * I, 0, (to - from) * I * sizeof(real));
          dots(to - from, I, &w, D + from * F.dslots_stride, F.dslots_stride, nx, A->dx + (base + from) * I, I);
        }
        long v0 = CEIL(nx, VL) * id / nt * VL, v1 = smaller(CEIL(nx, VL) * (id + 1) / nt * VL, nx);
        source s = {x, 1, I, D + v0, F.dslots_stride, rows, rows};
        if (v1 > v0) multiply(I, v1 - v0, &s, 1, small_dw + v0, nx, 0, KEEP);
      } else {
        if (A->dx && to > from) {
          source s = left_operand(pieces, to - from, D + from * F.dslots_stride, F.dslots_stride, from);
          multiply(to - from, I, &s, 1, A->dx + (base + from) * I, I, 0, ZERO);
        }
      }
      for (int p = small; p < PRODUCTS; p++)
        pack_operand(A, p, base, rows, V, scratch + L.zeros, scratch + L.turned[p], id);
      const real *left = D;
#ifdef BF16
      left = scratch + L.paired;
      pair_columns(SLOTS_WIDTH, rows, D, F.dslots_stride, scratch + L.paired, PAIRS(rows) * id / nt, PAIRS(rows) * (id + 1) / nt);
#endif
      BARRIER
      for (int p = small; p < PRODUCTS; p++) weigh(A, id, p, rows, left, scratch + L.turned[p]);
      BARRIER
    }
  }
  for (long k = 0; k < nt; k++) {
    for (long j = 0; j < SLOTS_WIDTH; j++) A->db[j] = (k ? A->db[j] : 0) + scratch[L.db + k * SLOTS_WIDTH + j];
    for (long v = 0; v < VECTORS; v++)
      for (long j = 0; j < H; j++) A->dvec[v][j] = (k ? A->dvec[v][j] : 0) + scratch[L.dvec + (k * VECTORS + v) * H + j];
  }
  if (small && A->dw[0])
    for (long c = 0; c < nx; c++)
      for (long i = 0; i < I; i++)
        A->dw[0][(weight_row(&pieces[0].w, c) - pieces[0].w.w) + i] += small_dw[i * nx + c];
}
