"""Drawing tokens from distributions, beams, and scores of texts: against numbers worked by hand and brute force."""

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnbench.analysis.beam import Hypothesis, beam_search
from rnnbench.analysis.generate import Sampling, fill_after_end, generate
from rnnbench.analysis.text_codec import TextCodec
from rnnbench.architectures import LSTM
from rnnbench.config.registry import catalogue
from rnnbench.data import FolkABC, Shakespeare
from rnnbench.errors import RnnbenchError
from rnnbench.objectives.special_tokens import END_ID

CARRYING = ("elman", "lstm-2", "lstm-residual-3", "minlstm", "tcn", "window-mlp")
"""Architectures whose states are carried in all the ways that there are."""


def shares(sampling: Sampling, logits: list[float], draws: int = 20_000) -> Tensor:
    picked = sampling.pick(torch.tensor([logits]).expand(draws, -1), torch.Generator().manual_seed(0))
    return torch.bincount(picked, minlength=len(logits)) / draws


PROBABILITIES = [0.5, 0.25, 0.15, 0.1]
LOGITS = [math.log(p) for p in PROBABILITIES]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), PROBABILITIES),
        (Sampling(temperature=0.5), [p**2 / 0.345 for p in PROBABILITIES]),
        (Sampling(top_k=2), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(top_k=9), PROBABILITIES),
        (Sampling(top_p=0.7), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(top_p=0.76), [5 / 9, 2.5 / 9, 1.5 / 9, 0]),
        (Sampling(top_p=0.01), [1, 0, 0, 0]),
        (Sampling(top_k=3, top_p=0.6), [2 / 3, 1 / 3, 0, 0]),  # of three, the first has 5/9
        (Sampling(greedy=True), [1, 0, 0, 0]),
    ],
)
def test_tokens_are_drawn_with_the_probabilities_that_were_asked_for(sampling: Sampling, expected: list[float]) -> None:
    found = shares(sampling, LOGITS)
    assert torch.equal(found == 0, torch.tensor(expected) == 0)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32), atol=0.015, rtol=0)


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"temperature": 0.0}, "temperature must be greater than 0, got 0.0; for the likeliest"),
        ({"temperature": -1.0}, "temperature must be greater than 0, got -1.0"),
        ({"temperature": float("nan")}, "temperature must be greater than 0, got nan"),
        ({"top_k": 0}, "top_k must be at least 1"),
        ({"top_p": 0.0}, "top_p must be greater than 0"),
        ({"top_p": 1.5}, "at most 1, got 1.5"),
        ({"greedy": True, "top_k": 3}, "greedy decoding draws nothing"),
    ],
)
def test_a_setting_out_of_range_is_refused(setting: dict[str, Any], said: str) -> None:
    with pytest.raises(RnnbenchError, match=said):
        Sampling(**setting)


def chain(table: Tensor) -> Any:
    """A Markov chain as a model: its state is the number of tokens read, its logits are the last token's row."""

    def advance(tokens: Tensor, state: Any = None, lengths: Tensor | None = None) -> tuple[Tensor, Any]:
        return table[tokens[:, -1]], state

    return advance


def test_generation_ends_at_the_end_and_never_says_what_is_refused() -> None:
    table = torch.full((5, 5), -9.0)
    table[0, 1], table[1, 2], table[2, 4], table[2, 3] = 0.0, 0.0, 5.0, 1.0  # 0 → 1 → 2 → 4 (refused), so 3
    prompt = torch.tensor([[0], [1]])
    said = generate(chain(table), prompt, 50, Sampling(greedy=True), end=3, never=(4,))
    assert said.tolist() == [[1, 2, 3], [2, 3, 3]]
    assert generate(chain(table), prompt, 2, Sampling(greedy=True), end=3, never=(4,)).tolist() == [[1, 2], [2, 3]]


def test_what_follows_an_end_is_made_ends() -> None:
    assert fill_after_end(torch.tensor([[5, 3, 6, 7], [5, 6, 3, 8]]), 3).tolist() == [[5, 3, 3], [5, 6, 3]]
    assert fill_after_end(torch.tensor([[5, 6]]), 3).tolist() == [[5, 6]]


def brute_force(table: Tensor, first: int, longest: int, end: int, alpha: float) -> list[Hypothesis]:
    """All sequences up to a length, by score."""
    logs = table.double().log_softmax(-1)
    found = []
    for length in range(1, longest + 1):
        for tokens in itertools.product(range(len(table)), repeat=length):
            if end in tokens[:-1] or (tokens[-1] != end and length < longest):
                continue
            total = float(sum(logs[a, b] for a, b in itertools.pairwise((first, *tokens))))
            said = [one for one in tokens if one != end]
            found.append(Hypothesis(said, total, total / length**alpha))
    return sorted(found, key=lambda one: -one.score)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0])
def test_a_wide_beam_finds_what_a_search_of_all_sequences_finds(alpha: float) -> None:
    table = torch.randn(4, 4, generator=torch.Generator().manual_seed(3))
    step = lambda tokens, state: (table[tokens[:, -1]], state)  # noqa: E731
    found = beam_search(table[[0, 2]], None, step, lambda state, rows: state, beam=200, max_length=4, end=3,
                        length_penalty=alpha)  # fmt: skip
    for first, some in zip((0, 2), found, strict=True):
        expected = brute_force(table, first, 4, 3, alpha)
        assert [one.score for one in some] == pytest.approx([one.score for one in expected], abs=1e-5)
        known = {tuple(one.tokens): one.log_prob for one in expected}
        assert len({tuple(one.tokens) for one in some}) == len(known)
        assert all(known[tuple(one.tokens)] == pytest.approx(one.log_prob, abs=1e-5) for one in some)
        assert math.fsum(math.exp(one.log_prob) for one in some) == pytest.approx(1.0)  # every sequence is there


@pytest.fixture(scope="module")
def tunes(module_stand_ins: None) -> FolkABC:
    return FolkABC(batch_size=8)


def sharp(model: LSTM) -> LSTM:
    """A model whose distributions are far from even."""
    with torch.no_grad():
        model.objective.head.weight *= 8
    return model


def test_a_beam_of_one_is_greedy_and_a_wider_one_finds_nothing_less_likely(tunes: FolkABC) -> None:
    torch.manual_seed(1)
    model = sharp(LSTM.from_data(tunes, hidden_size=12))
    prompts = ["K:D\nA", "", "B|"]
    (greedy, wide) = (model.generate(prompts, 12, **setting) for setting in ({"greedy": True}, {"beam": 8}))
    assert greedy == model.generate(prompts, 12, beam=1, greedy=True)
    for prompt, one, other in zip(prompts, greedy, wide, strict=True):
        first, second = (model.score(said, prompt, end=len(said) < 12)[0] for said in (one, other))
        assert second.bits <= first.bits + 1e-5  # ranked by the mean of a token


@pytest.mark.parametrize("name", CARRYING)
def test_an_architecture_carries_its_state_as_if_it_had_read_all(name: str, tunes: FolkABC) -> None:
    from lightning.pytorch import LightningModule

    from rnnbench.config.cards import ArchitectureCard
    from rnnbench.harness.instantiate import FACTS, construct

    _, card = ArchitectureCard.load(str(catalogue("architecture")[name]))
    small = card.model_copy(update={"init_args": {**card.init_args, "hidden_size": 72}})
    torch.manual_seed(0)
    model: Any = construct(small, LightningModule, name, FACTS, **tunes.model_kwargs())
    ids = torch.randint(4, 10, (3, 14))
    with model.inference_mode():
        advance = model.inference.fast_advance()
        (logits, state), (plain, other) = advance(ids[:, :5]), model.inference.advance(ids[:, :5])
        for place in range(5, 14):
            logits, state = advance(ids[:, place : place + 1], state)
            plain, other = model.inference.advance(ids[:, place : place + 1], other)
        expected = model.objective(model.hidden_states(ids, None))[:, -1]
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(plain, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tokens", ["characters", "words", "ngrams", "bpe"])
def test_texts_come_back_and_the_same_seed_says_the_same(tokens: Any, module_stand_ins: None) -> None:
    data = Shakespeare(tokens=tokens, vocabulary_size=300)
    model = LSTM.from_data(data, hidden_size=8)
    text = "thou art the sword\nlove."
    script = model.inference.text_codec()
    assert script.decode(script.encode(text).ids) == text
    said = model.generate(["thou", "", "the sword,"], 20, seed=4)
    assert said == model.generate(["thou", "", "the sword,"], 20, seed=4)
    assert said != model.generate(["thou", "", "the sword,"], 20, seed=5)
    assert not any(name in one for one in said for name in ("<unk>", "<pad>", "<s>"))
    assert model.training


def test_a_prompt_among_others_is_gone_on_with_as_alone(tunes: FolkABC) -> None:
    model = sharp(LSTM.from_data(tunes, hidden_size=12))
    prompts = ["K:D\nABc", "", "B|cd|"]
    together = model.generate(prompts, 30, greedy=True)
    assert together == [model.generate(one, 30, greedy=True)[0] for one in prompts]


def test_scores_of_texts_are_the_loss_of_the_objective(tunes: FolkABC) -> None:
    model = LSTM.from_data(tunes, hidden_size=8)
    tunes.setup("test")
    texts = tunes.table("test")["text"][:]
    scored = model.score(texts, end=True)
    total, tokens = 0.0, 0
    with model.inference_mode():
        for inputs, targets, lengths in tunes.test_dataloader():
            known = model.objective.known_targets(targets, lengths)
            summed, count = model.objective.loss(model(inputs, lengths), known)
            total, tokens = total + float(summed), tokens + int(count)
    assert sum(len(one.log_probs) for one in scored) == tokens
    assert -math.fsum(one.total for one in scored) == pytest.approx(total, rel=1e-5)
    one = scored[0]
    assert one.perplexity == pytest.approx(2**one.bits)
    assert one.pieces[-1] == "</s>"


def test_a_long_text_is_scored_in_pieces_as_in_one(tunes: FolkABC, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LSTM.from_data(tunes, hidden_size=8)
    texts = ["K:D\n" + "ABcdef|" * 6, "AB"]
    whole = model.score(texts, context="M:4/4\n")
    monkeypatch.setattr("rnnbench.architectures.inference.MAX_STEPS", 7)
    for one, other in zip(whole, model.score(texts, context="M:4/4\n"), strict=True):
        assert one.log_probs == pytest.approx(other.log_probs, abs=1e-5)
    assert [len(one.pieces) for one in whole] == [46, 2]


def test_context_and_text_have_the_probability_of_both(tunes: FolkABC) -> None:
    model = LSTM.from_data(tunes, hidden_size=8)
    both, first = model.score(["K:D\nAB|", "K:D\n"])
    (rest,) = model.score("AB|", context="K:D\n")
    assert both.total == pytest.approx(first.total + rest.total, abs=1e-4)


def test_what_a_model_does_not_know_is_named(tunes: FolkABC) -> None:
    script = TextCodec(tunes.tokenizer)
    assert script.encode("K:D é§é").unknown.count("é") == 2
    assert script.end == END_ID
    with pytest.raises(RnnbenchError, match="text 2 of 2 is empty"):
        LSTM.from_data(tunes, hidden_size=4).score(["A", ""])
