"""`UserFiles`, the base of data modules that read files of the user: known by their content, not by where they lie."""

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from rnnbench.data.module import SequenceDataModule, Splits
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import content_digest

CLASSES = "classes.json"
"""File, beside the prepared data, with the names of the classes."""


class UserFiles(SequenceDataModule):
    """Data in files of the user, `file_args`: a path is relative to the current folder, `~` is the home folder.

    Prepared data is known by the content of the files: moved, they are not prepared again; changed, they are.
    Arguments as in `SequenceDataModule`.
    """

    file_args: ClassVar[tuple[str, ...]] = ("path",)

    def identity(self) -> dict[str, Any]:
        """The arguments, with the content of the files for where they lie."""
        return {**super().identity(), **{name: content_digest(Path(getattr(self, name))) for name in self.file_args}}

    def _checked_splits(self, folder: Path) -> Splits:
        before = self.identity()
        splits = super()._checked_splits(folder)
        if self.identity() != before:
            names = ", ".join(str(getattr(self, name)) for name in self.file_args)
            raise RnnbenchError(f"{names} has changed while it was being prepared; run again")
        return splits


class NamedClasses(SequenceDataModule):
    """Data whose classes are known when it is read: their names are kept beside it. Arguments as in the base."""

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of their numbers. Prepares the data."""
        self.prepare_data()
        return tuple(json.loads((self.folder / CLASSES).read_text("utf-8")))


def write_classes(folder: Path, names: Sequence[str]) -> None:
    """Keep the names of the classes beside the data, for `NamedClasses`."""
    (folder / CLASSES).write_text(json.dumps(list(names)), "utf-8")
