"""Figures of a comparison, and animations. Needs matplotlib."""
