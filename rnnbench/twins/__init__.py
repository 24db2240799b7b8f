"""Twins of the real archives: the same layout inside, and made-up content; for tests and `smoke`."""

from rnnbench.twins.registry import TWINS, twins_in_place

__all__ = ["TWINS", "twins_in_place"]
