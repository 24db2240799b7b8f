"""Asking a module for a class, a translation, a caption, a transcript, a forecast."""

from collections.abc import Iterator, Sequence

from torch import Tensor

from rnnbench.architectures.speaking import Speaking
from rnnbench.errors import RnnbenchError
from rnnbench.inside.beam import check_beam
from rnnbench.inside.decode import Said, decode, spelled, transcripts
from rnnbench.inside.forecast import Foreseen, foresee
from rnnbench.objectives import Captioning, Classification, Ctc, Forecast, SequenceToSequence

ROWS = 64
"""Sequences that are run at once."""


class Answers(Speaking):
    """A module that answers what its objective is about.

    Inputs are those of the data: texts where the module has a tokenizer, else tensors `[B, T, C]`, and true lengths
    `[B]` where they differ.
    """

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

    def classify(self, inputs: Sequence[str] | Tensor, lengths: Tensor | None = None) -> Tensor:
        """Probabilities of the classes of each sequence, `[B, O]`; of a tagger, of each step, `[B, T, O]`.

        Raises:
            RnnbenchError: the module is no classifier.
        """
        self.require(Classification)
        if not isinstance(inputs, Tensor):
            inputs, lengths = self.ids(inputs)
        with self.answering():
            return self(inputs, lengths).softmax(-1)  # type: ignore[no-any-return]

    def translate(
        self, texts: Sequence[str], *, beam: int = 4, n_best: int = 1, length_penalty: float = 1.0
    ) -> list[list[Said]]:
        """The likeliest translations of each text that a beam search finds, best first; `beam` 1 is greedy.

        Their tokens stand with spaces between, as the metrics count them.

        Raises:
            RnnbenchError: the module is no translator of texts, or a value is out of its range.
        """
        self.require(SequenceToSequence)
        return self.say(*self.ids(texts), beam=beam, n_best=n_best, length_penalty=length_penalty)

    def say(
        self,
        inputs: Tensor,
        lengths: Tensor | None = None,
        *,
        beam: int = 4,
        n_best: int = 1,
        length_penalty: float = 1.0,
    ) -> list[list[Said]]:
        """As `translate`, of whatever a decoder reads: ids `[B, T]`, or the features of pictures `[B, T, C]`."""
        self.require(SequenceToSequence, Captioning)
        check_beam(beam, n_best, length_penalty)
        said: list[list[Said]] = []
        with self.answering():
            for some, known in _pieces(inputs, lengths):
                for found in decode(self.objective, self.read, some, known, beam, length_penalty):
                    said.append(spelled(self.objective, found)[:n_best])
        return said

    def transcribe(
        self, inputs: Tensor, lengths: Tensor | None = None, *, beam: int = 1, n_best: int = 1
    ) -> list[list[Said]]:
        """What is said in sounds `[B, T, C]`, best first: greedily, or by a prefix beam search.

        Raises:
            RnnbenchError: the module is no transcriber, or a value is out of its range.
        """
        self.require(Ctc)
        check_beam(beam, n_best, 0.0)
        with self.answering():
            return [one[:n_best] for one in transcripts(self.objective, self(inputs, lengths), beam)]

    def forecast(self, inputs: Tensor, horizon: int) -> Foreseen:
        """What follows each of the last `horizon` steps of windows `[B, T, C]`; see `rnnbench.inside.forecast`.

        Raises:
            RnnbenchError: the module is no forecaster, or a window too short.
        """
        self.require(Forecast)
        if not 1 <= horizon < inputs.shape[1]:
            raise RnnbenchError(f"horizon must be from 1 to {inputs.shape[1] - 1}, less than a window, got {horizon}")
        if inputs.shape[-1] != self.objective.output_size:
            raise RnnbenchError("the model does not foresee what it reads: it cannot go on from its own forecasts")
        with self.answering():
            return foresee(self.read, self.objective.head, inputs, horizon)


def _pieces(inputs: Tensor, lengths: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """A batch in parts of at most `ROWS` sequences, none longer than its own longest."""
    for start in range(0, len(inputs), ROWS):
        known = None if lengths is None else lengths[start : start + ROWS]
        longest = inputs.shape[1] if known is None else int(known.max())
        yield inputs[start : start + ROWS, :longest], known
