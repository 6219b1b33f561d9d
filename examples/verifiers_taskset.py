"""The control problems as a taskset for verifiers (pip install verifiers), its evaluations and prime-rl.

python examples/verifiers_taskset.py                      # prints one task, and the reward of zero control
PYTHONPATH=examples vf-eval verifiers_taskset -m MODEL -n 20 --env.taskset.system van_der_pol \\
    --client.base-url http://localhost:8000/v1 --env.agent.harness.id null --env.agent.runtime.type subprocess
"""

import asyncio

import verifiers.v1 as vf

from control_envs import format_completion, format_prompt, get_system, sample_states, score_completions


class ControlData(vf.TaskData):
    system: str
    x0: list[float]
    reward_version: str


class ControlTask(vf.Task[ControlData]):
    @vf.reward
    async def control(self, trace: vf.Trace) -> float:
        """The environment's reward of the answer."""
        system, answer = get_system(self.data.system), trace.last_reply
        scores = score_completions(system, [self.data.x0], [answer], self.data.reward_version)
        trace.info["verdict"] = scores.verdicts[0]
        return float(scores.total[0])


class ControlConfig(vf.TasksetConfig):
    system: str = "double_integrator"
    split: str = "test"  # held-out initial states; "train" for training
    count: int = 500
    reward_version: str = "1.3"


class ControlTaskset(vf.Taskset[ControlTask, ControlConfig]):
    def load(self):
        system, version = get_system(self.config.system), self.config.reward_version
        for x in sample_states(system, self.config.count, self.config.split):
            prompt = format_prompt(system, x)
            yield ControlTask(ControlData(prompt=prompt, system=system.name, x0=x.tolist(), reward_version=version))


__all__ = ["ControlTaskset"]

if __name__ == "__main__":
    task = next(iter(ControlTaskset(ControlConfig(count=1))))
    info = vf.AgentInfo(config=vf.AgentConfig())
    trace = vf.Trace(task=vf.TraceTask(type="ControlTask", data=task.data), agent=info)
    trace.root_reply = format_completion([[0.0]] * 50, "do nothing")
    asyncio.run(task.score(trace))
    print(task.data.prompt, trace.info["verdict"], trace.reward, sep="\n")
