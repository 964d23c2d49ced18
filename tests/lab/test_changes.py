# SPDX-License-Identifier: Apache-2.0
"""A changed cluster.toml on real systemd: only what changed is touched, and parts fail apart."""

from __future__ import annotations

from rgmgr.lab.defaultconfig import render
from rgmgr.lab.lab import Lab
from tests.lab.observed import NODES, Observed

FILE = "/etc/rgmgr/cluster.toml"
HEAD = """\
[[service]]
name = "web"
domain = "prefer-node1"

  [[service.resource]]
  type = "ip"
  address = "10.78.0.100/24"

    [[service.resource.resource]]
    type = "systemd"
    unit = "nginx.service"
"""
BESIDE = """
  [[service.resource]]
  type = "exec"
  name = "beside"
  command = "/bin/sleep infinity"
"""
PARENT = """
  [[service.resource]]
  type = "exec"
  name = "parent"
  command = "/bin/sleep {seconds}"
    [[service.resource.resource]]
    type = "exec"
    name = "child"
    command = "/bin/sleep infinity"
"""
CACHE = """
  [[service.resource]]
  type = "exec"
  name = "cache"
  command = "/bin/sleep infinity"
  independent = "non-critical"
"""
CACHE_UNIT = "rgmgr-web-cache.service"
UNITS = ("nginx.service", *(f"rgmgr-web-{name}.service" for name in ("beside", "parent", "child")))


def document(lab: Lab, version: int, *resources: str) -> str:
    head = render(lab.nodes).partition("[[service]]")[0]
    return head.replace("version = 1\n", f"version = {version}\n") + HEAD + "".join(resources)


def load(cluster: Observed, text: str) -> None:
    """Put a file on every node, have it read, and wait until it counts."""
    since = cluster.now_us()
    for node in NODES:
        cluster.do(node, "sh", "-c", f"cat > {FILE} <<'END'\n{text}END")
    for node in NODES:
        cluster.do(node, "systemctl", "reload", "rgmgrd")
    cluster.await_that(
        lambda: any(cluster.when(node, "config.adopted", since, "") for node in NODES),
        "the configuration to be adopted",
    )


def starts(cluster: Observed) -> dict[str, str]:
    """Return for each unit that is up on node1 when it began."""
    times = {}
    for unit in UNITS:
        argv = ("systemctl", "show", "-P", "ActiveEnterTimestampMonotonic", unit)
        times[unit] = cluster.do("node1", *argv).strip() if cluster.active_on("node1", unit) else ""
    return times


def await_change(
    cluster: Observed, before: dict[str, str], *, again: set[str], gone: set[str]
) -> dict[str, str]:
    """Wait until these units are up anew, or gone, and every other one is as it was."""

    def is_done() -> bool:
        now = starts(cluster)
        is_again = all(now[unit] not in ("", before[unit]) for unit in again)
        kept = set(UNITS) - again - gone
        is_kept = all(now[unit] == before[unit] for unit in kept)
        return is_again and is_kept and not any(now[unit] for unit in gone)

    cluster.await_that(is_done, f"{again or 'nothing'} to begin anew, {gone or 'nothing'} to end")
    return starts(cluster)


def test_a_changed_configuration_touches_only_what_changed(own_lab: Lab) -> None:
    parent, other = (PARENT.format(seconds=seconds) for seconds in (1_000_000, 2_000_000))
    own_lab.up(3, document(own_lab, 1, BESIDE, parent))
    cluster = Observed(own_lab)
    cluster.await_page("node1")
    cluster.await_that(cluster.is_settled, "all to be settled")
    first = starts(cluster)

    load(cluster, document(own_lab, 2, BESIDE, parent))
    await_change(cluster, first, again=set(), gone=set())

    load(cluster, document(own_lab, 3, BESIDE, other))
    below = {"rgmgr-web-parent.service", "rgmgr-web-child.service"}
    second = await_change(cluster, first, again=below, gone=set())
    begun = cluster.do("node1", "systemctl", "show", "-P", "ExecStart", "rgmgr-web-parent.service")
    assert "2000000" in begun

    load(cluster, document(own_lab, 4, other, CACHE))
    third = await_change(cluster, second, again=set(), gone={"rgmgr-web-beside.service"})
    cluster.await_that(lambda: cluster.active_on("node1", CACHE_UNIT), "the cache to be up")

    cluster.do("node1", "systemctl", "kill", "-s", "KILL", CACHE_UNIT)
    cluster.await_that(lambda: "partial" in cluster.service().flags, "web to be partial")
    assert "[P]" in cluster.do("node3", "clustat")
    cluster.do("node2", "rgmgr", "convalesce", "web")
    assert cluster.service("node2").flags == ()
    assert cluster.active_on("node1", CACHE_UNIT)
    assert starts(cluster) == third
