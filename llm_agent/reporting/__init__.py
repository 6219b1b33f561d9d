"""Reporting: a run's page, pictures, tables, listing and model card."""
