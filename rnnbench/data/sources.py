"""Where data modules take archives from: `Source`, which the ground floor has."""

from rnnbench.sources import Source

__all__ = ["Source"]
