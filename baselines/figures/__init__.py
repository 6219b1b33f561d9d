"""Figures of a comparison, and animations. Needs the ``plots`` extra (matplotlib)."""
