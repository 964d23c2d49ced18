# SPDX-License-Identifier: Apache-2.0
"""What is read of corosync's configuration at connect, and its node list as reloads change it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rgmgr.adapters.corosync.cmap import CmapHandle, Scope
from rgmgr.adapters.corosync.raw import KeyChanged, Value

NODES: Final = "nodelist.node."
RELOADING: Final = "config.reload_in_progress"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """Corosync's configuration, with the effective timers."""

    cluster_name: str
    node_list: Mapping[str, Value]  # the keys below nodelist.node.
    token_ms: int
    consensus_ms: int
    is_two_node: bool
    tie_breaker: str = ""  # lowest: auto_tie_breaker; arbiter: a quorum device; empty: none


def read_facts(cmap: CmapHandle) -> ClusterFacts:
    """Read the facts; blocks.

    Raises:
        CorosyncError: corosync is not there, or answers nonsense.
    """
    return ClusterFacts(
        cluster_name=str(cmap.get("totem.cluster_name") or ""),
        node_list=cmap.items(NODES),
        token_ms=number_of(cmap.get("runtime.config.totem.token")),
        consensus_ms=number_of(cmap.get("runtime.config.totem.consensus")),
        is_two_node=number_of(cmap.get("runtime.votequorum.two_node")) == 1,
        tie_breaker=tie_breaker_of(cmap.items("quorum.")),
    )


def tie_breaker_of(quorum: Mapping[str, Value]) -> str:
    """Return what decides between two halves, from the keys of corosync.conf's quorum section.

    Which half an `auto_tie_breaker_node` other than the lowest chooses is not told.
    """
    if quorum.get("quorum.device.model"):
        return "arbiter"
    is_set = str(quorum.get("quorum.auto_tie_breaker", "0")) == "1"
    is_lowest = str(quorum.get("quorum.auto_tie_breaker_node", "lowest")) == "lowest"
    return "lowest" if is_set and is_lowest else ""


def number_of(value: Value | None) -> int:
    """Return a whole number, 0 for what is none."""
    return value if isinstance(value, int) else 0


def names_of(node_list: Mapping[str, Value]) -> dict[int, str]:
    """Return names by node id, ascending; positions in the list have gaps after a reload.

    A node without a name has its first address, and one of which even that is missing its number.
    """
    names = {}
    for key, node in node_list.items():
        position, _, last = key.removeprefix(NODES).partition(".")
        if last == "nodeid" and isinstance(node, int):
            prefix = f"{NODES}{position}"
            name = node_list.get(f"{prefix}.name") or node_list.get(f"{prefix}.ring0_addr")
            names[node] = str(name or node)
    return dict(sorted(names.items()))


def track_nodes(cmap: CmapHandle) -> None:
    """Ask for the events that `NodeList` takes; before the facts are read, so none is missed."""
    cmap.track(RELOADING)
    cmap.track(NODES, Scope.PREFIX)


class NodeList:
    """Corosync's node list, kept from events alone: no call that could block.

    A reload changes it key by key between two events of its own; names are told when it is over.
    """

    def __init__(self, node_list: Mapping[str, Value]) -> None:
        self._values = dict(node_list)
        self._names = names_of(node_list)
        self._is_reloading = False

    def take(self, change: KeyChanged) -> dict[int, str] | None:
        """Take an event; return the names if they are others now, else None."""
        if change.key == RELOADING:
            self._is_reloading = bool(change.value)
        elif change.value is None:
            self._values.pop(change.key, None)
        else:
            self._values[change.key] = change.value
        if self._is_reloading or (names := names_of(self._values)) == self._names:
            return None
        self._names = names
        return names
