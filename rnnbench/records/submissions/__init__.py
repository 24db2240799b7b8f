"""Records that people send: checking them, what a change does, publishing. All input is untrusted; no torch."""
