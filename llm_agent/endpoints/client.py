"""One request to an OpenAI-compatible server: retries, what the server does not take, and errors in one line."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from control_envs.utils.optional import need
from llm_agent.endpoints.answers import Answer

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["Client", "NoAnswerError", "RefusedError"]

_BROKEN = 3  # times that a prompt is asked again after an answer that cannot be read
_QUICK = 10.0  # seconds until a server must have shown that it is there
# Settings that some models refuse; the request is then sent without them.
_DISPENSABLE = ("temperature", "seed", "top_p")


class RefusedError(Exception):
    """The server refuses what every request would ask for: the message is one line with the cure."""


class NoAnswerError(Exception):
    """This request got no answer, after all retries; another may."""


class Client:
    """Asks one model of one server.

    Rate limits, errors of the server (5xx) and broken connections are retried by the ``openai`` client, with
    exponential backoff and as ``Retry-After`` says. Answers that cannot be read are asked for again here.

    Args:
        model: the model's name on the server.
        base_url: such as http://127.0.0.1:8000/v1; None for ``$OPENAI_BASE_URL``, or else OpenAI's own.
        api_key_env: the environment variable that holds the key.
        timeout: seconds until a request is given up and retried.
        max_retries: retries of a request.
        requests_per_minute: the most requests that are begun in a minute; None for no limit.

    Raises:
        ImportError: the ``endpoint`` extra is missing.
        ValueError: the URL is none.
    """

    def __init__(
        self,
        model: str,
        base_url: str | None,
        api_key_env: str,
        timeout: float,
        max_retries: int,
        requests_per_minute: float | None,
    ):
        self.model, self.base_url = model, base_url or os.environ.get("OPENAI_BASE_URL")
        if self.base_url and not re.match(r"https?://[^/]", self.base_url):
            raise ValueError(f"--base-url {self.base_url} is not a URL: give one such as http://127.0.0.1:8000/v1")
        self._key_env, self._timeout, self._retries = api_key_env, timeout, max_retries
        self._pause = 60.0 / requests_per_minute if requests_per_minute else 0.0
        self._next = 0.0  # the time before which no request is begun
        self._dropped: set[str] = set()
        self._openai = need("openai", "endpoint")
        self._begun: AsyncOpenAI | None = None

    @property
    def _client(self) -> AsyncOpenAI:
        if self._begun is None:  # within the event loop that uses it
            self._begun = self._openai.AsyncOpenAI(
                base_url=self.base_url,
                api_key=os.environ.get(self._key_env) or "none",  # servers of one's own want none
                timeout=self._timeout,
                max_retries=self._retries,
            )
        assert self._begun is not None
        return self._begun

    async def check(self) -> None:
        """Checks that a server is there, before a prompt is sent with all its retries.

        Raises:
            RefusedError: no server answers.
        """
        try:
            await self._client.with_options(max_retries=1, timeout=_QUICK).models.list()
        except self._openai.APIConnectionError as error:
            cause = str(error.__cause__ or error)
            raise RefusedError(f"no server answers at {self._client.base_url} ({cause}): is it running?") from error
        except self._openai.OpenAIError:  # not every server lists its models
            pass
        except ValueError:  # nor as JSON
            pass

    async def close(self) -> None:
        """Closes the connections."""
        if self._begun is not None:
            await self._begun.close()

    async def ask(self, request: Mapping[str, Any]) -> Answer:
        """The answer to one request, made of arguments of ``chat.completions.create`` apart from the model.

        Raises:
            NoAnswerError: there is none after all retries.
            RefusedError: the server refuses the request for a reason that holds for others.
        """
        began = time.perf_counter()
        for attempt in range(_BROKEN + 1):
            try:
                return self._read(await self._send(request), time.perf_counter() - began)
            except (ValueError, TypeError, LookupError, AttributeError) as error:  # not the JSON of an answer
                cause = error
            await asyncio.sleep(0.25 * 2**attempt)
        raise NoAnswerError(f"the server's answer cannot be read: {cause}") from cause

    async def pieces(self, request: Mapping[str, Any]) -> AsyncIterator[str]:
        """The pieces of one answer as they arrive, thoughts left out; errors as for ``ask``."""
        try:
            async for chunk in await self._send(request, stream=True):
                if chunk.choices and (piece := chunk.choices[0].delta.content):
                    yield piece
        except self._openai.APIError as error:
            raise NoAnswerError(f"the answer broke off: {error}") from error

    async def _send(self, request: Mapping[str, Any], **more: Any) -> Any:
        """The server's response, without the settings that it refuses; errors as for ``ask``."""
        while True:
            await self._wait()
            try:
                return await self._client.chat.completions.create(model=self.model, **self._accepted(request), **more)
            except self._openai.APIStatusError as error:
                if not self._adapt(error):
                    raise await self._failure(error) from error
            except self._openai.APIConnectionError as error:
                timed_out = isinstance(error, self._openai.APITimeoutError)
                cause = f"no answer within {self._timeout:g} s" if timed_out else str(error.__cause__ or error)
                raise NoAnswerError(cause) from error

    async def _wait(self) -> None:
        """Waits for this request's turn under the rate limit."""
        if self._pause:
            now = time.monotonic()
            turn, self._next = self._next, max(self._next, now) + self._pause
            await asyncio.sleep(max(turn - now, 0.0))

    def _accepted(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request without what the server has refused."""
        sent = {name: value for name, value in request.items() if name not in self._dropped}
        if "max_tokens" in self._dropped:
            sent["max_completion_tokens"] = request["max_tokens"]
        return sent

    def _adapt(self, error: Any) -> bool:
        """Whether the request is to be sent again, without a setting that this error refuses."""
        message = _message(error)
        if error.status_code not in (400, 422) or not re.search(r"support|unrecognized|not permitted", message, re.I):
            return False
        if "max_tokens" in message and "max_completion_tokens" in message and "context" not in message:
            refused = ["max_tokens"]
        else:
            refused = [name for name in _DISPENSABLE if name == error.param or f"'{name}'" in message]
        new = [name for name in refused if name not in self._dropped]
        self._dropped.update(new)
        for name in new:
            if name != "max_tokens":  # which has another name there
                print(f"{self.model} takes no {name}: asked without it", file=sys.stderr)
        return bool(refused)

    async def _failure(self, error: Any) -> Exception:
        """What an error status means: for this request alone, or for all."""
        status, message = error.status_code, _message(error)
        if status >= 500 or status in (408, 409):
            return NoAnswerError(f"HTTP {status}: {message}")
        if status == 429:
            return RefusedError(
                f"the server goes on refusing requests (HTTP 429: {message}): wait, or give --requests-per-minute"
            )
        if status in (401, 403):
            key = "the key in" if os.environ.get(self._key_env) else "there is no key in"
            return RefusedError(f"the server wants another key (HTTP {status}: {message}): {key} ${self._key_env}")
        if status in (404, 405):
            return RefusedError(await self._not_found(message))
        if "context" in message.lower():
            return RefusedError(f"prompt and answer do not fit the model's context ({message}): give --max-new-tokens")
        return RefusedError(f"the server refuses the request (HTTP {status}: {message})")

    async def _not_found(self, message: str) -> str:
        try:
            served = [m.id for m in (await self._client.with_options(max_retries=1).models.list()).data if m.id]
        except (self._openai.OpenAIError, ValueError, TypeError, AttributeError):
            served = []
        if not served:
            return (
                f"there is no chat completion at {self._client.base_url} (HTTP 404: {message}): check --base-url, "
                "which often ends in /v1"
            )
        return f"the server has no model {self.model!r} ({message}): it serves {', '.join(served[:8])}"

    @staticmethod
    def _read(response: Any, seconds: float) -> Answer:
        """The first choice of a response.

        Raises:
            ValueError: there is no choice.
        """
        if not response.choices:
            raise ValueError("no choices")
        choice, usage = response.choices[0], response.usage
        message = choice.message
        thoughts = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None) or ""
        refusal = getattr(message, "refusal", None)
        return Answer(
            text=message.content or refusal or "",
            thoughts=thoughts if isinstance(thoughts, str) else "",
            finish_reason="refusal" if refusal else choice.finish_reason or "stop",
            served_by=response.model or "",
            prompt_tokens=(usage.prompt_tokens if usage else 0) or 0,
            completion_tokens=(usage.completion_tokens if usage else 0) or 0,
            seconds=round(seconds, 3),
        )


def _message(error: Any) -> str:
    """The server's own words, in one line."""
    body = error.body
    words = body.get("message") or body.get("detail") or body.get("error") if isinstance(body, dict) else None
    text = words if isinstance(words, str) else str(error.message)
    return re.sub(r"\s+", " ", text).strip()[:300]
