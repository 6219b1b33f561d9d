"""Integrations: the environments in the form that other trainers ask for."""
