"""What a trained module can be asked: to go on with a text or score it, for classes, translations, forecasts."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils._pytree import tree_map

from rnnbench.analysis.beam import beam_search, check_beam
from rnnbench.analysis.decode import DecodedText, spelled, transcripts
from rnnbench.analysis.decode import decode as beam_decode
from rnnbench.analysis.forecast import Foreseen, foresee
from rnnbench.analysis.generate import Advance, Sampling, continue_frames, generate
from rnnbench.analysis.score import Scored, log_probs
from rnnbench.analysis.text_codec import END, END_ID, PADDING_ID, START_ID, UNKNOWN_ID, Script
from rnnbench.architectures.embedding import WordEmbedding
from rnnbench.errors import RnnbenchError
from rnnbench.nn import Recurrent
from rnnbench.objectives import (
    Captioning,
    Classification,
    Ctc,
    Forecast,
    LanguageModel,
    MultiLabelFrames,
    Objective,
    SequenceToSequence,
)

NEVER = (PADDING_ID, UNKNOWN_ID, START_ID)
"""Tokens that a model never emits."""
ROWS, STEPS = 64, 1024
"""Sequences that are run at once, and tokens of each."""


class Inference:
    """Asks a `SequenceModule` what its objective is about.

    All is done without dropout and without gradients, whatever mode the module is in, and leaves it in that mode.
    Inputs are those of the data: texts where the module has a tokenizer, else tensors `[B, T, C]`, and true lengths
    `[B]` where they differ.

    Args:
        model: the module.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    def require(self, *objectives: type[Objective]) -> None:
        """Refuse a question that the module was not trained on.

        Raises:
            RnnbenchError: its objective is none of these.
        """
        if not isinstance(self.model.objective, objectives):
            allowed = " or ".join(one.__name__ for one in objectives)
            raise RnnbenchError(f"objective {self.model.hparams['objective']!r} is no {allowed}")

    def require_tokenizer(self) -> Tokenizer:
        """Texts to ids of the input and back.

        Raises:
            RnnbenchError: the module has none.
        """
        tokenizer: Tokenizer | None = self.model.tokenizer
        if tokenizer is None:
            raise RnnbenchError("the model has no tokenizer: it does not read texts, or was trained without one")
        return tokenizer

    def padded(self, ids: list[list[int]]) -> tuple[Tensor, Tensor | None]:
        """Sequences as one tensor `[B, T]`, padded at the end, and their lengths where they differ."""
        lengths = torch.tensor([len(one) for one in ids])
        tokens = pad_sequence([torch.tensor(one) for one in ids], batch_first=True).to(self.model.device)
        return tokens, None if bool((lengths == lengths[0]).all()) else lengths

    def ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Texts as the module reads them: ids `[B, T]`, and their lengths where they differ.

        Raises:
            RnnbenchError: the module has no tokenizer, or a text no tokens.
        """
        encoded = [one.ids for one in self.require_tokenizer().encode_batch(list(texts))]
        for number, one in enumerate(encoded, 1):
            if not one:
                raise RnnbenchError(f"text {number} of {len(encoded)} is empty: there is nothing to read")
        return self.padded(encoded)

    # --- language models and music

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
        hidden, state = self.model.read(tokens, lengths, state)
        if not self.model.stateful:
            state = state[:, -self.model.layer.receptive_field :]
        last = hidden[:, -1] if lengths is None else hidden[torch.arange(len(hidden)), lengths - 1]
        return self.model.objective.head(last), state

    def advancing(self) -> Advance:
        """`advance`, with all that it needs for one token more looked up once, for a recurrent layer over tokens."""
        layer, embedding, head = self.model.layer, self.model.embedding, self.model.objective.head
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
        see `rnnbench.analysis.generate.Sampling` for how tokens are drawn. A `beam` above 1 draws nothing: it looks for
        the likeliest text, see `rnnbench.analysis.beam.beam_search`.

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
        generator = torch.Generator(self.model.device).manual_seed(seed)
        said: dict[int, str] = {}
        with self.model.inference_mode():
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
        """Frames of music `[B, length, O]` that go on from `frames` `[B, T, O]`; see `rnnbench.analysis.generate`.

        Raises:
            RnnbenchError: no model of polyphonic music, or a value out of its range.
        """
        self.require(MultiLabelFrames)
        if length < 1:
            raise RnnbenchError(f"length must be at least 1, got {length}")
        with self.model.inference_mode():
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
        with self.model.inference_mode():
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
        tokens = pad_sequence([torch.tensor(one) for one in ids], batch_first=True).to(self.model.device)
        inputs = tokens[:, :-1]
        steps = STEPS if self.model.stateful else inputs.shape[1]
        parts, state = [], None
        for some, targets in zip(torch.split(inputs, steps, 1), torch.split(tokens[:, 1:], steps, 1), strict=True):
            hidden, state = self.model.read(some, None, state)
            parts.append(log_probs(self.model.objective.head(hidden), targets))
        values = torch.cat(parts, 1)
        return [row[given - 1 : len(one) - 1] for row, one in zip(values, ids, strict=True)]

    def _rows_of(self, state: Any, rows: Tensor) -> Any:
        """The state of some rows of a batch."""
        return tree_map(lambda one: one.index_select(1 if self.model.stateful else 0, rows), state)

    def _together(self, lengths: list[int]) -> list[list[int]]:
        """Rows that can be read side by side: all; of a layer without states those of one length."""
        if self.model.stateful:
            return [list(range(len(lengths)))]
        return [[row for row, one in enumerate(lengths) if one == length] for length in dict.fromkeys(lengths)]

    # --- classes, texts and forecasts

    def classify(self, inputs: Sequence[str] | Tensor, lengths: Tensor | None = None) -> Tensor:
        """Probabilities of the classes of each sequence, `[B, O]`; of a tagger, of each step, `[B, T, O]`.

        Raises:
            RnnbenchError: the module is no classifier.
        """
        self.require(Classification)
        if not isinstance(inputs, Tensor):
            inputs, lengths = self.ids(inputs)
        with self.model.inference_mode():
            return self.model(inputs, lengths).softmax(-1)  # type: ignore[no-any-return]

    def translate(
        self, texts: Sequence[str], *, beam: int = 4, n_best: int = 1, length_penalty: float = 1.0
    ) -> list[list[DecodedText]]:
        """The likeliest translations of each text that a beam search finds, best first; `beam` 1 is greedy.

        Their tokens stand with spaces between, as the metrics count them.

        Raises:
            RnnbenchError: the module is no translator of texts, or a value is out of its range.
        """
        self.require(SequenceToSequence)
        return self.decode(*self.ids(texts), beam=beam, n_best=n_best, length_penalty=length_penalty)

    def decode(
        self,
        inputs: Tensor,
        lengths: Tensor | None = None,
        *,
        beam: int = 4,
        n_best: int = 1,
        length_penalty: float = 1.0,
    ) -> list[list[DecodedText]]:
        """As `translate`, of whatever a decoder reads: ids `[B, T]`, or the features of pictures `[B, T, C]`."""
        self.require(SequenceToSequence, Captioning)
        check_beam(beam, n_best, length_penalty)
        said: list[list[DecodedText]] = []
        with self.model.inference_mode():
            for some, known in _pieces(inputs, lengths):
                for found in beam_decode(self.model.objective, self.model.read, some, known, beam, length_penalty):
                    said.append(spelled(self.model.objective, found)[:n_best])
        return said

    def transcribe(
        self, inputs: Tensor, lengths: Tensor | None = None, *, beam: int = 1, n_best: int = 1
    ) -> list[list[DecodedText]]:
        """What is said in sounds `[B, T, C]`, best first: greedily, or by a prefix beam search.

        Raises:
            RnnbenchError: the module is no transcriber, or a value is out of its range.
        """
        self.require(Ctc)
        check_beam(beam, n_best, 0.0)
        with self.model.inference_mode():
            return [one[:n_best] for one in transcripts(self.model.objective, self.model(inputs, lengths), beam)]

    def forecast(self, inputs: Tensor, horizon: int) -> Foreseen:
        """What follows each of the last `horizon` steps of windows `[B, T, C]`; see `rnnbench.analysis.forecast`.

        Raises:
            RnnbenchError: the module is no forecaster, or a window too short.
        """
        self.require(Forecast)
        if not 1 <= horizon < inputs.shape[1]:
            raise RnnbenchError(f"horizon must be from 1 to {inputs.shape[1] - 1}, less than a window, got {horizon}")
        if inputs.shape[-1] != self.model.objective.output_size:
            raise RnnbenchError("the model does not foresee what it reads: it cannot go on from its own forecasts")
        with self.model.inference_mode():
            return foresee(self.model.read, self.model.objective.head, inputs, horizon)


def _pieces(inputs: Tensor, lengths: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """A batch in parts of at most `ROWS` sequences, none longer than its own longest."""
    for start in range(0, len(inputs), ROWS):
        known = None if lengths is None else lengths[start : start + ROWS]
        longest = inputs.shape[1] if known is None else int(known.max())
        yield inputs[start : start + ROWS, :longest], known
