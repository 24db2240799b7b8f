"""Special tokens: the first ids of every vocabulary."""

PADDING, UNKNOWN, START, END = SPECIALS = ["<pad>", "<unk>", "<s>", "</s>"]
PADDING_ID, UNKNOWN_ID, START_ID, END_ID = range(len(SPECIALS))
FIRST_WORD_ID = len(SPECIALS)
"""The first id of a token of the text."""
NOT_GENERATED = (PADDING_ID, UNKNOWN_ID, START_ID)
"""Tokens that a model never generates."""
