"""What everybody may use and that uses nobody: optional packages, whole files, commands, tables."""
