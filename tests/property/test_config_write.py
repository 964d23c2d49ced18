# SPDX-License-Identifier: Apache-2.0
"""The law of writing: what is written says the same when it is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.model import (
    MINUTES_PER_DAY,
    PRIORITY_BEST,
    PRIORITY_WORST,
    FailoverDomain,
    NodeId,
    ServiceName,
    Terms,
    Tie,
    Window,
)
from rgmgr.config.durations import DURATION_MS_MAX, parse_duration, written_duration
from rgmgr.config.load import loads
from rgmgr.config.resources import RESOURCE_TYPES
from rgmgr.config.schema import WARNTIME_LEAST_MS
from rgmgr.config.write import written
from rgmgr.core.spec import (
    CheckKind,
    CheckSpec,
    ClusterSpec,
    Deed,
    FenceDevice,
    FenceStep,
    FencingSpec,
    Independence,
    NodeSpec,
    PingSpec,
    ResourceName,
    ResourceSpec,
    Rung,
    ServiceSpec,
    ShutdownMode,
    StopFailurePolicy,
    TakeoverMode,
)
from rgmgr.sim.draw import draw_script
from tests.property.strategies import build

PRINTABLE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
texts = st.text(PRINTABLE, max_size=12)
plain_texts = st.text(PRINTABLE.filter(lambda c: c not in "$;"), min_size=1, max_size=12)
node_names = st.text(PRINTABLE.filter(lambda c: not c.isspace()), min_size=1, max_size=8)
words = st.from_regex(r"[A-Za-z0-9_.:-]{1,8}", fullmatch=True)
spans = st.integers(0, DURATION_MS_MAX)
timeouts = st.integers(1, DURATION_MS_MAX)
levels = st.none() | st.integers(1, 100)
checks = st.lists(
    st.builds(
        CheckSpec,
        kind=st.just(CheckKind.TCP),
        target=st.sampled_from(("127.0.0.1:80", "[::1]:5432")),
        interval_ms=timeouts,
        timeout_ms=timeouts,
        tolerance=st.integers(0, 9),
    ),
    max_size=2,
).map(tuple)
options = st.dictionaries(
    st.from_regex(r"opt[A-Za-z0-9_.-]{0,6}", fullmatch=True),
    texts.filter(lambda text: text and not text.startswith("secret:")),
    max_size=3,
)

pings = st.builds(
    PingSpec,
    name=words,
    address=st.sampled_from(("10.0.0.254", "fd00::1")),
    weight=st.integers(1, 9),
    interval_ms=timeouts,
    failures=st.integers(2, 9),
    successes=st.integers(2, 9),
) | st.builds(PingSpec, name=words, interface=st.just("eth1"))
minutes = st.integers(0, MINUTES_PER_DAY - 1)
windows = st.builds(Window, minutes, minutes).filter(lambda w: w.begin_min != w.end_min)
failbacks = st.sampled_from(
    (
        {"nofailback": st.booleans(), "failback_window": st.none()},
        {"nofailback": st.sampled_from((False,)), "failback_window": windows},
    )
)


@st.composite
def clusters(draw: st.DrawFn) -> ClusterSpec:
    """Draw a configuration that nothing is wrong with, of everything that can be configured."""
    names = draw(st.lists(node_names, min_size=1, max_size=4, unique=True))
    ids = [NodeId(number) for number in range(1, len(names) + 1)]
    devices = {name: draw(devices_named(name)) for name in draw(st.sets(words, min_size=1))}
    steps = st.lists(
        build(FenceStep, device=st.sampled_from(sorted(devices)), options=options), min_size=1
    ).map(tuple)
    methods = st.lists(steps, min_size=1, max_size=2).map(tuple)
    domains = {
        name: draw(
            build(
                FailoverDomain,
                name=st.just(name),
                priorities=st.dictionaries(
                    st.sampled_from(ids), st.integers(PRIORITY_BEST, PRIORITY_WORST), min_size=1
                ),
                failback_delay_ms=spans,
                **draw(failbacks),
            )
        )
        for name in sorted(draw(st.sets(words, max_size=2)))
    }
    sync_ms = draw(st.integers(1, DURATION_MS_MAX - 5_000))
    budget = draw(st.just((0, 0)) | st.tuples(st.integers(1, 9), timeouts))
    found = draw(
        build(
            ClusterSpec,
            name=node_names,
            version=st.integers(1, 2**62),
            digest=st.just(""),
            nodes=st.just(
                {
                    n: NodeSpec(
                        name=x,
                        fence=draw(methods),
                        fence_delay_ms=draw(spans),
                        capacity=draw(st.none() | st.integers(100, 2**62)),
                    )
                    for n, x in zip(ids, names, strict=True)
                }
            ),
            services=services(sorted(domains)),
            domains=st.just(domains),
            fencing=build(
                FencingSpec,
                devices=st.just(dict(sorted(devices.items()))),
                post_fail_delay_ms=spans,
                post_join_delay_ms=spans,
                timeout_ms=timeouts,
                delay_random_ms=spans,
                delay_by_weight_ms=spans,
                test_interval_ms=spans,
                max_fences=st.just(budget[0]),
                max_fences_ms=st.just(budget[1]),
                tie_breaker=st.sampled_from(((), ("ping:10.0.0.1", "ping:fd00::1"))),
                lease=st.sampled_from(("", "/dev/disk/by-id/x")),
                watchdog=st.sampled_from(("", "systemd", "/dev/watchdog0")),
                watchdog_ms=st.just(sync_ms + 5_000),
            ),
            pings=st.lists(pings, max_size=2, unique_by=lambda ping: ping.name).map(tuple),
            warntime_ms=spans.filter(lambda ms: ms == 0 or ms >= WARNTIME_LEAST_MS),
            rejoin_grace_ms=spans,
            sync_timeout_ms=st.just(sync_ms),
        )
    )
    counts_on_it = any(s.on_stop_failure is StopFailurePolicy.FENCE for s in found.services)
    is_disabled = found.fencing.unsafe_disabled and not counts_on_it
    return replace(found, fencing=replace(found.fencing, unsafe_disabled=is_disabled))


def devices_named(name: str) -> st.SearchStrategy[FenceDevice]:
    return build(
        FenceDevice, name=st.just(name), agent=words.map(lambda x: f"fence_{x}".replace(":", "_")),
        options=options,
    )  # fmt: skip


@st.composite
def services(draw: st.DrawFn, domains: list[str]) -> tuple[ServiceSpec, ...]:
    """Draw services whose resources claim nothing twice, and whose ties contradict nothing."""
    names = draw(st.lists(words, max_size=3, unique=True))
    return tuple(
        draw(
            build(
                ServiceSpec,
                name=st.just(ServiceName(name)),
                depend=st.lists(st.sampled_from(names[:number]), unique=True).map(tuple)
                if number
                else st.just(()),
                domain=st.sampled_from([None, *domains]),
                max_restarts=st.integers(0, 2**62),
                restart_expire_ms=spans,
                weight=st.integers(0, 2**62),
                takeover_delay_ms=timeouts,
                shutdown_wait_ms=timeouts,
                ladder=st.just(()) | ladders(),
                terms=terms([ServiceName(other) for other in names[:number]]),
                resources=trees(number),
            ).map(_with_one_policy)
        )
        for number, name in enumerate(names)
    )


@st.composite
def terms(draw: st.DrawFn, others: list[ServiceName]) -> Terms:
    """Draw what a service asks of its node; each of the others is in one list at most."""
    split = draw(st.integers(0, len(others)))
    return Terms(
        exclusive=draw(st.booleans()),
        load=draw(st.integers(0, 100)),
        priority=draw(st.integers(PRIORITY_BEST, PRIORITY_WORST)),
        together=tuple(Tie(other, hard=False) for other in others[:split]),
        apart=tuple(Tie(other, draw(st.booleans())) for other in others[split:]),
    )


@st.composite
def ladders(draw: st.DrawFn) -> tuple[Rung, ...]:
    """Draw rungs in their order; what has no time stands after all that have one."""
    deeds = sorted(draw(st.sets(st.sampled_from(Deed), min_size=1)), key=list(Deed).index)
    windows = sorted((draw(spans) for _ in deeds), reverse=True)
    counting = tuple(
        Rung(deed=deed, limit=draw(st.integers(1, 100)), window_ms=window_ms)
        for deed, window_ms in zip(deeds[:-1], windows, strict=False)
    )
    last = deeds[-1] if deeds[-1] is not Deed.TOLERATE else Deed.RESTART
    return (*counting, Rung(deed=last))


def _with_one_policy(service: ServiceSpec) -> ServiceSpec:
    if service.takeover is not TakeoverMode.DELAY:
        service = replace(service, takeover_delay_ms=0)
    if service.on_shutdown is not ShutdownMode.WAIT:
        service = replace(service, shutdown_wait_ms=0)
    if not service.ladder:
        return service
    word = ServiceSpec(name=service.name, resources=()).recovery
    return replace(service, recovery=word, max_restarts=0, restart_expire_ms=0)


@st.composite
def trees(draw: st.DrawFn, number: int) -> tuple[ResourceSpec, ...]:
    """Draw one to three resources, one below the other or side by side."""
    found: tuple[ResourceSpec, ...] = ()
    for place in range(draw(st.integers(1, 3))):
        is_parent = bool(found) and draw(st.booleans())
        own = draw(resource(f"{number}-{place}"))
        found = (replace(own, children=found),) if is_parent else (*found, own)
    return found


@st.composite
def resource(draw: st.DrawFn, mark: str) -> ResourceSpec:
    """Draw one of any type; `mark` makes what it claims its own."""
    number = 1 + sum(ord(c) * (i + 1) for i, c in enumerate(mark)) % 250
    kind, parameters = draw(
        st.sampled_from(
            (
                ("systemd", {"unit": f"u{mark}.service"}),
                ("ip", {"address": f"10.0.{mark[0]}.{number}/24", "device": "eth0"}),
                ("ip", {"address": f"10.0.{mark[0]}.{number}/24", "monitor_link": "no"}),
                ("exec", {"command": f"/bin/{mark} 'a b' \"c\""}),
                ("ocf", {"agent": "heartbeat:Dummy", "OCF_RESKEY_state": draw(plain_texts)}),
                ("netfs", {"device": "nas:/x", "mountpoint": f"/net/{mark}", "fstype": "nfs"}),
                (
                    "fs",
                    {
                        "device": f"/dev/{mark}",
                        "mountpoint": f"/srv/{mark}",
                        "fstype": "xfs",
                        "options": draw(plain_texts),
                    },
                ),
            )
        )
    )
    own = f"{mark}{draw(plain_texts)}"
    title = RESOURCE_TYPES[kind].title
    named = draw(st.sampled_from((parameters.get(title, own), own)))
    independent = draw(st.sampled_from((None, *Independence)))
    tolerated = draw(st.integers(0, 100))
    return ResourceSpec(
        name=ResourceName(named),
        type=kind,
        parameters=parameters,
        start_timeout_ms=draw(timeouts),
        stop_timeout_ms=draw(timeouts),
        start_level=draw(levels),
        stop_level=draw(levels),
        checks=draw(checks),
        independent=independent,
        max_restarts=draw(st.integers(0, 2**62)) if independent else 0,
        restart_expire_ms=draw(spans) if independent else 0,
        tolerated=tolerated,
        tolerance_ms=draw(timeouts) if tolerated else 0,
    )


def read_again(spec: ClusterSpec) -> ClusterSpec:
    found = loads(written(spec), source="what was written", node_ids=None)
    return replace(found, digest=spec.digest)


@given(clusters())
def test_what_is_written_says_the_same_when_it_is_read(spec: ClusterSpec) -> None:
    assert read_again(spec) == spec


@pytest.mark.parametrize("seed", range(50))
def test_so_do_the_clusters_that_the_simulator_draws(seed: int) -> None:
    spec = draw_script(seed).spec

    assert read_again(spec) == spec


@given(spans)
def test_a_time_span_is_read_as_it_was_written(span_ms: int) -> None:
    assert parse_duration(written_duration(span_ms)) == span_ms


def test_defaults_are_left_out() -> None:
    spec = draw_script(1).spec
    bare = replace(spec, fencing=FencingSpec(devices=spec.fencing.devices))

    assert "post_join_delay" not in written(bare)
