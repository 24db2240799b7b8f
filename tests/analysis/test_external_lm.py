"""Language models in a recogniser's search: fusion and rescoring, against sums over all alignments of all texts."""

import math
from collections import defaultdict
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench.analysis.decode import transcripts
from rnnbench.analysis.external_lm import ExternalLanguageModel
from rnnbench.architectures import GRU, LSTM, TCN
from rnnbench.data.tokens import Tokens, text_tokenizer
from rnnbench.errors import RnnbenchError
from rnnbench.objectives import Ctc
from rnnbench.objectives.ctc import Prefix, collapse_path, prefix_beam_search
from rnnbench.objectives.special_tokens import END_ID, START_ID, UNKNOWN_ID

LETTERS = " abcdefghijklmnopqrstuvwxyz"
LINES = ("the city is on a plain", "we go there by plane")


def language_model(cls: Any, text: str, tokens: Tokens = "characters", **settings: Any) -> Any:
    """An untrained one that knows the tokens of a text."""
    torch.manual_seed(0)
    written = text.replace("\n", " </s> ") if tokens == "words" else text
    tokenizer = text_tokenizer([written], tokens, 1000)
    objective = "character_model" if tokens == "characters" else "language_model"
    size = tokenizer.get_vocab_size()
    settings = {"hidden_size": 6, "tokenizer": tokenizer.to_str(), **settings}
    return cls(size, size, objective, "tokens", **settings).eval()


def log_prob(model: Any, ids: list[int], first: int) -> float:
    """ln p of ids from place `first` on, by a single pass over all of them."""
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]]))[0].double().log_softmax(-1)
    return float(sum(logits[place - 1, ids[place]] for place in range(first, len(ids))))


def random_log_probs(steps: int, alphabet: str) -> Tensor:
    torch.manual_seed(1)
    return (2 * torch.randn(1, steps, 1 + len(alphabet), dtype=torch.float64)).log_softmax(-1)


def every_text(log_probs: Tensor, alphabet: str) -> dict[str, float]:
    """ln of the probability of each text, over all paths."""
    found: defaultdict[str, float] = defaultdict(float)
    steps = log_probs[0].tolist()
    for path in product(range(len(alphabet) + 1), repeat=len(steps)):
        text = "".join(alphabet[label - 1] for label in collapse_path(list(path)))
        found[text] += math.exp(sum(step[label] for step, label in zip(steps, path, strict=True)))
    return {text: math.log(probability) for text, probability in found.items()}


@pytest.mark.parametrize("text", ["ab\nba\n", "abba"], ids=["lines", "documents"])
@pytest.mark.parametrize(
    ("cls", "settings"), [(LSTM, {"num_layers": 2}), (GRU, {"embedding": "one-hot"}), (TCN, {"num_layers": 1})]
)
def test_scores_are_sums_over_all_alignments_and_the_language_model(cls: Any, settings: Any, text: str) -> None:
    model = language_model(cls, text, **settings)
    ids = model.tokenizer.get_vocab()
    log_probs = random_log_probs(4, "ab")
    first, last = ([START_ID, ids["\n"]], ids["\n"]) if "\n" in text else ([START_ID], END_ID)
    expected = {
        said: own
        + 0.7 * log_prob(model, [*first, *(ids[letter] for letter in said), last], len(first))
        + 0.3 * len(said)
        for said, own in every_text(log_probs, "ab").items()
    }
    objective = Ctc(1, 1, 3, alphabet="ab")
    for mode in ("fusion", "rescoring"):
        lm = ExternalLanguageModel(model, "ab", 0.7, 0.3, mode)
        (found,) = transcripts(objective, log_probs, 100, lm)
        assert {one.text: one.score for one in found} == pytest.approx(expected, abs=1e-4)
        assert {one.text: one.log_prob for one in found} == pytest.approx(every_text(log_probs, "ab"))
        assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
        lm.next_scores([(1, 2, 1)])
        assert lm._read
        assert not lm.notes()


def test_without_weight_and_bonus_texts_are_those_without_language_model() -> None:
    log_probs = random_log_probs(12, "abc")
    objective = Ctc(1, 1, 4, alphabet="abc")
    (plain,) = transcripts(objective, log_probs, 5)
    model = language_model(GRU, "abc\n")
    for mode in ("fusion", "rescoring"):
        assert transcripts(objective, log_probs, 5, ExternalLanguageModel(model, "abc", 0.0, 0.0, mode)) == [plain]


def narrow_search(log_probs: Tensor, beam: int, lm: ExternalLanguageModel) -> list[tuple[Prefix, float]]:
    """A prefix beam search that grows every prefix by every character."""
    beams: dict[Prefix, tuple[float, float]] = {(): (1.0, 0.0)}
    added: dict[Prefix, float] = {(): 0.0}
    for step in log_probs.exp().tolist():
        grown: defaultdict[Prefix, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (blank, other) in beams.items():
            grown[prefix][0] += (blank + other) * step[0]
            for label in range(1, len(step)):
                repeated = prefix[-1:] == (label,)
                grown[prefix][1] += other * step[label] * repeated
                grown[(*prefix, label)][1] += (blank + other * (not repeated)) * step[label]
                added[(*prefix, label)] = added[prefix] + lm.next_scores([prefix])[0][label]
        possible = [prefix for prefix, both in grown.items() if sum(both)]
        best = sorted(possible, key=lambda prefix: -math.log(sum(grown[prefix])) - added[prefix])[:beam]
        beams = {prefix: (grown[prefix][0], grown[prefix][1]) for prefix in best}
    ends = {prefix: lm.next_scores([prefix])[0][0] for prefix in beams}
    scores = {prefix: math.log(sum(both)) + added[prefix] + ends[prefix] for prefix, both in beams.items()}
    return sorted(scores.items(), key=lambda item: -item[1])


def test_a_narrow_search_leaves_out_no_prefix_that_would_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = ExternalLanguageModel(language_model(GRU, "abcd\n"), "abcd", 0.9, 0.4)
    for beam in (1, 3, 6):
        (log_probs,) = random_log_probs(10, "abcd")
        expected = narrow_search(log_probs, beam, lm)
        found = prefix_beam_search(log_probs, beam, lm.next_scores)
        assert [one.prefix for one in found] == [prefix for prefix, _ in expected]
        assert [one.score for one in found] == pytest.approx([score for _, score in expected])
    monkeypatch.setattr("rnnbench.analysis.external_lm.MAX_PREFIXES", 4)  # what is forgotten is read again
    again = prefix_beam_search(log_probs, 6, lm.next_scores)
    assert [one.score for one in again] == pytest.approx([one.score for one in found])


def learn(model: Any, lines: tuple[str, ...]) -> Any:
    """Learn lines by heart."""
    ids = [START_ID, *model.inference.text_codec().encode("\n" + "\n".join(lines * 2) + "\n").ids]
    tokens = torch.tensor([ids])
    optimizer = torch.optim.Adam(model.parameters(), 3e-2)
    for _ in range(60):
        summed, count = model.objective.loss(model(tokens[:, :-1]), tokens[:, 1:])
        (summed / count).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert summed / count < 0.3
    return model


def homophones(before: str) -> Tensor:
    """Log-probabilities of a recogniser that is sure of `before`, and holds "plane" likelier than "plain"."""
    said = f"{before} pla"
    steps = [LETTERS.index(letter) + 1 for letter in said]
    values = torch.full((1, 2 * len(said) + 4, 1 + len(LETTERS)), 1e-4, dtype=torch.float64)
    for place, label in enumerate(steps):
        values[0, 2 * place, label] = values[0, 2 * place + 1, 0] = 1.0
    first, second = values[0, 2 * len(said)], values[0, 2 * len(said) + 2]
    first[LETTERS.index("i") + 1], first[LETTERS.index("n") + 1] = 0.4, 0.6
    second[LETTERS.index("n") + 1], second[LETTERS.index("e") + 1] = 0.4, 0.6
    values[0, 2 * len(said) + 1, 0] = values[0, 2 * len(said) + 3, 0] = 1.0
    return (values / values.sum(-1, keepdim=True)).log()


@pytest.mark.parametrize(("tokens", "mode"), [("characters", "fusion"), ("characters", "rescoring"), ("words", None)])
def test_a_language_model_decides_between_plain_and_plane(tokens: Tokens, mode: Any) -> None:
    model = learn(language_model(GRU, "\n".join(LINES) + "\n", tokens, hidden_size=24), LINES)
    lm = ExternalLanguageModel(model, LETTERS, 0.5, 0.0, mode)
    assert lm.mode == (mode or "rescoring")
    objective = Ctc(1, 1, 1 + len(LETTERS), alphabet=LETTERS)
    for line in LINES:
        log_probs = homophones(line.rpartition(" ")[0])
        assert transcripts(objective, log_probs, 8)[0][0].text.endswith("plane")
        assert transcripts(objective, log_probs, 8, lm)[0][0].text == line


def test_unknown_words_are_spelled_and_unknown_characters_share_a_probability() -> None:
    words = language_model(GRU, "on a plain\n", "words")
    ids = words.tokenizer.get_vocab()
    lm = ExternalLanguageModel(words, LETTERS, 1.0, 0.0)
    read = log_prob(words, [START_ID, END_ID, ids["on"], UNKNOWN_ID, END_ID], 2)
    assert lm.text_scores(["on plin"]) == pytest.approx([read - 5 * math.log(len(LETTERS))], abs=1e-4)
    model = language_model(GRU, "ab\n")
    lm = ExternalLanguageModel(model, "abcd", 1.0, 0.5)
    assert lm.notes() == [
        "the language model has never seen 2 of the recogniser's 4 characters, and reads them as <unk>: 'c', 'd'"
    ]
    ids = model.tokenizer.get_vocab()
    read = log_prob(model, [START_ID, ids["\n"], UNKNOWN_ID, ids["a"], ids["\n"]], 2) - math.log(2) + 1.0
    assert lm.text_scores(["ca"]) == pytest.approx([read], abs=1e-4)
    nothing, unknown, whole = lm.next_scores([(), (3,), (3, 1)])
    assert nothing[3] + unknown[1] + whole[0] == pytest.approx(read, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "alphabet", "case"),
    [
        ("ab AB\n", "ab ", "as they are"),
        ("ab\n", "AB", "in lower case"),
        ("AB\n", "aAbB", "in upper case"),
        ("ab\n", "aB", "in lower case"),
        ("aB\n", "aB", "as they are"),
    ],
)
def test_characters_are_read_in_the_case_that_the_language_model_knows(text: str, alphabet: str, case: str) -> None:
    model = language_model(GRU, text)
    lm = ExternalLanguageModel(model, alphabet, 1.0)
    assert lm.case == case
    assert bool(lm.notes()) == (case != "as they are")
    read = {"in lower case": str.lower, "in upper case": str.upper}.get(case, str)(alphabet[:2])
    expected = model.score([f"{read}\n"], "\n")[0].total
    assert lm.text_scores([alphabet[:2]]) == pytest.approx([expected], abs=1e-4)
    nothing, first, both = lm.next_scores([(), (1,), (1, 2)])
    assert nothing[1] + first[2] + both[0] == pytest.approx(expected, abs=1e-4)


def test_words_are_read_in_the_case_of_the_vocabulary() -> None:
    text = "the plain NATO\n"
    tokenizer = text_tokenizer([text.replace("\n", " </s> ")], "words", 1000, lowercase=False)
    size = tokenizer.get_vocab_size()
    model = GRU(size, size, "language_model", "tokens", hidden_size=4, tokenizer=tokenizer.to_str())
    assert ExternalLanguageModel(model, LETTERS.upper()).case == "in lower case"
    assert ExternalLanguageModel(model, LETTERS).case == "as they are"


def test_what_cannot_be_done_is_said_before_any_work() -> None:
    model, words = language_model(GRU, "ab\n"), language_model(GRU, "on a plain\n", "words")
    with pytest.raises(RnnbenchError, match="knows none of the recogniser's letters '12'"):
        ExternalLanguageModel(model, "1 2")
    with pytest.raises(RnnbenchError, match=r"must be a number of at least 0, got -0\.1"):
        ExternalLanguageModel(model, "ab", -0.1)
    with pytest.raises(RnnbenchError, match="must be a number of at least 0, got nan"):
        ExternalLanguageModel(model, "ab").weighted(math.nan, 0.0)
    with pytest.raises(RnnbenchError, match="insertion bonus must be a finite number, got inf"):
        ExternalLanguageModel(model, "ab", 1.0, math.inf)
    with pytest.raises(RnnbenchError, match="shallow fusion needs a language model of characters"):
        ExternalLanguageModel(words, LETTERS, mode="fusion")
    with pytest.raises(RnnbenchError, match="unknown mode of a language model 'rescore'; did you mean 'rescoring'"):
        ExternalLanguageModel(model, "ab", mode="rescore")  # type: ignore[arg-type]
    recogniser = GRU(3, 3, "ctc", hidden_size=2, objective_options={"alphabet": "ab"})
    with pytest.raises(RnnbenchError, match="objective 'ctc' predicts transcripts, not text"):
        ExternalLanguageModel(recogniser, "ab")
    sounds, lm = torch.randn(1, 5, 3), ExternalLanguageModel(model, "ba")
    with pytest.raises(RnnbenchError, match="beam must be at least 2, got 1"):
        recogniser.transcribe(sounds, language_model=lm)
    with pytest.raises(RnnbenchError, match="prepared for the alphabet 'ba', the transcriber's is 'ab'"):
        recogniser.transcribe(sounds, beam=2, language_model=lm)
