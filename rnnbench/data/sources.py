"""Archives of real data, fetched by package name and version from the package index that pip is set up for."""

import hashlib
import re
import subprocess
import sys
import tempfile
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from rnnbench.errors import DataUnavailable
from rnnbench.files import CACHE, cache_folder, remove_leftovers, writing


@dataclass(frozen=True)
class Source:
    """One archive: read where it lies, never installed or imported.

    Args:
        package: name in the index.
        version: exact version.
        file: file name of the sdist (`.tar.gz`) or wheel (`.whl`).
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
        """The path of the archive, fetched first if it is not in the cache; safe when several processes ask at once.

        Raises:
            DataUnavailable: it cannot be fetched, or what came has another hash (nothing of it is kept).
        """
        with writing(self.path, CACHE), FileLock(cache_folder("locks") / f"{self.file}.lock"):
            if not self.cached():
                remove_leftovers(cache_folder("archives"), f".{self.file}-")
                with tempfile.TemporaryDirectory(dir=cache_folder("archives"), prefix=f".{self.file}-") as folder:
                    self._download(Path(folder))
                    arrived = Path(folder) / self.file
                    self._check(arrived)
                    arrived.replace(self.path)
        return self.path

    def _check(self, path: Path) -> None:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.sha256:
            path.unlink()
            raise DataUnavailable(
                f"{path.name} has sha256 {found}, expected {self.sha256}; the file was removed, run again to fetch it"
            )

    def _download(self, folder: Path) -> None:
        kind = "--only-binary" if self.file.endswith(".whl") else "--no-binary"
        # With the hash in the requirement, pip refuses a wrong archive before it looks inside.
        requirement = folder / "requirement.txt"
        requirement.write_text(f"{self.package}=={self.version} --hash=sha256:{self.sha256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--requirement", str(requirement), "--dest", str(folder),
                   "--no-deps", kind, ":all:", "--progress-bar", "raw", "--no-input", "--retries", "2",
                   "--timeout", "15", "--disable-pip-version-check"]  # fmt: skip
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            said = self._follow(process)
        if process.returncode or not (folder / self.file).exists():
            raise DataUnavailable(f"{self.package}=={self.version} could not be fetched with pip: {_reason(said)}")

    def _follow(self, process: "subprocess.Popen[str]") -> list[str]:
        """Show pip's progress as a bar on standard error (nothing if that is no terminal); the last lines it said."""
        said: deque[str] = deque(maxlen=30)
        columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(f"{self.package} {self.version}", total=None)
            for line in process.stdout or ():
                if match := re.fullmatch(r"Progress (\d+) of (\d+)", line.strip()):
                    progress.update(bar, completed=int(match[1]), total=int(match[2]) or None)
                else:
                    said.append(line.strip())
        return list(said)


def _reason(said: list[str]) -> str:
    """What matters of pip's output: its errors, with the hashes if these were wrong."""
    told = [line for line in said if line.startswith("ERROR:") or line.lower().startswith(("expected sha256", "got"))]
    return " ".join(told or said[-1:]).removeprefix("ERROR: ") or "pip said nothing"
