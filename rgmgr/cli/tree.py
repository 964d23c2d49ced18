# SPDX-License-Identifier: Apache-2.0
"""`rgmgr tree`: a service as it is built, and the order in which it starts and stops."""

from __future__ import annotations

import json
from pathlib import Path

import click

from domains.model import ServiceName
from rgmgr.cli.completion import service_names
from rgmgr.cli.exits import Exit
from rgmgr.cli.files import DEFAULT_FILE, read_file
from rgmgr.config.inherit import taken
from rgmgr.core.sharing import users
from rgmgr.core.spec import ClusterSpec, ResourceName, ResourceSpec, ServiceSpec
from rgmgr.core.tree import sorted_to_start, start_order, stop_order

SCHEMA = 1
Sharers = dict[ResourceName, tuple[ServiceName, ...]]


@click.command()
@click.argument("service", shell_complete=service_names)
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=DEFAULT_FILE,
    show_default=True,
    help="The configuration to read.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON (schema version 1).")
def tree(service: str, file: Path, *, as_json: bool) -> None:
    """Show the resources of SERVICE and the order in which they start and stop.

    Resources with a level start before their siblings without one, in the order of the levels;
    the rest as written. Reads cluster.toml, and asks neither corosync nor rgmgrd.
    """
    spec = read_file(file)
    name = service.removeprefix("service:")
    found = next((each for each in spec.services if each.name == name), None)
    if found is None:
        known = ", ".join(each.name for each in spec.services) or "none"
        click.echo(f"rgmgr: {file} has no service {name!r}; it has: {known}", err=True)
        click.get_current_context().exit(Exit.REFUSED)
    if as_json:
        click.echo(json.dumps(_as_json(found, _sharers(spec, found)), indent=2))
        return
    from rgmgr.cli.tree_screen import print_tree  # noqa: PLC0415 - JSON needs no rich

    print_tree(found, _sharers(spec, found))


def _sharers(spec: ClusterSpec, service: ServiceSpec) -> Sharers:
    """Return which other services use the shared resources of this one."""
    return {
        name: tuple(n for n in names if n != service.name)
        for name, names in users(spec.services).items()
        if service.name in names
    }


def _as_json(service: ServiceSpec, sharers: Sharers) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "service": service.name,
        "resources": [
            _resource_as_json(e, (), sharers) for e in sorted_to_start(service.resources)
        ],
        "start_order": [each.name for each in start_order(service)],
        "stop_order": [each.name for each in stop_order(service)],
    }


def _resource_as_json(
    resource: ResourceSpec, above: tuple[ResourceSpec, ...], sharers: Sharers
) -> dict[str, object]:
    below = (*above, resource)
    return {
        "name": resource.name,
        "type": resource.type,
        "parameters": resource.parameters,
        "start_level": resource.start_level,
        "stop_level": resource.stop_level,
        "inherited": sorted(taken(resource, above)),
        "is_shared": resource.is_shared,
        "shared_with": list(sharers.get(resource.name, ())) if resource.is_shared else [],
        "independent": resource.independent.value if resource.independent else None,
        "max_restarts": resource.max_restarts,
        "restart_expire_ms": resource.restart_expire_ms,
        "tolerated": resource.tolerated,
        "tolerance_ms": resource.tolerance_ms,
        "resources": [
            _resource_as_json(e, below, sharers) for e in sorted_to_start(resource.children)
        ],
    }
