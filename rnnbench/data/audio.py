"""Sound as features: log-mel spectra."""

import io
import wave
from typing import Any

import numpy as np

from rnnbench.errors import RnnbenchError

Sound = np.ndarray[Any, np.dtype[Any]]
WINDOW, HOP = 0.025, 0.010
"""Seconds of a frame, and from one frame to the next."""
QUIETEST = 1e-6


def read_wav(content: bytes, name: str) -> tuple[Sound, int]:
    """Samples from −1 to 1 of a mono WAV file of 16 bits, and their rate in Hz.

    Raises:
        RnnbenchError: it is none, or holds no sample.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            shape, rate = (file.getnchannels(), file.getsampwidth()), file.getframerate()
            samples = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise RnnbenchError(f"{name} is no WAV file: {str(error) or 'it ends too early'}") from error
    if shape != (1, 2):
        raise RnnbenchError(f"{name} has {shape[0]} channels of {8 * shape[1]} bits; one of 16 is read")
    if not samples:
        raise RnnbenchError(f"{name} holds no sample")
    return np.frombuffer(samples, "<i2").astype(np.float32) / 32768, rate


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


def stacked(frames: Sound, number: int) -> Sound:
    """Every `number` frames side by side, `[ceil(T / number), number · bands]`; the last is filled up with itself."""
    missing = -len(frames) % number
    whole = np.pad(frames, ((0, missing), (0, 0)), mode="edge")
    stacks: Sound = whole.reshape(-1, number * frames.shape[1])
    return stacks
