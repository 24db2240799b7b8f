"""Stand-ins for the real archives: the same layout with made-up content, for tests and `rnnbench smoke`."""

from rnnbench.data.stand_ins.registry import STAND_IN_ARCHIVES, stand_in_arguments, use_stand_ins

__all__ = ["STAND_IN_ARCHIVES", "stand_in_arguments", "use_stand_ins"]
