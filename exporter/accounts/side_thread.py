"""Blocking work on a thread of its own that ends when its task is cancelled: who stops a program waits for its threads.

A thread can't be cancelled. So whatever it waits for (another process's lock, an answer of the event loop) it waits for
by a `Recall`, which ends the wait.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

Result = TypeVar("Result")


class Recalled(BaseException):
    """Nobody waits for this work any more. No Exception, as CancelledError is none: MSAL's errors are caught."""


class Recall:
    """Of one piece of work: `recall` by its task, the rest by its thread."""

    def __init__(self) -> None:
        self._recalled = threading.Event()
        self._awaited: Future[Any] | None = None

    def recall(self) -> None:
        """Ends what the thread waits for, now or later."""
        self._recalled.set()
        if (awaited := self._awaited) is not None:
            awaited.cancel()

    def pause(self, seconds: float) -> None:
        """Sleeps. Raises Recalled, at once where the work is recalled."""
        if self._recalled.wait(seconds):
            raise Recalled

    def result(self, begin: Callable[[], Coroutine[Any, Any, Result]], loop: asyncio.AbstractEventLoop) -> Result:
        """What the coroutine returns, run by the event loop. Raises Recalled, and what the coroutine raises."""
        self.pause(0)
        self._awaited = future = asyncio.run_coroutine_threadsafe(begin(), loop)
        if self._recalled.is_set():  # between the two lines above
            future.cancel()
        try:
            return future.result()
        except CancelledError:
            raise Recalled from None


async def on_thread(work: Callable[[Recall], Result]) -> Result:
    """What the work returns, done on a thread. Raises what it raises, and CancelledError where it was recalled."""
    recall = Recall()
    try:
        return await asyncio.to_thread(work, recall)
    except Recalled:
        raise asyncio.CancelledError from None
    finally:
        recall.recall()
