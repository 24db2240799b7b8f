"""A memory that is a matrix: keys and values, gated by the input alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from rnnbench.nn.cell import Cell
from rnnbench.nn.checks import check_whole


@dataclass(eq=False)
class MatrixLSTMCell(Cell):
    """mLSTM (Beck et al. 2024, eq. 19–27): each head has a matrix C that maps keys to values, and a normaliser n.

    `q, v = W x_t + b`, `k = (W_k x_t) / √d + b_k`, `o = σ(W_o x_t + b_o)`, each H wide, d = H / `heads` for a head;
    `i' = w_i x_t + b_i`, `f' = w_f x_t + b_f`, one number a head. With the stabiliser of eq. 15–17,
    `m_t = max(log σ(f') + m_{t-1}, i')`, `i = exp(i' − m_t)`, `f = exp(log σ(f') + m_{t-1} − m_t)`, in each head:

    `C_t = f C_{t-1} + i v kᵀ`, `n_t = f n_{t-1} + i k`, `h_t = o ⊙ C_t q / max(|n_tᵀ q|, exp(−m_t))`.

    C and n are thus exp(−m) times those of the paper, and h is the paper's, whatever m is. States are h, C (row by row,
    H·d numbers), n (H) and m (one a head); initial states: zeros.

    The state is never fed back, so that many steps are computed at once by products of matrices (`chunk`; the authors'
    parallel form within a chunk of steps, C, n and m from chunk to chunk). It equals `step` up to rounding. A NaN in
    the input may show in all steps of its chunk, not from its own step on only.

    Args:
        heads: heads, each with keys and values of its own.

    Raises:
        ValueError: `heads` does not divide the hidden size.
        TypeError: `heads` is not a whole number.
    """

    heads: int = 1

    states = ("h", "c", "n", "m")
    gates = ("q", "k", "v", "o", "i", "f")
    recurrent = ()
    forget_gates = ("f",)
    input_gates = ("i",)
    chunk_steps = 64

    def __post_init__(self) -> None:
        check_whole("heads", self.heads)

    def gate_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """H for queries, keys, values and the output gate, one a head for input and forget gate."""
        return (hidden_size,) * 4 + (self.heads,) * 2

    def state_sizes(self, hidden_size: int) -> tuple[int, ...]:
        """H, H·d, H and one a head."""
        if hidden_size % self.heads:
            raise ValueError(f"heads must divide hidden_size {hidden_size}, got {self.heads}")
        return hidden_size, hidden_size**2 // self.heads, hidden_size, self.heads

    def effective_weights(self, parameters: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weight of k over √d (eq. 23)."""
        weight = parameters["weight_ih"]
        size = (len(weight) - 2 * self.heads) // 4
        q, k, rest = torch.split(weight, [size, size, len(weight) - 2 * size])
        return parameters | {"weight_ih": torch.cat([q, k / math.sqrt(size // self.heads), rest])}

    def step(self, z: Any, s: Any) -> Any:
        """New hidden state, memory, normaliser and stabiliser."""
        q, k, v = (self._by_head(gate) for gate in (z.q, z.k, z.v))
        d = q.shape[-1]
        kept = F.logsigmoid(z.f) + s.m
        m = torch.maximum(kept, z.i)
        i, f = torch.exp(z.i - m).unsqueeze(-1), torch.exp(kept - m).unsqueeze(-1)
        c = f.unsqueeze(-1) * s.c.unflatten(-1, (self.heads, d, d)) + (i * v).unsqueeze(-1) * k.unsqueeze(-2)
        n = f * self._by_head(s.n) + i * k
        norm = torch.maximum((n * q).sum(-1).abs(), _smallest_norm(m)).unsqueeze(-1)
        h = (c @ q.unsqueeze(-1)).squeeze(-1) / norm
        return torch.sigmoid(z.o) * h.flatten(-2), c.flatten(-3), n.flatten(-2), m

    def chunk(self, z: Any, s: Any, missing: Tensor | None) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The hidden states of L steps, `[L, B, H]`, and memory, normaliser and stabiliser after the last.

        `z` are the gates of all steps, `[L, B, W]`, `s` the states before the first. Steps that are `missing`,
        `[L, B]`, change no state.
        """
        q, k, v = (self._by_head(gate).permute(1, 2, 0, 3) for gate in (z.q, z.k, z.v))  # [B, heads, L, d]
        d = q.shape[-1]
        i, f = z.i, F.logsigmoid(z.f)
        if missing is not None:
            i, f = i.masked_fill(missing.unsqueeze(-1), -math.inf), f.masked_fill(missing.unsqueeze(-1), 0.0)
        i, f = i.permute(1, 2, 0), f.permute(1, 2, 0)  # [B, heads, L]
        m = s.m.unsqueeze(-1)
        # what step j has written is exp(decay_t + i_j − decay_j) of its value at step t
        decay = f.cumsum(-1)
        written = i - decay
        # n is read as C is, as if it were one more row of it
        memory = torch.cat([s.c.unflatten(-1, (self.heads, d, d)), self._by_head(s.n).unsqueeze(-2)], -2)
        values = torch.cat([v, torch.ones_like(v[..., :1])], -1)

        # h depends on no stabiliser, so that its derivative is zero
        top = torch.maximum(written.cummax(-1).values, m).detach()
        future = torch.ones(len(z.q), len(z.q), dtype=torch.bool, device=q.device).triu(1)
        share = (written.unsqueeze(-2) - top.unsqueeze(-1)).masked_fill_(future, -math.inf).exp_()
        read = ((q @ k.mT) * share) @ values + (m - top).exp().unsqueeze(-1) * (q @ memory.mT)
        h, norm = read.split([d, 1], -1)
        h = h / torch.maximum(norm.abs(), _smallest_norm(decay + top).unsqueeze(-1))

        last = torch.maximum(written.amax(-1, keepdim=True), m)
        memory = (m - last).exp().unsqueeze(-1) * memory + (values * (written - last).exp().unsqueeze(-1)).mT @ k
        c, n = memory.split([d, 1], -2)
        after = c.flatten(1), n.flatten(1), (decay[..., -1:] + last).squeeze(-1)
        return torch.sigmoid(z.o) * h.permute(2, 0, 1, 3).flatten(-2), after

    def _by_head(self, value: Tensor) -> Tensor:
        """`[…, H]` as `[…, heads, d]`."""
        return torch.unflatten(value, -1, (self.heads, -1))


def _smallest_norm(m: Tensor) -> Tensor:
    """exp(−m), as far as it has a derivative in float32: what is divided by more than exp(80) is 0 in any case."""
    return torch.exp(torch.clamp(-m, max=80.0))
