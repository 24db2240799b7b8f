"""Seeds as a grid gives them: how many, or which."""

from typing import Annotated, Any

from pydantic import Field

from rnnbench.config.schema import short_repr

Seed = Annotated[int, Field(ge=0, lt=2**31)]
MAX_SEEDS = 10_000


def seeds_field(value: Any) -> Any:
    """What `seeds` may be; pydantic itself would tell of each alternative by itself.

    Raises:
        ValueError: it is not.
    """
    numbers = value if isinstance(value, list) else [value]
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in numbers)
    if numbers and whole and (all(0 <= one < 2**31 for one in value) if numbers is value else 1 <= value <= MAX_SEEDS):
        return value
    raise ValueError(
        f"give a number of seeds from 1 to {MAX_SEEDS}, or a list of seeds (whole numbers from 0), "
        f"got {short_repr(value)}"
    )


def seed_list(seeds: int | list[int]) -> list[int]:
    """The seeds themselves."""
    return list(range(seeds)) if isinstance(seeds, int) else seeds
