"""Texts: tokens of every kind, what is refused of them, and the corpora of hubs and users."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer

from rnnbench.architectures import LSTM
from rnnbench.data import SST5, MovieSentiment, PennTreebank, Shakespeare, WikiText2
from rnnbench.data.module import SPLITS
from rnnbench.data.stand_ins.archives import tarball
from rnnbench.data.stand_ins.texts import rated_sentences, treebank_files, wiki_lines
from rnnbench.data.text_classification import INNER, OUTER
from rnnbench.data.tokens import text_tokenizer, unknown_rate
from rnnbench.errors import DataUnavailable, RnnbenchError

TEXTS = ["The cat sat , don't ask !\n", "The Cat — naïve — sat\tdown.\n"]
KINDS = ["characters", "words", "ngrams", "bpe"]
QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def rows_of(folder: Path, split: str, change: dict[str, Any] | None, row: int = 0) -> None:
    """Change a row of a stand-in of SST-5, or with None leave no row."""
    path = folder / f"{split}.jsonl"
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    if change is None:
        rows = []
    else:
        rows[row] |= change
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), "utf-8")


# --- tokens


@pytest.mark.parametrize("tokens", KINDS)
def test_special_tokens_have_fixed_ids_even_where_texts_name_them(tokens: Any) -> None:
    tokenizer = text_tokenizer([*TEXTS, "rare <unk> <unk> </s> <pad>"], tokens, 200, ends="<s> $A </s>")
    assert [tokenizer.token_to_id(name) for name in ("<pad>", "<unk>", "<s>", "</s>")] == [0, 1, 2, 3]
    assert sorted(tokenizer.get_vocab().values()) == list(range(tokenizer.get_vocab_size()))
    encoded = tokenizer.encode("sat <unk>").ids
    assert (encoded[0], encoded[-2], encoded[-1]) == (2, 1, 3)


@pytest.mark.parametrize("tokens", ["characters", "ngrams", "bpe"])
def test_decoding_gives_the_very_text_back(tokens: Any) -> None:
    tokenizer = text_tokenizer(TEXTS, tokens, 200)
    for text in TEXTS:
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("tokens", KINDS)
def test_no_kind_of_tokens_drops_punctuation(tokens: Any) -> None:
    said = "".join(text_tokenizer(TEXTS, tokens, 200).encode("sat ! ,").tokens)
    assert "!" in said
    assert "," in said


def test_an_n_gram_begins_with_its_word_and_does_not_overlap() -> None:
    tokens = text_tokenizer(["abcdefgh ab\n"], "ngrams", 50, ngram=3).encode("abcdefgh ab\n").tokens
    assert tokens == ["abc", "def", "gh", " ", "ab", "\n"]


@pytest.mark.parametrize("tokens", KINDS)
def test_a_vocabulary_has_the_most_frequent_tokens_and_no_more(tokens: Any) -> None:
    tokenizer = text_tokenizer(["a a a b b c d e f g"], tokens, 7)
    assert tokenizer.get_vocab_size() == 7
    assert tokenizer.token_to_id("a") is not None
    assert 1 in tokenizer.encode("g f e d").ids


def test_pairs_of_bytes_that_are_frequent_become_tokens() -> None:
    tokenizer = text_tokenizer(["low low low lower"], "bpe", 15)
    assert "low" in tokenizer.encode("low").tokens


@pytest.mark.parametrize(
    ("make", "error", "told"),
    [
        (lambda: MovieSentiment(tokens="word"), RnnbenchError, "unknown kind of tokens 'word'; did you mean 'words'"),  # type: ignore[arg-type]
        (lambda: Shakespeare("lines"), RnnbenchError, "unknown kind of tokens 'lines'"),  # type: ignore[arg-type]
        (lambda: Shakespeare(ngram=0), ValueError, "ngram must be at least 1, got 0"),
        (lambda: SST5(vocabulary_size=4), ValueError, "vocabulary_size must be at least 5, got 4"),
        (lambda: WikiText2(bptt=0), ValueError, "bptt must be at least 1, got 0"),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: Any, error: Any, told: str) -> None:
    with pytest.raises(error, match=told):
        make()


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("tokens", KINDS)
def test_sentences_can_be_read_as_any_tokens(tokens: Any) -> None:
    data = MovieSentiment(60, 120, tokens=tokens)
    data.setup()
    lengths = [len(row["inputs"]) for row in data.table("train")]
    if tokens == "characters":
        assert lengths == [len(row["text"]) for row in data.table("train")]
    ids = [row["inputs"] for row in data.table("test")]
    assert data.metadata()["baseline_scores"]["unk_rate"] == unknown_rate(ids)
    assert unknown_rate(ids) == sum(one.count(1) for one in ids) / sum(map(len, ids))


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("tokens", KINDS)
def test_a_stream_of_any_tokens_is_its_text(tokens: Any) -> None:
    data = Shakespeare(tokens, 500, 20, 4)
    data.setup()
    assert data.objective == ("character_model" if tokens == "characters" else "language_model")
    text = data.documents()["train"][0]
    stream = data.stream("train").tolist()
    first = stream[1 : stream.index(2, 1)]
    if tokens == "words":
        assert first.count(3) == text.count("\n")
    else:
        assert first.pop() == 3
        assert data.tokenizer.decode(first, skip_special_tokens=False) == text
    assert 0 <= data.metadata()["baseline_scores"]["unk_rate"] < 0.2


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("tokens", ["words", "bpe"])
def test_a_checkpoint_has_its_tokenizer_and_needs_no_data(tokens: Any, tmp_path: Path) -> None:
    data = MovieSentiment(60, 120, tokens=tokens)
    trainer = Trainer(max_steps=1, accelerator="cpu", limit_val_batches=0, enable_checkpointing=False, **QUIET)
    trainer.fit(LSTM(hidden_size=4), data)  # sizes and tokenizer come from the trainer's data
    trainer.save_checkpoint(tmp_path / "one.ckpt")
    model = LSTM.load_from_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    tokenizer = model.tokenizer
    assert tokenizer is not None
    ids = tokenizer.encode("a good film ,").ids
    assert ids == data.tokenizer.encode("a good film ,").ids
    assert tokenizer.decode(ids) == "a good film ,"
    assert model(torch.tensor([ids])).shape == (1, 5)
    assert "tokenizer" not in model.hparams_initial  # loggers are spared the vocabulary


def test_features_have_no_tokenizer() -> None:
    assert LSTM(2, 1, "regression").tokenizer is None


# --- what is refused


@pytest.mark.parametrize(
    ("split", "change", "told"),
    [
        ("train", {"text": "?? ??"}, "split 'train', row 3: a text with no known token: '.. ..'"),
        ("test", {"text": "A good film " * 40}, "row 3: a text of 120 tokens, more than max_length = 50: 'A good"),
        ("test", {"label": 7}, "split 'test', row 3: label must be from 0 to 4, got 7"),
        ("validation", {"text": " "}, "split 'validation', row 3: text is ' ', not str with something in it"),
        (
            "test",
            {"label": "good"},
            "test.jsonl: JSON parse error: Column.*label.* changed from number to string in row 3",
        ),
    ],
)
def test_a_row_that_cannot_be_used_is_named(split: str, change: dict[str, Any], told: str, tmp_path: Path) -> None:
    path = rated_sentences(tmp_path)
    rows_of(tmp_path, split, change, 3)
    data = SST5(path, 10, 50)
    with pytest.raises(RnnbenchError, match=told):
        data.prepare_data()
    assert not data.folder.exists()


def test_an_empty_part_a_single_class_and_a_class_unseen_in_training_are_refused(tmp_path: Path) -> None:
    path = rated_sentences(tmp_path)
    for row in range(60):
        if row % 5 == 4:
            rows_of(tmp_path, "train", {"label": 3}, row)
    with pytest.raises(RnnbenchError, match=r"'validation', row 4: class 4 .very positive. is never seen in training"):
        SST5(path).prepare_data()
    for row in range(60):
        rows_of(tmp_path, "train", {"label": 3}, row)
    with pytest.raises(RnnbenchError, match=r"every text of the training part is of class 3 .positive., from .*row 0"):
        SST5(path).prepare_data()
    rows_of(tmp_path, "train", None)
    with pytest.raises(RnnbenchError, match=r"train\.jsonl is empty"):
        SST5(path).prepare_data()


def test_a_test_of_another_language_is_refused_and_a_single_strange_sentence_is_not(tmp_path: Path) -> None:
    path = rated_sentences(tmp_path)
    rows_of(tmp_path, "test", {"text": "Spiderman ROCKS"}, 7)
    data = SST5(path)
    assert data.table("test")[7]["inputs"] == [1, 1]
    for row in range(60):
        rows_of(tmp_path, "test", {"text": "ein guter streifen"}, row)
    with pytest.raises(RnnbenchError, match="split 'test', row 0: no text from here on has a known token"):
        SST5(path).prepare_data()


@pytest.mark.usefixtures("module_stand_ins")
def test_a_line_of_the_archive_that_is_no_review_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "reviews.tar.gz").write_bytes(tarball({OUTER: tarball({INNER: b"0\t1.5\tA film\n1\tgood\tA film\n"})}))
    monkeypatch.setattr(type(MovieSentiment.sources[0]), "fetch", lambda _: tmp_path / "reviews.tar.gz")
    with pytest.raises(RnnbenchError, match=f"{INNER}, line 2: not an id, a rating and a text"):
        MovieSentiment().texts()


# --- corpora


def test_sentences_of_the_hub_keep_their_split_and_the_majority_is_what_is_stated(tmp_path: Path) -> None:
    data = SST5(rated_sentences(tmp_path))
    for split in SPLITS:
        given = [json.loads(line) for line in (tmp_path / f"{split}.jsonl").read_text().splitlines()]
        assert [row["text"] for row in given] == list(data.table(split)["text"])
        assert [row["label"] for row in given] == list(data.table(split)["targets"])
    assert data.metadata()["baseline_scores"]["accuracy"] == 0.2


def test_data_of_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    first, second = (SST5(rated_sentences(tmp_path / name)) for name in ("one", "two"))
    assert first.folder == second.folder
    rows_of(tmp_path / "two", "test", {"text": "Another film !"})
    assert SST5(second.path).folder != first.folder


def test_lines_of_articles_end_and_words_are_what_spaces_part(tmp_path: Path) -> None:
    data = WikiText2(wiki_lines(tmp_path))
    data.setup()
    names = [data.tokenizer.id_to_token(one) for one in data.stream("train").tolist()]
    lines = [json.loads(line)["text"] for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    words = [word for line in lines for word in [*line.split(), "</s>"]]
    assert names == ["<s>", *words]
    assert {"@-@", "Tower", "="} <= set(names)
    unknowns = Counter(data.stream("test").tolist())[1]
    assert data.metadata()["baseline_scores"]["unk_rate"] == unknowns / len(data.stream("test"))
    assert unknowns == sum(line.split()[-1:] == ["test"] for line in given_lines(tmp_path)) + 1  # and once in the title


def test_lines_that_stand_in_one_part_stand_in_no_other(tmp_path: Path) -> None:
    data = WikiText2(wiki_lines(tmp_path))
    for split, (text,) in data.documents().items():
        assert [other for other in SPLITS if f"Article {other}" in text] == [split]


def given_lines(folder: Path) -> list[str]:
    return [json.loads(line)["text"] for line in (folder / "test.jsonl").read_text().splitlines()]


def test_the_treebank_is_its_files_word_by_word(tmp_path: Path) -> None:
    data = PennTreebank(treebank_files(tmp_path))
    data.setup()
    text = (tmp_path / "ptb.train.txt").read_text()
    names = [data.tokenizer.id_to_token(one) for one in data.stream("train").tolist()]
    assert names == ["<s>", *text.replace("\n", " </s> ").split()]
    assert data.tokenizer.token_to_id("<unk>") == 1
    assert names.count("<unk>") == text.count("<unk>")
    assert {"n't", "N"} <= set(names)
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in tmp_path.glob("*.txt"):
        (moved / file.name).write_bytes(file.read_bytes())
    assert PennTreebank(str(moved)).folder == data.folder
    (moved / "ptb.test.txt").write_text("the end\n")
    assert PennTreebank(str(moved)).folder != data.folder


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read .*ptb.valid.txt: No such file"),
        (b"", "ptb.valid.txt is empty"),
        (b" \n\n", "ptb.valid.txt is empty"),
        (b"the tower\nis \xff tall\n", "ptb.valid.txt, line 2, byte 4: not UTF-8"),
        (b"ein turm\n", "ptb.valid.txt has no known token"),
    ],
)
def test_a_treebank_of_the_wrong_layout_is_refused_with_file_and_line(
    content: bytes | None, told: str, tmp_path: Path
) -> None:
    path = treebank_files(tmp_path)
    file = tmp_path / "ptb.valid.txt"
    if content is None:
        file.unlink()
    else:
        file.write_bytes(content)
    with pytest.raises(RnnbenchError, match=told):
        PennTreebank(path).prepare_data()


def test_what_the_hub_or_the_user_does_not_give_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable, match=r"set path to a folder with ptb\.train\.txt, ptb\.valid\.txt"):
        PennTreebank().prepare_data()
    for make in (SST5, WikiText2):
        with pytest.raises(
            DataUnavailable, match="nowhere is not a folder of a data set, and the hub does not have it"
        ):
            make(str(tmp_path / "nowhere")).prepare_data()
    path = rated_sentences(tmp_path)
    (tmp_path / "test.jsonl").unlink()
    with pytest.raises(RnnbenchError, match="has no split 'test'; it has 'train', 'validation'"):
        SST5(path).prepare_data()


@pytest.mark.parametrize("make", [lambda path: SST5(rated_sentences(path)), lambda path: PennTreebank(
    treebank_files(path), bptt=20), lambda path: WikiText2(wiki_lines(path), bptt=20)])  # fmt: skip
def test_a_small_model_overfits_a_few_rows(make: Any, tmp_path: Path) -> None:
    data = make(tmp_path)
    data.setup()
    torch.manual_seed(0)
    model = LSTM.from_data(data, hidden_size=48, embedding_size=24)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    first = next(iter(data.train_dataloader()))
    lengths = None if first[2] is None else first[2][:8]
    for _ in range(250):
        summed, count = model.objective.loss(model(first[0][:8], lengths), first[1][:8])
        optimizer.zero_grad()
        loss = summed / count
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    assert float(loss.detach()) < 0.05
