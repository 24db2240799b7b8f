"""Polyphonic music as a piano roll: which of the 88 keys sound in each frame."""

import hashlib
import math
import re
import zipfile
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from rnnbench.data.module import SequenceDataModule, Split, Splits
from rnnbench.data.music import MUSIC21
from rnnbench.data.musicxml import Score, read_mxl
from rnnbench.data.pianoroll_files import KEYS, Roll, key_of, read_rolls
from rnnbench.data.splits import grouped_splits
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.utils.files import expand_home, read_bytes

VOICES = 4
CHORALES = re.compile(r"music21/corpus/bach/(bwv(\d+).*)\.mxl")
ENDS = (".pickle", ".pkl", ".mat")


class BachChorales(SequenceDataModule):
    """Chorales of J. S. Bach in four voices: which keys sound at the next quarter note.

    Inputs `[B, T, 88]`: 1 for each key (MIDI 21 to 108) that sounds as a quarter note begins, else 0. Targets
    `[B, T, 88]`: the same, one quarter note later. Scores of one BWV number, and so the settings of one melody within a
    work, are in one part; 70 : 15 : 15, drawn from `data_seed`; a chorale that stands twice is used once. Repeats are
    not played. This is not the split of Boulanger-Lewandowski et al. 2012.

    Args:
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
    """

    objective = "multi_label_frames"
    per_step = True
    unknown = float("nan")
    sources = (MUSIC21,)

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        chorales = read_chorales(self.sources[0].fetch())
        names, numbers, rolls = zip(*chorales, strict=True)
        rows = grouped_splits(numbers, self.data_seed)
        splits = next_frames({split: [rolls[row] for row in some] for split, some in rows.items()})
        tables = {split: table.add_column("name", [names[row] for row in rows[split]])
                  for split, table in splits.tables.items()}  # fmt: skip
        return replace(splits, tables=tables)


class PianoRoll(SequenceDataModule):
    """Polyphonic music from a file of yours, in a layout of the sets of Boulanger-Lewandowski et al. 2012.

    Inputs `[B, T, 88]`: 1 for each key (MIDI 21 to 108) that sounds in a frame, else 0. Targets `[B, T, 88]`: the same,
    one frame later. The parts are those of the file.

    Args:
        path: of a pickle (`.pickle`, `.pkl`): a dict with `train`, `valid` and `test`, each a list of sequences, a
            sequence being a list of frames and a frame a list of MIDI numbers; or of a MATLAB file (`.mat`):
            `traindata`, `validdata` and `testdata`, each a cell array of 0-1 matrices `[T, 88]`. Nothing that a pickle
            names is ever called.
        batch_size: see `SequenceDataModule`.
        data_seed: without influence, nothing is drawn.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: the name of the file has another end.
    """

    objective = "multi_label_frames"
    per_step = True
    unknown = float("nan")
    user_path_arg = "path"
    user_path_help = f"a file that ends in {', '.join(ENDS)}"

    def __init__(
        self, path: str | None = None, batch_size: int = 64, data_seed: int = 0, shuffle_seed: int = 0
    ) -> None:
        if path is not None and Path(path).suffix not in ENDS:
            raise ValueError(f"path must end in one of {', '.join(ENDS)}, got {path!r}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.path = path and expand_home(path)

    @cached_property
    def sha256(self) -> str | None:
        """Of the file."""
        return None if self.path is None else hashlib.sha256(read_bytes(Path(self.path))).hexdigest()

    def identity(self) -> dict[str, Any]:
        """The arguments, with the content of the file for where it lies."""
        end = None if self.path is None else Path(self.path).suffix  # says how the content is read
        return {**super().identity(), "path": [self.sha256, end]}

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        if self.path is None:
            raise DataUnavailable(self.unavailable())
        content = read_bytes(Path(self.path))
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise RnnbenchError(f"{self.path} has changed while it was being prepared; run again")
        return next_frames(read_rolls(content, self.path))


def read_chorales(archive: Path) -> list[tuple[str, int, Roll]]:
    """Name, BWV number and piano roll of each score in four parts, each roll once."""
    chorales: dict[bytes, tuple[str, int, Roll]] = {}
    with zipfile.ZipFile(archive) as wheel:
        for match in filter(None, map(CHORALES.fullmatch, sorted(wheel.namelist()))):
            score = read_mxl(wheel.read(match[0]), match[0])
            if score.parts == VOICES:
                roll = roll_of(score, match[0])
                chorales.setdefault(roll.tobytes(), (match[1], int(match[2]), roll))
    return list(chorales.values())


def roll_of(score: Score, where: str) -> Roll:
    """The keys that sound as each quarter note begins.

    Raises:
        RnnbenchError: a note is out of the range of a piano.
    """
    roll = np.zeros((math.ceil(score.length), KEYS), np.float32)
    for note in score.notes:
        roll[math.ceil(note.start) : math.ceil(note.end), key_of(note.midi, where)] = 1
    return roll


def next_frames(rolls: dict[Split, list[Roll]]) -> Splits:
    """Each frame with the one after it, and what the frequency of each key says of the next frame."""
    tables: dict[Split, datasets.Dataset] = {
        split: datasets.Dataset.from_dict(
            {"inputs": [roll[:-1].ravel() for roll in some], "targets": [roll[1:].ravel() for roll in some]}
        )
        for split, some in rolls.items()
    }
    train, test = (np.concatenate([roll[1:] for roll in rolls[split]]) for split in ("train", "test"))
    return Splits(tables, KEYS, KEYS, "frequencies of keys", frequency_scores(train, test))


def frequency_scores(train: Roll, test: Roll) -> dict[str, float]:
    """Scores on frames `test` when each key sounds with its frequency in `train`, one added to sounding and silent."""
    shares = (train.sum(0, dtype=np.float64) + 1) / (len(train) + 2)
    sounding = test.sum(0, dtype=np.float64)
    silent = len(test) - sounding
    pairs = zip(shares.tolist(), sounding.tolist(), silent.tolist(), strict=True)
    nats = math.fsum(-on * math.log(share) - off * math.log(1 - share) for share, on, off in pairs)
    predicted = shares > 0.5
    either = (sounding + silent * predicted).sum()  # that sound, are predicted, or both
    accuracy = float(sounding[predicted].sum() / either) if either else 0.0
    return {"nll": nats / len(test), "frame_accuracy": accuracy}
