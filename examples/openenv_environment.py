"""The control problems as an OpenEnv environment (pip install openenv): a server, and a client that controls the plant.

python examples/openenv_environment.py    # one problem by a text, the same in closed loop, over the loopback interface

The folder that OpenEnv builds and publishes, with openenv.yaml and a Dockerfile: examples/openenv_control.
"""

import socket
import threading

import uvicorn

from control_envs import format_completion
from llm_agent.integrations.openenv import ControlAction, ControlClient, make_app


def serve(app):
    """Serves an app in a thread; the server, and its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    threading.Thread(target=server.run, args=([listening],), daemon=True).start()
    return server, f"http://127.0.0.1:{listening.getsockname()[1]}"


def main():
    """State feedback in place of a model: a policy that reads the state and writes the next five controls."""
    server, url = serve(make_app(scaled=True))
    with ControlClient(base_url=url).sync() as client:
        problem = client.reset(x0=[0.4, -0.2]).observation
        print(problem.prompt)
        result = client.step(ControlAction(completion=format_completion([[0.0]] * 50, "do nothing")))
        print(f"by a text: {result.observation.verdict}, reward {result.reward:.2f}")

        result = client.reset(x0=[0.4, -0.2])
        print(result.observation.tool_prompt)
        while not result.done:
            x1, x2 = result.observation.x
            controls = []
            for _ in range(5):
                controls.append(-5.9 * x1 - 6.8 * x2)
                x1, x2 = x1 + 0.1 * x2 + 0.005 * controls[-1], x2 + 0.1 * controls[-1]
            result = client.step(ControlAction(controls=controls))
        print(f"in closed loop: success {result.observation.success}, reward {result.reward:.2f}")
    server.should_exit = True


if __name__ == "__main__":
    main()
