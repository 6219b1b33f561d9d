"""The control problems as tasks of Inspect AI (pip install inspect-ai openai).

python examples/inspect_control.py                  # prints one problem of each task
inspect eval examples/inspect_control.py@control -T count=20 \\
    --model openai-api/local/MODEL --model-base-url http://localhost:8000/v1
inspect eval examples/inspect_control.py@closed_loop -T count=20 -T system=van_der_pol -T scaled=true --model ...
"""

from inspect_ai import Task, task

from llm_agent.integrations.inspect_task import control_task


@task
def control(
    system: str = "double_integrator", split: str = "test", count: int = 500, version: str = "1.3", scaled: bool = False
) -> Task:
    """By one text with all controls."""
    return control_task(system, split, count, reward_version=version, scaled=scaled)


@task
def closed_loop(
    system: str = "double_integrator", split: str = "test", count: int = 500, version: str = "1.3", scaled: bool = False
) -> Task:
    """By calls of the tool play, which tells the state reached."""
    return control_task(system, split, count, closed_loop=True, reward_version=version, scaled=scaled)


if __name__ == "__main__":
    for problems in (control(count=1), closed_loop(count=1)):
        print(problems.dataset[0].input)
