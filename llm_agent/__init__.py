"""Language models that control: data, SFT, GRPO, policies and evaluation."""

from importlib.util import find_spec
from pathlib import Path

from control_envs.utils.moved import keep_old_modules

# A folder of that name beside the user's script, or another package, is found in place of ours.
_found = find_spec("baselines")
if _found is None or not any((Path(p) / "controllers").is_dir() for p in _found.submodule_search_locations or ()):
    _place = _found.origin if _found else "there is none"
    raise ImportError(f"another package named baselines hides ours ({_place}): rename it, or run from another folder")

keep_old_modules(
    {
        "llm_agent.dataset": "llm_agent.data.demonstrations",
        "llm_agent.laws": "llm_agent.data.reasoning",
        "llm_agent.receding": "llm_agent.policies.receding",
        "llm_agent.run_folder": "llm_agent.storage.run_folder",
        "llm_agent.streaming": "llm_agent.policies.streaming",
        "llm_agent.tiny_model": "llm_agent.models.tiny",
        "llm_agent.tokenizer": "llm_agent.models.tokenizer",
        "llm_agent.trl_environment": "llm_agent.integrations.trl_environment",
    },
    {"Flight": "ControlEnvironment", "format_law": "format_gains", "parse_law": "parse_gains"},
)
