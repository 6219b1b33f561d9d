"""Actions, observations and the state."""

from llm_agent.integrations.openenv import ControlAction, ControlObservation, ControlState

__all__ = ["ControlAction", "ControlObservation", "ControlState"]
