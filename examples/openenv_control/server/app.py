"""The server's app: `uvicorn server.app:app --port 8000`, or `python -m server.app`.

Settings are environment variables: CONTROL_SYSTEM (double_integrator), CONTROL_REWARD (1.3), and CONTROL_SCALED: 1 (the
default, as openenv.yaml declares it) scales the reward to [0, 1], 0 gives it as it is.
"""

import os

import uvicorn

from llm_agent.integrations.openenv import make_app

app = make_app(
    system=os.environ.get("CONTROL_SYSTEM", "double_integrator"),
    reward_version=os.environ.get("CONTROL_REWARD", "1.3"),
    scaled=os.environ.get("CONTROL_SCALED", "1") == "1",
)


def main():
    """Serves the app on port 8000."""
    uvicorn.run(app, host="0.0.0.0", port=8000)


if __name__ == "__main__":
    main()
