"""A sequence for a sequence: an encoder and a decoder of the same architecture."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy
from torchmetrics.text import WordErrorRate

from rnnbench.nn import GRU
from rnnbench.nn.attention import AttentionName
from rnnbench.nn.decoder import Decoder, Encoded, states_of_directions
from rnnbench.objectives.base import Objective, OutputKind, StatefulModel
from rnnbench.objectives.special_tokens import END_ID, NOT_GENERATED, PADDING_ID, START_ID
from rnnbench.objectives.text_metrics import Bleu, ChrF, ExactMatch, MistakenTexts, corpus_scores


class DecoderOutput(NamedTuple):
    """Outputs of the decoder.

    `logits` `[B, U, V]` are those of each target given the true tokens before it, None without targets; `tokens`
    `[B, L]` are decoded greedily from its own predictions, None while training.
    """

    logits: Tensor | None
    tokens: Tensor | None


class SequenceToSequence(Objective):
    """A sequence for a sequence, of another length: targets `[B, U]` (int64), the last of each `</s>`, then −100.

    Encoder and decoder are stacks of one architecture and size; the decoder reads forwards and begins in the states in
    which the encoder ended, the mean of both directions if there are two. Trained on the true tokens before each
    (`teacher_forcing`), scored on what it decodes greedily by itself: never `<unk>`, up to `</s>` or `max_length`
    tokens.

    Loss: cross-entropy in nats a token, `</s>` among them. Metrics: token accuracy given the true tokens before; over
    decoded texts, in percent, BLEU-4 of the corpus (Papineni et al. 2002) and chrF (Popović 2015), both as sacrebleu
    counts them, on the tokens of `tokenizer` with spaces between (an unknown word never matches); and exact match,
    the share of sequences decoded without a mistake, in [0, 1].

    Args:
        state_size: features of one direction's hidden state, H.
        directions: 1, or 2 for a bidirectional encoder.
        output_size: size of the target vocabulary, V.
        tokenizer: of the targets, as JSON, with `<pad>`, `<unk>`, `<s>`, `</s>` as ids 0 to 3.
        max_length: tokens after which decoding stops.
        make_layer: returns the decoder's stack for a number of input features.
        embedding_size: width of the embedding of target tokens.
        attention: of the decoder over the encoder's states: `none`, `bahdanau` or `luong`; see `rnnbench.nn.Decoder`.
        dropout: probability, in the decoder.
    """

    unknown = -100
    loss_name = "cross_entropy"
    unrolls: ClassVar[bool] = True
    decodes: ClassVar[bool] = True
    description: ClassVar[str] = "a translator"
    output_kind: ClassVar[OutputKind | None] = "sequences"
    verbs: ClassVar[tuple[str, ...]] = ("translate",)

    def __init__(
        self,
        state_size: int,
        directions: int,
        output_size: int,
        *,
        tokenizer: str,
        max_length: int,
        make_layer: Callable[[int], Any],
        embedding_size: int,
        attention: AttentionName = "none",
        dropout: float = 0.0,
    ) -> None:
        super().__init__(state_size, directions, output_size)
        self.tokenizer_json, self.max_length = tokenizer, max_length
        self.decoder = Decoder(make_layer, output_size, embedding_size, state_size * directions, attention, dropout)

    @classmethod
    def example(cls) -> Self:
        """A small instance, without a tokenizer."""
        return cls(1, 1, 4, tokenizer="", max_length=1, make_layer=lambda size: GRU(size, 1), embedding_size=1)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Target tokens to ids and back."""
        return Tokenizer.from_str(self.tokenizer_json)

    def encode(self, model: StatefulModel, inputs: Tensor, lengths: Tensor | None) -> Encoded:
        """The encoder's hidden states, and its final states, in which the decoder starts."""
        hidden, final = model(inputs, lengths)
        return Encoded(hidden, lengths, states_of_directions(final) if self.directions == 2 else final)

    def unroll(
        self,
        model: StatefulModel,
        inputs: Tensor,
        lengths: Tensor | None,
        targets: Tensor | None,
        teacher_forcing: float,
    ) -> DecoderOutput:
        """Logits of the targets, if there are any, and unless training the tokens that are decoded greedily."""
        encoded = self.encode(model, inputs, lengths)
        logits = (
            None
            if targets is None
            else self._teacher_forced(encoded, targets, teacher_forcing if self.training else 1.0)
        )
        return DecoderOutput(logits, None if self.training else self.decode_greedily(encoded))

    def decode_greedily(self, encoded: Encoded) -> Tensor:
        """Token ids `[B, L]`, decoded greedily; each row has `</s>` from its end on."""
        return self.decoder.greedy(encoded, START_ID, END_ID, self.max_length, NOT_GENERATED)

    def _teacher_forced(self, encoded: Encoded, targets: Tensor, teacher_forcing: float) -> Tensor:
        before = F.pad(targets[:, :-1].clamp(min=PADDING_ID), (1, 0), value=START_ID)
        if teacher_forcing >= 1:
            return self.decoder(before, self.decoder.begin(encoded), encoded)[0]  # type: ignore[no-any-return]
        state, predicted = self.decoder.begin(encoded), before[:, :1]
        logits: list[Tensor] = []
        for true in torch.split(before, 1, 1):
            forced = torch.rand(true.shape, device=true.device) < teacher_forcing if logits else torch.ones_like(true)
            now, state = self.decoder(torch.where(forced.bool(), true, predicted), state, encoded)
            predicted = now.argmax(-1)
            logits.append(now)
        return torch.cat(logits, 1)

    def loss(self, predictions: DecoderOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all true tokens, summed, and their number."""
        logits, tokens = self.scored(predictions, targets)
        summed = F.cross_entropy(logits, tokens, ignore_index=self.unknown, reduction="sum")
        return summed, (tokens != self.unknown).sum()

    def predict(self, outputs: DecoderOutput, lengths: Tensor | None) -> dict[str, Any]:
        """Decoded `texts`, one a sequence, tokens with spaces between, and their `tokens` `[B, L]`."""
        assert outputs.tokens is not None  # set unless training
        return {"texts": self.texts(outputs.tokens), "tokens": outputs.tokens}

    def scored(self, predictions: DecoderOutput, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `[B, V, U]` and tokens `[B, U]`."""
        assert predictions.logits is not None  # set where there are targets
        return predictions.logits.transpose(1, 2), targets

    def texts(self, tokens: Tensor) -> list[str]:
        """The text of each row of ids `[B, U]`, up to its `</s>`: tokens with spaces between."""
        rows = [row[: row.index(END_ID)] if END_ID in row else row for row in tokens.tolist()]
        names = {token: name for name, token in self.tokenizer.get_vocab().items()}
        return [" ".join(names[token] for token in row if token > PADDING_ID) for row in rows]

    def update(self, metrics: MetricCollection, predictions: DecoderOutput, targets: Tensor) -> None:
        """Update the metrics with a batch: token accuracy given the true tokens, the others with decoded texts."""
        assert predictions.tokens is not None  # set unless training
        texts, references = self.texts(predictions.tokens), self.texts(targets)
        for name, metric in metrics.items():
            if name == "token_accuracy":
                metric.update(*self.scored(predictions, targets))
            else:
                metric.update(texts, [[reference] for reference in references])

    def corpus_scores(self, texts: list[str], references: list[str]) -> dict[str, float]:
        """BLEU, chrF and exact match of decoded texts, each with one reference as it is written."""
        encoded = self.tokenizer.encode_batch(references, add_special_tokens=False)
        return corpus_scores(texts, [" ".join(reference.tokens) for reference in encoded])

    def metrics(self) -> MetricCollection:
        """Token accuracy, BLEU, chrF and exact match."""
        accuracy = MulticlassAccuracy(
            self.output_size, average="micro", ignore_index=int(self.unknown), validate_args=False
        )
        return MetricCollection(
            {"token_accuracy": accuracy, "bleu": Bleu(), "chrf": ChrF(), "exact_match": ExactMatch()},
            compute_groups=False,
        )


class Captioning(SequenceToSequence):
    """A text for the features of a picture, as one step or a step for each of its parts; as `SequenceToSequence`."""

    description: ClassVar[str] = "a model of captions"
    verbs: ClassVar[tuple[str, ...]] = ("caption",)


class Pronunciation(SequenceToSequence):
    """Phonemes for the letters of a word; as `SequenceToSequence`, with other metrics.

    Metrics: token accuracy given the true tokens before; over decoded pronunciations the word error rate `wer`, the
    share of words with any mistake, in [0, 1], and the phoneme error rate `per`, edits (insertions, deletions and
    substitutions) over the phonemes of the references, which has no upper bound.
    """

    description: ClassVar[str] = "a model of pronunciation"

    def corpus_scores(self, texts: list[str], references: list[str]) -> dict[str, float]:
        """Word and phoneme error rate of pronunciations, phonemes with spaces between, each with one reference."""
        metrics = {name: metric for name, metric in self.metrics().items() if name != "token_accuracy"}
        self._update_decoded(metrics, texts, references)
        return {name: float(metric.compute()) for name, metric in metrics.items()}

    def update(self, metrics: MetricCollection, predictions: DecoderOutput, targets: Tensor) -> None:
        """Update the metrics with a batch: token accuracy given the true tokens, the others with decoded texts."""
        assert predictions.tokens is not None  # set unless training
        metrics["token_accuracy"].update(*self.scored(predictions, targets))
        self._update_decoded(metrics, self.texts(predictions.tokens), self.texts(targets))

    @staticmethod
    def _update_decoded(metrics: Any, texts: list[str], references: list[str]) -> None:
        metrics["wer"].update(texts, [[reference] for reference in references])
        metrics["per"].update(texts, references)

    def metrics(self) -> MetricCollection:
        """Token accuracy, word error rate and phoneme error rate."""
        accuracy = super().metrics()["token_accuracy"]
        return MetricCollection(
            {"token_accuracy": accuracy, "wer": MistakenTexts(), "per": WordErrorRate()}, compute_groups=False
        )
