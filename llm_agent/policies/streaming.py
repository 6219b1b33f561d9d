"""A completion piece by piece, while it is written."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_agent.policies.language_model import LLMPolicy


def stream(
    policy: LLMPolicy, prompt: str, greedy: bool = True, seed: int | None = None, stop: Event | None = None
) -> Iterator[str]:
    """The pieces of the completion that ``policy.act(prompt, greedy, seed)`` gives, as they are written.

    The model writes in a thread of its own, which ends with the iterator: closing that stops it at the next token.

    Args:
        stop: ends the completion early when it is set.
    """
    from transformers import TextIteratorStreamer

    closed = Event()
    streamer = TextIteratorStreamer(policy.tokenizer, skip_prompt=True, skip_special_tokens=True)
    failures: list[BaseException] = []

    def write() -> None:
        try:
            policy.act(
                prompt,
                greedy,
                seed,
                enough=lambda text: closed.is_set() or (stop is not None and stop.is_set()),
                streamer=streamer,
            )
        except BaseException as error:  # whatever it is, it belongs to whoever reads
            failures.append(error)
        finally:
            streamer.end()

    writer = Thread(target=write, daemon=True)
    writer.start()
    try:
        yield from (piece for piece in streamer if piece)
    finally:
        closed.set()
        writer.join()
    if failures:
        raise failures[0]
