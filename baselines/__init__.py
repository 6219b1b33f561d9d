"""Classical controllers on the same plants."""
