"""Texts of encoder–decoders and of transcribers, as n-best lists."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from rnnbench.analysis.beam import Hypothesis, beam_search
from rnnbench.analysis.external_lm import ExternalLanguageModel
from rnnbench.nn.decoder import Encoded
from rnnbench.objectives.base import StatefulModel
from rnnbench.objectives.ctc import collapse_path, prefix_beam_search
from rnnbench.objectives.double import to_double
from rnnbench.objectives.special_tokens import END_ID, NOT_GENERATED, START_ID


class DecodedText(NamedTuple):
    """A decoded text: ln of its probability, and the score by which it is ranked."""

    text: str
    log_prob: float
    score: float


def decode_sequences(
    objective: Any, model: StatefulModel, inputs: Tensor, lengths: Tensor | None, beam: int, length_penalty: float
) -> list[list[Hypothesis]]:
    """Beam search with the decoder of a `SequenceToSequence`: up to `beam` sequences for each input, best first."""
    encoded = objective.encode(model, inputs, lengths)
    start = torch.full((len(inputs), 1), START_ID, device=inputs.device)
    logits, state = objective.decoder(start, objective.decoder.begin(encoded), encoded)
    wide = _repeated(encoded, beam)

    def step(tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        logits, state = objective.decoder(tokens, state, wide)
        return logits[:, -1], state

    return beam_search(logits[:, -1], state, step, _rows_of, beam=beam, max_length=objective.max_length, end=END_ID,
                       never=NOT_GENERATED, length_penalty=length_penalty)  # fmt: skip


def _repeated(encoded: Encoded, beam: int) -> Encoded:
    """Encoded inputs with each sequence repeated `beam` times."""
    lengths = None if encoded.lengths is None else encoded.lengths.repeat_interleave(beam)
    final = tree_map(lambda state: state.repeat_interleave(beam, 1), encoded.final)
    return Encoded(encoded.hidden.repeat_interleave(beam, 0), lengths, final)


def _rows_of(state: Any, rows: Tensor) -> Any:
    """Some rows of a decoder's state, which is that of its stack `[L, B, W]` and its last output `[B, 1, H]`."""
    states, output = state
    return tree_map(lambda state: state.index_select(1, rows), states), output.index_select(0, rows)


def hypothesis_texts(objective: Any, hypotheses: list[Hypothesis]) -> list[DecodedText]:
    """Hypotheses as texts, with tokens separated by spaces."""
    name = objective.tokenizer.id_to_token
    return [DecodedText(" ".join(map(name, tokens)), log_prob, score) for tokens, log_prob, score in hypotheses]


def transcripts(
    objective: Any, log_probs: Tensor, beam: int, language_model: ExternalLanguageModel | None = None
) -> list[list[DecodedText]]:
    """Texts of log-probabilities `[B, T, O]` of a `Ctc`, best first.

    With `beam` 1 the text of the likeliest path, and that path's probability; else the texts of a prefix beam search,
    each with the probability of all its paths that the search kept. A language model is for a search only; scores are
    then those of both together, see `ExternalLanguageModel`.
    """
    if beam == 1:
        values, paths = log_probs.max(-1)
        sums = to_double(values).sum(1).tolist()
        texts = [objective.text(collapse_path(path)) for path in paths.tolist()]
        return [[DecodedText(text, total, total)] for text, total in zip(texts, sums, strict=True)]
    fusion = language_model if language_model and language_model.mode == "fusion" else None
    rescoring = language_model if language_model and language_model.mode == "rescoring" else None
    next_scores = fusion.next_scores if fusion else None
    ranked = [
        [
            DecodedText(objective.text(list(prefix)), log_prob, score)
            for prefix, log_prob, score in prefix_beam_search(row, beam, next_scores)
        ]
        for row in log_probs
    ]
    return [_rescored(texts, rescoring) for texts in ranked] if rescoring else ranked


def _rescored(texts: list[DecodedText], language_model: ExternalLanguageModel) -> list[DecodedText]:
    """The n-best texts of a sound, ranked anew by a language model as well."""
    added = language_model.text_scores([text.text for text in texts])
    rescored = [text._replace(score=text.log_prob + score) for text, score in zip(texts, added, strict=True)]
    return sorted(rescored, key=lambda text: -text.score)
