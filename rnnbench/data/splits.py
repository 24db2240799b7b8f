"""Splits for training, validation and test: cutting them, standardising by the training split, majority scores."""

import json
import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rnnbench.data.module import SPLITS, Split

Frames = np.ndarray[Any, np.dtype[Any]]
Indices = np.ndarray[Any, np.dtype[np.int64]]
SplitRows = dict[Split, Indices]
MOMENTS = "moments.json"
"""File, beside the prepared data, with mean and deviation of each channel of the training split."""
CUTS = (0.70, 0.85)
"""Where the first part ends and the second, as shares."""


def random_splits(size: int, seed: int, cuts: tuple[float, float] = CUTS) -> SplitRows:
    """`size` items, shuffled and cut."""
    return _cut(np.random.default_rng(seed).permutation(size), cuts)


def stratified_splits(labels: np.ndarray[Any, Any], seed: int, cuts: tuple[float, float] = CUTS) -> SplitRows:
    """Every class shuffled and cut by itself, so that all parts have the same shares of classes."""
    random = np.random.default_rng(seed)
    each = [_cut(random.permutation(np.flatnonzero(labels == label)), cuts) for label in np.unique(labels)]
    return {split: np.concatenate([parts[split] for parts in each]) for split in SPLITS}


def grouped_splits(groups: Sequence[Hashable], seed: int, cuts: tuple[float, float] = CUTS) -> SplitRows:
    """Groups shuffled and cut at shares of the items; the items of a group stay together."""
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    some = list(members.values())
    order = np.random.default_rng(seed).permutation(len(some))
    ends = np.cumsum([len(some[place]) for place in order])
    first, second = (int(np.searchsorted(ends, cut * len(groups))) for cut in cuts)
    pieces = {"train": order[:first], "validation": order[first:second], "test": order[second:]}
    return {split: np.array([item for place in pieces[split] for item in some[place]], int) for split in SPLITS}


def stratified_group_splits(
    groups: Sequence[Hashable], labels: Sequence[Hashable], seed: int, cuts: tuple[float, float] = CUTS
) -> SplitRows:
    """The groups of every class shuffled and cut by themselves; the items of a group stay together.

    A group has the class of its first item. The training part has at least one group of every class.
    """
    members: dict[Hashable, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    by_label: dict[Hashable, list[list[int]]] = {}
    for some in members.values():
        by_label.setdefault(labels[some[0]], []).append(some)
    random = np.random.default_rng(seed)
    parts: dict[Split, list[int]] = {split: [] for split in SPLITS}
    for every in by_label.values():
        order = [every[place] for place in random.permutation(len(every))]
        ends = np.cumsum([len(some) for some in order])
        first, second = (int(np.searchsorted(ends, cut * ends[-1] + 1e-9, side="right")) for cut in cuts)
        first = max(1, first)
        pieces = (order[:first], order[first : max(first, second)], order[max(first, second) :])
        for split, piece in zip(SPLITS, pieces, strict=True):
            parts[split] += [item for some in piece for item in some]
    return {split: np.array(items, int) for split, items in parts.items()}


Item = TypeVar("Item")


def complete_splits(
    parts: Mapping[Split, Sequence[Item]], divide: Callable[[Sequence[Item], tuple[float, float]], SplitRows]
) -> dict[Split, list[Item]]:
    """The three parts of some data; of those that it lacks each has 15 % of the training part.

    Args:
        parts: that the data has, `train` at least.
        divide: cuts the items of the training part at two shares.
    """
    lacking = [split for split in SPLITS if split not in parts]
    complete = {split: list(items) for split, items in parts.items()}
    if lacking:
        cuts = {2: CUTS, 1: (CUTS[1], 1.0 if lacking == ["validation"] else CUTS[1])}[len(lacking)]
        rows = divide(parts["train"], cuts)
        complete |= {split: [parts["train"][row] for row in rows[split]] for split in ("train", *lacking)}
    return complete


def connected_groups(items: Sequence[Sequence[Hashable]]) -> list[int]:
    """A group number for each item: items that share a key, at the same place of their keys, are in one group."""
    first: dict[tuple[int, Hashable], int] = {}
    links = [
        (row, first.setdefault((place, key), row)) for row, keys in enumerate(items) for place, key in enumerate(keys)
    ]
    rows, others = np.array(links).T
    graph = coo_array((np.ones(len(links)), (rows, others)), shape=(len(items), len(items)))
    return connected_components(graph, directed=False)[1].tolist()


def _cut(order: Indices, cuts: tuple[float, float]) -> SplitRows:
    first, second = (round(len(order) * cut) for cut in cuts)
    return {"train": order[:first], "validation": order[first:second], "test": order[second:]}


def first_of_each(rows: np.ndarray[Any, Any]) -> Indices:
    """Where each different row of a table of whole numbers stands for the first time, in order."""
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    return np.sort(np.unique(keys, return_index=True)[1])


def majority_scores(train: np.ndarray[Any, Any], test: np.ndarray[Any, Any], classes: int) -> dict[str, float]:
    """What always answering the most frequent class of `train` scores on `test`."""
    majority = np.bincount(train, minlength=classes).argmax()
    right = float((test == majority).mean())
    return {"accuracy": right, "macro_f1": 2 * right / (1 + right) / classes}


def mean_and_std(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Mean and standard deviation of each column without NaN, exactly rounded: every machine prepares the same data."""
    mean, deviation = [], []
    for column in values.T:
        known = column[~np.isnan(column)].tolist()
        mean.append(math.fsum(known) / len(known))
        deviation.append(math.sqrt(math.fsum((value - mean[-1]) ** 2 for value in known) / len(known)))
    return np.array(mean), np.array(deviation)


def write_moments(folder: Path, mean: Frames, deviation: Frames, **more: Any) -> None:
    """Keep mean and deviation of each channel of the training part beside the data, and whatever else is needed."""
    content = {"mean": mean.tolist(), "deviation": deviation.tolist(), **more}
    (folder / MOMENTS).write_text(json.dumps(content), "utf-8")


def read_moments(folder: Path) -> dict[str, Any]:
    """What `write_moments` wrote, `mean` and `deviation` as arrays."""
    content: dict[str, Any] = json.loads((folder / MOMENTS).read_text("utf-8"))
    return {**content, **{name: np.array(content[name]) for name in ("mean", "deviation")}}


def standard(frames: Frames, moments: dict[str, Any]) -> Frames:
    """Frames `[T, C]` by the moments of the training part."""
    return np.asarray((frames - moments["mean"]) / moments["deviation"], np.float32)


def standardise_splits(
    splits: dict[Split, list[Frames]], mean: Frames, deviation: Frames, folder: Path, **more: Any
) -> dict[Split, list[Frames]]:
    """Sequences `[T, C]` by mean and deviation of each channel (1 if it is constant), flattened.

    The moments, and whatever else a later input needs, are written into `folder`.
    """
    deviation = np.where(deviation > 0, deviation, 1.0)
    write_moments(folder, mean, deviation, **more)
    return {
        split: [((frames - mean) / deviation).astype(np.float32).ravel() for frames in some]
        for split, some in splits.items()
    }
