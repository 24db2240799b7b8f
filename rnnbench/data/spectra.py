"""Sound as features: log-mel spectra."""

import io
import struct
import warnings
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from rnnbench.data.module import SequenceDataModule, Split
from rnnbench.data.splits import Frames, mean_and_std, read_moments, standard, standardise_splits
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import check_unpacked, read_bytes

Sound = np.ndarray[Any, np.dtype[Any]]
WINDOW, HOP = 0.025, 0.010
"""Seconds of a frame, and from one frame to the next."""
QUIETEST = 1e-6
UNKNOWN_SIZE = 2**32 - 1
"""What a header promises if the sound was written to a pipe."""
LOWEST_RATE = 1000


def read_wav(content: bytes, name: str) -> tuple[Sound, int]:
    """Samples `[T]` of a WAV file, from −1 to 1, and their rate in Hz; of several channels their mean.

    Read are whole numbers of 8 to 64 bits and floats of 32 and 64 bits, also in the extensible format.

    Args:
        content: of the file.
        name: of the file, for the error.

    Raises:
        RnnbenchError: it is not such a file, is cut short, or holds no sample or one that is not finite.
    """
    from scipy.io import wavfile  # slow to import

    check_unpacked(content, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # about chunks other than sound
        try:
            promised, present = _data_size(content)
            if present < promised != UNKNOWN_SIZE:
                raise RnnbenchError(
                    f"{name} is cut short: its header promises {promised:,} bytes of sound, {present:,} are there"
                )
            rate, samples = wavfile.read(io.BytesIO(content))
        except (ValueError, struct.error, ZeroDivisionError, TypeError, UnboundLocalError, MemoryError) as error:
            why = "it ends too early" if isinstance(error, struct.error | UnboundLocalError) else error
            raise RnnbenchError(f"{name} is not a WAV file that can be read: {why}") from error
    if not samples.size:
        raise RnnbenchError(f"{name} holds no sample")
    if rate < LOWEST_RATE:
        raise RnnbenchError(f"{name} has {rate} samples a second, at least {LOWEST_RATE} are needed")
    if samples.dtype == np.uint8:
        samples = samples.astype(np.int16) - 128
        scale = 2.0**7
    else:
        scale = 2.0 ** (8 * samples.dtype.itemsize - 1) if samples.dtype.kind == "i" else 1.0
    sound = samples.astype(np.float32) / np.float32(scale)
    if not np.isfinite(sound).all():
        raise RnnbenchError(f"{name} has a sample that is not a finite number")
    return (sound.mean(1) if sound.ndim == 2 else sound), rate


def _data_size(content: bytes) -> tuple[int, int]:
    """Bytes of sound that a WAV file's header promises, and bytes that are there; nothing if it has no such header."""
    order = ">" if content.startswith(b"RIFX") else "<"
    place = len("RIFF....WAVE")
    while place + 8 <= len(content):
        kind, size = struct.unpack_from(f"{order}4sI", content, place)
        place += 8
        if kind == b"data":
            return size, len(content) - place
        place += size + size % 2
    return 0, 0


def mel(frequency: Any) -> Any:
    """Mel of a frequency in Hz: 2595 log₁₀(1 + f / 700) (O'Shaughnessy 1987, as HTK has it)."""
    return 2595 * np.log10(1 + np.asarray(frequency) / 700)


def mel_filters(bands: int, size: int, rate: int) -> np.ndarray[Any, Any]:
    """Triangles of height 1, evenly spaced in mel from 0 to half the rate, one column a band, `[F, bands]`."""
    edges = 700 * (10 ** (np.linspace(0, mel(rate / 2), bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(size, 1 / rate)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0, None)


def log_mel(sound: Sound, rate: int, bands: int) -> Sound:
    """Log-mel spectrum `[T, bands]`: ln of the energy in each mel band, of a Hann window of 25 ms every 10 ms.

    A sound shorter than a window is filled up with silence.
    """
    size, hop = round(WINDOW * rate), round(HOP * rate)
    sound = np.pad(sound, (0, max(0, size - len(sound))))
    frames = np.lib.stride_tricks.sliding_window_view(sound, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size + 1)[:-1])) ** 2
    energy = np.maximum(power @ mel_filters(bands, size, rate), QUIETEST)
    return np.asarray(np.log(energy), np.float32)


def stack_frames(frames: Sound, number: int) -> Sound:
    """Every `number` frames side by side, `[ceil(T / number), number · bands]`; the last is filled up with itself."""
    missing = -len(frames) % number
    whole = np.pad(frames, ((0, missing), (0, 0)), mode="edge")
    stacks: Sound = whole.reshape(-1, number * frames.shape[1])
    return stacks


BANDS = 40


class Spectra(SequenceDataModule):
    """Sounds as log-mel spectra, standardised by band over the training part. Arguments as in `SequenceDataModule`."""

    stack: ClassVar[int] = 1
    """Frames side by side in a step."""

    def inputs_of(self, path: Path) -> Frames:
        """Inputs `[T, C]` of a sound in a WAV file. Prepares the data.

        Raises:
            RnnbenchError: it cannot be read, is not a WAV file, or has another rate than what the model was trained on.
        """
        sound, rate = read_wav(read_bytes(path), str(path))
        self.prepare_data()
        known = read_moments(self.folder)
        if rate != known["rate"]:
            raise RnnbenchError(f"{path} has {rate} samples a second, but the model knows {known['rate']}: resample it")
        return standard(stack_frames(log_mel(sound, rate, BANDS), self.stack), known)


def standardised(parts: dict[Split, list[Sound]], folder: Path, rate: int) -> dict[Split, list[Sound]]:
    """Spectra by mean and standard deviation of each band of the training part, see `standardise_splits`.

    The rate of the sounds, in Hz, is kept as well: a later input must have it.
    """
    return standardise_splits(parts, *mean_and_std(np.concatenate(parts["train"])), folder, rate=rate)


def add_noise(sound: Sound, snr: float | None, random: np.random.Generator) -> Sound:
    """A sound in white noise whose power lies `snr` decibels below that of the sound."""
    if snr is None:
        return sound
    power = float(np.square(sound, dtype=np.float64).mean()) / 10 ** (snr / 10)
    return np.asarray(sound + random.normal(0, np.sqrt(power), len(sound)), np.float32)
