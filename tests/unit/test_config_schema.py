# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: E501 - the tables read best with one mistake per line
from __future__ import annotations

import tomllib
from dataclasses import replace

import pytest

from domains.model import FailoverDomain, NodeId, ServiceName
from rgmgr.config.resources import RESOURCE_TYPES
from rgmgr.config.schema import digest_of
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FenceVerb,
    FencingSpec,
    NodeSpec,
    NoQuorumPolicy,
    RecoveryPolicy,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
    StopFailurePolicy,
)
from tests.unit.config_documents import HEAD, SERVICE, VALID, lines_of, problems_of, read

NGINX = ResourceSpec(
    name=ResourceName("nginx.service"), type="systemd", parameters={"unit": "nginx.service"}
)
IP = '[[service.resource]]\ntype = "ip"\naddress = "10.0.0.9/24"\n'


def resource(text: str) -> str:
    """Return a document whose only service has one resource."""
    return f'{HEAD}[[service]]\nname = "web"\n[[service.resource]]\n{text}'


def test_a_small_document_gets_the_documented_defaults() -> None:
    assert read(VALID) == ClusterSpec(
        name="alpha",
        version=1,
        digest="d",
        nodes={
            NodeId(1): NodeSpec(
                name="node1", fence=((FenceStep(device="pdu", options={"plug": "1"}),),)
            ),
            NodeId(2): NodeSpec(
                name="node2",
                fence=((FenceStep(device="pdu", options={"plug": "2", "delay": "5"}),),),
            ),
        },
        services=(ServiceSpec(name=ServiceName("web"), resources=(NGINX,)),),
        fencing=FencingSpec(devices={"pdu": FenceDevice(name="pdu", agent="fence_pdu")}),
    )


def test_every_setting_of_cluster_and_fencing_arrives() -> None:
    spec = read(
        VALID.replace(
            "version = 1",
            'version = 7\nno_quorum_policy = "freeze"\nrejoin_grace = 0\nsync_timeout = "2s"\nwarntime = "1700ms"',
        )
        + '[fencing]\npost_fail_delay = "1s"\npost_join_delay = 2\ntimeout = "3s"\n'
        + 'action = "off"\nclean_start = true\nunsafe_disabled = "yes"\n'
        + 'delay_random = "4s"\ndelay_by_weight = 5\nmax_fences = "3 in 10min"\n'
        + 'test_interval = 0\ntie_breaker = ["ping:10.0.0.1", "ping:fe80::1"]\n'
        + 'lease = "/dev/disk/by-id/x"\n'
        + 'watchdog = "/dev/watchdog1"\nwatchdog_timeout = "7s"\n'
    )

    assert spec.version == 7
    assert spec.no_quorum_policy is NoQuorumPolicy.FREEZE
    assert (spec.rejoin_grace_ms, spec.sync_timeout_ms) == (0, 2_000)
    assert spec.warntime_ms == 1_700
    assert replace(spec.fencing, devices={}) == FencingSpec(
        verb=FenceVerb.OFF,
        post_fail_delay_ms=1_000,
        post_join_delay_ms=2_000,
        timeout_ms=3_000,
        clean_start=True,
        unsafe_disabled=True,
        delay_random_ms=4_000,
        delay_by_weight_ms=5_000,
        max_fences=3,
        max_fences_ms=600_000,
        test_interval_ms=0,
        tie_breaker=("ping:10.0.0.1", "ping:fe80::1"),
        lease="/dev/disk/by-id/x",
        watchdog="/dev/watchdog1",
        watchdog_ms=7_000,
    )


@pytest.mark.parametrize(
    ("line", "cuts_paths"),
    [
        ('agent = "fence_pdu"', False),
        ('agent = "fence_scsi"', True),
        ('agent = "fence_pdu"\nunfence_at_join = true', True),
        ('agent = "fence_scsi"\nunfence_at_join = false', False),
    ],
)
def test_a_device_that_cuts_paths_is_known_by_its_agent_or_by_word(
    line: str,
    cuts_paths: bool,  # noqa: FBT001
) -> None:
    device = read(VALID.replace('agent = "fence_pdu"', line)).fencing.devices["pdu"]

    assert device.unfence_at_join is cuts_paths
    assert "unfence_at_join" not in device.options


def test_a_head_start_and_a_weight_arrive() -> None:
    spec = read(
        VALID.replace('name = "node1"', 'name = "node1"\nfence_delay = "3s"').replace(
            'name = "web"', 'name = "web"\nweight = 7'
        )
    )

    assert [node.fence_delay_ms for node in spec.nodes.values()] == [3_000, 0]
    assert [service.weight for service in spec.services] == [7]


def test_every_setting_of_a_service_arrives() -> None:
    spec = read(
        HEAD
        + '[domain.d]\nmembers = ["node2"]\n'
        + '[[service]]\nname = "web"\ndomain = "d"\nautostart = "no"\nrecovery = "restart-disable"\n'
        + 'max_restarts = 3\nrestart_expire_time = "5min"\nno_quorum_policy = "freeze"\n'
        + 'on_stop_failure = "fence"\n'
        + '[[service.resource]]\ntype = "systemd"\nname = "n"\nunit = "nginx.service"\n'
        + 'start_timeout = "2min"\nstop_timeout = 5\n'
    )

    assert spec.services == (
        ServiceSpec(
            name=ServiceName("web"),
            resources=(
                replace(
                    NGINX, name=ResourceName("n"), start_timeout_ms=120_000, stop_timeout_ms=5_000
                ),
            ),
            domain="d",
            autostart=False,
            recovery=RecoveryPolicy.RESTART_DISABLE,
            max_restarts=3,
            restart_expire_ms=300_000,
            no_quorum_policy=NoQuorumPolicy.FREEZE,
            on_stop_failure=StopFailurePolicy.FENCE,
        ),
    )


@pytest.mark.parametrize(
    ("text", "priorities", "ordered"),
    [
        ("members = { node1 = 2, node2 = 1 }", {1: 2, 2: 1}, False),
        ('members = ["node2", "node1"]', {2: 1, 1: 1}, False),
        ('ordered = 1\nmembers = ["node2", "node1"]', {2: 1, 1: 2}, True),
    ],
)
def test_members_of_a_domain_are_a_table_or_a_list(
    text: str, priorities: dict[int, int], *, ordered: bool
) -> None:
    """The order of a list is the preference, when the domain is ordered."""
    assert read(f"{VALID}[domain.d]\n{text}").domains["d"] == FailoverDomain(
        name="d", priorities={NodeId(n): p for n, p in priorities.items()}, ordered=ordered
    )


def test_options_of_an_agent_arrive_as_it_expects_them() -> None:
    spec = read(
        HEAD
        + '[[service]]\nname = "web"\n[[service.resource]]\ntype = "ocf"\nname = "d"\n'
        + 'agent = "ocf:heartbeat:Dummy"\noptions = { state = "/run/x; $y", fake = 3, on = true }\n'
    )

    assert spec.services[0].resources[0].parameters == {
        "OCF_RESKEY_state": "/run/x; $y",
        "OCF_RESKEY_fake": "3",
        "OCF_RESKEY_on": "true",
        "agent": "heartbeat:Dummy",
    }


def test_a_shared_resource_is_used_by_its_name_with_timeouts_of_the_place() -> None:
    spec = read(
        HEAD
        + '[[resource]]\ntype = "ip"\nname = "vip"\naddress = "10.0.0.9/24"\nstart_timeout = 7\n'
        + '[[service]]\nname = "web"\n[[service.resource]]\nref = "vip"\ntype = "ip"\n'
        + 'stop_timeout = 8\n[[service.resource.resource]]\ntype = "systemd"\nunit="nginx.service"\n'
    )

    assert spec.services[0].resources == (
        ResourceSpec(
            name=ResourceName("vip"),
            type="ip",
            parameters={"address": "10.0.0.9/24"},
            children=(NGINX,),
            start_level=7,
            stop_level=2,
            start_timeout_ms=7_000,
            stop_timeout_ms=8_000,
            is_shared=True,
        ),
    )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('type = "systemd"\nunit = "a.service"', "a.service"),
        ('type = "ip"\naddress = "2001:DB8::1/64"', "2001:db8::1/64"),
        ('type = "fs"\ndevice = "/dev/a"\nmountpoint = "/srv"\nfstype = "xfs"', "/srv"),
        ('type = "ip"\nname = "vip"\naddress = "10.0.0.1/24"\ndevice = "eth0"', "vip"),
    ],
)
def test_a_resource_without_a_name_is_called_by_what_it_is(text: str, name: str) -> None:
    assert read(resource(text)).services[0].resources[0].name == name


def test_ids_come_from_corosync_and_only_without_it_from_the_position() -> None:
    spec = read(VALID, {"node1": NodeId(20), "node2": NodeId(10)})

    assert {node: each.name for node, each in spec.nodes.items()} == {20: "node1", 10: "node2"}


def test_nodes_are_compared_with_corosync_both_ways() -> None:
    assert lines_of(VALID, {"node1": NodeId(1), "node3": NodeId(3)}) == [
        "node[2].name: 'node2' is not in corosync's nodelist (node1, node3)",
        "node: corosync's nodelist has 'node3', which is missing here",
    ]


def test_false_booleans_are_not_given_to_agents() -> None:
    """Many agents only look whether an option is there."""
    spec = read(VALID.replace("plug = 1", "plug = 1, ssl = true, quiet = false"))

    assert spec.nodes[NodeId(1)].fence[0][0].options == {"plug": "1", "ssl": "true"}


def test_an_option_of_the_device_cannot_be_switched_off_in_a_step() -> None:
    assert lines_of(HEAD.replace("plug = 1", "ssl = false") + "ssl = true" + SERVICE) == [
        "node.node1.fence[1][1].ssl: cannot be switched off here, for fencing.device.pdu sets it"
    ]


def test_a_cluster_that_says_so_needs_no_fencing() -> None:
    text = VALID.replace('fence = [[{ device = "pdu", plug = 1 }]]', "")

    assert lines_of(text + "[fencing]\nunsafe_disabled = true\n") == []
    (problem,) = problems_of(text)
    assert problem.path == "node.node1.fence"
    assert problem.hint == "add one, or set fencing.unsafe_disabled = true"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("bogus = 1\n" + VALID, "bogus: unknown key"),
        (VALID.replace("version = 1", ""), "cluster.version: missing: a number that every change raises"),
        (VALID.replace("version = 1", "version = 0"), "cluster.version: expected an integer of 1 or more, got the integer 0"),
        (VALID.replace("version = 1", "version = true"), "cluster.version: expected an integer of 1 or more, got true"),
        (VALID.replace("version = 1", "version = 0x" + "f" * 5000), "cluster.version: expected an integer of 1 or more, got an integer beyond 64 bits"),
        (VALID.replace('"alpha"', '"my cluster"'), "cluster.name: 'my cluster' is no name here: blanks and control characters"),
        (VALID.replace('"alpha"', '""'), "cluster.name: expected a text, got the text ''"),
        (VALID.replace("version = 1", "version = 1\nsync_timeout = 0"), "cluster.sync_timeout: expected a time span above zero"),
        (VALID.replace("version = 1", 'version = 1\nsync_timeout = "x"'), "cluster.sync_timeout: expected a time span such as \"500ms\", \"5min\", \"1h 30min\", or a number of seconds, got the text 'x'"),
        (VALID.replace("version = 1", "version = 1\nno_quorum_policy = 1"), "cluster.no_quorum_policy: expected one of 'stop', 'freeze', 'ignore', 'suicide', got the integer 1"),
        (VALID.replace('"node2"', '"node1"'), "node[2].name: the node 'node1' is already defined by node[1]"),
        (VALID.replace('name = "node2"', ""), "node[2].name: missing: the name of the node in corosync's nodelist"),
        (VALID.replace('[[{ device = "pdu", plug = 1 }]]', '[{ device = "pdu" }]'), "node.node1.fence[1]: expected a list of steps, got a table"),
        (VALID.replace('[[{ device = "pdu", plug = 1 }]]', "[[]]"), "node.node1.fence[1]: a method needs at least one step"),
        (VALID.replace('[[{ device = "pdu", plug = 1 }]]', '[["pdu"]]'), "node.node1.fence[1][1]: expected a step such as { device = \"...\" }, got the text 'pdu'"),
        (VALID.replace('[[{ device = "pdu", plug = 1 }]]', '"pdu"'), "node.node1.fence: expected a list of methods, got the text 'pdu'"),
        (VALID.replace('device = "pdu", plug = 1', "plug = 1"), "node.node1.fence[1][1].device: missing: the name of a fence device"),
        (VALID.replace('device = "pdu", plug = 1', 'device = "pdx"'), "node.node1.fence[1][1].device: unknown fence device 'pdx'"),
        (VALID.replace("plug = 1", "plug = 1.5"), "node.node1.fence[1][1].plug: expected a text, an integer, or true or false, got the number 1.5"),
        (VALID.replace("plug = 1", r'plug = "1\naction=on"'), r"node.node1.fence[1][1].plug: contains '\n', which would end the option for the agent"),
        (VALID.replace("plug = 1", 'plug = "3, 4"'), "node.node1.fence[1][1].plug: '3, 4' names several outlets, which some agents switch only in part"),
        (VALID.replace("plug = 1", 'action = "on"'), "node.node1.fence[1][1].action: is sent to the agent by rgmgr itself"),
        (VALID.replace("plug = 1", '"a b" = 1'), "node.node1.fence[1][1].\"a b\": 'a b' cannot be an option of an agent"),
        (VALID.replace("plug = 1", 'password = "secret:../x"'), "node.node1.fence[1][1].password: expected the name of a file in secrets.d after secret:, got the text 'secret:../x'"),
        (VALID.replace('agent = "fence_pdu"', 'agent = "/bin/sh"'), "fencing.device.pdu.agent: expected the name of a fence agent, fence_..., got the text '/bin/sh'"),
        (VALID.replace('agent = "fence_pdu"', ""), "fencing.device.pdu.agent: missing: the fence agent, such as fence_ipmilan"),
        (VALID + "[fencing.device]\nbad = 1\n", "fencing.device.bad: expected a table, written [fencing.device.bad], got the integer 1"),
        (VALID + '[fencing.device."a b"]\nagent = "fence_x"\n', "fencing.device.\"a b\": 'a b' is no name here: letters, digits and _ . : - are allowed"),
        (VALID + '[fencing]\nclean_start = "maybe"\n', "fencing.clean_start: expected true or false, got the text 'maybe'"),
        (VALID + '[fencing]\nmax_fences = "three in 10min"\n', "fencing.max_fences: expected a number of nodes and a time span, got the text 'three in 10min'"),
        (VALID + '[fencing]\nmax_fences = "3 in 0s"\n', "fencing.max_fences: expected a number of nodes and a time span, got the text '3 in 0s'"),
        (VALID + '[fencing]\nmax_fences = "0 in 1h"\n', "fencing.max_fences: expected 1 to 49 nodes, got the text '0 in 1h'"),
        (VALID.replace("version = 1", 'version = 1\nwarntime = "1s"'), "cluster.warntime: is too short: members speak once a second, so each would be late all the time"),
        (VALID + '[fencing]\nlease = "disk"\n', "fencing.lease: expected the path of a shared block device or file, got the text 'disk'"),
        (VALID + "[fencing]\nwatchdog = true\n", "fencing.watchdog: expected a text, got true"),
        (VALID + '[fencing]\nwatchdog = "watchdog0"\n', "fencing.watchdog: expected a device such as \"/dev/watchdog\", or \"systemd\", got the text 'watchdog0'"),
        (VALID + '[fencing]\nwatchdog = "systemd"\nwatchdog_timeout = "14s"\n', "fencing.watchdog_timeout: is too short: members that only wait for a silent one would be reset"),
        (VALID.replace('agent = "fence_pdu"', 'agent = "fence_watchdog"'), "fencing.device.pdu.agent: fence_watchdog needs a watchdog on every node, and none is configured"),
        (VALID + '[fencing]\ntie_breaker = "ping:10.0.0.1"\n', "fencing.tie_breaker: expected a list of addresses, got the text 'ping:10.0.0.1'"),
        (VALID + '[fencing]\ntie_breaker = ["10.0.0.1"]\n', "fencing.tie_breaker[1]: expected \"ping:ADDRESS\", got the text '10.0.0.1'"),
        (VALID + '[fencing]\ntie_breaker = ["ping:gateway"]\n', "fencing.tie_breaker[1]: expected an IPv4 or IPv6 address after ping:, got the text 'ping:gateway'"),
        (VALID.replace('name = "web"', 'name = "web"\nweight = -1'), "service.web.weight: expected an integer of 0 or more, got the integer -1"),
        (VALID.replace('name = "web"', 'name = "web"\non_stop_failure = "kill"'), "service.web.on_stop_failure: expected one of 'hold', 'fence', got the text 'kill'"),
        (VALID.replace('name = "web"', 'name = "web"\non_stop_failure = "fence"') + "[fencing]\nunsafe_disabled = true\n", "service.web.on_stop_failure: 'fence' needs fencing, and fencing.unsafe_disabled switches it off"),
        (VALID + "[fencing]\nclean_start = 2\n", "fencing.clean_start: expected true or false, got the integer 2"),
        (VALID + "[domain]\nd = 1\n", "domain.d: expected a table, written [domain.d], got the integer 1"),
        (VALID + "[domain.d]\n", "domain.d.members: a domain needs at least one member"),
        (VALID + "[domain.d]\nmembers = []\n", "domain.d.members: a domain needs at least one member"),
        (VALID + "[domain.d]\nmembers = 1\n", "domain.d.members: expected a table or a list of nodes, got the integer 1"),
        (VALID + "[domain.d]\nmembers = [1]\n", "domain.d.members[1]: expected the name of a node, got the integer 1"),
        (VALID + '[domain.d]\nmembers = ["node1", "node1"]\n', "domain.d.members[2]: the node 'node1' is already named by domain.d.members[1]"),
        (VALID + "[domain.d]\nmembers = { node1 = 101 }\n", "domain.d.members.node1: expected an integer from 1 to 100, got the integer 101"),
        (VALID + "[domain.d]\nmembers = { nod1 = 1 }\n", "domain.d.members.nod1: unknown node 'nod1'"),
        (VALID + "[domain.d]\nmembers = { node1 = 1 }\nordred = true\n", "domain.d.ordred: unknown key"),
        (VALID.replace('name = "web"', 'name = "web"\ndomain = "d"'), "service.web.domain: unknown failover domain 'd'"),
        (VALID.replace('name = "web"', 'name = "w b"'), "service[1].name: 'w b' is no name here: letters, digits and _ . : - are allowed"),
        (VALID.replace('name = "web"', ""), "service[1].name: missing: a name for the service"),
        (VALID + '[[service]]\nname = "web"\n' + IP, "service[2].name: the service 'web' is already defined by service[1]"),
        (VALID + '[[service]]\nname = "db"\n', "service.db.resource: a service needs at least one resource"),
        ("service = [1]\n" + HEAD, "service[1]: expected a table, got the integer 1"),
        ("service = 1\n" + HEAD, "service: expected an array of tables, each written [[service]], got the integer 1"),
        ("fencing = 1\n" + HEAD.replace('[fencing.device.pdu]\nagent = "fence_pdu"\n', ""), "fencing: expected a table, written [fencing], got the integer 1"),
        (resource('type = "sytemd"'), "service.web.resource[1].type: unknown resource type 'sytemd'"),
        (resource("type = 1"), "service.web.resource[1].type: expected a text, got the integer 1"),
        (resource('name = "x"'), "service.web.resource[1]: neither type nor ref is given"),
        (resource('type = "systemd"'), "service.web.resource[1].unit: missing: full name of the unit, such as nginx.service"),
        (resource('type = "systemd"\nunit = "nginx"'), "service.web.resource[1].unit: expected the full name of a systemd unit, got 'nginx'"),
        (resource('type = "systemd"\nunit = "a.service"\nname = "$a"'), "service.web.resource[1].name: '$a' contains '$', which systemd corrupts at its next reload"),
        (resource('type = "ip"\nname = "' + "-" * 60 + '"\naddress = "10.0.0.1/24"'), "service.web.resource[1]: the resource name '" + "-" * 60 + "' makes a unit name of 258 characters, systemd allows 255"),
        (resource('ref = "vip"'), "service.web.resource[1].ref: unknown shared resource 'vip'"),
        (resource("ref = 1"), "service.web.resource[1].ref: expected a text, got the integer 1"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_place(text: str, line: str) -> None:
    """Other problems may follow from the same mistake; this one must be told."""
    assert line in lines_of(text)


SHARED = '[[resource]]\ntype = "ip"\nname = "vip"\naddress = "10.0.0.9/24"\n'
USE = '[[service]]\nname = "web"\n[[service.resource]]\nref = "vip"\n'


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (SHARED + USE, []),
        (SHARED + SHARED + USE, ["resource[2]: the shared resource 'vip' is already defined by resource[1]"]),
        (SHARED + USE + 'address = "10.0.0.8/24"', ["service.web.resource[1].address: cannot be set where a shared resource is used"]),
        (SHARED + USE + 'type = "fs"', ["service.web.resource[1].type: expected 'ip' as in the shared resource, got the text 'fs'"]),
        (SHARED.replace("/24", "") + USE, ["resource[1].address: expected an IPv4 or IPv6 address with a prefix length, got '10.0.0.9'"]),
        (SHARED.replace('"ip"', '"ipx"') + USE, ["resource[1].type: unknown resource type 'ipx'"]),
        (SHARED.replace('type = "ip"', "") + USE, [f"resource[1].type: missing: one of {', '.join(RESOURCE_TYPES)}"]),
        (SHARED + "[[resource]]\ntype = 1\nname = 2\n" + USE, ["resource[2].type: expected a text, got the integer 1"]),
        (SHARED + USE + USE.replace("web", "db"), ["service.db: it uses 'vip', which exists once, and so does the service web"]),
    ],
)  # fmt: skip
def test_shared_resources_tell_their_own_problems_once(text: str, lines: list[str]) -> None:
    assert lines_of(HEAD + text) == lines


FS = '[[service.resource]]\ntype = "fs"\nname = "{0}"\ndevice = "{1}"\nmountpoint = "{2}"\nfstype = "{3}"\n'


@pytest.mark.parametrize(
    ("first", "second", "kinds"),
    [
        (("a", "/dev/x", "/srv/a", "xfs"), ("b", "/dev/x", "/srv/b", "xfs"), ["device"]),
        (("a", "UUID=1", "/srv/a", "xfs"), ("b", "/dev/x", "/srv/a", "xfs"), ["mountpoint"]),
        (("a", "/dev/x", "/srv/a", "gfs2"), ("b", "/dev/x", "/srv/b", "gfs2"), []),
        (("a", "tmpfs", "/srv/a", "tmpfs"), ("b", "tmpfs", "/srv/b", "tmpfs"), []),
    ],
)
def test_what_can_be_at_one_place_only_is_used_once(
    first: tuple[str, ...], second: tuple[str, ...], kinds: list[str]
) -> None:
    """A file system on two nodes is destroyed, unless it is made for that."""
    text = (
        f'{HEAD}[[service]]\nname = "a"\n{FS.format(*first)}'
        f'[[service]]\nname = "b"\n{FS.format(*second)}'
    )

    assert [line.split("'")[0] for line in lines_of(text)] == [
        f"service.b.resource[1]: the {kind} " for kind in kinds
    ]


def test_a_name_used_twice_in_a_tree_names_both_places() -> None:
    second = '[[service.resource.resource]]\ntype = "ip"\nname = "nginx.service"\naddress = "10.0.0.1/24"\n'

    assert lines_of(VALID + second) == [
        (
            "service.web.resource[1].resource[1]: "
            "the resource name 'nginx.service' is already used by service.web.resource[1]"
        )
    ]


def test_a_tree_has_a_limit_in_depth() -> None:
    deep = "".join(
        f'[[service{".resource" * depth}]]\ntype = "systemd"\nunit = "u{depth}.service"\n'
        for depth in range(1, 18)
    )
    head = HEAD + '[[service]]\nname = "web"\n'

    assert lines_of(head + deep) == [
        f"service.web{'.resource[1]' * 16}.resource: resources are nested more than 16 levels deep"
    ]
    assert lines_of(head + deep[: deep.index(f"[[service{'.resource' * 17}]]")]) == []


def test_children_of_a_wrong_resource_are_checked_as_well() -> None:
    text = resource('type = "x"\n[[service.resource.resource]]\ntype = "y"')

    assert [line.partition(":")[0] for line in lines_of(text)] == [
        "service.web.resource[1].type",
        "service.web.resource[1].resource[1].type",
    ]


def test_an_empty_document_tells_all_that_is_missing() -> None:
    assert lines_of("") == [
        "cluster.name: missing: a name for the cluster",
        "cluster.version: missing: a number that every change raises",
        "node: a cluster needs at least one node",
    ]


def test_the_digest_is_that_of_the_meaning() -> None:
    """Equal version, equal digest: a comment must not make two nodes differ."""
    document = tomllib.loads(VALID)
    commented = tomllib.loads("# hello\n" + VALID.replace("version = 1", "version=1 # one"))
    reordered = dict(reversed(document.items()))
    changed = tomllib.loads(VALID.replace("plug = 1", 'plug = "1"'))

    assert digest_of(document) == digest_of(commented) == digest_of(reordered)
    assert digest_of(document) != digest_of(changed)
    assert len(digest_of(document)) == 16
    assert digest_of(tomllib.loads("a = 2026-01-02")) != digest_of(tomllib.loads("a = 2026-01-03"))
