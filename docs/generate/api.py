"""Pages of the Python reference that list whatever a package exports; mkdocstrings fills them."""

from importlib import import_module

OPENINGS = {
    "data": (
        "LightningDataModules, usable with a plain Trainer. Which tasks read them, split and scored how: "
        "[tasks](../tasks/index.md). An own one: [own data](../guides/own-data.md).",
        {"SequenceDataModule": "[build_splits, model_kwargs, metadata, prepare_data]"},
    ),
    "objectives": (
        "What a task asks of a sequence model: head, loss and metrics. The name of the class in snake case is the "
        "`objective` of a card.",
        {"Objective": "[forward, loss, metrics, predict]"},
    ),
}
"""The opening of each page, and which members of some classes it shows; of the others it shows none."""
PAGES = {f"reference/{package}.md": package for package in OPENINGS}


def make(page: str) -> str:
    """The page of one package."""
    package = PAGES[page]
    opening, members = OPENINGS[package]
    names = sorted(import_module(f"rnnbench.{package}").__all__, key=lambda name: (name not in members, name.lower()))
    blocks = [f"::: rnnbench.{package}.{name}\n    options: {{members: {members.get(name, '[]')}}}" for name in names]
    return "\n\n".join([f"# rnnbench.{package}", opening, *blocks]) + "\n"
