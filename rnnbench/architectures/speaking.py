"""Asking a language model: to go on with a text, how likely one is."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils._pytree import tree_map

from rnnbench.architectures.asked import Asked
from rnnbench.architectures.embedding import WordEmbedding
from rnnbench.errors import RnnbenchError
from rnnbench.inside.beam import beam_search, check_beam
from rnnbench.inside.generate import Advance, Sampling, continue_frames, generate
from rnnbench.inside.score import Scored, log_probs
from rnnbench.inside.script import END, END_ID, PADDING_ID, START_ID, UNKNOWN_ID, Script
from rnnbench.nn import Recurrent
from rnnbench.objectives import LanguageModel, MultiLabelFrames

NEVER = (PADDING_ID, UNKNOWN_ID, START_ID)
"""Tokens that a model never says."""
ROWS, STEPS = 64, 1024
"""Texts that are scored at once, and tokens of each."""


class Speaking(Asked):
    """A module that writes, if its objective is that of a language model."""

    stateful: ClassVar[bool]
    layer: Any

    def text_codec(self) -> Script:
        """How this language model turns texts into tokens and back.

        Raises:
            RnnbenchError: it is none, or has no tokenizer.
        """
        self.require(LanguageModel)
        return Script(self.require_tokenizer())

    def advance(self, tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits `[B, V]` of the token after `tokens` `[B, T]` of true `lengths` `[B]`, and the state after them.

        `state` is one that `advance` gave: reading on costs the same however much was read before. (A layer without
        states reads all that it can see of the past again.)
        """
        hidden, state = self.read(tokens, lengths, state)
        if not self.stateful:
            state = state[:, -self.layer.receptive_field :]
        last = hidden[:, -1] if lengths is None else hidden[torch.arange(len(hidden)), lengths - 1]
        return self.objective.head(last), state

    def advancing(self) -> Advance:
        """`advance`, with all that it needs for one token more looked up once, for a recurrent layer over tokens."""
        layer, embedding, head = self.layer, self.embedding, self.objective.head
        if not (isinstance(layer, Recurrent) and isinstance(embedding, WordEmbedding)):
            return self.advance
        step, vectors, weight, bias = layer.step, embedding.weight, head.weight, head.bias

        def advance(tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
            if tokens.shape[1] > 1 or lengths is not None:
                return self.advance(tokens, state, lengths)
            hidden, state = step(F.embedding(tokens.squeeze(1), vectors), state)
            return F.linear(hidden, weight, bias), state

        return advance

    def generate(
        self,
        prompts: str | Sequence[str] = "",
        length: int = 200,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        greedy: bool = False,
        beam: int = 1,
        seed: int = 0,
    ) -> list[str]:
        """What the model adds to each prompt: up to `length` tokens, or to the end of the text.

        An empty prompt begins a text. `<unk>`, `<pad>` and `<s>` are never said. The same seed gives the same texts;
        see `rnnbench.inside.generate.Sampling` for how tokens are drawn. A `beam` above 1 draws nothing: it looks for
        the likeliest text, see `rnnbench.inside.beam.beam_search`.

        Raises:
            RnnbenchError: no language model, or a value out of its range.
        """
        script, sampling = self.text_codec(), Sampling(temperature, top_k, top_p, greedy)
        check_beam(beam, 1, 1.0)
        if beam > 1 and sampling not in (Sampling(), Sampling(greedy=True)):
            raise RnnbenchError("a beam draws nothing: leave out temperature, top_k and top_p")
        if length < 1:
            raise RnnbenchError(f"length must be at least 1, got {length}")
        ids = [[START_ID, *script.encode(one).ids] for one in ([prompts] if isinstance(prompts, str) else prompts)]
        generator = torch.Generator(self.device).manual_seed(seed)
        said: dict[int, str] = {}
        with self.answering():
            advance = self.advancing()
            for rows in self._together([len(one) for one in ids]):
                prompt, lengths = self.padded([ids[row] for row in rows])
                if beam > 1:
                    logits, state = advance(prompt, None, lengths)
                    some = beam_search(logits, state, advance, self._rows_of, beam=beam, max_length=length,
                                       end=script.end, never=NEVER)  # fmt: skip
                    tokens = [best[0].tokens for best in some]
                else:
                    tokens = generate(advance, prompt, length, sampling, lengths=lengths, end=script.end,
                                      never=NEVER, generator=generator).tolist()  # fmt: skip
                said |= {row: script.decode(one) for row, one in zip(rows, tokens, strict=True)}
        return [said[row] for row in range(len(ids))]

    def continue_frames(
        self, frames: Tensor, length: int, *, temperature: float = 1.0, greedy: bool = False, seed: int = 0
    ) -> Tensor:
        """Frames of music `[B, length, O]` that go on from `frames` `[B, T, O]`; see `rnnbench.inside.generate`.

        Raises:
            RnnbenchError: no model of polyphonic music, or a value out of its range.
        """
        self.require(MultiLabelFrames)
        if length < 1:
            raise RnnbenchError(f"length must be at least 1, got {length}")
        with self.answering():
            return continue_frames(self.advance, frames, length, temperature, greedy,
                                   torch.Generator().manual_seed(seed))  # fmt: skip

    def score(self, texts: str | Sequence[str], context: str = "", end: bool = False) -> list[Scored]:
        """How likely each text is at the start of a document, or after `context`.

        Args:
            texts: to be scored; none may be empty.
            context: what stands before each, and is not scored.
            end: whether that the text ends there is scored too.

        Raises:
            RnnbenchError: no language model, or a text without any token.
        """
        script = self.text_codec()
        before = [START_ID, *script.encode(context).ids]
        texts = [texts] if isinstance(texts, str) else list(texts)
        encoded = [script.encode(one) for one in texts]
        for number, one in enumerate(encoded, 1):
            if not one.ids and not end:
                raise RnnbenchError(f"text {number} of {len(encoded)} is empty: there is nothing to score")
        last, piece = ([END_ID], [END]) if end else ([], [])
        found: list[Tensor] = []
        with self.answering():
            for start in range(0, len(encoded), ROWS):
                found += self._scored(
                    [[*before, *one.ids, *last] for one in encoded[start : start + ROWS]], len(before)
                )
        return [
            Scored(text, (*one.pieces, *piece), tuple(values.tolist()))
            for text, one, values in zip(texts, encoded, found, strict=True)
        ]

    def _scored(self, ids: list[list[int]], given: int) -> list[Tensor]:
        """ln p of each sequence's tokens after the first `given`, some steps at a time."""
        tokens = pad_sequence([torch.tensor(one) for one in ids], batch_first=True).to(self.device)
        inputs = tokens[:, :-1]
        steps = STEPS if self.stateful else inputs.shape[1]
        parts, state = [], None
        for some, targets in zip(torch.split(inputs, steps, 1), torch.split(tokens[:, 1:], steps, 1), strict=True):
            hidden, state = self.read(some, None, state)
            parts.append(log_probs(self.objective.head(hidden), targets))
        values = torch.cat(parts, 1)
        return [row[given - 1 : len(one) - 1] for row, one in zip(values, ids, strict=True)]

    def _rows_of(self, state: Any, rows: Tensor) -> Any:
        """The state of some rows of a batch."""
        return tree_map(lambda one: one.index_select(1 if self.stateful else 0, rows), state)

    def _together(self, lengths: list[int]) -> list[list[int]]:
        """Rows that can be read side by side: all; of a layer without states those of one length."""
        if self.stateful:
            return [list(range(len(lengths)))]
        return [[row for row, one in enumerate(lengths) if one == length] for length in dict.fromkeys(lengths)]
