"""What a run leaves: its record, the probe in it, certificates, the six states of a cell, submissions."""
