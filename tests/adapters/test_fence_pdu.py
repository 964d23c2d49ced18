# SPDX-License-Identifier: Apache-2.0
"""fence_pdu as its callers see it: a process, against net-snmp's agent and against bad peers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.liar import Answer, half_of, liar
from tests.adapters.pdu_peer import AUTH_KEY, OUTLETS, PRIVACY_KEY, READ, WRITE, PduPeer
from tests.conftest import Golden

AGENT = Path(__file__).parents[2] / "fence_agents" / "fence_pdu"
SECRETS = (READ, WRITE, AUTH_KEY, PRIVACY_KEY)
Ended = subprocess.CompletedProcess[str]
V3 = {
    "snmp_version": "3", "username": "sha-aes", "password": AUTH_KEY,
    "snmp_priv_passwd": PRIVACY_KEY,
}  # fmt: skip


@pytest.fixture
def pdu(tmp_path: Path) -> Iterator[PduPeer]:
    with PduPeer(tmp_path) as peer:
        yield peer


def run(text: str, *arguments: str) -> Ended:
    return subprocess.run(
        [sys.executable, "-I", str(AGENT), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def ask(port: int, action: str, **options: str) -> Ended:
    """Run the agent; no answer of it, whatever happens, may hold a secret or a traceback."""
    known = {"ip": "127.0.0.1", "ipport": str(port), "community": WRITE, "plug": "1"}
    given = known | options | {"action": action}
    ended = run("".join(f"{name}={value}\n" for name, value in given.items()))
    said = ended.stdout + ended.stderr
    assert not [secret for secret in (*SECRETS, "wrong-secret") if secret in said]
    assert "Traceback" not in said
    return ended


# Switching


@pytest.mark.parametrize("options", [{"snmp_version": "1"}, {"snmp_version": "2c"}, V3])
def test_off_and_on_are_verified_in_every_version(pdu: PduPeer, options: dict[str, str]) -> None:
    off = ask(pdu.port, "off", **options)
    again = ask(pdu.port, "off", **options)
    status = ask(pdu.port, "status", **options)
    on = ask(pdu.port, "on", **options)

    assert (off.returncode, off.stdout, off.stderr) == (0, "Success: Powered OFF\n", "")
    assert (again.returncode, again.stdout) == (0, "Success: Already OFF\n")
    assert (status.returncode, status.stdout) == (2, "Status: OFF\n")
    assert (on.returncode, on.stdout) == (0, "Success: Powered ON\n")
    assert pdu.commands == ["1 off", "1 on"]


@pytest.mark.parametrize(
    "options",
    [
        {"username": "md5-des", "snmp_auth_prot": "MD5", "snmp_priv_prot": "DES"},
        {"username": "sha256-aes256", "snmp_auth_prot": "SHA256", "snmp_priv_prot": "AES256"},
        {"username": "plain", "snmp_sec_level": "authNoPriv"},
        {"username": "sha-aes", "password_script": f"echo {AUTH_KEY}", "password": "overridden"},
    ],
)
def test_version_3_works_with_other_protocols_and_levels(
    pdu: PduPeer, options: dict[str, str]
) -> None:
    ended = ask(pdu.port, "off", **(V3 | options))

    assert (ended.returncode, pdu.commands) == (0, ["1 off"])


def test_reboot_is_off_then_on(pdu: PduPeer) -> None:
    ended = ask(pdu.port, "reboot", plug="node2", power_wait="0")

    assert (ended.returncode, ended.stdout) == (0, "Success: Rebooted\n")
    assert pdu.commands == ["2 off", "2 on"]


def test_several_outlets_are_off_only_when_all_are(pdu: PduPeer) -> None:
    pdu.set_states("on", "on", "on", "on", "off", "on")

    half = ask(pdu.port, "status", plug="node5,6")
    off = ask(pdu.port, "off", plug="node5,6")
    whole = ask(pdu.port, "status", plug="5,6")

    assert [half.returncode, off.returncode, whole.returncode] == [0, 0, 2]
    assert pdu.states == ["on", "on", "on", "on", "off", "off"]


def test_one_outlet_that_stays_on_is_a_failure(pdu: PduPeer) -> None:
    """Other agents said success here, with an outlet still on."""
    pdu.set_states("on", "on", "on", "on", "off", "on")
    pdu.ignore_commands()

    ended = ask(pdu.port, "off", plug="5,6", power_timeout="1")

    assert ended.returncode == 1
    assert "after 1 s the power still reads mixed" in ended.stderr


def test_an_ignored_off_is_a_failure_and_is_not_repeated(pdu: PduPeer) -> None:
    pdu.ignore_commands()

    ended = ask(pdu.port, "off", power_timeout="1")

    assert ended.returncode == 1
    assert "after 1 s the power still reads on" in ended.stderr
    assert pdu.commands == ["1 off"]


def test_a_late_off_within_the_time_is_a_success(pdu: PduPeer) -> None:
    pdu.obey_late(0.8)

    ended = ask(pdu.port, "off", power_timeout="10")

    assert (ended.returncode, pdu.states[0], pdu.commands) == (0, "off", ["1 off"])


def test_the_list_names_every_outlet_and_monitor_needs_none(pdu: PduPeer) -> None:
    pdu.set_states("on", "off", "on", "on", "on", "on")

    plain = ask(pdu.port, "list", plug="")
    states = ask(pdu.port, "list-status", plug="")
    monitor = ask(pdu.port, "monitor", plug="")

    assert plain.stdout.splitlines() == [f"{n},{name}" for n, name in enumerate(OUTLETS, 1)]
    assert states.stdout.splitlines()[:2] == ["1,node1,ON", "2,node2,OFF"]
    assert (monitor.returncode, monitor.stdout) == (0, "")


# Failures


@pytest.mark.parametrize("version", ["1", "2c", "3"])
def test_an_outlet_that_is_not_there_is_never_off(pdu: PduPeer, version: str) -> None:
    """Debian's fence_apc_snmp says "Already OFF" here, with exit status 0."""
    options = (V3 if version == "3" else {}) | {"snmp_version": version}

    ends = [ask(pdu.port, action, plug="9", **options) for action in ("off", "status", "monitor")]

    assert [end.returncode for end in ends] == [1, 1, 1]
    assert all("the device has no outlet 9" in end.stderr for end in ends)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"community": READ}, "must not be written"),
        ({"community": READ, "snmp_version": "2c"}, "access is not allowed"),
        (V3 | {"username": "reader"}, "access is not allowed"),
        (V3 | {"username": "nobody"}, "does not know user 'nobody'"),
        (V3 | {"password": "wrong-secret"}, "wrong pass phrase of authentication"),
        (V3 | {"snmp_sec_level": "authNoPriv"}, "access is not allowed"),
        ({"plug": "twice"}, "2 outlets of the device called 'twice'"),
        ({"plug": "node9"}, "no outlet of the device called 'node9'"),
        ({"ip": "pdu.invalid"}, "does not resolve"),
        ({"family": "custom"}, "state_oid is not set"),
        ({"plug": ""}, "plug is not set"),
        ({"plug": "1,,2"}, "plug has an empty part"),
        ({"community": ""}, "community is not set"),
        (V3 | {"password": "short"}, "password has less than 8 characters"),
        ({"snmp_version": "4"}, "snmp_version '4' is not supported"),
    ],
)
def test_a_refusal_says_why_in_one_line_and_nothing_is_switched(
    pdu: PduPeer, options: dict[str, str], reason: str
) -> None:
    ended = ask(pdu.port, "off", **({"snmp_version": "1"} | options))

    assert ended.returncode == 1
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert pdu.commands == []


@pytest.mark.parametrize(
    "options", [{"community": "wrong-secret"}, V3 | {"snmp_priv_passwd": "wrong-secret"}]
)
def test_a_secret_that_the_device_does_not_answer_to_is_no_answer(
    pdu: PduPeer, options: dict[str, str]
) -> None:
    ended = ask(pdu.port, "off", login_timeout="1", **options)

    assert (ended.returncode, pdu.commands) == (1, [])
    assert "no answer on UDP port" in ended.stderr


def test_a_community_may_have_any_bytes(pdu: PduPeer) -> None:
    community = "\u043a\u043b\u044e\u0447"

    ended = ask(pdu.port, "status", community=community)

    assert ended.returncode == 1
    assert "no answer on UDP port" in ended.stderr
    assert community not in ended.stderr


def test_a_silent_device_is_a_failure_within_the_deadline(pdu: PduPeer) -> None:
    pdu.fall_silent()
    started = time.monotonic()

    ended = ask(pdu.port, "off", login_timeout="1")

    assert ended.returncode == 1
    assert f"no answer on UDP port {pdu.port} for 1 s" in ended.stderr
    assert time.monotonic() - started < 5


def test_a_slow_device_has_time_until_the_deadline(pdu: PduPeer) -> None:
    pdu.answer_late(0.15)

    ended = ask(pdu.port, "off", login_timeout="10", power_timeout="15")

    assert (ended.returncode, pdu.commands) == (0, ["1 off"])


@pytest.mark.parametrize(
    "answer",
    [lambda data: data[: len(data) // 2], lambda _data: b"\x30\x80", lambda data: data],
    ids=["half", "garbage", "echo"],
)
def test_half_a_reply_or_garbage_is_no_answer(answer: Answer) -> None:
    with liar(answer) as port:
        ended = ask(port, "off", login_timeout="1")

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1


def test_half_of_what_a_real_device_says_is_no_answer(pdu: PduPeer) -> None:
    with liar(half_of(pdu.port)) as port:
        ended = ask(port, "off", login_timeout="1")

    assert ended.returncode == 1
    assert "no answer" in ended.stderr


# Families


def test_own_oids_describe_a_device_that_no_family_does(pdu: PduPeer) -> None:
    base = "1.3.6.1.4.1.318.1.1.12.3"
    own = {
        "family": "custom", "names": f"{base}.5.1.1.2", "state_oid": f".{base}.5.1.1.4",
        "state_on": "1", "state_off": "2", "on_oid": f"{base}.3.1.1.4", "on_value": "1",
        "off_oid": f"{base}.3.1.1.4", "off_value": "2",
    }  # fmt: skip

    ended = ask(pdu.port, "off", plug="node2", **own)

    assert (ended.returncode, pdu.commands) == (0, ["2 off"])


def test_a_value_that_is_neither_on_nor_off_is_never_taken_for_off(pdu: PduPeer) -> None:
    """As where a family is set that is not that of the device."""
    pdu.set_states("off", *["on"] * 5)

    ends = [ask(pdu.port, action, state_off="8") for action in ("status", "monitor")]
    off = ask(pdu.port, "off", state_off="8", power_timeout="1")

    assert [end.returncode for end in [*ends, off]] == [1, 1, 1]
    assert "unknown (2)" in ends[0].stderr


@pytest.mark.parametrize("name", ["apc-rpdu2", "eaton", "raritan", "cyberpower"])
def test_a_family_that_the_device_is_not_of_finds_no_outlet(pdu: PduPeer, name: str) -> None:
    ended = ask(pdu.port, "off", family=name)

    assert (ended.returncode, pdu.commands) == (1, [])
    assert "has no outlet 1" in ended.stderr


# What it says of itself


def test_metadata_is_the_golden_one(golden: Golden) -> None:
    ended = run("", "-o", "metadata")

    golden("fence_pdu.metadata.xml", ended.stdout)
    root = ET.fromstring(ended.stdout)  # noqa: S314 -- our own text
    actions = {action.get("name") for action in root.iterfind("actions/action")}
    assert actions >= {"on", "off", "reboot", "status", "monitor", "list", "validate-all"}


def test_no_secret_is_in_a_command_line_or_in_debug_output(pdu: PduPeer) -> None:
    debug = pdu.folder / "debug"

    ask(pdu.port, "off", verbose="1", debug_file=str(debug), **V3)

    said = debug.read_text()
    assert "set_cmd" in said
    assert not [secret for secret in SECRETS if secret in said]


def test_what_nobody_has_foreseen_is_one_line_without_any_secret() -> None:
    said = inside(
        f"""
import os
os.dup2(1, 2)
read, write = os.pipe()
os.write(write, b"action=off\\nip=127.0.0.1\\nplug=1\\ncommunity={WRITE}\\n")
os.close(write)
os.dup2(read, 0)
def broken(*_):
    raise ValueError("{WRITE} is odd")
agent.Pdu.open = broken
print(agent.run_agent(agent.Pdu(), []))
"""
    )

    line, status = said.splitlines()
    assert line.startswith("fence_pdu: a bug: ValueError at <string>:")
    assert line.endswith("; the power state is unknown, ask for status, and report this")
    assert WRITE not in said
    assert status == "1"


def test_without_pysnmp_it_says_what_to_install(tmp_path: Path) -> None:
    text = "action=validate-all\nip=127.0.0.1\ncommunity=x\n"
    bare = subprocess.run(
        ["/usr/bin/python3", "-IS", str(AGENT)], input=text, capture_output=True, text=True,
        check=False, cwd=tmp_path,
    )  # fmt: skip

    assert bare.returncode == 1
    assert "the Python package pysnmp 7 is missing" in bare.stderr


# Speed


INSIDE = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader("fence_pdu", sys.argv[1])
agent = importlib.util.module_from_spec(importlib.util.spec_from_loader("fence_pdu", loader))
loader.exec_module(agent)
"""


def inside(text: str) -> str:
    """Return what Python code prints that has the agent as a module."""
    return subprocess.run(
        [sys.executable, "-IB", "-c", INSIDE + text, str(AGENT)],
        capture_output=True, text=True, timeout=40, check=True,
    ).stdout  # fmt: skip


def test_an_agent_that_waits_has_loaded_all_that_its_first_question_needs() -> None:
    """What is loaded when a node is lost comes before the first packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        options = V3 | {"ip": "127.0.0.1", "ipport": str(deaf.getsockname()[1])}
        loaded = inside(
            f"""
agent.Pdu().prepare()
builder = agent.loop_and_engine()[1].get_mib_builder()
before = set(builder.mibSymbols), set(sys.modules)
options = {{p.name: p.default for p in agent.PARAMETERS}} | {options}
pdu = agent.Pdu().open(options, agent.Log("", {{}}))
with agent.contextlib.suppress(agent.NoAnswerError):
    pdu.outlets(agent.time.monotonic() + 0.2)
print(set(builder.mibSymbols) - before[0], set(sys.modules) - before[1])
"""
        )
        assert deaf.recv(1), "it asked"

    assert loaded == "set() set()\n"


def test_the_keys_of_a_pass_phrase_are_those_of_the_standard() -> None:
    """Source: the examples of RFC 3414, A.3."""
    keys = inside('for kind in "MD5", "SHA": print(agent.master_key("maplesyrup", kind).hex())')

    assert keys.split() == [
        "9faf3283884e92834ebc9847d8edd963",
        "9fb5cc0381497b3793528939ff788d5d79145211",
    ]


def test_the_keys_are_the_same_as_those_that_the_library_makes() -> None:
    """A pass phrase is bytes; its length need not divide the stream."""
    pairs = inside(
        """
from pysnmp.entity.config import AUTH_SERVICES
api = agent.load_pysnmp()
for kind, protocol in agent.AUTH.items():
    service = AUTH_SERVICES[getattr(api, protocol)]
    for phrase in "eightcha", "a pass phrase of odd length", "x" * 63 + "y", "z" * 70:
        theirs = service.hash_passphrase(phrase.encode()).asOctets()
        print(theirs == agent.master_key(phrase, kind))
"""
    )

    assert pairs.split() == ["True"] * 24
