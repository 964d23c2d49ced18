# SPDX-License-Identifier: Apache-2.0
"""An agent that cannot be watched does not run: it could switch a node off much later."""

from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from rgmgr.adapters.fencing.agent import AgentRun


def open_now() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def test_an_agent_that_cannot_be_watched_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = tmp_path / "fence_slow"
    agent.write_text("#!/bin/sh\nexec sleep 60\n", encoding="ascii")
    agent.chmod(0o755)
    pids = []

    def refuse(pid: int, _flags: int = 0) -> int:
        pids.append(pid)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def play() -> None:
        monkeypatch.setattr(os, "pidfd_open", refuse)
        before = open_now()
        with pytest.raises(OSError, match="Too many open files"):
            AgentRun(agent)
        assert open_now() == before

    asyncio.run(play())
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
