# SPDX-License-Identifier: Apache-2.0
"""One run of a fence agent as a process: started bare, bounded, ended with all it has started.

Knows nothing of methods and devices. One loop, no threads.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import os
import re
import secrets
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rgmgr.adapters.fencing.options import StepError

OUTPUT_BYTES_MAX: Final = 8192  # of the end of what an agent prints
DETAIL_CHARS_MAX: Final = 300
MASK: Final = "***"
EDGE_CHARS_MIN: Final = 4  # fewer tell nothing, and would garble what ends alike
REAP_S: Final = 2.0  # for a killed process to end; one in the kernel's hands may not

_MARK: Final = "RGMGR_FENCE_RUN"
_ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C",
    "PYTHONWARNINGS": "ignore",  # agents of Debian 12 warn on every run
}
_AGENT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(slots=True)
class Output:
    """The end of what an agent printed."""

    tail: bytearray = field(default_factory=bytearray)
    bytes_max: int = OUTPUT_BYTES_MAX

    def add(self, data: bytes) -> None:
        """Keep at most `bytes_max` bytes."""
        self.tail += data
        del self.tail[: -self.bytes_max]


class AgentRun:
    """One running agent: a session of its own, bounded output, a deadline, a clean end.

    It waits for its options, so that it can be started before anybody knows what it is needed for.
    asyncio's own subprocesses would wait for the output's end, which a forgotten helper holds.
    """

    def __init__(self, agent: Path, *, output_bytes_max: int = OUTPUT_BYTES_MAX) -> None:
        self.output = Output(bytes_max=output_bytes_max)
        self._loop = asyncio.get_running_loop()
        self._mark = f"{_MARK}={secrets.token_hex(16)}"
        self._reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._reader, False)
        options, self._options = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._options, False)
        try:
            self._process = self._spawn(agent, options, writer)
        except OSError:
            os.close(self._reader)
            os.close(self._options)
            raise
        finally:
            os.close(options)
            os.close(writer)
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:  # out of descriptors: an agent that nobody watches must not run on
            os.close(self._reader)
            os.close(self._options)
            self._kill(marked=True)
            self._process.wait()
            raise
        self._ended: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._pidfd, self._note_end)
        self._loop.add_reader(self._reader, self._drain)

    @property
    def is_waiting(self) -> bool:
        """Whether it still waits for its options."""
        return self._options >= 0 and not self._ended.done()

    def tell(self, lines: bytes) -> None:
        """Give it its options, all there will be.

        Raises:
            OSError: they are more than a pipe holds.
        """
        with suppress(BrokenPipeError):  # it does not want them; its exit status says why
            if os.write(self._options, lines) != len(lines):
                raise OSError(errno.E2BIG, "too many options")
        self._close_options()

    def _close_options(self) -> None:
        if self._options >= 0:
            os.close(self._options)
            self._options = -1

    async def result(self, timeout_s: float) -> int | None:
        """Return the exit status (None: time ran out), with nothing of the agent left behind."""
        status: int | None = None
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(self._ended)
            status = self._exit_status()
        except TimeoutError:
            pass
        finally:
            self._kill(marked=status != 0)
            self._close_options()
            self._drain()
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self._ended.add_done_callback(self._reap)
            await asyncio.wait([self._ended], timeout=REAP_S)
        return status

    def _spawn(self, agent: Path, stdin: int, output: int) -> subprocess.Popen[bytes]:
        name, _, value = self._mark.partition("=")
        return subprocess.Popen(
            [str(agent)],
            stdin=stdin,
            stdout=output,
            stderr=output,
            env=_ENVIRONMENT | {name: value},
            cwd="/",
            start_new_session=True,
        )

    def _note_end(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._ended.set_result(None)

    def _exit_status(self) -> int | None:
        """Look without reaping, so that the process group stays ours until it is killed."""
        info = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        if info is None:
            return None
        return info.si_status if info.si_code == os.CLD_EXITED else -info.si_status

    def _drain(self) -> None:
        """Take what is there now; a pipe holds 64 KiB."""
        with suppress(BlockingIOError):
            data = os.read(self._reader, 128 * 1024)
            if not data:
                self._loop.remove_reader(self._reader)
            self.output.add(data)

    def _reap(self, _: asyncio.Future[None]) -> None:
        self._process.wait()  # does not block: the process has ended

    def _kill(self, *, marked: bool) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        if marked:
            _kill_marked(self._mark.encode())


def find_agent(name: str, directories: Iterable[Path]) -> Path:
    """Return the first executable of this name; an agent is named, never given by its path.

    Raises:
        StepError: there is none.
    """
    places = tuple(directories)
    if _AGENT_NAME.fullmatch(name):
        for directory in places:
            path = directory / name
            if path.is_file() and os.access(path, os.X_OK):
                return path
    where = ", ".join(map(str, places))
    raise StepError(f"fence agent {name!r} was not found in {where}: install it")


def masked_tail(output: Output, hidden: Iterable[str]) -> str:
    """Return the end of the output as one line, with every sensitive value replaced."""
    words = sorted({form for value in hidden for form in (value, *_encoded(value))}, key=len)
    text = output.tail.decode("utf-8", "replace")
    for word in reversed(words):
        text = _without_edges(text, word).replace(word, MASK)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    last = " ".join(lines[-3:])[-DETAIL_CHARS_MAX:]
    return "".join(char if char.isprintable() else "?" for char in last)


def _without_edges(text: str, word: str) -> str:
    """Mask what is left of a word where the output was cut, or the agent was killed."""
    sizes = range(len(word) - 1, EDGE_CHARS_MIN - 1, -1)
    head = next((size for size in sizes if text.startswith(word[-size:])), 0)
    text = MASK + text[head:] if head else text
    end = next((size for size in sizes if text.endswith(word[:size])), 0)
    return text[:-end] + MASK if end else text


def _encoded(value: str) -> tuple[str, str]:
    plain = base64.b64encode(value.encode("utf-8", "replace")).decode()
    return plain, plain.rstrip("=")


def _kill_marked(mark: bytes) -> None:
    """Kill the descendants of an agent, wherever they went; again while they fork."""
    for _ in range(5):
        running = (path for path in Path("/proc").iterdir() if path.name.isdigit())
        found = [int(path.name) for path in running if _has(path, mark)]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not found:
            return


def _has(process: Path, mark: bytes) -> bool:
    try:
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # it ended, or is not ours
