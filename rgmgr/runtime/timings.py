# SPDX-License-Identifier: Apache-2.0
"""How long things really took: the latest few starts, stops and fences, kept in a small file.

Resources are timed here, as this node does them; whole services and fences by the stamps of the
agreed state, so those of every node count. The file only makes forecasts better: one that is lost
or cannot be read is begun anew. Written in a thread of its own, some seconds after a change.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
import structlog

from domains.model import NodeId, ServiceName
from rgmgr.adapters.store import in_thread
from rgmgr.core.actions import Action, StartResource, StopResource
from rgmgr.core.events import (
    Event,
    ResourceStarted,
    ResourceStartFailed,
    ResourceStopFailed,
    ResourceStopped,
)
from rgmgr.core.evolve import changed
from rgmgr.core.model import After, ClusterState, Node, NodeStatus, Service, ServiceState
from rgmgr.core.spec import ResourceName
from rgmgr.present import Span, fence_of, start_of, stop_of

SAMPLES_MAX = 20
KEYS_MAX = 4_096
FILE_BYTES_MAX = 4 * 1024 * 1024
SAVE_AFTER_MS = 5_000
"""Changes closer together than this are written as one."""

_STOPPING = (ServiceState.STOPPING, ServiceState.RECOVERABLE)
_IN_CHARGE = (NodeStatus.ONLINE, NodeStatus.LEAVING)

log = structlog.get_logger("rgmgrd")

IsUp = Callable[[ServiceName, ResourceName], bool]
Dispatch = Callable[[Action], None]
Order = tuple[ServiceName, ResourceName, int]


class Timings:
    """What was measured. Times are milliseconds; `now_ms` is this node's monotonic clock.

    Args:
        path: of the file; read at once.
        is_up: tells whether a resource is up here: what is, only looks quick to start.
    """

    def __init__(self, path: Path, is_up: IsUp) -> None:
        self._path = path
        self._is_up = is_up
        self._took_ms: dict[str, list[int]] = _read(path)
        self._began_ms: dict[Order, int] = {}
        self._fence_began_ms: dict[tuple[NodeId, int], int] = {}
        self._before: ClusterState | None = None
        self._writing: asyncio.Task[None] | None = None
        self._pending: asyncio.TimerHandle | None = None

    def watch(self, dispatch: Dispatch, clock_ms: Callable[[], int]) -> Dispatch:
        """Return a dispatcher that also takes the time at which starts and stops begin."""

        def call(action: Action) -> None:
            if isinstance(action, StartResource | StopResource):
                self.ordered(action, clock_ms())
            dispatch(action)

        return call

    def ordered(self, action: StartResource | StopResource, now_ms: int) -> None:
        """A start or a stop begins."""
        name = action.resource.name
        if self._is_up(action.service, name) == isinstance(action, StopResource):
            self._began_ms[action.service, name, action.op] = now_ms

    def ended(self, event: Event, now_ms: int) -> None:
        """An event came, maybe the end of a start or a stop."""
        match event:
            case ResourceStarted(service=service, resource=resource, op=op):
                key = start_of(service, resource)
            case ResourceStopped(service=service, resource=resource, op=op):
                key = stop_of(service, resource)
            case ResourceStartFailed(service=service, resource=resource, op=op):
                key = ""
            case ResourceStopFailed(service=service, resource=resource, op=op):
                key = ""
            case _:
                return
        began_ms = self._began_ms.pop((service, resource, op), None)
        if began_ms is not None and key:
            self._add(key, now_ms - began_ms)

    def agreed(self, cluster: ClusterState) -> None:
        """The agreed state is this now; what ended since the last call is measured."""
        before, self._before = self._before, cluster
        if before is None or before is cluster:
            return
        for name in changed(before.services, cluster.services):
            if (was := before.services.get(name)) is not None:
                self._compare_service(was, cluster.services[name], cluster)
        for node_id, node in cluster.nodes.items():
            self._compare_node(node_id, node, cluster)

    def spans(self) -> dict[str, Span]:
        """Return what is known, by the keys of `present`."""
        return {
            key: Span(round(median(took)), max(took), len(took))
            for key, took in self._took_ms.items()
        }

    def _compare_service(self, was: Service, record: Service, cluster: ClusterState) -> None:
        took_ms = record.since_ms - was.since_ms
        name = record.spec.name
        owner = cluster.nodes.get(was.owner) if was.owner is not None else None
        if was.state is ServiceState.STARTING and record.state is ServiceState.STARTED:
            if was.op == record.op and was.after is not After.REPAIR:
                self._add(start_of(name), took_ms)
        elif was.state in _STOPPING and record.owner is None and was.after is not After.REPAIR:
            is_its_word = owner is not None and owner.status in _IN_CHARGE
            if is_its_word and record.state is not ServiceState.FAILED:
                self._add(stop_of(name), took_ms)

    def _compare_node(self, node_id: NodeId, node: Node, cluster: ClusterState) -> None:
        """Time a fencing from its first attempt to the proof of a device."""
        case = (node_id, node.victim)
        if node.status is NodeStatus.UNCLEAN and node.fencer is not None:
            self._fence_began_ms.setdefault(case, cluster.now_ms)
        elif node.status is NodeStatus.FENCED and (began_ms := self._fence_began_ms.pop(case, 0)):
            if node.proof is not None:
                self._add(fence_of(cluster.spec.node_name(node_id)), node.proof.at_ms - began_ms)
        elif node.status is not NodeStatus.UNCLEAN:
            self._fence_began_ms.pop(case, None)

    def _add(self, key: str, took_ms: int) -> None:
        if took_ms < 0:
            return
        latest = [*self._took_ms.pop(key, []), took_ms][-SAMPLES_MAX:]
        self._took_ms[key] = latest  # the last one now, so that the oldest keys go first
        while len(self._took_ms) > KEYS_MAX:
            del self._took_ms[next(iter(self._took_ms))]
        self._save_soon()

    def _save_soon(self) -> None:
        if self._pending is None:
            loop = asyncio.get_running_loop()
            self._pending = loop.call_later(SAVE_AFTER_MS / 1000, self._begin_save)

    def _begin_save(self) -> None:
        self._pending = None
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self.save(), name="save timings")
        else:
            self._save_soon()

    async def save(self) -> None:
        """Write now; a disk that takes nothing is no trouble but the next forecast's."""
        payload = msgspec.json.encode(self._took_ms)
        try:
            await in_thread(partial(_write, self._path, payload))
        except OSError as error:
            log.debug("timings.not_saved", reason=str(error))

    def close(self) -> None:
        """Forget what is not written yet."""
        if self._pending is not None:
            self._pending.cancel()
        if self._writing is not None:
            self._writing.cancel()


def _read(path: Path) -> dict[str, list[int]]:
    """Return what the file holds; nothing when it cannot be used, for it is no great loss."""
    try:
        with path.open("rb") as file:
            found = msgspec.json.decode(file.read(FILE_BYTES_MAX), type=dict[str, list[int]])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    kept = list(found.items())[-KEYS_MAX:]
    return {key: took[-SAMPLES_MAX:] for key, took in kept if took and min(took) >= 0}


def _write(path: Path, payload: bytes) -> None:
    """Replace the file; without fsync, for an older one does as well."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(payload)
    fresh.replace(path)
