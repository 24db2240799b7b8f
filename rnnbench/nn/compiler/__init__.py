"""The engines that run a cell over a sequence."""
