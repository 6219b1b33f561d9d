"""Rendering of trajectories: drawing functions, views of a plant, frames and windows. Needs matplotlib."""
