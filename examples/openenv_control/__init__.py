"""Control problems for OpenEnv: the client and its models."""

from llm_agent.integrations.openenv import ControlAction, ControlClient, ControlObservation, ControlState

__all__ = ["ControlAction", "ControlClient", "ControlObservation", "ControlState"]
