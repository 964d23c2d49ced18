# SPDX-License-Identifier: Apache-2.0
"""Blocking calls beside the event loop."""

from __future__ import annotations

import asyncio
import gc

from rgmgr.adapters.corosync.worker import in_thread


def fail() -> None:
    raise OSError("corosync has gone")


def test_what_fails_when_nobody_waits_any_more_is_not_told() -> None:
    async def ask_and_go() -> list[dict[str, object]]:
        told: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, what: told.append(what))
        asked = in_thread(fail, "asked")
        await asyncio.wait([asked])
        del asked
        gc.collect()
        return told

    assert asyncio.run(ask_and_go()) == []
