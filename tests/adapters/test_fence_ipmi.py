# SPDX-License-Identifier: Apache-2.0
"""fence_ipmi as its callers see it: a process, against a real simulated board."""

import os
import select
import subprocess
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.ipmi_peer import PASSWORD, USERNAME, IpmiPeer
from tests.adapters.liar import half_of, liar
from tests.conftest import Golden

AGENT = Path(__file__).parents[2] / "fence_agents" / "fence_ipmi"
Ended = subprocess.CompletedProcess[str]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[IpmiPeer]:
    with IpmiPeer(tmp_path) as peer:
        yield peer


def lines(port: int, **options: str) -> str:
    known = {"ip": "127.0.0.1", "ipport": str(port), "username": USERNAME, "password": PASSWORD}
    return "".join(f"{name}={value}\n" for name, value in (known | options).items())


def run(text: str, *arguments: str) -> Ended:
    return subprocess.run(
        [str(AGENT), *arguments],
        input=text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def ask(board: IpmiPeer, action: str, **options: str) -> Ended:
    """Run the agent and check what holds for every run: one-line reasons, and no secret in them."""
    ended = run(lines(board.port, action=action, **options))
    assert PASSWORD not in ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended


def script(folder: Path, body: str) -> str:
    """Put a program in the place of ipmitool."""
    path = folder / "ipmitool"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def has_ended(pid: int, timeout_ms: int = 2000) -> bool:
    """Wait for the end of a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    try:
        return bool(poller.poll(timeout_ms))
    finally:
        os.close(descriptor)


# The state


def test_status_tells_on_by_exit_code_0_and_off_by_2(board: IpmiPeer) -> None:
    on = ask(board, "status")
    board.set_power("off")
    off = ask(board, "STATUS")

    assert (on.returncode, on.stdout) == (0, "Status: ON\n")
    assert (off.returncode, off.stdout) == (2, "Status: OFF\n")
    assert board.commands == []


def test_monitor_succeeds_whatever_the_power_state_is(board: IpmiPeer) -> None:
    on = ask(board, "monitor")
    board.set_power("off")
    off = ask(board, "monitor")

    assert (on.returncode, off.returncode) == (0, 0)


@pytest.mark.parametrize("said", ["Chassis Power is unknown", "", "Chassis Power is off?"])
def test_an_unclear_state_is_never_taken_for_off(tmp_path: Path, said: str) -> None:
    path = script(tmp_path, f"echo '{said}'")

    codes = [run(lines(9, action=a, ipmitool_path=path)).returncode for a in ("off", "status")]

    assert codes == [1, 1]


# Switching


def test_off_is_sent_once_and_succeeds_when_the_board_says_off(board: IpmiPeer) -> None:
    ended = ask(board, "off")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Success: Powered OFF\n", "")
    assert (board.power, board.commands) == ("off", ["power 0"])


def test_on_is_verified_too(board: IpmiPeer) -> None:
    board.set_power("off")

    ended = ask(board, "on")

    assert (ended.returncode, ended.stdout) == (0, "Success: Powered ON\n")
    assert (board.power, board.commands) == ("on", ["power 1"])


@pytest.mark.parametrize("state", ["on", "off"])
def test_nothing_is_sent_when_the_power_is_as_wanted_already(board: IpmiPeer, state: str) -> None:
    board.set_power(state)

    ended = ask(board, state)

    assert (ended.returncode, ended.stdout) == (0, f"Success: Already {state.upper()}\n")
    assert board.commands == []


def test_reboot_is_off_then_on_and_never_a_cycle(board: IpmiPeer) -> None:
    ended = ask(board, "reboot", power_wait="0")

    assert (ended.returncode, ended.stdout) == (0, "Success: Rebooted\n")
    assert (board.power, board.commands) == ("on", ["power 0", "power 1"])


def test_reboot_waits_between_off_and_on(board: IpmiPeer) -> None:
    started = time.monotonic()

    ended = ask(board, "reboot", power_wait="1")

    assert ended.returncode == 0
    assert time.monotonic() - started >= 1


def test_reboot_has_fenced_even_when_the_node_cannot_be_powered_on(board: IpmiPeer) -> None:
    board.ignore("on")

    ended = ask(board, "reboot", power_wait="0", power_timeout="1", retry_on="1")

    assert (ended.returncode, ended.stdout) == (0, "Success: Powered OFF\n")
    assert "off is verified, but it stays off" in ended.stderr
    assert board.commands == ["power 0", "power 1", "power 1"]


@pytest.mark.parametrize("action", ["off", "reboot"])
def test_an_ignored_off_is_a_failure_and_is_not_repeated(board: IpmiPeer, action: str) -> None:
    board.ignore("off")

    ended = ask(board, action, power_timeout="1")

    assert ended.returncode == 1
    assert "after 1 s the power still reads on" in ended.stderr
    assert (board.power, board.commands) == ("on", ["power 0"])


def test_a_late_off_within_the_time_is_a_success(board: IpmiPeer) -> None:
    board.obey_late(0.7)

    ended = ask(board, "off", power_timeout="5")

    assert (ended.returncode, board.power, board.commands) == (0, "off", ["power 0"])


def test_off_is_cold_unless_a_graceful_one_was_asked_for(board: IpmiPeer) -> None:
    ended = ask(board, "off", graceful="5")

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "Success: Powered OFF\n", "")
    assert (board.power, board.commands) == ("off", ["shutdown 1"])


def test_a_node_that_does_not_shut_down_in_time_loses_its_power(board: IpmiPeer) -> None:
    board.ignore_shutdown()

    ended = ask(board, "off", graceful="0.5")

    assert (ended.returncode, ended.stdout) == (0, "Success: Powered OFF\n")
    assert "still reads on 0.5 s after it was asked to shut down; the power is cut" in ended.stderr
    assert (board.power, board.commands) == ("off", ["shutdown 1", "power 0"])


def test_delay_comes_before_off_and_not_before_status(board: IpmiPeer) -> None:
    started = time.monotonic()
    ask(board, "status", delay="5")
    assert time.monotonic() - started < 4

    started = time.monotonic()
    ended = ask(board, "off", delay="0.6")
    assert ended.returncode == 0
    assert time.monotonic() - started >= 0.6


# Failures


@pytest.mark.parametrize("action", ["off", "status", "monitor"])
def test_a_silent_board_is_a_failure_within_the_deadline(board: IpmiPeer, action: str) -> None:
    board.fall_silent()
    started = time.monotonic()

    ended = ask(board, action, login_timeout="1")

    assert ended.returncode == 1
    assert f"no answer on UDP port {board.port} for 1 s" in ended.stderr
    assert time.monotonic() - started < 3


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"password": "wrong-one"}, "wrong password for user 'fence'"),
        ({"username": "nobody"}, "does not know user 'nobody'"),
        ({"cipher": "17"}, "refuses cipher suite 17"),
        ({"cipher": "99"}, "refuses cipher suite 99"),
        ({"privlvl": "user"}, "USER may not switch the power"),
        ({"ip": "board.invalid"}, "does not resolve"),
        ({"password": "x" * 21}, "longer than 20 bytes"),
        ({"username": "x" * 17}, "longer than 16 bytes"),
        ({"ipmitool_path": "/nonexistent/ipmitool"}, "is not an executable file"),
        ({"password_script": "echo no; exit 3"}, "password_script ended with 3"),
        ({"method": "cycle"}, "method 'cycle' is not supported"),
    ],
)
def test_a_refusal_says_why_in_one_line_and_nothing_is_switched(
    board: IpmiPeer, options: dict[str, str], reason: str
) -> None:
    ended = ask(board, "off", **options)

    assert ended.returncode == 1
    assert reason in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert options.get("password", PASSWORD) not in ended.stderr
    assert (board.power, board.commands) == ("on", [])


@pytest.mark.parametrize("kind", ["half", "garbage", "echo"])
def test_half_a_reply_or_garbage_is_no_answer(board: IpmiPeer, kind: str) -> None:
    answers = {"half": half_of(board.port), "garbage": lambda _: b"\x06\x00", "echo": lambda d: d}
    with liar(answers[kind]) as port:
        ended = ask(board, "off", login_timeout="2", ipport=str(port))

    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert (board.power, board.commands) == ("on", [])


def test_a_password_that_is_refused_is_tried_once_only(board: IpmiPeer) -> None:
    """Boards lock a user out after a few wrong passwords."""
    ended = ask(board, "off", password="wrong-one", cipher="3", verbose="1")

    assert ended.stderr.count("ended with 1") == 1


# Faults that the simulator cannot play, in the words of ipmitool


NO_SESSION = "echo 'Error: Unable to establish IPMI v2 / RMCP+ session' >&2; exit 1"


def test_a_board_that_ignores_the_newer_cipher_suite_is_asked_with_the_older(
    tmp_path: Path,
) -> None:
    path = script(
        tmp_path, f"case $* in *'-C 17 '*) {NO_SESSION} ;; esac; echo Chassis Power is on"
    )

    ended = run(lines(9, action="status", ipmitool_path=path))

    assert (ended.returncode, ended.stdout) == (0, "Status: ON\n")


@pytest.mark.parametrize(
    ("fault", "sent"),
    [
        (NO_SESSION, 2),
        (f"echo 'insufficient resources for session' >&2; {NO_SESSION}", 2),
        ("echo 'Set Chassis Power Control to Down/Off failed: Timeout' >&2; exit 1", 1),
    ],
)
def test_off_is_repeated_only_while_no_session_could_be_opened(
    tmp_path: Path, fault: str, sent: int
) -> None:
    """The first `off` meets the fault; the power is off from the second question on."""
    sends = tmp_path / "sends"
    body = f"""case $* in
*'power off') echo >>{sends}; [ $(wc -l <{sends}) -gt 1 ] || {{ {fault}; }} ;;
*) [ -e {sends} ] && echo Chassis Power is off || echo Chassis Power is on ;;
esac"""

    ended = run(lines(9, action="off", ipmitool_path=script(tmp_path, body), cipher="3"))

    assert (ended.returncode, ended.stdout) == (0, "Success: Powered OFF\n")
    assert len(sends.read_text().splitlines()) == sent


# Parameters


def test_the_command_line_and_old_names_do_the_same_as_standard_input(board: IpmiPeer) -> None:
    address = ("-a", "127.0.0.1", "-u", str(board.port), "-P", "-C", "3", "-L", "administrator")
    secret = ("-l", USERNAME, "-S", f"echo {PASSWORD}")
    old = f"ipaddr=127.0.0.1\nipport={board.port}\nlogin={USERNAME}\nlanplus=1\n"
    script_of_old = f"passwd_script=echo {PASSWORD}\n"

    ends = [
        run("", *address, *secret, "-o", "status"),
        run("", "--action=status", *address, "--username", USERNAME, "--password", PASSWORD),
        run(f"{old}passwd={PASSWORD}\naction=status\n"),
        run(f"{old}{script_of_old}passwd=overridden\naction=status"),
        run(f"# comment\r\n\r\n{old}password-script=echo {PASSWORD}\r\naction=off\naction=status"),
        run(f'{old}password="{PASSWORD}"\nnodename=node1\naction=status\n'),
    ]

    expected = (0, "Status: ON\n", "")
    assert [(end.returncode, end.stdout, end.stderr) for end in ends] == [expected] * len(ends)


@pytest.mark.parametrize("misspelt", ["action = status", "acton=status", "option=status", "status"])
def test_a_misspelt_action_does_not_become_a_reboot(board: IpmiPeer, misspelt: str) -> None:
    ended = run(lines(board.port) + misspelt + "\n")

    assert ended.returncode == 1
    assert "no action was given, but unknown names were" in ended.stderr
    assert (board.power, board.commands) == ("on", [])


@pytest.mark.parametrize("value", ["", "of", "cycle", "off "])
def test_an_unknown_action_is_refused(board: IpmiPeer, value: str) -> None:
    ended = run(lines(board.port, action=value))

    assert ended.returncode == (0 if value.strip() == "off" else 1)
    assert board.commands == (["power 0"] if value.strip() == "off" else [])


def test_an_unknown_name_is_a_warning_and_its_value_is_not_shown(board: IpmiPeer) -> None:
    ended = ask(board, "status", pasword="oops-secret")

    assert ended.returncode == 0
    assert "ignored 'pasword'" in ended.stderr
    assert "oops-secret" not in ended.stderr


def test_without_any_action_the_default_of_the_api_is_reboot(board: IpmiPeer) -> None:
    ended = run(lines(board.port, power_wait="0"))

    assert (ended.returncode, board.commands) == (0, ["power 0", "power 1"])


def test_validate_all_has_no_contact_and_names_every_problem() -> None:
    good = run(lines(9, action="validate-all"))
    wrong = {"ipport": "0", "cipher": "x", "power_timeout": "nan", "privlvl": "root", "ip": ""}
    bad = run(lines(9, action="validate-all", **wrong))

    assert (good.returncode, good.stderr) == (0, "")
    assert bad.returncode == 1
    assert all(name in bad.stderr for name in wrong)


@pytest.mark.parametrize("arguments", [("--frobnicate",), ("-o",), ("-o", "status", "stray")])
def test_a_wrong_command_line_never_exits_as_if_the_power_were_off(
    arguments: tuple[str, ...],
) -> None:
    ended = run("", *arguments)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert "command line" in ended.stderr


def test_quiet_says_nothing_on_standard_error(board: IpmiPeer) -> None:
    ended = ask(board, "off", password="wrong-one", quiet="1")

    assert (ended.returncode, ended.stderr) == (1, "")


def test_metadata_is_the_golden_one_and_describes_the_actions(golden: Golden) -> None:
    by_line, by_input = run("", "-o", "metadata"), run("action=metadata\n")

    golden("fence_ipmi.metadata.xml", by_line.stdout)
    assert by_input.stdout == by_line.stdout
    root = ET.fromstring(by_line.stdout)  # noqa: S314 -- our own text
    actions = {action.get("name") for action in root.iterfind("actions/action")}
    assert actions >= {"on", "off", "reboot", "status", "monitor", "validate-all", "metadata"}
    names = {parameter.get("name") for parameter in root.iterfind("parameters/parameter")}
    replaced = {p.get("obsoletes") for p in root.iterfind("parameters/parameter[@obsoletes]")}
    assert replaced <= names


def test_what_needs_no_board_works_without_one() -> None:
    texts = [run("", "-h"), run("action=manpage"), run("", "-V"), run("action=list")]

    assert [text.returncode for text in texts] == [0, 0, 0, 0]
    assert "--power-timeout" in texts[0].stdout
    assert texts[1].stdout == texts[0].stdout
    assert texts[3].stdout == ""


# Children and secrets


def test_the_password_is_in_no_command_line_and_no_debug_output(board: IpmiPeer) -> None:
    board.fall_silent()
    debug = board.folder / "debug"
    text = lines(board.port, action="off", login_timeout="1", verbose="1", debug_file=str(debug))
    seen: set[bytes] = set()
    with subprocess.Popen(
        [AGENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as agent:
        assert agent.stdin
        agent.stdin.write(text.encode())
        agent.stdin.close()
        while agent.poll() is None:
            seen |= command_lines_with(str(board.port).encode())
        assert agent.stdout
        said = agent.stdout.read()

    assert any(b"ipmitool" in line for line in seen)
    assert not any(PASSWORD.encode() in line for line in seen)
    assert b"chassis power status" in said
    assert PASSWORD.encode() not in said + debug.read_bytes()


def command_lines_with(word: bytes) -> set[bytes]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue  # it ended meanwhile
        if word in line.split(b"\0"):
            found.add(line)
    return found


def test_ipmitool_gets_a_minimal_environment_and_a_fixed_command(tmp_path: Path) -> None:
    path = script(tmp_path, f"env >{tmp_path}/env; echo $* >{tmp_path}/argv; echo {PASSWORD} >&2")

    ended = run(lines(9, action="status", ipmitool_path=path, verbose="1"))

    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    ours = names - {"PWD", "_", "SHLVL", "OLDPWD", "HOME"}  # it has a home where root may make one
    assert ours == {"PATH", "LC_ALL", "IPMI_PASSWORD"}
    argv = (tmp_path / "argv").read_text()
    assert " -E -L OPERATOR -N 1 -R 1 -C 17 chassis power status" in argv
    assert PASSWORD not in argv + ended.stdout + ended.stderr


def test_at_the_deadline_the_children_of_ipmitool_die_too(tmp_path: Path) -> None:
    path = script(tmp_path, f"sleep 300 & echo $$ $! >{tmp_path}/pids; wait")

    ended = run(lines(9, action="off", ipmitool_path=path, login_timeout="0.5"))

    assert ended.returncode == 1
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert [has_ended(pid) for pid in pids] == [True, True]
