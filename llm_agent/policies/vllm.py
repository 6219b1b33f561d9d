"""A language model as a policy with vLLM, for models and evaluations that are too large for ``model.generate``.

It needs a version of vLLM that TRL supports (the ``vllm`` extra, for GPUs). Prompts, decoding and patterns are those of
`llm_agent.policies.language_model.LLMPolicy`; answers agree up to the rounding of the two engines.
"""

from __future__ import annotations

import atexit
import itertools
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

import numpy as np

from control_envs import System
from control_envs.utils.commands import CommandError
from control_envs.utils.optional import how_to_install, need
from llm_agent.models import tiny as tiny_model
from llm_agent.models.chat import encode
from llm_agent.models.lengths import completion_room
from llm_agent.models.loading import ADAPTER, base_of, is_tiny, load_tokenizer, resolve
from llm_agent.policies.language_model import ROOM, Sampling

if TYPE_CHECKING:
    from trl import GRPOConfig

__all__ = ["LORA_RANKS", "VLLMPolicy", "check_vllm"]

LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # values that vLLM accepts for max_lora_rank
_CAUSE = re.compile(r"\b(?:\w+\.)*\w+(?:Error|Exception): (.+)")
_LAST = 10_000  # characters at the end of an engine's output in which the cause of a failure is looked for


class VLLMPolicy:
    """`LLMPolicy` with vLLM as the engine.

    An engine reserves a share of the device's memory. It starts at the first call of ``act``, and only one is open at a
    time: the next model's closes it. LoRA adapters of one base model share an engine.

    Args:
        name: a run folder, a folder of a model or of a LoRA adapter, or a hub id.
        sampling: sampling settings; by default those of the model's ``generation_config``.
        max_new_tokens: the length at which an answer is cut off; None for `ROOM`, or what a call of ``act`` says.
        four_bit: as for `llm_agent.models.loading.load_model`, with vLLM's bitsandbytes quantization.
        engine: further arguments of ``vllm.LLM``, such as ``tensor_parallel_size``.

    Raises:
        ImportError: vLLM is missing.
        ValueError: no model of that name can be loaded.
    """

    _ids: ClassVar[Iterator[int]] = itertools.count(1)  # vLLM tells adapters apart by number

    def __init__(
        self,
        name: str | Path,
        sampling: Sampling | None = None,
        max_new_tokens: int | None = None,
        four_bit: bool = False,
        **engine: Any,
    ):
        need("vllm", "vllm")
        if str(name) == tiny_model.NAME:
            raise ValueError("vLLM reads a model from files, and the fresh tiny model has none: name a trained one")
        source = resolve(name)
        self.tokenizer, self.max_new_tokens = load_tokenizer(name), max_new_tokens
        self.sampling = sampling or _default_sampling(source)
        self._adapter = None
        if is_tiny(name):  # shipped in half precision, computed in single, as by load_model
            engine = {"dtype": "float32"} | engine
        if (Path(source) / ADAPTER).is_file():
            from peft import PeftConfig

            adapter: Any = PeftConfig.from_pretrained(source)
            engine |= {"enable_lora": True, "max_lora_rank": next(rank for rank in LORA_RANKS if rank >= adapter.r)}
            self._adapter = need("vllm.lora.request", "vllm").LoRARequest(source, next(self._ids), source)
            source = base_of(Path(source) / ADAPTER)
        if four_bit:
            engine["quantization"] = "bitsandbytes"
        self._engine = {"model": source, "trust_remote_code": False, "generation_config": "vllm", **engine}

    @classmethod
    def from_pretrained(cls, name: str | Path, **kwargs: Any) -> VLLMPolicy:
        """As `LLMPolicy.from_pretrained`; keyword arguments go to the constructor."""
        return cls(name, **kwargs)

    def room_for(self, system: System) -> int:
        """As `LLMPolicy.room_for`."""
        return self.max_new_tokens or completion_room(self.tokenizer, [system.name], None)

    def _decoding(self) -> dict[str, Any]:
        settings = vars(self.sampling).copy()
        if settings.pop("greedy_below"):
            raise ValueError("vLLM samples every token, and this model's greedy_below does not: sample without vLLM")
        return {**settings, "min_p": settings["min_p"] or 0.0}

    def act(
        self,
        prompts: str | Sequence[str],
        greedy: bool = True,
        seed: int | None = None,
        progress: Callable[[int], Any] | None = None,
        pattern: str | None = None,
        max_new_tokens: int | None = None,
    ) -> list[str]:
        """One completion for each prompt; the arguments are those of `LLMPolicy.act`.

        Raises:
            ValueError: the engine does not start, or ``sampling`` has a ``greedy_below``.
            CommandError: the engine fails while it generates.
        """
        vllm: Any = need("vllm", "vllm")
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        if not prompts:
            return []
        room = self.max_new_tokens or max_new_tokens or ROOM
        structured = None
        if pattern:
            structured = need("vllm.sampling_params", "vllm").StructuredOutputsParams(regex=pattern)
        decoding = {"temperature": 0.0} if greedy else self._decoding()
        # Each request gets its own seed; with one seed, equal prompts would get equal answers.
        seeds = [None] * len(prompts) if seed is None else _seeds(seed, len(prompts))
        params = [
            vllm.SamplingParams(max_tokens=room, seed=s, structured_outputs=structured, **decoding) for s in seeds
        ]
        tokens = [{"prompt_token_ids": ids} for ids in encode(self.tokenizer, prompts).input_ids]
        answers = _Engine.of(self._engine).generate(tokens, params, use_tqdm=False, lora_request=self._adapter)
        if progress is not None:
            progress(len(prompts))
        return [answer.outputs[0].text for answer in answers]


class _Engine:
    """An engine of vLLM with its output, which would be pages; only the cause of a failure is of interest.

    Args:
        arguments: of ``vllm.LLM``.

    Raises:
        ValueError: the engine does not start; the message is its cause in one line.
    """

    _open: ClassVar[_Engine | None] = None

    def __init__(self, arguments: dict[str, Any]):
        self.arguments = arguments
        # The engine's own process goes on writing to it.
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        try:
            with _output_to(self._output):
                self._llm: Any = need("vllm", "vllm").LLM(**arguments)
        except Exception as error:  # vLLM raises what the model's code, torch or the driver raised
            cause = self._cause(error)
            self._output.close()
            raise ValueError(f"vLLM cannot start with {arguments['model']}: {cause}") from error

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> _Engine:
        """The engine with these arguments; another that is open is closed first."""
        if cls._open is None or cls._open.arguments != arguments:
            cls.close()
            cls._open = cls(arguments)
            atexit.register(cls.close)  # before vLLM's own end, which prints
        return cls._open

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """As ``vllm.LLM.generate``.

        Raises:
            CommandError: the engine fails; the message is its cause in one line.
        """
        try:
            with _output_to(self._output):
                return self._llm.generate(*args, **kwargs)
        except Exception as error:  # as many types as when the engine starts
            raise CommandError(f"vLLM failed on {self.arguments['model']}: {self._cause(error)}") from error

    @classmethod
    def close(cls) -> None:
        """Ends the open engine's process, which gives its memory back."""
        engine, cls._open = cls._open, None
        if engine is not None:
            with engine._output, _output_to(engine._output):
                engine._llm.llm_engine.engine_core.shutdown()

    def _cause(self, error: Exception) -> str:
        """The first error in the engine's output: it tells its caller only that there was one."""
        self._output.seek(max(self._output.seek(0, os.SEEK_END) - _LAST, 0))
        found = _CAUSE.search(self._output.read().decode(errors="replace"))
        return found[1] if found else str(error)


@contextmanager
def _output_to(file: IO[bytes]) -> Iterator[None]:
    """Sends what this process and those that it starts write to stdout and stderr to a file."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        for stream in kept:
            os.dup2(file.fileno(), stream)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in kept.items():
            os.dup2(copy, stream)
            os.close(copy)


def check_vllm(config: GRPOConfig, needed: int) -> None:
    """Checks before training that ``--use_vllm`` can work.

    Args:
        config: the configuration of the GRPO phase.
        needed: tokens of the longest prompt and completion together.

    Raises:
        ImportError: vLLM is not installed.
        ValueError: TRL does not support the installed vLLM, ``vllm_max_model_length`` is too short,
            ``vllm_importance_sampling_correction`` is set with truncated sampling, or ``greedy_below`` is set.
    """
    from trl.import_utils import is_vllm_available

    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        available = is_vllm_available()
    if not available:
        need("vllm", "vllm")
    if messages:  # TRL only warns about versions that it does not support
        raise ValueError(f"{messages[0].message}: run  {how_to_install('vllm')}")
    if isinstance(config.generation_kwargs, dict) and config.generation_kwargs.get("greedy_below"):
        raise ValueError(
            "vLLM samples every token, so that greedy_below has no effect: leave out --use_vllm, or give "
            "--generation_kwargs {} and a --min_p"
        )
    length = config.vllm_max_model_length
    if length is not None and length < needed:
        raise ValueError(
            f"vllm_max_model_length {length} is too short: a prompt and its answer take {needed} tokens; give "
            f"--vllm_max_model_length {needed} or more, or leave it out"
        )
    # The correction weights a sequence by the product of its tokens' probabilities in the trainer over those in vLLM.
    # They are to differ by rounding only. But vLLM's are those of truncated sampling, renormalised, and the trainer's
    # are not: each token's ratio is the share of the distribution that was kept. Over hundreds of tokens the weight,
    # and with it the gradient, becomes a small part of what it should be.
    if config.vllm_importance_sampling_correction and (truncation := _truncation(config)):
        raise ValueError(
            f"--vllm_importance_sampling_correction true would shrink the gradient, since {truncation} truncates what "
            "vLLM samples from: leave it false, as in the presets, or sample without truncation"
        )


def _truncation(config: GRPOConfig) -> str | None:
    """The first setting that keeps tokens from being sampled, or None."""
    cuts = {
        "min_p": bool(config.min_p),
        "top_p": config.top_p < 1,
        "top_k": config.top_k > 0,
        "vllm_structured_outputs_regex": config.vllm_structured_outputs_regex is not None,
    }
    return next((name for name, cut in cuts.items() if cut), None)


def _seeds(seed: int, count: int) -> list[int]:
    return np.random.SeedSequence(seed).generate_state(count).tolist()


def _default_sampling(source: str) -> Sampling:
    """The sampling settings of the model's generation_config."""
    from transformers import GenerationConfig

    try:
        return Sampling.said_by(GenerationConfig.from_pretrained(source))
    except OSError:  # the folder has no generation_config
        return Sampling()
