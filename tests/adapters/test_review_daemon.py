# SPDX-License-Identifier: Apache-2.0
"""The end of the daemon: nothing that hangs may hold it up."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from domains.model import NodeId
from rgmgr.adapters.journal import Journal
from rgmgr.adapters.store import Store
from rgmgr.core.actions import Exit
from rgmgr.core.model import ClusterState
from rgmgr.core.spec import ClusterSpec, NodeSpec
from rgmgr.runtime import daemon as module
from rgmgr.runtime.daemon import Daemon, Options
from tests.adapters.test_daemon import Group

NODES = {NodeId(1): NodeSpec(name="n1")}
SPEC = ClusterSpec(name="t", version=1, digest="", nodes=NODES, services=())


def test_a_stalled_disk_does_not_hold_the_end_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'no-bus'}")
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setattr(module, "CLOSE_MS", 100)
    is_writing, is_free = threading.Event(), threading.Event()

    def stall(_store: Store, _state: ClusterState) -> None:
        is_writing.set()
        is_free.wait(60)

    monkeypatch.setattr(Store, "_write", stall)
    paths = {name: tmp_path / name for name in ("config", "state_dir", "runtime_dir")}
    options = Options(**paths, secrets_dir=tmp_path / "secrets")

    async def live() -> int:
        daemon: Any = None

        def act(_group: Group) -> None:
            daemon._tasks.create_task(daemon._store.save(ClusterState(spec=SPEC)))
            asyncio.get_running_loop().call_later(0.1, daemon._end, Exit(3, "test"))

        group: Any = partial(Group, act)
        daemon = Daemon(options, SPEC, Journal(), group=group)
        return await asyncio.wait_for(daemon.run(), 10)

    try:
        assert asyncio.run(live()) == 3
        assert is_writing.is_set()
    finally:
        is_free.set()
