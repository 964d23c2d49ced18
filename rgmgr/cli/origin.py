# SPDX-License-Identifier: Apache-2.0
"""What a question is about: the live cluster, or what a cluster.toml would make of a quiet start.

Shared by `what-if`, `audit` and `explain`. Owns the options `--config` and `--json`, and finds
services and nodes by the names that people type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from domains.model import NodeId, ServiceName
from rgmgr.cli.client import DaemonError, Fault, connector
from rgmgr.cli.exits import Exit
from rgmgr.config.load import load
from rgmgr.config.problems import did_you_mean
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError
from rgmgr.present import Present, without_secrets

F = TypeVar("F", bound=Callable[..., object])

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Ask about a cluster.toml after a quiet start, not about the live cluster.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a question starts from, and what it is in words."""

    present: Present
    words: str
    is_live: bool


def live() -> Present:
    """Return the present of the live cluster; ends the command when it cannot be relied on."""
    context = click.get_current_context()
    try:
        with connector(context.find_root().obj)() as daemon:
            present = daemon.present()
    except DaemonError as error:
        if error.fault is not Fault.UNREACHABLE:
            raise
        hint = "a file can be asked about without it: --config /etc/rgmgr/cluster.toml"
        raise DaemonError(error.fault, f"{error.text}; {hint}", error.name) from error
    around = present.around
    if not (around.is_installed and around.is_quorate):
        why = "has no quorum" if not around.is_quorate else "has not joined the others yet"
        refuse(f"this node {why}, so it does not know the present; ask another member")
    return present


def origin(config: Path | None) -> Origin:
    """Return what to start from."""
    from rgmgr.sim.stage import present_of, quiet_start  # noqa: PLC0415 - the simulator is large

    if config is None:
        present = live()
        cluster = present.cluster
        words = f"cluster {cluster.spec.name!r} as it is now (epoch {cluster.epoch})"
        return Origin(present, words, is_live=True)
    spec = without_secrets(load_or_exit(config, None))
    words = f"cluster {spec.name!r} after a quiet start with {config}"
    return Origin(present_of(quiet_start(spec)), words, is_live=False)


def load_or_exit(file: Path, node_ids: dict[str, NodeId] | None) -> ClusterSpec:
    """Return a configuration; tells its problems and ends the command when it has some."""
    try:
        return load(file, node_ids)
    except ConfigError as error:
        click.echo(str(error), err=True)
        click.get_current_context().exit(Exit.CONFIG)


def ids_of(spec: ClusterSpec) -> dict[str, NodeId]:
    """Return the node ids by name."""
    return {node.name: n for n, node in spec.nodes.items()}


def node_named(spec: ClusterSpec, name: str) -> NodeId:
    """Return a node by its name; ends the command when there is none."""
    ids = ids_of(spec)
    if name not in ids:
        refuse(unknown("node", name, ids))
    return ids[name]


def service_named(present: Present, name: str) -> ServiceName:
    """Return a service by its name, with or without rgmanager's prefix; ends the command else."""
    bare = ServiceName(name.removeprefix("service:"))
    if bare not in present.cluster.services:
        refuse(unknown("service", bare, present.cluster.services))
    return bare


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """Return the sentence for a name that nobody has."""
    names = [str(word) for word in known]
    hint = did_you_mean(name, names) or f"there are {', '.join(names) or 'none'}"
    return f"no {what} is named {name!r} ({hint})"


def refuse(text: str) -> NoReturn:
    """Say why the question has no answer, and end the command."""
    click.echo(f"rgmgr: {text}", err=True)
    raise SystemExit(Exit.REFUSED)
