"""`rnnbench smoke`: architectures on stand-ins for tasks, trained and tested for a moment."""

import logging
import math
import multiprocessing
import os
import tempfile
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import Namespace
from rich import box
from rich.console import Console
from rich.table import Table

from rnnbench.cli.parser import Parser, add_names, names_of
from rnnbench.config.cards import ArchitectureCard, ClassSpec, TaskCard
from rnnbench.config.registry import catalogue
from rnnbench.errors import DataUnavailable, Infeasible, RnnbenchError, told
from rnnbench.utils.files import CACHE_VARIABLE, cache_folder

STEPS = 2
BATCH = 4
MIN_ARCHITECTURES = 6
"""Architectures of each task, where not all pairs are tried."""

Kind = tuple[str, str]


class Outcome(NamedTuple):
    """The outcome of an architecture on a task; `reason` says why it was not trained, or what went wrong."""

    architecture: str
    task: str
    state: str
    reason: str = ""


def add_options(parser: Parser) -> None:
    """Declare the options."""
    add_names(parser, "--architectures", "only these (default: all), each on all tasks")
    add_names(parser, "--tasks", "only these (default: all), each with all architectures")
    help_text = "every architecture on every task, not only on one of each kind"
    parser.add_argument("--all", action="store_true", help=help_text)
    parser.add_argument("--workers", type=int, default=2, help="processes")


def run(options: Namespace) -> int:
    """Train and test pairs, and print a table; 1 if any pair fails.

    The pairs are all those of the named architectures and tasks, with `--all` all pairs there are, else those of
    `covering`.
    """
    begun = time.monotonic()
    architectures, tasks = names_of(options.architectures), names_of(options.tasks)
    every = options.all or bool(architectures or tasks)
    architectures, tasks = architectures or list(catalogue("architecture")), tasks or list(catalogue("task"))
    for name in architectures:
        ArchitectureCard.load(name)
    for name in tasks:
        TaskCard.load(name)
    spawn = multiprocessing.get_context("spawn")
    with _temporary_cache() as folder:
        with ProcessPoolExecutor(1, spawn, _start_worker, (tasks, folder)) as pool:
            kinds = pool.submit(_kinds).result()  # prepares the data of all tasks once, for all workers
        chosen = dict.fromkeys(architectures, tasks) if every else covering(architectures, kinds)
        with ProcessPoolExecutor(options.workers, spawn, _start_worker, (tasks, folder)) as pool:
            jobs = [pool.submit(_train_all, name, some) for name, some in chosen.items()]
            pairs = [pair for job in jobs for pair in job.result()]
    return _report(pairs, time.monotonic() - begun)


def covering(architectures: list[str], kinds: dict[str, Kind]) -> dict[str, list[str]]:
    """The tasks that each architecture is tried on: one of each kind, in turn, and so many more that each task has at
    least `MIN_ARCHITECTURES`.

    Args:
        architectures: their names.
        kinds: of each task, its objective and what it reads.
    """
    groups: dict[Kind, list[str]] = defaultdict(list)
    for task, kind in kinds.items():
        groups[kind].append(task)
    chosen = {name: [some[i % len(some)] for some in groups.values()] for i, name in enumerate(architectures)}
    for i, task in enumerate(kinds):
        tried = sum(task in some for some in chosen.values())
        others = (name for name in architectures[i:] + architectures[:i] if task not in chosen[name])
        for name in islice(others, max(0, MIN_ARCHITECTURES - tried)):
            chosen[name].append(task)
    return chosen


@contextmanager
def _temporary_cache() -> Iterator[Path]:
    """An empty cache for this process and its workers, with the user's compiled kernels in it."""
    kernels, before = cache_folder("kernels"), os.environ.get(CACHE_VARIABLE)
    with tempfile.TemporaryDirectory(prefix="rnnbench-smoke-") as place:
        folder = Path(place)
        with suppress(OSError):  # Windows lets only some users make links: kernels are compiled anew
            (folder / "kernels").symlink_to(kernels.resolve(), target_is_directory=True)
        os.environ[CACHE_VARIABLE] = place
        try:
            yield folder
        finally:
            os.environ.pop(CACHE_VARIABLE)
            if before is not None:
                os.environ[CACHE_VARIABLE] = before


_worker_resources = ExitStack()
"""Contexts of a worker process, open until it ends."""
_worker_arguments: tuple[list[str], Path]
"""Arguments of a worker process: the tasks, and the folder of stand-ins."""


def _start_worker(tasks: list[str], folder: Path) -> None:
    """Set up a worker process: one thread, stand-ins instead of archives until it ends, no log output."""
    global _worker_arguments
    import datasets
    import torch

    from rnnbench.data.stand_ins import use_stand_ins

    datasets.disable_progress_bars()

    _worker_arguments = tasks, folder
    _worker_resources.enter_context(use_stand_ins())
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)


@cache
def _modules() -> dict[str, Any]:
    """The data of each task, little of it, and made of stand-ins."""
    from lightning.pytorch import LightningDataModule

    from rnnbench.data.stand_ins import stand_in_arguments
    from rnnbench.harness.instantiate import construct, import_class, prepare

    modules: dict[str, Any] = {}
    tasks, folder = _worker_arguments
    for name in tasks:
        card = TaskCard.load(name)
        cls: Any = import_class(card.data.class_path, LightningDataModule, name)
        arguments = {**card.data.init_args, **stand_in_arguments(cls, folder), "batch_size": BATCH}
        if card.test is not None and arguments.get("test_lengths") is None:
            arguments["test_lengths"] = [arguments["length"] + 1, arguments["length"] + 2, 1]
        spec = ClassSpec(class_path=card.data.class_path, init_args=arguments)
        modules[name] = construct(spec, LightningDataModule, f"task {name!r}", set())
        prepare(modules[name])
        try:
            modules[name].setup()
        except RnnbenchError:
            raise
        except Exception as error:  # a third party's class may raise anything
            raise RnnbenchError(f"task {name!r}: {told(error, cls.__module__)}") from error
    return modules


def _kinds() -> dict[str, Kind]:
    """The objective of each task, and what it reads."""
    return {name: (TaskCard.load(name).objective, data.input_kind) for name, data in _modules().items()}


def _train_all(architecture: str, tasks: list[str]) -> list[Outcome]:
    """One architecture on some tasks."""
    return [_train(architecture, name, _modules()[name]) for name in tasks]


def _train(architecture: str, task: str, data: Any) -> Outcome:
    from lightning.pytorch import LightningModule, Trainer, seed_everything

    from rnnbench.harness.instantiate import FACTS, construct

    card, (_, model_card) = TaskCard.load(task), ArchitectureCard.load(architecture)
    try:
        seed_everything(0, verbose=False)
        model = construct(model_card, LightningModule, architecture, FACTS, **data.model_kwargs())
        trainer = Trainer(
            accelerator="cpu", max_steps=STEPS, limit_val_batches=1, limit_test_batches=1, num_sanity_val_steps=0,
            logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, datamodule=data)
        scores = trainer.test(model, datamodule=data, verbose=False)[0]
    except DataUnavailable as error:
        return Outcome(architecture, task, "failed", str(error))
    except Infeasible as why:
        return Outcome(architecture, task, "infeasible", str(why))
    except Exception as error:  # noqa: BLE001  it is reported, and the other pairs go on
        return Outcome(architecture, task, "failed", told(error, type(data).__module__, model_card.class_path))
    names = ("test/loss", f"test/{card.metric}")
    if wrong := [f"{name} is {scores.get(name)}" for name in names if not math.isfinite(scores.get(name, math.nan))]:
        return Outcome(architecture, task, "failed", ", ".join(wrong))
    return Outcome(architecture, task, "ok")


def _report(pairs: list[Outcome], seconds: float) -> int:
    states = ("ok", "infeasible", "failed")
    table = Table("task", *states, box=box.SIMPLE)
    for task in dict.fromkeys(pair.task for pair in pairs):
        counts = Counter(pair.state for pair in pairs if pair.task == task)
        table.add_row(task, *(str(counts[state] or "") for state in states))
    console = Console()
    console.print(table)
    for why, count in Counter(pair.reason for pair in pairs if pair.state == "infeasible").most_common():
        console.print(f"infeasible ({count}): {why}", highlight=False, markup=False)
    failed = [pair for pair in pairs if pair.state == "failed"]
    for pair in failed:
        console.print(f"failed: {pair.architecture} on {pair.task}: {pair.reason}", highlight=False, markup=False)
    total = Counter(pair.state for pair in pairs)
    summary = ", ".join(f"{total[state]} {state}" for state in states)
    console.print(f"{len(pairs)} pairs in {seconds:.0f} s: {summary}", highlight=False)
    return 1 if failed else 0
