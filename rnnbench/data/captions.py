"""Pictures and their captions: emoji with their names, and photographs."""

import io
import re
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple

import datasets
import numpy as np

from rnnbench.data.hub import HubDataModule, read_hub, stored_file
from rnnbench.data.module import SPLITS, SequenceDataModule, Split, Splits
from rnnbench.data.splits import Frames, grouped_splits, read_moments, standard
from rnnbench.data.tokens import sentence_tokenizer
from rnnbench.data.vision import (
    EFFICIENTNET,
    WEIGHTS,
    Pictures,
    Smoothing,
    encode_pictures,
    encoder_needs,
    make_encoder,
    read_picture,
    standardised,
)
from rnnbench.errors import DataUnavailable
from rnnbench.objectives.text_metrics import corpus_scores
from rnnbench.utils.download import Source
from rnnbench.utils.files import expand_home, read_bytes

FONT = "usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
STRIKE = 109
"""The one size of the font's pictures."""
SIDE = 96
SKIN = re.compile("[\U0001f3fb-\U0001f3ff]")
SIGNS = re.compile("\u200d[\u27a1\u2194\u2195]|[\ufe0f\u200d\u2640\u2642]")
"""Joined arrows, which turn an emoji; what joins; signs of gender."""
PEOPLE = re.compile("[\U0001f468\U0001f469\U0001f9d1]")
"""Man, woman, person."""


class Captioned(NamedTuple):
    """A picture `[height, width, 3]` and its captions, of which the first is the reference."""

    picture: Pictures
    captions: list[str]


class Captions(SequenceDataModule):
    """Pictures and their captions.

    Inputs `[B, 1, F]`: features of the picture from a frozen CNN, standardised over the training part. Targets
    `[B, U]`: ids of the caption's lower-cased words and punctuation marks (`tokenizer.json`, counted on the training
    part, with `<pad>` 0, `<unk>` 1, `<s>` 2, `</s>` 3), then `</s>`, padded with −100. In training each caption of a
    picture is a row; in validation and test the first alone.

    Args:
        encoder: `efficientnet-lite0` (its last map, pooled) or an import path of yours.
        vocabulary_size: words to know, with the four special ones.
        batch_size: see `SequenceDataModule`.
        data_seed: see `SequenceDataModule`.
        shuffle_seed: see `SequenceDataModule`.
    """

    objective = "captioning"
    variable_length_targets = True
    unknown = -100
    side: ClassVar[int]
    """Height and width of a picture as the encoder sees it."""
    smoothing: ClassVar[Smoothing] = "bilinear"
    """How pictures are scaled to that."""

    def __init__(
        self,
        encoder: str = EFFICIENTNET,
        vocabulary_size: int = 5000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if vocabulary_size < 5:
            raise ValueError(f"vocabulary_size must be at least 5, got {vocabulary_size}")
        super().__init__(batch_size, data_seed, shuffle_seed)
        self.encoder, self.vocabulary_size = encoder, vocabulary_size

    @property
    def needs(self) -> tuple[str, ...]:
        """What reads pictures, and our own encoder."""
        return ("PIL", *encoder_needs(self.encoder))

    def inputs_of(self, path: Path) -> Frames:
        """Inputs `[1, F]` of a picture in a file. Prepares the data.

        Raises:
            RnnbenchError: it cannot be read, or is not a picture.
        """
        picture = read_picture(read_bytes(path), str(path), self.side, self.smoothing)
        self.prepare_data()
        encoder = make_encoder(self.encoder, "pooled", self.sources[-1])
        return standard(encode_pictures(encoder, [picture[None]])[0], read_moments(self.folder))

    @abstractmethod
    def captioned(self) -> dict[Split, list[Captioned]]:
        """The three parts."""

    def build_splits(self, folder: Path) -> Splits:  # noqa: D102
        parts = self.captioned()
        encoder = make_encoder(self.encoder, "pooled", self.sources[-1])
        tokenizer = sentence_tokenizer((text for one in parts["train"] for text in one.captions), self.vocabulary_size)
        tokenizer.save(str(folder / "tokenizer.json"))
        inputs = standardised(
            {split: encode_pictures(encoder, (one.picture[None] for one in some)) for split, some in parts.items()},
            folder,
        )
        tables = {}
        for split, some in parts.items():
            pairs = [
                (features, text)
                for one, features in zip(some, inputs[split], strict=True)
                for text in (one.captions if split == "train" else one.captions[:1])
            ]
            tables[split] = datasets.Dataset.from_dict({
                "text": [text for _, text in pairs],
                "inputs": [features for features, _ in pairs],
                "targets": [one.ids for one in tokenizer.encode_batch([text for _, text in pairs])],
            })  # fmt: skip
        usual = _usual([tokenizer.encode(text).tokens[:-1] for text in tables["train"]["text"]])
        true = [" ".join(tokenizer.encode(text).tokens[:-1]) for text in tables["test"]["text"]]
        longest = max(map(len, tables["train"]["targets"]))
        return Splits(tables, len(inputs["train"][0]), tokenizer.get_vocab_size(), f"always {usual!r}",
                      corpus_scores([usual] * len(true), true),
                      {"tokenizer": tokenizer.to_str(), "max_length": 2 * longest})  # fmt: skip


def _usual(texts: list[list[str]]) -> str:
    """The most frequent word at each place of a caption, up to the usual number of words."""
    length = round(float(np.mean([len(words) for words in texts])))
    usual = []
    for place in range(length):
        words, counts = np.unique([words[place] for words in texts if len(words) > place], return_counts=True)
        usual.append(str(words[counts.argmax()]))
    return " ".join(usual)


class CaptionEmoji(Captions):
    """Emoji and their English names.

    Every fully-qualified emoji that the font has, drawn 96 pixels high on white. 70 : 15 : 15, drawn from `data_seed`,
    by what remains without skin tone, gender, kind of person and direction: the variants of one emoji are in one part.

    Args:
        size: how many emoji, at least 40; None: all.
        encoder: this and all others see `Captions`.

    Raises:
        ValueError: a value out of its range.
        DataUnavailable: the font, the names or the CNN cannot be had.
    """

    sources = (
        Source(
            "fonts-noto-color-emoji",
            "2.042-0+deb12u1",
            "fonts-noto-color-emoji_2.042-0+deb12u1_all.deb",
            "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751",
            "OFL-1.1; names BSD-3-Clause",
        ),
        WEIGHTS,
    )
    side = SIDE

    def __init__(
        self,
        size: int | None = None,
        encoder: str = EFFICIENTNET,
        vocabulary_size: int = 5000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        if size is not None and size < 40:
            raise ValueError(f"size must be at least 40, got {size}")
        super().__init__(encoder, vocabulary_size, batch_size, data_seed, shuffle_seed)
        self.size = size

    @property
    def needs(self) -> tuple[str, ...]:
        """Also the names of emoji."""
        return ("emoji", *super().needs)

    def captioned(self) -> dict[Split, list[Captioned]]:  # noqa: D102
        try:
            from emoji import EMOJI_DATA, STATUS
            from PIL import Image, ImageDraw, ImageFont
        except ModuleNotFoundError as error:
            raise DataUnavailable(f"emoji need {error.name}: pip install 'rnnbench[tasks]'") from None
        font = ImageFont.truetype(io.BytesIO(self.sources[0].members(FONT)[FONT]), STRIKE)
        whole = [one for one, about in EMOJI_DATA.items() if about["status"] == STATUS["fully_qualified"]]
        pictures: dict[str, Captioned] = {}
        for one in sorted(whole)[: self.size]:
            canvas = Image.new("RGB", (136, 128), "white")
            ImageDraw.Draw(canvas).text((0, 0), one, font=font, embedded_color=True)
            picture = np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
            pictures[one] = Captioned(picture, [_name(EMOJI_DATA[one]["en"])])
        names = list(pictures)
        rows = grouped_splits([without_variants(one) for one in names], self.data_seed)
        return {split: [pictures[names[row]] for row in some] for split, some in rows.items()}


class Flickr8k(HubDataModule, Captions):
    """Photographs and five captions of each (Hodosh, Young & Hockenmaier 2013), from a hub.

    Args:
        path: a data set on the hub, or a folder of the same layout: splits `train`, `validation` and `test` with the
            columns `image` and `caption_0` to `caption_4`.
        encoder: this and all others see `Captions`.

    Raises:
        ValueError: `vocabulary_size` is too small.
        DataUnavailable: the hub cannot be reached.
        RnnbenchError: a split or a column is missing, or a row is empty.
    """

    sources = (WEIGHTS,)
    side = 224
    smoothing: ClassVar[Smoothing] = "bicubic"

    def __init__(
        self,
        path: str = "jxie/flickr8k",
        encoder: str = EFFICIENTNET,
        vocabulary_size: int = 5000,
        batch_size: int = 64,
        data_seed: int = 0,
        shuffle_seed: int = 0,
    ) -> None:
        super().__init__(encoder, vocabulary_size, batch_size, data_seed, shuffle_seed)
        self.path = expand_home(path)

    def captioned(self) -> dict[Split, list[Captioned]]:  # noqa: D102
        columns = [f"caption_{number}" for number in range(5)]
        kinds = {**dict.fromkeys(columns, str), "image": dict}
        parts = read_hub(self.path, kinds, undecoded={"image": datasets.Image})
        return {
            split: [
                Captioned(
                    read_picture(*stored_file(row["image"], self.path, split, number), self.side, self.smoothing),
                    [row[name] for name in columns],
                )
                for number, row in enumerate(parts[split])
            ]
            for split in SPLITS
        }


def without_variants(emoji: str) -> str:
    """What an emoji shows, whoever it is: without skin tone, gender, kind of person and direction."""
    bare = SIGNS.sub("", SKIN.sub("", emoji))
    return PEOPLE.sub("", bare) or "person"


def _name(name: str) -> str:
    return " ".join(name.strip(":").replace("_", " ").replace("-", " ").lower().split())
