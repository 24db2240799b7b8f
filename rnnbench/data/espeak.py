"""Words spoken by eSpeak NG, in a process of its own."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnbench.data.spectra import Sound
from rnnbench.errors import DataUnavailable, RnnbenchError

PROCESS = Path(__file__).with_name("espeak_process.py")


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
        asked, said = Path(folder) / "words.json", Path(folder) / "said.npz"
        asked.write_text(json.dumps(utterances), "utf-8")
        command = [sys.executable, "-P", str(PROCESS), str(asked), str(said)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        if "espeakng_loader" in done.stderr and "ModuleNotFoundError" in done.stderr:
            raise DataUnavailable("spoken digits need eSpeak NG: pip install 'rnnbench[tasks]'")
        if done.returncode:
            raise RnnbenchError(f"eSpeak NG failed: {done.stderr.strip().splitlines()[-1:]}")
        with np.load(said, allow_pickle=False) as content:
            samples, ends = content["samples"], content["ends"]
    return [part.astype(np.float32) / 32768 for part in np.split(samples, ends[:-1])]
