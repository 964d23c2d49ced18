# SPDX-License-Identifier: Apache-2.0
"""Who does the work: rgmgr, Pacemaker, and systemd by hand, which is the floor of both.

Each is told in its own words to do the same; none is waited for here. Services are numbered from
1; `home` is the node that a service prefers, '' for any.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.peers.stage import Stage, unit_of
from rgmgr.lab import defaultconfig
from rgmgr.lab.layout import CLUSTER, NodePlan

MONITOR_S = 10

Homes = Mapping[int, str]


class Contestant(Protocol):
    """A manager of services, on all nodes."""

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def unit(self) -> str:
        """Return the daemon's unit."""

    def prepare(self, stage: Stage, homes: Homes) -> None:
        """Write the configuration; nothing runs yet."""

    def start(self, stage: Stage) -> None:
        """Start the daemons on all nodes."""

    def settle(self, stage: Stage) -> None:
        """Return when it has nothing more to do."""

    def move(self, stage: Stage, number: int, target: str) -> None:
        """Order that a service goes to another node; may come back before it is done."""

    def drain(self, stage: Stage, node: str) -> None:
        """Order that everything leaves a node; may come back before it is done."""

    def status_command(self) -> tuple[str, ...]:
        """Return the command that shows the whole cluster."""

    def erase(self, stage: Stage) -> None:
        """End it the hard way and forget everything: the next one begins anew."""


@dataclass(frozen=True, slots=True)
class Rgmgr:
    """rgmgr, with fencing by IPMI or with none."""

    name: str = "rgmgr"
    unit: str = "rgmgrd.service"
    is_fencing: bool = False

    def prepare(self, stage: Stage, homes: Homes) -> None:
        """Write cluster.toml."""
        stage.write("etc/rgmgr/cluster.toml", self.cluster_toml(stage.lab.nodes, homes))

    def cluster_toml(self, nodes: Sequence[NodePlan], homes: Homes) -> str:
        """Return the configuration of these services."""
        if self.is_fencing:
            parts = [defaultconfig.render_cluster(nodes)]
        else:
            parts = [f'[cluster]\nname = "{CLUSTER}"\nversion = 1\n']
            parts += [f'[[node]]\nname = "{node.name}"\n' for node in nodes]
            parts += ["[fencing]\nunsafe_disabled = true\n"]
        for home in sorted(set(homes.values()) - {""}):
            parts += [f"[domain.{home}]\nordered = true\nmembers = {{ {home} = 1 }}\n"]
        for number, home in homes.items():
            domain = f'domain = "{home}"\n' if home else ""
            parts += [f'[[service]]\nname = "s{number}"\n{domain}']
            parts += [f'[[service.resource]]\ntype = "systemd"\nunit = "{unit_of(number)}"\n']
        return "\n".join(parts)

    def start(self, stage: Stage) -> None:
        """Start rgmgrd."""
        stage.shell(stage.nodes, "systemctl start --no-block rgmgrd.service")

    def settle(self, stage: Stage) -> None:
        """What runs is all that it wants."""

    def move(self, stage: Stage, number: int, target: str) -> None:
        """Relocate."""
        stage.run(stage.nodes[0], "rgmgr", "relocate", f"s{number}", "-m", target)

    def drain(self, stage: Stage, node: str) -> None:
        """Stop the daemon there, which moves everything away first."""
        stage.run(node, "systemctl", "stop", "--no-block", self.unit)

    def status_command(self) -> tuple[str, ...]:
        """Return `rgmgr status`."""
        return ("rgmgr", "status")

    def erase(self, stage: Stage) -> None:
        """Kill rgmgrd, and remove what ties the units to their services."""
        stage.end_hard(self.unit, "/var/lib/rgmgr/* /run/systemd/system/load@*.d")


@dataclass(frozen=True, slots=True)
class Pacemaker:
    """Pacemaker with systemd resources and a monitor every ten seconds; no fencing."""

    name: str = "Pacemaker"
    unit: str = "pacemaker.service"

    def prepare(self, stage: Stage, homes: Homes) -> None:
        """Write the CIB; equal on every node."""
        stage.write("var/lib/pacemaker/cib/cib.xml", cib(homes), "hacluster:haclient")

    def start(self, stage: Stage) -> None:
        """Start pacemakerd."""
        stage.shell(stage.nodes, "systemctl start --no-block pacemaker.service")

    def settle(self, stage: Stage) -> None:
        """Wait for its own word."""
        stage.run(stage.nodes[0], "crm_resource", "--wait", "--timeout=200s", timeout=210)

    def move(self, stage: Stage, number: int, target: str) -> None:
        """Move by a constraint, as its commands do."""
        stage.run(stage.nodes[0], "crm_resource", "--move", "-r", f"s{number}", "-N", target)

    def drain(self, stage: Stage, node: str) -> None:
        """Put into standby."""
        stage.run(node, "crm_attribute", "-N", node, "-n", "standby", "-v", "on")

    def status_command(self) -> tuple[str, ...]:
        """Return `crm_mon -1`."""
        return ("crm_mon", "-1")

    def erase(self, stage: Stage) -> None:
        """Kill all of it."""
        stage.end_hard(self.unit, "/var/lib/pacemaker/cib/* /var/lib/pacemaker/pengine/*")


def cib(homes: Homes) -> str:
    """Return the configuration of these services as Pacemaker's XML.

    Pacemaker does less at a time the higher the load of its node is, and here that is the load of
    all nodes and of whatever else the machine does: with a threshold of 0 it does not look at it.
    """
    primitives = "".join(
        f'<primitive id="s{n}" class="systemd" type="load@{n}"><operations>'
        f'<op id="s{n}-monitor" name="monitor" interval="{MONITOR_S}s"/>'
        "</operations></primitive>\n"
        for n in homes
    )
    preferred = "".join(
        f'<rsc_location id="s{n}-home" rsc="s{n}" node="{home}" score="100"/>\n'
        for n, home in homes.items()
        if home
    )
    return f"""\
<cib validate-with="pacemaker-3.0" admin_epoch="1" epoch="1" num_updates="0"><configuration>
<crm_config><cluster_property_set id="options">
<nvpair id="no-fencing" name="stonith-enabled" value="false"/>
<nvpair id="no-throttle" name="load-threshold" value="0%"/>
</cluster_property_set></crm_config>
<nodes/>
<resources>
{primitives}</resources>
<constraints>
{preferred}</constraints>
</configuration><status/></cib>
"""
