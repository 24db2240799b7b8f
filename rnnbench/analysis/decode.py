"""What an encoder–decoder and a transcriber say, with n-best lists."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from rnnbench.analysis.beam import Hypothesis, beam_search
from rnnbench.nn.decoder import Encoded
from rnnbench.objectives.ctc import Ctc, collapsed
from rnnbench.objectives.ctc import beam_search as prefix_search
from rnnbench.objectives.sequence_to_sequence import END_ID, PADDING_ID, START_ID, UNKNOWN_ID
from rnnbench.objectives.text_metrics import corpus_scores

NEVER = (PADDING_ID, UNKNOWN_ID, START_ID)


class DecodedText(NamedTuple):
    """A text that a model may say: ln of its probability, and the score by which it is ranked."""

    text: str
    log_prob: float
    score: float


def decode(
    objective: Any, read: Any, inputs: Tensor, lengths: Tensor | None, beam: int, length_penalty: float
) -> list[list[Hypothesis]]:
    """What the decoder of a `SequenceToSequence` says of inputs, up to `beam` sequences each, best first."""
    encoded = objective.encode(read, inputs, lengths)
    start = torch.full((len(inputs), 1), START_ID, device=inputs.device)
    logits, state = objective.decoder(start, objective.decoder.begin(encoded), encoded)
    wide = _repeated(encoded, beam)

    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = objective.decoder(tokens, state, wide)
        return logits[:, -1], state

    return beam_search(logits[:, -1], state, step, _rows_of, beam=beam, max_length=objective.max_length, end=END_ID,
                       never=NEVER, length_penalty=length_penalty)  # fmt: skip


def _repeated(encoded: Encoded, beam: int) -> Encoded:
    """What was encoded, each sequence `beam` times."""
    lengths = None if encoded.lengths is None else encoded.lengths.repeat_interleave(beam)
    final = tree_map(lambda one: one.repeat_interleave(beam, 1), encoded.final)
    return Encoded(encoded.hidden.repeat_interleave(beam, 0), lengths, final)


def _rows_of(state: Any, rows: Tensor) -> Any:
    """Some rows of a decoder's state: those of its stack `[L, B, W]`, and its last output `[B, 1, H]`."""
    states, output = state
    return tree_map(lambda one: one.index_select(1, rows), states), output.index_select(0, rows)


def spelled(objective: Any, found: list[Hypothesis]) -> list[DecodedText]:
    """Hypotheses as texts, tokens with spaces between."""
    name = objective.tokenizer.id_to_token
    return [DecodedText(" ".join(map(name, one.tokens)), one.log_prob, one.score) for one in found]


def transcripts(objective: Any, log_probs: Tensor, beam: int) -> list[list[DecodedText]]:
    """Texts of log-probabilities `[B, T, O]` of a `Ctc`, best first.

    With `beam` 1 the text of the likeliest path, and that path's probability; else the texts of a prefix beam search,
    each with the probability of all its paths that the search kept.
    """
    if beam == 1:
        values, paths = log_probs.max(-1)
        sums = values.double().sum(1).tolist()
        texts = [objective.text(collapsed(path)) for path in paths.tolist()]
        return [[DecodedText(text, total, total)] for text, total in zip(texts, sums, strict=True)]
    return [
        [DecodedText(objective.text(list(prefix)), total, total) for prefix, total in prefix_search(row, beam)]
        for row in log_probs
    ]


def scored(objective: Any, said: list[str], references: list[str]) -> dict[str, float]:
    """The metrics of an objective over what was said, against one true text each."""
    if isinstance(objective, Ctc):
        metrics = objective.metrics()
        metrics.update(said, references)
        return {name: float(value) for name, value in metrics.compute().items()}
    encoded = objective.tokenizer.encode_batch(references, add_special_tokens=False)
    return corpus_scores(said, [" ".join(one.tokens) for one in encoded])
