"""Pages that are made from code, cards, essays and committed records while the site is built; see `hooks`."""
