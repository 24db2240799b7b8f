"""`AudioFolder`: recordings of the user, a sub-folder for each class."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np

from rnnbench.data.module import SPLITS, Split, Splits
from rnnbench.data.spectra import BANDS, Sound, Spectra, log_mel, read_wav, standardised
from rnnbench.data.splits import (
    SplitRows,
    complete_splits,
    connected_groups,
    majority_scores,
    stratified_group_splits,
)
from rnnbench.data.user_files import NamedClasses, UserFiles, write_classes
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import content_digest, expand_home, files_in, read_bytes, reading

OTHER_SOUNDS = {".mp3", ".flac", ".ogg", ".m4a", ".aac", ".wma", ".opus", ".aiff", ".aif"}


class Clip(NamedTuple):
    """A recording: the content of its WAV file, its name for error messages, and its class."""

    content: bytes
    name: str
    label: str


class ClipFile(NamedTuple):
    """A recording that has not been read: its file, its class, what it belongs to, and a digest of its content."""

    path: Path
    label: str
    group: str
    digest: str


class AudioFolder(UserFiles, NamedClasses, Spectra):
    """Recordings of the user in WAV files, a sub-folder for each class.

    Inputs `[B, T, 40]`: log-mel spectra, a frame every 10 ms, standardised by band over the training part. Targets
    `[B]`: the class, in the order of the alphabet. If the sub-folders are `train`, `validation` and `test` (or the
    first and one of the others), these have sub-folders for the classes, and are the parts. Otherwise, and for what is
    missing, 70 : 15 : 15, drawn from `data_seed`, each class by itself: two files of the same content, and the files of
    a group, are in one part.

    Args:
        path: of the folder.
        group: what in the name of a file says which files must not be divided among the parts, such as a speaker: a
            regular expression; its first group in brackets counts, or else all of it.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        RnnbenchError: `group` is not a regular expression; when prepared, a file that cannot be read, that has another
            rate than those before it, in whose name there is no group, or a class without files.
    """

    objective = "classification"

    def __init__(
        self, path: str, group: str | None = None, batch_size: int = 32, data_seed: int = 0, shuffle_seed: int = 0
    ) -> None:
        try:
            re.compile(group or "")
        except re.error as error:
            raise RnnbenchError(f"group {group!r} is not a regular expression: {error}") from None
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.path, self.group = expand_home(path), group

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        top = Path(self.path)
        names = _folders(top)
        own = "train" in names and set(names) <= set(SPLITS)
        parts: dict[Split, list[ClipFile]] = {}
        for split in SPLITS:
            if own and split in names:
                parts[split] = self._clips(top / split)
            elif not own and split == "train":
                parts[split] = self._clips(top)
        complete = complete_splits(parts, partial(divided_clips, seed=self.data_seed))
        clips = {split: (Clip(read_bytes(one.path), str(one.path), one.label) for one in some)
                 for split, some in complete.items()}  # fmt: skip
        classes = sorted({one.label for some in parts.values() for one in some})
        return classified_clips(clips, classes, folder)

    def _clips(self, top: Path) -> list[ClipFile]:
        """The recordings in the sub-folders of a folder."""
        classes = _folders(top)
        if len(classes) < 2:
            raise RnnbenchError(
                f"{top} must have a sub-folder for each of at least two classes, has {', '.join(classes) or 'none'}"
            )
        clips: list[ClipFile] = []
        for label in classes:
            files = files_in(top / label)
            if other := next((file for file in files if file.suffix.lower() in OTHER_SOUNDS), None):
                raise RnnbenchError(f"{other} is not a WAV file: convert it")
            sounds = [file for file in files if file.suffix.lower() == ".wav"]
            if not sounds:
                raise RnnbenchError(f"{top / label} has no WAV file")
            clips += [ClipFile(file, label, self._group(file), content_digest(file)) for file in sounds]
        return clips

    def _group(self, file: Path) -> str:
        if self.group is None:
            return str(file)
        match = re.search(self.group, file.name)
        if match is None:
            raise RnnbenchError(f"{file}: its name has no group, nothing in it matches {self.group!r}")
        return match[1] if match.re.groups else match[0]


def _folders(top: Path) -> list[str]:
    with reading(top):
        return sorted(path.name for path in top.iterdir() if path.is_dir() and not path.name.startswith("."))


def divided_clips(clips: Sequence[ClipFile], cuts: tuple[float, float], seed: int) -> SplitRows:
    """Recordings drawn for three parts: the same content, and a group, in one part; each class cut by itself."""
    groups = connected_groups([(clip.group, clip.digest) for clip in clips])
    return stratified_group_splits(groups, [clip.label for clip in clips], seed, cuts)


def classified_clips(parts: Mapping[Split, Iterable[Clip]], classes: Sequence[str], folder: Path) -> Splits:
    """Spectra of recordings and their classes; each recording is read once.

    Raises:
        RnnbenchError: a recording cannot be read or has another rate than those before it; a part is empty, or has a
            class that is not in training.
    """
    known_rate = 0
    spectra: dict[Split, list[Sound]] = {split: [] for split in SPLITS}
    labels: dict[Split, list[int]] = {split: [] for split in SPLITS}
    number = {name: place for place, name in enumerate(classes)}
    for split in SPLITS:
        for clip in parts[split]:
            sound, rate = read_wav(clip.content, clip.name)
            if known_rate not in (0, rate):
                raise RnnbenchError(
                    f"{clip.name} has {rate} samples a second, those before it {known_rate}: resample it"
                )
            if split != "train" and number[clip.label] not in labels["train"]:
                raise RnnbenchError(f"{clip.name}: {clip.label!r} is a class of split {split!r}, but not of 'train'")
            known_rate = rate
            spectra[split].append(log_mel(sound, rate, BANDS))
            labels[split].append(number[clip.label])
        if not spectra[split]:
            raise RnnbenchError(f"the {split} part has no recordings: give more of each class")
    inputs = standardised(spectra, folder, known_rate)
    write_classes(folder, classes)
    tables = {
        split: datasets.Dataset.from_dict({"inputs": inputs[split], "targets": labels[split]}) for split in SPLITS
    }
    scores = majority_scores(np.array(labels["train"]), np.array(labels["test"]), len(classes))
    return Splits(tables, BANDS, len(classes), "majority class", scores)
