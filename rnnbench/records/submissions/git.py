"""A folder of records as git has it. Everything that git prints is data: no name becomes an option or a command."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from rnnbench.errors import RnnbenchError
from rnnbench.records.folded import MAX_TRIALS_BYTES

MAINS = ("origin/main", "main", "origin/master", "master")
PLAIN_FILES = ("100644", "100755")
"""Modes of plain files; links and submodules have others."""


@dataclass(frozen=True)
class Repository:
    """A repository around a folder, and the folder's path in it."""

    root: Path
    folder: str

    @classmethod
    def around(cls, folder: Path) -> "Repository | None":
        """The repository that holds a folder; None if there is none, or it has no commit."""
        start = next((one for one in (folder, *folder.resolve().parents) if one.is_dir()), Path.cwd())
        try:
            root = Path(os.fsdecode(_git(start, "rev-parse", "--show-toplevel")).rstrip("\n"))
            _git(start, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        except (OSError, subprocess.CalledProcessError):
            return None
        return cls(root, folder.resolve().relative_to(root.resolve()).as_posix())

    def commit(self, revision: str) -> str:
        """The commit that a revision names.

        Raises:
            RnnbenchError: there is no such revision.
        """
        try:
            return self._text("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except subprocess.CalledProcessError:
            raise RnnbenchError(f"git knows no revision {revision!r} in {self.root}") from None

    def base(self, revision: str | None = None) -> str:
        """The commit of a revision; by default where HEAD left main, or HEAD itself where there is no main.

        Raises:
            RnnbenchError: there is no such revision.
        """
        if revision is not None:
            return self.commit(revision)
        for main in MAINS:
            try:
                return self._text("merge-base", "HEAD", self.commit(main))
            except (RnnbenchError, subprocess.CalledProcessError):
                continue
        return self.commit("HEAD")

    def read(self, commit: str) -> dict[str, bytes]:
        """The contents of all plain files of the folder at a commit, by path; those too large for a record excepted."""
        listing = os.fsdecode(self._run("ls-tree", "-r", "-l", "-z", "--full-tree", commit, "--", self.folder))
        names = {}
        for line in listing.split("\0")[:-1]:
            about, _, path = line.partition("\t")
            mode, _, name, size = about.split()
            if mode in PLAIN_FILES and int(size) <= MAX_TRIALS_BYTES:
                names[path.removeprefix(f"{self.folder}/")] = name
        answer = self._run("cat-file", "--batch", stdin="".join(f"{name}\n" for name in names.values()))
        contents, start = {}, 0
        for path in names:
            head, _, _ = answer[start : start + 200].partition(b"\n")
            begin = start + len(head) + 1
            start = begin + int(head.split()[2]) + 1
            contents[path] = answer[begin : start - 1]
        return contents

    def state(self, *folders: str) -> tuple[str, bool]:
        """The commit of HEAD, and whether some folders of the work tree are as committed."""
        changes = self._run("status", "--porcelain", "--untracked-files=all", "--", *folders)
        return self.commit("HEAD"), not changes.strip()

    def _text(self, *arguments: str) -> str:
        return self._run(*arguments).decode().strip()

    def _run(self, *arguments: str, stdin: str = "") -> bytes:
        return _git(self.root, *arguments, stdin=stdin)


def _git(folder: Path, *arguments: str, stdin: str = "") -> bytes:
    """What git prints; without variables that would point it elsewhere, as they do inside a hook."""
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "-c", "core.quotePath=false", *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C"}
    return subprocess.run(command, input=stdin.encode(), capture_output=True, check=True, env=environment).stdout
