# SPDX-License-Identifier: Apache-2.0
"""The law of writing: what is written says the same when it is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domains.model import PRIORITY_BEST, PRIORITY_WORST, FailoverDomain, NodeId, ServiceName
from rgmgr.config.durations import DURATION_MS_MAX, parse_duration, written_duration
from rgmgr.config.load import loads
from rgmgr.config.write import written
from rgmgr.core.spec import (
    ClusterSpec,
    FenceDevice,
    FenceStep,
    FencingSpec,
    NodeSpec,
    ResourceName,
    ResourceSpec,
    ServiceSpec,
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
options = st.dictionaries(
    st.from_regex(r"opt[A-Za-z0-9_.-]{0,6}", fullmatch=True),
    texts.filter(lambda text: text and not text.startswith("secret:")),
    max_size=3,
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
            )
        )
        for name in sorted(draw(st.sets(words, max_size=2)))
    }
    return draw(
        build(
            ClusterSpec,
            name=node_names,
            version=st.integers(1, 2**62),
            digest=st.just(""),
            nodes=st.just(
                {n: NodeSpec(name=x, fence=draw(methods)) for n, x in zip(ids, names, strict=True)}
            ),
            services=services(sorted(domains)),
            domains=st.just(domains),
            fencing=build(
                FencingSpec,
                devices=st.just(dict(sorted(devices.items()))),
                post_fail_delay_ms=spans,
                post_join_delay_ms=spans,
                timeout_ms=timeouts,
            ),
            rejoin_grace_ms=spans,
            sync_timeout_ms=timeouts,
        )
    )


def devices_named(name: str) -> st.SearchStrategy[FenceDevice]:
    return build(
        FenceDevice, name=st.just(name), agent=words.map(lambda x: f"fence_{x}".replace(":", "_")),
        options=options,
    )  # fmt: skip


@st.composite
def services(draw: st.DrawFn, domains: list[str]) -> tuple[ServiceSpec, ...]:
    """Draw services whose resources claim nothing twice."""
    return tuple(
        draw(
            build(
                ServiceSpec,
                name=st.just(ServiceName(name)),
                domain=st.sampled_from([None, *domains]),
                max_restarts=st.integers(0, 2**62),
                restart_expire_ms=spans,
                resources=trees(number),
            )
        )
        for number, name in enumerate(draw(st.lists(words, max_size=3, unique=True)))
    )


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
    title = {"systemd": "unit", "ip": "address", "fs": "mountpoint"}[kind]
    named = draw(st.sampled_from((parameters[title], f"{mark}{draw(plain_texts)}")))
    return ResourceSpec(
        name=ResourceName(named),
        type=kind,
        parameters=parameters,
        start_timeout_ms=draw(timeouts),
        stop_timeout_ms=draw(timeouts),
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
