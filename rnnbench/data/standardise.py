"""One more input, of a file that somebody gives, as a model was trained to read it."""

import json
from pathlib import Path
from typing import Any

import numpy as np

MOMENTS = "moments.json"
Frames = np.ndarray[Any, np.dtype[Any]]


def write_moments(folder: Path, mean: Frames, deviation: Frames, **more: Any) -> None:
    """Keep mean and deviation of each channel of the training part beside the data, and whatever else is needed."""
    content = {"mean": mean.tolist(), "deviation": deviation.tolist(), **more}
    (folder / MOMENTS).write_text(json.dumps(content), "utf-8")


def read_moments(folder: Path) -> dict[str, Any]:
    """What `write_moments` wrote, `mean` and `deviation` as arrays."""
    content: dict[str, Any] = json.loads((folder / MOMENTS).read_text("utf-8"))
    return {**content, **{name: np.array(content[name]) for name in ("mean", "deviation")}}


def standard(frames: Frames, moments: dict[str, Any]) -> Frames:
    """Frames `[T, C]` by the moments of the training part."""
    return np.asarray((frames - moments["mean"]) / moments["deviation"], np.float32)
