"""Models behind an OpenAI-compatible server: a policy that asks one, and the file that keeps its answers."""

from llm_agent.endpoints.policy import EndpointPolicy

__all__ = ["EndpointPolicy"]
