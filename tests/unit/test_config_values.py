# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from rgmgr.config import values
from rgmgr.config.problems import Rejection
from rgmgr.config.resources import RESOURCE_TYPES


@pytest.mark.parametrize(
    "unit", ["nginx.service", "a.socket", "pgsql@main.service", "x.target", r"srv-a\x2db.mount"]
)
def test_a_full_unit_name_is_accepted(unit: str) -> None:
    assert values.parse_unit(unit) == unit


@pytest.mark.parametrize(
    ("unit", "words", "hint"),
    [
        ("nginx", "full name", "did you mean 'nginx.service'?"),
        ("nginx.slice", "full name", "did you mean 'nginx.slice.service'?"),
        (".service", "full name", "did you mean '.service.service'?"),
        ("my nginx.service", "full name", ""),
        ("ngin\n.service", "full name", ""),
        ("a" * 250 + ".service", "258 characters", ""),
        ("pgsql@.service", "is a template", "name an instance, such as 'pgsql@main.service'"),
        ("rgmgrd.service", "belongs to the cluster", ""),
        ("corosync.service", "belongs to the cluster", ""),
        ("rgmgr-web-vip.service", "belongs to the cluster", ""),
    ],
)
def test_what_is_no_unit_to_manage_is_rejected(unit: str, words: str, hint: str) -> None:
    parsed = values.parse_unit(unit)

    assert isinstance(parsed, Rejection)
    assert words in parsed.text
    assert parsed.hint == hint


@pytest.mark.parametrize(
    ("address", "canonical"),
    [
        ("10.0.0.100/24", "10.0.0.100/24"),
        ("10.0.0.0/31", "10.0.0.0/31"),
        ("10.0.0.1/32", "10.0.0.1/32"),
        ("2001:DB8:0::1/64", "2001:db8::1/64"),
        ("2001:db8::1/128", "2001:db8::1/128"),
        ("2001:db8::ffff:ffff:ffff:ffff/64", "2001:db8::ffff:ffff:ffff:ffff/64"),
    ],
)
def test_an_address_is_kept_in_its_canonical_form(address: str, canonical: str) -> None:
    assert values.parse_address(address) == canonical


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("10.0.0.100", "with a prefix length"),
        ("10.0.0.100/255.255.255.0", "with a prefix length"),
        ("10.0.0.300/24", "with a prefix length"),
        ("10.0.0.1/33", "with a prefix length"),
        ("fe80::1%eth0/64", "with a prefix length"),
        ("www.example.org/24", "with a prefix length"),
        ("www", "with a prefix length"),
        ("10.0.0.0/24", "its network 10.0.0.0/24"),
        ("10.0.0.255/24", "its network 10.0.0.0/24"),
        ("2001:db8::/64", "its network 2001:db8::/64"),
        ("224.0.0.1/24", "not the address of a host"),
        ("0.0.0.0/0", "not the address of a host"),
        ("::/0", "not the address of a host"),
    ],
)
def test_what_is_no_address_of_a_host_is_rejected(address: str, words: str) -> None:
    parsed = values.parse_address(address)

    assert isinstance(parsed, Rejection)
    assert words in parsed.text


def test_a_missing_prefix_length_is_suggested_for_addresses_only() -> None:
    bare, name = values.parse_address("10.0.0.1"), values.parse_address("www")

    assert isinstance(bare, Rejection)
    assert bare.hint == "add the prefix length of its network, such as '10.0.0.1/24'"
    assert isinstance(name, Rejection)
    assert name.hint == ""


@pytest.mark.parametrize("device", ["eth0", "bond0.100", "br-lan", "a" * 15])
def test_the_name_of_an_interface_is_accepted(device: str) -> None:
    assert values.parse_interface(device) == device


@pytest.mark.parametrize("device", ["a" * 16, "..", ".", "eth 0", "a/b"])
def test_what_cannot_name_an_interface_is_rejected(device: str) -> None:
    assert isinstance(values.parse_interface(device), Rejection)


@pytest.mark.parametrize("path", ["/srv", "/srv/web", "/srv/my data", "/srv/übung"])
def test_a_normal_absolute_path_is_accepted(path: str) -> None:
    assert values.parse_mountpoint(path) == path


@pytest.mark.parametrize(
    ("path", "words", "hint"),
    [
        ("srv", "absolute path", ""),
        ("/", "directory to mount on", ""),
        ("//", "directory to mount on", ""),
        ("/srv/../etc", "directory to mount on", ""),
        ("/srv//web/", "normalised", "write '/srv/web'"),
        ("/srv/./web", "normalised", "write '/srv/web'"),
        ("/srv/a;b", "contains ';'", ""),
        ("/srv/a\nb", r"contains '\n'", ""),
        (
            "/" + "-" * 63,
            "too long",
            "255 characters, dashes and special ones count four times",
        ),
    ],
)
def test_what_systemd_cannot_mount_on_is_rejected(path: str, words: str, hint: str) -> None:
    parsed = values.parse_mountpoint(path)

    assert isinstance(parsed, Rejection)
    assert words in parsed.text
    assert parsed.hint == hint


@pytest.mark.parametrize(
    ("text", "bad"),
    [("a$b", "'$'"), ("a;b", "';'"), ("a\nb", r"'\n'"), ("a\x00", r"'\x00'"), ("\u2028", "2028")],
)
def test_what_systemd_corrupts_at_a_reload_is_rejected(text: str, bad: str) -> None:
    """Any package installation reloads systemd; a transient unit would change under our hands."""
    parsed = values.parse_plain(text)

    assert isinstance(parsed, Rejection)
    assert bad in parsed.text


def test_a_file_system_type_is_a_word() -> None:
    assert values.parse_fstype("ext4") == "ext4"
    assert isinstance(values.parse_fstype("ext4,xfs"), Rejection)


@pytest.mark.parametrize(
    "command", ["/usr/bin/app", "/bin/sh -c 'sleep 5 && exec app'", '/opt/a "b c" --x=1%']
)
def test_a_command_begins_with_the_path_of_its_program(command: str) -> None:
    assert values.parse_command(command) == command


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("app --x", "absolute path of a program"),
        ("   ", "absolute path of a program"),
        ("/bin/sh -c 'x", "cannot be split into words: no closing quotation"),
        ("/bin/echo $HOME", "'$'"),
        ("/bin/a; /bin/b", "';'"),
    ],
)
def test_what_systemd_could_not_run_as_written_is_rejected(command: str, words: str) -> None:
    parsed = values.parse_command(command)

    assert isinstance(parsed, Rejection)
    assert words in parsed.text


@pytest.mark.parametrize(
    "export", ["nas:/export/web", "10.0.0.9:/", "[2001:db8::9]:/srv", "//nas/share", "//nas/s/x"]
)
def test_an_export_names_its_server(export: str) -> None:
    assert values.parse_export(export) == export


@pytest.mark.parametrize("export", ["nas", "/dev/sda", "nas:export", "//nas", "nas:/a b"])
def test_what_no_server_exports_is_rejected(export: str) -> None:
    assert isinstance(values.parse_export(export), Rejection)


@pytest.mark.parametrize("path", ["etc/init.d/x", "/etc/../x", "/etc//x", "/etc/x;y"])
def test_a_path_is_absolute_and_has_no_detours(path: str) -> None:
    assert isinstance(values.parse_path(path), Rejection)


def test_a_word_of_a_short_list_is_suggested() -> None:
    parsed = values.parse_ready("notfy")

    assert isinstance(parsed, Rejection)
    assert "'notify'" in parsed.hint


def test_every_type_explains_itself_and_has_a_title_that_is_never_missing() -> None:
    """`rgmgr resource describe` shows these tables; the title is a resource's default name."""
    for kind in RESOURCE_TYPES.values():
        required = [p.name for p in kind.parameters if p.required or p.usual]
        assert kind.title in (*required, "name")
        assert kind.help
        assert all(parameter.help for parameter in kind.parameters)
