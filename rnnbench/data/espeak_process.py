"""Says words by eSpeak NG. A process of its own, run by its file so that it imports nothing of the package.

`python -P espeak_process.py WORDS.json OUT.npz`: words are lists of word, voice, speed and pitch.
"""

import ctypes
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

RATE = 22_050
SYNCHRONOUS, CHARACTER, UTF8_TO_ITS_END = 2, 1, 0x1001
SPEED, PITCH = 1, 3
"""Numbers of eSpeak's `speak_lib.h`."""


def _say(utterances: list[tuple[str, str, int, int]]) -> list[np.ndarray[Any, Any]]:
    import espeakng_loader

    espeak = ctypes.CDLL(espeakng_loader.get_library_path())
    rate = espeak.espeak_Initialize(SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0)
    if rate != RATE:
        raise SystemExit(f"eSpeak NG speaks at {rate} samples a second, expected {RATE}")
    chunks: list[np.ndarray[Any, Any]] = []

    def collect(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    shape = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    callback = shape(collect)
    espeak.espeak_SetSynthCallback(callback)
    espeak.espeak_Synth.argtypes = [
        ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p,
        ctypes.c_void_p,
    ]  # fmt: skip
    sounds = []
    for word, voice, speed, pitch in utterances:
        chunks.clear()
        if espeak.espeak_SetVoiceByName(voice.encode()):
            raise SystemExit(f"eSpeak NG knows no voice {voice!r}")
        espeak.espeak_SetParameter(SPEED, speed, 0)
        espeak.espeak_SetParameter(PITCH, pitch, 0)
        text = word.encode()
        espeak.espeak_Synth(text, len(text) + 1, 0, CHARACTER, 0, UTF8_TO_ITS_END, None, None)
        espeak.espeak_Synchronize()
        if not chunks:
            raise SystemExit(f"eSpeak NG returned no sound for {word!r} with voice {voice!r}")
        sounds.append(np.concatenate(chunks))
    return sounds


if __name__ == "__main__":
    parts = _say(json.loads(Path(sys.argv[1]).read_text("utf-8")))
    np.savez(sys.argv[2], samples=np.concatenate(parts), ends=np.cumsum([len(part) for part in parts]))
