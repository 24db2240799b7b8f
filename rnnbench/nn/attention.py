"""Attention of a decoder over the states of an encoder."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

AttentionName = Literal["none", "bahdanau", "luong"]


class Attention(nn.Module, ABC):
    """Weighs an encoder's states by how well each answers a query.

        α_{u,t} = softmax_t(score(q_u, m_t))        c_u = Σ_t α_{u,t} m_t

    Args:
        query_size: features of a query, Q.
        memory_size: features of an encoder's state, M.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__()
        self.query_size, self.memory_size = query_size, memory_size

    @abstractmethod
    def scores(self, queries: Tensor, memory: Tensor) -> Tensor:
        """How well each state answers each query, `[B, U, T]`."""

    def forward(self, queries: Tensor, memory: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Contexts `[B, U, M]` and weights `[B, U, T]` for queries `[B, U, Q]` over `memory` `[B, T, M]`.

        States beyond the true `lengths` `[B]` have weight 0.
        """
        scores = self.scores(queries, memory)
        if lengths is not None:
            beyond = torch.arange(memory.shape[1], device=memory.device) >= lengths.to(memory.device).unsqueeze(1)
            scores = scores.masked_fill(beyond.unsqueeze(1), -torch.inf)
        weights = scores.softmax(-1)
        return weights @ memory, weights


class BahdanauAttention(Attention):
    """Additive attention (Bahdanau, Cho & Bengio 2015, A.1.2): `score(q, m) = vᵀ tanh(W q + U m)`.

    Args:
        query_size: features of a query, Q.
        memory_size: features of an encoder's state, M.
        size: features of the hidden layer; Q if None.
    """

    def __init__(self, query_size: int, memory_size: int, size: int | None = None) -> None:
        super().__init__(query_size, memory_size)
        self.query = nn.Linear(query_size, size or query_size)
        self.key = nn.Linear(memory_size, size or query_size, bias=False)
        self.energy = nn.Linear(size or query_size, 1, bias=False)

    def scores(self, queries: Tensor, memory: Tensor) -> Tensor:  # noqa: D102
        hidden = torch.tanh(self.query(queries).unsqueeze(2) + self.key(memory).unsqueeze(1))
        return self.energy(hidden).squeeze(-1)  # type: ignore[no-any-return]


class LuongAttention(Attention):
    """Global attention with the general score (Luong, Pham & Manning 2015, eq. 8): `score(q, m) = qᵀ W m`.

    Args:
        query_size: features of a query, Q.
        memory_size: features of an encoder's state, M.
    """

    def __init__(self, query_size: int, memory_size: int) -> None:
        super().__init__(query_size, memory_size)
        self.key = nn.Linear(memory_size, query_size, bias=False)

    def scores(self, queries: Tensor, memory: Tensor) -> Tensor:  # noqa: D102
        return queries @ self.key(memory).transpose(1, 2)  # type: ignore[no-any-return]
