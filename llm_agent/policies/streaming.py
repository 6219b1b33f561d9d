"""Streams a completion piece by piece while it is generated."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_agent.policies.language_model import LLMPolicy

__all__ = ["stream"]


def stream(
    policy: LLMPolicy,
    prompt: str,
    greedy: bool = True,
    seed: int | None = None,
    stop: Event | None = None,
    max_new_tokens: int | None = None,
) -> Iterator[str]:
    """The pieces of the completion that ``policy.act(prompt, greedy, seed)`` returns, as they are generated.

    The model runs in a separate thread. Closing the iterator stops generation at the next token and ends the thread.

    Args:
        policy: the language model.
        prompt: one prompt.
        greedy: greedy decoding; otherwise the completion is sampled.
        seed: the seed of sampling.
        stop: ends the completion at the next token when it is set.
        max_new_tokens: as for ``policy.act``.

    Raises:
        Exception: whatever ``policy.act`` raised, after the last piece.
    """
    from transformers import TextIteratorStreamer

    closed = Event()
    streamer = TextIteratorStreamer(policy.tokenizer, skip_prompt=True, skip_special_tokens=True)
    failures: list[BaseException] = []

    def generate() -> None:
        try:
            policy.act(
                prompt,
                greedy,
                seed,
                enough=lambda text: closed.is_set() or (stop is not None and stop.is_set()),
                streamer=streamer,
                max_new_tokens=max_new_tokens,
            )
        except BaseException as error:  # raised again in the reader's thread
            failures.append(error)
        finally:
            streamer.end()

    thread = Thread(target=generate, daemon=True)
    thread.start()
    try:
        yield from (piece for piece in streamer if piece)
    finally:
        closed.set()
        thread.join()
    if failures:
        raise failures[0]
