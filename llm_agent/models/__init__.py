"""Models: the embedded tiny model and its tokenizer, loading any model, shipped models, chat templates."""

from llm_agent.models.loading import load_model, load_tokenizer

__all__ = ["load_model", "load_tokenizer"]
