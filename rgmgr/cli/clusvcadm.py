# SPDX-License-Identifier: Apache-2.0
"""`clusvcadm`: rgmanager's command for operating services, flag for flag and word for word.

Owns its phrases and exit codes; scripts depend on both. What rgmanager offered and this version
does not is refused by name instead of being taken for a typing error. Source: clusvcadm(8).
"""

from __future__ import annotations

import getopt
import itertools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import rgmgr
from rgmgr.cli.client import (
    WAIT_FOREVER_S,
    Connector,
    Daemon,
    DaemonError,
    Fault,
    Outcome,
    Terms,
    connect,
)
from rgmgr.cli.exits import Exit
from rgmgr.core.actions import Answer
from rgmgr.view import Status

_FLAGS = "e:d:s:R:r:m:n:FqvhM:Z:U:c:luS"
_VERBS = {
    "-e": "enable",
    "-d": "disable",
    "-s": "stop",
    "-R": "restart",
    "-r": "relocate",
    "-M": "migrate",
    "-Z": "freeze",
    "-U": "unfreeze",
    "-c": "convalesce",
}
_PHRASES = {
    "enable": "trying to enable",
    "disable": "disabling",
    "stop": "stopping",
    "restart": "trying to restart",
    "freeze": "freezing",
    "unfreeze": "unfreezing",
    "convalesce": "convalescing",
}
_LOCKED, _UNLOCKED = "Resource groups locked", "Resource groups unlocked"
_LOCKS = {
    "-l": ("lock", _LOCKED, "Lock operation failed"),
    "-u": ("unlock", _UNLOCKED, "Unlock operation failed"),
}
_SHOW_LOCK = "-S"
_SAYS_WHERE = ("enable", "relocate")
_TAKES_MEMBER = (*_SAYS_WHERE, "migrate")

DENIED = -18
"""rgmanager's result code for a caller who is not root; the core has no such answer."""

_RESULTS = {
    Answer.DONE.value: "Success",
    Answer.FAILED.value: "Failure",
    Answer.ABORTED.value: "Aborted; service failed",
    Answer.UNKNOWN_SERVICE.value: "Service does not exist",
    Answer.TRY_AGAIN.value: "Temporary failure; try again",
    Answer.NOT_ALLOWED.value: "Operation violates dependency rule",
    Answer.INVALID.value: "Invalid operation for resource",
    Answer.NO_QUORUM.value: "Operation requires quorum",
    Answer.ALREADY_RUNNING.value: "Service is already running",
    Answer.FROZEN.value: "Failure: Service is frozen",
    Answer.NODE_OFFLINE.value: "Target node dead / nonexistent",
    Answer.ON_ORIGINAL_OWNER.value: "Failed; service running on original owner",
    DENIED: "Permission denied",
}
_CODE_BY_ERROR = {
    "AccessDenied": DENIED,
    "UnknownService": Answer.UNKNOWN_SERVICE.value,
    "UnknownNode": Answer.NODE_OFFLINE.value,
    "Busy": Answer.TRY_AGAIN.value,
    "NotReady": Answer.NO_QUORUM.value,
}
_PROBLEM = 1  # exit code: wrong usage, or nobody to ask

USAGE = """\
usage: {name} [command]

Resource Group Control Commands:
  -v                     Display version and exit
  -d <group>             Disable <group>.  This stops a group
                         until an administrator enables it again
  -e <group>             Enable <group> on the local machine
  -e <group> -F          Enable <group> according to its failover domain
  -e <group> -m <member> Enable <group> on <member>
  -r <group> [-m <member>]
                         Relocate <group> [to <member>]
  -M <group> -m <member> Migrate <group> to <member> while it runs;
                         for a group that is one virtual machine
  -R <group>             Restart a group in place.
  -s <group>             Stop <group>.  This temporarily stops a group
                         until the membership of the cluster changes
  -Z <group>             Freeze <group>: leave it as it is, whatever happens
  -U <group>             Unfreeze (thaw) <group>
  -c <group>             Convalesce (repair) a partial <group>

Resource Group Locking (for cluster Shutdown / Debugging):
  -l                     Lock local resource group managers.
                         This prevents resource groups from starting
  -S                     Show lock state
  -u                     Unlock resource group managers.
                         This allows resource groups to start

Other:
  -n <member>            The same as -m
  -q                     Quiet operation
  -h                     Display this help and exit
"""


Say = Callable[[str], None]


class UsageError(Exception):
    """The command line makes no sense. The text says why; empty: show the usage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What the command line asks for."""

    verb: str
    service: str  # without the prefix `service:`
    member: str = ""  # as typed; empty: none given
    is_by_domain: bool = False

    @property
    def shown(self) -> str:
        """The service as rgmanager shows it; other types keep their own prefix."""
        return self.service if ":" in self.service else f"service:{self.service}"


def main() -> None:
    """Run the command; the entry point of the package."""
    sys.exit(run(sys.argv))


def run(argv: Sequence[str], connector: Connector = connect) -> int:
    """Do what the command line says and return the exit code."""
    name = PurePath(argv[0]).name
    try:
        options = _options(argv[1:])
        if "-v" in options:
            print(f"{name} {rgmgr.__version__} (rgmgr)")
            return 0
        lock = next((flag for flag in options if flag in (*_LOCKS, _SHOW_LOCK)), "")
        wish = None if lock else _wish(options)
    except UsageError as error:
        print(error if str(error) else USAGE.format(name=name))
        return _PROBLEM
    say = _say_nothing if "-q" in options else _say
    try:
        with connector() as daemon:
            return _carry_out(wish, daemon, say) if wish else _lock(lock, daemon, say)
    except DaemonError as error:
        return _not_reached(error)
    except KeyboardInterrupt:
        print("stopped waiting; the request goes on", file=sys.stderr)
        return Exit.INTERRUPTED


def _options(arguments: Sequence[str]) -> dict[str, str]:
    """Return the flags given with their values, the last one last."""
    try:
        given, rest = getopt.gnu_getopt(list(arguments), _FLAGS)
    except getopt.GetoptError as error:
        raise UsageError from error
    options: dict[str, str] = {}
    for flag, value in given:
        options.pop(flag, None)  # the last one given shall also be the last in order
        options[flag] = value
    if rest or "-h" in options:
        raise UsageError
    return options


def _wish(options: dict[str, str]) -> Wish:
    actions = [flag for flag in options if flag in _VERBS]
    if not actions:
        raise UsageError
    members = [options[flag] for flag in options if flag in ("-m", "-n")]
    if "-F" in options and members:
        text = "Cannot use '-F' with '-n' or '-m'"
        raise UsageError(text)
    if _VERBS[actions[-1]] == "migrate" and not members:
        text = "Migration requires a target cluster member"
        raise UsageError(text)
    return Wish(
        verb=_VERBS[actions[-1]],
        service=options[actions[-1]].removeprefix("service:"),
        member=members[-1] if members else "",
        is_by_domain="-F" in options,
    )


def _lock(flag: str, daemon: Daemon, say: Say) -> int:
    """Lock or unlock services, or show whether they are."""
    if flag == _SHOW_LOCK:
        say(f"{_LOCKED if daemon.status().locked else _UNLOCKED}\n")
        return 0
    order, done, failed = _LOCKS[flag]
    try:
        outcome = daemon.order(order, "", Terms(), WAIT_FOREVER_S)
    except DaemonError as error:
        if error.name not in _CODE_BY_ERROR:
            raise
        outcome = Outcome(_CODE_BY_ERROR[error.name], error.text, "")
    if outcome.code < 0:
        say(f"{failed}\n")
        print(outcome.text, file=sys.stderr)
        return _PROBLEM
    say(f"{done}\n")
    return 0


def _carry_out(wish: Wish, daemon: Daemon, say: Say) -> int:
    status = daemon.status()
    member = ""
    if wish.member:
        found = _closest(wish.member, status, say)
        if found is None:
            return _PROBLEM
        member = found
    say(f"{_phrase(wish, member)}...")
    try:
        outcome = _ask(wish, _target(wish, member, status), daemon)
    except (DaemonError, KeyboardInterrupt):
        say("\n")  # ends the line of the phrase
        raise
    say(f"{_RESULTS.get(outcome.code, outcome.text)}\n")
    if outcome.code < 0 and outcome.code != Answer.ALREADY_RUNNING.value:
        print(outcome.text, file=sys.stderr)
    elif outcome.code == 0 and wish.verb in _SAYS_WHERE:
        is_elsewhere = member and outcome.owner != member
        warning = "Warning: " if is_elsewhere else ""
        say(f"{warning}{wish.shown} is now running on {outcome.owner or 'none'}\n")
    return _exit_code(outcome.code)


def _ask(wish: Wish, target: str, daemon: Daemon) -> Outcome:
    """Ask; what the daemon refuses at its door is a result code as well."""
    try:
        return daemon.request(wish.verb, wish.service, target, WAIT_FOREVER_S)
    except DaemonError as error:
        if error.name not in _CODE_BY_ERROR:
            raise
        return Outcome(_CODE_BY_ERROR[error.name], error.text, "")


def _target(wish: Wish, member: str, status: Status) -> str:
    """Return the node to ask for: a plain enable means this node, not the best one."""
    if wish.verb == "enable" and not member and not wish.is_by_domain:
        return status.node or ""
    return member if wish.verb in _TAKES_MEMBER else ""


def _phrase(wish: Wish, member: str) -> str:
    if wish.verb in ("relocate", "migrate"):
        return f"Trying to {wish.verb} {wish.shown}" + (f" to {member}" if member else "")
    who = f"Member {member}" if member else "Local machine"
    return f"{who} {_PHRASES[wish.verb]} {wish.shown}"


def _closest(typed: str, status: Status, say: Say) -> str | None:
    """Return the member meant: exactly this one, or the one with the longest common beginning."""
    names = [node.name for node in status.nodes if node.is_configured]
    if typed in names:
        return typed
    say(f"'{typed}' not in membership list\n")
    length_by_name = {name: _common_length(typed, name) for name in names}
    longest = max(length_by_name.values(), default=0)
    best = [name for name, length in length_by_name.items() if length == longest]
    if not longest:
        say(f"No matches for '{typed}' found\n")
        return None
    if len(best) > 1:
        say(f"More than one possible match for '{typed}' found\n")
        return None
    say(f"Closest match: '{best[0]}'\n")
    return best[0]


def _common_length(one: str, other: str) -> int:
    """Return how many characters two names have in common at their beginning."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def _exit_code(code: int) -> int:
    """Return what a shell sees of a result code: 256 - n for -n."""
    return 0 if code == Answer.ALREADY_RUNNING.value else code & 0xFF


def _not_reached(error: DaemonError) -> int:
    if error.fault is Fault.DENIED:
        print("Permission denied", file=sys.stderr)
        return _exit_code(DENIED)
    if error.fault is Fault.UNREACHABLE:
        print("Could not connect to resource group manager", file=sys.stderr)
    print(error, file=sys.stderr)
    return _PROBLEM


def _say(text: str) -> None:
    print(text, end="", flush=True)  # the phrase must be seen before the work is done


def _say_nothing(_text: str) -> None:
    pass
