"""Helpers that depend on no other sub-package: optional packages, atomic file writes, commands, tables."""
