"""A language model as a policy with vLLM, for models and evaluations that are too large for ``model.generate``.

It needs a GPU and a version of vLLM that TRL supports (the ``vllm`` extra). Prompts, decoding and patterns are those of
`llm_agent.policies.language_model.LLMPolicy`; answers agree up to the rounding of the two engines.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs.utils.optional import need
from llm_agent.models.chat import encode
from llm_agent.models.loading import load_tokenizer, resolve
from llm_agent.policies.language_model import Sampling

if TYPE_CHECKING:
    from trl import GRPOConfig

__all__ = ["LORA_RANKS", "VLLMPolicy", "check_vllm"]

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # values that vLLM accepts for max_lora_rank


class VLLMPolicy:
    """`LLMPolicy` with vLLM as the engine.

    Args:
        name: a run folder, a folder of a model or of a LoRA adapter, or a hub id.
        sampling: sampling settings; by default those of the model's ``generation_config``.
        max_new_tokens: the length at which an answer is cut off.
        four_bit: as for `llm_agent.models.loading.load_model`, with vLLM's bitsandbytes quantization.
        engine: further arguments of ``vllm.LLM``, such as ``tensor_parallel_size``.

    Raises:
        ImportError: vLLM is missing.
        ValueError: no model of that name can be loaded.
    """

    def __init__(
        self,
        name: str | Path,
        sampling: Sampling | None = None,
        max_new_tokens: int = 1024,
        four_bit: bool = False,
        **engine: Any,
    ):
        vllm: Any = need("vllm", "vllm")
        source = resolve(name)
        self.tokenizer, self.max_new_tokens = load_tokenizer(name), max_new_tokens
        self._adapter = None
        if (Path(source) / "adapter_config.json").is_file():
            from peft import PeftConfig

            adapter: Any = PeftConfig.from_pretrained(source)
            engine |= {"enable_lora": True, "max_lora_rank": next(rank for rank in LORA_RANKS if rank >= adapter.r)}
            self._adapter = need("vllm.lora.request", "vllm").LoRARequest("adapter", 1, source)
            source = adapter.base_model_name_or_path
        if four_bit:
            engine["quantization"] = "bitsandbytes"
        self._engine = vllm.LLM(source, trust_remote_code=False, generation_config="vllm", **engine)
        self.sampling = sampling or _default_sampling(resolve(name))

    @classmethod
    def from_pretrained(cls, name: str | Path, **kwargs: Any) -> VLLMPolicy:
        """As `LLMPolicy.from_pretrained`; keyword arguments go to the constructor."""
        return cls(name, **kwargs)

    def act(
        self,
        prompts: str | Sequence[str],
        greedy: bool = True,
        seed: int | None = None,
        progress: Callable[[int], Any] | None = None,
        pattern: str | None = None,
    ) -> list[str]:
        """One completion for each prompt; the arguments are those of `LLMPolicy.act`."""
        vllm: Any = need("vllm", "vllm")
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        structured = None
        if pattern:
            structured = need("vllm.sampling_params", "vllm").StructuredOutputsParams(regex=pattern)
        decoding = {"temperature": 0.0} if greedy else {**vars(self.sampling), "min_p": self.sampling.min_p or 0.0}
        # Each request gets its own seed; with one seed, equal prompts would get equal answers.
        seeds = [None] * len(prompts) if seed is None else _seeds(seed, len(prompts))
        params = [
            vllm.SamplingParams(max_tokens=self.max_new_tokens, seed=s, structured_outputs=structured, **decoding)
            for s in seeds
        ]
        tokens = [{"prompt_token_ids": ids} for ids in encode(self.tokenizer, prompts).input_ids]
        answers = self._engine.generate(tokens, params, use_tqdm=False, lora_request=self._adapter)
        if progress is not None:
            progress(len(prompts))
        return [answer.outputs[0].text for answer in answers]


def check_vllm(config: GRPOConfig, needed: int) -> None:
    """Checks before training that ``--use_vllm`` can work.

    Args:
        config: the configuration of the GRPO phase.
        needed: tokens of the longest prompt and completion together.

    Raises:
        ImportError: vLLM is not installed.
        ValueError: TRL does not support the installed vLLM, or ``vllm_max_model_length`` is too short.
    """
    from trl.import_utils import is_vllm_available

    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        available = is_vllm_available()
    if not available:
        need("vllm", "vllm")
    if messages:  # TRL only warns about versions that it does not support
        raise ValueError(f"{messages[0].message}: run  pip install 'control-grpo[vllm]'")
    length = config.vllm_max_model_length
    if length is not None and length < needed:
        raise ValueError(
            f"vllm_max_model_length {length} is too short: a prompt and its answer take {needed} tokens; give "
            f"--vllm_max_model_length {needed} or more, or leave it out"
        )


def _seeds(seed: int, count: int) -> list[int]:
    return np.random.SeedSequence(seed).generate_state(count).tolist()


def _default_sampling(source: str) -> Sampling:
    """The sampling settings of the model's generation_config."""
    from transformers import GenerationConfig

    try:
        return Sampling.said_by(GenerationConfig.from_pretrained(source))
    except OSError:  # the folder has no generation_config
        return Sampling()
