"""Playground: a model tried out on a local page or in the terminal."""
