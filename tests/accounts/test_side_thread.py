"""Work on a thread ends with its task: whoever stops the program doesn't wait for it."""

import asyncio
import fcntl
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from exporter.accounts.side_thread import Recall, Recalled, on_thread
from exporter.accounts.token_file import LOCK_SECONDS, TokenFile
from exporter.lab.lab import Lab
from tests.accounts.test_login import command
from tests.accounts.trying import settings_of, work

#: Far more than anything here takes, and far less than the lock is waited for, seconds.
SOON = LOCK_SECONDS / 3


@pytest.fixture(autouse=True)
async def threads_end() -> AsyncIterator[None]:
    """As asyncio.run does at the end: without it a thread that goes on isn't noticed."""
    yield
    await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), SOON)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """The cache's lock, as another process holds it that asks for a token just now."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def test_what_the_work_returns_and_raises_is_the_callers():
    assert await on_thread(lambda _recall: 7) == 7

    def fails(_recall: Recall) -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await on_thread(fails)


async def test_a_coroutines_result_and_its_exception_reach_the_thread():
    async def seven() -> int:
        return 7

    async def fails() -> None:
        raise KeyError("x")

    loop = asyncio.get_running_loop()
    assert await on_thread(lambda recall: recall.result(seven, loop)) == 7
    with pytest.raises(KeyError):
        await on_thread(lambda recall: recall.result(fails, loop))


async def test_cancelled_the_coroutine_that_the_thread_waits_for_is_cancelled_too():
    began, ended = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    loop = asyncio.get_running_loop()
    task = asyncio.create_task(on_thread(lambda recall: recall.result(endless, loop)))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(ended.wait(), SOON)


async def test_cancelled_before_it_asks_the_event_loop_it_asks_nothing():
    """MSAL's import takes half a second: a signal within it must not begin a request behind it."""
    inside, go_on, begun, noticed = asyncio.Event(), threading.Event(), [], []
    loop = asyncio.get_running_loop()

    async def request() -> None:
        begun.append(1)

    def work(recall: Recall) -> None:
        loop.call_soon_threadsafe(inside.set)
        go_on.wait(SOON)
        try:
            recall.result(request, loop)
        except Recalled:
            noticed.append(1)
            raise

    task = asyncio.create_task(on_thread(work))
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    go_on.set()
    await loop.shutdown_default_executor()
    assert (begun, noticed) == ([], [1])


async def test_an_exceptions_handler_doesnt_take_it_for_an_error():
    def swallows(recall: Recall) -> None:
        try:
            recall.pause(SOON)
        except Exception:
            pytest.fail("taken for an error")

    task = asyncio.create_task(on_thread(swallows))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_lock_that_another_process_holds_is_waited_for_no_longer(tmp_path: Path):
    file, trying = TokenFile(tmp_path / "box.token", "box"), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(recall: Recall) -> None:
        def pause(seconds: float) -> None:
            loop.call_soon_threadsafe(trying.set)
            recall.pause(seconds)

        with file.locked(pause):
            pytest.fail("the lock was had")

    with held(file.path):
        task = asyncio.create_task(on_thread(work))
        await trying.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(loop.shutdown_default_executor(), SOON)


async def test_a_command_ends_although_another_one_uses_the_accounts_cache(lab: Lab, tmp_path: Path):
    settings_of(lab, tmp_path, work(lab, tmp_path))
    cache = tmp_path / "work.token"
    with held(cache):
        process = await command(tmp_path, "probe", "imap_office365")
        while not has_open(process.pid, f"{cache}.lock"):
            assert process.returncode is None, await process.communicate()
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(process.communicate(), SOON)
    assert (process.returncode, err) == (130, b"")


def has_open(pid: int, path: str) -> bool:
    """Whether a process has that file open (proc_pid_fd(5))."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if os.readlink(descriptor) == path:
                return True
        except FileNotFoundError:
            continue  # closed meanwhile
    return False
