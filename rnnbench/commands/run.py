"""Verbs about running: `run`, `watch`, `stop`, `smoke`."""

from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import Verbs, add_folders, add_names, add_verb, names_of
from rnnbench.errors import unknown

RETRY = ("failed", "infeasible", "done")


def add(verbs: Any) -> Verbs:
    """Declare them."""
    one = add_verb(verbs, "run", "run what is missing of a grid, then print the board")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    one.add_argument("--executor", choices=["local", "inline", "ray", "slurm"], help="instead of the grid's own")
    one.add_argument("--workers", type=int, help="runs at a time (default: one a GPU, or without GPUs one a core)")
    add_names(one, "--retry", f"run cells in these states again: {', '.join(RETRY)}")
    one.add_argument("--refresh", action="store_true", help="run only what is stale")
    one.add_argument("--dry-run", action="store_true", help="print what would be run, and how long it may take")
    one.add_argument("--print_config", nargs="?", type=str, help="print the grid with all defaults and stop")
    add_folders(one)

    one = add_verb(verbs, "watch", "follow a grid that is being run, from another terminal")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    add_folders(one)

    one = add_verb(verbs, "stop", "ask whoever runs a grid to stop: runs keep a checkpoint, and go on later")
    one.add_argument("grid", type=str, help="a grid's name, or the path of a YAML file")
    add_folders(one)

    one = add_verb(verbs, "smoke", "train and test architectures on stand-ins for tasks for a moment, offline")
    add_names(one, "--architectures", "only these (default: all), each on all tasks")
    add_names(one, "--tasks", "only these (default: all), each with all architectures")
    help = "every architecture on every task, not only on one of each kind"
    one.add_argument("--all", action="store_true", help=help)
    one.add_argument("--workers", type=int, default=2, help="processes")
    return {"run": _run, "watch": _watch, "stop": _stop, "smoke": _smoke}


def _run(options: Namespace) -> int:
    from rnnbench.cli.run import print_config, run

    options.retry = names_of(options.retry)
    for state in options.retry:
        if state not in RETRY:
            raise unknown("state for --retry", state, RETRY)
    if options.print_config is not None:
        print_config(options)
        return 0
    return run(options)


def _watch(options: Namespace) -> int:
    from rnnbench.cli.watch import watch

    return watch(options)


def _stop(options: Namespace) -> int:
    from rnnbench.cli.watch import stop

    return stop(options)


def _smoke(options: Namespace) -> int:
    from rnnbench.cli.smoke import smoke

    return smoke(names_of(options.architectures), names_of(options.tasks), options.workers, options.all)
