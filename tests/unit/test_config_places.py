# SPDX-License-Identifier: Apache-2.0
"""What a place in a tree gives to a resource: inheritance, defaults, and where it may be."""

from __future__ import annotations

import pytest

from rgmgr.config.inherit import INHERITED, inherited, sources
from rgmgr.config.levels import FORBIDDEN, check_child
from rgmgr.config.problems import Problems
from rgmgr.config.resources import RESOURCE_TYPES
from rgmgr.config.table import Table
from rgmgr.config.write import written
from rgmgr.core.spec import ResourceName, ResourceSpec
from tests.unit.config_documents import HEAD, problems_of, read

SERVICE = '[[service]]\nname = "web"\n'
FS = 'type = "fs"\ndevice = "/dev/{0}"\nmountpoint = "/srv/{0}"\nfstype = "xfs"\n'
BIND = 'type = "bind-mount"\nname = "shown"\nmountpoint = "/var/www"\n'
TOP = "[[service.resource]]\n"
CHILD = "[[service.resource.resource]]\n"
GRANDCHILD = "[[service.resource.resource.resource]]\n"
SHARED = "[[resource]]\n" + BIND


def only(text: str) -> ResourceSpec:
    """Return the first resource of the only service."""
    return read(HEAD + text).services[0].resources[0]


def made(kind: str, **parameters: str) -> ResourceSpec:
    return ResourceSpec(name=ResourceName(kind), type=kind, parameters=parameters)


@pytest.mark.parametrize("place", [SERVICE + TOP + FS.format("a") + CHILD + BIND])
def test_a_parameter_is_taken_from_the_nearest_ancestor_that_has_it(place: str) -> None:
    (shown,) = only(place).children

    assert shown.parameters == {"source": "/srv/a", "mountpoint": "/var/www"}


def test_the_nearest_one_counts() -> None:
    text = SERVICE + TOP + FS.format("a") + CHILD + FS.format("b") + GRANDCHILD + BIND

    assert only(text).children[0].children[0].parameters["source"] == "/srv/b"


def test_what_is_said_counts_more() -> None:
    text = SERVICE + TOP + FS.format("a") + CHILD + BIND + 'source = "/opt"\n'

    assert only(text).children[0].parameters["source"] == "/opt"


def test_a_shared_resource_inherits_where_it_is_used() -> None:
    text = SHARED + SERVICE + TOP + FS.format("a") + CHILD + 'ref = "shown"\n'

    assert only(text).children[0].parameters["source"] == "/srv/a"


@pytest.mark.parametrize("text", [SERVICE + TOP + BIND, SHARED + SERVICE + TOP + 'ref = "shown"\n'])
def test_what_is_neither_said_nor_inherited_is_missed_where_it_is_used(text: str) -> None:
    (problem,) = problems_of(HEAD + text)

    assert problem.path == "service.web.resource[1].source"
    assert problem.problem.startswith("missing: absolute path")
    assert "below one of fs, netfs, bind-mount" in problem.hint


def test_an_ancestor_that_lacks_it_gives_nothing() -> None:
    """The nearest one of the types is asked, and none beyond it. Source: rgmanager."""
    above = (made("fs", mountpoint="/srv/a"), made("nfsexport"))

    assert inherited("nfsclient", above) == {}
    assert inherited("nfsclient", above[:1]) == {"path": "/srv/a"}
    assert inherited("systemd", above) == {}


def test_what_is_inherited_is_a_parameter_of_its_type() -> None:
    for kind, parameter in INHERITED:
        known = RESOURCE_TYPES.get(kind)
        assert known is None or parameter in {p.name for p in known.parameters}
        assert sources(kind, parameter)


DEFAULTS = '[resource_defaults.fs]\noptions = "noatime"\nstop_timeout = "3min"\n'


def test_defaults_of_a_type_hold_for_every_resource_of_it_that_says_nothing_else() -> None:
    own = only(DEFAULTS + SERVICE + TOP + FS.format("a"))
    other = only(DEFAULTS + SERVICE + TOP + FS.format("a") + 'options = "ro"\n')
    shared = only(
        DEFAULTS
        + "[[resource]]\n"
        + FS.format("a")
        + 'name = "d"\n'
        + SERVICE
        + TOP
        + 'ref = "d"\n'
    )

    assert (own.parameters["options"], own.stop_timeout_ms) == ("noatime", 180_000)
    assert other.parameters["options"] == "ro"
    assert (shared.parameters["options"], shared.stop_timeout_ms) == ("noatime", 180_000)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[resource_defaults.sf]\n", "resource_defaults.sf: unknown resource type 'sf'"),
        (
            '[resource_defaults.fs]\ndevice = "/dev/a"\n',
            "resource_defaults.fs.device: unknown key",
        ),
        (
            '[resource_defaults.fs]\nstop_timeout = "soon"\n',
            "resource_defaults.fs.stop_timeout: ",
        ),
        (
            '[resource_defaults.ip]\ndevice = "a b c"\n',
            "resource_defaults.ip.device: ",
        ),
    ],
)
def test_wrong_defaults_are_told_once_where_they_are(text: str, problem: str) -> None:
    (found,) = problems_of(HEAD + text + SERVICE + TOP + FS.format("a"))

    assert f"{found.path}: {found.problem}".startswith(problem)


def test_a_child_that_its_parent_may_not_have_is_refused() -> None:
    for parent, kinds in FORBIDDEN.items():
        for kind in kinds:
            problems = Problems()
            check_child(Table({}, "here", problems, known=None), parent, kind)
            (found,) = problems.found
            text = f"a resource of type {kind} cannot be below one of {parent}"
            assert (found.path, found.problem) == ("here", text)


def test_any_other_child_is_allowed() -> None:
    problems = Problems()

    check_child(Table({}, "here", problems, known=None), "fs", "nfsexport")

    assert problems.found == []


def test_a_shared_resource_is_written_as_one_that_is_used() -> None:
    use = 'ref = "data"\nstop_timeout = "9s"\nindependent = "restart"\n'
    spec = read(HEAD + "[[resource]]\n" + FS.format("a") + 'name = "data"\n' + SERVICE + TOP + use)

    text = written(spec)

    assert text.count("/dev/a") == 1
    assert 'ref = "data"' in text
    assert read(text).services == spec.services


VIP = '[[resource]]\ntype = "ip"\nname = "vip"\naddress = "10.0.0.9/24"\n'
DISK = '[[resource]]\nname = "data"\n' + FS.format("a")
TIED = 'with = ["web"]\ndepend = ["web"]\n'


def using(*names: str, more: str = "", ref: str = "vip") -> str:
    """Return services that use a shared resource; all but the first say more."""
    texts = [
        f'[[service]]\nname = "{name}"\n{more if number else ""}{TOP}ref = "{ref}"\n'
        for number, name in enumerate(names)
    ]
    return "".join(texts)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (VIP + using("web", "db", more=TIED), None),
        (VIP + using("web", "db", "x", more=TIED), None),
        (VIP + using("web", "db"), "it uses 'vip', which exists once, and so does the service web"),
        (VIP + using("web", "db", more='with = ["web"]\n'), "it uses 'vip', which exists once"),
        (VIP + using("web", "db", more='depend = ["web"]\n'), "it uses 'vip', which exists once"),
        (VIP + using("web", "db", more=TIED + 'depend_mode = "soft"\n'), "which exists once"),
        (DISK + using("web", "db", ref="data"), "it uses 'data', which exists once"),
        (DISK.replace("xfs", "gfs2") + using("web", "db", ref="data"), None),
    ],
)
def test_services_that_share_what_exists_once_stay_together(text: str, problem: str | None) -> None:
    found = problems_of(HEAD + text)

    assert [each.path for each in found] == (["service.db"] if problem else [])
    assert all(problem is not None and problem in each.problem for each in found)


def test_a_shared_resource_is_used_as_often_as_it_may_be() -> None:
    text = VIP + "max_uses = 2\n" + using("web", "db", "x", more=TIED)

    assert [each.path for each in problems_of(HEAD + text)] == ["service.x.resource[1]"]
    assert problems_of(HEAD + text.replace("max_uses = 2", "max_uses = 3")) == ()


def test_how_often_it_may_be_used_is_written_again() -> None:
    spec = read(HEAD + VIP + "max_uses = 2\n" + using("web"))

    assert "max_uses = 2" in written(spec)
    assert read(written(spec)).services == spec.services


def test_clients_of_one_export_have_its_path_and_number() -> None:
    export = 'type = "nfsexport"\nname = "export"\nfsid = "17"\n'
    client = 'type = "nfsclient"\nname = "{0}"\ntarget = "{0}"\n'
    first = GRANDCHILD + client.format("a")
    second = GRANDCHILD + client.format("b") + 'fsid = "18"\n'

    data = only(SERVICE + TOP + FS.format("a") + CHILD + export + first + second)

    one, other = data.children[0].children
    assert one.parameters == {"target": "a", "path": "/srv/a", "fsid": "17"}
    assert other.parameters == {"target": "b", "path": "/srv/a", "fsid": "18"}
