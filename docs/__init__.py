"""The documentation: pages of its own in Markdown, and `generate`, which makes the others while the site is built."""
