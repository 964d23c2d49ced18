# SPDX-License-Identifier: Apache-2.0
"""Who is fenced stays out (I5): no member is welcomed whom a device may switch off at any moment.

Once an attempt has begun, its order may be carried out whenever a device gets to it. So a node
takes part again only when it was off: proven, or back in another boot. A node that only time is
waited for has no device that could. Asked of each INSTALL.
"""

from __future__ import annotations

from collections.abc import Iterator

from rgmgr.core.fence_paths import is_switched
from rgmgr.core.messages import Install
from rgmgr.core.model import ClusterState, NodeStatus

MEMBERS = (NodeStatus.ONLINE, NodeStatus.LEAVING)


def welcomed_too_early(
    install: Install, before: ClusterState, after: ClusterState
) -> Iterator[str]:
    """Yield the members that were being fenced in the state that this epoch was built on."""
    base = install.state or before
    for enrolment in install.enrolments:
        was, now = base.nodes.get(enrolment.node), after.nodes.get(enrolment.node)
        if was is None or now is None or was.status is not NodeStatus.UNCLEAN:
            continue
        if not was.attempt or was.may_return:
            continue
        is_same_boot = enrolment.boot_id == was.boot_id
        if now.status in MEMBERS and is_same_boot and is_switched(base, enrolment.node):
            name = after.spec.node_name(enrolment.node)
            yield f"{name} is welcomed, and a device may switch it off at any moment"
