# SPDX-License-Identifier: Apache-2.0
"""Many questions for the states of units cost few messages, and each still has its own answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from dbus_next.message import Message
from dbus_next.signature import Variant

from domains.model import ServiceName
from rgmgr.adapters.systemd.statuses import Statuses
from rgmgr.core.actions import StartResource
from rgmgr.core.events import ResourceStarted, ResourceStartFailed
from rgmgr.errors import BusError
from tests.adapters.fake_systemd import FakeSystemd, Unit
from tests.adapters.systemd_stage import APP_UNIT, STARTED, Stage, resource, stage

MANY = 30


class Pid1:
    """Answers what it is asked when it is let, and keeps the questions."""

    def __init__(self) -> None:
        self.questions: list[list[str]] = []
        self.may_answer = asyncio.Event()
        self._was_asked = asyncio.Condition()

    async def read(self, member: str, _signature: str, body: Sequence[object]) -> list[object]:
        units = body[-1]
        assert isinstance(units, list)
        self.questions.append(units)
        async with self._was_asked:
            self._was_asked.notify_all()
        await self.may_answer.wait()
        if "bad\n.service" in units:
            raise BusError("systemd", member, "org.freedesktop.DBus.Error.InvalidArgs", "bad name")
        return [[[u, "", "loaded", "active", "running", "", "/", 0, "", "/"] for u in units]]

    async def asked(self, times: int) -> None:
        async with asyncio.timeout(5), self._was_asked:
            await self._was_asked.wait_for(lambda: len(self.questions) >= times)


def test_those_who_ask_together_share_a_question() -> None:
    async def play() -> None:
        pid1 = Pid1()
        statuses = Statuses(pid1.read)
        asking = [asyncio.create_task(statuses.of([f"u{n}.service"])) for n in range(MANY)]
        pid1.may_answer.set()

        answers = await asyncio.gather(*asking)

        assert [answer[0].name for answer in answers] == [f"u{n}.service" for n in range(MANY)]
        assert len(pid1.questions) == 1

    asyncio.run(play())


def test_who_asks_while_an_answer_is_on_its_way_is_not_given_that_one() -> None:
    """It may be of a moment before the thing that the asker wants to know of."""

    async def play() -> None:
        pid1 = Pid1()
        statuses = Statuses(pid1.read)
        first = asyncio.create_task(statuses.of(["u.service"]))
        await pid1.asked(1)
        second = asyncio.create_task(statuses.of(["u.service"]))
        await asyncio.sleep(0)
        pid1.may_answer.set()

        await asyncio.gather(first, second)

        assert pid1.questions == [["u.service"], ["u.service"]]

    asyncio.run(play())


def test_a_question_without_an_answer_holds_up_no_other() -> None:
    async def play() -> None:
        pid1 = Pid1()
        statuses = Statuses(pid1.read)
        hanging = asyncio.create_task(statuses.of(["a.service"]))
        await pid1.asked(1)
        asking = asyncio.create_task(statuses.of(["b.service"]))
        await pid1.asked(2)
        pid1.may_answer.set()
        await asyncio.gather(hanging, asking)

    asyncio.run(play())


def test_a_name_that_systemd_refuses_spoils_only_its_own_answer() -> None:
    async def play() -> None:
        pid1 = Pid1()
        pid1.may_answer.set()
        statuses = Statuses(pid1.read)
        good = asyncio.create_task(statuses.of(["good.service"]))
        bad = asyncio.create_task(statuses.of(["bad\n.service"]))

        assert (await good)[0].is_up
        with pytest.raises(BusError, match="bad name"):
            await bad

    asyncio.run(play())


def tie(s: Stage, unit: str) -> None:
    """Let systemd know of the drop-in of a unit."""
    path = str(s.drop_ins / f"{unit}.d" / "50-rgmgr.conf")
    s.pid1.units[unit].of_unit = {"DropInPaths": Variant("as", [path])}


def test_many_units_that_start_at_once_cost_few_messages(tmp_path: Path) -> None:
    """Each takes a millisecond of this process, while the units could be up already."""
    specs = [resource("app", "systemd", unit=f"u{number}.service") for number in range(MANY)]

    async def play(s: Stage) -> None:
        s.start()
        assert await s.event() == STARTED
        await s.settled()
        s.pid1.calls.clear()
        s.pid1.on_started = lambda unit: tie(s, unit)
        for number, spec in enumerate(specs):
            service = ServiceName(f"s{number}")
            s.systemd.start(StartResource(service=service, resource=spec, op=1, after=()))
        for _ in specs:
            assert isinstance(await s.event(), ResourceStarted)

        counts = Counter(name for name, _ in s.pid1.calls)
        together = counts.pop("ListUnitsByNames")
        assert counts == {
            "GetUnit": MANY,
            "StartUnit": MANY,
            "Get": MANY,
        }
        assert together < MANY

    stage(tmp_path, play)


def test_a_unit_that_was_started_without_its_drop_in_is_started_again_with_it(
    tmp_path: Path,
) -> None:
    """systemd remembers directories, and a new one of the same tick of the clock escapes it."""

    async def play(s: Stage) -> None:
        del s.pid1.units[APP_UNIT]
        s.pid1.on_stopped = lambda unit: tie(s, unit)  # what the reload will find
        s.start()

        assert await s.event() == STARTED
        order = [name for name, _ in s.pid1.calls if name in ("StartUnit", "StopUnit", "Reload")]
        assert order == ["StartUnit", "StopUnit", "Reload", "StartUnit"]

    stage(tmp_path, play)


def test_a_unit_that_is_not_in_memory_and_cannot_be_started_is_looked_at(tmp_path: Path) -> None:
    """Started at once, it can only be refused; why is what an administrator wants to know."""

    async def refuse(pid1: FakeSystemd, call: Message) -> None:
        pid1.units[APP_UNIT] = Unit(load="masked")
        pid1.refuse(call, "org.freedesktop.systemd1.UnitMasked", "Unit nginx.service is masked.")

    async def play(s: Stage) -> None:
        del s.pid1.units[APP_UNIT]
        s.pid1.script("StartUnit", refuse)
        s.start()
        event = await s.event()

        assert isinstance(event, ResourceStartFailed)
        assert "is masked on this node: run 'systemctl unmask nginx.service'" in event.reason

    stage(tmp_path, play)
