"""Made-up archives with the layout of the real ones: sounds."""

import gzip
import io
import wave
from pathlib import Path
from typing import Any

import datasets
import numpy as np

from rnnbench.data.speech import RECORDINGS, TRANSCRIPTS
from rnnbench.data.stand_ins.archives import tarball

WORDS = ("yes", "no", "press", "one", "two", "please")


def deb(members: dict[str, bytes]) -> bytes:
    """A Debian package with nothing in it but files."""
    parts = {"debian-binary": b"2.0\n", "control.tar.gz": tarball({"./control": b""}),
             "data.tar.gz": tarball({f"./{name}": content for name, content in members.items()})}  # fmt: skip
    out = b"!<arch>\n"
    for name, content in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        out += b"\n" * (len(content) % 2)
    return out


def wav(samples: np.ndarray[Any, Any], rate: int) -> bytes:
    """Samples from −1 to 1 as a mono WAV file of 16 bits."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return out.getvalue()


def tones(words: list[str], rate: int) -> np.ndarray[Any, Any]:
    """A tone for each letter, 90 ms long."""
    times = np.arange(round(0.09 * rate)) / rate
    pitches = [150 + 60 * (ord(letter) - 96) if letter != " " else 0 for letter in " ".join(words)]
    return np.concatenate([0.5 * np.sin(2 * np.pi * pitch * times) for pitch in pitches])


def prompts(count: int = 40) -> tuple[bytes, bytes]:
    """Transcripts and recordings; two have one text, one is a noise, one is too long."""
    random = np.random.default_rng(0)
    texts = {f"prompt{k:02}": list(random.choice(WORDS, random.integers(1, 4))) for k in range(count)}
    texts |= {"again": texts["prompt00"], "long": ["please"] * 20, "digits/deep": ["one", "two"]}
    lines = ["; made up", "", *(f"{name}: {' '.join(words).capitalize()}." for name, words in texts.items())]
    content = gzip.compress("\n".join([*lines, "beep: [a beep]"]).encode(), mtime=0)
    recordings = {f"{RECORDINGS}{name}.wav": wav(tones(words, 8000), 8000) for name, words in texts.items()}
    return deb({TRANSCRIPTS: content}), deb({**recordings, f"{RECORDINGS}beep.wav": wav(np.zeros(800), 8000)})


def spoken_commands(folder: Path) -> str:
    """Clips of three words in the layout of the hub's speech commands, with one of silence."""
    path = folder / "commands"
    names = ["no", "one", "yes", "_silence_"]
    parts = {}
    for split, each in (("train", 4), ("validation", 2), ("test", 2)):
        rows: dict[str, list[Any]] = {"audio": [], "label": []}
        for label, name in enumerate([*names[:3] * each, names[3]]):
            clip = np.zeros(1600) if name == "_silence_" else tones([name], 16_000)
            rows["audio"].append({"bytes": wav(clip, 16_000), "path": f"{name}/{split}{label}.wav"})
            rows["label"].append(names.index(name))
        table = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio(16_000))
        parts[split] = table.cast_column("label", datasets.ClassLabel(names=names))
    datasets.DatasetDict(parts).save_to_disk(str(path))
    return str(path)
