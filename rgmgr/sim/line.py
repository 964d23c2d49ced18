# SPDX-License-Identifier: Apache-2.0
"""The way between one node's daemon and its systemd: D-Bus, which may be slow or lost.

What the daemon does without it is what the systemd adapter does: a start waits, and fails when its
time is up; a stop goes round the bus; results and failures are seen when the bus is back, and then
everything is looked at again. Orders of a daemon that has ended are forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rgmgr.core.actions import MigrateResource, StartResource, StopResource
from rgmgr.core.events import ResourceFailed, ResourceStartFailed
from rgmgr.core.promise import LEASE_MS
from rgmgr.sim.engine import Alarm, Call, Dice, Engine
from rgmgr.sim.systemd import Answer, Systemd, UnitEvent

BYPASS_MS = (300, 3_300)
"""How long a stop waits for a bus that does not answer before it goes round it."""


@dataclass(slots=True, eq=False)
class _Order:
    """A start that waits for the bus."""

    action: StartResource
    answer: Answer
    deadline: Alarm


@dataclass(slots=True, eq=False)
class Line:
    """`slow_ms`: how late an answer may come. `is_lost`: nothing goes either way."""

    engine: Engine
    dice: Dice
    systemd: Systemd
    slow_ms: int = 0
    is_lost: bool = False
    slack_ms: int = 0  # the worst so far
    _due_ms: int = 0
    _orders: list[_Order] = field(default_factory=list)
    _waiting: list[Call] = field(default_factory=list)  # until the bus is back

    def ask(self, action: StartResource | StopResource | MigrateResource, answer: Answer) -> None:
        """Ask systemd for something; a migration waits until the bus can be used."""
        match action:
            case StartResource():
                self._start(action, answer)
            case StopResource():
                self._stop(action, answer)
            case MigrateResource():
                asked_ms = self.engine.now_ms
                self.when_back(lambda: self._migrate(action, answer, asked_ms))

    def _start(self, action: StartResource, answer: Answer) -> None:
        if not self.is_lost:
            self.systemd.start(action, self._told(answer))
            return

        def give_up() -> None:
            self._orders.remove(order)
            answer(
                ResourceStartFailed(
                    service=action.service,
                    resource=action.resource.name,
                    op=action.op,
                    reason="systemd cannot be reached",
                )
            )

        order = _Order(action, answer, self.engine.after(action.resource.start_timeout_ms, give_up))
        self._orders.append(order)

    def _migrate(self, action: MigrateResource, answer: Answer, asked_ms: int) -> None:
        """Send it off; an order that has become old only looks."""
        is_old = self.engine.now_ms - asked_ms > LEASE_MS
        order = replace(action, target=None) if is_old else action
        self.systemd.migrate(order, self._told(answer))

    def _stop(self, action: StopResource, answer: Answer) -> None:
        """Without the bus it only begins later."""
        if self.is_lost:
            delay_ms = self.dice.randint(*BYPASS_MS)
            self.engine.after(delay_ms, lambda: self.systemd.stop(action, answer))
        else:
            self.systemd.stop(action, self._told(answer))

    def news(self, event: UnitEvent, hear: Answer) -> None:
        """Pass on what systemd tells unasked."""
        self._told(hear)(event)

    def when_back(self, call: Call) -> None:
        """Do it when the bus can be used."""
        if self.is_lost:
            self._waiting.append(call)
        else:
            call()

    def lose(self) -> None:
        """Lose the connection."""
        self.is_lost, self.slack_ms = True, max(self.slack_ms, BYPASS_MS[1])

    def recover(self) -> None:
        """Connect anew: what was held back comes, what waited is done."""
        self.is_lost = False
        self._due_ms = max(self._due_ms, self.engine.now_ms)  # all of it comes now, in turn
        waiting, self._waiting = self._waiting, []
        orders, self._orders = self._orders, []
        for call in waiting:
            call()
        for order in orders:
            order.deadline.cancel()
            self._start(order.action, order.answer)

    def make_slow(self, delay_ms: int) -> None:
        """Answer up to so much later from now on."""
        self.slow_ms, self.slack_ms = delay_ms, max(self.slack_ms, delay_ms)

    def make_fast(self) -> None:
        """Answer at once from now on."""
        self.slow_ms = 0

    def forget(self) -> None:
        """The daemon is gone, and with it what it waited for."""
        for order in self._orders:
            order.deadline.cancel()
        self._orders.clear()
        self._waiting.clear()

    @property
    def is_behind(self) -> bool:
        """Whether something that has happened is still to be told."""
        return bool(self._waiting) or self._due_ms >= self.engine.now_ms

    def _told(self, answer: Answer) -> Answer:
        """Return what takes an answer and passes it on as late as the bus is."""

        def take(event: UnitEvent) -> None:
            if self.is_lost:
                self._waiting.append(lambda: self._catch_up(event, answer))
            elif self.slow_ms or self._due_ms > self.engine.now_ms:
                late_ms = self.engine.now_ms + self.dice.randint(0, self.slow_ms)
                self._due_ms = max(self._due_ms, late_ms)
                self.engine.after(self._due_ms - self.engine.now_ms, lambda: answer(event))
            else:
                answer(event)

        return take

    def _catch_up(self, event: UnitEvent, answer: Answer) -> None:
        """Tell what was missed, but for a failure that somebody has mended meanwhile."""
        is_failure = isinstance(event, ResourceFailed)
        if not (is_failure and self.systemd.unit(event.service, event.resource).is_active):
            answer(event)
