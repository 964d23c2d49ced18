# SPDX-License-Identifier: Apache-2.0
"""Equal states have equal digests, different ones have not."""

from __future__ import annotations

from dataclasses import fields, replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rgmgr.core.digest import digest
from rgmgr.core.model import ClusterState, Node, Service
from rgmgr.core.spec import ClusterSpec
from rgmgr.wire.codec import decode_state, encode_state
from tests.property.strategies import cluster_states, of

modest = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@modest
@given(state=cluster_states)
def test_a_digest_survives_the_wire(state: ClusterState) -> None:
    """Nothing may depend on identity: a decoded state shares no object with itself."""
    assert digest(decode_state(encode_state(state))) == digest(state)


@modest
@given(state=cluster_states, data=st.data())
def test_a_digest_does_not_depend_on_the_order_of_dictionaries(
    state: ClusterState, data: st.DataObject
) -> None:
    nodes = dict(data.draw(st.permutations(list(state.nodes.items()))))
    domains = dict(data.draw(st.permutations(list(state.spec.domains.items()))))
    assert digest(replace(state, nodes=nodes)) == digest(state)
    assert digest(replace(state, spec=replace(state.spec, domains=domains))) == digest(state)


@modest
@given(state=cluster_states, data=st.data())
def test_a_digest_depends_on_the_order_of_services(
    state: ClusterState, data: st.DataObject
) -> None:
    services = dict(data.draw(st.permutations(list(state.services.items()))))
    same = list(services) == list(state.services)
    assert (digest(replace(state, services=services)) == digest(state)) is same


@modest
@given(one=cluster_states, other=cluster_states, data=st.data())
def test_every_field_counts(one: ClusterState, other: ClusterState, data: st.DataObject) -> None:
    names = [field.name for field in fields(ClusterState)]
    name = data.draw(st.sampled_from(names))
    changed = replace(one, **{name: getattr(other, name)})
    same = changed == one and list(changed.services) == list(one.services)
    assert (digest(changed) == digest(one)) is same


@modest
@given(state=cluster_states, data=st.data())
def test_every_field_of_a_record_counts(state: ClusterState, data: st.DataObject) -> None:
    node = data.draw(st.sampled_from(sorted(state.nodes)))
    record = data.draw(of(Node))
    name = data.draw(st.sampled_from([field.name for field in fields(Node)]))
    changed = replace(state.nodes[node], **{name: getattr(record, name)})
    same = changed == state.nodes[node]
    assert (digest(replace(state, nodes=state.nodes | {node: changed})) == digest(state)) is same


@modest
@given(state=cluster_states.filter(lambda state: state.services), data=st.data())
def test_every_field_of_a_service_counts(state: ClusterState, data: st.DataObject) -> None:
    service = data.draw(st.sampled_from(sorted(state.services)))
    record = data.draw(of(Service))
    name = data.draw(st.sampled_from([field.name for field in fields(Service)]))
    changed = replace(state.services[service], **{name: getattr(record, name)})
    same = changed == state.services[service]
    other = replace(state, services=state.services | {service: changed})
    assert (digest(other) == digest(state)) is same


@modest
@given(state=cluster_states, other=of(ClusterSpec))
def test_every_configuration_has_its_own_digest(state: ClusterState, other: ClusterSpec) -> None:
    assert (digest(replace(state, spec=other)) == digest(state)) is (other == state.spec)
