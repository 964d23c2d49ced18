# SPDX-License-Identifier: Apache-2.0
"""The law of the configuration: whatever is written, it is understood or refused with reasons."""

from __future__ import annotations

import datetime as dt
import tomllib

from hypothesis import given
from hypothesis import strategies as st

from rgmgr.config.advice import warnings
from rgmgr.config.durations import DURATION_MS_MAX, parse_duration
from rgmgr.config.fencing import FENCING_KEYS
from rgmgr.config.load import loads
from rgmgr.config.problems import Rejection
from rgmgr.config.resources import RESOURCE_TYPES
from rgmgr.config.schema import CLUSTER_KEYS, SECTIONS, digest_of, parse
from rgmgr.core.spec import ClusterSpec
from rgmgr.errors import ConfigError
from tests.unit.config_documents import VALID

KNOWN_WORDS = sorted(
    {*SECTIONS, *CLUSTER_KEYS, *FENCING_KEYS, "type", "ref", "unit", "address", "device"}
    | {"domain", "members", "fence", "resource", "mountpoint", "fstype", "node1", "web", "agent"}
    | {*RESOURCE_TYPES, "fence_pdu", "pdu", "nginx.service", "10.0.0.1/24", "5min", "/srv", "stop"}
)
words = st.sampled_from(KNOWN_WORDS) | st.text(max_size=8)
scalars = (
    words
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.just(dt.time(1, 2))
    | st.integers(min_value=1, max_value=3)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4)
)
documents = st.dictionaries(words, values, max_size=6)


def understood(document: dict[str, object]) -> ClusterSpec | None:
    """Return the meaning of a document; None when it was refused, which takes a reason."""
    try:
        return parse(document, source="x", node_ids=None, digest=digest_of(document))
    except ConfigError as error:
        refusal = error
    assert refusal.problems
    assert all(problem.problem for problem in refusal.problems)
    assert str(refusal).encode("utf-8")
    return None


def replaced(value: object, path: list[int], wild: object) -> object:
    """Return a value with one part, found by following `path`, exchanged for `wild`."""
    if not path or not isinstance(value, dict | list) or not value:
        return wild
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    chosen = keys[path[0] % len(keys)]
    copy = dict(value) if isinstance(value, dict) else dict(enumerate(value))
    copy[chosen] = replaced(copy[chosen], path[1:], wild)
    return copy if isinstance(value, dict) else list(copy.values())


@given(document=documents)
def test_any_document_is_understood_or_refused(document: dict[str, object]) -> None:
    understood(document)


@given(path=st.lists(st.integers(0, 9), min_size=1, max_size=7), wild=values)
def test_one_odd_value_in_a_good_document_is_understood_or_refused(
    path: list[int], wild: object
) -> None:
    """Reaches deeper than pure chance: everything around the odd value is right."""
    document = replaced(tomllib.loads(VALID), path, wild)
    assert isinstance(document, dict)

    spec = understood(document)

    if spec is not None:
        assert all(":" in warning for warning in warnings(spec))
        assert min(spec.nodes) > 0


@given(text=st.text() | st.lists(st.sampled_from([*KNOWN_WORDS, *"[]{}=\"',#\n."])).map("".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        loads(text, source="x", node_ids=None)
    except ConfigError as error:
        refusal = error
    else:
        return
    assert refusal.problems


@given(raw=values | st.from_regex(r"[0-9]{1,3}(\.[0-9])? ?(ms|s|min|h|d|w|y|x)?", fullmatch=True))
def test_a_time_span_is_bounded_or_rejected(raw: object) -> None:
    parsed = parse_duration(raw)

    assert isinstance(parsed, Rejection) or 0 <= parsed <= DURATION_MS_MAX


@given(document=documents, order=st.randoms(use_true_random=False))
def test_the_digest_does_not_depend_on_the_order_of_keys(
    document: dict[str, object], order: object
) -> None:
    keys = list(document)
    order.shuffle(keys)  # type: ignore[attr-defined] # Hypothesis does not name its type

    assert digest_of({key: document[key] for key in keys}) == digest_of(document)
