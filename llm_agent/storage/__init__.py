"""Storage: the run folder and its record."""
