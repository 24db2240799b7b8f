"""The verbs of the command line: their options, and what each calls; nothing heavy is imported before that."""

from rnnbench.commands import data, exchange, inside, inside_plots, look, run

GROUPS = (run, look, inside, inside_plots, exchange, data)
"""Modules with `add(verbs)`, which declares its verbs and gives what each calls."""
