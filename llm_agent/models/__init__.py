"""Models: the embedded one and its tokenizer, loading any other, what ships, chat templates."""

from llm_agent.models.loading import load_model, load_tokenizer

__all__ = ["load_model", "load_tokenizer"]
