"""Sounds as log-mel spectra: of whole sets, and of one file that somebody gives."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from rnnbench.data.audio import Sound, log_mel, read_wav, stacked
from rnnbench.data.given import Frames, keep_moments, read_moments, standard
from rnnbench.data.module import SequenceDataModule, Split
from rnnbench.data.parts import moments
from rnnbench.errors import RnnbenchError
from rnnbench.files import read_bytes

BANDS = 40


class Spectra(SequenceDataModule):
    """Sounds as log-mel spectra, standardised by band over the training part. Arguments as in `SequenceDataModule`."""

    stack: ClassVar[int] = 1
    """Frames side by side in a step."""

    def inputs_of(self, path: Path) -> Frames:
        """Inputs `[T, C]` of a sound in a WAV file. Prepares the data.

        Raises:
            RnnbenchError: it cannot be read, is no WAV file, or has another rate than what the model was trained on.
        """
        sound, rate = read_wav(read_bytes(path), str(path))
        self.prepare_data()
        known = read_moments(self.folder)
        if rate != known["rate"]:
            raise RnnbenchError(f"{path} has {rate} samples a second, but the model knows {known['rate']}: resample it")
        return standard(stacked(log_mel(sound, rate, BANDS), self.stack), known)


def standardised(parts: dict[Split, list[Sound]], folder: Path, rate: int) -> dict[Split, list[Sound]]:
    """Spectra by mean and standard deviation of each band of the training part, all frames of each in a row.

    The moments and the rate of the sounds, in Hz, are kept in `folder`, for a sound that is given later.
    """
    mean, deviation = moments(np.concatenate(parts["train"]))
    deviation = np.where(deviation > 0, deviation, 1.0)
    keep_moments(folder, mean, deviation, rate=rate)
    return {
        split: [((one - mean) / deviation).astype(np.float32).ravel() for one in some] for split, some in parts.items()
    }


def noisy(sound: Sound, snr: float | None, random: np.random.Generator) -> Sound:
    """A sound in white noise whose power lies `snr` decibels below that of the sound."""
    if snr is None:
        return sound
    power = float(np.square(sound, dtype=np.float64).mean()) / 10 ** (snr / 10)
    return np.asarray(sound + random.normal(0, np.sqrt(power), len(sound)), np.float32)
