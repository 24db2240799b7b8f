"""Files, digests, downloads, word vectors, text for terminals, optional packages: what any other package may use."""
