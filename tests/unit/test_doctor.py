# SPDX-License-Identifier: Apache-2.0
"""Each thing that can be wrong with a node has its verdict, and says what to do."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rgmgr.adapters.systemd.checkup import UnitFacts
from rgmgr.cli.client import DaemonError, Fault
from rgmgr.cli.doctor_checks import Check, Facts, Verdict, check_all, worst
from rgmgr.cli.doctor_facts import Places, gather
from rgmgr.cli.main import cli
from rgmgr.config.corosync_conf import read_nodes, read_plan, render
from rgmgr.config.load import loads
from rgmgr.core.spec import ClusterSpec
from rgmgr.links import unknown
from rgmgr.view import ConfigFile, NodeView, Status
from tests.conftest import Golden
from tests.unit.cli_links import broken, sound
from tests.unit.cli_status import AbsentDaemon, FakeDaemon, healthy

TOML = """
[cluster]
name = "alpha"
version = 3
[[node]]
name = "node1"
fence = [[{ device = "ipmi1" }]]
[[node]]
name = "node2"
fence = [[{ device = "ipmi1", plug = "2" }]]
[[node]]
name = "node3"
fence = [[{ device = "ipmi1", plug = "3" }]]
[fencing.device.ipmi1]
agent = "fence_pdu"
ip = "10.0.9.1"
password = "secret:ipmi1"
[[service]]
name = "web"
[[service.resource]]
type = "systemd"
unit = "nginx.service"
"""
SPEC = loads(TOML, source="test", node_ids=None)
CONF = render(read_plan([f"node{n}=10.0.0.{n}" for n in (1, 2, 3)]))
NGINX = UnitFacts(name="nginx.service", load="loaded", active="active", file_state="disabled")
UNITS = {
    "nginx.service": NGINX,
    "corosync.service": replace(NGINX, name="corosync.service", file_state="enabled"),
    "rgmgrd.service": replace(
        NGINX, name="rgmgrd.service", file_state="enabled", watchdog_us=10_000_000
    ),
}
GONE = DaemonError(Fault.UNREACHABLE, "rgmgrd does not run on this node")


def told(node: NodeView, **changes: object) -> NodeView:
    return replace(node, file=ConfigFile(3, SPEC.digest), skew_ms=4, is_member=True, **changes)


def status() -> Status:
    """Return a status whose three nodes have told their file and their time."""
    return replace(healthy(), nodes=tuple(told(node) for node in healthy().nodes))


def facts(**changes: object) -> Facts:
    """Return what is found on a node with nothing wrong, but for these changes."""
    fit = Facts(
        hostname="node1",
        status=status(),
        corosync=sound(),
        spec=SPEC,
        conf_nodes=read_nodes(CONF),
        units=UNITS,
        state_free_bytes=1 << 40,
    )
    return replace(fit, **changes)  # type: ignore[arg-type] # named in each test


def found(name: str, **changes: object) -> Check:
    return next(check for check in check_all(facts(**changes)) if check.name == name)


def with_unit(**changes: object) -> dict[str, UnitFacts]:
    return {**UNITS, "nginx.service": replace(NGINX, **changes)}  # type: ignore[arg-type]


def with_node2(**changes: object) -> Status:
    first, second, *rest = status().nodes
    return replace(status(), nodes=(first, replace(second, **changes), *rest))  # type: ignore[arg-type]


def test_what_runs_here_and_nobody_knows_is_told_with_the_command_that_ends_it() -> None:
    up = {"web": ("nginx.service",), "old-shop": ("rgmgr-old\\x2dshop-vip.service",)}

    orphans = [check for check in check_all(facts(services_up=up)) if "service " in check.name]

    ((name, verdict, advice),) = [(c.name, c.verdict, c.advice) for c in orphans]
    assert (name, verdict) == ("service old-shop", Verdict.FAIL)
    assert advice == "systemctl stop 'rgmgr-old\\x2dshop.slice'"


def test_a_fit_node_has_nothing_to_do() -> None:
    checks = check_all(facts())

    assert [c for c in checks if c.verdict is not Verdict.OK] == []
    assert {c.group for c in checks} == {"installation", "corosync", "cluster", "fencing", "units"}
    assert len({(c.group, c.name) for c in checks}) == len(checks)
    assert [c.advice for c in checks if c.advice] == []


@pytest.mark.parametrize(
    ("name", "changes", "verdict", "words"),
    [
        ("rgmgrd", {"status": None, "daemon_fault": "gone"}, Verdict.FAIL, "gone"),
        (
            "rgmgrd",
            {"status": replace(status(), is_installed=False, note="waiting for quorum")},
            Verdict.WARN,
            "does not take part: waiting for quorum",
        ),
        ("state directory", {"state_fault": "no disk"}, Verdict.FAIL, "no disk"),
        ("disk space", {"state_free_bytes": 5 << 20}, Verdict.WARN, "5 MiB are free"),
        ("bus policy", {"policy_fault": "no file"}, Verdict.FAIL, "no file"),
        ("groups", {"missing_groups": ("rgmgr-reader",)}, Verdict.WARN, "rgmgr-reader"),
        ("systemd", {"units": None, "systemd_fault": "no bus"}, Verdict.UNKNOWN, "no bus"),
        (
            "rgmgrd.service",
            {"units": {**UNITS, "rgmgrd.service": replace(NGINX, name="rgmgrd.service")}},
            Verdict.WARN,
            "is disabled",
        ),
        (
            "watchdog",
            {"units": {**UNITS, "rgmgrd.service": replace(NGINX, name="rgmgrd.service")}},
            Verdict.WARN,
            "no WatchdogSec",
        ),
        ("corosync", {"corosync": unknown("it hangs")}, Verdict.FAIL, "it hangs"),
        ("quorum", {"corosync": unknown("it hangs")}, Verdict.UNKNOWN, "corosync is not there"),
        ("links", {"corosync": None}, Verdict.UNKNOWN, "cannot be asked"),
        (
            "corosync",
            {
                "corosync": None,
                "units": {
                    **UNITS,
                    "corosync.service": replace(NGINX, name="corosync.service", active="failed"),
                },
            },
            Verdict.FAIL,
            "corosync.service is failed",
        ),
        (
            "quorum",
            {"corosync": replace(sound(), quorum=replace(sound().quorum, is_quorate=False))},  # type: ignore[type-var]
            Verdict.FAIL,
            "no quorum: 3 of 3 votes",
        ),
        ("link-down", {"corosync": broken()}, Verdict.WARN, "link 1 to node2"),
        ("no-encryption", {"corosync": broken()}, Verdict.WARN, "neither encrypted"),
        (
            "node names",
            {"conf_nodes": None, "conf_fault": "no such file"},
            Verdict.FAIL,
            "no such file",
        ),
        (
            "node names",
            {"conf_nodes": read_nodes(CONF.replace("node3", "nodeX"))},
            Verdict.FAIL,
            "only corosync.conf has nodeX; only cluster.toml has node3",
        ),
        ("node names", {"hostname": "db7"}, Verdict.WARN, "'db7' is none of node1, node2, node3"),
        ("authkey", {"key_fault": "can be read by others"}, Verdict.FAIL, "by others"),
        ("cluster.toml", {"spec": None, "config_fault": "line 1"}, Verdict.FAIL, "line 1"),
        ("same cluster.toml", {"status": None}, Verdict.UNKNOWN, "cannot be asked"),
        (
            "same cluster.toml",
            {"status": with_node2(file=ConfigFile(2, "other"))},
            Verdict.FAIL,
            "this node has read version 3, but node2 has read another one, version 2",
        ),
        (
            "same cluster.toml",
            {"spec": replace(SPEC, digest="edited", version=4)},
            Verdict.WARN,
            "the file on disk, version 4, is not the one that rgmgrd has read",
        ),
        ("same cluster.toml", {"status": healthy()}, Verdict.UNKNOWN, "not joined yet"),
        ("clocks", {"status": with_node2(skew_ms=-2_500)}, Verdict.WARN, "node2 is 2.5 s behind"),
        ("clocks", {"status": with_node2(skew_ms=61_000)}, Verdict.WARN, "node2 is 61.0 s ahead"),
        ("clocks", {"status": healthy()}, Verdict.UNKNOWN, "no other member"),
        (
            "fencing",
            {"spec": replace(SPEC, fencing=replace(SPEC.fencing, unsafe_disabled=True))},
            Verdict.FAIL,
            "a service may run twice",
        ),
        ("node2", {"fence_faults": {"node2": ("no agent",)}}, Verdict.FAIL, "no agent"),
        ("node2", {"fence_fault": "not root"}, Verdict.UNKNOWN, "not root"),
        ("fencing", {"spec": None}, Verdict.UNKNOWN, "cluster.toml cannot be read"),
        ("units", {"units": None, "systemd_fault": "no bus"}, Verdict.UNKNOWN, "no bus"),
    ],
)
def test_what_is_wrong_has_a_verdict(
    name: str, changes: dict[str, object], verdict: Verdict, words: str
) -> None:
    check = found(name, **changes)

    assert (check.verdict, check.advice != "") == (verdict, True)
    assert words in check.found


@pytest.mark.parametrize(
    ("changes", "verdict", "words", "advice"),
    [
        ({"load": "masked"}, Verdict.FAIL, "is masked", "systemctl unmask nginx.service"),
        ({"load": "not-found"}, Verdict.FAIL, "does not exist", "install it"),
        ({"load": "bad-setting"}, Verdict.FAIL, "(bad-setting)", "systemctl status"),
        ({"file_state": "enabled"}, Verdict.FAIL, "starts at boot", "systemctl disable"),
        ({"file_state": "enabled-runtime"}, Verdict.FAIL, "starts at boot", "systemctl disable"),
        (
            {"triggered_by": ("nginx.socket",)},
            Verdict.FAIL,
            "can be started by nginx.socket",
            "systemctl disable --now nginx.socket",
        ),
        ({"wanted_by": ("app.service",)}, Verdict.WARN, "together with app.service", "remove"),
        ({"needs_reload": True}, Verdict.WARN, "has changed", "systemctl daemon-reload"),
        (
            {"drop_ins": ("/etc/systemd/system/nginx.service.d/90-mine.conf",)},
            Verdict.WARN,
            "90-mine.conf wins",
            "before 50-rgmgr.conf",
        ),
        (
            {
                "restart": "always",
                "drop_ins": ("/run/systemd/system/nginx.service.d/50-rgmgr.conf",),
            },
            Verdict.WARN,
            "Restart=always is in force",
            "systemctl cat",
        ),
        ({"restart": "on-failure"}, Verdict.OK, "is overridden while rgmgr runs it", ""),
        ({"drop_ins": ("/etc/systemd/system/nginx.service.d/10-limits.conf",)}, Verdict.OK, "", ""),
    ],
)
def test_units_that_might_act_by_themselves(
    changes: dict[str, object], verdict: Verdict, words: str, advice: str
) -> None:
    check = found("nginx.service", units=with_unit(**changes))

    assert check.verdict is verdict
    assert words in check.found
    assert advice in check.advice


@pytest.mark.parametrize(
    ("owner", "state", "verdict"),
    [
        ("node2", "started", Verdict.FAIL),
        (None, "disabled", Verdict.FAIL),
        ("node1", "started", Verdict.OK),
        ("node2", "starting", Verdict.OK),  # it may be on its way
    ],
)
def test_a_unit_that_runs_beside_its_service_is_found(
    owner: str | None, state: str, verdict: Verdict
) -> None:
    """The one thing that must never be: it may write to what another node writes to."""
    web = status().service_named("web")
    assert web is not None
    services = (replace(web, owner=owner, state=state),)

    check = found("nginx.service", status=replace(status(), services=services))

    assert check.verdict is verdict


def test_every_warning_of_the_configuration_is_a_check() -> None:
    text = TOML.replace('"secret:ipmi1"', '"in clear"')

    checks = check_all(facts(spec=loads(text, source="test", node_ids=None)))

    assert any("a secret in clear text" in check.found for check in checks)


def test_the_worst_verdict_is_that_of_the_whole() -> None:
    verdicts = [Verdict.OK, Verdict.UNKNOWN, Verdict.WARN, Verdict.FAIL]

    for count in range(1, 5):
        checks = tuple(Check("g", "n", verdict, "") for verdict in verdicts[:count])
        assert worst(checks) is verdicts[count - 1]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give the files of a node with nothing wrong but the agent, which may not be installed."""
    for name, text, mode in (
        ("etc/rgmgr/cluster.toml", TOML, 0o644),
        ("etc/rgmgr/secrets.d/ipmi1", "sesame\n", 0o600),
        ("etc/corosync/corosync.conf", CONF, 0o644),
        ("etc/corosync/authkey", "k" * 256, 0o400),
        ("usr/share/dbus-1/system.d/org.rgmgr.conf", "<busconfig/>", 0o644),
        ("var/lib/rgmgr/state", "", 0o600),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    return tmp_path


def looked(root: Path, daemon: object = None) -> Facts:
    return gather(Places(root), daemon or FakeDaemon(status()))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_bus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never ask the systemd of the machine that runs the tests."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus")


def test_files_are_read_below_the_root(root: Path) -> None:
    seen = looked(root)

    assert seen.spec is not None
    assert seen.spec.digest == SPEC.digest
    assert seen.conf_nodes == read_nodes(CONF)
    assert (seen.state_fault, seen.policy_fault, seen.key_fault) == ("", "", "")
    assert (seen.status, seen.corosync) == (status(), sound())
    assert seen.units is None
    assert "systemd cannot be asked" in seen.systemd_fault


def test_what_is_missing_is_said_and_nothing_is_raised(tmp_path: Path) -> None:
    seen = looked(tmp_path, AbsentDaemon(GONE))

    assert seen.daemon_fault == "rgmgrd does not run on this node"
    assert "there is no such file" in seen.config_fault
    assert "corosync.conf cannot be read: No such file" in seen.conf_fault
    assert "is no directory" in seen.state_fault
    assert "org.rgmgr.conf" in seen.policy_fault
    assert seen.state_free_bytes is None


def test_a_key_that_others_can_read_is_found(root: Path) -> None:
    (root / "etc/corosync/authkey").chmod(0o440)

    assert "can be read by others" in looked(root).key_fault


@pytest.mark.skipif(os.geteuid() != 0, reason="secrets are read by root only")
@pytest.mark.parametrize(
    ("agent_mode", "secret_mode", "words"),
    [
        (0o644, 0o600, "no agent 'fence_pdu' in"),
        (0o755, 0o644, "has mode 0644: chmod it to 0600"),
        (0o755, 0o600, ""),
    ],
)
def test_agents_and_secrets_are_looked_for(
    root: Path, agent_mode: int, secret_mode: int, words: str
) -> None:
    (root / "fence_pdu").touch(agent_mode)
    (root / "etc/rgmgr/secrets.d/ipmi1").chmod(secret_mode)

    faults = gather(Places(root, agents=(root,)), FakeDaemon(status())).fence_faults

    assert set(faults) == {"node1", "node2", "node3"}
    assert all(len(found) == bool(words) for found in faults.values())
    assert all(words in fault for found in faults.values() for fault in found)


def run(root: Path, *arguments: str, daemon: object = None) -> Result:
    runner = CliRunner(env={"COLUMNS": "100", "TERM": "dumb"})
    return runner.invoke(
        cli, ["doctor", "--root", str(root), *arguments], obj=daemon or FakeDaemon(status())
    )


def test_a_node_where_nothing_runs_is_told_what_is_missing(root: Path) -> None:
    result = run(root, daemon=AbsentDaemon(GONE))

    assert result.exit_code == 1
    assert "FAIL     rgmgrd" in result.output
    assert "-> 'systemctl start rgmgrd'" in result.output
    assert "\033[" not in result.output


def test_json_has_a_schema_and_every_check(root: Path) -> None:
    result = run(root, "--json", daemon=AbsentDaemon(GONE))

    document = json.loads(result.output)
    assert (document["schema"], document["verdict"]) == (1, "fail")
    assert all(
        set(check) == {"group", "name", "verdict", "found", "advice"}
        for check in document["checks"]
    )
    assert len(document["checks"]) > 10


def test_the_screen(golden: Golden) -> None:
    from rich.console import Console  # noqa: PLC0415 - for this test only

    from rgmgr.cli.doctor import _print  # noqa: PLC0415 - likewise

    troubled = facts(corosync=broken(), units=with_unit(file_state="enabled"))
    screen = Console(width=100, highlight=False, no_color=True)
    with screen.capture() as printed:
        _print(check_all(troubled), screen)

    lines = map(str.rstrip, printed.get().splitlines())
    golden("cli/doctor.txt", "\n".join(lines) + "\n")


def guarded(**fencing: object) -> ClusterSpec:
    settings = {"watchdog": "/dev/watchdog", "watchdog_ms": 15_000, **fencing}
    return replace(SPEC, fencing=replace(SPEC.fencing, **settings))  # type: ignore[arg-type]


def test_a_watchdog_that_can_be_used_is_ok_and_was_not_tried() -> None:
    check = found("self-fencing", spec=guarded())

    assert (check.verdict, check.found) == (Verdict.OK, "/dev/watchdog, 15 s; not tried")


def test_a_watchdog_that_cannot_be_used_fails() -> None:
    fault = "/dev/watchdog: No such file or directory: load the driver of the watchdog"
    check = found("self-fencing", spec=guarded(), watchdog_fault=fault)

    assert (check.verdict, check.found) == (Verdict.FAIL, fault)


def test_a_watchdog_that_fires_while_corosync_looks_for_a_lost_node_fails() -> None:
    view = sound()
    assert view.totem is not None
    slow = replace(view, totem=replace(view.totem, detection_ms=5_060))
    check = found("self-fencing", spec=guarded(), corosync=slow)

    assert check.verdict is Verdict.FAIL
    assert check.found == (
        "watchdog_timeout of 15 s is less than corosync's detection, sync_timeout and 1 s, "
        "which are 16.06 s"
    )


def test_a_watchdog_is_no_use_where_both_halves_go_on() -> None:
    view = sound()
    assert view.quorum is not None
    two = replace(view, quorum=replace(view.quorum, flags=("two_node", "wait_for_all")))
    check = found("self-fencing", spec=guarded(), corosync=two)

    assert check.found.startswith("with corosync's two_node both halves go on")
