"""Inference with a trained module: generated texts, scores, classes, translations, transcripts, forecasts."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils._pytree import tree_map

from rnnbench.analysis.beam import beam_search, check_beam
from rnnbench.analysis.decode import DecodedText, decode_sequences, hypothesis_texts, transcripts
from rnnbench.analysis.external_lm import ExternalLanguageModel
from rnnbench.analysis.forecast import WindowForecasts, forecast_windows
from rnnbench.analysis.generate import Advance, Sampling, continue_frames, generate
from rnnbench.analysis.score import ScoredText, log_probs
from rnnbench.analysis.text_codec import TextCodec
from rnnbench.architectures.embedding import WordEmbedding
from rnnbench.architectures.export import Format, export_model
from rnnbench.errors import RnnbenchError
from rnnbench.nn import QuantisedLayer, Recurrent, quantise
from rnnbench.objectives.base import OutputKind
from rnnbench.objectives.special_tokens import END, END_ID, NOT_GENERATED, START_ID

MAX_ROWS, MAX_STEPS = 64, 1024
"""Sequences that are run at once, and tokens of each."""


class Inference:
    """Inference with a `SequenceModule`, by the kinds of output of its objective.

    Everything runs without dropout and gradients, and restores the mode of the module. Inputs are those of the
    data: texts where the module has a tokenizer, else tensors `[B, T, C]`, and true lengths `[B]` where they
    differ.

    Args:
        model: the module.
    """

    def __init__(self, model: Any) -> None:
        self.model = model

    @property
    def verbs(self) -> tuple[str, ...]:
        """Verbs of the command line that the module supports: those of its objective, and `gates` if recurrent."""
        verbs: tuple[str, ...] = self.model.objective.verbs
        return (*verbs, "gates") if isinstance(self.model.layer, Recurrent) else verbs

    def in_precision(self, precision: str) -> Any:
        """The module for inference in `bf16` (under autocast to bfloat16), or a copy of it with weights of `int8`.

        Raises:
            RnnbenchError: a layer of it has no int8 form.
        """
        if precision == "bf16":
            self.model.low_precision = True
            return self.model
        try:
            return quantise(self.model)
        except ValueError as error:
            raise RnnbenchError(f"precision int8: {error}") from None

    def require(self, *kinds: OutputKind) -> None:
        """Check that the module has a kind of output.

        Raises:
            RnnbenchError: the objective of the module has another kind of output.
        """
        if (kind := self.model.objective.output_kind) not in kinds:
            name = self.model.hparams["objective"]
            raise RnnbenchError(f"objective {name!r} predicts {kind or 'something else'}, not {' or '.join(kinds)}")

    def require_tokenizer(self) -> Tokenizer:
        """The tokenizer of the inputs.

        Raises:
            RnnbenchError: the module has no tokenizer.
        """
        tokenizer: Tokenizer | None = self.model.tokenizer
        if tokenizer is None:
            raise RnnbenchError("the model has no tokenizer: it does not read texts, or was trained without one")
        return tokenizer

    def padded(self, ids: list[list[int]]) -> tuple[Tensor, Tensor | None]:
        """Sequences as one tensor `[B, T]`, padded at the end, and their lengths where they differ."""
        lengths = torch.tensor([len(row) for row in ids])
        tokens = pad_sequence([torch.tensor(row) for row in ids], batch_first=True).to(self.model.device)
        return tokens, None if bool((lengths == lengths[0]).all()) else lengths

    def ids(self, texts: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """Texts as inputs of the module: ids `[B, T]`, and their lengths where they differ.

        Raises:
            RnnbenchError: no tokenizer, or a text without tokens.
        """
        encoded = [encoding.ids for encoding in self.require_tokenizer().encode_batch(list(texts))]
        for number, row in enumerate(encoded, 1):
            if not row:
                raise RnnbenchError(f"text {number} of {len(encoded)} is empty: there is nothing to read")
        return self.padded(encoded)

    def export(self, format: Format, folder: Path, title: str = "") -> Path:
        """Write the module for other programs, as `onnx`, `torch-export` or `safetensors`; see `export_model`.

        Raises:
            RnnbenchError: an unknown format, a package that is missing, or a module that cannot be exported.
        """
        return export_model(self.model, format, folder, title)

    # --- language models and music

    def text_codec(self) -> TextCodec:
        """Texts to tokens of this language model, and back.

        Raises:
            RnnbenchError: not a language model, or no tokenizer.
        """
        self.require("text")
        return TextCodec(self.require_tokenizer())

    def advance(self, tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        """Logits `[B, V]` of the token after `tokens` `[B, T]` of true `lengths` `[B]`, and the state after them.

        `state` is that of the previous call, so that a step costs the same at any length. (A layer without states reads
        its receptive field again.)
        """
        hidden, state = self.model.read(tokens, lengths, state)
        if not self.model.stateful:
            state = state[:, -self.model.layer.receptive_field :]
        last = hidden[:, -1] if lengths is None else hidden[torch.arange(len(hidden)), lengths - 1]
        return self.model.objective.head(last), state

    def fast_advance(self) -> Advance:
        """`advance`; for a recurrent layer over learned embeddings, with fewer operations for a single token."""
        layer, embedding, head = self.model.layer, self.model.embedding, self.model.objective.head
        if not (isinstance(layer, (Recurrent, QuantisedLayer)) and isinstance(embedding, WordEmbedding)):
            return self.advance
        step, vectors = layer.step, embedding.weight

        read_out = partial(F.linear, weight=head.weight, bias=head.bias) if isinstance(head, nn.Linear) else head

        def advance(tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
            if tokens.shape[1] > 1 or lengths is not None:
                return self.advance(tokens, state, lengths)
            hidden, state = step(F.embedding(tokens.squeeze(1), vectors), state)
            return read_out(hidden), state

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
        """Continuations of prompts: up to `length` tokens, or to the end of the text.

        An empty prompt begins a text. `<unk>`, `<pad>` and `<s>` are never generated. The same seed gives the same
        texts; see `rnnbench.analysis.generate.Sampling` for how tokens are drawn. A `beam` above 1 draws nothing: it
        searches for the likeliest text, see `rnnbench.analysis.beam.beam_search`.

        Raises:
            RnnbenchError: not a language model, or a value out of its range.
        """
        codec, sampling = self.text_codec(), Sampling(temperature, top_k, top_p, greedy)
        check_beam(beam, 1, 1.0)
        if beam > 1 and sampling not in (Sampling(), Sampling(greedy=True)):
            raise RnnbenchError("a beam draws nothing: leave out temperature, top_k and top_p")
        if length < 1:
            raise RnnbenchError(f"length must be at least 1, got {length}")
        ids = [[START_ID, *codec.encode(prompt).ids] for prompt in ([prompts] if isinstance(prompts, str) else prompts)]
        generator = torch.Generator(self.model.device).manual_seed(seed)
        texts: dict[int, str] = {}
        with self.model.inference_mode():
            advance = self.fast_advance()
            for rows in self._groups([len(row) for row in ids]):
                prompt, lengths = self.padded([ids[row] for row in rows])
                if beam > 1:
                    logits, state = advance(prompt, None, lengths)
                    hypotheses = beam_search(logits, state, advance, self._rows_of, beam=beam, max_length=length,
                                       end=codec.end, never=NOT_GENERATED)  # fmt: skip
                    tokens = [ranked[0].tokens for ranked in hypotheses]
                else:
                    tokens = generate(advance, prompt, length, sampling, lengths=lengths, end=codec.end,
                                      never=NOT_GENERATED, generator=generator).tolist()  # fmt: skip
                texts |= {row: codec.decode(generated) for row, generated in zip(rows, tokens, strict=True)}
        return [texts[row] for row in range(len(ids))]

    def continue_frames(
        self, frames: Tensor, length: int, *, temperature: float = 1.0, greedy: bool = False, seed: int = 0
    ) -> Tensor:
        """Frames of music `[B, length, O]` that continue `frames` `[B, T, O]`; see `rnnbench.analysis.generate`.

        Raises:
            RnnbenchError: not a model of polyphonic music, or a value out of its range.
        """
        self.require("frames")
        if length < 1:
            raise RnnbenchError(f"length must be at least 1, got {length}")
        with self.model.inference_mode():
            return continue_frames(self.advance, frames, length, temperature, greedy,
                                   torch.Generator().manual_seed(seed))  # fmt: skip

    def score(self, texts: str | Sequence[str], context: str = "", end: bool = False) -> list[ScoredText]:
        """Probabilities of texts at the start of a document, or after `context`.

        Args:
            texts: to be scored, not empty.
            context: text before each of them, which is not scored.
            end: whether the end of the text is scored too.

        Raises:
            RnnbenchError: not a language model, or a text without tokens.
        """
        codec = self.text_codec()
        before = [START_ID, *codec.encode(context).ids]
        texts = [texts] if isinstance(texts, str) else list(texts)
        encoded = [codec.encode(text) for text in texts]
        for number, tokens in enumerate(encoded, 1):
            if not tokens.ids and not end:
                raise RnnbenchError(f"text {number} of {len(encoded)} is empty: there is nothing to score")
        last, piece = ([END_ID], [END]) if end else ([], [])
        scores: list[Tensor] = []
        with self.model.inference_mode():
            for start in range(0, len(encoded), MAX_ROWS):
                rows = [[*before, *tokens.ids, *last] for tokens in encoded[start : start + MAX_ROWS]]
                scores += self._log_probs(rows, len(before))
        return [
            ScoredText(text, (*tokens.pieces, *piece), tuple(values.tolist()))
            for text, tokens, values in zip(texts, encoded, scores, strict=True)
        ]

    def _log_probs(self, ids: list[list[int]], skipped: int) -> list[Tensor]:
        """ln p of the tokens of each sequence after the first `skipped`, `MAX_STEPS` at a time."""
        tokens = pad_sequence([torch.tensor(row) for row in ids], batch_first=True).to(self.model.device)
        inputs = tokens[:, :-1]
        steps = MAX_STEPS if self.model.stateful else inputs.shape[1]
        parts, state = [], None
        for chunk, targets in zip(torch.split(inputs, steps, 1), torch.split(tokens[:, 1:], steps, 1), strict=True):
            hidden, state = self.model.read(chunk, None, state)
            parts.append(log_probs(self.model.objective.head(hidden), targets))
        values = torch.cat(parts, 1)
        return [row[skipped - 1 : len(sequence) - 1] for row, sequence in zip(values, ids, strict=True)]

    def _rows_of(self, state: Any, rows: Tensor) -> Any:
        """The state of some rows of a batch."""
        return tree_map(lambda part: part.index_select(1 if self.model.stateful else 0, rows), state)

    def _groups(self, lengths: list[int]) -> list[list[int]]:
        """Rows that can be in the same batch: all; for a layer without states those of equal length."""
        if self.model.stateful:
            return [list(range(len(lengths)))]
        return [[row for row, other in enumerate(lengths) if other == length] for length in dict.fromkeys(lengths)]

    # --- classes, texts and forecasts

    def classify(self, inputs: Sequence[str] | Tensor, lengths: Tensor | None = None) -> Tensor:
        """Probabilities of the classes of each sequence, `[B, O]`; for a tagger of each step, `[B, T, O]`.

        Raises:
            RnnbenchError: not a classifier or tagger.
        """
        self.require("classes", "tags")
        if not isinstance(inputs, Tensor):
            inputs, lengths = self.ids(inputs)
        with self.model.inference_mode():
            return self.model(inputs, lengths).softmax(-1)  # type: ignore[no-any-return]

    def translate(
        self, texts: Sequence[str], *, beam: int = 4, n_best: int = 1, length_penalty: float = 1.0
    ) -> list[list[DecodedText]]:
        """Translations of each text by beam search, best first; `beam` 1 is greedy.

        Tokens are separated by spaces, as the metrics count them.

        Raises:
            RnnbenchError: not a translator of texts, or a value is out of its range.
        """
        self.require("sequences")
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
        """As `translate`, for any inputs of an encoder: ids `[B, T]`, or the features of pictures `[B, T, C]`."""
        self.require("sequences")
        check_beam(beam, n_best, length_penalty)
        objective = self.model.objective
        texts: list[list[DecodedText]] = []
        with self.model.inference_mode():
            for chunk, known in _chunks(inputs, lengths):
                for ranked in decode_sequences(objective, self.model.read, chunk, known, beam, length_penalty):
                    texts.append(hypothesis_texts(objective, ranked)[:n_best])
        return texts

    def transcribe(
        self,
        inputs: Tensor,
        lengths: Tensor | None = None,
        *,
        beam: int = 1,
        n_best: int = 1,
        language_model: ExternalLanguageModel | None = None,
    ) -> list[list[DecodedText]]:
        """Transcripts of sounds `[B, T, C]`, best first: greedily, or by a prefix beam search, with a language model if
        one is given.

        Raises:
            RnnbenchError: not a transcriber, a value is out of its range, or a language model for another alphabet.
        """
        self.require("transcripts")
        check_beam(beam, n_best, 0.0)
        if language_model is not None:
            if beam == 1:
                raise RnnbenchError("a language model needs a search: beam must be at least 2, got 1")
            if language_model.alphabet != self.model.objective.alphabet:
                raise RnnbenchError(
                    f"the language model was prepared for the alphabet {language_model.alphabet!r}, "
                    f"the transcriber's is {self.model.objective.alphabet!r}"
                )
        with self.model.inference_mode():
            ranked = transcripts(self.model.objective, self.model(inputs, lengths), beam, language_model)
        return [texts[:n_best] for texts in ranked]

    def forecast(self, inputs: Tensor, horizon: int) -> WindowForecasts:
        """Forecasts of the last `horizon` steps of windows `[B, T, C]`; see `rnnbench.analysis.forecast`.

        Raises:
            RnnbenchError: not a forecaster, a window that is too short, or inputs that are not the forecast values.
        """
        self.require("forecasts")
        if not 1 <= horizon < inputs.shape[1]:
            raise RnnbenchError(f"horizon must be from 1 to {inputs.shape[1] - 1}, less than a window, got {horizon}")
        objective = self.model.objective
        if inputs.shape[-1] != objective.output_size + objective.known_inputs:
            raise RnnbenchError("the model does not forecast its inputs: it cannot continue from its own forecasts")
        with self.model.inference_mode():
            return forecast_windows(self.model.read, objective, inputs, horizon)


def _chunks(inputs: Tensor, lengths: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """A batch in parts of at most `MAX_ROWS` sequences, none longer than its own longest."""
    for start in range(0, len(inputs), MAX_ROWS):
        known = None if lengths is None else lengths[start : start + MAX_ROWS]
        longest = inputs.shape[1] if known is None else int(known.max())
        yield inputs[start : start + MAX_ROWS, :longest], known
