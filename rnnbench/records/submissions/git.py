"""What git knows of a folder of records. Everything that it says is data: no name becomes an option or a command."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rnnbench.errors import RnnbenchError
from rnnbench.records.record import LARGEST_FILE

MAINS = ("origin/main", "main", "origin/master", "master")
PLAIN = ("100644", "100755")
"""Modes of plain files; links and submodules have others."""
AMENDS = "Amends-records"
"""Trailer of a commit by which a maintainer says why records are changed after the fact."""


@dataclass(frozen=True)
class Change:
    """A commit changed (`after`) or removed (no `after`) a file; both are names of contents."""

    commit: str
    excuse: str
    path: str
    before: str
    after: str


@dataclass(frozen=True)
class Repository:
    """A repository around a folder, and the folder's place in it."""

    root: Path
    folder: str

    @classmethod
    def around(cls, folder: Path) -> "Repository | None":
        """The repository that holds a folder, if one does and has a commit."""
        start = next((one for one in (folder, *folder.resolve().parents) if one.is_dir()), Path.cwd())
        try:
            top = os.fsdecode(_git(start, "rev-parse", "--show-toplevel")).rstrip("\n")
            _git(start, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except (OSError, subprocess.CalledProcessError):
            return None
        root = Path(top)
        return cls(root, folder.resolve().relative_to(root.resolve()).as_posix())

    def commit(self, revision: str) -> str:
        """The commit that a revision names.

        Raises:
            RnnbenchError: there is none.
        """
        try:
            return self._say("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except subprocess.CalledProcessError:
            raise RnnbenchError(f"git knows no revision {revision!r} in {self.root}") from None

    def base(self) -> str:
        """Where HEAD left main; HEAD itself where there is no main."""
        for main in MAINS:
            try:
                return self._say("merge-base", "HEAD", self.commit(main))
            except (RnnbenchError, subprocess.CalledProcessError):
                continue
        return self.commit("HEAD")

    def files(self, commit: str) -> dict[str, str]:
        """Plain files of the folder at a commit: path below the folder, name of the content."""
        told = self._run("ls-tree", "-r", "-z", "--full-tree", commit, "--", self.folder)
        found = {}
        for line in told.decode(errors="surrogateescape").split("\0")[:-1]:
            about, _, path = line.partition("\t")
            mode, _, content = about.split()
            if mode in PLAIN:
                found[path.removeprefix(f"{self.folder}/")] = content
        return found

    def changed(self, commit: str) -> dict[str, str]:
        """Files of the folder that are other than at a commit, or are gone: path, and name of the content then."""
        told = self._run("diff", "--raw", "-z", "--no-renames", "--no-abbrev", "--diff-filter=MDT", "--no-ext-diff",
                         commit, "--", self.folder)  # fmt: skip
        words = told.decode(errors="surrogateescape").split("\0")[:-1]
        return {self._below(path): about.split()[2] for about, path in zip(words[::2], words[1::2], strict=True)}

    def changes(self) -> list[Change]:
        """How main went: every change or removal of a file of the folder, oldest first."""
        told = self._run("log", "--first-parent", "-m", "--reverse", "--raw", "-z", "--no-renames", "--no-abbrev",
                         "--diff-filter=MDT", f"--format=%x01%H%x02%(trailers:key={AMENDS},valueonly,separator=; )%x02",
                         "HEAD", "--", self.folder)  # fmt: skip
        found = []
        for part in told.decode(errors="surrogateescape").split("\x01")[1:]:
            commit, excuse, rest = part.split("\x02", 2)
            words = [word.strip("\n") for word in rest.split("\0") if word.strip("\n")]
            for about, path in zip(words[::2], words[1::2], strict=True):
                _, _, before, after, kind = about.split()
                found.append(Change(commit, excuse.strip(), self._below(path), before, "" if kind == "D" else after))
        return found

    def contains(self, commit: str, other: str) -> bool:
        """Whether `commit` has `other` in its history."""
        try:
            self._run("merge-base", "--is-ancestor", other, commit)
        except subprocess.CalledProcessError:
            return False
        return True

    def shallow(self) -> bool:
        """Whether older history is not here."""
        return self._say("rev-parse", "--is-shallow-repository") == "true"

    def contents(self, names: Iterable[str]) -> dict[str, bytes]:
        """Contents by their names; of those too large to be records, nothing."""
        wanted = sorted(set(names))
        command = _command(self.root, "cat-file", "--batch")
        found = {}
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_environment()) as process:
            assert process.stdin
            assert process.stdout
            for name in wanted:
                process.stdin.write(f"{name}\n".encode())
                process.stdin.flush()
                found[name] = _content(process.stdout)
        return found

    def state(self, *folders: str) -> tuple[str, bool]:
        """The commit of HEAD, and whether the given folders of the work tree are as it has them."""
        told = self._run("status", "--porcelain", "--untracked-files=all", "--", *folders)
        return self.commit("HEAD"), not told.strip()

    def _below(self, path: str) -> str:
        return path.removeprefix(f"{self.folder}/")

    def _say(self, *arguments: str) -> str:
        return self._run(*arguments).decode().strip()

    def _run(self, *arguments: str) -> bytes:
        return _git(self.root, *arguments)


def _content(stream: IO[bytes]) -> bytes:
    """One answer of `cat-file --batch`."""
    words = stream.readline().split()
    if len(words) != 3:  # missing, as in a shallow clone
        return b""
    size = int(words[2])
    content = stream.read(min(size, LARGEST_FILE))
    for start in range(len(content), size, LARGEST_FILE):
        stream.read(min(LARGEST_FILE, size - start))
    stream.read(1)
    return content if size <= LARGEST_FILE else b""


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(_command(folder, *arguments), capture_output=True, check=True, env=_environment()).stdout


def _command(folder: Path, *arguments: str) -> list[str]:
    return ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]


def _environment() -> dict[str, str]:
    """Without variables that would point git elsewhere, as they do inside a hook."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return own | {"GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
