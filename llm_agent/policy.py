"""A language model as a policy: the public import path of `LLMPolicy`.

from llm_agent.policy import LLMPolicy

policy = LLMPolicy.from_pretrained("tiny-double-integrator")
completions = policy.act(prompts)
"""

from llm_agent.policies.language_model import LLMPolicy, NumericPolicy, Sampling

__all__ = ["LLMPolicy", "NumericPolicy", "Sampling"]
