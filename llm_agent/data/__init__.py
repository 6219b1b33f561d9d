"""Data: demonstrations, prompts, reasoning texts, and export to Parquet."""
