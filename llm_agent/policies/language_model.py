"""A language model as a policy: for text (prompts to completions) and for the numeric environments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from control_envs import System, format_prompt, parse_completion
from control_envs.utils.optional import need
from control_envs.utils.types import Array
from llm_agent.models.lengths import completion_room

if TYPE_CHECKING:
    from threading import Event

    from transformers import GenerationConfig, LogitsProcessorList
    from transformers.generation.streamers import BaseStreamer

    from llm_agent.models.loading import Model, Tokenizer
    from llm_agent.policies.structured import Pattern

__all__ = ["ROOM", "LLMPolicy", "NumericPolicy", "Sampling"]

ROOM = 1024  # tokens of a completion where nothing else is said


@dataclass(frozen=True)
class Sampling:
    """Sampling settings: those of transformers' ``GenerationConfig``, and `llm_agent.models.sampling`'s own.

    Attributes:
        greedy_below: entropy in nats below which a token is not sampled; None samples every token.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float | None = None
    greedy_below: float | None = None

    @classmethod
    def said_by(cls, config: Any) -> Sampling:
        """The settings of a ``GenerationConfig`` that samples; the defaults for one that does not, or for None."""
        if config is None or not config.do_sample:
            return cls()
        values = {f.name: getattr(config, f.name, None) for f in fields(cls)}
        return cls(**{name: value for name, value in values.items() if value is not None})


class LLMPolicy:
    """A causal language model that answers control problems.

    Args:
        model: a causal model.
        tokenizer: its tokenizer, with a padding token.
        sampling: sampling settings; by default those of the model's ``generation_config``.
        max_new_tokens: the length at which an answer is cut off; None for `ROOM`, or what a call of ``act`` says.
        batch_size: prompts in one call of ``generate``; None for as many as fit into memory.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        batch_size: int | None = None,
    ):
        self.model, self.tokenizer = model, tokenizer
        self.sampling = sampling or Sampling.said_by(getattr(model, "generation_config", None))
        self.max_new_tokens, self.batch_size = max_new_tokens, batch_size
        self._patterns: dict[str, Pattern] = {}

    @classmethod
    def from_pretrained(cls, name: str | Path, four_bit: bool = False, **kwargs: Any) -> LLMPolicy:
        """Loads a run folder's model, a model folder, or a hub id; keyword arguments go to the constructor.

        Args:
            four_bit: see `llm_agent.models.loading.load_model`.

        Raises:
            ValueError: no model of that name can be loaded.
        """
        need("transformers", "llm")
        from llm_agent.models.loading import load_model

        model, tokenizer = load_model(name, four_bit=four_bit)
        return cls(model.eval(), tokenizer, **kwargs)

    def act(
        self,
        prompts: str | Sequence[str],
        greedy: bool = True,
        seed: int | None = None,
        progress: Callable[[int], Any] | None = None,
        enough: Callable[[str], bool] | None = None,
        pattern: str | None = None,
        streamer: BaseStreamer | None = None,
        max_new_tokens: int | None = None,
    ) -> list[str]:
        """One completion for each prompt. It ends at the closing tag of an answer.

        Args:
            prompts: B texts (or one).
            greedy: greedy decoding; otherwise the completions are sampled with ``sampling``.
            seed: makes sampled completions reproducible; torch's global random state is left alone.
            progress: called after each batch with the number of its prompts.
            enough: called with each completion so far after every token; True ends that completion.
            pattern: a regular expression that completions must match, such as `control_envs.text.answer_pattern`'s
                result; a completion cut off at ``max_new_tokens`` may be a beginning only.
            streamer: receives the tokens of a single prompt's completion as they are generated.
            max_new_tokens: the length at which an answer is cut off, where the policy sets none.

        Raises:
            ValueError: the tokenizer cannot write any text that matches the pattern.
            ImportError: a pattern is given without the ``structured`` extra.
        """
        import torch

        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        room = self.max_new_tokens or max_new_tokens or ROOM
        size = self.batch_size or self._batch_size(prompts, room)
        completions: list[str] = []
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.random.fork_rng(enabled=seed is not None):
                if seed is not None:
                    torch.manual_seed(seed)
                for start in range(0, len(prompts), size):
                    batch = prompts[start : start + size]
                    completions += self._generate(batch, self._config(greedy, room), enough, pattern, streamer)
                    if progress is not None:
                        progress(len(batch))
        finally:
            self.model.train(was_training)
        return completions

    def stream(
        self,
        prompt: str,
        greedy: bool = True,
        seed: int | None = None,
        stop: Event | None = None,
        max_new_tokens: int | None = None,
    ) -> Iterator[str]:
        """The pieces of one completion as they are generated: `llm_agent.policies.streaming.stream`."""
        from llm_agent.policies.streaming import stream

        return stream(self, prompt, greedy, seed, stop, max_new_tokens)

    def room_for(self, system: System) -> int:
        """Tokens at which an answer for a plant is cut off."""
        return self.max_new_tokens or completion_room(self.tokenizer, [system.name], None)

    def _batch_size(self, prompts: list[str], room: int) -> int:
        from llm_agent.models.chat import encode
        from llm_agent.models.memory import LARGEST, batch_that_fits
        from llm_agent.models.tiny import holds_tiny

        if holds_tiny(self.model):  # any batch fits, and a plan of one control at a time asks often
            return LARGEST
        longest = max(prompts, key=len, default="")
        return batch_that_fits(self.model, len(encode(self.tokenizer, [longest]).input_ids[0]) + room)

    def _config(self, greedy: bool, room: int) -> GenerationConfig:
        from transformers import GenerationConfig

        sampling: dict[str, Any] = {"do_sample": False}
        if not greedy:  # min_p is set even when it is off, because generate fills a None with the model's own default
            sampling = {"do_sample": True, **vars(self.sampling), "min_p": self.sampling.min_p or 0.0}
        return GenerationConfig(
            max_new_tokens=room,
            pad_token_id=self.tokenizer.pad_token_id,
            eos_token_id=self.tokenizer.eos_token_id,
            **sampling,
        )

    def _constrain(self, expression: str) -> LogitsProcessorList:
        from transformers import LogitsProcessorList

        from llm_agent.policies.structured import KeepTo, Pattern

        if expression not in self._patterns:
            self._patterns[expression] = Pattern(expression, self.tokenizer)
        return LogitsProcessorList([KeepTo(self._patterns[expression])])

    def _generate(
        self,
        prompts: list[str],
        config: GenerationConfig,
        enough: Callable[[str], bool] | None,
        pattern: str | None,
        streamer: BaseStreamer | None,
    ) -> list[str]:
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList

        from llm_agent.models.chat import encode
        from llm_agent.policies.stopping import end_of_answer

        inputs = encode(self.tokenizer, prompts, return_tensors="pt", padding=True, padding_side="left")
        inputs = {key: inputs[key].to(self.model.device) for key in ("input_ids", "attention_mask")}
        start = inputs["input_ids"].shape[1]

        def texts(tokens: torch.Tensor) -> list[str]:
            return self.tokenizer.batch_decode(tokens[:, start:], skip_special_tokens=True)

        class Enough(StoppingCriteria):
            def __call__(self, input_ids, scores, **kwargs):
                ended = [enough is not None and enough(text) for text in texts(input_ids)]
                return torch.tensor(ended, device=input_ids.device)

        stopping = StoppingCriteriaList(end_of_answer(self.model, self.tokenizer, prompts, start))
        if enough:
            stopping.append(Enough())
        with torch.no_grad():
            tokens = self.model.generate(  # type: ignore[operator]
                **inputs,
                generation_config=config,
                logits_processor=self._constrain(pattern) if pattern else None,
                stopping_criteria=stopping,
                streamer=streamer,
            )
        return texts(tokens)


class NumericPolicy:
    """A text policy for a numeric environment: maps states to actions.

    It asks for a plan at the current state, plays ``replan_every`` of its controls, or all, then asks again. A
    completion that does not parse counts as a plan of zeros.

    Args:
        act: the text policy, ``prompts -> completions`` (such as ``LLMPolicy(...).act``).
        env: the numeric environment, for its plant and its action units.
        replan_every: controls played of each plan; None for all.

    Attributes:
        verdicts: the parser's verdict on each completion of this episode.
    """

    def __init__(self, act: Callable[[list[str]], list[str]], env: Any, replan_every: int | None = None):
        self._act, self._env = act, env.unwrapped
        self._replan_every = replan_every or self.system.horizon
        self.verdicts: list[str] = []
        self.reset()

    @property
    def system(self) -> System:
        """The plant."""
        return self._env.system

    def reset(self) -> None:
        """Discards the plan and the verdicts; call it at the start of each episode."""
        self._plan: Array = np.empty((0, self.system.m))
        self.verdicts = []

    def predict(self, observation: Array, *args: Any, **kwargs: Any) -> tuple[Array, None]:
        """The next action in the environment's units, and None for the recurrent state (as in Stable-Baselines3)."""
        if not len(self._plan):
            (completion,) = self._act([format_prompt(self.system, observation)])
            parsed = parse_completion(completion, self.system.horizon, self.system.m)
            self.verdicts.append(parsed.verdict)
            plan = np.zeros((self.system.horizon, self.system.m)) if parsed.controls is None else parsed.controls
            self._plan = plan[: self._replan_every]
        u, self._plan = self._plan[0], self._plan[1:]
        return self._env.to_action(u), None
