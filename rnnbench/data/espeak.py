"""Words spoken by eSpeak NG, in a process of its own: `python -m rnnbench.data.espeak WORDS.json OUT.npz`."""

import ctypes
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnbench.data.audio import Sound
from rnnbench.errors import DataUnavailable, RnnbenchError

RATE = 22_050
SYNCHRONOUS, CHARACTER, UTF8_TO_ITS_END = 2, 1, 0x1001
SPEED, PITCH = 1, 3
"""Numbers of eSpeak's `speak_lib.h`."""


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
        command = [sys.executable, "-m", "rnnbench.data.espeak", str(asked), str(said)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "espeakng_loader" in done.stderr and "ModuleNotFoundError" in done.stderr:
            raise DataUnavailable("spoken digits need eSpeak NG: pip install 'rnnbench[tasks]'")
        if done.returncode:
            raise RnnbenchError(f"eSpeak NG failed: {done.stderr.strip().splitlines()[-1:]}")
        with np.load(said, allow_pickle=False) as content:
            samples, ends = content["samples"], content["ends"]
    return [part.astype(np.float32) / 32768 for part in np.split(samples, ends[:-1])]


def _say(utterances: list[Utterance]) -> list[np.ndarray[Any, Any]]:
    import espeakng_loader

    espeak = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = espeak.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate != RATE:
        raise SystemExit(f"eSpeak NG speaks at {rate} samples a second, expected {RATE}")
    heard: list[np.ndarray[Any, Any]] = []

    def hear(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            heard.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    shape = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = shape(hear)
    espeak.espeak_SetSynthCallback(callback)
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p,
        ctypes.c_void_p,
    ]  # fmt: skip
    found = []
    for word, voice, speed, pitch in utterances:
        heard.clear()
        if espeak.espeak_SetVoiceByName(voice.encode()):
            raise SystemExit(f"eSpeak NG knows no voice {voice!r}")
        espeak.espeak_SetParameter(SPEED, speed, 0)
        espeak.espeak_SetParameter(PITCH, pitch, 0)
        text = word.encode()
        espeak.espeak_Synth(text, len(text) + 1, 0, CHARACTER, 0, UTF8_TO_ITS_END, None, None)
        espeak.espeak_Synchronize()
        if not heard:
            raise SystemExit(f"eSpeak NG said nothing for {word!r} with voice {voice!r}")
        found.append(np.concatenate(heard))
    return found


if __name__ == "__main__":
    asked = [Utterance(*one) for one in json.loads(Path(sys.argv[1]).read_text("utf-8"))]
    parts = _say(asked)
    np.savez(sys.argv[2], samples=np.concatenate(parts), ends=np.cumsum([len(part) for part in parts]))
