"""Sequences in, sequences out: data, decoder, objective."""

from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from tokenizers import Tokenizer
from torch import Tensor

from rnnbench.architectures import GRU, LSTM, TCN, CellModule, SequenceModule
from rnnbench.data import InterfaceStrings, Multi30k, NumberWords
from rnnbench.data.module import SPLITS, Split
from rnnbench.data.splits import connected_groups
from rnnbench.data.tokens import sentence_tokenizer
from rnnbench.data.translation import read_strings
from rnnbench.errors import DataUnavailable, Infeasible, RnnbenchError
from rnnbench.nn import GRU as GRULayer
from rnnbench.nn import BahdanauAttention, Decoder, Encoded, LuongAttention
from rnnbench.objectives import SequenceToSequence
from rnnbench.objectives.sequence_to_sequence import DecoderOutput
from rnnbench.objectives.text_metrics import corpus_scores

PAIRS: list[tuple[Split, Split]] = [("train", "validation"), ("train", "test"), ("validation", "test")]
WORDS = ["<pad>", "<unk>", "<s>", "</s>", *"abcdefgh"]


def facts(**more: Any) -> dict[str, Any]:
    """Of a toy: eight words on either side."""
    tokenizer = sentence_tokenizer([" ".join(WORDS[4:])], 12)
    assert tokenizer.get_vocab() == {word: number for number, word in enumerate(WORDS)}
    options = {"tokenizer": tokenizer.to_str(), "max_length": 10}
    return {"input_size": 12, "output_size": 12, "objective": "sequence_to_sequence", "input_kind": "tokens",
            "hidden_size": 32, "embedding_size": 16, "objective_options": options, **more}  # fmt: skip


def reversed_words() -> tuple[Tensor, Tensor, Tensor]:
    """Eight sequences of two to five words, their lengths, and the same words backwards."""
    torch.manual_seed(0)
    lengths = torch.tensor([2, 3, 4, 5, 5, 4, 3, 2])
    inputs, targets = torch.zeros(8, 6, dtype=torch.int64), torch.full((8, 6), -100)
    for row, length in enumerate(lengths.tolist()):
        words = torch.randint(4, 12, (length,))
        inputs[row, : length + 1] = torch.cat([words, torch.tensor([3])])
        targets[row, : length + 1] = torch.cat([words.flip(0), torch.tensor([3])])
    return inputs, lengths + 1, targets


# --- data


@pytest.mark.usefixtures("module_stand_ins")
def test_strings_stand_once_and_those_that_differ_in_digits_are_in_one_part() -> None:
    data = InterfaceStrings("es")
    pairs = read_strings(data.sources[0].path, "es")
    assert len(pairs) == len({pair.source for pair in pairs})
    assert not any("{" in pair.source or len(pair.source.split()) < 3 for pair in pairs)
    assert sum(pair.source == "ban lek kin" for pair in pairs) == 1
    rows = {split: data.table(split) for split in SPLITS}
    for side in ("source", "target"):
        bare = {split: {" ".join(filter(str.isalpha, text.split())) for text in rows[split][side]} for split in SPLITS}
        assert not any(bare[one] & bare[other] for one, other in PAIRS)
    holding = [split for split in SPLITS if any(text.startswith("ban kin tol ") for text in rows[split]["source"])]
    assert len(holding) == 1
    assert sum(map(len, rows.values())) == len(pairs)


@pytest.mark.usefixtures("module_stand_ins")
def test_a_batch_has_sources_and_translations_each_of_its_own_length() -> None:
    data = InterfaceStrings("ca", batch_size=16)
    data.setup()
    about, target = data.metadata(), Tokenizer.from_str(data.model_kwargs()["objective_options"]["tokenizer"])
    inputs, targets, lengths = next(iter(data.train_dataloader()))
    table = {row["source"]: row["target"] for row in data.table("train")}
    assert lengths is not None
    for row, answer, length in zip(inputs, targets, lengths, strict=True):
        source = data.tokenizer.decode(row[: length - 1].tolist(), skip_special_tokens=False)
        assert row[length - 1] == 3
        assert (row[length:] == 0).all()
        known = answer[answer != -100]
        assert known[-1] == 3
        assert (answer[len(known) :] == -100).all()
        assert target.decode(known[:-1].tolist(), skip_special_tokens=False) == table[source]
    assert about["output_size"] == target.get_vocab_size()
    assert about["objective_options"]["max_length"] == 2 * max(map(len, data.table("train")["targets"]))


def test_numbers_are_in_one_part_each_and_in_words() -> None:
    data = NumberWords(size=200, largest=999, batch_size=8)
    rows = {split: set(data.table(split)["source"]) for split in SPLITS}
    assert [len(rows[split]) for split in SPLITS] == [140, 30, 30]
    assert not any(rows[one] & rows[other] for one, other in PAIRS)
    every = {row["source"]: row["target"] for split in SPLITS for row in data.table(split)}
    if "twenty-one" in every:
        assert every["twenty-one"] == "veintiuno"
    with pytest.raises(ValueError, match="'xx' is not a language of num2words"):
        NumberWords(target="xx")
    with pytest.raises(ValueError, match="size must be at least 10 and at most largest"):
        NumberWords(size=200, largest=100)


def hub_folder(path: Path, **changes: Any) -> str:
    """A folder with the layout of Multi30k."""
    content = {"en": ["A man sleeps .", "Two dogs run ."], "de": ["Ein Mann schläft .", "Zwei Hunde rennen ."]}
    for split in SPLITS:
        if split not in changes.get("no", ()):
            table = datasets.Dataset.from_dict({**content, **changes.get(split, {})})
            table.to_json(str(path / f"{split}.jsonl"))
    return str(path)


def test_a_copied_source_has_no_word_in_common_with_a_translation_because_both_are_unknown(tmp_path: Path) -> None:
    unseen = {"en": ["Five cats sit .", "Two birds run ."], "de": ["Vier Kühe stehen .", "Zwei Vögel fliegen ."]}
    data = Multi30k(hub_folder(tmp_path, test=unseen))
    true = ["<unk> <unk> <unk> .", "zwei <unk> <unk> ."]
    expected = corpus_scores(["five cats sit .", "two birds run ."], true)
    assert data.metadata()["baseline_scores"] == pytest.approx(expected)


def test_a_folder_counts_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    one, other = (tmp_path / name for name in ("one", "other"))
    data, moved = (Multi30k(hub_folder(folder)) for folder in (one, other))
    assert data.folder == moved.folder
    data.prepare_data()
    changed = Multi30k(hub_folder(one, test={"en": ["A cat sleeps .", "Two cats run ."]}))
    assert changed.table("test")["source"][:] == ["a cat sleeps .", "two cats run ."]


def test_a_folder_with_the_hubs_layout_is_read(tmp_path: Path) -> None:
    data = Multi30k(hub_folder(tmp_path))
    assert data.table("test")["target"][:] == ["ein mann schläft .", "zwei hunde rennen ."]
    assert data.model_kwargs()["objective"] == "sequence_to_sequence"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"no": ("validation",)}, "has no split 'validation'; it has 'train', 'test'"),
        ({"test": {"de": ["Ein Mann .", " "]}}, "split 'test', row 1: de is ' ', not str with something in it"),
    ],
)
def test_a_folder_of_another_layout_is_refused(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RnnbenchError, match=words):
        Multi30k(hub_folder(tmp_path, **changes)).prepare_data()


def test_a_set_that_neither_the_hub_nor_the_disk_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataUnavailable, match="nowhere is not a folder of a data set, and the hub does not have it"):
        Multi30k(str(tmp_path / "nowhere")).prepare_data()
    with pytest.raises(RnnbenchError, match="split 'train' has no column 'fr'; it has 'en', 'de'"):
        Multi30k(hub_folder(tmp_path), target="fr").prepare_data()


def test_items_with_a_common_key_are_connected() -> None:
    groups = connected_groups([("a", "x"), ("b", "y"), ("a", "z"), ("c", "z"), ("x", "a")])
    assert groups[0] == groups[2] == groups[3]
    assert len(set(groups)) == 3


# --- decoder


@pytest.mark.parametrize(
    ("attention", "both"), [("none", True), ("bahdanau", False), ("luong", True), ("luong", False)]
)
def test_an_encoder_and_decoder_learn_eight_sequences_by_heart(attention: Any, both: bool) -> None:
    torch.manual_seed(0)
    model = GRU(**facts(attention=attention, bidirectional=both))
    inputs, lengths, targets = reversed_words()
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    for _ in range(120):
        summed, count = model.objective.loss(model.outputs("train", (inputs, targets, lengths)), targets)  # type: ignore[arg-type]
        (summed / count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    assert summed / count < 0.05
    model.eval()
    with torch.no_grad():
        predictions = model.outputs("val", (inputs, targets, lengths))  # type: ignore[arg-type]
        metrics = model.objective.metrics()
        model.objective.update(metrics, predictions, targets)
        scores = metrics.compute()
        said = model(inputs, lengths)
    assert scores["exact_match"] == 1
    assert scores["bleu"] == pytest.approx(100, abs=1e-3)
    assert isinstance(model.objective, SequenceToSequence)
    assert model.objective.texts(said.tokens) == model.objective.texts(targets)


@pytest.mark.parametrize("attention", ["none", "bahdanau", "luong"])
def test_step_by_step_is_at_once(attention: Any) -> None:
    torch.manual_seed(0)
    decoder = Decoder(lambda size: GRULayer(size, 6, num_layers=2, batch_first=True), 9, 4, 5, attention)
    encoded = Encoded(torch.randn(3, 7, 5), torch.tensor([7, 3, 5]), torch.randn(2, 3, 6))
    tokens = torch.randint(0, 9, (3, 4))
    whole, _ = decoder(tokens, decoder.begin(encoded), encoded)
    state, parts = decoder.begin(encoded), []
    for step in torch.split(tokens, 1, 1):
        part, state = decoder(step, state, encoded)
        parts.append(part)
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-6)
    greedy = decoder.greedy(encoded, 2, 3, 5, (0, 1))
    with torch.no_grad():
        again, _ = decoder(torch.cat([torch.full((3, 1), 2), greedy[:, :-1]], 1), decoder.begin(encoded), encoded)
    again[..., [0, 1]] = -torch.inf
    ended = (greedy == 3).cumsum(1) - (greedy == 3).long() > 0
    assert torch.equal(again.argmax(-1)[~ended], greedy[~ended])
    assert (greedy[ended] == 3).all()
    assert not torch.isin(greedy, torch.tensor([0, 1])).any()


@pytest.mark.parametrize("cls", [BahdanauAttention, LuongAttention])
def test_attention_is_its_equation_and_sees_no_padding(cls: Any) -> None:
    torch.manual_seed(0)
    attention = cls(4, 5)
    queries, memory, lengths = torch.randn(2, 3, 4), torch.randn(2, 6, 5), torch.tensor([6, 2])
    contexts, weights = attention(queries, memory, lengths)
    assert contexts.shape == (2, 3, 5)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3))
    assert not weights[1, :, 2:].any()
    q, m = queries[0, 1], memory[0]
    if cls is LuongAttention:
        scores = torch.stack([q @ attention.key.weight @ state for state in m])
    else:
        hidden = torch.tanh(attention.query.weight @ q + attention.query.bias + m @ attention.key.weight.T)
        scores = (hidden @ attention.energy.weight.T).squeeze(-1)
    assert torch.allclose(weights[0, 1], scores.softmax(0), atol=1e-6)
    assert torch.allclose(contexts[0, 1], scores.softmax(0) @ m, atol=1e-6)


def test_padding_of_the_source_changes_nothing() -> None:
    torch.manual_seed(0)
    model = LSTM(**facts(bidirectional=True, attention="luong")).eval()
    inputs, lengths, targets = reversed_words()
    wide = torch.nn.functional.pad(inputs, (0, 3), value=7)
    with torch.no_grad():
        one, other = (model.outputs("val", (some, targets, lengths)) for some in (inputs, wide))  # type: ignore[arg-type]
    assert torch.allclose(one.logits, other.logits, atol=1e-5)
    assert torch.equal(one.tokens, other.tokens)


def test_scheduled_sampling_reads_what_was_said() -> None:
    torch.manual_seed(0)
    model = GRU(**facts(teacher_forcing=0.0))
    inputs, lengths, targets = reversed_words()
    said = model.outputs("train", (inputs, targets, lengths)).logits  # type: ignore[arg-type]
    model.eval()
    forced = model.outputs("val", (inputs, targets, lengths)).logits  # type: ignore[arg-type]
    assert torch.allclose(said[:, 0], forced[:, 0], atol=1e-6)
    assert not torch.allclose(said[:, 1:], forced[:, 1:], atol=1e-3)


# --- objective


def test_scores_of_texts_are_sacrebleus() -> None:
    said = ["a b c d e", "a c", "h g f e d c", "a a a a", "a b c d", "", "a b"]
    true = ["a b c d f", "a b c", "h g f e d c", "b c d e", "a", "a b c", "h"]
    model = LSTM(**facts())
    objective, ids = model.objective, {word: number for number, word in enumerate(WORDS)}
    assert isinstance(objective, SequenceToSequence)

    def rows(texts: list[str], padding: int) -> Tensor:
        tokens = [torch.tensor([*(ids[word] for word in text.split()), 3]) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True, padding_value=padding)

    targets = rows(true, -100)
    metrics = objective.metrics()
    objective.update(metrics, DecoderOutput(torch.zeros(*targets.shape, 12), rows(said, 3)), targets)
    scores = {name: float(value) for name, value in metrics.compute().items()}
    bleu, chrf = BLEU(tokenize="none").corpus_score(said, [true]), CHRF().corpus_score(said, [true])
    assert scores["bleu"] == pytest.approx(bleu.score, abs=1e-3)
    assert scores["chrf"] == pytest.approx(chrf.score, abs=1e-3)
    assert scores["exact_match"] == pytest.approx(1 / 7)
    expected = corpus_scores(said, true)
    assert expected == pytest.approx({name: scores[name] for name in expected}, abs=1e-4)
    assert set(objective.score_names()) == {"cross_entropy", *scores}


def test_an_unknown_word_of_a_reference_is_never_matched() -> None:
    objective = LSTM(**facts()).objective
    assert isinstance(objective, SequenceToSequence)
    assert objective.texts(torch.tensor([[4, 1, 5, 3, 6], [4, 3, -100, -100, -100]])) == ["a <unk> b", "a"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TCN(**facts()), "needs final states to decode from: TCN has none"),
        (lambda: LSTM(**facts(temporal_penalty=1.0)), "no penalty on their states can be added"),
    ],
)
def test_what_cannot_decode_is_infeasible(make: Any, words: str) -> None:
    with pytest.raises(Infeasible, match=words):
        make()


def test_settings_of_a_decoder() -> None:
    with pytest.raises(RnnbenchError, match="unknown attention 'loung'; did you mean 'luong'"):
        LSTM(**facts(attention="loung"))
    with pytest.raises(ValueError, match=r"teacher_forcing must be at least 0 and at most 1, got 1.5"):
        LSTM(**facts(teacher_forcing=1.5))
    with pytest.raises(RnnbenchError, match=r"was not given what it needs of the data: .*tokenizer"):
        LSTM(**facts(objective_options=None))


def test_a_checkpoint_reopens_without_data(tmp_path: Path) -> None:
    from lightning.pytorch import Trainer

    torch.manual_seed(0)
    model: SequenceModule = CellModule(cell="rnnbench.nn.cells.gru.GRUCell", **facts(attention="bahdanau"))
    trainer = Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    again = CellModule.load_from_checkpoint(tmp_path / "model.ckpt", weights_only=True)
    inputs, lengths, _ = reversed_words()
    model.eval()
    again.eval()
    assert torch.equal(model(inputs, lengths).tokens, again(inputs, lengths).tokens)
