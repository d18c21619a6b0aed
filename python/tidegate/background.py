"""Runs what would block the loop in a thread of its own, one that never keeps the process from ending."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable
from typing import ParamSpec, TypeVar

LOW = 10
"""The niceness of what runs aside: a tenth of a worker's share where both want one core, and never nothing."""

P = ParamSpec("P")
T = TypeVar("T")


def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
    """What `work` returns or raises, once it has; must be called on a running loop.

    Unlike with `asyncio.to_thread`, the end of the process does not wait: importing a user's module may take for ever.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # T may be None itself

    def body() -> None:
        result: T | None = None
        failure: BaseException | None = None
        with contextlib.suppress(OSError, AttributeError):
            # Workers that share a core with this thread come first: a large configuration takes a second to load.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOW)
        try:
            result = work(*args, **kwargs)
        except BaseException as error:  # whoever awaits decides
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile: nobody awaits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=body, name=f"aside {getattr(work, '__name__', '')}", daemon=True).start()
    return future
