"""The client."""

from llm_agent.integrations.openenv import ControlClient

__all__ = ["ControlClient"]
