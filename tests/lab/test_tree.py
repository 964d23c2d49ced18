# SPDX-License-Identifier: Apache-2.0
"""A service with an address, a file system and a server: the data goes where the service goes."""

from __future__ import annotations

from rgmgr.lab.defaultconfig import render
from rgmgr.lab.lab import Lab
from tests.lab.observed import NODES, Observed

SERVICE = """\
[[service]]
name = "web"
domain = "prefer-node1"

  [[service.resource]]
  type = "ip"
  address = "10.78.0.100/24"

  [[service.resource]]
  type = "fs"
  name = "data"
  device = "/srv/rglab-disk"
  mountpoint = "/srv/web"
  fstype = "ext4"

    [[service.resource.resource]]
    type = "systemd"
    unit = "nginx.service"
"""


def test_a_file_system_follows_its_service_from_a_dead_node(own_lab: Lab) -> None:
    own_lab.up(3, render(own_lab.nodes).partition("[[service]]")[0] + SERVICE)
    cluster = Observed(own_lab)
    cluster.await_page("node1")
    cluster.do("node1", "sh", "-c", "echo written on node1 > /srv/web/proof; sync")

    own_lab.kill("node1")
    cluster.await_page("node2")

    assert cluster.do("node2", "cat", "/srv/web/proof") == "written on node1\n"
    assert not cluster.active_on("node3", "srv-web.mount")
    cluster.await_that(cluster.is_settled, "node1 to return")
    cluster.do("node2", "rgmgr", "disable", "web")
    assert not any(cluster.active_on(node, "srv-web.mount") for node in NODES)
    assert "/srv/web" not in cluster.do("node2", "cat", "/proc/mounts")
