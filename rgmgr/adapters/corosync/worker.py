# SPDX-License-Identifier: Apache-2.0
"""Runs a blocking call of corosync's libraries beside the event loop.

Those calls have no time limit: while corosync is stopped they hang until it goes on or dies. A
pool's threads are waited for when the interpreter ends, so one hanging call would keep the daemon
from ending; hence a daemon thread for each call.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


def in_thread(call: Callable[[], Result], name: str) -> "asyncio.Future[Result]":
    """Start the call in a thread of its own; the future gets its result or its exception.

    Cancelling the future does not end the call. Its result is then lost, so a call that makes
    something must be waited for through `asyncio.shield` and cleaned up after.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(result: Result | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
            future.exception()  # it is heard, though who asked may have gone meanwhile
        else:
            future.set_result(result)  # type: ignore[arg-type] # Result may include None

    def body() -> None:
        result: Result | None = None
        error: BaseException | None = None
        try:
            result = call()
        except BaseException as raised:  # noqa: BLE001 - carried to whoever awaits the future
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop ended before the call did
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=body, name=name, daemon=True).start()
    return future
