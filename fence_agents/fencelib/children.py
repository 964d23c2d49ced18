# SPDX-License-Identifier: Apache-2.0
"""Child processes: always with a deadline, killed with all that they have started."""

import os
import signal
import subprocess
from typing import NamedTuple

from fencelib.errors import FenceError
from fencelib.options import Options

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
SETPRIV = "/usr/bin/setpriv"
SCRIPT_TIMEOUT_S = 10.0


class Ended(NamedTuple):
    """A child that ended; `code` None means that it was killed at its deadline."""

    code: int | None
    out: str
    err: str


def guarded(argv: list[str]) -> list[str]:
    """Return the command, to be killed with this agent: it must not switch anything later."""
    guard = [SETPRIV, "--pdeathsig", "KILL", "--"] if os.access(SETPRIV, os.X_OK) else []
    return [*guard, *argv]


def run_child(argv: list[str], env: dict[str, str], timeout_s: float) -> Ended:
    """Run a program in a session of its own; kill all of it at the deadline or on a signal."""
    pipe, null = subprocess.PIPE, subprocess.DEVNULL
    try:
        child = subprocess.Popen(
            argv, env=env, stdin=null, stdout=pipe, stderr=pipe, start_new_session=True
        )
    except OSError as error:
        raise FenceError(f"cannot start {argv[0]!r}: {error.strerror}; reinstall it") from error
    try:  # not within `with child`: a signal that comes before this would wait for the child's end
        out, err = child.communicate(timeout=timeout_s)
    except BaseException as error:
        os.killpg(child.pid, signal.SIGKILL)
        with child:  # its pipes are closed, and it is reaped
            pass
        if isinstance(error, subprocess.TimeoutExpired):
            return Ended(None, "", "")
        raise
    return Ended(child.returncode, os.fsdecode(out), os.fsdecode(err))


def find_program(name: str, option: str, path: str, package: str) -> str:
    """Return the program to run, from a fixed list of folders unless `option` gave a path."""
    candidates = [path] if path else [f"{folder}/{name}" for folder in PATH.split(":")]
    for candidate in candidates:
        if os.path.isfile(candidate) and os.access(candidate, os.X_OK):  # noqa: PTH113 -- as above
            return candidate
    if path:
        raise FenceError(f"{option} {path!r} is not an executable file; correct or remove it")
    raise FenceError(f"{name} is not installed; run 'apt-get install {package}'")


def secret_of(options: Options, name: str, script: str) -> str:
    """Return a secret; the script overrides it, as the API says."""
    if not options[script]:
        return options[name]
    ended = run_child(
        ["/bin/sh", "-c", options[script]], {"PATH": PATH, "LC_ALL": "C"}, SCRIPT_TIMEOUT_S
    )
    if ended.code != 0:  # its output is not shown: it may hold the secret
        how = f"ended with {ended.code}" if ended.code is not None else "did not end in time"
        raise FenceError(f"{script} {how}; run it by hand to see why")
    return ended.out.rstrip("\r\n")
