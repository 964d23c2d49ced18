# SPDX-License-Identifier: Apache-2.0
"""`fence_node` and `fence_ack_manual`: fenced's commands, for hands and scripts that know them.

Words and exit codes are theirs; what is asked is what `rgmgr fence` asks. Unlike fenced's, the
manual acknowledgement is refused when it is for a node that nobody waits for, or that lives.
Source: fence_node(8), fence_ack_manual(8) of redhat-cluster.
"""

from __future__ import annotations

import getopt
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import rgmgr
from rgmgr.cli.client import (
    WAIT_FOREVER_S,
    Connector,
    DaemonError,
    Outcome,
    connect,
)
from rgmgr.core.actions import Answer
from rgmgr.core.messages import FenceOrder

NODE_USAGE = """Usage: fence_node [options] node_name

 -v        Show the result in words; twice: the same
 -h        Show this help
 -V        Show the version

Have another member of the cluster switch a node off, and on again.
"""
ACK_USAGE = """Usage: fence_ack_manual [options] node_name

 -n NODE   The node, as fence_ack_manual of older clusters takes it
 -O        Do not ask
 -h        Show this help
 -V        Show the version

Give your word that a node is off, in place of a fence device.
"""
_FAILURE = 1
_WORD = "absolutely"


def fence_node(arguments: Sequence[str] | None = None, *, connector: Connector = connect) -> int:
    """Fence a node as fenced's command did. Returns the exit status: 0 fenced, 1 not."""
    given = _parse("fence_node", "vhVU", NODE_USAGE, arguments)
    if isinstance(given, int):
        return given
    if "-U" in given.flags:
        return _misused("fence_node", "unfencing is not offered; nodes unfence at join", "")
    outcome = _ask(FenceOrder.FENCE, given.name, connector)
    is_done = outcome.code == Answer.DONE.value
    print(f"fence {given.name} {'success' if is_done else 'failed'}", file=sys.stderr)
    if "-v" in given.flags or not is_done:
        print(outcome.text, file=sys.stderr)
    return 0 if is_done else _FAILURE


def fence_ack_manual(
    arguments: Sequence[str] | None = None,
    *,
    connector: Connector = connect,
    read_line: Callable[[], str] | None = None,
) -> int:
    """Acknowledge by hand as fenced's command did. Returns the exit status: 0 taken, 1 not.

    `read_line` gives what is typed; None: standard input.
    """
    given = _parse("fence_ack_manual", "n:OhV", ACK_USAGE, arguments)
    if isinstance(given, int):
        return given
    if "-O" not in given.flags and not _is_meant(given.name, read_line or sys.stdin.readline):
        print("Aborted.")
        return _FAILURE
    outcome = _ask(FenceOrder.ACK, given.name, connector)
    if outcome.code == Answer.DONE.value:
        print("Done")
        return 0
    print(f"fence_ack_manual: {outcome.text}", file=sys.stderr)
    return _FAILURE


def main_node() -> None:
    """Run fence_node; the entry point of the package."""
    sys.exit(fence_node())


def main_ack() -> None:
    """Run fence_ack_manual; the entry point of the package."""
    sys.exit(fence_ack_manual())


@dataclass(frozen=True, slots=True)
class _Given:
    """What a command line says."""

    flags: tuple[str, ...]
    name: str


def _parse(command: str, known: str, usage: str, arguments: Sequence[str] | None) -> _Given | int:
    """Return what is asked for, or the exit status where there is nothing to do."""
    try:
        options, names = getopt.gnu_getopt(
            list(sys.argv[1:] if arguments is None else arguments), known
        )
    except getopt.GetoptError as error:
        return _misused(command, str(error), usage)
    flags = tuple(flag for flag, _ in options)
    if "-h" in flags or "-V" in flags:
        print(usage.rstrip() if "-h" in flags else f"{command} {rgmgr.__version__}")
        return 0
    names += [value for flag, value in options if flag == "-n"]
    if len(names) != 1:
        return _misused(command, "name one node", usage)
    return _Given(flags, names[0])


def _is_meant(name: str, read_line: Callable[[], str]) -> bool:
    print(f"About to override fencing for {name}.")
    print("Improper use of this command can cause severe file system damage.\n")
    print(f"Continue [NO/{_WORD}]? ", end="", flush=True)
    return read_line().strip() == _WORD


def _ask(order: FenceOrder, name: str, connector: Connector) -> Outcome:
    try:
        with connector() as daemon:
            return daemon.fence(order.value, name, WAIT_FOREVER_S)
    except DaemonError as error:
        return Outcome(Answer.FAILED.value, str(error), "")


def _misused(command: str, text: str, usage: str) -> int:
    print(f"{command}: {text}\n{usage}", end="" if usage else None, file=sys.stderr)
    return _FAILURE
