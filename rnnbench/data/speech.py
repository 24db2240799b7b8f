"""Speech as log-mel spectra: spoken digits, recorded prompts, and commands of a hub."""

import gzip
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np

from rnnbench.data.audio_folder import Clip, classified_clips
from rnnbench.data.espeak_process import RATE
from rnnbench.data.hub import HubDataModule, read_hub, stored_file
from rnnbench.data.module import Split, Splits
from rnnbench.data.spectra import BANDS, Sound, Spectra, add_noise, log_mel, read_wav, stack_frames, standardised
from rnnbench.data.splits import connected_groups, grouped_splits, majority_scores
from rnnbench.data.user_files import NamedClasses
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.utils.download import Source
from rnnbench.utils.files import expand_home

ESPEAK_PROCESS = Path(__file__).with_name("espeak_process.py")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
VOICES = (
    "Alex", "Andy", "Annie", "AnxiousAndy", "Denis", "Diogo", "Gene", "Gene2", "Henrique", "Hugo", "Jacky", "Lee",
    "Marco", "Mario", "Michael", "Mike", "Reed", "RicishayMax", "RicishayMax2", "RicishayMax3", "Storm", "Tweaky",
    "UniRobot", "adam", "anika", "anikaRobot", "announcer", "antonio", "aunty", "belinda", "benjamin", "boris",
    "caleb", "croak", "david", "ed", "edward", "edward2", "f1", "f4", "fast", "grandma", "grandpa", "gustave", "ian",
    "iven", "iven2", "iven3", "iven4", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "klatt5",
    "klatt6", "linda", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel", "miguel", "mike2",
    "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "robosoft", "robosoft2", "robosoft3", "robosoft4",
    "robosoft5", "robosoft6", "robosoft7", "robosoft8", "shelby", "steph", "steph2", "steph3", "travis", "zac",
)  # fmt: skip
"""eSpeak NG's voices, without those that sound otherwise each time (they draw noise) and those that whisper."""
ALIKE = (
    ("Alex", "croak", "fast", "m6"), ("Diogo", "Henrique", "Hugo", "michel", "miguel"), ("Gene", "Gene2"),
    ("Mario", "Michael"), ("Reed", "adam", "benjamin", "edward2", "klatt6", "mike2"), ("Tweaky", "john"),
    ("aunty", "linda"), ("edward", "klatt3", "klatt4", "klatt5"), ("klatt", "klatt2"), ("robosoft2", "robosoft3"),
    ("robosoft4", "robosoft5", "robosoft7"), ("steph", "steph2", "steph3"),
)  # fmt: skip
"""Voices that are nearly one: their spectra differ by less than 0.5 on average, those of half of all pairs by 2.1."""
MANNERS = (("en-us", 140, 45), ("en", 170, 55), ("en-gb-x-rp", 200, 65))
"""Accent, words a minute and pitch of the three times that each voice says each digit."""
TRANSCRIPTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
RECORDINGS = "usr/share/asterisk/sounds/en_US_f_Allison/"
ALPHABET = " 'abcdefghijklmnopqrstuvwxyz"
"""Characters of a transcript; 0 is the blank, so the first is 1."""


class SpeechDigits(Spectra):
    """Spoken digits, the voices of each part unheard in the others: eSpeak NG says zero to nine.

    Inputs `[B, T, 40]`: log-mel spectra, a frame every 10 ms. Targets `[B]`: the digit. Every one of 92 voices says
    every digit three times: with three accents, speeds and pitches, each time in white noise of its own, drawn from
    `data_seed`. 70 : 15 : 15 by voice, drawn from `data_seed`; voices that are nearly one (`ALIKE`) are in one part.

    Args:
        voices: how many of the voices are used, at least 8.
        snr: power of the voice over that of the noise, in decibels; None: no noise.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `voices` out of range.
        DataUnavailable: eSpeak NG is not installed.
    """

    objective = "classification"
    classes = DIGITS

    def __init__(
        self,
        voices: int = len(VOICES),
        snr: float | None = 0.0,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if not 8 <= voices <= len(VOICES):
            raise ValueError(f"voices must be 8 to {len(VOICES)}, got {voices}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.voices, self.snr = voices, snr

    @property
    def needs(self) -> tuple[str, ...]:
        """What says the digits."""
        return ("espeakng_loader",)

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        readings = [
            (voice, digit, Utterance(word, f"{accent}+{voice}", speed, pitch))
            for voice in VOICES[: self.voices]
            for digit, word in enumerate(DIGITS)
            for accent, speed, pitch in MANNERS
        ]
        voices, digits, utterances = zip(*readings, strict=True)
        family = {voice: group[0] for group in ALIKE for voice in group}
        rows = grouped_splits([family.get(voice, voice) for voice in voices], self.data_seed)
        sounds, random = speak(list(utterances)), np.random.default_rng(self.data_seed)
        spectra = [log_mel(add_noise(sound, self.snr, random), RATE, BANDS) for sound in sounds]
        labels = np.array(digits)
        inputs = standardised({split: [spectra[row] for row in some] for split, some in rows.items()}, folder, RATE)
        tables = {
            split: datasets.Dataset.from_dict({"voice": [voices[row] for row in some], "inputs": inputs[split],
                                               "targets": labels[some]})
            for split, some in rows.items()
        }  # fmt: skip
        scores = majority_scores(labels[rows["train"]], labels[rows["test"]], len(DIGITS))
        return Splits(tables, BANDS, len(DIGITS), "majority class", scores)


class SpeechPrompts(Spectra):
    """Prompts of a telephone system, read by one speaker, to be written down: the core sounds of Asterisk.

    Inputs `[B, T, 3 · 40]`: log-mel spectra, three frames of 10 ms side by side. Targets `[B, U]`: the characters of
    the transcript, numbered from 1 in `ALPHABET`, padded with −100. What stands in brackets (noises) is left out, and
    recordings longer than `longest`. 70 : 15 : 15, drawn from `data_seed`; prompts with one transcript are in one part.

    Args:
        longest: seconds of a recording.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: `longest` is not above 0.
        DataUnavailable: the Debian packages cannot be had.
    """

    objective = "ctc"
    stack = 3
    variable_length_targets = True
    unknown = -100
    sources = (
        Source(
            "asterisk-core-sounds-en",
            "1.6.1-1",
            "asterisk-core-sounds-en_1.6.1-1_all.deb",
            "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
            "CC-BY-SA-3.0",
        ),
        Source(
            "asterisk-core-sounds-en-wav",
            "1.6.1-1",
            "asterisk-core-sounds-en-wav_1.6.1-1_all.deb",
            "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
            "CC-BY-SA-3.0",
        ),
    )

    def __init__(self, longest: float = 8.0, batch_size: int = 16, data_seed: int = 0, shuffle_seed: int = 0) -> None:
        if not longest > 0:
            raise ValueError(f"longest must be greater than 0 seconds, got {longest}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.longest = longest

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        texts = read_transcripts(self.sources[0].members(TRANSCRIPTS)[TRANSCRIPTS])
        recordings = self.sources[1].members(RECORDINGS)
        names, spectra, rate = [], [], 0
        for name in sorted(texts):
            if (path := f"{RECORDINGS}{name}.wav") not in recordings:
                continue
            sound, rate = read_wav(recordings[path], path)
            if len(sound) > self.longest * rate:
                continue
            names.append(name)
            spectra.append(stack_frames(log_mel(sound, rate, BANDS), self.stack))
            if len(spectra[-1]) < (least := least_steps(texts[name])):
                raise RnnbenchError(
                    f"{path}: its transcript {texts[name]!r} needs {least} steps, the recording has {len(spectra[-1])}"
                )
        rows = grouped_splits(connected_groups([(texts[name],) for name in names]), self.data_seed)
        inputs = standardised({split: [spectra[row] for row in some] for split, some in rows.items()}, folder, rate)
        tables = {
            split: datasets.Dataset.from_dict({
                "name": [names[row] for row in some], "text": [texts[names[row]] for row in some],
                "inputs": inputs[split], "targets": [encode_transcript(texts[names[row]]) for row in some],
            })
            for split, some in rows.items()
        }  # fmt: skip
        scores = {"wer": 1.0, "cer": 1.0}
        options = {"alphabet": ALPHABET}
        return Splits(tables, 3 * BANDS, 1 + len(ALPHABET), "nothing said", scores, options)


class SpeechCommands(HubDataModule, NamedClasses, Spectra):
    """Single words of many speakers (Warden 2018), by the set's own split, from a hub.

    Inputs `[B, T, 40]`: log-mel spectra, a frame every 10 ms. Targets `[B]`: the word, in the order of the alphabet.
    Rows labelled `_silence_` are left out. The set's own split keeps speakers apart.

    Args:
        path: a data set on the hub, or a folder of the same layout: splits `train`, `validation` and `test` with the
            columns `audio` (16 kHz) and `label`.
        name: of the configuration.
        batch_size: see `SequenceDataModule`.
        data_seed: without influence, nothing is drawn.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        DataUnavailable: the hub cannot be reached.
        RnnbenchError: a split or a column is missing, a class of the test part is unseen in training, or a clip cannot
            be read.
    """

    objective = "classification"

    def __init__(
        self,
        path: str = "google/speech_commands",
        name: str | None = "v0.02",
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.path, self.name = expand_home(path), name

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        columns = {"label": int, "audio": dict}
        parts = read_hub(self.path, columns, self.name, "refs/convert/parquet", {"audio": datasets.Audio})
        feature = parts["train"].features["label"]
        if not isinstance(feature, datasets.ClassLabel):
            raise RnnbenchError(f"{self.path}: column 'label' has no names of classes")
        words = feature.names
        clips = {split: self._clips(rows, split, words) for split, rows in parts.items()}
        return classified_clips(clips, words, folder)

    def _clips(self, rows: datasets.Dataset, split: Split, words: Sequence[str]) -> Iterator[Clip]:
        for number, row in enumerate(rows):
            if words[row["label"]] != "_silence_":
                yield Clip(*stored_file(row["audio"], self.path, split, number), words[row["label"]])


def read_transcripts(content: bytes) -> dict[str, str]:
    """Name of a recording and what is said in it, in lower-case letters, apostrophes and single spaces.

    Raises:
        RnnbenchError: a line without a name, or a character that is not read.
    """
    texts: dict[str, str] = {}
    for number, line in enumerate(gzip.decompress(content).decode("utf-8").splitlines(), 1):
        if not line.strip() or line.startswith(";"):
            continue
        name, colon, transcript = line.partition(":")
        if not colon:
            raise RnnbenchError(f"{TRANSCRIPTS}, line {number}: {line!r} has no name")
        if re.search(r"[\[<(]", transcript):
            continue
        text = " ".join(re.sub(r"[^a-z' ]", " ", transcript.lower().replace("’", "'")).split())
        if re.search(r"\d", transcript) or not text:
            continue
        texts[name.strip()] = text
    return texts


def least_steps(text: str) -> int:
    """Steps that a path for a text has at least: one a character, and a blank between two that are the same."""
    return len(text) + sum(one == other for one, other in pairwise(text))


def encode_transcript(text: str) -> list[int]:
    """Characters as numbers from 1."""
    return [1 + ALPHABET.index(letter) for letter in text]


def decode_transcript(numbers: Sequence[int]) -> str:
    """The text of numbers from 1."""
    return "".join(ALPHABET[number - 1] for number in numbers)


class Utterance(NamedTuple):
    """A word and how it is said: `voice` as eSpeak names it (`en-us+m3`), words a minute, pitch from 0 to 100."""

    word: str
    voice: str
    speed: int
    pitch: int


def speak(utterances: list[Utterance]) -> list[Sound]:
    """Samples from −1 to 1 of each, 22,050 a second.

    A process of its own says them all in order: eSpeak is the same to the bit only from its start.

    Raises:
        DataUnavailable: eSpeak is not installed.
        RnnbenchError: it does not know a voice, or is silent.
    """
    with tempfile.TemporaryDirectory() as folder:
        request, reply = Path(folder) / "words.json", Path(folder) / "sounds.npz"
        request.write_text(json.dumps(utterances), "utf-8")
        command = [sys.executable, "-P", str(ESPEAK_PROCESS), str(request), str(reply)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if "espeakng_loader" in done.stderr and "ModuleNotFoundError" in done.stderr:
            raise DataUnavailable("spoken digits need eSpeak NG: pip install 'rnnbench[tasks]'")
        if done.returncode:
            raise RnnbenchError(f"eSpeak NG failed: {done.stderr.strip().splitlines()[-1:]}")
        with np.load(reply, allow_pickle=False) as content:
            samples, ends = content["samples"], content["ends"]
    return [part.astype(np.float32) / 32768 for part in np.split(samples, ends[:-1])]
