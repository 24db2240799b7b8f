"""Claims of the literature and what was found, as `make conformance` left them."""

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from pydantic import TypeAdapter, ValidationError

from rnnbench.errors import RnnbenchError
from rnnbench.strict import Strict, read_json


class Verdict(Strict):
    """One entry of `conformance.json`."""

    name: str
    claim: str
    source: str
    task: str
    metric: str
    rule: str
    scores: dict[str, list[float]]
    lacking: int
    verdict: str

    @property
    def found(self) -> str:
        """Mean ± standard deviation of each architecture."""
        return "; ".join(f"{name} {_mean(scores)} (n={len(scores)})" for name, scores in self.scores.items() if scores)


@dataclass(frozen=True)
class Claims:
    """What could be read, and why something could not."""

    verdicts: list[Verdict]
    problems: list[str]


def read_claims(leaderboard: Path) -> Claims:
    """Those of a leaderboard; none if it has none."""
    path = leaderboard / "conformance.json"
    if not path.is_file():
        return Claims([], [])
    try:
        return Claims(TypeAdapter(list[Verdict]).validate_python(read_json(path)), [])
    except (RnnbenchError, ValidationError) as error:
        return Claims([], [f"{path}: {str(error).splitlines()[0]}"])


def _mean(scores: list[float]) -> str:
    deviation = f" ± {stdev(scores):.2g}" if len(scores) > 1 else ""
    return f"{fmean(scores):.4g}{deviation}"
