# SPDX-License-Identifier: Apache-2.0
"""Child processes: always with a deadline, always with an error that says what went wrong."""

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rgmgr.lab.errors import LabError

COMMAND_TIMEOUT = 30.0


def command(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = COMMAND_TIMEOUT,
    cwd: Path | None = None,
) -> str:
    """Run a program that must succeed and return what it printed.

    Raises:
        LabError: it could not be started, failed, or was not done in ``timeout`` seconds.
    """
    done = attempt(argv, stdin=stdin, timeout=timeout, cwd=cwd)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise LabError(
            f"`{shlex.join(argv)}` failed with status {done.returncode}:"
            f" {said[-1] if said else 'it said nothing'}"
        )
    return done.stdout


def attempt(
    argv: Sequence[str],
    *,
    stdin: str | None = None,
    timeout: float = COMMAND_TIMEOUT,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a program that may fail.

    Raises:
        LabError: it could not be started, or was not done in ``timeout`` seconds.
    """
    try:
        return subprocess.run(
            argv,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as error:
        raise LabError(f"cannot run `{shlex.join(argv)}`: {argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise LabError(f"`{shlex.join(argv)}` was not done after {timeout:g} s") from error


@dataclass(frozen=True, slots=True)
class Progress:
    """Tells on standard error what is going on, with the seconds since the start."""

    started: float = field(default_factory=time.monotonic)

    def __call__(self, text: str) -> None:
        """Print one line."""
        print(f"[{time.monotonic() - self.started:6.2f}] {text}", file=sys.stderr, flush=True)


def await_until(condition: Callable[[], bool], *, timeout: float, what: str) -> None:
    """Ask again and again until ``condition`` holds.

    For the state of other kernels' objects and other processes, where no event can be had.

    Raises:
        LabError: it did not hold within ``timeout`` seconds; ``what`` says what was awaited.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise LabError(f"waited {timeout:g} s for {what} in vain")
        time.sleep(0.02)
