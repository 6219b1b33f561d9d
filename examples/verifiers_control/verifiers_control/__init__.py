"""Control problems for verifiers: `vf-eval verifiers-control`, or `load_environment()` from Python."""

from llm_agent.integrations import verifiers as _control
from llm_agent.integrations.verifiers import ControlTaskset, ControlVerifiersEnv

__all__ = ["ControlTaskset", "ControlVerifiersEnv", "load_environment"]


def load_environment(**settings):
    """The environment: `load_environment(system="van_der_pol", closed_loop=True, scaled=True)`."""
    return _control.load_environment(__name__, **settings)
