"""The board: records into tables, statistics, Markdown and a terminal. Pure functions; no torch."""
