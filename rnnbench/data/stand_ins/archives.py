"""Made-up archives with the layout of the real ones: numbers."""

import gzip
import io
import pickle
import tarfile
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from rnnbench.data.series import CHANNELS as CEPSTRA
from rnnbench.data.series import FILES, SPEAKERS
from rnnbench.data.weather import CHANNELS


def tarball(members: dict[str, bytes]) -> bytes:
    """A gzipped tar of the members, without the time, so that its hash is always the same."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def wheel(members: dict[str, bytes]) -> bytes:
    """A zip of the members."""
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


def laser_npy(steps: int = 600) -> bytes:
    """Whole numbers from 0 to 255 that swell and fall together, `[steps, 1]`, as NumPy keeps them."""
    time = np.arange(steps)
    values = 60 + 60 * np.sin(time) * np.sin(time / 40) + np.random.default_rng(0).random(steps)
    out = io.BytesIO()
    np.save(out, values.astype(np.int64)[:, None])
    return out.getvalue()


def digits_gz() -> bytes:
    """`digits_csv`, packed."""
    return gzip.compress(digits_csv().encode(), mtime=0)


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
    lines = ["#made up", "@problemName JapaneseVowels", "@equalLength false"]
    lines += [f"@classLabel true {' '.join(map(str, range(1, SPEAKERS + 1)))}", "@data"]
    for speaker in np.repeat(np.arange(1, SPEAKERS + 1), each):
        values = speaker / 5 + random.normal(size=(CEPSTRA, random.integers(7, 30)))
        channels = [",".join(f"{value:.6f}" for value in channel) for channel in values]
        lines.append(":".join([*channels, str(speaker)]))
    return "\n".join(lines) + "\n"


def univariate_ts(labels: list[int], steps: int, each: int) -> str:
    """Waves of one channel, faster from class to class, in the layout of the UCR archive."""
    random = np.random.default_rng(each)
    lines = ["#made up", f"@classLabel true {' '.join(map(str, labels))}", "@data"]
    for label in np.repeat(labels, each):
        values = np.sin(np.arange(steps) * (label + 1) / 4 + random.normal()) + random.normal(size=steps) / 10
        lines.append(",".join(f"{value:.6f}" for value in values) + f":{label}")
    return "\n".join(lines) + "\n"


def aeon_wheel() -> bytes:
    """The Japanese vowels, and four sets of the UCR archive."""
    members = {}
    for part, each in (("TRAIN", 10), ("TEST", 4)):
        members[FILES.format(name="JapaneseVowels", part=part)] = vowels_ts(each).encode()
        for name, labels in {"ArrowHead": [0, 1, 2], "OSULeaf": [*range(1, 7)]}.items():
            members[FILES.format(name=name, part=part)] = univariate_ts(labels, 20, each).encode()
        for name in ("GunPoint", "ItalyPowerDemand"):
            members[FILES.format(name=name, part=part)] = univariate_ts([1, 2], 24, each).encode()
    return wheel(members)


def piano_rolls(folder: Path) -> str:
    """Two or three keys a frame, in the layout of Boulanger-Lewandowski's pickles."""
    random = np.random.default_rng(0)

    def piece() -> list[list[int]]:
        return [sorted((21 + random.choice(88, 3)).tolist()) for _ in range(random.integers(5, 12))]

    path = folder / "rolls.pickle"
    path.write_bytes(pickle.dumps({split: [piece() for _ in range(8)] for split in ("train", "valid", "test")}))
    return str(path)
