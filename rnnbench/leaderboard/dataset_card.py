"""The page of a board in a repository of a hub, `README.md`: metadata in YAML, then Markdown, all text escaped."""

from collections.abc import Collection, Sequence
from typing import Any

from rnnbench.config.schema import write_yaml
from rnnbench.leaderboard.render import board_markdown
from rnnbench.leaderboard.table import Table
from rnnbench.records.record import Record

RESULTS = "results.parquet"
"""A row for each record; what a hub shows, and what `datasets.load_dataset` reads."""


def dataset_card(records: Collection[Record], tables: Sequence[Table], address: str, licence: str) -> str:
    """The page of a board.

    Args:
        records: all of it.
        tables: those of the board.
        address: where to.
        licence: of the records, as the hub abbreviates it; empty if none was named.
    """
    content: dict[str, Any] = {"license": licence} if licence else {}
    content |= {
        "tags": ["rnnbench", "benchmark", "leaderboard", "recurrent-neural-network"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": RESULTS}]}],
    }
    tasks = {record.spec.task.name for record in records}
    architectures = {record.spec.architecture.name for record in records}
    name = address.removeprefix("hf://datasets/")
    counts = f"Records: {len(records):,}; architectures: {len(architectures)}; tasks: {len(tasks)}"
    return f"""---
{write_yaml(content)}---

# A leaderboard of recurrent networks

{counts}. Made with rnnbench.

`{RESULTS}` has a row for each record: scores, settings, cost, machine. `records.jsonl` has them in full, with what it
takes to run each again. Scores are what the records say; `rnnbench verify` runs one again and compares.

```
pip install rnnbench
rnnbench pull {address} --leaderboard pulled
rnnbench board --leaderboard pulled
```

```python
from datasets import load_dataset

results = load_dataset("{name}", split="train").to_pandas()
```

{board_markdown(tables)}"""
