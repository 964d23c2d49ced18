# SPDX-License-Identifier: Apache-2.0
"""What an agent switches, and the loop that asks it until it says what was wanted."""

import time
from abc import ABC, abstractmethod
from typing import NamedTuple

from fencelib.errors import NoAnswerError, StuckError

POLL_FIRST_S, POLL_GROWTH, POLL_MAX_S = 0.2, 1.5, 1.0


class Outlet(NamedTuple):
    """One line of `list`."""

    plug: str
    alias: str
    state: str  # "on", "off" or "unknown"


class Device(ABC):
    """What one run of an agent switches: a subclass asks and sends, this verifies."""

    @abstractmethod
    def power(self, deadline: float) -> str:
        """Return exactly "on" or "off" as the device says, or "mixed" for several outlets.

        Raises:
            NoAnswerError: it did not answer by `deadline`, on the monotonic clock.
        """

    @abstractmethod
    def send(self, wanted: str, deadline: float) -> None:
        """Send the command for "on" or "off" once."""

    def outlets(self, deadline: float) -> list[Outlet]:
        """Return all outlets of the device; none when it has but one."""
        del deadline
        return []

    def first_power(self, timeout_s: float) -> str:
        """Read the state of a device that may have to be woken up, until `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.power(deadline)
            except NoAnswerError as error:
                if time.monotonic() + POLL_FIRST_S >= deadline:
                    raise error.after(timeout_s) from None
                time.sleep(POLL_FIRST_S)

    def switch(self, wanted: str, timeout_s: float) -> None:
        """Send one command and return when the device says that the power is `wanted`."""
        deadline = time.monotonic() + timeout_s
        self._send_once(wanted, deadline, timeout_s)
        if found := self.await_power(wanted, deadline):
            advice = "check the device, or raise power_timeout if it is only slow"
            raise StuckError(f"{wanted} was sent, after {timeout_s:g} s {found}; {advice}")

    def await_power(self, wanted: str, deadline: float) -> str:
        """Ask until the power is `wanted`; return what was found instead, or nothing."""
        pause_s, found = POLL_FIRST_S, "the device has not answered"
        while True:
            silence = ""
            try:
                state = self.power(deadline)
                if state == wanted:
                    return ""
                found = f"the power still reads {state}"
            except NoAnswerError as error:
                silence = error.found
            left_s = deadline - time.monotonic()
            if left_s > 0 and silence:  # a question cut short at the deadline tells nothing
                found = silence
            if left_s <= 0:
                return found
            time.sleep(min(pause_s, left_s))
            pause_s = min(pause_s * POLL_GROWTH, POLL_MAX_S)

    def _send_once(self, wanted: str, deadline: float, timeout_s: float) -> None:
        """Let the device have the command once; repeat only while it cannot have come through."""
        while True:
            try:
                self.send(wanted, deadline)
            except NoAnswerError as error:
                if not error.sent:
                    if time.monotonic() + POLL_FIRST_S >= deadline:
                        raise error.after(timeout_s) from None
                    time.sleep(POLL_FIRST_S)
                    continue
            return
