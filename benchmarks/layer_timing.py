"""Timing several calls in turn, and what is kept of the times."""

import gc
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

Shape = tuple[int, ...]
Key = tuple[str, Shape, str, int, str]
SHORTEST = 2e-3  # seconds of a sample: calls that take less are repeated within it
SHORT = 50e-3  # seconds of a call that is warmed before each sample: it feels what ran before it
WARM = 3e-3  # seconds of that
WAIT = 10e-3  # seconds after which threads of a call have stopped waiting for more work
LONG = 0.3  # seconds of a call that needs no second one to be warm
MOST, FEWEST = 201, 3  # rounds


@dataclass(frozen=True)
class Timed:
    """Something to time.

    `flops` are the multiplications and additions of one call (of each thread, if `parallel`); `calls` is how many
    calls of what is measured one `call` makes.
    """

    name: str
    call: Callable[[], object]
    flops: float = 0.0
    parallel: bool = False
    calls: int = 1


@dataclass(frozen=True)
class Record:
    """Median and quartiles of one call's seconds (or bytes, or a number of its own)."""

    group: str
    shape: Shape
    allocator: str
    threads: int
    entry: str
    median: float
    low: float
    high: float
    rounds: int
    flops: float = 0.0

    @property
    def key(self) -> Key:
        """What was measured: a later record with the same key replaces this one."""
        return self.group, self.shape, self.allocator, self.threads, self.entry

    def content(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    @classmethod
    def read(cls, content: dict[str, Any]) -> "Record":
        """From JSON."""
        return cls(**{**content, "shape": tuple(content["shape"])})

    @classmethod
    def exact(cls, group: str, shape: Shape, allocator: str, entry: str, value: float) -> "Record":
        """A number that does not vary."""
        return cls(group, shape, allocator, 1, entry, value, value, value, 1)

    @classmethod
    def of(
        cls, group: str, shape: Shape, allocator: str, threads: int, entry: str, values: Sequence[float],
        flops: float = 0.0,
    ) -> "Record":  # fmt: skip
        """Of some samples."""
        low, middle, high = statistics.quantiles([*values, *values[:1]][: max(2, len(values))], n=4, method="inclusive")
        return cls(group, shape, allocator, threads, entry, middle, low, high, len(values), flops)


def interleave(
    entries: Sequence[Timed], threads: Sequence[int], least: int, budget: float, cap: float
) -> Iterator[tuple[Timed, int, list[float]]]:
    """Seconds a call of every entry with every number of threads: A, B, C, A, B, C, …

    At least `least` rounds, fewer (but three) where they do not fit into `cap` seconds, more while they fit into
    `budget` seconds. Each round has an order of its own, the first calls of each are not counted, and a short one is
    run for a while before every sample, so that what ran before it does not count.
    """
    short: dict[tuple[int, str], bool] = {}
    repeats: dict[tuple[int, str], int] = {}
    samples: dict[tuple[int, str], list[float]] = {}
    for count in threads:
        switch(count)
        for entry in entries:
            key, once = (count, entry.name), entry.calls * _seconds(entry, 1)
            once = once if once > LONG else entry.calls * _warm(entry)
            repeats[key], short[key], samples[key] = max(1, round(SHORTEST / max(1e-7, once))), once < SHORT, []
    order = random.Random(0)  # drawn: after what makes the processor slow, such as `peak`, comes not always the same
    gc.collect()
    gc.disable()
    try:
        begin, done = time.perf_counter(), 0
        while done < min(least, FEWEST) or _another(done, time.perf_counter() - begin, least, budget, cap):
            for count in threads:
                switch(count)
                for entry in order.sample(entries, len(entries)):
                    if short[count, entry.name]:
                        _warm(entry)
                    samples[count, entry.name].append(_seconds(entry, repeats[count, entry.name]))
            done += 1
    finally:
        gc.enable()
    for count in threads:
        for entry in entries:
            yield entry, count, samples[count, entry.name]


def _another(done: int, elapsed: float, least: int, budget: float, cap: float) -> bool:
    then = elapsed * (done + 1) / done
    return done < MOST and then < (cap if done < least else budget)


def _warm(entry: Timed) -> float:
    """Call for some milliseconds, and at least twice; the seconds of the fastest call."""
    end, fastest = time.perf_counter() + WARM, _seconds(entry, 1)
    while True:
        fastest = min(fastest, _seconds(entry, 1))
        if time.perf_counter() >= end:
            return fastest


def _seconds(entry: Timed, repeats: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeats):
        entry.call()
    return (time.perf_counter() - begin) / (repeats * entry.calls)


def switch(threads: int) -> None:
    """Use so many threads from now on, when the others have come to rest and while this one has not."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
        end = time.perf_counter() + WAIT
        while time.perf_counter() < end:
            pass


def label(shape: Shape) -> str:
    """A shape as the tables have it."""
    return "×".join(map(str, shape))
