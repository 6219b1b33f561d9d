"""Control problems as Gymnasium environments, with numbers or text in and out.

Importing this package registers, for every plant, a numeric and a text environment:
``DoubleIntegrator-v0``, ``DoubleIntegratorText-v0``, ``VanDerPol-v0``, ``VanDerPolText-v0``, ... Plants of your own
join them by `register_system`, or by an entry point of your package (`control_envs.registration`).
"""

from control_envs.codec import format_completion, format_prompt, parse_completion
from control_envs.metrics import Metrics, measure
from control_envs.registration import env_id, register_all, register_system
from control_envs.rewards import REWARDS, Score, get_reward, score
from control_envs.scoring import score_completions
from control_envs.splits import sample_states
from control_envs.systems import SYSTEMS, System, get_system
from control_envs.trajectory import Trajectory, simulate

register_all()

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
    "register_system",
    "sample_states",
    "score",
    "score_completions",
    "simulate",
]
