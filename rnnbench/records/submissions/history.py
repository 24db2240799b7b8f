"""Records altered after the fact, found through git.

A committed record may be replaced by that of a new run, if the old one gave no score or its code or data have changed
since. Everything else, the removal of a score that still counts included, is told. A maintainer who wants it all the
same says why in the commit, in a trailer `Amends-records: …`, which counts once the commit is on main.
"""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from rnnbench.errors import RnnbenchError
from rnnbench.records.probe import code_version
from rnnbench.records.record import LARGEST_FILE, Record
from rnnbench.records.submissions.git import Change, Repository
from rnnbench.records.submissions.plausible import Known
from rnnbench.utils.files import read_plain

ADDED_LATER = {"provenance"}
"""Fields that say something about a record, and may come after it."""
SHOWN = 3


def altered(repository: Repository, base: str, known: Known) -> tuple[list[str], list[str]]:
    """A sentence for each record that is altered after the fact, and one for each that a maintainer answers for."""
    committed = repository.changes()
    pending = repository.changed("HEAD")
    home = repository.root / repository.folder
    contents = repository.contents({name for one in committed for name in (one.before, one.after) if name}
                                   | set(pending.values()))  # fmt: skip
    steps: dict[str, list[tuple[str, bytes, bytes | None]]] = {}
    notes = []
    for one in committed:
        after = contents[one.after] if one.after else None
        if why := _excuse(one, repository, base):
            if wrong(contents[one.before], after, known):
                notes.append(f"{one.path}: changed by commit {one.commit[:10]}: {why}")
            steps.pop(one.path, None)
        else:
            steps.setdefault(one.path, []).append((f"by commit {one.commit[:10]}", contents[one.before], after))
    for path, before in pending.items():
        steps.setdefault(path, []).append(("in the work tree", contents[before], _present(home / path)))
    told = [(path, _walk(some, home / path, known)) for path, some in steps.items()]
    return sorted(f"{repository.folder}/{path}: {why}" for path, why in told if why), notes


def _excuse(change: Change, repository: Repository, base: str) -> str:
    return change.excuse if change.excuse and repository.contains(base, change.commit) else ""


def _walk(steps: Iterable[tuple[str, bytes, bytes | None]], path: Path, known: Known) -> str:
    """What was wrong with a file's first bad step, unless what is there now may follow on what was before it."""
    good: bytes | None = None
    told = ""
    for where, before, after in steps:
        good = before if good is None else good
        if why := wrong(good, after, known):
            told = told or f"{why} ({where})"
        else:
            good, told = after, ""
    return told if told and good is not None and wrong(good, _present(path), known) else ""


def wrong(before: bytes, after: bytes | None, known: Known) -> str:
    """Why one content of a record may not follow on another, or nothing."""
    try:
        old = Record.parse(before, "")
    except RnnbenchError:
        return ""  # it was no record; whatever it is now is checked as such
    if after is None:
        return "a score was removed that still counts" if _counts(old, known) else ""
    try:
        new = Record.parse(after, "")
    except RnnbenchError:
        return "a record was broken"
    differing = _differing(old, new)
    if not differing or (_later(old, new) and (old.status != "done" or _moved(old, new))):
        return ""
    if _later(old, new):
        return "a run that had a score was run again, though neither its code nor its data has changed"
    return f"altered after the fact: {', '.join(differing[:SHOWN])}{' …' if len(differing) > SHOWN else ''}"


def _counts(record: Record, known: Known) -> bool:
    card = known.task(record.spec.task.name)
    return record.status == "done" and (card is None or card.fingerprint == record.spec.task.fingerprint)


def _moved(old: Record, new: Record) -> bool:
    """Whether data or code have: what the new record says of its code does not make the code of the old one old."""
    without_probe = old.code_version is None  # of the first version: stale whatever the code is
    other_code = old.code_version not in (new.code_version, code_version(old.spec))
    return without_probe or other_code or old.data_fingerprint != new.data_fingerprint


def _later(old: Record, new: Record) -> bool:
    try:
        return not old.started or datetime.fromisoformat(new.started) > datetime.fromisoformat(old.started)
    except (ValueError, TypeError):
        return False


def _differing(old: Record, new: Record) -> list[str]:
    """`field: before -> after` for each field that differs."""
    before, after = (_flat(one.model_dump(mode="json", exclude=ADDED_LATER)) for one in (old, new))
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    found = [f"{key} {before.get(key)} -> {after.get(key)}" for key in keys]
    late = [getattr(one, name, None) for name in sorted(ADDED_LATER) for one in (old, new)]
    return found + (["provenance"] if late[0] is not None and late[0] != late[1] else [])


def _flat(content: Any, where: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {where: content if isinstance(content, int | float | str | None) else str(content)[:40]}
    return {
        key: value
        for name, inner in content.items()
        for key, value in _flat(inner, f"{where}.{name}".strip(".")).items()
    }


def _present(path: Path) -> bytes | None:
    """What lies there now; a file that cannot be read is told of by others."""
    try:
        return read_plain(path, LARGEST_FILE) if path.is_symlink() or path.exists() else None
    except RnnbenchError:
        return b""
