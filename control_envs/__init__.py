"""Control problems as Gymnasium environments, with numbers or text in and out.

Importing this package registers, for every plant, a numeric and a text environment:
``DoubleIntegrator-v0``, ``DoubleIntegratorText-v0``, ``VanDerPol-v0``, ``VanDerPolText-v0``, ...
"""

from gymnasium.envs.registration import register

from control_envs.codec import format_completion, format_prompt, parse_completion
from control_envs.metrics import Metrics, measure
from control_envs.rewards import REWARDS, Score, get_reward, score
from control_envs.scoring import score_completions
from control_envs.splits import sample_states
from control_envs.systems import SYSTEMS, System, get_system
from control_envs.trajectory import Trajectory, simulate


def env_id(system: str, text: bool = False) -> str:
    """The Gymnasium id of a plant: ``env_id("van_der_pol", text=True)`` is "VanDerPolText-v0"."""
    return "".join(word.capitalize() for word in system.split("_")) + ("Text" if text else "") + "-v0"


for _name in SYSTEMS:
    register(
        env_id(_name),
        entry_point="control_envs.envs:ControlEnv",
        vector_entry_point="control_envs.vector:BatchedControlEnv",
        kwargs={"system": _name},
    )
    register(env_id(_name, text=True), entry_point="control_envs.envs:TextControlEnv", kwargs={"system": _name})

__all__ = [
    "REWARDS",
    "SYSTEMS",
    "Metrics",
    "Score",
    "System",
    "Trajectory",
    "env_id",
    "format_completion",
    "format_prompt",
    "get_reward",
    "get_system",
    "measure",
    "parse_completion",
    "sample_states",
    "score",
    "score_completions",
    "simulate",
]
