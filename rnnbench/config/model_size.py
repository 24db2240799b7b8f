"""Equal size: what every network of a grid is made to have, whatever its architecture, by choosing its width."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from rnnbench.config.schema import StrictModel, short_repr

Counted = Literal["non-embedding", "all", "recurrent"]
WIDTH = "hidden_size"
"""What the width of a network of ours is called."""
MAX_TARGET = 10**15
"""Of a size; no network that any machine holds has as much."""
NO_WIDTH = "no width within"
"""How the reason begins why a run is infeasible that cannot have the size it should."""
TEXT = re.compile(r"\s*(?P<target>\d[\d_,]{0,30})\s*(?:(?:±|\+-|\+/-)\s*(?P<percent>\d+(?:\.\d+)?)\s*%\s*)?")


def _read(value: Any) -> Any:
    """`70_000 ± 2%`, or a number alone, as a mapping; whatever else is left as it is."""
    if isinstance(value, dict) or value is None:
        return value
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    match = TEXT.fullmatch(str(value)) if isinstance(value, int | str) and not isinstance(value, bool) else None
    if match is None:
        raise ValueError(
            f"give a number, '70_000 ± 2%', or {{target: 70000, tolerance: 0.02}}, got {short_repr(value)}"
        )
    read: dict[str, Any] = {"target": int(re.sub("[_,]", "", match["target"]))}
    return read | ({"tolerance": float(Decimal(match["percent"]) / 100)} if match["percent"] else {})


class Flops(StrictModel):
    """How many operations.

    Args:
        target: floating-point operations that one more input step of one sequence costs in the forward pass; a
            multiplication with its addition counts two, and as torch counts, matrix products and convolutions alone.
        tolerance: how far from it a network may be, as a share of it.
    """

    target: int = Field(ge=1, le=MAX_TARGET)
    tolerance: float = Field(0.02, ge=0, lt=1)


class Params(StrictModel):
    """How many parameters.

    Args:
        target: the number.
        tolerance: how far from it a network may be, as a share of it.
        count: which trainable ones are counted. `non-embedding`: all but embeddings of tokens, which grow with the
            vocabulary and are the same for every architecture (as Kaplan et al. 2020 count). `all`. `recurrent`: those
            of the sequence layers, of a decoder too, without head; of a network without recurrence its other layers.
    """

    target: int = Field(ge=1, le=MAX_TARGET)
    tolerance: float = Field(0.02, ge=0, lt=1)
    count: Counted = "non-embedding"


ParamsField = Annotated[Params | None, BeforeValidator(_read)]
FlopsField = Annotated[Flops | None, BeforeValidator(_read)]


class Size(StrictModel):
    """The rule by which the width of a run's network is chosen.

    Args:
        quantity: what is matched.
        target: how much of it.
        tolerance: how far from it, as a share of it.
        count: of parameters, which are counted, see `Params`.
    """

    quantity: Literal["parameters", "flops"]
    target: int = Field(ge=1)
    tolerance: float = Field(ge=0, lt=1)
    count: Counted | None = None

    @classmethod
    def of(cls, params: Params | None, flops: Flops | None) -> "Size | None":
        """The rule of a grid, if it has one."""
        if params is not None:
            return cls(quantity="parameters", **params.model_dump())
        return None if flops is None else cls(quantity="flops", **flops.model_dump())

    @property
    def content(self) -> dict[str, Any]:
        """What of it makes two runs different."""
        return self.model_dump(exclude_none=True)

    def met_by(self, count: int) -> bool:
        """Whether a count is near enough."""
        return abs(count - self.target) <= Decimal(repr(self.tolerance)) * self.target

    def __str__(self) -> str:
        what = "FLOPs a step" if self.count is None else f"{self.count} parameters".removeprefix("all ")
        return f"{self.target:,} ± {100 * self.tolerance:g} % {what}"


class Fit(StrictModel):
    """The width that a rule has led to.

    Args:
        argument: of the constructor.
        width: its value.
        count: parameters, or operations, that the network then has.
    """

    argument: str
    width: int = Field(ge=1)
    count: int = Field(ge=0)
