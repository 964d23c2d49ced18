# SPDX-License-Identifier: Apache-2.0
"""Agents of the machine: found, described, and options checked against what they take."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from rgmgr.adapters.fencing.devices import AGENT_PATHS
from rgmgr.adapters.fencing.discovery import (
    DeviceCheck,
    FoundAgent,
    check_devices,
    installed_agents,
    read_metadata,
)
from rgmgr.adapters.fencing.metadata import (
    AgentMetadata,
    MetadataError,
    option_problems,
    parse_metadata,
)
from rgmgr.cli.main import cli
from rgmgr.config.load import load
from rgmgr.errors import Problem
from rgmgr.runtime.reporting import log_device_check

OURS = Path(__file__).parents[2] / "fence_agents"
CONFIG = """\
[cluster]
name = "alpha"
version = 1

[[node]]
name = "node1"
fence = [[{{ device = "d"{step} }}]]

[fencing.device.d]
agent = "{agent}"
{device}
"""
GOOD = 'ip = "10.0.0.1"\nusername = "u"\npassword = "secret:x"'


def described(name: str) -> AgentMetadata:
    return asyncio.run(read_metadata(OURS / name))


def script(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def check(folder: Path, agent: str, device: str, step: str = ', port = "1"') -> DeviceCheck:
    file = folder / "cluster.toml"
    file.write_text(CONFIG.format(agent=agent, device=device, step=step))
    return asyncio.run(check_devices(load(file, None), (folder, OURS, *AGENT_PATHS)))


# Metadata


@pytest.mark.parametrize("path", sorted(OURS.glob("fence_*")), ids=lambda path: path.name)
def test_each_of_our_agents_describes_itself(path: Path) -> None:
    found = described(path.name)

    assert found.name == path.name
    assert {"off", "monitor", "status", "metadata"} <= found.actions.keys()
    assert found.options["action"].is_required


def test_a_description_holds_all_that_the_xml_says() -> None:
    found = described("fence_ipmi")

    assert found.options["privlvl"].choices == ("user", "operator", "administrator")
    assert found.options["ip"].obsoletes == "ipaddr"
    assert found.options["ipaddr"].is_deprecated
    assert (found.options["ipport"].kind, found.options["ipport"].default) == ("integer", "623")


def test_every_agent_of_this_machine_can_be_read() -> None:
    """Debian ships more than 80; what is no agent is never started."""
    found = asyncio.run(installed_agents((Path("/usr/sbin"),)))

    names = {agent.name for agent in found}
    assert {"fence_ipmilan", "fence_apc_snmp", "fence_scsi"} <= names
    assert "fence_ack_manual" not in names
    assert [agent for agent in found if agent.metadata is None] == []
    scsi = next(agent.metadata for agent in found if agent.name == "fence_scsi")
    assert scsi is not None
    assert scsi.actions["on"].is_automatic
    assert scsi.actions["on"].is_on_target


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exit 3", "ended with 3 when asked for its metadata"),
        ("echo 'no module x' >&2; exit 1", "when asked for its metadata: no module x"),
        ("echo nothing", "is no XML"),
        ("echo '<a/>'", "is <a> and not <resource-agent>"),
        ("kill -9 $$", "ended with -9"),
    ],
)
def test_an_agent_that_does_not_describe_itself_is_listed_with_the_reason(
    tmp_path: Path, body: str, reason: str
) -> None:
    path = script(tmp_path, "fence_bad", body)

    found = asyncio.run(installed_agents((tmp_path,)))

    assert [(agent.name, agent.path) for agent in found] == [("fence_bad", path)]
    assert reason in found[0].problem


def test_what_an_agent_prints_before_its_metadata_does_no_harm(tmp_path: Path) -> None:
    xml = "<?xml version=\"1.0\" ?><resource-agent name='fence_x' shortdesc='s'/>"
    path = script(tmp_path, "fence_x", f"echo 'Warning: old'; cat <<'E'\n{xml}\nE")

    assert asyncio.run(read_metadata(path)).name == "fence_x"


def test_metadata_that_is_none_is_an_error_of_its_own() -> None:
    with pytest.raises(MetadataError, match="no XML"):
        parse_metadata("<resource-agent")


# Options


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"pasword": "x"}, "fence_ipmi has no option 'pasword'"),
        ({"ipport": "x"}, "fence_ipmi expects an integer"),
        ({"power_wait": "soon"}, "fence_ipmi expects a number of seconds"),
        ({"lanplus": "maybe"}, "fence_ipmi expects true or false"),
        ({"privlvl": "root"}, "fence_ipmi expects one of user, operator, administrator"),
    ],
)
def test_an_option_that_an_agent_does_not_take_is_named(
    given: dict[str, str], problem: str
) -> None:
    found = option_problems(described("fence_ipmi"), given)

    assert [(each.name, each.problem) for each in found] == [(next(iter(given)), problem)]


def test_old_names_dashes_and_secrets_are_fine() -> None:
    given = {"ipaddr": "a", "power-wait": "2.5", "passwd": "secret:x", "ipport": "secret:port"}

    assert option_problems(described("fence_ipmi"), given) == []


def test_problems_of_a_configuration_have_key_paths_and_never_a_value(tmp_path: Path) -> None:
    found = check(tmp_path, "fence_ipmi", f'{GOOD}\npasword = "oops"', ', privlvl = "t0p"')

    assert found == DeviceCheck(
        problems=[
            Problem(
                "fencing.device.d.pasword",
                "fence_ipmi has no option 'pasword'",
                "did you mean 'password'?",
            ),
            Problem(
                "node.node1.fence[1][1].privlvl",
                "fence_ipmi expects one of user, operator, administrator",
            ),
        ]
    )


def test_a_required_option_may_come_from_the_device_or_the_step(tmp_path: Path) -> None:
    with_both = check(tmp_path, "fence_apc_snmp", 'ip = "a"')
    without = check(tmp_path, "fence_apc_snmp", "", ', port = "1"')

    assert with_both == DeviceCheck()
    assert [each.problem for each in without.problems] == ["fence_apc_snmp needs the option 'ip'"]
    assert without.problems[0].path == "node.node1.fence[1][1]"


def test_an_agent_that_is_not_here_is_a_warning(tmp_path: Path) -> None:
    found = check(tmp_path, "fence_elsewhere", "", ', plug = "1"')

    assert found.problems == []
    assert found.warnings[0].startswith("fencing.device.d.agent: fence agent 'fence_elsewhere'")


def test_an_agent_that_cannot_switch_off_is_a_problem(tmp_path: Path) -> None:
    actions = "<actions><action name='status'/></actions>"
    xml = f"<resource-agent name='fence_x' shortdesc='s'>{actions}</resource-agent>"
    script(tmp_path, "fence_x", f'echo "{xml}"')

    found = check(tmp_path, "fence_x", "", "")

    assert [(each.path, each.problem) for each in found.problems] == [
        ("fencing.device.d.agent", "fence_x cannot switch off, it does status")
    ]


def test_the_daemon_tells_all_of_it() -> None:
    found = DeviceCheck(problems=[Problem("a.b", "no such option", "try c")], warnings=["d: e"])

    with capture_logs() as lines:
        log_device_check(found, Path("cluster.toml"))

    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("fence.misconfigured", "error"),
        ("config.warned", "warning"),
    ]
    assert (lines[0]["key"], lines[0]["problem"], lines[0]["hint"]) == (
        "a.b",
        "no such option",
        "try c",
    )
    assert lines[1]["reason"] == "d: e"


# Commands


def run(*argv: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, argv)
    return result.exit_code, result.stdout, result.stderr


def test_config_check_refuses_what_an_agent_would_not_take(tmp_path: Path) -> None:
    file = tmp_path / "cluster.toml"
    device = 'ip = "a"\ncommunty = "secret:x"'
    file.write_text(CONFIG.format(agent="fence_apc_snmp", device=device, step=', port = "1"'))

    code, out, err = run("config", "check", str(file))

    assert (code, out) == (78, "")
    assert "fencing.device.d.communty" in err
    assert "did you mean 'community'?" in err


def test_agents_and_describe_tell_humans_and_programs() -> None:
    listed, lines, _ = run("fence", "agents")
    machine, text, _ = run("fence", "agents", "--json")
    one, about, _ = run("fence", "describe", "fence_apc_snmp")
    exact, content, _ = run("fence", "describe", "fence_apc_snmp", "--json")

    assert [listed, machine, one, exact] == [0, 0, 0, 0]
    assert "fence_apc_snmp" in lines
    assert json.loads(text)["schema"] == 1
    assert {agent["name"] for agent in json.loads(text)["agents"]} >= {"fence_apc_snmp"}
    assert "snmp_version" in about
    described_ = json.loads(content)
    assert (described_["schema"], described_["name"]) == (1, "fence_apc_snmp")
    assert described_["options"]["plug"]["is_required"] is True


@pytest.mark.parametrize("name", ["fence_elsewhere", "../bin/sh"])
def test_describing_what_is_not_there_says_so(name: str) -> None:
    code, out, err = run("fence", "describe", name)

    assert (code, out) == (1, "")
    assert "was not found" in err


def test_a_found_agent_knows_its_place() -> None:
    found = asyncio.run(installed_agents((OURS,)))

    assert FoundAgent("fence_ipmi", OURS / "fence_ipmi", described("fence_ipmi")) in found
