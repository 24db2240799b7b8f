"""`rnnbench new`: working skeletons of tasks, architectures, cells and plug-ins."""

import inspect
import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from string import Template
from typing import Any

from jsonargparse import Namespace

from rnnbench.cli.parser import Parser
from rnnbench.config.registry import catalogue
from rnnbench.config.schema import write_yaml
from rnnbench.errors import RnnbenchError
from rnnbench.utils.files import user_path, write_whole

TEMPLATES = Path(__file__).with_name("templates")
FILES = {
    "cell": {
        "__init__.py": "package.py", "cell.py": "cell.py", "{name}.yaml": "cell.yaml", "grid.yaml": "grid.yaml",
        "README.md": "cell.md", "test_{name}.py": "test_cell.py",
    },
    "architecture": {
        "__init__.py": "package.py", "module.py": "module.py", "{name}.yaml": "module.yaml", "grid.yaml": "grid.yaml",
        "README.md": "module.md", "test_{name}.py": "test_module.py",
    },
    "task": {
        "__init__.py": "package.py", "data.py": "data.py", "task.yaml": "task.yaml", "grid.yaml": "grid.yaml",
        "README.md": "task.md", "test_{name}.py": "test_task.py",
    },
    "task of a file": {
        "task.yaml": "task.yaml", "grid.yaml": "grid.yaml", "README.md": "task.md", "test_{name}.py": "test_task.py",
    },
    "plugin": {
        "pyproject.toml": "pyproject.toml", "README.md": "plugin.md", "{name}/__init__.py": "package.py",
        "{name}/cell.py": "cell.py", "{name}/data.py": "data.py", "{name}/tasks/{name}/task.yaml": "task.yaml",
        "{name}/tasks/{name}/README.md": "task.md", "{name}/configs/architectures/{name}.yaml": "cell.yaml",
        "{name}/configs/grids/{name}.yaml": "grid.yaml", "tests/test_cell.py": "test_cell.py",
        "tests/test_task.py": "test_task.py",
    },
}  # fmt: skip
"""The files of each kind, and the template of each."""
KINDS = tuple(kind for kind in FILES if " " not in kind)
WHAT = {
    "cell": "a cell, its architecture, and a grid that compares it",
    "architecture": "an architecture, and a grid that compares it",
    "task": "a task, its data, and a grid",
    "plugin": "a plug-in of rnnbench: a cell, an architecture, a task and a grid",
}
METRICS = {
    "classification": ("accuracy", "maximise"),
    "ordinal_classification": ("accuracy", "maximise"),
    "regression": ("rmse", "minimise"),
    "horizon_forecast": ("rmse", "minimise"),
    "character_model": ("bits_per_character", "minimise"),
    "language_model": ("perplexity", "minimise"),
}
SPLIT = (
    "Which sequences there are, where they come from, and how they are divided, 70 : 15 : 15, so that nothing of the "
    "test part is known in training."
)


def add_options(parser: Parser) -> None:
    """Declare the options."""
    parser.add_argument("kind", choices=KINDS, help="what to write")
    parser.add_argument("name", type=str, help="of it: small letters, digits and _; also that of its folder")
    parser.add_argument(
        "--from",
        type=str,
        metavar="DATA",
        help="of a task: look at a CSV, Parquet or text file, or a folder of WAV files",
    )


def run(options: Namespace) -> None:
    """Write the files of a skeleton into a new folder, and print what to do with it.

    Raises:
        RnnbenchError: a name that cannot be one, or a file that is there already; nothing is written then. The data of
            `--from` cannot be read.
    """
    kind, name, source = options.kind, options.name, options["from"]
    if source is not None and kind != "task":
        raise RnnbenchError(f"--from proposes a task by its data; {kind} takes none")
    folder = Path(name)
    check_name(kind, name)
    values = {**_values(kind, name), **(_proposed(name, source) if source is not None else {})}
    write_files(FILES["task of a file" if source is not None else kind], folder, name, values)
    print(_next_steps(kind, name))


def check_name(kind: str, name: str) -> None:
    """Check that a name is free, and can be that of a module.

    Raises:
        RnnbenchError: it is not.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) or keyword.iskeyword(name):
        near = re.sub(r"\W+", "_", name.lower()).strip("_")
        hint = f"; did you mean {near!r}?" if near != name and re.fullmatch(r"[a-z][a-z0-9_]*", near) else ""
        raise RnnbenchError(f"{name!r} must be small letters, digits and _, and begin with a letter{hint}")
    if Path(name).exists():
        raise RnnbenchError(f"{name} is there already: nothing is overwritten; take another name")
    if find_spec(name) is not None:
        raise RnnbenchError(f"{name!r} is the name of a Python package that is installed; take another name")
    for taken in ("task", "architecture"):
        if name in catalogue(taken):
            raise RnnbenchError(
                f"{name!r} is the name of {'an' if taken[0] == 'a' else 'a'} {taken} already; take another"
            )


def write_files(files: dict[str, str], folder: Path, name: str, values: dict[str, str]) -> None:
    """Write files, by path below a folder, of templates with their `$$names` replaced."""
    for path, template in files.items():
        text = Template((TEMPLATES / f"{template}.template").read_text("utf-8")).substitute(values)
        write_whole(folder / path.format(name=name), text)
        print(f"wrote {folder / path.format(name=name)}")


def _values(kind: str, name: str) -> dict[str, str]:
    """What stands for the names in templates."""
    title = "".join(part.capitalize() for part in name.split("_"))
    own = {
        "cell": (f"{name}/{name}.yaml, gru, lstm", "adding, parity"),
        "architecture": (f"{name}/{name}.yaml, gru, lstm", "adding, parity"),
        "task": ("elman, gru, lstm", name),
        "plugin": (f"{name}, gru, lstm", name),
    }
    architectures, tasks = own[kind]
    return {
        "name": name,
        "package": name,
        "Name": title,
        "Layer": f"{title}Layer",
        "what": WHAT[kind],
        "grid_name": name,
        "architectures": architectures,
        "tasks": tasks,
        "budget": "steps: 300",
        "title": "Sign of a sum",
        "summary": "Is the sum of a sequence of random numbers above zero?",
        "group": "own",
        "kind": "synthetic",
        "objective": "classification",
        "data_class": f"{name}.data.{title}",
        "data_arguments": _card_arguments(
            {"length": 20, "size": 1000, "batch_size": 32},
            {"length": "the most steps of a sequence", "size": "sequences of all parts together",
             "batch_size": "sequences of an optimiser step"},
        ),
        "metric": "accuracy",
        "direction": "maximise",
        "chance": "0.5",
        "reference": "majority class",
        "margin": "0.05",
        "source": "generated",
        "licence": "none",
        "split": SPLIT,
        "folder": "Path(__file__).parent" if kind == "task" else f'Path(__file__).parents[1] / "{name}/tasks/{name}"',
        "distinct": _DISTINCT,
    }  # fmt: skip


def _proposed(name: str, source: str) -> dict[str, str]:
    """What is proposed for a file of the user; its data is prepared, so that whatever is wrong with it is told now.

    Raises:
        RnnbenchError: the file cannot be read, or a row of it is wrong.
    """
    from rnnbench.data.propose import propose
    from rnnbench.harness.instantiate import prepare

    path = user_path(source, "--from")
    proposal = propose(path, source)
    make: Any = proposal.cls
    data = make(**proposal.arguments)
    prepare(data)
    known, class_name = data.metadata(), proposal.cls.__name__
    metric, direction = METRICS[data.objective]
    chance = known["baseline_scores"][metric]
    counts = [len(data.store(split)) for split in ("train", "validation", "test")]
    print(f"{source}: {class_name}, objective {data.objective}")
    for note in proposal.notes:
        print(f"  {note}")
    split = "Divided into {:,}, {:,} and {:,} sequences for training, validation and test.".format(*counts)
    is_stream = data.objective in ("character_model", "language_model")
    print(f"  {split if not is_stream else 'the first 70 % train, 15 % validate, the last 15 % test'}")
    help_of = _argument_help(proposal.cls)
    batch_size = data.batch_size if is_stream else max(4, min(data.batch_size, counts[0] // 16))
    few = is_stream or counts[0] <= 100 * batch_size
    arguments = {**proposal.arguments, "batch_size": batch_size}
    return {
        "title": name.replace("_", " ").capitalize(),
        "summary": write_yaml(f"{Path(source).name}, {data.objective.replace('_', ' ')}").strip().partition("\n")[0],
        "kind": "real",
        "objective": data.objective,
        "data_class": f"rnnbench.data.{class_name}",
        "data_arguments": _card_arguments(arguments, help_of),
        "metric": metric,
        "direction": direction,
        "chance": repr(chance),
        "reference": known["baseline"],
        "margin": "0.05" if direction == "maximise" else f"{0.02 * chance:.3g}",
        "budget": "steps: 1000" if few else "epochs: 10, patience: 3",
        "source": write_yaml(f"a file of the user, {Path(source).name}").strip().partition("\n")[0],
        "licence": "not known",
        "split": "\n".join(
            [
                *(["The first 70 % train, the next 15 % validate, the last 15 % test."] if is_stream else [split]),
                f"`help(rnnbench.data.{class_name})` says how, and what is refused. What was found in the file:\n",
                *(f"- {note}" for note in proposal.notes),
            ]
        ),
        "distinct": _DISTINCT_STREAM if is_stream else _DISTINCT_WINDOWS if "horizon" in arguments else _DISTINCT,
    }


_DISTINCT = """names = ("train", "validation", "test")
    parts = [{str(one) for one in data.table(name)["inputs"][:]} for name in names]
    assert all(parts)
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]"""
_DISTINCT_WINDOWS = """data.setup()
    assert all(len(data.store(split)) for split in ("train", "validation", "test"))"""
_DISTINCT_STREAM = """assert all(len(data.stream(split)) for split in ("train", "validation", "test"))"""


def _card_arguments(arguments: dict[str, Any], help_of: dict[str, str]) -> str:
    """Arguments as lines of YAML, each with what it is."""
    lines = []
    for name, value in arguments.items():
        words = write_yaml([value]).removeprefix("- ").strip() if not isinstance(value, list) else _flow(value)
        lines.append(f"    {name}: {words}" + (f" # {help_of[name]}" if name in help_of else ""))
    return "\n".join(lines)


def _flow(values: list[Any]) -> str:
    return "[" + ", ".join(write_yaml([value]).removeprefix("- ").strip() for value in values) + "]"


def _argument_help(cls: type) -> dict[str, str]:
    """The first sentence about each argument in the docstring of a class."""
    text = inspect.cleandoc(cls.__doc__ or "").partition("Args:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.M)
    sentences = {name: re.split(r"[;:.] |\.$", " ".join(words.split()))[0] for name, words in found}
    return {**sentences, "batch_size": "sequences of an optimiser step"}


def _next_steps(kind: str, name: str) -> str:
    """The commands that come next."""
    if kind == "plugin":
        return (
            f"next: pip install -e ./{name}; rnnbench check; rnnbench smoke --architectures {name}; rnnbench run {name}"
        )
    what = f"--tasks {name}" if kind == "task" else f"--architectures {name}/{name}.yaml"
    return f"next: rnnbench check {name}; rnnbench smoke {what}; rnnbench run {name}/grid.yaml"
