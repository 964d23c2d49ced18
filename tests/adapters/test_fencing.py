# SPDX-License-Identifier: Apache-2.0
"""Fencing against small agents that behave as badly as real ones have been seen to."""

from __future__ import annotations

import base64
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from domains.model import NodeId
from rgmgr.core.events import FenceEnded
from tests.adapters.fencing_bench import Lab, action, device, is_gone, line_of, run, single, step


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_exit_status_0_of_off_is_a_confirmation(lab: Lab) -> None:
    lab.agent("fence_x", "echo 'Success: Powered OFF'")
    before_s = int(time.time())
    (ended,) = run(lab, single())
    assert replace(ended, wall_s=0) == FenceEnded(
        node=NodeId(2),
        victim=7,
        attempt=3,
        is_confirmed=True,
        detail="method 1: d: Success: Powered OFF",
        switched_off=(step("d"),),
    )
    assert before_s <= ended.wall_s <= time.time()


@pytest.mark.parametrize("status", [1, 2, 3, 255])
def test_any_other_exit_status_of_off_is_none(lab: Lab, status: int) -> None:
    """Status 2 means off only as an answer to `status`."""
    lab.recorder("fence_x", f"echo login denied >&2; exit {status}")
    (ended,) = run(lab, single())
    assert not ended.is_confirmed
    assert ended.detail == f"method 1: d: off failed with exit status {status}: login denied"
    assert lab.calls() == ["fence_x off "]


def test_an_agent_killed_by_a_signal_confirms_nothing(lab: Lab) -> None:
    lab.agent("fence_x", "kill -SEGV $$")
    (ended,) = run(lab, single())
    assert not ended.is_confirmed
    assert f"signal {signal.SIGSEGV.value}" in ended.detail


def test_an_agent_is_told_everything_on_standard_input(lab: Lab) -> None:
    lab.recorder("fence_x", 'env | cut -d= -f1 | sort > "$HERE/env"; pwd > "$HERE/cwd"')
    lab.secret("pw", "s3cret word\n")
    devices = (device("d", "fence_x", ip="10.0.9.1", password="secret:pw", plug="1", ssh="no"),)
    run(lab, action((step("d", plug="3"),), devices=devices))
    assert lab.input() == [
        "action=off",
        "ip=10.0.9.1",
        "nodename=node2",
        "password=s3cret word",
        "plug=3",
    ]
    names = (lab.path / "env").read_text(encoding="utf-8").split()
    shells = {"PWD", "OLDPWD", "SHLVL", "_"}
    assert set(names) - shells == {"LC_ALL", "PATH", "PYTHONWARNINGS", "RGMGR_FENCE_RUN"}
    assert (lab.path / "cwd").read_text(encoding="utf-8") == "/\n"


def test_action_and_node_are_never_taken_from_the_configuration(lab: Lab) -> None:
    """An agent takes the last value of an option; its default action is reboot."""
    lab.recorder("fence_x")
    options = {"action": "reboot", "nodename": "node1", "verbose": "1", "debug-file": "/tmp/x"}
    run(lab, single(option="on", **options))
    assert lab.input() == ["action=off", "nodename=node2"]


def test_an_old_name_of_a_step_overrides_the_new_name_of_its_device(lab: Lab) -> None:
    lab.recorder("fence_x")
    devices = (device("d", "fence_x", plug="1", ip="10.0.9.1"),)
    run(lab, action((step("d", port="4", ipaddr="10.0.9.2"),), devices=devices))
    assert lab.input() == ["action=off", "ipaddr=10.0.9.2", "nodename=node2", "port=4"]


def test_false_booleans_are_left_out_and_zeros_are_not(lab: Lab) -> None:
    lab.recorder("fence_x")
    run(lab, single(ssl="0", lanplus="off", secure="False", plug="0", delay="0"))
    assert lab.input() == ["action=off", "delay=0", "nodename=node2", "plug=0"]


def test_values_that_an_agent_would_strip_are_quoted(lab: Lab) -> None:
    lab.recorder("fence_x")
    run(lab, single(password=" x ", username='"u"', ip="a b"))
    assert {'password=" x "', 'username=""u""', "ip=a b"} <= set(lab.input())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"plug": "4,5"}, "plug '4,5' names several outlets: give each its own step"),
        ({"method": "cycle"}, "method 'cycle' proves nothing"),
        ({"ip": "a\nport=1"}, "the value of option 'ip' has more than one line"),
        ({"ip": "a\0"}, "the value of option 'ip' has more than one line"),
        ({"ip =": "a"}, "'ip =' is not the name of an option"),
        ({"password": "secret:none"}, "cannot read the secret in {}/secrets/none: No such file"),
        ({"password": "secret:../x"}, "'secret:../x' is not the name of a file in"),
        ({"password": "secret:open"}, "the secret in {}/secrets/open has mode 0640: chmod it to"),
        ({"password": "secret:empty"}, "the secret in {}/secrets/empty must be one line of UTF-8"),
        ({"password": "secret:lines"}, "the secret in {}/secrets/lines must be one line of UTF-8"),
        ({"password": "secret:long"}, "the secret in {}/secrets/long must be one line of UTF-8"),
        ({"password": "secret:dir"}, "the secret in {}/secrets/dir is not a regular file"),
        ({"password": "secret:pipe"}, "the secret in {}/secrets/pipe is not a regular file"),
    ],
)
def test_what_is_dangerous_is_refused_before_the_agent_runs(
    lab: Lab, options: dict[str, str], reason: str
) -> None:
    lab.recorder("fence_x")
    lab.secret("open", "hunter2", mode=0o640)
    lab.secret("empty", "\n")
    lab.secret("lines", "hunter2\nhunter3\n")
    lab.secret("long", "hunter2" * 1000)
    (lab.secrets / "dir").mkdir()
    os.mkfifo(lab.secrets / "pipe")
    (ended,) = run(lab, single(**options))
    assert not ended.is_confirmed
    assert f"method 1: d: {reason.format(lab.path)}" in ended.detail
    assert "hunter" not in ended.detail
    assert lab.calls() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="giving a file away needs root")
def test_a_secret_of_another_user_is_refused(lab: Lab) -> None:
    lab.recorder("fence_x")
    lab.secret("pw", "hunter2")
    os.chown(lab.secrets / "pw", 65534, 65534)
    (ended,) = run(lab, single(password="secret:pw"))
    assert "belongs to uid 65534: chown it to root" in ended.detail
    assert lab.calls() == []


def test_a_secret_that_was_changed_counts_from_the_next_run(lab: Lab) -> None:
    lab.recorder("fence_x")
    told = []
    for password in ("old", "new"):
        lab.secret("pw", password)
        run(lab, single(password="secret:pw"))
        told.append([line for line in lab.input() if line.startswith("password=")])

    assert told == [["password=old"], ["password=new"]]


def test_secrets_are_masked_in_everything_that_is_told(lab: Lab) -> None:
    secret = "hunter2 is long"
    coded = base64.b64encode(secret.encode()).decode()
    lab.agent("fence_x", f"cat; echo '{coded}' private; exit 1")
    lab.secret("pw", secret)
    (ended,) = run(lab, single(password="secret:pw", community="private"))
    told = ended.detail + repr(lab.notes)
    assert "***" in told
    assert all(word not in told for word in (secret, coded, coded.rstrip("="), "private"))


def test_a_secret_at_the_cut_end_of_long_output_is_masked(lab: Lab) -> None:
    """What is left of a secret is masked where the kept part begins and where it ends."""
    many = "i=0; while [ $i -lt 700 ]; do printf correct-horse; i=$((i+1)); done"
    lab.agent("fence_x", f"{many}; printf correct; exit 1")
    lab.secret("pw", "correct-horse")
    (ended,) = run(lab, single(password="secret:pw"))
    assert set(ended.detail.rpartition(": ")[2]) == {"*"}


@pytest.mark.parametrize("name", ["fence_missing", "../fence_x", "/bin/true", "", "plain"])
def test_a_missing_agent_is_named(lab: Lab, name: str) -> None:
    (lab.path / "plain").write_text("not executable", encoding="utf-8")
    (ended,) = run(lab, single(name))
    assert not ended.is_confirmed
    assert f"fence agent {name!r} was not found in {lab.path}: install it" in ended.detail


def test_an_agent_that_cannot_be_executed_is_a_failure(lab: Lab) -> None:
    (lab.path / "fence_x").write_bytes(b"\x7fELF nonsense")
    (lab.path / "fence_x").chmod(0o755)
    (ended,) = run(lab, single())
    assert not ended.is_confirmed
    assert "Exec format error" in ended.detail


def test_no_methods_and_unknown_devices_confirm_nothing(lab: Lab) -> None:
    run(lab, action(devices=()), action((), devices=()), action((step("d"),), devices=()))
    assert [(ended.is_confirmed, ended.detail) for ended in lab.ended] == [
        (False, "no fence method is configured for this node, or none can be trusted"),
        (False, "method 1: has no device"),
        (False, "method 1: d: no such fence device is configured"),
    ]


def test_all_devices_of_a_method_must_confirm_in_order(lab: Lab) -> None:
    lab.recorder("fence_ok")
    lab.recorder("fence_bad", "exit 1")
    devices = (device("a", "fence_ok"), device("b", "fence_bad"), device("c", "fence_ok"))
    methods = (
        (step("a", plug="1"), step("b", plug="2"), step("c", plug="3")),
        (step("a", plug="4"), step("c", plug="5")),
        (step("a", plug="6"),),
    )
    (ended,) = run(lab, action(*methods, devices=devices))
    assert ended.is_confirmed
    assert ended.detail == "method 2: a: off; c: off"
    assert lab.calls() == ["fence_ok off 1", "fence_bad off 2", "fence_ok off 4", "fence_ok off 5"]


@pytest.mark.parametrize(
    ("status", "is_confirmed", "words"),
    [
        (2, True, "but the device says it is off"),
        (0, False, "then the device says it is on"),
        (1, False, "then status failed with exit status 1"),
    ],
)
def test_after_a_timeout_only_the_device_s_word_counts(
    lab: Lab, status: int, words: str, *, is_confirmed: bool
) -> None:
    lab.recorder("fence_x", f"trap '' TERM; [ $action = status ] && exit {status}; exec sleep 60")
    (ended,) = run(lab, single(timeout_ms=600))
    assert ended.is_confirmed is is_confirmed
    assert f"off gave no answer in 600 ms, {words}" in ended.detail
    assert lab.calls() == ["fence_x off ", "fence_x status "]


def test_an_agent_that_always_hangs_confirms_nothing_and_the_next_method_runs(lab: Lab) -> None:
    lab.agent("fence_hung", "trap '' TERM HUP INT; while :; do sleep 60; done")
    lab.recorder("fence_ok")
    devices = (device("a", "fence_hung"), device("b", "fence_ok"))
    began = time.monotonic()
    (ended,) = run(lab, action((step("a"),), (step("b"),), devices=devices, timeout_ms=400))
    assert ended.is_confirmed
    assert time.monotonic() - began < 3


def test_ten_megabytes_of_output_neither_block_nor_stay(lab: Lab) -> None:
    lab.agent("fence_x", "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo the end >&2; exit 1")
    (ended,) = run(lab, single())
    assert ended.detail.endswith("the end")
    assert len(ended.detail) < 400


def test_control_characters_do_not_reach_the_journal(lab: Lab) -> None:
    lab.agent("fence_x", "printf 'a\\033[31mb\\377c\\n'; exit 1")
    (ended,) = run(lab, single())
    assert ended.detail.isprintable()


@pytest.mark.parametrize("end", ["exit 1", "exec sleep 60"])
def test_a_helper_in_a_session_of_its_own_is_killed_unless_off_is_confirmed(
    lab: Lab, end: str
) -> None:
    """It would switch the power later, when the node runs services again."""
    helper = "echo $$ > $0; exec sleep 60"
    wait = 'while [ ! -s "$HERE/helper" ]; do :; done'
    lab.agent("fence_x", f"setsid sh -c '{helper}' \"$HERE/helper\" & {wait}; {end}")
    (ended,) = run(lab, single(timeout_ms=800))
    assert not ended.is_confirmed
    assert is_gone(int(line_of(lab.path / "helper")))


def test_a_helper_that_holds_the_output_open_does_not_delay_the_confirmation(lab: Lab) -> None:
    lab.agent("fence_x", "setsid sleep 3 & echo done; exit 0")
    began = time.monotonic()
    (ended,) = run(lab, single())
    assert ended.detail == "method 1: d: done"
    assert time.monotonic() - began < 2.5


def test_the_group_of_an_agent_is_killed_when_it_ends(lab: Lab) -> None:
    lab.agent("fence_x", 'sleep 60 & echo $! > "$HERE/helper"; exit 0')
    run(lab, single())
    assert is_gone(int((lab.path / "helper").read_text(encoding="utf-8")))
