"""Control problems as Gymnasium environments, with numbers or text in and out.

Importing this package registers a numeric and a text environment for every plant: ``DoubleIntegrator-v0``,
``DoubleIntegratorText-v0``, ``VanDerPol-v0``, ``VanDerPolText-v0``, ... Add your own plants with `register_system`, or
through an entry point of your package (`control_envs.envs.registration`).
"""

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from control_envs.dynamics.trajectory import Trajectory, simulate
from control_envs.envs.registration import env_id, register_all, register_system
from control_envs.rewards import REWARDS, Score, get_reward, score
from control_envs.rewards.metrics import Metrics, measure
from control_envs.systems import SYSTEMS, System, get_system
from control_envs.systems.initial_states import sample_states
from control_envs.text import format_completion, format_prompt, parse_completion
from control_envs.text.scoring import score_completions
from control_envs.utils.moved import keep_old_modules

register_all()
keep_old_modules(
    {
        "control_envs.codec": "control_envs.text",
        "control_envs.metrics": "control_envs.rewards.metrics",
        "control_envs.riccati": "control_envs.dynamics.riccati",
        "control_envs.running": "control_envs.rewards.running",
        "control_envs.scoring": "control_envs.text.scoring",
        "control_envs.splits": "control_envs.systems.initial_states",
        "control_envs.trajectory": "control_envs.dynamics.trajectory",
        "control_envs.wrappers": "control_envs.envs.wrappers",
    },
    {"CompiledFlights": "CompiledTrajectories", "FlightsInProgress": "RunningTrajectories"},
)

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> Any:  # read when asked for: not every import needs it
        if name == "__version__":
            return version("control-grpo")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


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
