"""Special tokens: the first ids of every vocabulary."""

PADDING_ID, UNKNOWN_ID, START_ID, END_ID = range(4)
"""Ids of `<pad>`, `<unk>`, `<s>` and `</s>`."""
FIRST_WORD_ID = 4
"""The first id of a token of the text."""
END = "</s>"
NOT_GENERATED = (PADDING_ID, UNKNOWN_ID, START_ID)
"""Tokens that a model never generates."""
