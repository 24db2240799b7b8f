"""A page for each task: its essay, its card, and its scores on the committed board."""

import re

import yaml

from docs.generate import cells, scores
from docs.generate.docstrings import table
from rnnbench.config.cards import TaskCard
from rnnbench.config.registry import catalogue

ARROWS = {"minimise": "↓", "maximise": "↑"}


def names() -> list[str]:
    """All tasks of the repository."""
    return list(catalogue("task"))


def page_of(name: str) -> str:
    """The path of a task's page."""
    return f"tasks/{name}.md"


def groups() -> dict[str, list[str]]:
    """The tasks by the group on their cards."""
    made: dict[str, list[str]] = {}
    for name in names():
        made.setdefault(TaskCard.load(name).group, []).append(name)
    return dict(sorted(made.items()))


def make(name: str) -> str:
    """The page of a task, in Markdown."""
    card, path = TaskCard.load(name), catalogue("task")[name]
    essay = path.with_name("README.md").read_text()
    heading, _, body = essay.partition("\n")
    body = re.sub(r"\]\(\.\./([\w.-]+)/README\.md\)", r"](\1.md)", body)
    parts = [heading, f"**{card.title}**", _facts(card), body.strip()]
    parts += ["## Scores on the board", scores.of_task(name, cells.pages_of_architectures())]
    if card.published:
        rows = [
            [one.architecture, f"{one.value:g}", "yes" if one.comparable else "no", one.source, one.note]
            for one in card.published
        ]
        parts += ["## Published numbers", table(["architecture", card.metric, "comparable", "source", "note"], rows)]
    parts += ["## References", "\n".join(f"- {reference}" for reference in card.references)]
    parts += ["## Run it", _run(card)]
    parts += ["## Card", f"`tasks/{name}/task.yaml`\n\n```yaml\n{path.read_text().rstrip()}\n```"]
    return "\n\n".join(parts) + "\n"


def index() -> str:
    """The page of all tasks, by group."""
    opening = (
        "Each is a folder with a card and an essay: what it tests, where the data comes from, how it is split and why "
        "that does not leak, what chance scores. What can be set in a task's data, and the kinds of questions: [tasks "
        "and their data](../guides/tasks.md)."
    )
    parts = ["# Tasks", opening]
    for group, members in groups().items():
        rows = []
        for name in members:
            card = TaskCard.load(name)
            score = f"{card.metric} {ARROWS[card.direction]}"
            rows.append([f"[{name}]({name}.md)", card.title, card.kind, f"`{card.objective}`", score])
        parts += [f"## {group[0].upper()}{group[1:]}", table(["task", "what", "data", "objective", "metric"], rows)]
    return "\n\n".join(parts) + "\n"


def _facts(card: TaskCard) -> str:
    budget = ", ".join(f"{key} {value:,}" for key, value in card.budget.model_dump(exclude_none=True).items()).replace(
        "_", " "
    )
    facts = {
        "group": card.group,
        "data": f"{card.kind}, `{card.data.class_path}`",
        "objective": f"`{card.objective}`",
        "score": f"{card.metric} {ARROWS[card.direction]}",
        "chance": f"{card.chance.value:.4g} ({card.chance.of})",
        "ceiling": "unknown" if card.ceiling is None else f"{card.ceiling:g}",
        "budget": budget,
        "source": card.source,
        "licence": card.licence,
        "version": str(card.version),
    }
    return table(["", ""], [[f"**{key}**", value] for key, value in facts.items()])


def _run(card: TaskCard) -> str:
    grid = yaml.safe_dump(
        {"name": f"my-{card.name}"[:64], "architectures": ["lstm", "gru"], "tasks": [card.name], "seeds": 2},
        sort_keys=False, default_flow_style=None,
    )  # fmt: skip
    return f"```yaml\n# my.yaml\n{grid}```\n\n```\nrnnbench run my.yaml\n```"
