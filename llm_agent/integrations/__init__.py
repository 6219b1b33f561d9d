"""Integrations: the environments in the form that other trainers need."""
