"""Files for contributors and for services: they can be read, and what they name exists."""

import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench import __version__
from rnnbench.cli import VERBS, make_parser

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
GUIDE = ROOT / "CONTRIBUTING.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SHOWN = [
    ROOT / "README.md",
    *PAGES,
    GUIDE,
    ROOT / "CHANGELOG.md",
    ROOT / ".github" / "PULL_REQUEST_TEMPLATE.md",
    HOOKS,
    *FORMS,
    *WORKFLOWS,
]


def name_of(path: Path) -> str:
    return path.name


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def commands(path: Path) -> list[list[str]]:
    """Commands in a file, as words, up to a pipe: lines that begin so, and what stands between backquotes."""
    start = r"(?:\.venv/bin/)?(?:rnnbench|make|python -m)"
    line, quoted = rf"^ *(?:- )?(?:(?:run|entry): )?({start} .+)$", rf"(?<!`)`({start} [^`]+)`(?!`)"
    found = [one or other for one, other in re.findall(f"{line}|{quoted}", path.read_text().replace("\\\n", ""), re.M)]
    return [shlex.split(re.split(r" 2>&1| \| | && ", " ".join(one.split()))[0], comments=True) for one in found]


def test_what_is_shown_has_commands() -> None:
    assert ["make", ".venv/installed"] in commands(ROOT / ".github" / "workflows" / "board.yml")
    assert [".venv/bin/rnnbench", "check"] in commands(HOOKS)
    assert len(commands(ROOT / "README.md")) > 10
    assert len([command for page in PAGES for command in commands(page)]) > 80
    assert len(commands(GUIDE)) > 10


@pytest.mark.parametrize("path", SHOWN, ids=name_of)
def test_every_command_that_is_shown_exists(path: Path) -> None:
    parser = make_parser()
    targets = " ".join(re.findall(r"^([\w./ -]+):", (ROOT / "Makefile").read_text(), re.M)).split()
    for program, *words in commands(path):
        if program == "make":
            assert set(words) <= set(targets), words
        elif program.endswith("python"):
            assert words[1] in ("build", "twine", "venv") or (ROOT / f"{words[1].replace('.', '/')}.py").is_file(), (
                words
            )
        elif words[0] != "--version":
            assert words[0] in VERBS, words
            if words[1:]:  # else it may be the mere name of a verb, in a sentence
                assert parser.parse_args(words).verb == words[0]


def test_every_file_that_the_guide_names_is_there() -> None:
    names = re.findall(
        r"(?<![\w/-])((?:rnnbench|tests|tasks|configs|leaderboard|docs)/[\w./-]*\w|\w+\.(?:md|toml|cff))\b",
        GUIDE.read_text(),
    )
    assert {"rnnbench/nn/layers.py", "tests/fixtures/nn_layers.py", "CITATION.cff"} <= set(names)
    assert not [name for name in names if name not in MADE_UP and not (ROOT / name).exists()]


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_a_workflow_may_do_no_more_than_it_needs(path: Path) -> None:
    content, text = read(path), path.read_text()
    events = content[True]  # YAML 1.1 reads the key `on` so
    jobs = content["jobs"].values()
    steps = [step for job in jobs for step in job["steps"]]
    granted = [content["permissions"], *(job.get("permissions", {}) for job in jobs)]
    writes = {name for one in granted for name, access in one.items() if access != "read"}
    assert "pull_request_target" not in events
    assert "secrets." not in text
    for step in steps:
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+", step.get("uses", "actions/none@v1"))
        assert "github.event.pull_request" not in step.get("run", "")  # which would be text of a stranger in a shell
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False
    assert all(job["timeout-minutes"] <= 60 for job in jobs)
    if "pull_request" in events:
        assert not writes
    if "workflow_run" in events:  # it has a token that writes: it may run nothing of the pull request
        assert set(events["workflow_run"]["workflows"]) <= {read(one)["name"] for one in WORKFLOWS}
        assert not [step for step in steps if "run" in step or "checkout" in step["uses"]]


@pytest.mark.parametrize("path", FORMS, ids=name_of)
def test_a_form_for_issues_is_one(path: Path) -> None:
    content = read(path)
    assert set(content) == {"name", "description", "labels", "body"}
    for field in content["body"]:
        assert field["type"] in {"input", "textarea", "dropdown", "checkboxes"}
        assert field["attributes"]["label"]
        assert ("options" in field["attributes"]) == (field["type"] in {"dropdown", "checkboxes"})
    names = [field["id"] for field in content["body"]]
    assert len(names) == len(set(names)) >= 4


def test_hooks_are_tools_of_the_environment() -> None:
    tools = {"rnnbench", "python", *(re.split(r"[>=\[]", one)[0] for one in project()["optional-dependencies"]["dev"])}
    (repository,) = read(HOOKS)["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        assert hook["language"] == "system"
        assert shlex.split(hook["entry"])[0].removeprefix(".venv/bin/") in tools
        re.compile(hook.get("files", ""))
    assert "pre-commit" in tools


def test_versions_agree() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+) - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert {project()["version"], read(ROOT / "CITATION.cff")["version"], released[0]} == {__version__}


def project() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


TEXTS = {".md", ".py", ".yaml", ".toml", ".cff", ".j2", ".js", ".css", ".h"}


def test_no_file_has_marks_of_a_merge() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for path in (ROOT / name for name in listed.splitlines()):
        if path.suffix in TEXTS and path.exists():
            assert not re.search(r"^(<{7}|>{7}) ", path.read_text(), re.M), path


FOLDERS = "rnnbench|tests|tasks|configs|docs|benchmarks"
MADE_UP = {"rnnbench/tasks", "rnnbench/configs", "tasks/NAME", "configs/architectures/NAME.yaml", "tasks/adding-50",
           "tasks/adding-50/task.yaml", "docs/speed.json", "docs/gpu.json", "tasks/index.md"}  # fmt: skip
"""What a wheel has, what a page tells readers to make, what is measured before a release, and a page of the site."""


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES], ids=name_of)
def test_every_file_that_is_named_is_there(path: Path) -> None:
    names = set(re.findall(rf"(?<![\w/.-])((?:{FOLDERS})/[\w./-]*\w)", path.read_text())) - MADE_UP
    assert not [name for name in names if not any((base / name).exists() for base in (ROOT, ROOT / "rnnbench"))]


def test_the_container_runs_what_the_readme_says() -> None:
    """What can be checked without building it."""
    text = re.sub(r"\\\n", " ", (ROOT / "Dockerfile").read_text())
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    first, *others = [rest for step, rest in steps if step == "FROM"]
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+ AS base", first)  # all parts of the version are named
    assert others == ["base"]
    last_user = [rest for step, rest in steps if step == "USER"][-1]
    assert f"useradd --create-home --uid 1000 {last_user}" in text
    assert [step for step, _ in steps if step in ("USER", "COPY")] == ["USER", "COPY"]  # nothing is copied as root
    targets = " ".join(re.findall(r"^([\w./ -]+):", (ROOT / "Makefile").read_text(), re.M)).split()
    assert ["RUN", "make .venv/installed"] in steps
    assert json.loads(steps[-1][1]) == ["make", "quickstart"]
    assert {".venv/installed", "quickstart", "test"} <= set(targets)
    assert "--constraint constraints.txt" in (ROOT / "Makefile").read_text()
    (cache,) = re.findall(r"RNNBENCH_CACHE=(\S+)", text)
    assert re.search(rf"install --directory --owner={last_user} .*{Path(cache).parent}\b", text)
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".venv/", "runs/"} <= set(ignored)


def test_the_development_container_is_that_container() -> None:
    folder = ROOT / ".devcontainer"
    content = json.loads((folder / "devcontainer.json").read_text())
    dockerfile = (folder / content["build"]["dockerfile"]).resolve()
    assert dockerfile == ROOT / "Dockerfile"
    assert f" AS {content['build']['target']}\n" in dockerfile.read_text()
    assert f"\nUSER {content['remoteUser']}\n" in dockerfile.read_text()
    assert content["postCreateCommand"] == "make .venv/installed"
