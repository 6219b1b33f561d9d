"""A served model as a policy: ``EndpointPolicy("MODEL", base_url="http://127.0.0.1:8000/v1").act(prompts)``."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from baselines.controllers.text import Completion
from baselines.optimum.cache import cache_dir
from control_envs import System
from control_envs.utils.commands import CommandError
from llm_agent.endpoints.answers import Answer, AnswerFile, key_of
from llm_agent.endpoints.client import Client, NoAnswerError, RefusedError

__all__ = ["PREFIX", "EndpointPolicy"]

PREFIX = "endpoint:"  # before a model's name, in commands
ROOM = 1024  # tokens of an answer at least
_PATIENCE = 8  # requests that may fail one after the other, each after all its retries

T = TypeVar("T")


class EndpointPolicy:
    """A model behind an OpenAI-compatible server (vLLM, llama.cpp, Ollama, a provider) that answers control problems.

    Requests are sent ``concurrency`` at a time, after the first one has been answered alone. Answers are kept in a
    file as they arrive, and a prompt that was answered there is not asked again with the same settings.

    Args:
        model: the model's name on the server.
        base_url: such as http://127.0.0.1:8000/v1; None for ``$OPENAI_BASE_URL``, or else OpenAI's own.
        api_key_env: the environment variable that holds the key; it may be unset for servers that want none.
        concurrency: requests at a time.
        timeout: seconds until a request is given up and retried.
        max_retries: retries of a request, with exponential backoff.
        requests_per_minute: the most requests that are begun in a minute; None for no limit.
        temperature: of sampled answers; greedy ones are asked for with temperature 0.
        max_new_tokens: tokens of an answer, thoughts included; None for what a plan needs, at least `ROOM`.
        extra_body: further fields of each request, as the server knows them (``{"min_p": 0.05}``).
        prices: of a million prompt tokens and of a million completion tokens, for the cost in ``summary``.
        answers: the file of kept answers; None for one in the user's cache folder.

    Raises:
        ImportError: the ``endpoint`` extra is missing.
        ValueError: an argument is out of range, or ``answers`` is another file.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        *,
        api_key_env: str = "OPENAI_API_KEY",
        concurrency: int = 16,
        timeout: float = 600.0,
        max_retries: int = 8,
        requests_per_minute: float | None = None,
        temperature: float = 1.0,
        max_new_tokens: int | None = None,
        extra_body: dict[str, Any] | None = None,
        prices: tuple[float, float] | None = None,
        answers: str | Path | None = None,
    ):
        if not model:
            raise ValueError(f"name the model that the server serves: {PREFIX}MODEL")
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self._client = Client(model, base_url, api_key_env, timeout, max_retries, requests_per_minute)
        self.model, self.max_new_tokens = model, max_new_tokens
        self._concurrency, self._temperature = concurrency, temperature
        self._extra, self._prices = extra_body or {}, prices
        self._answers = AnswerFile(Path(answers) if answers else _kept_at(model, self._client.base_url))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._proven = False  # whether the server has answered
        self._failures = 0  # requests without an answer, since the last answer
        self.asked, self.reused, self.failed = 0, 0, 0
        self._tokens: Counter[str] = Counter()  # of the answers asked for
        self._used: Counter[str] = Counter()  # of all answers that were returned
        self._served_by: set[str] = set()

    # -- what policies have ------------------------------------------------------------------------------

    def act(
        self,
        prompts: str | Sequence[str],
        greedy: bool = True,
        seed: int | None = None,
        progress: Callable[[int], Any] | None = None,
        pattern: str | None = None,
        max_new_tokens: int | None = None,
    ) -> list[Completion]:
        """One completion for each prompt; it says whether the answer was truncated, refused or failed to arrive.

        Args:
            prompts: B texts (or one).
            greedy: temperature 0; otherwise the policy's ``temperature``.
            seed: makes sampled answers reproducible, where the server takes a seed: each prompt gets its own.
            progress: called after each answer with 1.
            pattern: a regular expression that answers must match, sent as vLLM's ``structured_outputs``.
            max_new_tokens: tokens of an answer, where the policy sets none.

        Raises:
            ValueError: the server is not there, or refuses the first request; the message names the cure.
            CommandError: the server refuses or fails later; the answers so far are kept.
        """
        prompts = [prompts] if isinstance(prompts, str) else list(prompts)
        room = self.max_new_tokens or max_new_tokens or ROOM
        requests = self._requests(prompts, greedy, seed, room, pattern)
        keys = [key_of({"model": self.model, "base_url": self._client.base_url, **request}) for request in requests]
        missing = {key: request for key, request in zip(keys, requests, strict=True) if self._answers.get(key) is None}
        self.reused += len(prompts) - len(missing)
        if progress is not None and len(prompts) > len(missing):
            progress(len(prompts) - len(missing))
        if missing:
            self._run(self._ask_all(missing, progress))
        answers = {key: self._answers.get(key) for key in keys}
        for answer in filter(None, answers.values()):
            self._used.update(_tokens_of(answer))
        return [kept.completion() if (kept := answers[key]) else Completion("", "failed") for key in keys]

    def room_for(self, system: System) -> int:
        """Tokens of an answer for a plant: some ten for each number, and room to think."""
        return self.max_new_tokens or max(ROOM, 10 * system.horizon * system.m + ROOM // 2)

    def stream(
        self,
        prompt: str,
        greedy: bool = True,
        seed: int | None = None,
        stop: threading.Event | None = None,
        max_new_tokens: int | None = None,
    ) -> Iterator[str]:
        """The pieces of one answer as they arrive; it is not kept. ``stop`` ends it at the next piece.

        Raises:
            ValueError: as for ``act``.
            CommandError: the connection breaks.
        """
        (request,) = self._requests([prompt], greedy, seed, self.max_new_tokens or max_new_tokens or ROOM, None)
        pieces = self._client.pieces(request)

        async def next_piece(check: bool) -> str | None:
            if check:
                await self._client.check()
            piece = await anext(pieces, None)
            self._proven = True
            return piece

        try:
            piece = self._run(next_piece(check=not self._proven))
            while piece is not None and not (stop and stop.is_set()):
                yield piece
                piece = self._run(next_piece(check=False))
        except NoAnswerError as error:
            raise CommandError(f"the server does not answer ({error})") from error

    @property
    def tokens(self) -> dict[str, int]:
        """Prompt and completion tokens of all answers so far, kept ones included, as the server counted them."""
        return {part: self._used[part] for part in ("prompt", "completion")}

    def summary(self) -> str:
        """One line on the answers so far: how many were asked for, their tokens, and the cost where prices are set."""
        parts = [f"{self.model}: {self.asked} answers asked for", f"{self.reused} kept before"]
        if self.failed:
            parts.append(f"{self.failed} failed")
        prompt, completion = self._tokens["prompt"], self._tokens["completion"]
        parts.append(f"{prompt:,} prompt tokens, {completion:,} completion tokens")
        if self._prices:
            cost = (prompt * self._prices[0] + completion * self._prices[1]) / 1e6
            parts.append(f"cost {cost:.4g}")
        others = sorted(self._served_by - {self.model})
        if others:
            parts.append(f"answered by {', '.join(others)}")
        return f"{', '.join(parts)}; answers in {self._answers.path}"

    # -- asking ------------------------------------------------------------------------------------------

    def _requests(
        self, prompts: Sequence[str], greedy: bool, seed: int | None, room: int, pattern: str | None
    ) -> list[dict[str, Any]]:
        """One request for each prompt, without the model's name: all that decides an answer."""
        body = self._extra | ({"structured_outputs": {"regex": pattern}} if pattern else {})
        common: dict[str, Any] = {"max_tokens": room, "temperature": 0.0 if greedy else self._temperature}
        if body:
            common["extra_body"] = body
        # Each sampled answer gets its own seed; with one seed, equal prompts would get equal answers.
        seeds: Sequence[int | None] = [None] * len(prompts)
        if not greedy:
            seeds = (np.random.SeedSequence(seed).generate_state(len(prompts)) >> 1).tolist()  # 31 bits
        return [
            {
                "messages": [{"role": "user", "content": prompt}],
                **common,
                **({} if own_seed is None else {"seed": own_seed}),
            }
            for prompt, own_seed in zip(prompts, seeds, strict=True)
        ]

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine in the policy's own event loop, whether or not the caller has one, as notebooks do."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=_serve, args=[self._loop], daemon=True, name=f"endpoint {self.model}").start()
            weakref.finalize(self, _end, self._loop, self._client).atexit = False
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except RefusedError as error:
            if not self._proven:
                raise ValueError(str(error)) from error
            kept = f"{len(self._answers)} answers are kept in {self._answers.path}, the same command goes on from there"
            raise CommandError(f"{error}; {kept}") from error
        except BaseException:  # Ctrl-C too: no request may go on; raised again
            future.cancel()
            raise

    async def _ask_all(self, requests: dict[str, dict[str, Any]], progress: Callable[[int], Any] | None) -> None:
        """Asks for every answer, the first one alone: what is wrong with all costs one request."""
        waiting = iter(requests.items())
        if not self._proven:
            await self._client.check()
            await self._ask(*next(waiting), progress)

        async def work() -> None:
            for key, request in waiting:
                await self._ask(key, request, progress)

        workers = [asyncio.create_task(work()) for _ in range(min(self._concurrency, len(requests)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()

    async def _ask(self, key: str, request: dict[str, Any], progress: Callable[[int], Any] | None) -> None:
        self.asked += 1
        try:
            answer = await self._client.ask(request)
        except NoAnswerError as error:
            self._failures += 1
            self.failed += 1
            if not self._proven or self._failures >= _PATIENCE:
                raise RefusedError(f"the server does not answer ({error})") from error
            print(f"{self.model} did not answer one prompt: {error}", file=sys.stderr)
        else:
            self._proven, self._failures = True, 0
            self._tokens.update(_tokens_of(answer))
            self._served_by.add(answer.served_by or self.model)
            self._answers.add(key, {"model": self.model, **request}, answer)
        if progress is not None:
            progress(1)


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Runs an event loop until it is stopped."""
    loop.run_forever()
    loop.close()


def _end(loop: asyncio.AbstractEventLoop, client: Client) -> None:
    """Closes the connections of a policy that nobody uses any more, and ends its event loop."""

    async def end() -> None:
        await client.close()
        loop.stop()

    asyncio.run_coroutine_threadsafe(end(), loop)


def _tokens_of(answer: Answer) -> Counter[str]:
    return Counter(prompt=answer.prompt_tokens, completion=answer.completion_tokens)


def _kept_at(model: str, base_url: str | None) -> Path:
    """The file of a model's answers in the cache folder."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", model).strip("-") or "model"
    return cache_dir() / "answers" / f"{name}-{key_of({'model': model, 'base_url': base_url})[:8]}.jsonl"
