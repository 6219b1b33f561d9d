"""The control problems as an environment of verifiers (pip install verifiers), for its evaluations and prime-rl.

python examples/verifiers_taskset.py                      # prints two tasks, and the rewards of zero control
PYTHONPATH=examples vf-eval verifiers_taskset --no-push -m MODEL -n 20 --env.taskset.system van_der_pol \\
    --client.base-url http://localhost:8000/v1            # in closed loop: --env.taskset.closed-loop true

verifiers finds the taskset in `__all__`. As a package for the Environments Hub: examples/verifiers_control.
"""

import asyncio

import verifiers.v1 as vf

from control_envs import format_completion
from llm_agent.integrations.verifiers import ControlState, ControlTaskset, ControlVerifiersEnv, load_environment

__all__ = ["ControlTaskset", "ControlVerifiersEnv"]


def trace_of(task):
    return vf.Trace(task=vf.TraceTask(type="ControlTask", data=task.data), agent=vf.AgentInfo(config=vf.AgentConfig()))


if __name__ == "__main__":
    # By one text, the whole plan.
    env = load_environment("verifiers_taskset", count=1)
    task = next(iter(env.taskset))
    trace = trace_of(task)
    trace.root_reply = format_completion([[0.0]] * 50, "do nothing")
    asyncio.run(task.score(trace))
    print(task.data.prompt, trace.info["verdict"], trace.reward, sep="\n")

    # In closed loop, by calls of the tool; here the trajectory is played without a model. Scaled to [0, 1].
    env = load_environment("verifiers_taskset", count=1, closed_loop=True, scaled=True)
    task = next(iter(env.taskset))
    trace = trace_of(task)
    trace.state = ControlState(system=task.data.system, x0=task.data.x0, controls=[0.0] * 50)
    asyncio.run(task.score(trace))
    print(task.data.prompt, trace.reward, sep="\n")
