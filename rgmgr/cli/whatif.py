# SPDX-License-Identifier: Apache-2.0
"""`rgmgr what-if`: what the cluster would do, step by step, before anybody does it.

Owns the questions and what they need to make sense; `rgmgr.sim.forecast` answers them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from domains.model import NodeId
from rgmgr.cli.completion import node_names, service_names
from rgmgr.cli.exits import Exit
from rgmgr.cli.forecast_screens import print_forecast, to_json
from rgmgr.cli.origin import (
    Origin,
    config_option,
    ids_of,
    json_option,
    load_or_exit,
    node_named,
    origin,
    refuse,
    service_named,
)
from rgmgr.config.advice import warnings
from rgmgr.core.model import ClusterState, NodeStatus, ServiceState
from rgmgr.present import without_secrets
from rgmgr.sim.assumptions import assumptions
from rgmgr.sim.forecast import (
    NetworkSplits,
    NewConfig,
    NodeDies,
    NodeLeaves,
    NodeReturns,
    ServiceCannotStop,
    ServiceFails,
    Supposition,
    forecast,
)

FAILS, CANNOT_STOP = "fails", "cannot stop"

F = TypeVar("F", bound=Callable[..., object])


def _options(function: F) -> F:
    return config_option(json_option(function))


@click.group("what-if")
def what_if() -> None:
    """Show what would happen, without doing it.

    The real decision core acts in a simulated world that is like the cluster now, with the times
    that were measured here. What is shown is what would then happen: same nodes, same order.
    """


@what_if.command("node")
@click.argument("node", shell_complete=node_names)
@click.argument("event", type=click.Choice(["dies", "leaves", "returns"]))
@_options
def node_event(node: str, event: str, config: Path | None, *, as_json: bool) -> None:
    """NODE dies (loses its power), leaves (rgmgrd is stopped), or returns.

    A node that dies stays dark here, whatever the fence devices do afterwards.
    """
    found = origin(config)
    node_id = node_named(found.present.cluster.spec, node)
    status = found.present.cluster.nodes[node_id].status
    is_there = node_id in found.present.around.ring_nodes
    supposed: Supposition
    match event:
        case "dies":
            supposed = NodeDies(node_id)
            is_possible = is_there
        case "leaves":
            supposed = NodeLeaves(node_id)
            is_possible = status is NodeStatus.ONLINE
        case _:
            supposed = NodeReturns(node_id)
            is_possible = status not in (NodeStatus.ONLINE, NodeStatus.LEAVING)
    if not is_possible:
        refuse(f"{node} cannot be the one that {event}: it is {status.value} now")
    _answer(found, f"{node} {event}", supposed, as_json=as_json)


def _service_events(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    return [word for word in (FAILS, CANNOT_STOP) if word.startswith(incomplete)]


@what_if.command("service")
@click.argument("service", shell_complete=service_names)
@click.argument("event", nargs=-1, required=True, shell_complete=_service_events)
@_options
def service_event(
    service: str, event: tuple[str, ...], config: Path | None, *, as_json: bool
) -> None:
    """SERVICE fails (its last resource dies), or cannot stop (when somebody restarts it)."""
    what = " ".join(event).replace("-", " ")
    if what not in (FAILS, CANNOT_STOP):
        text = f"{what!r} is not one of '{FAILS}', '{CANNOT_STOP}'"
        raise click.UsageError(text)
    found = origin(config)
    name = service_named(found.present, service)
    record = found.present.cluster.services[name]
    if record.state is not ServiceState.STARTED:
        refuse(f"{name} does not run now: it is {record.state.value}")
    supposed = ServiceFails(name) if what == FAILS else ServiceCannotStop(name)
    _answer(found, f"{name} {what}", supposed, as_json=as_json)


@what_if.command("partition")
@click.argument("parts", nargs=-1, required=True, metavar="A,B C ...", shell_complete=node_names)
@_options
def partition(parts: tuple[str, ...], config: Path | None, *, as_json: bool) -> None:
    """The network falls apart: nodes with commas between them still hear each other.

    Nodes that are not named form one more part.
    """
    found = origin(config)
    spec = found.present.cluster.spec
    sides = tuple(tuple(node_named(spec, name) for name in part.split(",")) for part in parts)
    named = [node for side in sides for node in side]
    if len(named) != len(set(named)):
        raise click.UsageError("a node is named twice")
    if len(sides) == 1 and len(named) == len(spec.nodes):
        raise click.UsageError("all nodes in one part: nothing would be cut")
    words = " | ".join((*parts, *_rest(found.present.cluster, named)))
    _answer(found, f"the network falls apart: {words}", NetworkSplits(sides), as_json=as_json)


def _rest(cluster: ClusterState, named: list[NodeId]) -> tuple[str, ...]:
    rest = ",".join(node.name for n, node in cluster.spec.nodes.items() if n not in named)
    return (rest,) if rest else ()


@what_if.command("config")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@_options
def new_config(file: Path, config: Path | None, *, as_json: bool) -> None:
    """Every member is given FILE as cluster.toml and reads it (systemctl reload rgmgrd)."""
    found = origin(config)
    old = found.present.cluster.spec
    spec = load_or_exit(file, ids_of(old) if found.is_live else None)
    if spec.version <= old.version and spec.digest != old.digest:
        refuse(
            f"{file} has version {spec.version}, and version {old.version} is in force: members"
            f" ignore it; set cluster.version = {old.version + 1}"
        )
    _answer(found, f"{file} is loaded", NewConfig(without_secrets(spec)), as_json=as_json)


def _answer(found: Origin, question: str, supposed: Supposition, *, as_json: bool) -> None:
    """Make the forecast, print it, and end with 1 when it cannot be relied on."""
    answer = forecast(found.present, supposed)
    notes = [
        *assumptions(found.present, answer, is_live=found.is_live),
        *_race(found.present.cluster, supposed),
    ]
    if as_json:
        click.echo(to_json(question, found.words, answer, notes))
    else:
        print_forecast(question, found.words, answer, notes)
    doubts = [f"the simulation broke a promise: {words}" for words in answer.broken]
    if not answer.is_at_rest:
        doubts.append("the simulated cluster did not come to rest within 15 minutes")
    for doubt in doubts:
        click.echo(f"rgmgr: {doubt}; this is a bug of rgmgr, please report it", err=True)
    if doubts:
        click.get_current_context().exit(Exit.FAILED)


def _race(cluster: ClusterState, supposed: Supposition) -> list[str]:
    """Say where chance decides: two nodes that fence each other at the same moment."""
    if not isinstance(supposed, NetworkSplits):
        return []
    return [words for words in warnings(cluster.spec) if words.startswith("node: two nodes")]
