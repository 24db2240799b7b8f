"""Twins of the real archives: the same layout inside, and made-up content; for tests and `smoke`."""

from rnnbench.data.stand_ins.registry import TWINS, small_arguments, twins_in_place

__all__ = ["TWINS", "small_arguments", "twins_in_place"]
