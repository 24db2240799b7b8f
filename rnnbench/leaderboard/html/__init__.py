"""The board as one HTML file: no network, no server. What stands on it comes from the same functions as elsewhere."""
