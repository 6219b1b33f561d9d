"""The control problems as a taskset of verifiers (pip install verifiers), for its evaluations and for prime-rl.

python examples/verifiers_taskset.py                                         # shows one task, scored by LQR's plan
PYTHONPATH=examples vf-eval verifiers_taskset -m MODEL -n 20 --env.taskset.system van_der_pol
"""

import asyncio
from collections.abc import Iterator

import verifiers.v1 as vf

from control_envs import format_completion, format_prompt, get_system, sample_states, score_completions


class FlightData(vf.TaskData):
    """A problem: the plant's name, where it starts, and the reward's version."""

    system: str
    x0: list[float]
    reward_version: str


class FlightTask(vf.Task[FlightData]):
    """One problem, answered with a whole plan."""

    @vf.reward
    async def control(self, trace: vf.Trace) -> float:
        """The environment's own reward of the answer."""
        score = score_completions(
            get_system(self.data.system), [self.data.x0], [trace.last_reply], self.data.reward_version
        )
        trace.info["verdict"] = score.verdicts[0]
        return float(score.total[0])


class FlightsConfig(vf.TasksetConfig):
    """``--env.taskset.*``."""

    system: str = "double_integrator"
    split: str = "test"
    count: int = 500
    reward_version: str = "1.3"


class FlightTaskset(vf.Taskset[FlightTask, FlightsConfig]):
    """Held-out initial states of one plant (or those to train on: split "train")."""

    def load(self) -> Iterator[FlightTask]:
        """Every problem of the split."""
        system, version = get_system(self.config.system), self.config.reward_version
        for x in sample_states(system, self.config.count, self.config.split):
            data = FlightData(
                prompt=format_prompt(system, x), system=system.name, x0=x.tolist(), reward_version=version
            )
            yield FlightTask(data)


__all__ = ["FlightTaskset"]
