# SPDX-License-Identifier: Apache-2.0
"""Why a service is given to this node and not to the next best: the reason that history keeps."""

from __future__ import annotations

from domains.model import NodeId
from domains.occupancy import Occupancy
from domains.rank import Drawback, drawback
from rgmgr.core.model import ClusterState, Service, ServiceState

_MERITS = {
    Drawback.ILLS: "reaches more of what is pinged than {second}",
    Drawback.OUTSIDE: "is a member of its domain, {second} is not",
    Drawback.TIES: "is nearer to, or farther from, other services as it should be, than {second}",
    Drawback.PRIORITY: "is preferred to {second} by its domain",
    Drawback.LOAD: "has less load than {second}",
    Drawback.COUNT: "runs fewer services than {second}",
    Drawback.ID: "is as good as {second}, and comes first",
}


def why_chosen(
    cluster: ClusterState, service: Service, ranked: tuple[NodeId, ...], seated: Occupancy
) -> str:
    """Return why the first of the nodes that could start a service is the one."""
    target, *others = ranked
    name = cluster.spec.node_name(target)
    if service.awaits is not None and service.awaits.node == target:
        return f"it has waited for {name}, which is back"
    if service.target == target:
        is_back = service.state is ServiceState.RECOVERING and service.last_owner == target
        return f"it starts again on {name}" if is_back else f"{name} is where it is wanted"
    if not others:
        return f"{name} is the only node that can take it now"
    second = others[0]
    mark = drawback(cluster.spec.tenant(service.spec), second, target, seated)
    merit = _MERITS[mark or Drawback.ID].format(second=cluster.spec.node_name(second))
    return f"{name} {merit}"
