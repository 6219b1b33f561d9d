"""Storage: a run and its folder."""
