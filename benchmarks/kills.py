"""Nothing is lost and nothing is doubled: `python -m benchmarks.kills --kills 100`.

A small grid is run by two drivers at once, and again and again one of its processes, chosen at random, is killed: a
driver, the server of its workers, or a worker, by SIGKILL or SIGTERM. Drivers that die are started again, until the
grid is done; then the next round begins in new folders, until there have been as many kills as asked for. Every round
has to end with the scores, curves and states of the grid that nobody has disturbed, with one record a cell, with the
trials of each study in one file, and with no lease and no process left.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from rnnbench.records.folded import FoldedTrial
from rnnbench.records.store import RecordStore

GRID: dict[str, Any] = {
    "name": "kills",
    "architectures": ["elman", "gru"],
    "tasks": ["adding"],
    "seeds": 2,
    "budget": {"steps": 400, "validate_every": 20},
    "model": {"hidden_size": 32},
    "tune": {"trials": 2, "space": "core"},
    "executor": {"local": {"workers": 2, "retries": 100}},
}
FACTS = {"scores", "validation", "curve", "best_step", "parameters", "status", "data_fingerprint", "probe", "backend"}
PAUSE = (2.0, 8.0)
"""Seconds between two kills."""


def start(folder: Path) -> psutil.Popen:
    """A driver."""
    command = [
        sys.executable,
        "-m",
        "rnnbench",
        "run",
        str(folder.parent / "kills.yaml"),
        "--leaderboard",
        str(folder / "leaderboard"),
        "--runs",
        str(folder / "runs"),
        "--retry",
        "failed",
    ]
    log = (folder / "log").open("ab")
    return psutil.Popen(command, stdout=log, stderr=subprocess.STDOUT)


def facts(folder: Path) -> dict[str, Any]:
    """All of the records that depends on neither time nor machine."""
    records, problems = RecordStore(folder / "leaderboard").read()
    assert not problems, problems
    return {one.spec.label: json.loads(one.model_dump_json(include=FACTS)) for one in records.values()}


def victims(drivers: list[psutil.Popen]) -> list[tuple[str, psutil.Process]]:
    """Every process of every driver, and what it is."""
    found = []
    for driver in drivers:
        if driver.poll() is not None:
            continue
        found.append(("driver", psutil.Process(driver.pid)))
        for child in driver.children(recursive=True):
            try:
                line = " ".join(child.cmdline())
                kind = "tracker" if "resource_tracker" in line else "server" if child.children() else "worker"
            except psutil.NoSuchProcess:
                continue
            found.append((kind, child))
    return found


def disturbed(folder: Path, wanted: int, killed: Counter[str]) -> int:
    """Run the grid by two drivers, killing until it is done, or until there have been enough kills; restarts."""
    folder.mkdir()
    drivers, restarts = [start(folder), start(folder)], 0
    due = time.monotonic() + random.uniform(*PAUSE)
    while any(driver.poll() is None for driver in drivers):
        time.sleep(0.05)
        if killed.total() < wanted and time.monotonic() > due:
            kind, victim = random.choice(victims(drivers) or [("none", None)])
            number = random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])
            if victim is not None:
                try:
                    victim.send_signal(number)
                    killed[f"{kind}, {number.name}"] += 1
                except psutil.NoSuchProcess:
                    pass
            due = time.monotonic() + random.uniform(*PAUSE)
        for place, driver in enumerate(drivers):
            if driver.poll() not in (None, 0):
                drivers[place] = start(folder)
                restarts += 1
    return restarts


def left_over(folder: Path) -> list[str]:
    """Leases, files of single trials, processes that should be gone; later drivers remove what a cut-off write left."""
    leases = [str(one) for one in (folder / "leaderboard" / ".leases").glob("*.json")]
    records = RecordStore(folder / "leaderboard").read()[0].values()
    leases += [str(one.file) for one in records if one.spec.trial and not isinstance(one, FoldedTrial)]
    lines = [(one.pid, " ".join(one.info["cmdline"] or [])) for one in psutil.process_iter(["cmdline"])]
    return leases + [f"process {pid}: {line}" for pid, line in lines if str(folder) in line]


def main() -> None:
    """Kill, compare, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    random.seed(given.seed)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "kills.yaml").write_text(yaml.safe_dump(GRID))
        quiet = home / "undisturbed"
        quiet.mkdir()
        assert start(quiet).wait() == 0, (quiet / "log").read_text()
        expected, killed = facts(quiet), Counter[str]()
        rounds, restarts, attempts, wrong = 0, 0, 0, list[str]()
        begin = time.monotonic()
        while killed.total() < given.kills:
            rounds += 1
            folder = home / f"round-{rounds}"
            restarts += disturbed(folder, given.kills, killed)
            if (found := facts(folder)) != expected:
                wrong.append(f"round {rounds}: records differ: {sorted(set(found) ^ set(expected)) or 'in content'}")
            wrong += left_over(folder)
            attempts += sum(len(one.attempts) for one in RecordStore(folder / "leaderboard").read()[0].values())
        table = Table("what", "how many", title=f"{killed.total()} random kills in {time.monotonic() - begin:.0f} s")
        for kind, count in sorted(killed.items()):
            table.add_row(f"killed: {kind}", str(count))
        table.add_row("drivers started again", str(restarts))
        table.add_row("attempts that a record tells of", str(attempts))
        table.add_row("rounds of the grid, all with the undisturbed records" if not wrong else "rounds", str(rounds))
        Console(width=100).print(table, *wrong)
        sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
