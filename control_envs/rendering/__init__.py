"""Rendering: parts of pictures, views of a plant, frames and windows. Needs matplotlib."""
