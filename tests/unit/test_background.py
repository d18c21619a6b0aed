"""Work aside: its result or its error arrives, and the end of the loop waits for nobody."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tidegate.background import aside


def test_results_and_errors_arrive() -> None:
    async def body() -> None:
        assert await aside(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await aside(divmod, 7, 0)
        with pytest.raises(SystemExit):
            await aside(exit)

    asyncio.run(body())


def test_the_end_does_not_wait_for_work_that_never_ends() -> None:
    release = threading.Event()
    ended = threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    async def body() -> None:
        aside(work)

    asyncio.run(body())
    assert not ended.is_set()
    release.set()  # the loop has closed: the thread must end without complaint
    assert ended.wait(10)


def test_a_caller_that_was_cancelled_is_left_alone() -> None:
    release = threading.Event()

    async def body() -> None:
        task = asyncio.ensure_future(aside(release.wait))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        release.set()
        await aside(release.wait)

    asyncio.run(body())
