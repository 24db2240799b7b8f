"""Certificates: which records, made by other code, have been shown to hold for which version of the code.

`certificates.json` of a leaderboard has one for all runs of one configuration on one task (whatever their seed) that
were made by the same code: the latest. See `rnnbench.records.probe` for what is shown.
"""

import json
from collections.abc import Container, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated

from filelock import FileLock
from pydantic import Field, model_validator

from rnnbench.config.schema import StrictModel
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import cache_folder, read_plain, write_whole
from rnnbench.utils.fingerprint import digest
from rnnbench.utils.text import folder_options

MAX_FILE_BYTES = 1 << 26
"""Bytes of the largest file that is read; a certificate has about 300."""
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
Key = tuple[str, str]
"""Of a configuration (`RunSpec.configuration`), and the version of the code by which its records were made."""


class Certificate(StrictModel):
    """The outcome of a probe that was repeated.

    Args:
        configuration: of the records.
        made_by: version of the code by which they were made.
        holds_for: version of the code that gave the same probe, or
        fails_for: version of the code that did not.
        why: what was not the same.
        run: whose probe was compared.
        exact: whether it was compared to the last bit (on the same kind of machine) or within a tolerance.
        date: UTC, ISO 8601.
        machine: processor and device of the repeated probe, and its version of torch.
    """

    configuration: Version
    made_by: Version
    holds_for: Version | None = None
    fails_for: Version | None = None
    why: str = Field("", max_length=500)
    run: Version
    exact: bool
    date: str = Field(max_length=40)
    machine: str = Field(max_length=300)

    @model_validator(mode="after")
    def _one_outcome(self) -> "Certificate":
        if (self.holds_for is None) == (self.fails_for is None) or bool(self.why) != (self.fails_for is not None):
            raise ValueError("a certificate has holds_for, or fails_for and why")
        return self

    @property
    def key(self) -> Key:
        """Which records it is about."""
        return self.configuration, self.made_by

    @property
    def version(self) -> str:
        """The version of the code that it is about."""
        return self.holds_for or self.fails_for or ""


class Content(StrictModel):
    """The content of `certificates.json`."""

    schema_version: int = Field(1, ge=1, le=1)
    certificates: list[Certificate] = []


class Certificates:
    """The certificates of a leaderboard."""

    def __init__(self, leaderboard: Path | None = None) -> None:
        self.path = leaderboard / "certificates.json" if leaderboard else None

    @cached_property
    def _read(self) -> tuple[dict[Key, Certificate], str]:
        """All by key; and what is wrong with the file, if something is."""
        if self.path is None or not (self.path.exists() or self.path.is_symlink()):
            return {}, ""
        try:
            content = Content.parse(read_plain(self.path, MAX_FILE_BYTES), str(self.path))
        except RnnbenchError as error:
            again = f"rnnbench certify{folder_options(leaderboard=self.path.parent)}"
            return {}, f"{error} (no certificate counts; remove the file, then run: {again})"
        by_key = {one.key: one for one in content.certificates}
        if len(by_key) < len(content.certificates):
            return {}, f"{self.path}: has two certificates of the same records; no certificate counts"
        return by_key, ""

    @property
    def problem(self) -> str:
        """What is wrong with the file, if something is; it counts as empty then."""
        return self._read[1]

    @property
    def all(self) -> Mapping[Key, Certificate]:
        """All, by the records they are about."""
        return self._read[0]

    def find(self, configuration: str, made_by: str, version: str) -> Certificate | None:
        """The certificate of records of a configuration, made by one version of the code, for another version."""
        certificate = self.all.get((configuration, made_by))
        return certificate if certificate and certificate.version == version else None

    def add(self, new: Iterable[Certificate], runs: Container[str] | None = None) -> None:
        """Write some beside those that are there now, or in their place; others may add theirs at the same time.

        Those of other runs than `runs` are removed, if these are given.

        Raises:
            RnnbenchError: the file cannot be written.
        """
        assert self.path is not None
        lock = cache_folder("locks") / f"certificates-{digest(str(self.path.resolve()))}.lock"
        with FileLock(lock):
            merged = {**Certificates(self.path.parent).all, **{one.key: one for one in new}}
            kept = [one for _, one in sorted(merged.items()) if runs is None or one.run in runs]
            lines = [json.dumps(one.model_dump(mode="json", exclude_defaults=True)) for one in kept]
            body = ",\n".join(lines)
            write_whole(self.path, f'{{"schema_version": 1, "certificates": [\n{body}\n]}}\n')
        self.__dict__.pop("_read", None)


NO_CERTIFICATES = Certificates()
