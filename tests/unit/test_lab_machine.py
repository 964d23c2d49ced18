# SPDX-License-Identifier: Apache-2.0
"""How the lab reads the machine it runs on: apt's sources, control groups, what is installed."""

import tomllib
from collections.abc import Iterable
from pathlib import Path

import pytest

from rgmgr.lab import applayer, aptsource
from rgmgr.lab.cgroups import Hierarchies, parse_mounts
from rgmgr.lab.errors import LabError
from rgmgr.lab.installation import Requirement, closure, parse_requirement
from rgmgr.lab.prerequisites import PACKAGES_BY_PROGRAM, missing, require_room

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/some.gpg

Types: deb-src
URIs: http://sources.example/debian
Suites: bookworm
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://commented.example/debian bookworm main
deb-src http://sources.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/keys/k.gpg] http://mirror.example/debian bookworm main contrib # x
deb http://plain.example/debian trixie main
"""


def test_a_deb822_source_gives_each_of_its_suites_for_binary_packages_only() -> None:
    found = list(aptsource.parse_deb822(DEB822))

    keyring = Path("/usr/share/keyrings/some.gpg")
    assert [(source.uri, source.suite) for source in found] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
    ]
    assert {(source.components, source.keyring) for source in found} == {
        (("main", "contrib"), keyring)
    }


def test_a_key_written_out_in_a_deb822_source_is_not_taken_for_a_file() -> None:
    text = DEB822.replace("/usr/share/keyrings/some.gpg", "\n -----BEGIN PGP PUBLIC KEY BLOCK-----")

    assert next(aptsource.parse_deb822(text)).keyring is None


def test_a_one_line_source_may_have_options_and_comments() -> None:
    assert list(aptsource.parse_one_line(ONE_LINE)) == [
        aptsource.AptSource(
            "http://mirror.example/debian",
            "bookworm",
            ("main", "contrib"),
            Path("/etc/keys/k.gpg"),
        ),
        aptsource.AptSource("http://plain.example/debian", "trixie", ("main",), None),
    ]


def test_the_first_source_with_suite_and_component_is_found(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("deb http://extra.example/x bookworm extra\n")
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "ignored.save").write_text(ONE_LINE)

    assert aptsource.find("bookworm", tmp_path).uri == "http://mirror.example/debian"


def test_a_machine_without_the_suite_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"apt sources in \S+ has the suite 'bookworm'"):
        aptsource.find("bookworm", tmp_path)


def test_the_unified_hierarchy_is_found_on_an_ordinary_machine() -> None:
    mounts = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n"

    found = parse_mounts(mounts)

    assert found == Hierarchies(Path("/sys/fs/cgroup/rglab"), None)
    assert found.directories("node1") == (Path("/sys/fs/cgroup/rglab/node1"),)


def test_a_hybrid_machine_has_a_named_hierarchy_beside_it() -> None:
    mounts = (
        "cgroup /sys/fs/cgroup/cpu cgroup rw,relatime,cpu 0 0\n"
        "cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,name=systemd 0 0\n"
        "cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0\n"
    )

    found = parse_mounts(mounts)

    assert found is not None
    assert found.directories("node1") == (
        Path("/sys/fs/cgroup/unified/rglab/node1"),
        Path("/sys/fs/cgroup/systemd/rglab/node1"),
    )


def test_a_machine_without_cgroup_v2_has_no_place_for_a_lab() -> None:
    assert parse_mounts("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n") is None


def test_missing_names_each_package_once_and_in_order() -> None:
    assert missing(lambda _: None) == sorted(set(PACKAGES_BY_PROGRAM.values()))
    assert missing(lambda _: "/usr/bin/there") == []


def test_more_nodes_than_the_kernel_has_room_for_are_told_what_to_raise(tmp_path: Path) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n", encoding="ascii")

    require_room(16, limit)
    with pytest.raises(LabError, match=r"17 nodes .* sysctl -w fs.inotify.max_user_instances=135"):
        require_room(17, limit)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("click>=8.1", Requirement("click", is_conditional=False)),
        ("Markdown_It.Py", Requirement("markdown-it-py", is_conditional=False)),
        ("colorama; platform_system == 'Windows'", Requirement("colorama", is_conditional=True)),
        ("pytest>=7 ; extra == 'dev'", None),
    ],
)
def test_requirements_are_read(text: str, expected: Requirement | None) -> None:
    assert parse_requirement(text) == expected


INSTALLED = {
    "rich": ["markdown-it-py>=2", "pygments", "ipywidgets; extra == 'jupyter'"],
    "markdown-it-py": ["mdurl~=0.1"],
    "mdurl": [],
    "pygments": [],
    "click": ["colorama; platform_system == 'Windows'"],
    "loop-a": ["loop-b"],
    "loop-b": ["loop-a"],
}


def requires(name: str) -> Iterable[str] | None:
    return INSTALLED.get(name)


def test_the_closure_follows_requirements_of_requirements() -> None:
    assert closure(["rich>=13", "click"], requires) == (
        "click",
        "markdown-it-py",
        "mdurl",
        "pygments",
        "rich",
    )


def test_the_closure_of_a_circle_ends() -> None:
    assert closure(["loop-a"], requires) == ("loop-a", "loop-b")


def test_a_requirement_that_is_not_installed_is_an_error() -> None:
    with pytest.raises(LabError, match="need the Python package 'absent'"):
        closure(["absent>=1"], requires)


UNITS = "usr/lib/systemd/system"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("rgmgrd.service", "[Unit]\n", f"{UNITS}/rgmgrd.service"),
        (
            "org.rgmgr.service",
            "[D-BUS Service]\n",
            "usr/share/dbus-1/system-services/org.rgmgr.service",
        ),
        ("org.rgmgr.conf", "<busconfig>\n", "usr/share/dbus-1/system.d/org.rgmgr.conf"),
        ("rgmgr-.slice.d/10-rgmgr.conf", "[Unit]\n", f"{UNITS}/rgmgr-.slice.d/10-rgmgr.conf"),
        ("rgmgr.sysusers.conf", "g rgmgr-reader -\n", "usr/lib/sysusers.d/rgmgr.conf"),
        ("rgmgr.tmpfiles.conf", "d /run/rgmgr\n", "usr/lib/tmpfiles.d/rgmgr.conf"),
        ("90-rgmgr.preset", "enable x\n", "usr/lib/systemd/system-preset/90-rgmgr.preset"),
        ("rgmgr-ip", "#!/usr/bin/python3\n", "usr/lib/rgmgr/rgmgr-ip"),
        ("README", "hello\n", None),
    ],
)
def test_each_systemd_file_goes_to_its_place(name: str, text: str, expected: str | None) -> None:
    found = applayer.destination(name, text)

    assert found == (None if expected is None else Path(expected))


def test_every_command_of_the_package_is_in_the_nodes() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    entries = {Path(name).name: entry for name, entry in applayer.COMMANDS.items()}

    assert entries == project["project"]["scripts"]
