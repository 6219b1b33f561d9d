"""Language models that control: data, SFT, GRPO, policies and evaluation."""

from control_envs.utils.moved import keep_old_modules

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
