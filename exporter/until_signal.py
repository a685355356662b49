"""Runs a command's work until it ends or a signal ends it: within two seconds either way."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

Result = TypeVar("Result")


async def until_signal(work: Coroutine[Any, Any, Result]) -> Result | None:
    """The work's result; None where SIGTERM or SIGINT cut it."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        return await task
    return None
