# SPDX-License-Identifier: Apache-2.0
"""`rgmgr is CONDITION` and `rgmgr wait CONDITION`: for scripts, which want an exit code.

A condition is one or two words: `quorate`, or `started web`. Every state of a service and every
status of a node is a condition; the others are in `_OF_CLUSTER`, `_OF_SERVICE` and `_OF_NODE`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import click

from rgmgr.cli.asking import SPAN
from rgmgr.cli.client import WAIT_FOREVER_S, Daemon, connector
from rgmgr.cli.completion import any_names
from rgmgr.cli.exits import Exit
from rgmgr.config.problems import did_you_mean, listed
from rgmgr.core.model import NodeStatus, ServiceState
from rgmgr.view import NodeView, ServiceView, Status

LOOK_EVERY_S = 2.0
"""Changes that the bus does not tell of, such as the end of a lost daemon, are seen so late."""

_UP = (ServiceState.STARTED.value, ServiceState.STARTING.value)
_MOVING = (ServiceState.STARTING.value, ServiceState.STOPPING.value, "recoverable", "recovering")


def _is_settled(status: Status) -> bool:
    """Tell whether no service moves and no node is being fenced."""
    is_calm = not any(service.state in _MOVING for service in status.services)
    return status.is_installed and is_calm and not any(node.fencing for node in status.nodes)


_OF_CLUSTER: dict[str, Callable[[Status], bool]] = {
    "quorate": lambda status: status.is_quorate,
    "joined": lambda status: status.is_installed,
    "locked": lambda status: status.locked is not None,
    "armed": lambda status: status.disarmed is None,
    "disarmed": lambda status: status.disarmed is not None,
    "settled": _is_settled,
    "well": lambda status: not status.notices,
}
_OF_SERVICE: dict[str, Callable[[ServiceView], bool]] = {
    **{
        state.value: lambda view, word=state.value: view.state == word  # type: ignore[misc]
        for state in ServiceState
    },
    "running": lambda view: view.state in _UP,
    "frozen": lambda view: "frozen" in view.flags,
    "partial": lambda view: "partial" in view.flags,
}
_OF_NODE: dict[str, Callable[[NodeView], bool]] = {
    **{
        status.value: lambda view, word=status.value: view.status == word  # type: ignore[misc]
        for status in NodeStatus
    },
    "member": lambda view: view.is_member,
    "standby": lambda view: view.standby is not None,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """What is asked, and of what; `name` is empty for the whole cluster."""

    word: str
    name: str

    def __str__(self) -> str:
        """Return it as it was typed."""
        return f"{self.word} {self.name}".strip()

    def is_met(self, status: Status) -> bool:
        """Tell whether it is so; ends the command for a name that nobody has."""
        if self.word in _OF_CLUSTER:
            return _OF_CLUSTER[self.word](status)
        service, node = status.service_named(self.name), status.node_named(self.name)
        if self.word in _OF_SERVICE and service is not None:
            return _OF_SERVICE[self.word](service)
        if self.word in _OF_NODE and node is not None:
            return _OF_NODE[self.word](node)
        kind = "service" if self.word in _OF_SERVICE else "node"
        known = [view.name for view in (status.services if kind == "service" else status.nodes)]
        hint = did_you_mean(self.name, known) or f"there are {', '.join(known) or 'none'}"
        click.echo(f"rgmgr: no {kind} is named {self.name!r} ({hint})", err=True)
        raise SystemExit(Exit.REFUSED)


def _words(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    words = sorted({*_OF_CLUSTER, *_OF_SERVICE, *_OF_NODE})
    return [word for word in words if word.startswith(incomplete)]


def _read(word: str, name: str) -> Condition:
    known = {*_OF_CLUSTER, *_OF_SERVICE, *_OF_NODE}
    if word not in known:
        hint = did_you_mean(word, known) or f"known: {listed(sorted(known))}"
        text = f"{word!r} is no condition; {hint}"
        raise click.BadParameter(text, param_hint="CONDITION")
    if bool(name) == (word in _OF_CLUSTER):
        what = "takes no name" if name else "needs the name of a service or node"
        text = f"condition {word!r} {what}"
        raise click.UsageError(text)
    return Condition(word, name.removeprefix("service:"))


_condition = click.argument("condition", shell_complete=_words)
_name = click.argument("name", required=False, default="", shell_complete=any_names)


@click.command("is")
@_condition
@_name
@click.option("-v", "--verbose", is_flag=True, help="Say it in words as well.")
def is_so(condition: str, name: str, *, verbose: bool) -> None:
    """Tell by the exit code whether CONDITION holds: 0 yes, 1 no.

    CONDITION is a state of a service and its name (started web), a status of a node and its name
    (online node1), or one of quorate, joined, settled, well, armed, disarmed, locked; of services
    also running, frozen, partial; of nodes also member, standby.
    """
    asked = _read(condition, name)
    context = click.get_current_context()
    with connector(context.find_root().obj)() as daemon:
        is_met = asked.is_met(daemon.status())
    if verbose:
        click.echo(f"{asked}: {'yes' if is_met else 'no'}")
    context.exit(Exit.DONE if is_met else Exit.FAILED)


@click.command()
@_condition
@_name
@click.option(
    "--timeout",
    "timeout_ms",
    type=SPAN,
    metavar="SPAN",
    default=0,
    help="Give up after this time, such as '30s', with exit code 4. Default: never.",
)
@click.option("-v", "--verbose", is_flag=True, help="Say in words what is waited for.")
def wait(condition: str, name: str, timeout_ms: int, *, verbose: bool) -> None:
    """Wait until CONDITION holds; the conditions are those of `rgmgr is`."""
    asked = _read(condition, name)
    context = click.get_current_context()
    patience_s = timeout_ms / 1000 if timeout_ms else WAIT_FOREVER_S
    try:
        with connector(context.find_root().obj)() as daemon:
            is_met = _wait(daemon, asked, patience_s)
    except KeyboardInterrupt:
        context.exit(Exit.INTERRUPTED)
    if verbose or not is_met:
        text = "holds now" if is_met else f"does not hold after {patience_s:g} s"
        click.echo(f"rgmgr: {asked} {text}", err=not is_met)
    context.exit(Exit.DONE if is_met else Exit.NO_ANSWER)


def _wait(daemon: Daemon, asked: Condition, patience_s: float) -> bool:
    """Look at every change until it holds; False when patience has ended."""
    deadline_s = time.monotonic() + patience_s
    daemon.wait_for_change(0)  # from here on no change is missed
    while not asked.is_met(daemon.status()):
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            return False
        daemon.wait_for_change(min(LOOK_EVERY_S, left_s))
    return True
