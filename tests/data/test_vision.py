"""Pictures, clips and captions: what is seen, and what never is in two parts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import nn

from rnnbench.data import MNIST1D, UCF101, CaptionEmoji, Flickr8k, MovingDigits
from rnnbench.data.captions import without_variants
from rnnbench.data.module import SPLITS, Split
from rnnbench.data.stand_ins.images import clips, photographs
from rnnbench.data.video import DIGIT, SIDE, read_clip
from rnnbench.data.vision import EfficientNet, encode_pictures, make_encoder, read_picture
from rnnbench.errors import RnnbenchError

PAIRS: list[tuple[Split, Split]] = [("train", "validation"), ("train", "test"), ("validation", "test")]
ENCODER = "tests.data.test_vision.corners"


class Corners(nn.Module):
    """Mean grey of the four quarters of a picture."""

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return nn.functional.adaptive_avg_pool2d(pictures.mean(1, keepdim=True), 2).flatten(1)


def corners() -> nn.Module:
    return Corners()


# --- the CNN


@pytest.mark.usefixtures("module_stand_ins")
def test_a_cnn_is_frozen_and_gives_what_is_seen_or_where_it_is() -> None:
    weights = MovingDigits.sources[1]
    pooled, early = EfficientNet("pooled", weights), EfficientNet("map", weights)
    assert not pooled.training
    assert not any(parameter.requires_grad for parameter in pooled.parameters())
    pictures = torch.rand(2, 3, 64, 64)
    assert pooled(pictures).shape == (2, 1280)
    assert early(pictures).shape == (2, 640)
    whole = pooled.network.extract_features((255 * pictures - 127) / 128)
    assert torch.allclose(pooled(pictures), whole.mean((2, 3)))
    moved = torch.roll(pictures, 32, -1)
    assert not torch.allclose(early(pictures), early(moved), rtol=1e-2, atol=0.0)


def test_pictures_keep_their_groups() -> None:
    random = np.random.default_rng(0)
    groups = [random.integers(0, 256, (size, 8, 8, 3), np.uint8) for size in (1, 70, 3)]
    features = encode_pictures(corners(), groups)
    assert [len(one) for one in features] == [1, 70, 3]
    expected = groups[1][5].mean(-1).reshape(2, 4, 2, 4).mean((1, 3)).ravel() / 255
    assert features[1][5] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere", "encoder 'nowhere' cannot be made: ValueError"),
        ("tests.nowhere", "encoder 'tests.nowhere' cannot be made: AttributeError"),
        ("builtins.dict", r"encoder 'builtins.dict' returned a dict, not a torch.nn.Module"),
    ],
)
def test_an_encoder_that_cannot_be_made_or_returns_another_shape(name: str, words: str) -> None:
    with pytest.raises(RnnbenchError, match=words):
        make_encoder(name, "pooled")
    with pytest.raises(RnnbenchError, match=r"an encoder must return \[N, F\], got \[2, 3, 4, 4\] for 2 pictures"):
        encode_pictures(nn.Identity(), [np.zeros((2, 4, 4, 3), np.uint8)])


# --- digits that move


@pytest.mark.usefixtures("module_stand_ins")
def test_a_digit_moves_where_its_target_says_and_is_in_one_part() -> None:
    data = MovingDigits(clips=80, frames=5, encoder="pixels", batch_size=8)
    seen = {split: set(data.table(split)["picture"]) for split in SPLITS}
    assert sum(map(len, seen.values())) == 80
    assert not any(seen[one] & seen[other] for one, other in PAIRS)
    random = np.random.default_rng(0)
    picture = np.full(DIGIT * DIGIT, 1.0)
    steps = [(0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1)]
    for motion, (down, right) in enumerate(steps):
        clip = data._clip(picture, motion, random)[..., 0]
        assert (clip.sum((1, 2)) == 255 * DIGIT * DIGIT).all()  # never cut off
        places = np.array([np.argwhere(frame).min(0) for frame in clip])
        way = places[-1] - places[0]
        assert np.sign(np.where(abs(way) > 1, way, 0)).tolist() == [down, right]
        assert 1.5 * 4 - 1 <= np.hypot(*way) <= 3 * 4 + 2


@pytest.mark.usefixtures("module_stand_ins")
def test_clips_of_the_cnn_and_of_ones_own() -> None:
    cnn = MovingDigits(clips=80, frames=2, batch_size=8)
    assert cnn.model_kwargs()["input_size"] == 640
    own = MovingDigits("digit", clips=80, frames=2, encoder=ENCODER, batch_size=8)
    assert (own.model_kwargs()["input_size"], own.model_kwargs()["output_size"]) == (4, 10)
    own.setup()
    train = own.stores["train"]
    inputs, targets, lengths = train.batch(range(len(train)))
    assert inputs.shape == (len(train), 2, 4)
    assert lengths is None
    assert torch.allclose(inputs.flatten(0, 1).mean(0), torch.zeros(4), atol=1e-5)
    assert targets.max() < 10
    assert SIDE == 64


# --- clips of a folder


def test_clips_of_a_scene_are_in_one_part(tmp_path: Path) -> None:
    data = UCF101(clips(tmp_path), frames=4, side=32, encoder=ENCODER)
    assert data.model_kwargs()["output_size"] == 2
    scenes = {split: {(one.split("_")[1], one.split("_")[2]) for one in data.table(split)["clip"]} for split in SPLITS}
    assert not any(scenes[one] & scenes[other] for one, other in PAIRS)
    right = read_clip(next(tmp_path.glob("clips/GoRight/*")), 3, 64)[..., 0]
    assert right.shape == (3, 64, 64)
    places = [np.argwhere(frame > 128)[:, 1].mean() for frame in right]
    assert places == sorted(places)


@pytest.mark.parametrize("broken", ["empty", "no clip", "one class", "missing"])
def test_a_folder_of_clips_that_cannot_be_read(tmp_path: Path, broken: str) -> None:
    path, words = Path(clips(tmp_path)), "cannot be decoded"
    clip = path / "GoLeft" / "v_GoLeft_g00_c01.avi"
    if broken == "empty":
        clip.write_bytes(b"")
        words = "is empty"
    elif broken == "no clip":
        clip.write_bytes(b"RIFF" + bytes(1000))
    elif broken == "one class":
        words = "must have a folder of clips .* for each of at least two classes"
        path = path / "GoLeft"
    else:
        path, words = path / "nowhere", "is not a folder"
    with pytest.raises(RnnbenchError, match=words):
        UCF101(str(path), frames=2, side=32, encoder=ENCODER).prepare_data()


def test_pictures_are_encoded_in_their_groups_as_they_come() -> None:
    random = np.random.default_rng(0)
    groups = [random.integers(0, 256, (size, 4, 4, 3), dtype=np.uint8) for size in (3, 60, 1, 1, 150, 2)]
    seen: list[tuple[int, int]] = []
    came = 0

    def coming() -> Iterator[Any]:
        nonlocal came
        for group in groups:
            came += 1
            yield group

    class Mean(nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            seen.append((len(pictures), came))
            return pictures.mean((2, 3))

    found = encode_pictures(Mean(), coming())
    assert seen == [(64, 3), (64, 5), (64, 5), (25, 6)]  # pictures of a batch, groups that had come by then
    for features, group in zip(found, groups, strict=True):
        assert np.allclose(features, group.mean((1, 2)) / 255, atol=1e-6)


# --- captions


@pytest.mark.parametrize(
    ("emoji", "bare"),
    [
        ("👩🏾‍🚀", "🚀"),
        ("🧑‍🚀", "🚀"),
        ("👨", "person"),
        ("👩🏿", "person"),
        ("🏃🏻‍♀️", "🏃"),
        ("🍓", "🍓"),
        ("❤️", "❤"),
        ("🏃🏽‍♀️‍➡️", "🏃"),
        ("🙂‍↔️", "🙂"),
        ("➡️", "➡"),
    ],
)
def test_variants_of_an_emoji_have_one_base(emoji: str, bare: str) -> None:
    assert without_variants(emoji) == bare


@pytest.mark.usefixtures("module_stand_ins")
def test_emoji_have_their_names_and_variants_are_in_one_part() -> None:
    data = CaptionEmoji(size=400, encoder=ENCODER)
    texts = {split: data.table(split)["text"][:] for split in SPLITS}
    assert sum(map(len, texts.values())) == 400
    assert not any("_" in text or ":" in text for some in texts.values() for text in some)
    words = {split: {text.split(" with ")[0] for text in some if "skin tone" in text} for split, some in texts.items()}
    assert any(words.values())
    assert not any(words[one] & words[other] for one, other in PAIRS)
    tokenizer = Tokenizer.from_str(data.model_kwargs()["objective_options"]["tokenizer"])
    row = data.table("train")[0]
    assert tokenizer.decode(row["targets"][:-1], skip_special_tokens=False) == row["text"]
    assert row["targets"][-1] == 3
    assert data.metadata()["baseline_scores"]["exact_match"] < 0.1


@pytest.mark.usefixtures("module_stand_ins")
def test_photographs_have_five_captions_in_training_and_one_in_a_test(tmp_path: Path) -> None:
    data = Flickr8k(photographs(tmp_path), encoder=ENCODER)
    assert [len(data.table(split)) for split in SPLITS] == [60, 4, 4]
    row = data.table("test")[0]
    assert row["text"] == "a red wall in number 0 ."
    parts: Any = datasets.DatasetDict.load_from_disk(photographs(tmp_path))
    parts["test"] = parts["test"].remove_columns("caption_3")
    parts.save_to_disk(str(tmp_path / "lacking"))
    with pytest.raises(RnnbenchError, match="split 'test' has no column 'caption_3'"):
        Flickr8k(str(tmp_path / "lacking"), encoder=ENCODER).prepare_data()


def test_photographs_are_seen_alike_in_training_and_when_one_is_given_later(tmp_path: Path) -> None:
    random, colours = np.random.default_rng(0), ["a red wall ."] * 5
    photograph = Image.fromarray(random.integers(0, 256, (40, 60, 3)).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    photograph.save(tmp_path / "turned.jpg", exif=exif)
    features = datasets.Features(
        {"image": datasets.Image(), **{f"caption_{n}": datasets.Value("string") for n in range(5)}}
    )
    rows = {"image": [str(tmp_path / "turned.jpg")], **{f"caption_{n}": [text] for n, text in enumerate(colours)}}
    parts = {split: datasets.Dataset.from_dict(rows, features) for split in SPLITS}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "set"))
    data = Flickr8k(str(tmp_path / "set"), encoder=ENCODER)
    (found,) = data.captioned()["test"]
    upright = Image.open(tmp_path / "turned.jpg").transpose(Image.Transpose.ROTATE_270)
    assert np.array_equal(found.picture, np.asarray(upright.resize((224, 224))))
    content = (tmp_path / "turned.jpg").read_bytes()
    assert np.array_equal(found.picture, read_picture(content, "one", data.side, data.smoothing))


def test_a_photograph_that_cannot_be_read_is_named_with_its_row(tmp_path: Path) -> None:
    parts: Any = datasets.DatasetDict.load_from_disk(photographs(tmp_path))
    rows = parts["test"].cast_column("image", datasets.Image(decode=False)).to_list()
    rows[2]["image"] = {"bytes": rows[2]["image"]["bytes"][:40], "path": "two.png"}
    parts["test"] = datasets.Dataset.from_list(rows, features=parts["train"].features)
    parts.save_to_disk(str(tmp_path / "broken"))
    told = r"split 'test', row 2, two\.png is not a picture that can be read"
    with pytest.raises(RnnbenchError, match=told):
        Flickr8k(str(tmp_path / "broken"), encoder=ENCODER).captioned()


# --- one-dimensional MNIST


def test_mnist_1d_is_its_generators() -> None:
    data = MNIST1D()
    assert [len(data.table(split)) for split in SPLITS] == [3200, 800, 1000]
    rows = {split: {tuple(row) for row in data.table(split)["inputs"]} for split in SPLITS}
    assert sum(map(len, rows.values())) == 5000
    assert not any(rows[one] & rows[other] for one, other in PAIRS)
    assert data.model_kwargs()["output_size"] == 10
