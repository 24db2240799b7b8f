"""Video: clips whose frames a frozen CNN turns into features."""

import math
import os
import re
from pathlib import Path
from typing import Any, BinaryIO, Literal

import datasets
import numpy as np

from rnnbench.data.images import MNIST_ARCHIVE as DIGITS
from rnnbench.data.images import read_digits
from rnnbench.data.module import SequenceDataModule, Splits
from rnnbench.data.splits import grouped_splits, majority_scores, stratified_splits
from rnnbench.data.vision import (
    EFFICIENTNET,
    WEIGHTS,
    Pictures,
    encode_pictures,
    encoder_needs,
    make_encoder,
    standardised,
)
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.utils.files import check_unpacked, expand_home, reading

SIDE, DIGIT = 64, 28
DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
PIXELS = "pixels"
CLIP = re.compile(r"v_(\w+)_g(\d+)_c(\d+)\.\w+")
MAX_FRAMES = 20_000
"""Of a clip; more would need gigabytes."""
LEAST_SHARE = 0.9
"""Least share of the promised frames that a whole clip has: decoders of old formats leave out some at its ends."""
MICROSECOND = 1e-6
TAIL = 64
"""Bytes at the start and at the end of a file by which its kind is told."""
ENDS = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".gif")


class MovingDigits(SequenceDataModule):
    """Handwritten digits that move in one of eight directions: synthetic motion, real pictures (MNIST).

    Inputs `[B, T, F]`: features of each frame of 64 × 64, standardised over the training part. Targets `[B]`: the
    direction (0 to 7, in the order of `DIRECTIONS`) or the digit. A clip shows one picture that no other shows, from a
    place of its own, 1.5 to 3 pixels a frame. 70 : 15 : 15 of every class, drawn from `data_seed`.

    Args:
        target: `motion` or `digit`.
        clips: in all parts together, 80 to 5000.
        frames: of a clip, T, at most 12.
        encoder: `efficientnet-lite0` (its early map), `pixels` (means over 4 × 4 of them), or an import path of yours.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: a value out of its range.
        DataUnavailable: an archive, or the network's code, cannot be had.
    """

    objective = "classification"
    sources = (DIGITS, WEIGHTS)

    def __init__(
        self,
        target: Literal["motion", "digit"] = "motion",
        clips: int = 1200,
        frames: int = 10,
        encoder: str = EFFICIENTNET,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if target not in ("motion", "digit"):
            raise ValueError(f"target must be motion or digit, got {target!r}")
        if not 80 <= clips <= 5000:
            raise ValueError(f"clips must be 80 to 5000, got {clips}")
        if not 2 <= frames <= 12:
            raise ValueError(f"frames must be 2 to 12, got {frames}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.target, self.clips, self.frames, self.encoder = target, clips, frames, encoder

    @property
    def needs(self) -> tuple[str, ...]:
        """Our own encoder."""
        return encoder_needs(self.encoder)

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        pixels, digits = read_digits(self.sources[0].fetch())
        random = np.random.default_rng(self.data_seed)
        chosen = random.permutation(len(pixels))[: self.clips]
        motions = np.arange(len(chosen)) % len(DIRECTIONS)
        random.shuffle(motions)
        frames = [self._clip(pixels[row], int(motion), random) for row, motion in zip(chosen, motions, strict=True)]
        if self.encoder == PIXELS:
            features = [_coarse(clip) for clip in frames]
        else:
            features = encode_pictures(make_encoder(self.encoder, "map", self.sources[1]), frames)
        labels = motions if self.target == "motion" else digits[chosen]
        rows = stratified_splits(labels, self.data_seed)
        inputs = standardised({split: [features[row] for row in some] for split, some in rows.items()}, folder)
        tables = {
            split: datasets.Dataset.from_dict(
                {"picture": chosen[some], "inputs": inputs[split], "targets": labels[some]}
            )
            for split, some in rows.items()
        }
        classes = len(DIRECTIONS) if self.target == "motion" else 10
        scores = majority_scores(labels[rows["train"]], labels[rows["test"]], classes)
        return Splits(tables, features[0].shape[1], classes, "majority class", scores)

    def _clip(self, pixels: np.ndarray[Any, Any], motion: int, random: np.random.Generator) -> Pictures:
        """Frames `[T, 64, 64, 3]` of a picture, which stays inside."""
        angle, speed = motion * math.tau / len(DIRECTIONS), random.uniform(1.5, 3.0)
        way = speed * (self.frames - 1) * np.array([math.sin(angle), math.cos(angle)])  # down, right
        low, high = np.maximum(0, -way), SIDE - DIGIT - np.maximum(0, way)
        start = random.uniform(low, high)
        places = np.rint(start + way * np.linspace(0, 1, self.frames)[:, None]).astype(int)
        clip = np.zeros((self.frames, SIDE, SIDE), np.uint8)
        picture = np.rint(255 * pixels.reshape(DIGIT, DIGIT)).astype(np.uint8)
        for frame, (down, right) in zip(clip, places, strict=True):
            frame[down : down + DIGIT, right : right + DIGIT] = picture
        return np.repeat(clip[..., None], 3, axis=-1)


def _coarse(clip: Pictures) -> np.ndarray[Any, Any]:
    cells = clip[..., 0].reshape(len(clip), SIDE // 4, 4, SIDE // 4, 4).mean((2, 4))
    return np.asarray((cells / 255).reshape(len(clip), -1), np.float32)


class UCF101(SequenceDataModule):
    """Actions in clips of people (Soomro, Zamir & Shah 2012), or any folder with a folder of clips for each class.

    Inputs `[B, T, 1280]`: features of `frames` frames at even distances, each seen by the CNN; targets `[B]`: the
    class, in the order of the alphabet. Clips named as in UCF101 (`v_Class_g01_c02.avi`) of one group, which show one
    scene, are in one part; other clips are groups of their own. 70 : 15 : 15 by group, drawn from `data_seed`; this is
    none of the set's three splits.

    Args:
        path: the folder.
        frames: of a clip that are seen, T.
        side: pixels of a frame, which is scaled to a square.
        encoder: `efficientnet-lite0` or an import path of yours.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.

    Raises:
        ValueError: a value out of its range.
        RnnbenchError: the folder has no classes with clips, a clip cannot be read, or a class lacks a part.
    """

    objective = "classification"
    sources = (WEIGHTS,)
    user_path_arg = "path"
    user_path_help = "a folder with a folder of clips for each class"

    def __init__(
        self,
        path: str | None = None,
        frames: int = 16,
        side: int = 96,
        encoder: str = EFFICIENTNET,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        for name, value, least in (("frames", frames, 1), ("side", side, 32)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.path, self.frames, self.side, self.encoder = path and expand_home(path), frames, side, encoder

    @property
    def needs(self) -> tuple[str, ...]:
        """What decodes clips, and our own encoder."""
        return ("av", *encoder_needs(self.encoder))

    def identity(self) -> dict[str, Any]:
        """The arguments, with names and sizes of the clips for where they lie."""
        clips: list[list[str | int]] = []
        for clip in [] if self.path is None else self._clips():
            with reading(clip):
                clips.append([str(clip.relative_to(self.path or "")), clip.stat().st_size])
        return {**super().identity(), "path": clips}

    def _clips(self) -> list[Path]:
        root = Path(self.path or "")
        with reading(root):
            if not root.is_dir():
                raise RnnbenchError(f"{self.path} is not a folder")
            clips = sorted(clip for clip in root.glob("*/*") if clip.suffix.lower() in ENDS)
        if len({clip.parent for clip in clips}) < 2:
            raise RnnbenchError(
                f"{self.path} must have a folder of clips ({', '.join(ENDS)}) for each of at least two classes"
            )
        return clips

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        if self.path is None:
            raise DataUnavailable(self.unavailable())
        clips = self._clips()
        names = sorted({clip.parent.name for clip in clips})
        labels = np.array([names.index(clip.parent.name) for clip in clips])
        rows = grouped_splits([_scene(clip) for clip in clips], self.data_seed)
        for split, some in rows.items():
            if lacking := set(range(len(names))) - set(labels[some].tolist()):
                raise RnnbenchError(
                    f"{self.path}: no clip of class {names[min(lacking)]!r} is in part {split!r}: give more"
                )
        features = encode_pictures(
            make_encoder(self.encoder, "pooled", self.sources[0]),
            (read_clip(one, self.frames, self.side) for one in clips),
        )
        inputs = standardised({split: [features[row] for row in some] for split, some in rows.items()}, folder)
        tables = {
            split: datasets.Dataset.from_dict(
                {"clip": [clips[row].name for row in some], "inputs": inputs[split], "targets": labels[some]}
            )
            for split, some in rows.items()
        }
        scores = majority_scores(labels[rows["train"]], labels[rows["test"]], len(names))
        return Splits(tables, features[0].shape[1], len(names), "majority class", scores)


def _scene(clip: Path) -> tuple[str, str]:
    match = CLIP.fullmatch(clip.name)
    return clip.parent.name, match[2] if match else clip.name


def read_clip(path: Path, frames: int, side: int) -> Pictures:
    """`frames` frames of a clip at even distances, turned as the file says, `[T, side, side, 3]`.

    Raises:
        DataUnavailable: there is nothing to decode clips with.
        RnnbenchError: the file cannot be read, is not a clip, is cut short, or has no frame or too many.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise DataUnavailable("clips are decoded with PyAV: pip install 'rnnbench[tasks]'") from None
    seen: list[Pictures] = []
    with reading(path), path.open("rb") as opened:
        check_unpacked(opened.read(TAIL), str(path))
        opened.seek(0)
        if path.suffix.lower() == ".gif" and not _ends_as_gif(opened):
            raise RnnbenchError(f"{path} is cut short: the end of a GIF is not there")
        try:
            clip: Any = av.open(opened)
            with clip as file:
                if not file.streams.video:
                    raise RnnbenchError(f"{path} has no pictures")
                for frame in file.decode(video=0):
                    if len(seen) == MAX_FRAMES:
                        raise RnnbenchError(f"{path} has more than {MAX_FRAMES:,} frames: cut it into shorter clips")
                    picture = frame.reformat(width=side, height=side, format="rgb24").to_ndarray()
                    seen.append(np.rot90(picture, round(frame.rotation / 90)))
                if not seen:
                    raise RnnbenchError(f"{path} has no frame")
                if _share_present(file, frame, len(seen)) < LEAST_SHARE:
                    raise RnnbenchError(f"{path} is cut short: only {len(seen)} of its frames are there")
        except av.error.FFmpegError as error:
            raise RnnbenchError(f"{path} cannot be decoded: {error.strerror}") from error
    return np.stack([seen[place] for place in np.linspace(0, len(seen) - 1, frames).round().astype(int)])


def _ends_as_gif(opened: BinaryIO) -> bool:
    """Whether a file ends in the byte that ends a GIF, which no count of frames tells."""
    opened.seek(-min(TAIL, opened.seek(0, os.SEEK_END)), os.SEEK_END)
    tail = opened.read().rstrip(b"\0")
    opened.seek(0)
    return tail.endswith(b";")


def _share_present(file: Any, last: Any, count: int) -> float:
    """Share of a clip that could be decoded, of what its header promises; 1 if that does not say.

    Args:
        file: the open clip.
        last: its last frame that could be decoded.
        count: of these frames.
    """
    pictures = file.streams.video[0]
    if pictures.frames:
        return float(count / pictures.frames)
    if len(file.streams) > 1 or not file.duration or last.pts is None:  # it may be the sound that lasts so long
        return 1.0
    return float((last.pts + last.duration) * last.time_base / (file.duration * MICROSECOND))
