import importlib.util
import os

import pytest

# Tests train tiny models: nothing may be asked of a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from control_envs import SYSTEMS


@pytest.fixture(params=list(SYSTEMS))
def system(request):
    """Every registered plant: a new one is tested by existing."""
    return SYSTEMS[request.param]


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    """Tests neither read nor fill the user's cache."""
    os.environ["CONTROL_GRPO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True, scope="session")
def _threads_as_commands_have_them():
    """Torch's threads keep to the way with denormals in which they are born: a run in this process, whose threads are
    older than it, has to come to the very weights that a command in a process of its own comes to."""
    if importlib.util.find_spec("torch"):
        import torch

        from llm_agent.hardware import without_denormals

        with without_denormals():
            torch.ones(1_000_000).exp()
