# SPDX-License-Identifier: Apache-2.0
"""rgmgrd: wiring by hand, signals, and the end.

Order of life: configuration, lock, bus, corosync; once corosync has told who we are the core
begins and the pump runs. Corosync may come late and go at any time; systemd's bus likewise. A
task that fails ends the daemon, and systemd starts it again: services are not touched.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog

from domains.model import NodeId, ServiceName
from rgmgr import __version__
from rgmgr.adapters import corosync, ping
from rgmgr.adapters.corosync import Corosync
from rgmgr.adapters.fencing import FenceRunner
from rgmgr.adapters.fencing.devices import AGENT_PATHS
from rgmgr.adapters.fencing.discovery import check_devices
from rgmgr.adapters.journal import Journal
from rgmgr.adapters.notify import Notifier
from rgmgr.adapters.reach import Reach
from rgmgr.adapters.store import Store, hold_lock
from rgmgr.adapters.systemd import Systemd
from rgmgr.adapters.watchdog import Watchdog
from rgmgr.config.load import load
from rgmgr.core.actions import Exit
from rgmgr.core.events import (
    ConfigLoaded,
    CorosyncLost,
    Event,
    Shutdown,
    ShutdownRequested,
)
from rgmgr.core.local import State
from rgmgr.core.machine import begin
from rgmgr.core.messages import Message
from rgmgr.core.spec import ClusterSpec, ResourceName
from rgmgr.errors import ConfigError, CorosyncError, InvariantViolation
from rgmgr.runtime.dispatch import Desk, Dispatcher
from rgmgr.runtime.endings import explain, leaves
from rgmgr.runtime.hearing import Hearing
from rgmgr.runtime.links import LinkWatch
from rgmgr.runtime.office import Office
from rgmgr.runtime.pump import Pump, monotonic_ms
from rgmgr.runtime.reporting import (
    history_text,
    is_shown_alike,
    log_device_check,
    log_methods_removed,
    log_problems,
    log_warnings,
    present_of,
    promised_ms,
    status_line,
    status_of,
)
from rgmgr.runtime.timings import Timings
from rgmgr.runtime.translate import to_core
from rgmgr.runtime.violations import run_watched
from rgmgr.view import Status
from rgmgr.wire.codec import encode

log = structlog.get_logger("rgmgrd")

GROUP = "rgmgr/1"
CLOSE_MS = 5_000
CFG_SHUTDOWN_MS = 4_000
"""corosync waits 5 s for our answer before it stops anyway."""
EX_SOFTWARE = 70
"""What must never be true was true: a bug, and nothing more was done on such a ground."""
EX_CONFIG = 78
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where things are."""

    config: Path
    state_dir: Path
    runtime_dir: Path
    secrets_dir: Path


class _OverError(Exception):
    """Ends all tasks of the daemon, also those that wait for a disk or a corosync that hangs."""


class Daemon:
    """One life of rgmgrd. `run` returns the exit status.

    `group` makes our place in the group, as `Corosync` does.
    """

    def __init__(
        self,
        options: Options,
        spec: ClusterSpec,
        journal: Journal,
        *,
        group: Callable[..., Corosync] = Corosync,
    ) -> None:
        self._journal = journal
        self._options = options
        self._spec = spec
        self._note = "waiting for corosync"
        self._pump: Pump | None = None
        self._shown: State | None = None
        self._exit: Exit | None = None
        self._is_over = asyncio.Event()
        self._changed = asyncio.Event()
        self._desk = Desk()
        self._hearing = Hearing()
        self._notifier = Notifier()
        self._store = Store(options.state_dir, self._emit, self._on_disk_error)
        self._systemd = Systemd(self._emit)
        self._fences = FenceRunner(
            self._emit, journal.note, reaches=ping.reaches, secrets_dir=options.secrets_dir
        )
        self._watchdog = Watchdog(self._emit)
        self._group = group(
            GROUP, self._heard, on_garbage=self._on_garbage, told=self._hearing.drain
        )
        self._links = LinkWatch(corosync.Reporter(), self._emit, monotonic_ms)
        self._office = Office(
            self._desk,
            self._current,
            self._present,
            self._history,
            self._links.view,
            self._emit,
        )
        self._line = ""
        self._timings = Timings(options.state_dir / "timings.json", self._is_up)
        self._totem = (0, False, "")

    async def run(self) -> int:
        """Run until the core says it is over."""
        self._watch_signals()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._systemd.run(), name="systemd")
                tasks.create_task(self._office.run(), name="bus")
                tasks.create_task(self._group.run(), name="corosync")
                tasks.create_task(self._links.run(self._office.publish_corosync), name="links")
                tasks.create_task(self._feed_watchdog(), name="watchdog")
                tasks.create_task(self._check_agents(self._spec), name="agents")
                self._tasks = tasks
                self._notifier.ready()
                self._say(self._note)
                await self._is_over.wait()
                self._notifier.stopping()
                await self._group.leave()
                await self._fences.close()
                with contextlib.suppress(TimeoutError):  # a stalled disk must not hold the end up
                    async with asyncio.timeout(CLOSE_MS / 1000):
                        await self._store.close()
                self._hearing.timers.close()
                self._watchdog.close()
                self._timings.close()
                raise _OverError  # noqa: TRY301  # to the group, which then cancels all
        except* _OverError:
            pass
        self._notifier.close()
        return self._exit.status if self._exit else 0

    _tasks: asyncio.TaskGroup

    def _emit(self, event: Event) -> None:
        self._timings.ended(event, monotonic_ms())
        if self._pump is not None:
            self._pump.put(event)

    def _heard(self, event: corosync.CorosyncEvent) -> None:
        """Take an event of corosync; the first connection tells who we are."""
        match event:
            case corosync.MessageReceived():  # first, for most are ticks
                self._hearing.take(event)
            case corosync.CorosyncConnected():
                self._connected(event)
            case corosync.CorosyncUnavailable(reason=reason):
                log.warning("corosync.unavailable", reason=reason)
                self._say(f"waiting for corosync: {reason}")
            case corosync.DuplicateDaemon(pid=pid):
                self._end(Exit(1, f"process {pid} of this node is in the group already"))
            case corosync.RingNodesChanged():
                self._links.ring_changed()  # the view has the ring's nodes
            case corosync.NodeListChanged(node_names=names):
                log.info("corosync.reloaded", nodes=[names[node] for node in sorted(names)])
                self._node_ids = _ids_of(names)
            case corosync.ShutdownRequested(urgency=urgency):
                self._corosync_stops(urgency)
            case _:
                self._emit(to_core(event))

    def _send(self, message: Message) -> None:
        self._group.send(encode(self._hearing.ticks.stamped(message)))

    def _connected(self, event: corosync.CorosyncConnected) -> None:
        log.info(
            "corosync.connected",
            node=event.node_names.get(event.local.node, event.local.node),
            cluster=event.cluster_name,
            token_ms=event.token_ms,
        )
        detection_ms = event.token_ms + event.consensus_ms
        self._totem = (detection_ms, event.is_two_node, event.tie_breaker)
        if not event.has_quorum_provider:
            self._end(
                Exit(
                    EX_CONFIG,
                    "corosync.conf names no quorum provider, so corosync would always say quorate;"
                    " add 'provider: corosync_votequorum' to its quorum section",
                )
            )
        elif self._pump is None:
            self._begin(NodeId(event.local.node), event.node_names)
        elif event.local.node != self._pump.state.local.me:
            self._end(Exit(1, f"corosync came back as node {event.local.node}: starting anew"))
        else:
            self._node_ids = _ids_of(event.node_names)

    def _begin(self, me: NodeId, node_names: dict[int, str]) -> None:
        """Start the core: we know who we are."""
        node_ids = _ids_of(node_names)
        try:
            spec = load(self._options.config, node_ids)
        except ConfigError as error:
            log_problems(error)
            self._end(Exit(EX_CONFIG, f"{error.source} cannot be used with this corosync.conf"))
            return
        self._node_ids = node_ids
        if spec.digest != self._spec.digest:  # else they were told at the start
            log_warnings(spec, self._options.config)
        self._spec = spec
        saved = self._store.load()
        if saved is not None and spec.version > saved.spec.version:
            log_methods_removed(saved.spec, spec)
        state = begin(
            me=me,
            incarnation=secrets.randbits(62) + 1,
            boot_id=BOOT_ID.read_text(encoding="ascii").strip(),
            spec=spec,
            saved=saved,
            watchdog_ms=promised_ms(self._watchdog, spec, is_two_node=self._totem[1]),
            is_armed=self._watchdog.is_armed,
        )
        dispatcher = Dispatcher(
            send=self._send,
            systemd=self._systemd,
            fences=self._fences,
            reach=Reach(self._emit),
            watchdog=self._watchdog,
            store=self._store,
            timers=self._hearing.timers,
            desk=self._desk,
            journal=self._journal,
            tasks=self._tasks,
            end=self._end,
        )
        self._pump = Pump(state, self._timings.watch(dispatcher, monotonic_ms), self._after)
        self._hearing.begin(self._pump)
        self._tasks.create_task(run_watched(self._pump), name="pump")
        self._systemd.probe(state.cluster.spec)

    _node_ids: dict[str, NodeId] | None = None

    def _after(self, state: State) -> None:
        self._changed.set()
        self._changed.clear()
        before, self._shown = self._shown, state
        if before is not None and is_shown_alike(before, state):
            return  # as after nearly every tick
        self._timings.agreed(state.cluster)
        services = state.cluster.services
        if before is None or before.cluster.services is not services:
            self._systemd.configure([service.spec for service in services.values()])
        self._say(status_line(state))
        self._office.publish()

    def _say(self, line: str) -> None:
        if line != self._line:
            self._line = line
            self._notifier.status(line)

    def _current(self) -> Status:
        state = self._pump.state if self._pump else None
        return status_of(state, self._spec, self._line, self._hearing.ticks)

    def _present(self) -> tuple[bytes, str] | None:
        detection_ms, is_two_node, tie_breaker = self._totem
        if self._pump is None:
            return None
        return present_of(
            self._pump.state,
            self._timings.spans(),
            detection_ms=detection_ms,
            is_two_node=is_two_node,
            tie_breaker=tie_breaker,
        )

    def _history(self) -> str:
        state = self._pump.state if self._pump else None
        return history_text(state)

    def _is_up(self, service: ServiceName, resource: ResourceName) -> bool:
        return self._pump is not None and resource in self._pump.state.local.active.get(service, ())

    def _end(self, action: Exit) -> None:
        severity = log.info if action.status == 0 else log.error
        severity("daemon.ending", status=action.status, reason=action.reason)
        self._say(f"ending: {action.reason}")
        self._exit = action
        self._is_over.set()

    def _corosync_stops(self, urgency: corosync.ShutdownUrgency) -> None:
        log.warning("corosync.stopping", urgency=urgency.value)
        self._tasks.create_task(self._answer_corosync(urgency), name="corosync stops")

    async def _answer_corosync(self, urgency: corosync.ShutdownUrgency) -> None:
        """Refuse while services run here; when forced, stop them first, as far as time allows."""
        is_forced = urgency is corosync.ShutdownUrgency.FORCED
        if is_forced:
            self._emit(CorosyncLost("an administrator stops it"))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CFG_SHUTDOWN_MS / 1000):
                    while self._has_services():
                        await self._changed.wait()
        is_free = is_forced or not self._has_services()
        answer = corosync.ShutdownAnswer.YES if is_free else corosync.ShutdownAnswer.NO
        with contextlib.suppress(CorosyncError):
            await self._group.answer_shutdown(answer)

    def _has_services(self) -> bool:
        local = self._pump.state.local if self._pump else None
        return local is not None and (bool(local.jobs) or any(local.active.values()))

    @staticmethod
    def _on_disk_error(reason: str) -> None:
        log.error("state.not_saved", reason=reason)

    @staticmethod
    def _on_garbage(sender: corosync.GroupMember, reason: str) -> None:
        log.warning("message.dropped", node=sender.node, pid=sender.pid, reason=reason)

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def _terminate(self) -> None:
        if self._pump is None:
            self._end(Exit(0, "stopped before corosync was there"))
        else:
            self._tasks.create_task(self._shut_down(), name="shutdown")

    async def _shut_down(self) -> None:
        kind = await self._systemd.shutdown_kind()
        if kind is Shutdown.RESTART and not self._can_return():
            kind = Shutdown.STOP
        self._notifier.stopping()
        self._emit(ShutdownRequested(kind))
        while not self._is_over.is_set():
            self._notifier.extend_timeout(30_000)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await self._is_over.wait()

    def _can_return(self) -> bool:
        """Tell whether a daemon that starts now would accept the file.

        One that does not leaves its node without a daemon, and the others would fence it with all
        its services: better to move them away while that can be done.
        """
        try:
            load(self._options.config, self._node_ids)
        except ConfigError as error:
            log_problems(error)
            reason = f"{error.source} would not be taken at the start: services are moved away"
            log.warning("shutdown.made_final", reason=reason)
            return False
        return True

    def _reload(self) -> None:
        """Read cluster.toml again; one with problems changes nothing."""
        try:
            spec = load(self._options.config, self._node_ids)
        except ConfigError as error:
            log_problems(error)
            return
        log.info("config.loaded", version=spec.version)
        log_warnings(spec, self._options.config)
        if self._pump is None:
            self._spec = spec  # the core is given the file of that moment when it begins
        self._tasks.create_task(self._check_agents(spec), name="agents")
        self._emit(ConfigLoaded(spec))

    async def _check_agents(self, spec: ClusterSpec) -> None:
        """Tell what the fence agents of this node would not take."""
        log_device_check(await check_devices(spec, AGENT_PATHS), self._options.config)

    async def _feed_watchdog(self) -> None:
        """Prove to systemd that the loop turns."""
        interval_ms = self._notifier.watchdog_interval_ms()
        while interval_ms:
            self._notifier.watchdog()
            await asyncio.sleep(interval_ms / 1000)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; returns the exit status."""
    options = _parse(argv)
    journal = Journal()
    journal.install()
    try:
        return _run(options, journal)
    except ConfigError as error:
        log_problems(error)
        with Notifier() as notifier:
            notifier.status(f"ending: {error.source} has problems, all of them in the journal")
        return EX_CONFIG
    except Exception as error:  # noqa: BLE001  # say it, end, and let systemd start anew
        explain(error, journal)
        is_violation = any(isinstance(e, InvariantViolation) for e in leaves(error))
        return EX_SOFTWARE if is_violation else 1


def _run(options: Options, journal: Journal) -> int:
    spec = load(options.config, None)
    log_warnings(spec, options.config)
    lock = hold_lock(options.runtime_dir / "rgmgrd.lock")
    try:
        return asyncio.run(_live(options, spec, journal))
    finally:
        os.close(lock)


async def _live(options: Options, spec: ClusterSpec, journal: Journal) -> int:
    return await Daemon(options, spec, journal).run()


def _ids_of(node_names: dict[int, str]) -> dict[str, NodeId]:
    return {name: NodeId(number) for number, name in node_names.items()}


def _parse(argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(
        prog="rgmgrd",
        description="Failover domain service manager: the daemon of one cluster node.",
        epilog="Normally started by systemd (rgmgrd.service). Exit status 78: the configuration"
        " has problems, all of which are in the journal.",
    )
    parser.add_argument("--config", type=Path, default=Path("/etc/rgmgr/cluster.toml"))
    parser.add_argument("--state-dir", type=Path, default=Path("/var/lib/rgmgr"))
    parser.add_argument("--runtime-dir", type=Path, default=Path("/run/rgmgr"))
    parser.add_argument("--secrets-dir", type=Path, default=Path("/etc/rgmgr/secrets.d"))
    parser.add_argument("--version", action="version", version=f"rgmgrd {__version__}")
    return Options(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    sys.exit(main())
