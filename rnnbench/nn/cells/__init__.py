"""The equations: one class a cell."""
