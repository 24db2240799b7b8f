"""An external language model for a recogniser: shallow fusion in its search, and rescoring of its n-best lists."""

import copy
import math
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from rnnbench.analysis.text_codec import TextCodec
from rnnbench.data.tokens import is_special
from rnnbench.errors import RnnbenchError, unknown
from rnnbench.objectives import CharacterModel
from rnnbench.objectives.ctc import Prefix
from rnnbench.objectives.double import to_double
from rnnbench.objectives.special_tokens import END_ID, START_ID, UNKNOWN_ID

Mode = Literal["fusion", "rescoring"]
"""Whether the scores of a language model are added to each prefix in the search, or to the texts that it ends with."""
MAX_PREFIXES, MAX_TEXTS = 10_000, 10_000
"""Prefixes whose next characters are kept, and texts whose probabilities are."""
CASES: dict[str, Callable[[str], str]] = {"as they are": str, "in lower case": str.lower, "in upper case": str.upper}
"""What a language model may read for the characters of a recogniser."""


class ReadPrefix(NamedTuple):
    """A prefix that the language model has read: ln of the probability of each class next, and its state."""

    log_probs: list[float]
    state: Any


class ScoredLine(NamedTuple):
    """ln of the probability of a text with its end, and the number of its tokens without."""

    log_prob: float
    tokens: int


class ExternalLanguageModel:
    """A language model that helps a recogniser to choose between texts of the same sound.

    A text y of a sound x is ranked by `ln p(y | x) + weight · ln p_LM(y) + insertion_bonus · |y|`, |y| the tokens that
    the language model reads in it. With *fusion* that is added to each prefix during the search (shallow fusion,
    Gulcehre et al. 2015; Hannun et al. 2014 for CTC), which needs a model of characters; with *rescoring* the texts
    that a search without language model ends with are ranked anew, by a model of any tokens.

    To the language model a text is a line: it follows the end of a line and is scored with its own end. (A model that
    has never seen the end of a line reads it as a whole document.) It never reads the blank of CTC, which is no part of
    a text. Characters are read in the case that it knows: as they are, unless it knows more of them in lower case, or
    else in upper case. A character that it has never seen is `<unk>`, whose probability all of these share evenly. A
    word (or n-gram) that it does not know is `<unk>` and then spelled, each letter and its end with the probability
    1 / (characters of the recogniser): otherwise a misspelling would be likelier than most words.

    Args:
        model: a trained language model.
        alphabet: the characters of the recogniser, in the order of their numbers from 1.
        weight: of ln p_LM, at least 0; with 0 and no bonus the texts are those without language model.
        insertion_bonus: for each token: ln p_LM by itself favours short texts.
        mode: `fusion` or `rescoring`; None: fusion with a model of characters, else rescoring.

    Raises:
        RnnbenchError: no language model of text, one that knows no letter of the alphabet, fusion with a model of other
            tokens than characters, or a number out of its range.
    """

    def __init__(
        self,
        model: Any,
        alphabet: str,
        weight: float = 0.5,
        insertion_bonus: float = 0.0,
        mode: Mode | None = None,
    ) -> None:
        check_weights(weight, insertion_bonus)
        if mode not in (None, *get_args(Mode)):
            raise unknown("mode of a language model", str(mode), get_args(Mode))
        self.codec: TextCodec = model.inference.text_codec()
        of_characters = isinstance(model.objective, CharacterModel)
        if mode == "fusion" and not of_characters:
            raise RnnbenchError(
                "shallow fusion needs a language model of characters, this one reads other tokens: it can rescore"
            )
        self.model, self.alphabet, self.weight, self.insertion_bonus = model, alphabet, weight, insertion_bonus
        self.mode: Mode = mode or ("fusion" if of_characters else "rescoring")
        self.case, self.unseen = _read_alphabet(self.codec, alphabet)
        letters = [letter for letter in alphabet if not letter.isspace()]
        if not set(letters) - set(self.unseen):
            raise RnnbenchError(
                f"the language model knows none of the recogniser's letters {''.join(letters)!r}: "
                "it must have been trained on the same script"
            )
        line_end = self.codec.encode("\n")
        self.reads_lines = bool(line_end.ids) and not line_end.unknown
        self._first = [START_ID, *line_end.ids] if self.reads_lines else [START_ID]
        ids = [self._id(letter) for letter in alphabet] if of_characters else []
        self._classes = torch.tensor([line_end.ids[0] if self.reads_lines else END_ID, *ids])
        shared = math.log(max(1, len(self.unseen)))
        self._shares = to_double(torch.where(self._classes == UNKNOWN_ID, shared, 0.0))
        self._read: dict[Prefix, ReadPrefix] = {}
        self._scored: dict[str, ScoredLine] = {}

    def weighted(self, weight: float, insertion_bonus: float) -> Self:
        """The same language model with other weights; what it has read is shared.

        Raises:
            RnnbenchError: a number out of its range.
        """
        check_weights(weight, insertion_bonus)
        other = copy.copy(self)
        other.weight, other.insertion_bonus = weight, insertion_bonus
        return other

    def notes(self) -> list[str]:
        """How the recogniser's characters are read, where that is not as they are."""
        notes = []
        if self.case != "as they are":
            notes.append(f"the language model reads the recogniser's characters {self.case}")
        if self.unseen:
            names = ", ".join(map(repr, self.unseen[:12])) + (", …" if len(self.unseen) > 12 else "")
            them = "them" if isinstance(self.model.objective, CharacterModel) else "words with them"
            notes.append(
                f"the language model has never seen {len(self.unseen)} of the recogniser's {len(self.alphabet)} "
                f"characters, and reads {them} as <unk>: {names}"
            )
        return notes

    def next_scores(self, prefixes: list[Prefix]) -> list[list[float]]:
        """For each prefix what is added for each class next, and at `BLANK` for the end; see `prefix_beam_search`."""
        if len(self._read) > MAX_PREFIXES:
            self._read.clear()
        with self.model.inference_mode():
            self._read_prefixes(prefixes)
        weight, bonus = self.weight, self.insertion_bonus
        rows = []
        for prefix in prefixes:
            end, *others = self._read[prefix].log_probs
            rows.append([weight * end, *(weight * value + bonus for value in others)])
        return rows

    def text_scores(self, texts: list[str]) -> list[float]:
        """What is added to ln p(y | x) of whole texts."""
        if len(self._scored) > MAX_TEXTS:
            self._scored.clear()
        if missing := [text for text in dict.fromkeys(texts) if text not in self._scored]:
            self._score_texts(missing)
        scored = [self._scored[text] for text in texts]
        return [self.weight * text.log_prob + self.insertion_bonus * text.tokens for text in scored]

    def _id(self, letter: str) -> int:
        ids = self.codec.encode(CASES[self.case](letter)).ids
        return ids[0] if len(ids) == 1 else UNKNOWN_ID

    def _score_texts(self, texts: list[str]) -> None:
        read = [CASES[self.case](text) for text in texts]
        scored = (
            self.model.score([f"{text}\n" for text in read], context="\n")
            if self.reads_lines
            else self.model.score(read, end=True)
        )
        for text, line, whole in zip(texts, read, scored, strict=True):
            tokens = self.codec.encode(line)
            spelling = sum(map(self._spelling, tokens.unknown))
            self._scored[text] = ScoredLine(whole.total - spelling, len(tokens.ids))

    def _spelling(self, piece: str) -> float:
        """Nats of an unknown token, given that it is one."""
        if isinstance(self.model.objective, CharacterModel):
            return math.log(max(1, len(self.unseen)))
        return (len(piece) + 1) * math.log(len(self.alphabet))

    def _read_prefixes(self, prefixes: list[Prefix]) -> None:
        """Read those prefixes that were not read yet, the shortest first, each on from the state of the one before."""
        missing: defaultdict[int, list[Prefix]] = defaultdict(list)
        for prefix in dict.fromkeys(prefixes):
            for length in range(len(prefix), -1, -1):
                if prefix[:length] in self._read or prefix[:length] in missing[length]:
                    break
                missing[length].append(prefix[:length])
        for length, group in sorted(missing.items()):
            if not group:
                continue
            if length == 0:
                self._keep(group, *self._advance(torch.tensor([self._first])))
                continue
            states = [self._read[prefix[:-1]].state for prefix in group]
            state = tree_map(lambda *parts: torch.cat(parts, self._rows_dim), *states)
            tokens = self._classes[[prefix[-1] for prefix in group]].unsqueeze(1)
            self._keep(group, *self._advance(tokens, state))

    @property
    def _rows_dim(self) -> int:
        return 1 if self.model.stateful else 0

    def _advance(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        return self.model.inference.fast_advance()(tokens.to(self.model.device), state)  # type: ignore[no-any-return]

    def _keep(self, prefixes: list[Prefix], logits: Tensor, state: Any) -> None:
        log_probs = to_double(logits).log_softmax(-1).cpu()[:, self._classes] - self._shares
        for row, (prefix, values) in enumerate(zip(prefixes, log_probs.tolist(), strict=True)):
            self._read[prefix] = ReadPrefix(
                values, tree_map(lambda part, row=row: part.narrow(self._rows_dim, row, 1), state)
            )


def check_weights(weight: float, insertion_bonus: float) -> None:
    """Check the weights of a language model.

    Raises:
        RnnbenchError: a number that is not finite, or a weight below 0.
    """
    if not 0 <= weight < math.inf:
        raise RnnbenchError(f"the weight of a language model must be a number of at least 0, got {weight}")
    if not math.isfinite(insertion_bonus):
        raise RnnbenchError(f"the insertion bonus must be a finite number, got {insertion_bonus}")


def _read_alphabet(codec: TextCodec, alphabet: str) -> tuple[str, list[str]]:
    """The case in which a language model knows most characters of an alphabet, or else most of its own tokens can be
    written in the alphabet; and the characters that it does not know."""
    tokens = [token for token, number in codec.tokenizer.get_vocab().items() if not is_special(number)]
    in_tokens = set("".join(tokens))

    def unseen(case: str) -> list[str]:
        read = {letter: CASES[case](letter) for letter in alphabet}
        return [
            letter for letter, known in read.items() if not in_tokens.issuperset(known) and codec.encode(known).unknown
        ]

    def written(case: str) -> int:
        letters = set(CASES[case](alphabet))
        return sum(letters.issuperset(token) for token in tokens)

    case = min(CASES, key=lambda case: (len(unseen(case)), -written(case)))
    return case, unseen(case)
