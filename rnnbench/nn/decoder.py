"""The second half of an encoder–decoder: tokens out of the states in which an encoder ended."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from rnnbench.errors import unknown
from rnnbench.nn.attention import Attention, AttentionName, BahdanauAttention, LuongAttention
from rnnbench.nn.compiler.loops import scan_calls
from rnnbench.nn.compiler.torch_mode import is_recorded
from rnnbench.nn.recurrent import States

ATTENTIONS: dict[str, type[Attention] | None] = {
    "none": None,
    "bahdanau": BahdanauAttention,
    "luong": LuongAttention,
}


class Encoded(NamedTuple):
    """What an encoder made of its inputs.

    `hidden` is `[B, T, D·H]`, `lengths` `[B]` or None where nothing is padded, `final` the states of a stack that reads
    forwards, `[L, B, W]` each.
    """

    hidden: Tensor
    lengths: Tensor | None
    final: States


def states_of_directions(final: States) -> States:
    """The states of a bidirectional stack, `[2·L, B, W]` each, as those of one that reads forwards: their mean."""
    if isinstance(final, Tensor):
        return (final[0::2] + final[1::2]) / 2
    return tuple((state[0::2] + state[1::2]) / 2 for state in final)


class Decoder(nn.Module):
    """A recurrent stack that says one token after the other, each given those before it.

    The stack begins in the encoder's final states s (Sutskever, Vinyals & Le 2014); with y the embedded tokens:

        none      h_u, s_u = stack(y_{u−1}, s_{u−1})             logits_u = W h_u + b
        luong     h_u as above; c_u over the query h_u           logits_u = W tanh(V [c_u, h_u]) + b  (2015, eq. 5, 6)
        bahdanau  c_u over the query h_{u−1}                     logits_u = W h_u + b  (2015, eq. 4–6, without maxout)
                  h_u, s_u = stack([y_{u−1}, c_u], s_{u−1})

    Before the first step h is the top layer's first state. With `none` and `luong` all steps are one call of the stack
    where the tokens are known.

    Args:
        make_layer: makes the stack for a number of input features: `batch_first`, called with inputs `[B, U, I]` and
            states, giving outputs `[B, U, H]` and states; with `output_size`.
        vocabulary_size: tokens, V.
        embedding_size: features of an embedded token, E.
        memory_size: features of the encoder's hidden states, D·H.
        attention: `none`, `bahdanau` or `luong`.
        dropout: probability, on the embedded tokens and on what the logits are made from, while training.

    Raises:
        RnnbenchError: an unknown attention.
    """

    def __init__(
        self,
        make_layer: Callable[[int], Any],
        vocabulary_size: int,
        embedding_size: int,
        memory_size: int,
        attention: AttentionName = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if attention not in ATTENTIONS:
            raise unknown("attention", attention, ATTENTIONS)
        self.kind = attention
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=0)
        self.layer = make_layer(embedding_size + (memory_size if attention == "bahdanau" else 0))
        size = int(self.layer.output_size)
        make_attention = ATTENTIONS[attention]
        self.attention = None if make_attention is None else make_attention(size, memory_size)
        self.combine = nn.Linear(memory_size + size, size) if attention == "luong" else None
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(size, vocabulary_size)

    def begin(self, encoded: Encoded) -> tuple[States, Tensor]:
        """The state before the first step: those of the stack, and its last output `[B, 1, H]`."""
        first = encoded.final if isinstance(encoded.final, Tensor) else encoded.final[0]
        return encoded.final, first[-1].unsqueeze(1)

    def forward(
        self, tokens: Tensor, state: tuple[States, Tensor], encoded: Encoded
    ) -> tuple[Tensor, tuple[States, Tensor]]:
        """Logits `[B, U, V]` of the token after each of `tokens` `[B, U]`, and the state after the last."""
        states, output = state
        embedded = self.dropout(self.embedding(tokens))
        if self.kind == "bahdanau" and self.attention is not None:
            outputs = []
            for step in embedded.split(1, 1):
                context, _ = self.attention(output, encoded.hidden, encoded.lengths)
                output, states = self.layer(torch.cat([step, context], -1), states)
                outputs.append(output)
            hidden = torch.cat(outputs, 1)
        else:
            hidden, states = self.layer(embedded, states)
            output = hidden[:, -1:]
            if self.attention is not None and self.combine is not None:
                context, _ = self.attention(hidden, encoded.hidden, encoded.lengths)
                hidden = torch.tanh(self.combine(torch.cat([context, hidden], -1)))
        return self.head(self.dropout(hidden)), (states, output)

    @torch.no_grad()
    def greedy(self, encoded: Encoded, start: int, end: int, max_length: int, never: tuple[int, ...] = ()) -> Tensor:
        """The likeliest token at each step, `[B, U]`, U ≤ `max_length`: up to `end`, then `end` again.

        In an export or a trace U is `max_length`.

        Args:
            encoded: what the encoder made of its inputs.
            start: the token before the first.
            end: the token that ends a sequence.
            max_length: steps after which a sequence ends without `end`.
            never: tokens that are not emitted.
        """
        state = self.begin(encoded)
        token = encoded.hidden.new_full((encoded.hidden.shape[0], 1), start, dtype=torch.int64)
        done = torch.zeros_like(token, dtype=torch.bool)
        forbidden = torch.zeros(self.head.out_features, dtype=torch.bool, device=token.device)
        forbidden[list(never)] = True
        if torch.compiler.is_exporting():
            return self._greedy_in_an_export(token, done, state, encoded, end, max_length, forbidden)
        emitted = []
        for _ in range(max_length):
            logits, state = self(token, state, encoded)
            token, done = _likeliest(logits, done, end, forbidden)
            emitted.append(token)
            if not is_recorded() and bool(done.all()):
                break
        return torch.cat(emitted, 1)

    def _greedy_in_an_export(
        self, token: Tensor, done: Tensor, state: tuple[States, Tensor], encoded: Encoded, end: int, max_length: int,
        forbidden: Tensor,
    ) -> Tensor:  # fmt: skip
        """`greedy` as a loop of the exported program, which holds one step of it."""
        states, output = state
        single = isinstance(states, Tensor)

        def step(call: Any, rows: Any, before: Sequence[Tensor], fixed: Sequence[Tensor]) -> list[Tensor]:
            token, done, output, *states = before
            forbidden, *memory = fixed
            now = Encoded(memory[0], memory[1] if len(memory) > 1 else None, encoded.final)
            logits, (after, output) = call(token, (states[0] if single else tuple(states), output), now)
            return [*_likeliest(logits, done, end, forbidden), output, *((after,) if single else after)]

        rows = [encoded.hidden.new_zeros(max_length, 1)]
        before = [token, done, output, *((states,) if single else states)]
        memory = [encoded.hidden, *([] if encoded.lengths is None else [encoded.lengths])]
        return scan_calls(self, step, rows, before, [forbidden, *memory]).squeeze(-1).transpose(0, 1)


def _likeliest(logits: Tensor, done: Tensor, end: int, forbidden: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest tokens `[B, 1]` but those `forbidden` `[V]`, `end` in rows that are done, and which rows are done
    after them."""
    token = logits.masked_fill(forbidden, -torch.inf).argmax(-1).masked_fill(done, end)
    return token, done | (token == end)
