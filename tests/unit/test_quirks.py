# SPDX-License-Identifier: Apache-2.0
"""What surprised rgmanager's users, and does not happen here.

docs/migrating-from-rgmanager.md lists all of it; what no other test shows is shown here.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from domains.model import FailoverDomain, ServiceName, Terms
from rgmgr.core.actions import Answer, Record, StartResource, StopResource
from rgmgr.core.events import ConfigLoaded, Delivered, ResourceFailed
from rgmgr.core.messages import Verb
from rgmgr.core.model import ServiceState
from rgmgr.core.spec import ClusterSpec, RecoveryPolicy, ResourceName, ResourceSpec, ServiceSpec
from tests.unit.config_documents import HEAD, SERVICE, problems_of, read
from tests.unit.core_cluster import N1, N2, N3, WEB, Cluster, formed, spec, web

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "migrating-from-rgmanager.md"
SCENARIOS = ROOT / "tests" / "simulation" / "scenarios"
ROW = re.compile(r"^\| (?P<section>[\d.]+) \| .+ \| .+ \| (?P<shown>.+) \|$", re.MULTILINE)
SHOWN = re.compile(r"`(?:(?P<file>tests/[\w/]+\.py)::)?(?P<name>[\w-]+)`")
QUIRKS_MIN = 46
"""As many are marked in the descriptions of rgmanager that this was built from."""
NGINX = ResourceName("nginx")


def is_there(file: str | None, name: str) -> bool:
    if file is None:
        return (SCENARIOS / name / "script").is_file()
    path = ROOT / file
    return path.is_file() and f"\ndef {name}(" in path.read_text(encoding="utf-8")


def test_each_line_of_the_page_names_what_shows_it() -> None:
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    named = [SHOWN.findall(shown) for _, shown in rows]

    assert len(rows) >= QUIRKS_MIN
    assert all(named)
    assert [f"{f}::{n}" for found in named for f, n in found if not is_there(f or None, n)] == []


def domain(members: str, more: str = "") -> str:
    return f"{HEAD}[domain.d]\n{more}members = {members}\n{SERVICE.replace('web', 'w')}"


@pytest.mark.parametrize("word", ["yes", "on", "1"])
def test_a_yes_is_a_yes_everywhere(word: str) -> None:
    written = word if word == "1" else f'"{word}"'
    service = SERVICE.replace('name = "web"\n', f'name = "web"\nautostart = {written}\n')

    found = read(domain("{ node1 = 1 }", f"ordered = {written}\nrestricted = {written}\n"))

    assert (found.domains["d"].ordered, found.domains["d"].restricted) == (True, True)
    assert read(HEAD + service).services[0].autostart


def test_a_link_is_not_monitored_when_that_is_said_in_any_word() -> None:
    ip = '[[service]]\nname = "w"\n[[service.resource]]\ntype = "ip"\naddress = "10.0.0.9/24"\n'

    found = [
        read(f"{HEAD}{ip}monitor_link = {no}\n").services[0].resources[0].parameters
        for no in ("false", '"no"', '"off"', "0")
    ]

    assert [each["monitor_link"] for each in found] == ["no"] * 4


def test_a_priority_of_none_is_a_mistake_and_no_preference() -> None:
    (problem,) = problems_of(domain("{ node1 = 1, node2 = 0 }", "ordered = true\n"))

    assert problem.path == "domain.d.members.node2"


def test_a_node_that_is_twice_in_a_domain_is_told() -> None:
    (problem,) = problems_of(domain('["node1", "node2", "node1"]'))

    assert "node1" in problem.problem


def test_a_domain_that_is_there_twice_is_told() -> None:
    text = domain("{ node1 = 1 }") + "[domain.d]\nmembers = { node2 = 1 }\n"

    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)


def test_event_scripts_are_refused_and_not_half_read() -> None:
    found = problems_of(HEAD + SERVICE + '[[events]]\nclass = "node"\n')

    assert [each.path for each in found] == ["events"]


def named(cluster: Cluster, event: str) -> list[dict[str, str | int | None]]:
    """Return what all members wrote of an event, each once."""
    records = [a for node, a in cluster.actions if node == N2 and isinstance(a, Record)]
    return [record.fields for record in records if record.event == event]


def test_a_start_that_fails_is_at_no_time_told_as_a_success() -> None:
    cluster = Cluster(broken_starts={(N1, NGINX)})
    cluster.boot(N1, N2, N3)
    cluster.view(N1, N2, N3)

    assert [each["owner"] for each in named(cluster, "service.started")] == ["node2"]


def test_enable_of_what_cannot_start_claims_no_success() -> None:
    cluster = formed()
    cluster.broken_starts |= {(n, NGINX) for n in (N1, N2, N3)}
    cluster.local.append((N1, ResourceFailed(service=WEB, resource=NGINX, reason="exit")))
    cluster.settle()

    reply = cluster.ask(N2, Verb.ENABLE)

    assert reply is not None
    assert reply.answer not in (Answer.DONE, Answer.ALREADY_RUNNING)


def test_relocate_amid_a_recovery_does_not_fail_the_service() -> None:
    cluster = formed()
    cluster.feed(N1, ResourceFailed(service=WEB, resource=NGINX, reason="exit"))
    while cluster.service().state is not ServiceState.RECOVERABLE and cluster.mail:
        node, message = cluster.mail.popleft()
        for each in cluster.states:
            cluster.feed(each, Delivered(node, message))

    assert cluster.service().state is ServiceState.RECOVERABLE

    reply = cluster.ask(N2, Verb.RELOCATE, N3)

    assert cluster.service().state is ServiceState.STARTED
    assert reply is not None


def test_a_single_node_recovers_by_relocate_as_well_as_it_can() -> None:
    """rgmanager left it stopped until another member joined."""
    one = spec(web(recovery=RecoveryPolicy.RELOCATE), nodes=1)
    cluster = Cluster(spec=one)
    cluster.boot(N1)
    cluster.view(N1)
    cluster.feed(N1, ResourceFailed(service=WEB, resource=NGINX, reason="exit"))
    cluster.settle((N1,))
    cluster.run(60_000)

    assert cluster.service(N1).state is ServiceState.STARTED


def test_enable_where_an_exclusive_one_runs_takes_another_node_or_says_why() -> None:
    """rgmanager called it an invalid operation."""
    mail = ServiceSpec(
        name=ServiceName("mail"), resources=(unit("mail"),), terms=Terms(exclusive=True)
    )
    wide = formed(spec=spec(web(autostart=False), mail))
    narrow = formed(spec=spec(web(autostart=False), mail, nodes=1))

    elsewhere, refused = wide.ask(N2, Verb.ENABLE), narrow.ask(N1, Verb.ENABLE)

    assert elsewhere is not None
    assert (elsewhere.answer, elsewhere.owner) == (Answer.DONE, N2)
    assert refused is not None
    assert (refused.answer, "mail" in refused.text) == (Answer.NOT_ALLOWED, True)


def test_enable_on_a_node_of_what_runs_elsewhere_says_where() -> None:
    reply = formed().ask(N2, Verb.ENABLE, N3)

    assert reply is not None
    assert (reply.answer, reply.owner) == (Answer.ALREADY_RUNNING, N1)


def test_bystanders_outside_the_domain_change_nothing_about_a_failed_recovery() -> None:
    tried = []
    for nodes in (2, 3):
        plain = spec(nodes=nodes)
        pair = FailoverDomain(name="prefer", restricted=True, priorities={N1: 1, N2: 1})
        cluster = formed(spec=replace(plain, domains={"prefer": pair}))
        cluster.broken_starts |= {(n, NGINX) for n in (N1, N2)}
        del cluster.actions[:]
        cluster.feed(N1, ResourceFailed(service=WEB, resource=NGINX, reason="exit"))
        cluster.settle(tuple(plain.nodes))
        assert cluster.service().state is ServiceState.STOPPED
        tried.append({node for node, _ in cluster.took(StartResource)})

    assert tried == [{N1, N2}] * 2


def changed(*services: ServiceSpec, version: int = 2) -> ClusterSpec:
    return replace(spec(*services), version=version, digest=f"d{version}")


def load(cluster: Cluster, new: ClusterSpec) -> None:
    del cluster.actions[:]
    cluster.spec = new
    for node in (N1, N2, N3):
        cluster.feed(node, ConfigLoaded(new))
    cluster.settle()


def unit(name: str, *, is_shared: bool = False) -> ResourceSpec:
    parameters = {"unit": f"{name}.service"}
    return ResourceSpec(
        name=ResourceName(name), type="systemd", parameters=parameters, is_shared=is_shared
    )


def tree(*names: str) -> ServiceSpec:
    return web(resources=tuple(unit(name) for name in names))


def test_what_does_not_stop_amid_a_change_is_told_and_the_rest_of_it_is_done() -> None:
    cluster = formed(spec=spec(tree("a", "b", "c")))
    cluster.broken_stops.add((N1, "c"))

    load(cluster, changed(tree("a")))

    stops = [str(a.resource.name) for _, a in cluster.took(StopResource)]  # type: ignore[attr-defined]
    assert stops[:2] == ["c", "b"]
    assert "c: busy" in cluster.service().fault


def test_a_frozen_service_is_not_touched_by_a_change() -> None:
    cluster = formed(spec=spec(tree("a", "b")))
    cluster.ask(N2, Verb.FREEZE)

    load(cluster, changed(tree("a")))

    assert (cluster.took(StopResource), cluster.took(StartResource)) == ([], [])
    assert cluster.service().state is ServiceState.STARTED


def test_what_is_disabled_stays_so_when_it_is_changed() -> None:
    cluster = formed(spec=spec(tree("a", "b")))
    cluster.ask(N2, Verb.DISABLE)

    load(cluster, changed(tree("a")))

    assert cluster.service().state is ServiceState.DISABLED
    assert cluster.took(StartResource) == []


def test_a_new_service_stops_nothing_that_another_one_uses() -> None:
    agent = unit("agent", is_shared=True)
    old = web(resources=(agent, unit("a")))
    new = replace(old, name=ServiceName("new"), resources=(agent, unit("n")))
    cluster = formed(spec=spec(old))

    load(cluster, changed(old, new))

    assert cluster.took(StopResource) == []
    assert cluster.states[N2].cluster.services[new.name].state is ServiceState.STARTED


def test_one_failing_part_hides_no_other() -> None:
    """rgmanager looked no further than the first level with a failure."""
    parts = [replace(unit(n), tolerated=1, tolerance_ms=60_000) for n in ("a", "b")]
    cluster = formed(spec=spec(web(resources=tuple(parts))))
    del cluster.actions[:]
    for part in parts:
        cluster.local.append((N1, ResourceFailed(service=WEB, resource=part.name, reason="exit")))
    cluster.settle()

    assert {str(a.resource.name) for _, a in cluster.took(StartResource)} == {"a", "b"}  # type: ignore[attr-defined]
