"""Speech: spectra, voices, transcripts, and connectionist temporal classification."""

import gzip
from collections import defaultdict
from itertools import product
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from torch import Tensor

from rnnbench.architectures import GRU
from rnnbench.data import SpeechCommands, SpeechDigits, SpeechPrompts
from rnnbench.data.module import SPLITS, Split
from rnnbench.data.spectra import add_noise, log_mel, mel, mel_filters, read_wav, stack_frames
from rnnbench.data.speech import (
    ALIKE,
    ALPHABET,
    VOICES,
    Utterance,
    decode_transcript,
    encode_transcript,
    least_steps,
    read_transcripts,
    speak,
)
from rnnbench.data.stand_ins.audio import spoken_commands, wav
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.objectives import Ctc
from rnnbench.objectives.ctc import collapse_path, prefix_beam_search

PAIRS: list[tuple[Split, Split]] = [("train", "validation"), ("train", "test"), ("validation", "test")]

# --- sound


def test_a_tone_is_loudest_in_the_band_of_its_pitch() -> None:
    rate, pitch = 8000, 1000.0
    sound = np.sin(2 * np.pi * pitch * np.arange(rate) / rate).astype(np.float32)
    spectrum = log_mel(sound, rate, 20)
    assert spectrum.shape == (1 + (8000 - 200) // 80, 20)
    centres = np.linspace(0, mel(rate / 2), 22)[1:-1]
    assert (spectrum.argmax(1) == np.abs(centres - mel(pitch)).argmin()).all()
    assert mel(1000) == pytest.approx(1000, abs=0.1)  # 1000 Hz are 1000 mel


def test_energy_is_that_of_the_definition() -> None:
    random = np.random.default_rng(0)
    sound = random.normal(size=500).astype(np.float32)
    size, filters = 200, mel_filters(10, 200, 8000)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frame = sound[80 : 80 + size] * window
    power = [
        abs(sum(frame[n] * np.exp(-2j * np.pi * k * n / size) for n in range(size))) ** 2 for k in range(size // 2 + 1)
    ]
    assert log_mel(sound, 8000, 10)[1] == pytest.approx(np.log(np.array(power) @ filters), rel=1e-4)
    assert filters.max() <= 1
    assert (filters > 0).any(0).all()


def test_frames_stand_side_by_side_and_a_short_sound_is_one_frame() -> None:
    frames = np.arange(14.0).reshape(7, 2)
    assert stack_frames(frames, 3).tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11], [12, 13, 12, 13, 12, 13]]
    assert log_mel(np.zeros(10, np.float32), 8000, 5).shape == (1, 5)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"RIFF", "a.wav is not a WAV file that can be read: it ends too early"),
        (b"", "a.wav is empty"),
        (wav(np.zeros(0), 8000), "a.wav holds no sample"),
    ],
)
def test_a_file_that_is_no_sound(content: bytes, words: str) -> None:
    with pytest.raises(RnnbenchError, match=words):
        read_wav(content, "a.wav")


# --- digits


def test_the_same_words_sound_the_same_and_different_ones_do_not() -> None:
    asked = [Utterance("one", "en-us+m1", 160, 50), Utterance("two", "en-us+m1", 160, 50)]
    first, again = speak(asked), speak(asked)
    assert all((one == other).all() for one, other in zip(first, again, strict=True))
    assert len(first[0]) != len(first[1]) or (first[0] != first[1]).any()
    assert all(0.2 < len(one) / 22_050 < 2 for one in first)
    with pytest.raises(RnnbenchError, match="knows no voice 'xx'"):
        speak([Utterance("one", "xx", 160, 50)])


def test_without_espeak_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "espeakng_loader.py").write_text("raise ModuleNotFoundError('no module espeakng_loader')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(DataUnavailable, match="pip install 'rnnbench\\[tasks\\]'"):
        speak([Utterance("one", "en-us+m1", 160, 50)])


def test_voices_that_are_nearly_one_are_each_in_one_group() -> None:
    alike = [voice for group in ALIKE for voice in group]
    assert len(alike) == len(set(alike))
    assert set(alike) <= set(VOICES)


def test_no_voice_is_in_two_parts_and_every_part_has_every_digit() -> None:
    data = SpeechDigits(voices=8, batch_size=8)  # drawn by voice, Gene and Gene2, nearly one, would be in two parts
    voices = {split: set(data.table(split)["voice"]) for split in SPLITS}
    assert sum(map(len, voices.values())) == 8
    assert not any(voices[one] & voices[other] for one, other in PAIRS)
    assert any({"Gene", "Gene2"} <= some for some in voices.values())
    for split in SPLITS:
        assert set(data.table(split)["targets"]) == set(range(10))
    data.setup()
    inputs, _, lengths = data.stores["train"].batch(range(len(data.stores["train"])))
    assert lengths is not None
    frames = torch.cat([row[:length] for row, length in zip(inputs, lengths, strict=True)])
    assert torch.allclose(frames.mean(0), torch.zeros(40), atol=1e-3)
    assert torch.allclose(frames.std(0), torch.ones(40), atol=1e-2)
    with pytest.raises(ValueError, match="voices must be 8 to 92, got 3"):
        SpeechDigits(voices=3)


def test_noise_is_as_strong_as_was_asked_for() -> None:
    random = np.random.default_rng(0)
    sound = np.sin(np.arange(20_000) / 7).astype(np.float32)
    for snr in (0.0, 10.0):
        noise = add_noise(sound, snr, random) - sound
        assert 10 * np.log10(np.square(sound).mean() / np.square(noise).mean()) == pytest.approx(snr, abs=0.2)
    assert add_noise(sound, None, random) is sound


# --- prompts


@pytest.mark.usefixtures("module_stand_ins")
def test_a_transcript_is_in_one_part_and_decoding_inverts_encoding() -> None:
    data = SpeechPrompts(batch_size=4)
    rows = [row for split in SPLITS for row in data.table(split)]
    texts = {split: set(data.table(split)["text"]) for split in SPLITS}
    assert not any(texts[one] & texts[other] for one, other in PAIRS)
    assert {row["name"] for row in rows} >= {"again", "digits/deep", "prompt00"}
    assert not {row["name"] for row in rows} & {"beep", "long"}
    assert all(decode_transcript(row["targets"]) == row["text"] for row in rows)
    assert data.model_kwargs()["objective_options"] == {"alphabet": ALPHABET}
    assert data.model_kwargs()["output_size"] == 29


def test_what_is_read_of_transcripts() -> None:
    lines = ["; comment", "", "a: Hello, it’s me.", "b: [beep]", "c: 3 times", "letters/at: at <x>", "d/e: OK"]
    assert read_transcripts(gzip.compress("\n".join(lines).encode())) == {"a": "hello it's me", "d/e": "ok"}
    with pytest.raises(RnnbenchError, match="line 2: 'no name' has no name"):
        read_transcripts(gzip.compress(b"a: b\nno name"))
    assert encode_transcript("a b") == [3, 1, 4]
    assert least_steps("hello") == 6


# --- commands


def test_a_folder_with_the_layout_of_the_hubs_commands(tmp_path: Path) -> None:
    data = SpeechCommands(spoken_commands(tmp_path))
    assert [len(data.table(split)) for split in SPLITS] == [12, 6, 6]
    assert data.model_kwargs()["output_size"] == 4
    assert set(data.table("test")["targets"]) == {0, 1, 2}  # no silence


def test_commands_of_another_layout_are_refused(tmp_path: Path) -> None:
    parts = datasets.DatasetDict.load_from_disk(spoken_commands(tmp_path))
    broken = parts["test"].cast_column("audio", datasets.Audio(decode=False)).to_list()
    broken[1]["audio"]["bytes"] = b"RIFF"
    table = datasets.Dataset.from_list(broken).cast_column("audio", datasets.Audio(16_000))
    parts["test"] = table.cast_column("label", parts["train"].features["label"])
    parts.save_to_disk(str(tmp_path / "broken"))
    with pytest.raises(RnnbenchError, match=r"split 'test', row 1, .*test1.wav is not a WAV file"):
        SpeechCommands(str(tmp_path / "broken")).prepare_data()
    broken[1]["audio"]["bytes"] = wav(np.zeros(900), 8000)
    table = datasets.Dataset.from_list(broken).cast_column("audio", datasets.Audio(16_000))
    parts["test"] = table.cast_column("label", parts["train"].features["label"])
    parts.save_to_disk(str(tmp_path / "slow"))
    told = r"split 'test', row 1, test1\.wav has 8000 samples a second, those before it 16000: resample it"
    with pytest.raises(RnnbenchError, match=told):
        SpeechCommands(str(tmp_path / "slow")).prepare_data()
    parts["test"] = parts["validation"]
    parts["train"] = parts["train"].filter(lambda label: label != 2, input_columns="label")
    parts.save_to_disk(str(tmp_path / "unseen"))
    with pytest.raises(RnnbenchError, match="'yes' is a class of split 'validation', but not of 'train'"):
        SpeechCommands(str(tmp_path / "unseen")).prepare_data()


# --- the objective


def every_text(log_probs: Tensor) -> dict[tuple[int, ...], float]:
    """Probability of each text, over all paths."""
    found: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for path in product(range(log_probs.shape[1]), repeat=log_probs.shape[0]):
        found[tuple(collapse_path(list(path)))] += float(sum(log_probs[t, k] for t, k in enumerate(path)).exp())  # type: ignore[union-attr]
    return dict(found)


def test_loss_and_beam_search_are_sums_over_all_paths() -> None:
    torch.manual_seed(0)
    log_probs = (2 * torch.randn(5, 3, dtype=torch.float64)).log_softmax(-1)
    texts = every_text(log_probs)
    assert sum(texts.values()) == pytest.approx(1)
    found = {prefix: log_prob for prefix, log_prob, _ in prefix_beam_search(log_probs, 100)}
    assert {text: np.exp(score) for text, score in found.items()} == pytest.approx(texts)
    assert len(found) == len(texts)
    best = prefix_beam_search(log_probs, 100)[0].prefix
    assert texts[best] == max(texts.values())
    objective = Ctc(2, 1, 3, alphabet="ab")
    targets = torch.tensor([[1, 2], [2, -100]])
    summed, count = objective.loss(log_probs.float().expand(2, -1, -1), targets)
    assert int(count) == 2
    assert float(summed) == pytest.approx(-np.log(texts[(1, 2)]) - np.log(texts[(2,)]), rel=1e-5)


def test_what_stands_beyond_a_sequence_adds_to_no_text() -> None:
    torch.manual_seed(0)
    objective = Ctc(4, 1, 3, alphabet="ab")
    hidden, lengths = torch.randn(2, 6, 4), torch.tensor([6, 3])
    both = objective(hidden, lengths)
    alone = objective(hidden[1:, :3])
    targets = torch.tensor([[1, 2], [2, -100]])
    expected = objective.loss(both[:1], targets[:1])[0] + objective.loss(alone, targets[1:])[0]
    assert torch.allclose(objective.loss(both, targets)[0], expected, rtol=1e-4)
    assert objective.transcribe(both)[1] == objective.transcribe(alone)[0]
    assert objective.transcribe(both, beam=8)[1] == objective.transcribe(alone, beam=8)[0]
    objective.loss(both, targets)[0].backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in objective.parameters())


def test_a_text_too_long_for_its_sequence_is_an_error() -> None:
    objective = Ctc(4, 1, 3, alphabet="ab")
    with pytest.raises(RnnbenchError, match="sequence 1 of a batch has too few steps for its text of 3"):
        objective.loss(objective(torch.randn(2, 6, 4), torch.tensor([6, 3])), torch.tensor([[1, 2, 1], [1, 1, 1]]))
    with pytest.raises(ValueError, match=r"output_size must be 1 \+ 2, a blank and the alphabet, got 5"):
        Ctc(4, 1, 5, alphabet="ab")


def test_error_rates_are_edits_over_the_references() -> None:
    objective = Ctc(1, 1, 29, alphabet=ALPHABET)
    texts = ["hello world", "a"]
    paths = [[one for number in encode_transcript(text) for one in (number, 0)] for text in ("hello wordd", "")]
    predictions = torch.full((2, 22, 29), -20.0)
    for row, path in enumerate(paths):
        for step in range(22):
            predictions[row, step, path[step] if step < len(path) else 0] = 0.0
    targets = torch.full((2, 11), -100)
    for row, text in enumerate(texts):
        targets[row, : len(text)] = torch.tensor(encode_transcript(text))
    metrics = objective.metrics()
    objective.update(metrics, predictions, targets)
    scores = metrics.compute()
    assert float(scores["wer"]) == pytest.approx(2 / 3)
    assert float(scores["cer"]) == pytest.approx(2 / 12)
    assert set(objective.score_names()) == {"ctc", "wer", "cer"}


def test_eight_recordings_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    words = ["no", "yes", "one", "two", "please", "on", "see", "to"]
    targets = torch.nn.utils.rnn.pad_sequence([torch.tensor(encode_transcript(one)) for one in words], True, -100)
    lengths = torch.tensor([3 * len(one) for one in words])
    inputs = torch.randn(8, int(lengths.max()), 10)
    options: dict[str, Any] = {"alphabet": ALPHABET, "beam": 4}
    model = GRU(10, 29, "ctc", hidden_size=32, bidirectional=True, objective_options=options)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(120):
        summed, count = model.objective.loss(model(inputs, lengths), targets)
        (summed / count).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    assert summed / count < 0.2
    model.eval()
    with torch.no_grad():
        predictions = model(inputs, lengths)
    assert isinstance(model.objective, Ctc)
    assert model.objective.transcribe(predictions) == model.objective.transcribe(predictions, 4) == words
