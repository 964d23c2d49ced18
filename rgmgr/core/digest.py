# SPDX-License-Identifier: Apache-2.0
"""A short fingerprint of the agreed state, by which members see that they agree.

Every field counts. Dictionaries count by content, not by order, but for the services of a state:
theirs is the order of the configuration, and placement follows it. The configuration is most of
a state and seldom changes, so its own digest is remembered, and so is that of each record.
A member asks for the digest of one state several times, so those of the last few are remembered.
"""

from __future__ import annotations

import enum
import hashlib
from collections import deque
from dataclasses import fields
from operator import attrgetter
from typing import TYPE_CHECKING, Final, cast

from rgmgr.core.model import ClusterState, Service

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import DataclassInstance

    from rgmgr.core.spec import ClusterSpec, ServiceSpec

DIGEST_BYTES: Final = 8
SPEC_DIGEST_BYTES: Final = 16
SPECS_KEPT: Final = 8
STATES_KEPT: Final = 8
RECORDS_KEPT: Final = 4_096
"""Besides those of all services of the state that is asked about."""

_LEAVES: Final = frozenset({int, str, bool, type(None)})
_STATE_FIELDS: Final = tuple(
    f.name for f in fields(ClusterState) if f.name not in ("spec", "services")
)
_SERVICE_FIELDS: Final = attrgetter(*(f.name for f in fields(Service) if f.name != "spec"))
_specs: Final[deque[tuple[ClusterSpec, str]]] = deque(maxlen=SPECS_KEPT)
_states: Final[deque[tuple[ClusterState, str]]] = deque(maxlen=STATES_KEPT)
_records: Final[dict[int, tuple[object, ServiceSpec | None, str]]] = {}  # by id() of the record
_readers: Final[dict[type, attrgetter[tuple[object, ...]]]] = {}


def digest(state: ClusterState) -> str:
    """Return the fingerprint of a state as 16 hexadecimal digits.

    The same on every machine, Python version and hash seed; two members with different versions
    of rgmgr may differ, which only costs sending the state.
    """
    for known, fingerprint in _states:
        if known is state:
            return fingerprint
    if len(_records) > RECORDS_KEPT + len(state.services):
        _records.clear()
    configured = {spec.name: spec for spec in state.spec.services}
    plain = (
        _digest_of_spec(state.spec),
        [_of_field(getattr(state, name)) for name in _STATE_FIELDS],
        tuple([(n, _of_service(s, configured.get(n))) for n, s in state.services.items()]),
    )
    fingerprint = _fingerprint(plain, DIGEST_BYTES)
    _states.append((state, fingerprint))
    return fingerprint


def _digest_of_spec(spec: ClusterSpec) -> str:
    """Return the fingerprint of a configuration; of those last seen it is known."""
    for known, fingerprint in _specs:
        if known is spec:
            return fingerprint
    fingerprint = _fingerprint(_plain(spec), SPEC_DIGEST_BYTES)
    _specs.append((spec, fingerprint))
    return fingerprint


def _fingerprint(plain: object, size_bytes: int) -> str:
    # ascii(), since repr() of a string depends on Python's version of Unicode
    return hashlib.blake2b(ascii(plain).encode("ascii"), digest_size=size_bytes).hexdigest()


def _of_service(service: Service, configured: ServiceSpec | None) -> str:
    """Name the specification only where it differs from the configured one: it is the bulk."""
    known = _records.get(id(service))
    if known and known[0] is service and known[1] is configured:
        return known[2]
    spec = None if service.spec == configured else _plain(service.spec)
    return _remember(service, configured, (_plain_each(_SERVICE_FIELDS(service)), spec))


def _of_field(value: object) -> object:
    if isinstance(value, tuple):
        known = _records  # the history has hundreds: no call for each that is known
        return [
            found[2] if (found := known.get(id(item))) and found[0] is item else _of_record(item)
            for item in value
        ]
    if isinstance(value, dict):
        return [(key, _of_record(value[key])) for key in sorted(value)]
    return _of_record(value)


def _of_record(record: object) -> object:
    if type(record) in _LEAVES:
        return record
    known = _records.get(id(record))
    if known and known[0] is record:
        return known[2]
    return _remember(record, None, _plain(record))


def _remember(record: object, configured: ServiceSpec | None, plain: object) -> str:
    """Keep a record's fingerprint, since a record seldom changes between two digests."""
    fingerprint = _fingerprint(plain, DIGEST_BYTES)
    _records[id(record)] = (record, configured, fingerprint)
    return fingerprint


def _plain(value: object) -> object:
    """Return a value as nested tuples, with one order for equal values."""
    if isinstance(value, tuple):
        return _plain_each(value)
    if isinstance(value, dict):
        keys = sorted(value)
        return (tuple(keys), _plain_each([value[key] for key in keys]))
    if isinstance(value, enum.Enum):
        return value.value
    return _plain_each(_reader(cast("DataclassInstance", value))(value))


def _plain_each(values: Iterable[object]) -> tuple[object, ...]:
    # leaves are most of a state: no call for each of them
    return tuple([item if type(item) in _LEAVES else _plain(item) for item in values])


def _reader(value: DataclassInstance) -> attrgetter[tuple[object, ...]]:
    """Return what reads all fields of such a dataclass at once; made once for each type."""
    reader = _readers.get(type(value))
    if reader is None:
        names = tuple(value.__dataclass_fields__)
        # the first one twice, since a single name would be read without its tuple
        reader = _readers[type(value)] = attrgetter(*names, *names[:1])
    return reader
