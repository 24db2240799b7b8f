"""An index of records, so that a board is redrawn without reading them all: for each folder, what its files say.

It lies in the user's cache, may be thrown away at any time, and is made again from the records. A folder counts as it
was if names, sizes, times of change and inodes of its files are the same; else all its files are read again.
"""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter

from rnnbench.bulk import no_collection, walk
from rnnbench.errors import RnnbenchError
from rnnbench.files import cache_folder, write_whole
from rnnbench.fingerprint import code_digest, digest
from rnnbench.record import Cost, Record, RecordStore
from rnnbench.spec import RunSpec
from rnnbench.strict import Strict

LEFT_OUT = {"curve", "log_tail", "attempts", "scores"}
"""Fields of a record that no table shows."""
OWN = ("id", "status", "reason", "started", "score", "validation", "parameters")
"""Fields that differ from run to run, beside the seed and the cost."""
COST = tuple(Cost.model_fields)
SPEC = "spec."
NOT_SHARED: dict[str, Any] = dict.fromkeys([*LEFT_OUT, *OWN, "cost"], True) | {"spec": {"seed": True}}
M = TypeVar("M", bound=BaseModel)
CODE = ("rnnbench.board.index", "rnnbench.record", "rnnbench.spec", "rnnbench.card", "rnnbench.strict")
"""What gives the files of an index their meaning; after a change of it they are made anew."""


class Batch(Strict):
    """Runs that differ by seed and outcome only; a place of each list is a run, `shared` are places in the pool."""

    shared: dict[str, int]
    seed: list[int]
    id: list[str]
    status: list[Literal["done", "failed", "infeasible"]]
    reason: list[str]
    started: list[str]
    score: list[float | None]
    validation: list[dict[str, float]]
    parameters: list[int | None]
    cost: list[list[Any] | None]


class Page(Strict):
    """What is known of one folder; `pool` has the JSON of whatever its runs share."""

    meaning: str
    stamp: str
    problems: list[str]
    pool: list[str]
    batches: list[Batch]


class Index:
    """The index of one leaderboard."""

    def __init__(self, leaderboard: Path) -> None:
        self.store = RecordStore(leaderboard)
        self.pages = cache_folder("index", digest(str(leaderboard.resolve())))
        self.meaning = digest([code_digest(module) for module in CODE])
        self._known: dict[tuple[str, str], Any] = {}

    def read(self) -> tuple[dict[str, Record], list[str]]:
        """All records by id without the fields `LEFT_OUT`, and a sentence for each file that is none.

        Raises:
            RnnbenchError: a folder cannot be read; the cache cannot be written.
        """
        records: dict[str, Record] = {}
        problems: list[str] = []
        with no_collection():
            for folder, stamp in sorted(_folders(self.store.folder)):
                page = self._page(folder, stamp)
                problems += page.problems
                for record in self._records(page):
                    if record.id in records:
                        return self.store.read()  # one run under two names: let the store say so
                    records[record.id] = record
        return records, problems

    def _page(self, folder: str, stamp: str) -> Page:
        path = self.pages / f"{digest(os.path.relpath(folder, self.store.folder))}.json"
        try:
            page = Page.model_validate_json(path.read_bytes())
            if (page.meaning, page.stamp) == (self.meaning, stamp):
                return page
        except (OSError, ValueError):  # not there, or not whole
            pass
        page = self._made(Path(folder), stamp)
        write_whole(path, page.model_dump_json(), durable=False)
        return page

    def _made(self, folder: Path, stamp: str) -> Page:
        records, problems = self.store.read_files(sorted(folder.glob("*.json")))
        pool: dict[str, int] = {}
        batches: dict[str, dict[str, Any]] = {}
        for record in records.values():
            key = record.model_dump_json(exclude=NOT_SHARED, exclude_defaults=True)
            if key not in batches:
                shared = {name: pool.setdefault(value, len(pool)) for name, value in _shared(record)}
                batches[key] = {"shared": shared, **{name: [] for name in ("seed", *OWN, "cost")}}
            lists = batches[key]
            for name in OWN:
                lists[name].append(getattr(record, name))
            lists["seed"].append(record.spec.seed)
            lists["cost"].append(None if record.cost is None else [getattr(record.cost, name) for name in COST])
        return Page(meaning=self.meaning, stamp=stamp, problems=problems, pool=list(pool),
                    batches=[Batch(**lists) for lists in batches.values()])  # fmt: skip

    def _records(self, page: Page) -> Iterator[Record]:
        for batch in page.batches:
            shared = {name: self._value(name, page.pool[place]) for name, place in batch.shared.items()}
            spec = {name.removeprefix(SPEC): value for name, value in shared.items() if name.startswith(SPEC)}
            rest = {name: value for name, value in shared.items() if not name.startswith(SPEC)} | EMPTY
            own = zip(*(getattr(batch, name) for name in OWN), strict=True)
            for values, seed, cost in zip(own, batch.seed, batch.cost, strict=True):
                fields = rest | dict(zip(OWN, values, strict=True))
                fields["spec"] = bare(RunSpec, {**spec, "seed": seed})
                fields["cost"] = None if cost is None else bare(Cost, dict(zip(COST, cost, strict=True)))
                yield bare(Record, fields)

    def _value(self, name: str, text: str) -> Any:
        """A shared value; the same object each time, so that what follows from it is computed once."""
        if (name, text) not in self._known:
            self._known[name, text] = KINDS[name].validate_json(text)
        return self._known[name, text]


def _kinds() -> dict[str, TypeAdapter[Any]]:
    fields = {name: one for name, one in Record.model_fields.items() if name not in {*LEFT_OUT, *OWN, "spec", "cost"}}
    fields |= {f"{SPEC}{name}": one for name, one in RunSpec.model_fields.items() if name != "seed"}
    return {name: TypeAdapter(one.rebuild_annotation()) for name, one in fields.items()}


KINDS = _kinds()
"""What runs may share, by name, and how each is written."""
EMPTY: dict[str, Any] = {name: Record.model_fields[name].get_default(call_default_factory=True) for name in LEFT_OUT}


def _shared(record: Record) -> Iterator[tuple[str, str]]:
    for name, kind in KINDS.items():
        home = record.spec if name.startswith(SPEC) else record
        yield name, kind.dump_json(getattr(home, name.removeprefix(SPEC))).decode()


def _folders(records: Path) -> Iterator[tuple[str, str]]:
    """All folders that hold files, and a digest of what tells these from later ones."""
    for folder, names in walk(records):
        told = hashlib.sha256()
        for name in sorted(names):
            stat = os.lstat(f"{folder}/{name}")
            told.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ctime_ns}\0{stat.st_ino}\n".encode())
        yield folder, told.hexdigest()


UNSET: set[str] = set()
"""Nobody asks of records of an index which of their fields were set."""


def bare(model: type[M], fields: dict[str, Any]) -> M:
    """An object of a model from fields that were checked before, without checking them again."""
    new = model.__new__(model)
    put = object.__setattr__
    put(new, "__dict__", fields)
    put(new, "__pydantic_fields_set__", UNSET)
    put(new, "__pydantic_extra__", None)
    put(new, "__pydantic_private__", None)
    return new


def read_quickly(leaderboard: Path) -> tuple[dict[str, Record], list[str]]:
    """All records without the fields `LEFT_OUT`, by the index; without one where the cache cannot be written.

    Raises:
        RnnbenchError: a folder of records cannot be read.
    """
    try:
        return Index(leaderboard).read()
    except RnnbenchError:
        return RecordStore(leaderboard).read()
