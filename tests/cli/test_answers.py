"""Classes, translations, captions, transcripts and forecasts of trained modules, against what their objectives say."""

import struct
from typing import Any

import pytest
import torch

from rnnbench.analysis.forecast import errors_by_step
from rnnbench.analysis.text_codec import readable
from rnnbench.architectures import GRU, LSTM, TCN, Elman
from rnnbench.data import (
    CaptionEmoji,
    MovieSentiment,
    NumberWords,
    PortugueseTags,
    SpeechPrompts,
    WeatherNYC,
    WeatherNYC24h,
)
from rnnbench.errors import RnnbenchError


@pytest.fixture(scope="module")
def numbers(module_stand_ins: None) -> NumberWords:
    return NumberWords(size=100, batch_size=16)


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (Elman, {}),
        (LSTM, {"attention": "bahdanau", "num_layers": 2}),
        (GRU, {"attention": "luong", "bidirectional": True}),
    ],
)
def test_a_beam_of_one_says_what_the_metrics_hear(cls: Any, settings: dict[str, Any], numbers: NumberWords) -> None:
    torch.manual_seed(0)
    model = cls.from_data(numbers, hidden_size=8, **settings)
    texts = numbers.table("test")["source"][:]
    inputs, lengths = model.inference.ids(texts)
    with model.inference_mode():
        heard = model.objective.texts(model(inputs, lengths).tokens)
    greedy = model.translate(texts, beam=1)
    assert [one[0].text for one in greedy] == heard
    wide = model.translate(texts, beam=5, n_best=5)
    for some, (first,) in zip(wide, greedy, strict=True):
        assert [one.score for one in some] == sorted((one.score for one in some), reverse=True)
        assert len({one.text for one in some}) == len(some) == 5
        assert some[0].log_prob <= 0
        assert first.log_prob <= 0
    alone = model.translate(texts[:1], beam=5, n_best=5)[0]
    assert [one.text for one in alone] == [one.text for one in wide[0]]


def test_the_probability_of_a_translation_is_that_of_its_tokens(numbers: NumberWords) -> None:
    torch.manual_seed(0)
    model: Any = LSTM.from_data(numbers, hidden_size=8)
    text = numbers.table("test")["source"][0]
    inputs, lengths = model.inference.ids([text])
    for said in model.translate([text], beam=3, n_best=3, length_penalty=0.0)[0]:
        ids = [model.objective.tokenizer.token_to_id(word) for word in said.text.split()]
        ended = len(ids) < model.objective.max_length
        targets = torch.tensor([[*ids, *([3] if ended else [])]])
        with model.inference_mode():
            encoded = model.objective.encode(model.read, inputs, lengths)
            logs = model.objective._teacher_forced(encoded, targets, 1.0).log_softmax(-1)
        assert said.log_prob == pytest.approx(float(logs[0].gather(-1, targets[0].unsqueeze(-1)).sum()), abs=1e-4)
        assert said.score == said.log_prob


def test_captions_of_a_picture_in_a_file_are_those_of_the_prepared_one(module_stand_ins: None, tmp_path: Any) -> None:
    from PIL import Image

    data = CaptionEmoji(size=60, batch_size=16)
    pictures = data.captioned()["test"]
    model = GRU.from_data(data, hidden_size=8)
    prepared = torch.tensor(data.table("test")["inputs"][0]).reshape(1, 1, -1)
    Image.fromarray(pictures[0].picture).save(tmp_path / "one.png")
    given = torch.from_numpy(data.inputs_of(tmp_path / "one.png")).unsqueeze(0)
    torch.testing.assert_close(given.reshape(prepared.shape), prepared, atol=1e-4, rtol=1e-4)
    assert model.inference.decode(given, beam=3)[0][0].text == model.inference.decode(prepared, beam=3)[0][0].text
    (tmp_path / "text.png").write_text("no picture")
    for name, why in (("text.png", "is not a picture that can be read"), ("absent.png", "cannot read")):
        with pytest.raises(RnnbenchError, match=why):
            data.inputs_of(tmp_path / name)


def test_a_sound_in_a_file_is_read_as_the_prepared_one_and_transcribed(module_stand_ins: None, tmp_path: Any) -> None:
    data = SpeechPrompts(batch_size=16)
    name = data.table("test")["name"][0]
    members = data.sources[1].members("usr/share/asterisk/sounds/en_US_f_Allison/")
    (content,) = (one for path, one in members.items() if path.endswith(f"/{name}.wav"))
    (tmp_path / "one.wav").write_bytes(content)
    given = torch.from_numpy(data.inputs_of(tmp_path / "one.wav"))
    prepared = torch.tensor(data.table("test")["inputs"][0]).reshape(given.shape)
    torch.testing.assert_close(given, prepared, atol=1e-5, rtol=1e-5)
    model: Any = LSTM.from_data(data, hidden_size=8)
    with model.inference_mode():
        logs = model(given.unsqueeze(0))
    (greedy,) = model.transcribe(given.unsqueeze(0))
    assert greedy[0].text == model.objective.transcribe(logs)[0]
    assert greedy[0].log_prob == pytest.approx(float(logs.max(-1).values.sum()), abs=1e-3)
    (some,) = model.transcribe(given.unsqueeze(0), beam=4, n_best=4)
    assert some[0].text == model.objective.transcribe(logs, 4)[0]
    assert [one.log_prob for one in some] == sorted((one.log_prob for one in some), reverse=True)
    (tmp_path / "fast.wav").write_bytes(content[:24] + struct.pack("<2I", 44100, 88200) + content[32:])
    with pytest.raises(RnnbenchError, match="44100 samples a second"):
        data.inputs_of(tmp_path / "fast.wav")


def test_classes_have_the_probabilities_that_the_model_gives(module_stand_ins: None) -> None:
    films, tags = MovieSentiment(), PortugueseTags()
    texts = films.table("test")["text"][:5]
    model = Elman.from_data(films, hidden_size=8, bidirectional=True)
    found = model.classify(texts)
    assert found.shape == (5, 5)
    for row, text in zip(found, texts, strict=True):  # padding has no influence
        torch.testing.assert_close(row, model.classify([text])[0])
    torch.testing.assert_close(found.sum(-1), torch.ones(5))
    tagger = Elman.from_data(tags, hidden_size=8)
    assert tagger.classify(["Eu n1 n2"]).shape == (1, 3, 17)
    with pytest.raises(RnnbenchError, match="text 2 of 2 is empty"):
        model.classify(["good", ""])
    with pytest.raises(RnnbenchError, match="predicts forecasts, not classes or tags"):
        Elman.from_data(WeatherNYC(), hidden_size=4).classify(["good"])


@pytest.mark.parametrize("cls", [LSTM, TCN])
def test_forecasts_are_those_that_are_scored(cls: Any, module_stand_ins: None) -> None:
    data = WeatherNYC24h(batch_size=4)
    data.setup("test")
    model = cls.from_data(data, hidden_size=8)
    inputs, targets, _ = next(iter(data.test_dataloader()))
    with model.inference_mode():
        scored = model(inputs)
    found = model.forecast(inputs, 24)
    torch.testing.assert_close(found.free, scored.free, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.continuous, scored.continuous[:, -24:])
    metrics = model.objective.metrics()
    model.objective.update(metrics, scored, targets)
    expected = [float(metrics.compute()[f"rmse_{step}"]) for step in range(1, 25)]
    assert errors_by_step(found.free, targets[:, -24:]) == pytest.approx(expected, rel=1e-5)
    one = cls.from_data(WeatherNYC(), hidden_size=8).forecast(inputs, 5)
    torch.testing.assert_close(one.free[:, 0], one.continuous[:, 0])  # the first step reads the same
    for horizon in (0, 72):
        with pytest.raises(RnnbenchError, match="horizon must be from 1 to 71"):
            model.forecast(inputs, horizon)


def test_words_are_written_as_people_write() -> None:
    assert readable("the hat , it is ( too ) small .") == "the hat, it is (too) small."
    assert readable("one \n two") == "one\ntwo"
